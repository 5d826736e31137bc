"""A fleet of processes with one keyring, and an administrator who rotates it at any moment."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sealwire.errors import ConfigurationError, KeyNotFoundError
from sealwire.keys import (
    Keyring,
    KeyringAdmin,
    KeyState,
    KeySuite,
    StoredDocument,
    WrappedKeyProvider,
)
from sealwire.keys.admin import PROPAGATION
from sealwire.testing.clock import FakeClock

INTERVAL = 300.0


class MemoryStore:
    """Keeps the document of one tenant, with compare-and-swap."""

    def __init__(self) -> None:
        self.stored: StoredDocument | None = None

    async def load(self, tenant: str) -> StoredDocument | None:
        return self.stored

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        present = None if self.stored is None else self.stored.revision
        if present != revision:
            raise ConfigurationError("changed meanwhile")
        self.stored = StoredDocument(data, str(int(revision or "0") + 1))


class MemoryWrapper:
    """Wraps nothing: the tests here are about when keys are known, not how they are kept."""

    async def name(self) -> str:
        return "memory"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return key

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return wrapped


class RecordingKeyring(Keyring):
    """Remembers the refreshes that its hot path started, so that a test can wait for them."""

    def settle(self) -> None:
        run, _ = self._refresher.start(lambda: False)
        run.result(30)


class Rotation(RuleBasedStateMachine):
    """Processes seal and open on the plain cached path; time passes in steps up to the interval.

    `sealed` holds (key id, check value) of everything that was ever sealed: the material must be
    the same when it is opened, years later, by any process.
    """

    @initialize()
    def start(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.wrapper = MemoryWrapper()
        self.admin = KeyringAdmin(self.store, self.wrapper, clock=self.clock)
        first = asyncio.run(self.admin.create())
        self.sealed: dict[str, bytes] = {first.id: first.check_value}
        self.fleet: list[RecordingKeyring] = []
        self.start_process()

    def process(self) -> RecordingKeyring:
        made = RecordingKeyring(
            WrappedKeyProvider(self.store, self.wrapper),
            clock=self.clock,
            refresh_interval=INTERVAL,
        )
        made.ready_sync()
        return made

    @precondition(lambda self: len(self.fleet) < 5)
    @rule()
    def start_process(self) -> None:
        self.fleet.append(self.process())

    @precondition(lambda self: len(self.fleet) > 1)
    @rule(data=st.data())
    def stop_process(self, data: st.DataObject) -> None:
        self.fleet.pop(data.draw(st.integers(0, len(self.fleet) - 1)))

    @rule(data=st.data())
    def restart_process(self, data: st.DataObject) -> None:
        self.fleet[data.draw(st.integers(0, len(self.fleet) - 1))] = self.process()

    @rule()
    def rotate(self) -> None:
        asyncio.run(self.admin.rotate())

    @rule(days=st.integers(0, 1))
    def rotate_if_old(self, days: int) -> None:
        asyncio.run(self.admin.rotate(if_older_than=days * 86_400.0))

    @rule(
        seconds=st.sampled_from([INTERVAL, INTERVAL - 1, 1.0, 0.125])
        | st.floats(0.0, INTERVAL, allow_nan=False),
        times=st.integers(1, 14),
    )
    def time_passes(self, seconds: float, times: int) -> None:
        """Every process is used at least once in an interval, each at a phase of its own."""
        for _ in range(times):
            self.clock.advance(seconds)
            self.all_processes_seal_and_open()

    @invariant()
    def all_processes_seal_and_open(self) -> None:
        for process in self.fleet:
            key = process.encryption_key()
            self.sealed[key.id] = key.check_value
        for process in self.fleet:
            for key_id, check_value in self.sealed.items():
                # No `find`: the key must be there already.
                assert check_value == process.decryption_key(key_id).check_value
            process.settle()

    @invariant()
    def fleet_agrees_with_the_document(self) -> None:
        found = asyncio.run(self.admin.keys())
        now = self.clock()
        active = [key.id for key in found.keys if found.state(key, now) is KeyState.ACTIVE]
        primary = found.primary(KeySuite.SEALED, now)
        assert primary is not None
        assert [primary.id] == active
        assert {primary.id} == {process.encryption_key().id for process in self.fleet}
        assert set(self.sealed) <= {key.id for key in found.keys}


OPTIONS = settings(
    deadline=None,
    database=None,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_no_process_meets_a_key_that_it_lacks() -> None:
    """With the default delay, whatever anybody sealed opens everywhere without a question."""
    run_state_machine_as_test(Rotation, settings=settings(OPTIONS, max_examples=40))


@pytest.mark.parametrize("delay", [0.0, PROPAGATION])
def test_the_delay_is_what_prevents_it(delay: float) -> None:
    """After a rotation at once, a process that starts seals with a key that the older one lacks."""
    machine = Rotation()
    machine.start()
    asyncio.run(machine.admin.rotate(delay=delay))
    machine.start_process()
    if delay:
        machine.all_processes_seal_and_open()
    else:
        with pytest.raises(KeyNotFoundError):
            machine.all_processes_seal_and_open()

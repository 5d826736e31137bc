"""A fleet of processes, and an administrator who does anything at any moment that is allowed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

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

from sealwire.errors import (
    ConfigurationError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyProviderUnavailableError,
)
from sealwire.keys import (
    AuditEvent,
    AuditOutcome,
    Key,
    Keyring,
    KeyringAdmin,
    KeyState,
    KeySuite,
    StoredDocument,
    WrappedKeyProvider,
)
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.lifecycle import MIN_DESTROY_AFTER, SPREAD, KeyLifecycle
from sealwire.testing.clock import FakeClock

DAY: Final = 86_400.0
INTERVAL: Final = SPREAD / 2
ENCRYPT_GRACE: Final = 3600.0
DECRYPT_GRACE: Final = DAY
MIN_RETIRED: Final = DAY


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

    @property
    def document(self) -> dict[str, Any]:
        assert self.stored is not None
        content: dict[str, Any] = json.loads(self.stored.data)
        return content


class MemoryWrapper:
    """Wraps nothing: the tests here are about when keys are known, not how they are kept."""

    async def name(self) -> str:
        return "memory"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return key

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return wrapped


class Link:
    """One process's way to the store, which can break; knows what came over it last, and when."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.down = False
        self.version = 0
        self.loaded = clock()

    async def load(self, tenant: str) -> StoredDocument | None:
        if self.down:
            raise KeyProviderUnavailableError("the store does not answer")
        self.version, self.loaded = self.store.document["version"], self.clock()
        return self.store.stored

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        raise AssertionError("a process does not write")


class Process(Keyring):
    """A process of the fleet; uses its keys as a codec does."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self.link = Link(store, clock)
        super().__init__(
            WrappedKeyProvider(self.link, MemoryWrapper()),
            clock=clock,
            refresh_interval=INTERVAL,
            encrypt_grace=ENCRYPT_GRACE,
            decrypt_grace=DECRYPT_GRACE,
        )

    @property
    def age(self) -> float:
        """Seconds since the last answer."""
        return self.link.clock() - self.link.loaded

    def settle(self) -> None:
        """Wait for a refresh that the hot path started."""
        run, _ = self._refresher.start(lambda: False)
        run.result(30)

    def seal(self) -> tuple[Key | None, float]:
        """The key that encrypts, None where the last answer is too old; and that answer's age.

        When it returns, no refresh is under way any more.
        """
        self.ready_sync()
        self.settle()
        age, key = self.age, None
        try:
            key = self.encryption_key()
        except KeyProviderUnavailableError:
            assert age >= ENCRYPT_GRACE
        self.settle()
        return key, age


class Events:
    """Keeps the audit events."""

    def __init__(self) -> None:
        self.all: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.all.append(event)


class Fleet(RuleBasedStateMachine):
    """The administrator is refused whatever would harm the fleet, and does everything else.

    `readable` tells for each version of the document which of its keys decrypt: what a process
    knows is the version that it loaded last. `sealed` holds the check value of each key that was
    ever used, and `last_sealed` when that was.
    """

    @initialize()
    def start(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.events = Events()
        admin = KeyringAdmin(self.store, MemoryWrapper(), clock=self.clock, audit=self.events)
        self.admin = admin
        self.lifecycle = KeyLifecycle(admin, MIN_RETIRED, SPREAD)
        self.readable: dict[int, dict[str, bool]] = {}
        self.sealed: dict[str, bytes] = {}
        self.last_sealed: dict[str, float] = {}
        self.promoted: set[str] = set()
        self.fleet: list[Process] = []
        asyncio.run(admin.create())
        self.note()
        self.start_process()

    def note(self) -> None:
        """Remember what the present version of the document says."""
        self.keys = asyncio.run(self.admin.keys())
        self.readable[self.keys.version] = {key.id: key.readable for key in self.keys.keys}

    def act(self, action: Callable[[], Awaitable[object]]) -> bool:
        """Do something, or be refused; returns whether the document was changed."""
        before, events = self.keys.version, len(self.events.all)
        refused = True
        with suppress(ConfigurationError):
            asyncio.run(_awaited(action))
            refused = False
        self.note()
        (event,) = self.events.all[events:]
        changed = self.keys.version > before
        assert (AuditOutcome.FAILED if refused else event.outcome) is event.outcome
        assert (event.outcome is AuditOutcome.DONE) is changed
        assert (before, self.keys.version) == (event.version_before, event.version_after)
        return changed

    def in_state(self, *states: KeyState) -> list[str]:
        now = self.clock()
        return [key.id for key in self.keys.keys if self.keys.state(key, now) in states]

    def pick(self, data: st.DataObject, *states: KeyState) -> str:
        """Choose a key for which the action makes sense; or the newest, for which it may not."""
        sensible = self.in_state(*states)[-3:]
        others = [self.keys.keys[-1].id] if data.draw(st.integers(0, 4)) == 0 else []
        return data.draw(st.sampled_from([*sensible, *others] or [self.keys.keys[-1].id]))

    @precondition(lambda self: len(self.fleet) < 4)
    @rule()
    def start_process(self) -> None:
        process = Process(self.store, self.clock)
        process.ready_sync()
        self.fleet.append(process)

    @precondition(lambda self: len(self.fleet) > 1)
    @rule(data=st.data())
    def stop_process(self, data: st.DataObject) -> None:
        self.fleet.pop(data.draw(st.integers(0, len(self.fleet) - 1)))

    @precondition(lambda self: len(self.fleet) > 1)
    @rule(data=st.data())
    def restart_process(self, data: st.DataObject) -> None:
        self.fleet.pop(data.draw(st.integers(0, len(self.fleet) - 1)))
        self.start_process()

    @rule(data=st.data())
    def link_breaks_or_heals(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from(self.fleet))
        process.link.down = not process.link.down

    @precondition(lambda self: len(self.in_state(KeyState.PENDING)) < 2)
    @rule()
    def rotate(self) -> None:
        assert self.act(self.admin.rotate)

    @precondition(lambda self: self.in_state(KeyState.PENDING))
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        key_id = self.pick(data, KeyState.PENDING)
        if self.act(lambda: self.lifecycle.promote(key_id)):
            self.promoted.add(key_id)

    @precondition(lambda self: self.in_state(KeyState.PENDING, KeyState.DECRYPT_ONLY))
    @rule(data=st.data())
    def disable(self, data: st.DataObject) -> None:
        key_id = self.pick(data, KeyState.PENDING, KeyState.DECRYPT_ONLY)
        self.act(lambda: self.lifecycle.disable(key_id))

    @precondition(lambda self: self.in_state(KeyState.DISABLED))
    @rule(data=st.data())
    def enable(self, data: st.DataObject) -> None:
        key_id = self.pick(data, KeyState.DISABLED)
        if self.act(lambda: self.lifecycle.enable(key_id)):
            self.promoted.discard(key_id)

    @precondition(lambda self: self.in_state(KeyState.DECRYPT_ONLY))
    @rule(data=st.data(), days=st.integers(7, 10))
    def schedule_destruction(self, data: st.DataObject, days: int) -> None:
        key_id = self.pick(data, KeyState.DECRYPT_ONLY, KeyState.DISABLED)
        if self.act(lambda: self.lifecycle.schedule_destruction(key_id, after=days * DAY)):
            # A process that is cut off from the store goes on for the grace period.
            unused = self.clock() - self.last_sealed.get(key_id, 0.0)
            assert unused >= MIN_RETIRED - ENCRYPT_GRACE

    @precondition(lambda self: self.in_state(KeyState.DESTROY_SCHEDULED))
    @rule(data=st.data())
    def cancel_destruction(self, data: st.DataObject) -> None:
        key_id = self.pick(data, KeyState.DESTROY_SCHEDULED, KeyState.DESTROYED)
        if self.act(lambda: self.lifecycle.cancel_destruction(key_id)):
            self.promoted.discard(key_id)

    @precondition(lambda self: self.in_state(KeyState.DESTROYED))
    @rule()
    def destroy(self) -> None:
        now = self.clock()
        due = {
            key.id
            for key in self.keys.keys
            if key.check_value and key.destroyed_at is not None and key.destroyed_at <= now
        }
        gone = {item["id"] for item in self.store.document["keys"] if item["material"] is None}
        assert bool(due) is self.act(self.lifecycle.destroy)
        assert gone | due == {
            item["id"] for item in self.store.document["keys"] if item["material"] is None
        }

    @rule(
        seconds=st.sampled_from([INTERVAL, INTERVAL - 1, 1.0]) | st.floats(0.0, 2 * INTERVAL),
        times=st.integers(1, 4),
    )
    def time_passes(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            self.all_processes_seal_and_open()

    @rule(days=st.integers(1, 10))
    def days_pass(self, days: int) -> None:
        self.clock.advance(days * DAY)

    @invariant()
    def all_processes_seal_and_open(self) -> None:
        for key, age in [process.seal() for process in self.fleet]:
            if key is not None:
                self.check_sealing(key, age)
        for process in self.fleet:
            for key_id, check_value in self.sealed.items():
                self.check_opening(process, key_id, check_value)

    def check_sealing(self, key: Key, age: float) -> None:
        """Whoever is not cut off from the store can open what is sealed now."""
        self.sealed[key.id] = key.check_value
        self.last_sealed[key.id] = self.clock()
        if age < SPREAD:
            assert self.readable[self.keys.version][key.id], "a withdrawn key is used"
        elif not self.readable[self.keys.version][key.id]:
            return  # withdrawn by intent, and this process could not know
        patience = SPREAD if key.id in self.promoted else PROPAGATION
        for other in self.fleet:
            if other.age < patience:
                assert self.readable[other.link.version].get(key.id), "a key is lacking"

    def check_opening(self, process: Process, key_id: str, check_value: bytes) -> None:
        """What was sealed opens, unless the document that the process has says otherwise."""
        known = self.readable[process.link.version].get(key_id)
        if process.age >= DECRYPT_GRACE or known is None:
            assert process.age >= SPREAD
            with pytest.raises(KeyProviderUnavailableError):
                process.decryption_key(key_id)
        elif known:
            assert check_value == process.decryption_key(key_id).check_value
        else:
            with pytest.raises((KeyDisabledError, KeyDestroyedError)):
                process.decryption_key(key_id)

    @invariant()
    def one_key_encrypts(self) -> None:
        now = self.clock()
        active = [key for key in self.keys.keys if self.keys.state(key, now) is KeyState.ACTIVE]
        assert [self.keys.primary(KeySuite.SEALED, now)] == active


async def _awaited(action: Callable[[], Awaitable[object]]) -> object:
    return await action()


OPTIONS: Final = settings(
    deadline=None,
    database=None,
    max_examples=40,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_the_rails_keep_a_fleet_safe() -> None:
    """No process lacks a key, and nothing becomes unreadable that nobody withdrew."""
    run_state_machine_as_test(Fleet, settings=OPTIONS)


def fleet_of_two() -> Fleet:
    fleet = Fleet()
    fleet.start()
    fleet.start_process()
    return fleet


def advance(fleet: Fleet, seconds: float) -> None:
    while seconds > 0:
        step = min(seconds, INTERVAL)
        fleet.clock.advance(step)
        seconds -= step
        fleet.all_processes_seal_and_open()


@pytest.mark.parametrize("danger", [False, True])
def test_promoting_too_early_makes_a_process_lack_the_key(danger: bool) -> None:
    """Without its rail, `promote` lets a process seal what another cannot open."""
    fleet = fleet_of_two()
    new = asyncio.run(fleet.admin.rotate()).key
    fleet.note()
    if not danger:
        advance(fleet, SPREAD)
    asyncio.run(fleet.lifecycle.promote(new.id, before_all_know_it=danger))
    fleet.note()
    fleet.start_process()
    if danger:
        with pytest.raises(AssertionError, match="a key is lacking"):
            fleet.all_processes_seal_and_open()
    else:
        fleet.all_processes_seal_and_open()


@pytest.mark.parametrize("danger", [False, True])
def test_disabling_too_early_makes_a_process_use_the_key(danger: bool) -> None:
    """Without its rail, `disable` leaves a process that seals with a withdrawn key."""
    fleet = fleet_of_two()
    old = fleet.keys.keys[0]
    asyncio.run(fleet.admin.rotate(delay=0.0))
    fleet.note()
    if not danger:
        advance(fleet, SPREAD)
    asyncio.run(fleet.lifecycle.disable(old.id, even_if_in_use=danger))
    fleet.note()
    if danger:
        with pytest.raises(AssertionError, match="a withdrawn key is used"):
            fleet.all_processes_seal_and_open()
    else:
        fleet.all_processes_seal_and_open()


@pytest.mark.parametrize("danger", [False, True])
def test_disabling_too_late_makes_a_process_begin_with_the_key(danger: bool) -> None:
    """Just before its start, without the rail, a process begins to seal with a withdrawn key."""
    fleet = fleet_of_two()
    new = asyncio.run(fleet.admin.rotate()).key
    fleet.note()
    advance(fleet, PROPAGATION - (100.0 if danger else SPREAD))
    for process in fleet.fleet:
        asyncio.run(process.refresh())
    asyncio.run(fleet.lifecycle.disable(new.id, even_if_in_use=danger))
    fleet.note()
    if danger:
        fleet.clock.advance(100.0)
        with pytest.raises(AssertionError, match="a withdrawn key is used"):
            fleet.all_processes_seal_and_open()
    else:
        advance(fleet, 2 * SPREAD)


def test_an_enabled_key_waits_like_a_new_one() -> None:
    """The newest key does not encrypt at once when it is enabled: others hold it as disabled."""
    fleet = fleet_of_two()
    new = asyncio.run(fleet.admin.rotate()).key
    fleet.note()
    asyncio.run(fleet.lifecycle.disable(new.id))
    fleet.note()
    advance(fleet, MIN_DESTROY_AFTER)
    assert fleet.act(lambda: fleet.lifecycle.enable(new.id))
    fleet.start_process()
    advance(fleet, PROPAGATION)
    assert {new.id} == {process.encryption_key().id for process in fleet.fleet}

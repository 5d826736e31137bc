"""A refresh whose provider blocks what it runs in, and does not end in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from sealwire.errors import KeyProviderUnavailableError
from sealwire.keys import Key, Keyring, KeySet
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider

Stuck = Callable[[threading.Event], Coroutine[Any, Any, object]]


def block(gate: threading.Event) -> None:
    """Wait for the gate; whoever does so for ten seconds opens it, which a test can see."""
    if not gate.wait(10):
        gate.set()


async def in_a_thread(gate: threading.Event) -> None:
    """Block a thread that the event loop waits for when it ends."""
    await asyncio.to_thread(block, gate)


async def in_the_loop(gate: threading.Event) -> None:
    """Block the event loop itself."""
    block(gate)


class StuckProvider(ScriptedKeyProvider):
    """Blocks in the first call, until it is let go."""

    def __init__(self, how: Stuck, gate: threading.Event, *keys: Key) -> None:
        super().__init__(*keys)
        self.how: Stuck | None = how
        self.until = gate
        self.ended = threading.Event()

    async def snapshot(self, tenant: str) -> KeySet:
        answer = await super().snapshot(tenant)
        how, self.how = self.how, None
        if how is not None:
            try:
                await how(self.until)
            finally:
                self.ended.set()
        return answer


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What blocks; it opens when the test is over."""
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealwire.keys.refresher._CLEANUP", 0.05)


def give_up(keyring: Keyring) -> None:
    """Load the keys with a limit that is short, and fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sealwire.keys.refresher._TIMEOUT", 0.05)
        with pytest.raises(KeyProviderUnavailableError, match="StuckProvider raised TimeoutError"):
            keyring.ready_sync()


@pytest.mark.parametrize("how", [in_a_thread, in_the_loop])
def test_a_provider_that_blocks_is_left_behind(
    how: Stuck, gate: threading.Event, clock: FakeClock
) -> None:
    """Who waits gets the error after the limit, and the next try is made by another thread."""
    provider = StuckProvider(how, gate, Key.generate("k"))
    keyring = Keyring(provider, clock=clock)
    give_up(keyring)
    assert not gate.is_set()
    keyring.ready_sync()
    assert "k" == keyring.encryption_key().id
    assert 2 == provider.calls


def test_an_answer_that_comes_too_late_replaces_no_newer_one(
    gate: threading.Event, clock: FakeClock
) -> None:
    """A provider without versions cannot bring back what was withdrawn meanwhile."""
    provider = StuckProvider(in_the_loop, gate, Key.generate("old"))
    keyring = Keyring(provider, clock=clock)
    give_up(keyring)
    provider.answer = KeySet((Key.generate("new"),), provider.answer.version)
    keyring.ready_sync()
    late = [thread for thread in threading.enumerate() if thread.name == "sealwire-keys"]
    gate.set()
    for thread in late:
        thread.join(10)
    assert provider.ended.is_set()
    assert "new" == keyring.encryption_key().id


class LeavingProvider(ScriptedKeyProvider):
    """Answers, and leaves a thread behind that its event loop waits for when it ends."""

    def __init__(self, gate: threading.Event, *keys: Key) -> None:
        super().__init__(*keys)
        self.until = gate

    async def snapshot(self, tenant: str) -> KeySet:
        asyncio.get_running_loop().run_in_executor(None, block, self.until)
        return await super().snapshot(tenant)


async def test_what_a_provider_leaves_running_does_not_spoil_its_answer(
    gate: threading.Event, clock: FakeClock
) -> None:
    """Its keys, or its own error, are there although a thread of it has not ended."""
    provider = LeavingProvider(gate, Key.generate("k"))
    keyring = Keyring(provider, clock=clock)
    await keyring.refresh()
    assert "k" == keyring.encryption_key().id
    provider.fault = ConnectionError()
    with pytest.raises(KeyProviderUnavailableError, match="raised ConnectionError"):
        await keyring.refresh()
    assert not gate.is_set()

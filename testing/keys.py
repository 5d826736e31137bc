"""For whoever writes a key provider, or tests against one that fails.

Let a test class inherit from `KeyProviderConformance` to find out whether a provider keeps the
contract of `sealwire.keys.KeyProvider`::

    class TestMyProvider(KeyProviderConformance):
        def provider(self) -> KeyProvider:
            return MyProvider("http://127.0.0.1:8200")
"""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sealwire.errors import KeyNotFoundError
from sealwire.keys import Key, KeyProvider, Keyring, KeySet
from sealwire.keys.key import KEY_ID

_PATIENCE: Final = 30.0  # seconds until a test that holds a provider back is given up

# All of them have the form of a key id, so a keyring does ask for them.
_HOSTILE_IDS: Final = (
    "no-such-key",
    "a/../../../../etc/passwd",
    "arn:aws:kms:eu-central-1:111122223333:key/no-such-key",
    "http://127.0.0.1/no-such-key",
    "x" * 200,
)


class KeyProviderConformance:
    """The behaviour that a keyring expects of every key provider.

    A test runner finds the methods in a subclass whose name begins with `Test`. They are not
    coroutines, and each makes the event loops that it needs.

    Attributes:
        tenant: Whose keys to ask for; overridable.
    """

    tenant: str = "default"

    def provider(self) -> KeyProvider:
        """Return a new provider with at least one key that may encrypt now."""
        raise NotImplementedError

    def test_is_a_key_provider(self) -> None:
        """It has the three methods."""
        assert isinstance(self.provider(), KeyProvider)

    def test_lists_keys_with_distinct_ids_of_the_right_form(self) -> None:
        """A snapshot holds keys, and each id once."""
        ids = [key.id for key in self._snapshot(self.provider()).keys]
        assert ids
        assert len(set(ids)) == len(ids)
        assert all(KEY_ID.fullmatch(key_id) for key_id in ids)

    def test_answers_the_same_twice(self) -> None:
        """While nobody changes the keys, neither the version nor a key's bytes change."""
        provider = self.provider()
        first, second = self._snapshot(provider), self._snapshot(provider)
        assert first.version <= second.version
        assert _described(first.keys) == _described(second.keys)

    def test_gets_what_it_lists(self) -> None:
        """`get` and `snapshot` give the same bytes under the same id."""
        provider = self.provider()
        listed = self._snapshot(provider).keys
        got = [asyncio.run(provider.get(key.id, self.tenant)) for key in listed]
        assert _described(listed) == _described(got)

    def test_does_not_find_keys_that_do_not_exist(self) -> None:
        """An id that nobody made is not found, whatever it looks like, and the error names it."""
        provider = self.provider()
        for key_id in _HOSTILE_IDS:
            error: KeyNotFoundError | None = None
            try:
                asyncio.run(provider.get(key_id, self.tenant))
            except KeyNotFoundError as err:
                error = err
            assert error is not None, f"there is no key {key_id!r}, and get gave one"
            assert key_id == error.key_id

    def test_serves_many_threads_with_loops_of_their_own(self) -> None:
        """Calls from several threads at once, each with a loop that ends, all get the keys."""
        provider = self.provider()
        expected = _described(self._snapshot(provider).keys)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(self._snapshot, [provider] * 16))
        for answer in answers:
            assert expected == _described(answer.keys)

    def test_feeds_a_keyring(self) -> None:
        """A keyring loads the keys: all that are not withdrawn decrypt, one encrypts."""
        provider = self.provider()
        keyring = Keyring(provider, tenant=self.tenant)
        keyring.ready_sync()
        readable = [key for key in self._snapshot(provider).keys if key.readable]
        assert _described(readable) == _described(
            keyring.decryption_key(key.id) for key in readable
        )
        assert keyring.encryption_key(readable[-1].suite).readable

    def test_closes(self) -> None:
        """It can be closed after use, and without ever having been used, and be used again."""
        used, unused = self.provider(), self.provider()
        self._snapshot(used)
        for provider in (used, unused):
            asyncio.run(provider.aclose())
            self._snapshot(provider)

    def _snapshot(self, provider: KeyProvider) -> KeySet:
        return asyncio.run(provider.snapshot(self.tenant))


def _described(keys: Iterable[Key]) -> list[tuple[str, str, str]]:
    return sorted((key.id, key.suite.value, key.check_value.hex()) for key in keys)


class ScriptedKeyProvider:
    """A key provider that is slow, down or lying when a test says so, and counts its calls.

    Args:
        keys: What it lists.
        version: The version of that list.
        complete: Whether the list is all there is; else `get` knows the `unlisted` keys too.
        unlisted: Keys that only `get` gives.

    Attributes:
        answer: The next snapshot; assign another one to change the keys, or to lie.
        fault: What every call raises; None while the provider is up.
        gate: Holds each call until it is set. A call that waits has looked at the keys before.
        called: Set when a call begins.
        snapshots: How many times `snapshot` was called.
        gets: The ids that `get` was called with, in order.
        closed: Whether it was closed.
    """

    def __init__(
        self,
        *keys: Key,
        version: int = 1,
        complete: bool = True,
        unlisted: Iterable[Key] = (),
    ) -> None:
        self.answer = KeySet(keys, version, complete)
        self.unlisted = {key.id: key for key in unlisted}
        self.fault: BaseException | None = None
        self.gate: threading.Event | None = None
        self.called = threading.Event()
        self.snapshots = 0
        self.gets: list[str] = []
        self.closed = False
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """How many calls of both kinds there were."""
        return self.snapshots + len(self.gets)

    def add(self, *keys: Key) -> None:
        """List more keys, under the next version."""
        old = self.answer
        self.answer = KeySet((*old.keys, *keys), old.version + 1, old.complete)

    async def snapshot(self, tenant: str) -> KeySet:  # noqa: ARG002
        """Return the answer of the moment; see `KeyProvider`."""
        with self._lock:
            self.snapshots += 1
        answer = self.answer
        await self._hold()
        return answer

    async def get(self, key_id: str, tenant: str) -> Key:  # noqa: ARG002
        """Return a listed or unlisted key; see `KeyProvider`.

        Raises:
            KeyNotFoundError: It is neither.
        """
        with self._lock:
            self.gets.append(key_id)
        known = {**{key.id: key for key in self.answer.keys}, **self.unlisted}
        await self._hold()
        if key_id not in known:
            raise KeyNotFoundError(f"the script has no key {key_id!r}", key_id=key_id)
        return known[key_id]

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    async def _hold(self) -> None:
        gate, fault = self.gate, self.fault
        self.called.set()
        if gate is not None:
            await asyncio.to_thread(gate.wait, _PATIENCE)
        if fault is not None:
            raise fault

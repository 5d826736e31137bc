"""For whoever writes a wrapper: what every holder of a key-encryption key must do.

Let a test class inherit from `KeyWrapperConformance` to find out whether a wrapper keeps the
contract of `sealwire.keys.KeyWrapper`::

    class TestMyWrapper(KeyWrapperConformance):
        def wrapper(self) -> KeyWrapper:
            return MyWrapper("http://127.0.0.1:8200", "first-key")

        def other(self) -> KeyWrapper | None:
            return MyWrapper("http://127.0.0.1:8200", "second-key")
"""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import ClassVar, Final, TypeVar

from sealwire.errors import ConfigurationError
from sealwire.keys import KeyringAdmin, KeyWrapper, StoredDocument, WrappedKeyProvider

from .sharing import assert_hides, at_once, cancel_each, finish, in_a_fork, refusal

T = TypeVar("T")

_KEY: Final = bytes.fromhex("f1c3a597e0b28d64" * 4)
_TENANT: Final = "shop"
_THREADS: Final = 8
# A number would lose the first zeros, and a text the bytes that are no characters.
_KEYS: Final = (_KEY, bytes(32), b"\x00" * 31 + b"\x01", b"\xff" * 32, bytes(range(200, 232)))
# What a path, a URL, a query or a cleaned-up name would take for another one, or for `_TENANT`.
_HOSTILE_TENANTS: Final = (
    "",
    " shop",
    "Shop",
    "shop\x00",
    "shop\n",
    "shop/../shop",
    "../../etc/passwd",
    "shop?version=1#x",
    "shop' OR '1'='1",
    '{"tenant": "shop"}',
    "sh%6Fp",
    "sho\u0301p",
    "shóp",
    "x" * 5000,
)
_NAME_SIZE: Final = 1000  # characters; an ARN has at most 2048 in theory, and about 100 in life


class KeyWrapperConformance:
    """The behaviour that a keyring document expects of every key wrapper.

    A test runner finds the methods in a subclass whose name begins with `Test`. They are not
    coroutines, and each makes the event loops that it needs.

    Attributes:
        patience: Seconds after which a call is taken to hang.
    """

    patience: ClassVar[float] = 30.0

    def wrapper(self) -> KeyWrapper:
        """Return a new wrapper; all that are returned hold the same key-encryption key."""
        raise NotImplementedError

    def other(self) -> KeyWrapper | None:
        """Return a wrapper for another key-encryption key, or None where there can be none."""
        return None

    def secrets(self) -> list[bytes]:
        """Return what nothing may show, such as the key-encryption key, a password or a token."""
        return []

    def test_it_is_a_key_wrapper(self) -> None:
        """It has the three methods."""
        assert isinstance(self.wrapper(), KeyWrapper)

    def test_it_gives_back_what_it_wrapped(self) -> None:
        """A key comes back as the same bytes, also from another instance."""
        for key in _KEYS:
            wrapped = self._run(self.wrapper().wrap(key, _TENANT))
            assert type(wrapped) is bytes
            assert type(self._run(self.wrapper().unwrap(wrapped, _TENANT))) is bytes
            assert key == self._run(self.wrapper().unwrap(wrapped, _TENANT)), "another key came out"

    def test_what_it_wrapped_does_not_show_the_key(self) -> None:
        """Neither the key nor a spelling of it is in the result."""
        wrapped = self._run(self.wrapper().wrap(_KEY, _TENANT))
        assert _KEY not in wrapped, "the key is there in clear"
        assert_hides(wrapped.decode("latin-1"), [_KEY, *self.secrets()])

    def test_it_names_its_key(self) -> None:
        """The name is one line of text, the same each time and from each instance."""
        wrapper = self.wrapper()
        name = self._run(wrapper.name())
        assert type(name) is str
        assert 0 < len(name) <= _NAME_SIZE
        assert name.isprintable(), "the name has line breaks or control characters"
        self._run(wrapper.wrap(_KEY, _TENANT))
        assert name == self._run(wrapper.name())
        assert name == self._run(self.wrapper().name())

    def test_other_keys_open_nothing(self) -> None:
        """Another key-encryption key has another name, and refuses what this one wrapped."""
        wrapper, other = self.wrapper(), self.other()
        if other is None:
            return
        assert self._run(wrapper.name()) != self._run(other.name())
        wrapped = self._run(wrapper.wrap(_KEY, _TENANT))
        self._assert_refused(other, wrapped, _TENANT, "another key opened it")
        self._assert_refused(
            wrapper, self._run(other.wrap(_KEY, _TENANT)), _TENANT, "it opened another key's"
        )

    def test_other_tenants_open_nothing(self) -> None:
        """What was wrapped for one tenant is refused for every other, however similar its name."""
        wrapper = self.wrapper()
        wrapped = self._run(wrapper.wrap(_KEY, _TENANT))
        for tenant in ("sho", "shop2", "default", *_HOSTILE_TENANTS):
            self._assert_refused(wrapper, wrapped, tenant, f"the tenant {tenant[:40]!r} opened it")

    def test_any_tenant_is_served_or_refused(self) -> None:
        """Whatever characters a tenant has, its key comes back, or it is refused in time."""
        wrapper = self.wrapper()
        for tenant in _HOSTILE_TENANTS:
            try:
                wrapped = self._run(wrapper.wrap(_KEY, tenant))
            except ConfigurationError:
                continue
            assert self._run(wrapper.unwrap(wrapped, tenant)) == _KEY, f"lost for {tenant[:40]!r}"
            self._assert_refused(wrapper, wrapped, _TENANT, f"wrapped for {tenant[:40]!r}")

    def test_what_was_changed_is_refused(self) -> None:
        """A flipped bit, a missing end and an appended byte are noticed, and nothing is opened."""
        wrapper = self.wrapper()
        for changed in _changed(self._run(wrapper.wrap(_KEY, _TENANT))):
            self._assert_refused(wrapper, changed, _TENANT, "what was changed opened")

    def test_nothing_shows_secrets(self) -> None:
        """Neither the wrapper, its name nor its refusals show what must be kept."""
        wrapper = self.wrapper()
        wrapped = self._run(wrapper.wrap(_KEY, _TENANT))
        error = refusal(wrapper.unwrap(wrapped, "default"), self.patience)
        for shown in (wrapper, self._run(wrapper.name()), error, vars(error)):
            assert_hides(shown, [_KEY, wrapped, *self.secrets()])

    def test_tasks_may_share_it(self) -> None:
        """Many calls at once in one event loop do not get into each other's way."""
        wrapper = self.wrapper()

        async def run() -> None:
            await asyncio.gather(*(_round_trip(wrapper, number) for number in range(_THREADS)))

        self._run(run())

    def test_event_loops_may_run_at_once(self) -> None:
        """Event loops in several threads share one wrapper."""
        wrapper = self.wrapper()
        at_once(lambda number: self._run(_round_trip(wrapper, number)), _THREADS)

    def test_a_cancelled_call_harms_nobody(self) -> None:
        """After it was cancelled at each of its first awaits, the wrapper still works."""
        wrapper = self.wrapper()
        wrapped = self._run(wrapper.wrap(_KEY, _TENANT))
        cancel_each(lambda: wrapper.wrap(_KEY, _TENANT), self.patience)
        cancel_each(lambda: wrapper.unwrap(wrapped, _TENANT), self.patience)
        self._run(_round_trip(wrapper, 0))

    def test_it_works_on_both_sides_of_a_fork(self) -> None:
        """A wrapper that was used before `os.fork()` works in both processes."""
        wrapper = self.wrapper()
        wrapped = self._run(wrapper.wrap(_KEY, _TENANT))

        def work() -> bytes:
            assert self._run(wrapper.unwrap(wrapped, _TENANT)) == _KEY, "another key came out"
            return self._run(wrapper.wrap(_KEY, _TENANT))

        in_child = in_a_fork(work, self.patience)
        assert self._run(wrapper.unwrap(in_child, _TENANT)) == _KEY, "another key came out"

    def test_it_opens_a_keyring(self) -> None:
        """A keyring is made, rotated and read with it."""
        store = _MemoryStore()
        admin = KeyringAdmin(store, self.wrapper(), _TENANT)
        made = [self._run(admin.create()).id, self._run(admin.rotate()).key.id]
        provider = WrappedKeyProvider(store, self.wrapper())
        assert made == [key.id for key in self._run(provider.snapshot(_TENANT)).keys]

    def _run(self, call: Awaitable[T]) -> T:
        return finish(call, self.patience)

    def _assert_refused(self, wrapper: KeyWrapper, wrapped: bytes, tenant: str, why: str) -> None:
        assert refusal(wrapper.unwrap(wrapped, tenant), self.patience) is not None, why


class _MemoryStore:
    """Holds one document."""

    def __init__(self) -> None:
        self.stored: StoredDocument | None = None

    async def load(self, tenant: str) -> StoredDocument | None:  # noqa: ARG002
        return self.stored

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:  # noqa: ARG002
        self.stored = StoredDocument(data, "")


def _changed(wrapped: bytes) -> Iterator[bytes]:
    for place in (0, len(wrapped) // 2, len(wrapped) - 1):
        yield wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
    for size in (0, 1, len(wrapped) // 2, len(wrapped) - 1):
        yield wrapped[:size]
    yield wrapped + b"\x00"
    yield wrapped + wrapped
    yield bytes(len(wrapped))


async def _round_trip(wrapper: KeyWrapper, number: int) -> None:
    key, tenant = bytes([number]) + _KEY[1:], f"tenant-{number}"
    wrapped = await wrapper.wrap(key, tenant)
    assert key == await wrapper.unwrap(wrapped, tenant), "a call was answered with another's key"

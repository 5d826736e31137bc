"""For whoever writes a store: what every place for keyring documents must do.

Let a test class inherit from `KeyringStoreConformance` to find out whether a store keeps the
contract of `sealwire.keys.KeyringStore`::

    class TestMyStore(KeyringStoreConformance):
        @pytest.fixture(autouse=True)
        def _place(self, tmp_path: Path) -> None:
            self.place = tmp_path

        def store(self) -> KeyringStore:
            return MyStore(self.place)
"""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import secrets
import threading
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, TypeVar

from sealwire.errors import ConfigurationError, SealwireError
from sealwire.keys import (
    ErasesVersions,
    KeyringAdmin,
    KeyringStore,
    StoredDocument,
    WrappedKeyProvider,
)

from .sharing import assert_hides, at_once, cancel_each, finish, in_a_fork, refusal

T = TypeVar("T")

_TENANT: Final = "shop"
_OLD: Final = b'{"version": 1}\n'
_NEW: Final = b'{"version": 2, "keys": []}\n'
_THREADS: Final = 8
_LARGE: Final = 1024 * 1024  # bytes; 3,000 keys
# What text columns, JSON, line ends and trimming would change.
_DOCUMENTS: Final = (
    b" ",
    b"\x00",
    b"\r\n a \r\n\r\n",
    b"\xef\xbb\xbf{}",
    b'{"a": "\\u0000 \xc3\xa9 e\xcc\x81"}',
    bytes(range(256)),
)
# No revision that a store gave; the star matches everything in HTTP, the percent sign in SQL.
_HOSTILE_REVISIONS: Final = ("", "0", "-1", "*", "%", "' OR '1'='1", '"', "a\x00b", "\n", "9" * 999)
# What a path, a URL, a table or a cleaned-up name would take for another one, or for `_TENANT`.
_HOSTILE_TENANTS: Final = (
    "",
    ".",
    "..",
    "*",
    "%",
    "_",
    "Shop",
    "shop ",
    "shop\x00",
    "shop\n",
    "shop/",
    "./shop",
    "sh/op",
    "sh\\op",
    "../../etc/passwd",
    "/etc/passwd",
    "shop.json",
    "shop.bak",
    "shop.lock",
    "sh%6Fp",
    "shop?x=1#y",
    "shop' OR '1'='1",
    "x'; DROP TABLE sealwire_keyrings; --",
    "sho\u0301p",
    "shóp",
    "x" * 300,
    "x" * 299 + "y",
    "é" * 5000,
)


class KeyringStoreConformance:
    """The behaviour that `KeyringAdmin` and `WrappedKeyProvider` expect of every store.

    A test runner finds the methods in a subclass whose name begins with `Test`. They are not
    coroutines, and each makes the event loops that it needs. Each must begin with an empty place.

    Attributes:
        patience: Seconds after which a call is taken to hang.
    """

    patience: ClassVar[float] = 30.0

    def store(self) -> KeyringStore:
        """Return a new store; all that one instance of the test class returns share a place."""
        raise NotImplementedError

    def secrets(self) -> list[bytes]:
        """Return what nothing may show, such as the password in a URL."""
        return []

    def test_it_is_a_keyring_store(self) -> None:
        """It has the two methods."""
        assert isinstance(self.store(), KeyringStore)

    def test_it_holds_nothing_at_first(self) -> None:
        """Where no document was saved, there is none, and asking makes none."""
        assert self._run(self.store().load(_TENANT)) is None
        assert self._run(self.store().load(_TENANT)) is None

    def test_it_keeps_every_byte(self) -> None:
        """A document comes back as it was, also from another instance, whatever its bytes are."""
        self._save(_OLD, None)
        for data in (*_DOCUMENTS, secrets.token_bytes(_LARGE), _NEW):
            self._save(data, self._load().revision)
            found = self._load()
            assert type(found.data) is bytes
            assert data == found.data, "the document is not what it was"

    def test_a_revision_stands_for_what_was_saved(self) -> None:
        """It is the same from every instance until a document is saved, and then another."""
        self._save(_OLD, None)
        first = self._load().revision
        assert type(first) is str
        assert first == self._load().revision
        self._save(_NEW, first)
        assert first != self._load().revision

    def test_only_the_expected_revision_is_replaced(self) -> None:
        """An older revision, or one that never was, changes nothing, and the saver is told."""
        self._save(_OLD, None)
        old = self._load().revision
        self._save(_NEW, old)
        new = self._load()
        for revision in (old, new.revision + "0", new.revision[:-1], *_HOSTILE_REVISIONS):
            self._assert_refused(_OLD, revision, f"it replaced the revision {revision[:40]!r}")
            assert new == self._load()

    def test_a_document_is_created_once(self) -> None:
        """Where there is one already, saving without a revision changes nothing."""
        self._save(_OLD, None)
        self._assert_refused(_NEW, None, "it replaced a document that it should have created")
        assert self._load().data == _OLD

    def test_what_is_not_there_is_not_replaced(self) -> None:
        """Where there is no document, saving under a revision creates none."""
        for revision in _HOSTILE_REVISIONS:
            self._assert_refused(_NEW, revision, f"it created the revision {revision[:40]!r}")
        assert self._run(self.store().load(_TENANT)) is None

    def test_tenants_are_apart_or_refused(self) -> None:
        """A tenant has a document of its own, or may not save; whatever its name looks like."""
        store = self.store()
        kept = {_TENANT: _OLD}
        self._save(_OLD, None)
        for number, tenant in enumerate(_HOSTILE_TENANTS):
            data = f"the document of tenant {number}".encode()
            if refusal(store.save(tenant, data, None), self.patience) is None:
                kept[tenant] = data
        for tenant, data in kept.items():
            found = self._run(self.store().load(tenant))
            assert found is not None, f"the document of {tenant[:40]!r} is lost"
            assert data == found.data, f"{tenant[:40]!r} has the document of another tenant"
            assert refusal(store.save(tenant, _NEW, found.revision), self.patience) is None
            assert refusal(store.save(tenant, data, found.revision), self.patience) is not None

    def test_any_tenant_may_be_asked_for(self) -> None:
        """A tenant without a document has none, or is refused, whatever characters it has."""
        store = self.store()
        for tenant in _HOSTILE_TENANTS:
            try:
                assert self._run(store.load(tenant)) is None
            except ConfigurationError:
                continue

    def test_nothing_shows_secrets(self) -> None:
        """Neither the store nor its refusals show credentials or the document."""
        self._save(_OLD, None)
        store = self.store()
        error = refusal(store.save(_TENANT, _NEW, None), self.patience)
        for shown in (store, error, vars(error)):
            assert_hides(shown, [_OLD, _NEW, *self.secrets()])

    def test_of_many_writers_one_wins(self) -> None:
        """Of several that replace the same revision at once, one succeeds, the others are told."""
        self._save(_OLD, None)
        revision = self._load().revision
        self._race(self.store, revision)

    def test_of_many_creators_one_wins(self) -> None:
        """Of several that create the document at once, one succeeds, the others are told."""
        self._race(self.store, None)

    def test_event_loops_may_share_it(self) -> None:
        """The same holds for event loops in several threads that use one instance."""
        store = self.store()
        self._race(lambda: store, None)
        self._race(lambda: store, self._load().revision)

    def test_readers_see_whole_documents(self) -> None:
        """While documents are replaced, each load gives one of them, complete."""
        documents = [bytes([number]) * (1 + number * 20_000) for number in range(1, 9)]
        self._save(documents[0], None)
        done = threading.Event()

        def read() -> list[bytes]:
            seen: list[bytes] = []
            while not done.is_set():
                seen.append(self._load().data)
            return seen

        def write() -> list[bytes]:
            try:
                for data in documents[1:]:
                    self._save(data, self._load().revision)
            finally:
                done.set()
            return []

        for seen in at_once(lambda number: read() if number else write(), 3):
            assert all(data in documents for data in seen), "a reader saw half a document"

    def test_a_cancelled_call_harms_nobody(self) -> None:
        """After it was cancelled at its first awaits, the old or the new document is there."""
        store = self.store()
        self._save(_OLD, None)
        revision = self._load().revision
        cancel_each(lambda: store.load(_TENANT), self.patience)
        cancel_each(lambda: store.save(_TENANT, _NEW, revision), self.patience)
        found = self._run(store.load(_TENANT))
        assert found is not None
        assert found.data in (_OLD, _NEW)
        self._run(store.save(_TENANT, _DOCUMENTS[-1], found.revision))
        assert _DOCUMENTS[-1] == self._load().data

    def test_it_works_on_both_sides_of_a_fork(self) -> None:
        """A store that was used before `os.fork()` works in both processes."""
        store = self.store()
        self._run(store.save(_TENANT, _OLD, None))
        before = self._run(store.load(_TENANT))

        def work() -> bytes:
            assert before == self._run(store.load(_TENANT)), "the child sees another document"
            assert before is not None
            self._run(store.save(_TENANT, _NEW, before.revision))
            return b""

        in_a_fork(work, self.patience)
        found = self._run(store.load(_TENANT))
        assert found is not None
        assert found.data == _NEW, "the parent does not see what the child saved"
        self._run(store.save(_TENANT, _OLD, found.revision))

    def test_erasing_versions_keeps_the_present_one(self) -> None:
        """Where a store can erase older versions, the present documents stay as they were."""
        store = self.store()
        if not isinstance(store, ErasesVersions):
            return
        self._run(store.erase_versions(_TENANT))
        assert self._run(store.load(_TENANT)) is None, "erasing made a document"
        self._save(_OLD, None)
        self._save(_NEW, self._load().revision)
        before = self._load()
        assert type(self._run(store.erase_versions(_TENANT))) is bool
        assert before == self._load(), "erasing older versions changed the present one"
        self._save(_OLD, before.revision)

    def test_it_holds_a_keyring(self) -> None:
        """A keyring is made, rotated and read; another tenant gets one of its own, or none."""
        wrapper = _Unwrapped()
        admin = KeyringAdmin(self.store(), wrapper, _TENANT)
        made = [self._run(admin.create()).id, self._run(admin.rotate()).key.id]
        provider = WrappedKeyProvider(self.store(), wrapper)
        assert made == [key.id for key in self._run(provider.snapshot(_TENANT)).keys]
        try:
            foreign = self._run(provider.snapshot("other")).keys
        except SealwireError:
            return
        assert foreign == (), "a tenant was given the keys of another"

    def _race(self, store: Callable[[], KeyringStore], revision: str | None) -> None:
        # All differ, also from those before: a revision may be a hash of the document.
        documents = [secrets.token_bytes(16) for _ in range(_THREADS)]

        def write(number: int) -> bool:
            saving = store().save(_TENANT, documents[number], revision)
            return refusal(saving, self.patience) is None

        outcomes = at_once(write, _THREADS)
        won = [data for data, saved in zip(documents, outcomes, strict=True) if saved]
        assert len(won) == 1, f"{len(won)} of {_THREADS} writers won"
        assert won == [self._load().data], "the document is not the winner's"

    def _run(self, call: Awaitable[T]) -> T:
        return finish(call, self.patience)

    def _load(self) -> StoredDocument:
        found = self._run(self.store().load(_TENANT))
        assert found is not None, "the document is lost"
        return found

    def _save(self, data: bytes, revision: str | None) -> None:
        self._run(self.store().save(_TENANT, data, revision))

    def _assert_refused(self, data: bytes, revision: str | None, why: str) -> None:
        assert refusal(self.store().save(_TENANT, data, revision), self.patience) is not None, why


class _Unwrapped:
    """A wrapper that hides nothing: the suite is about where a document is kept."""

    async def name(self) -> str:
        return "none"

    async def wrap(self, key: bytes, tenant: str) -> bytes:  # noqa: ARG002
        return key

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:  # noqa: ARG002
        return wrapped

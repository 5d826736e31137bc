"""The published contracts of wrappers and stores, run over ours and over broken ones."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import tempfile
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealwire.errors import ConfigurationError
from sealwire.keys import (
    FileKeyringStore,
    KeyringStore,
    KeyWrapper,
    LocalKeyWrapper,
    StoredDocument,
)
from sealwire.keys.files import read_private
from sealwire.testing import KeyringStoreConformance, KeyWrapperConformance


class TestLocalKeyWrapper(KeyWrapperConformance):
    """The key file."""

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        for name in ("keyring.key", "other.key"):
            LocalKeyWrapper(tmp_path / name).create()

    def wrapper(self) -> KeyWrapper:
        return LocalKeyWrapper(self.folder / "keyring.key")

    def other(self) -> KeyWrapper:
        return LocalKeyWrapper(self.folder / "other.key")

    def secrets(self) -> list[bytes]:
        return [read_private(self.folder / "keyring.key").split()[1]]


class TestFileKeyringStore(KeyringStoreConformance):
    """The file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def store(self) -> KeyringStore:
        return FileKeyringStore(self.folder / "keyring.json")


# Wrappers and stores that are broken in one way each.


@dataclass
class Sound:
    """A wrapper that does all as it should, to break in one way at a time."""

    key: bytes = b"\x5a" * 32

    def __post_init__(self) -> None:
        """For what is broken to prepare."""

    async def name(self) -> str:
        return f"sound:{hashlib.sha256(self.key).hexdigest()[:8]}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return self.seal(key, tenant.encode())

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return self.open(wrapped, tenant.encode())

    def __repr__(self) -> str:
        return "Sound()"

    def seal(self, key: bytes, binding: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, key, binding)

    def open(self, wrapped: bytes, binding: bytes) -> bytes:
        try:
            return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], binding)
        except (InvalidTag, ValueError):
            raise ConfigurationError("it does not open") from None


class IsNoWrapper(Sound):
    name = None  # type: ignore[assignment]


class HasNoName(Sound):
    async def name(self) -> str:
        return ""


class HasTwoLines(Sound):
    async def name(self) -> str:
        return "sound\nkey"


class IsRenamed(Sound):
    async def name(self) -> str:
        return f"sound:{id(self)}"


class HasOneNameForAll(Sound):
    async def name(self) -> str:
        return "sound"


class CountsItsCalls(Sound):
    """Its name tells how often it was used."""

    calls = 0

    async def name(self) -> str:
        return f"sound:{self.calls}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        self.calls += 1
        return await super().wrap(key, tenant)


class WrapsNothing(Sound):
    """Keeps the key in clear, and is careful otherwise."""

    def seal(self, key: bytes, binding: bytes) -> bytes:
        return key + super().seal(key, binding)

    def open(self, wrapped: bytes, binding: bytes) -> bytes:
        key = super().open(wrapped[32:], binding)
        if key != wrapped[:32]:
            raise ConfigurationError("it does not open")
        return key


class KeepsTheKeyInBase64(WrapsNothing):
    """The same in another spelling."""

    def seal(self, key: bytes, binding: bytes) -> bytes:
        return base64.b64encode(key) + Sound.seal(self, key, binding)

    def open(self, wrapped: bytes, binding: bytes) -> bytes:
        key = Sound.open(self, wrapped[44:], binding)
        if base64.b64encode(key) != wrapped[:44]:
            raise ConfigurationError("it does not open")
        return key


class LosesZeros(Sound):
    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return await super().wrap(key.lstrip(b"\x00"), tenant)


class GivesAnotherType(Sound):
    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return bytearray(await super().unwrap(wrapped, tenant))  # type: ignore[return-value]


class KnowsOnlyItself(Sound):
    """Draws a key for each instance."""

    def __post_init__(self) -> None:
        self.key = os.urandom(32)

    async def name(self) -> str:
        return "sound"


class ForgetsTheTenant(Sound):
    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return self.open(wrapped, b"")

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return self.seal(key, b"")


class ShortensTheTenant(Sound):
    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return self.seal(key, tenant.strip().lower().encode())

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return self.open(wrapped, tenant.strip().lower().encode())


class NormalizesTheTenant(Sound):
    """Wraps for one spelling of a tenant's name, and unwraps for another."""

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return await super().unwrap(wrapped, unicodedata.normalize("NFD", tenant))


class OpensEverything(Sound):
    """Unwraps without a check."""

    def seal(self, key: bytes, binding: bytes) -> bytes:
        stream = hashlib.shake_256(self.key + binding).digest(len(key))
        return bytes(a ^ b for a, b in zip(key, stream, strict=True))

    def open(self, wrapped: bytes, binding: bytes) -> bytes:
        return self.seal(wrapped, binding)


class RaisesWhatItMeets(Sound):
    def open(self, wrapped: bytes, binding: bytes) -> bytes:
        return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], binding)


class ShowsWhatItMeets(Sound):
    def open(self, wrapped: bytes, binding: bytes) -> bytes:
        try:
            return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], binding)
        except (InvalidTag, ValueError) as err:
            raise ConfigurationError("it does not open") from err


class ShowsItsKey(Sound):
    def __repr__(self) -> str:
        return f"Sound({self.key!r})"


class ShowsWhatItWasGiven(Sound):
    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        try:
            return await super().unwrap(wrapped, tenant)
        except ConfigurationError:
            raise ConfigurationError(f"it does not open: {wrapped.hex()}") from None


class SharesAState(Sound):
    """Keeps the key on the instance while other tasks run."""

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        self.at_hand = key
        await asyncio.sleep(0)
        return await super().wrap(self.at_hand, tenant)


class KeepsALock(Sound):
    """Its lock belongs to the first event loop in which two tasks wanted it."""

    def __post_init__(self) -> None:
        self.lock = asyncio.Lock()

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        async with self.lock:
            # Only another thread's loop can be waiting here.
            await asyncio.sleep(0.01)
            return await super().wrap(key, tenant)


class StaysLocked(Sound):
    """Does not release its lock when it is cancelled."""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        while not self.lock.acquire(blocking=False):  # noqa: ASYNC110 - it is no lock of a loop
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        self.lock.release()
        return await super().wrap(key, tenant)


class NeedsItsThread(Sound):
    """Works in a thread, which a child process does not have."""

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)

    def seal(self, key: bytes, binding: bytes) -> bytes:
        return self.pool.submit(super().seal, key, binding).result()


class KnowsItsProcess(Sound):
    """A child process wraps what its parent cannot open."""

    def __post_init__(self) -> None:
        self.parent = os.getpid()

    def seal(self, key: bytes, binding: bytes) -> bytes:
        if os.getpid() != self.parent:
            return Sound(b"\xa5" * 32).seal(key, binding)
        return super().seal(key, binding)


# What each of them must fail, among others.
BROKEN_WRAPPERS: Final[list[tuple[type[Sound], set[str]]]] = [
    (IsNoWrapper, {"test_it_is_a_key_wrapper"}),
    (LosesZeros, {"test_it_gives_back_what_it_wrapped"}),
    (GivesAnotherType, {"test_it_gives_back_what_it_wrapped"}),
    (KnowsOnlyItself, {"test_it_gives_back_what_it_wrapped", "test_it_opens_a_keyring"}),
    (WrapsNothing, {"test_what_it_wrapped_does_not_show_the_key"}),
    (KeepsTheKeyInBase64, {"test_what_it_wrapped_does_not_show_the_key"}),
    (HasNoName, {"test_it_names_its_key"}),
    (HasTwoLines, {"test_it_names_its_key"}),
    (IsRenamed, {"test_it_names_its_key"}),
    (CountsItsCalls, {"test_it_names_its_key"}),
    (HasOneNameForAll, {"test_other_keys_open_nothing"}),
    (OpensEverything, {"test_other_keys_open_nothing", "test_what_was_changed_is_refused"}),
    (RaisesWhatItMeets, {"test_what_was_changed_is_refused"}),
    (ForgetsTheTenant, {"test_other_tenants_open_nothing"}),
    (ShortensTheTenant, {"test_other_tenants_open_nothing"}),
    (NormalizesTheTenant, {"test_any_tenant_is_served_or_refused"}),
    (ShowsItsKey, {"test_nothing_shows_secrets"}),
    (ShowsWhatItMeets, {"test_nothing_shows_secrets"}),
    (ShowsWhatItWasGiven, {"test_nothing_shows_secrets"}),
    (SharesAState, {"test_tasks_may_share_it"}),
    (KeepsALock, {"test_event_loops_may_run_at_once"}),
    (StaysLocked, {"test_a_cancelled_call_harms_nobody"}),
    (NeedsItsThread, {"test_it_works_on_both_sides_of_a_fork"}),
    (KnowsItsProcess, {"test_it_works_on_both_sides_of_a_fork"}),
]


@dataclass
class SoundStore:
    """A store that does all as it should, to break in one way at a time."""

    folder: Path

    def __post_init__(self) -> None:
        """For what is broken to prepare."""

    async def load(self, tenant: str) -> StoredDocument | None:
        return await self.file(tenant).load(tenant)

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await self.file(tenant).save(tenant, data, revision)

    def file(self, tenant: str) -> FileKeyringStore:
        return FileKeyringStore(self.folder / hashlib.sha256(tenant.encode()).hexdigest())

    async def revision(self, tenant: str) -> str | None:
        found = await self.file(tenant).load(tenant)
        return found.revision if found else None


class IsNoStore(SoundStore):
    load = None  # type: ignore[assignment]


class ErasesTheDocument(SoundStore):
    async def erase_versions(self, tenant: str) -> bool:
        self.file(tenant).path.unlink(missing_ok=True)
        return True


class MakesOneUp(SoundStore):
    async def load(self, tenant: str) -> StoredDocument | None:
        return await super().load(tenant) or StoredDocument(b"", "0")


class CreatesOnLoad(SoundStore):
    async def load(self, tenant: str) -> StoredDocument | None:
        found = await super().load(tenant)
        if found is None:
            await self.save(tenant, b"{}", None)
        return found


class Changes(SoundStore):
    """Does not keep the bytes as they are."""

    def changed(self, data: bytes) -> bytes:
        raise NotImplementedError

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await super().save(tenant, self.changed(data), revision)


class KeepsText(Changes):
    def changed(self, data: bytes) -> bytes:
        return data.decode(errors="replace").encode()


class TrimsSpace(Changes):
    def changed(self, data: bytes) -> bytes:
        return data.strip()


class TranslatesLines(Changes):
    def changed(self, data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n")


class LosesTheEnd(Changes):
    def changed(self, data: bytes) -> bytes:
        return data[:65_536]


class StopsAtZero(Changes):
    def changed(self, data: bytes) -> bytes:
        return data.split(b"\x00")[0]


class GivesABytearray(SoundStore):
    async def load(self, tenant: str) -> StoredDocument | None:
        found = await super().load(tenant)
        return found and StoredDocument(bytearray(found.data), found.revision)  # type: ignore[arg-type]


class HasOneRevision(SoundStore):
    async def load(self, tenant: str) -> StoredDocument | None:
        found = await super().load(tenant)
        return found and StoredDocument(found.data, "one")

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        found = await self.revision(tenant)
        await super().save(tenant, data, found if revision == "one" else revision)


class HasARevisionForEachReader(SoundStore):
    async def load(self, tenant: str) -> StoredDocument | None:
        found = await super().load(tenant)
        return found and StoredDocument(found.data, f"{found.revision} {os.urandom(4).hex()}")

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await super().save(tenant, data, revision and revision.partition(" ")[0])


class IgnoresTheRevision(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await super().save(tenant, data, await self.revision(tenant))


class TakesAStar(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        found = await self.revision(tenant)
        await super().save(tenant, data, found if revision == "*" else revision)


class ComparesBeginnings(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        found = await self.revision(tenant)
        same = found and revision and found.startswith(revision)
        await super().save(tenant, data, found if same else revision)


class ReplacesWhenItCreates(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await super().save(tenant, data, revision or await self.revision(tenant))


class CreatesWhenItReplaces(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        found = await self.revision(tenant)
        await super().save(tenant, data, None if found is None else revision)


class MixesUpTenants(SoundStore):
    """Compares with the names as they are, and writes under shortened ones."""

    async def load(self, tenant: str) -> StoredDocument | None:
        return await super().load(tenant[:255])

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        short = tenant[:255]
        new = revision is None and await self.revision(tenant) is None
        await super().save(short, data, await self.revision(short) if new else revision)


class LosesTenants(SoundStore):
    async def load(self, tenant: str) -> StoredDocument | None:
        return await super().load(tenant.lower())


class UsesTheTenantAsAPath(SoundStore):
    def file(self, tenant: str) -> FileKeyringStore:
        return FileKeyringStore(self.folder / f"x{tenant}")


class ShowsItsPassword(SoundStore):
    def __repr__(self) -> str:
        return "SoundStore('postgresql://user:geheim@host')"


class ShowsTheDocument(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        try:
            await super().save(tenant, data, revision)
        except ConfigurationError:
            raise ConfigurationError(f"not written: {data!r}") from None


class ShowsTheCause(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        try:
            await super().save(tenant, data, revision)
        except ConfigurationError as err:
            raise ConfigurationError("not written") from err


class ComparesAndThenWrites(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        same = await self.revision(tenant) == revision
        await asyncio.sleep(0.1)  # in which others compare, too
        if not same:
            raise ConfigurationError("changed by somebody else")
        while True:
            try:
                return await super().save(tenant, data, await self.revision(tenant))
            except ConfigurationError:
                continue


class CreatesWithoutALock(ComparesAndThenWrites):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        save = super().save if revision is None else self.file(tenant).save
        await save(tenant, data, revision)


class TellsNobody(SoundStore):
    """Says nothing to those who come second."""

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        if await self.revision(tenant) != revision:
            raise ConfigurationError("changed by somebody else")
        await asyncio.sleep(0.1)
        with suppress(ConfigurationError):
            await super().save(tenant, data, revision)


class KeepsAStoresLock(SoundStore):
    """Its lock belongs to the first event loop in which two tasks wanted it."""

    def __post_init__(self) -> None:
        self.lock = asyncio.Lock()

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        async with self.lock:
            await asyncio.sleep(0.05)
            await super().save(tenant, data, revision)


class WritesInTwoSteps(SoundStore):
    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await super().save(tenant, data[: len(data) // 2], revision)
        await asyncio.sleep(0.02)
        await super().save(tenant, data, await self.revision(tenant))


class RemovesFirst(SoundStore):
    """Has no document for a moment, in which it can be cancelled."""

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        if await self.revision(tenant) != revision:
            raise ConfigurationError("changed by somebody else")
        self.file(tenant).path.unlink(missing_ok=True)
        await asyncio.sleep(0)
        await super().save(tenant, data, None)


class StoreStaysLocked(SoundStore):
    """Does not release its lock when it is cancelled."""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    async def load(self, tenant: str) -> StoredDocument | None:
        while not self.lock.acquire(blocking=False):  # noqa: ASYNC110 - it is no lock of a loop
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        self.lock.release()
        return await super().load(tenant)


class StoreNeedsItsThread(SoundStore):
    """Works in a thread, which a child process does not have."""

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)

    async def load(self, tenant: str) -> StoredDocument | None:
        load = super().load
        return self.pool.submit(lambda: asyncio.run(load(tenant))).result()


class RemembersForEver(SoundStore):
    """Does not see what another process saved."""

    def __post_init__(self) -> None:
        self.seen: dict[str, StoredDocument | None] = {}

    async def load(self, tenant: str) -> StoredDocument | None:
        if tenant not in self.seen:
            self.seen[tenant] = await super().load(tenant)
        return self.seen[tenant]


BROKEN_STORES: Final[list[tuple[type[SoundStore], set[str]]]] = [
    (IsNoStore, {"test_it_is_a_keyring_store"}),
    (MakesOneUp, {"test_it_holds_nothing_at_first", "test_it_holds_a_keyring"}),
    (CreatesOnLoad, {"test_it_holds_nothing_at_first"}),
    (KeepsText, {"test_it_keeps_every_byte"}),
    (TrimsSpace, {"test_it_keeps_every_byte"}),
    (TranslatesLines, {"test_it_keeps_every_byte"}),
    (LosesTheEnd, {"test_it_keeps_every_byte"}),
    (StopsAtZero, {"test_it_keeps_every_byte"}),
    (GivesABytearray, {"test_it_keeps_every_byte"}),
    (HasOneRevision, {"test_a_revision_stands_for_what_was_saved"}),
    (HasARevisionForEachReader, {"test_a_revision_stands_for_what_was_saved"}),
    (
        IgnoresTheRevision,
        {
            "test_only_the_expected_revision_is_replaced",
            "test_a_document_is_created_once",
            "test_what_is_not_there_is_not_replaced",
        },
    ),
    (TakesAStar, {"test_only_the_expected_revision_is_replaced"}),
    (ComparesBeginnings, {"test_only_the_expected_revision_is_replaced"}),
    (ReplacesWhenItCreates, {"test_a_document_is_created_once"}),
    (CreatesWhenItReplaces, {"test_what_is_not_there_is_not_replaced"}),
    (MixesUpTenants, {"test_tenants_are_apart_or_refused"}),
    (LosesTenants, {"test_tenants_are_apart_or_refused"}),
    (UsesTheTenantAsAPath, {"test_any_tenant_may_be_asked_for"}),
    (ShowsItsPassword, {"test_nothing_shows_secrets"}),
    (ShowsTheDocument, {"test_nothing_shows_secrets"}),
    (ShowsTheCause, {"test_nothing_shows_secrets"}),
    (ComparesAndThenWrites, {"test_of_many_writers_one_wins", "test_of_many_creators_one_wins"}),
    (CreatesWithoutALock, {"test_of_many_creators_one_wins"}),
    (TellsNobody, {"test_of_many_writers_one_wins", "test_of_many_creators_one_wins"}),
    (KeepsAStoresLock, {"test_event_loops_may_share_it"}),
    (WritesInTwoSteps, {"test_readers_see_whole_documents"}),
    (RemovesFirst, {"test_a_cancelled_call_harms_nobody"}),
    (StoreStaysLocked, {"test_a_cancelled_call_harms_nobody"}),
    (ErasesTheDocument, {"test_erasing_versions_keeps_the_present_one"}),
    (StoreNeedsItsThread, {"test_it_works_on_both_sides_of_a_fork"}),
    (RemembersForEver, {"test_it_works_on_both_sides_of_a_fork"}),
]


def names_of(suite: type[Any]) -> set[str]:
    return {name for name in dir(suite) if name.startswith("test_")}


def failed(suite: Callable[[], Any], names: set[str]) -> dict[str, Exception]:
    """The tests that fail, each in an instance of its own, without a test runner."""
    failures: dict[str, Exception] = {}
    for name in sorted(names):
        try:
            getattr(suite(), name)()
        except Exception as err:  # noqa: BLE001 - a broken implementation may raise anything
            failures[name] = err
    return failures


def wrapper_suite(make: type[Sound]) -> Callable[[], KeyWrapperConformance]:
    class Suite(KeyWrapperConformance):
        patience = 1.0

        def wrapper(self) -> KeyWrapper:
            return make()

        def other(self) -> KeyWrapper:
            return make(b"\xa5" * 32)

        def secrets(self) -> list[bytes]:
            return [make().key]

    return Suite


def store_suite(make: type[SoundStore], folder: Path) -> Callable[[], KeyringStoreConformance]:
    class Suite(KeyringStoreConformance):
        patience = 1.0

        def __init__(self) -> None:
            self.place = Path(tempfile.mkdtemp(dir=folder))

        def store(self) -> KeyringStore:
            return make(self.place)

        def secrets(self) -> list[bytes]:
            return [b"geheim"]

    return Suite


@pytest.mark.parametrize(("make", "tests"), BROKEN_WRAPPERS)
def test_the_suite_finds_what_is_broken_in_a_wrapper(make: type[Sound], tests: set[str]) -> None:
    """Each of these breaks the contract in one way, and fails the tests that are about it."""
    assert tests == set(failed(wrapper_suite(make), tests))


@pytest.mark.parametrize(("make", "tests"), BROKEN_STORES)
def test_the_suite_finds_what_is_broken_in_a_store(
    make: type[SoundStore], tests: set[str], tmp_path: Path
) -> None:
    """Each of these breaks the contract in one way, and fails the tests that are about it."""
    assert tests == set(failed(store_suite(make, tmp_path), tests))


def test_the_suites_accept_what_is_sound(tmp_path: Path) -> None:
    """So the failures above are due to what was broken."""
    assert {} == failed(wrapper_suite(Sound), names_of(KeyWrapperConformance))
    assert {} == failed(store_suite(SoundStore, tmp_path), names_of(KeyringStoreConformance))


def test_every_test_of_the_suites_can_fail() -> None:
    """For each there is something broken that it finds."""
    assert names_of(KeyWrapperConformance) == set().union(*(tests for _, tests in BROKEN_WRAPPERS))
    assert names_of(KeyringStoreConformance) == set().union(*(tests for _, tests in BROKEN_STORES))


@pytest.mark.parametrize("suite", [KeyWrapperConformance, KeyringStoreConformance])
def test_a_suite_needs_something_to_test(suite: type[Any]) -> None:
    """Without an override every test fails rather than passing empty."""
    assert names_of(suite) == set(failed(suite, names_of(suite)))

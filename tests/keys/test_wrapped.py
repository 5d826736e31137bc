from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from sealwire.errors import (
    ConfigurationError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
)
from sealwire.keys import (
    FileKeyringStore,
    Key,
    Keyring,
    KeyringAdmin,
    KeySuite,
    KeyWrapper,
    LocalKeyWrapper,
    StoredDocument,
    WrappedKeyProvider,
)
from sealwire.keys.document import FORMAT, Document, DocumentKey, KeyRecord, Wrapping, parse
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]
Json = dict[str, Any]
ROOT = bytes.fromhex("9f8e7d6c5b4a3928" * 4)
SECRET = bytes.fromhex("a1b2" * 16)


@dataclass(frozen=True)
class MemoryStore:
    """A store for documents that no administrator would write."""

    data: bytes | None

    async def load(self, tenant: str) -> StoredDocument | None:
        return None if self.data is None else StoredDocument(self.data, "")

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        raise NotImplementedError


@pytest.fixture
def made(admin: KeyringAdmin) -> KeyringAdmin:
    """An administrator whose document has three keys."""
    asyncio.run(admin.create())
    asyncio.run(admin.rotate())
    asyncio.run(admin.rotate(delay=0.0))
    return admin


@pytest.fixture
def text(made: KeyringAdmin, store: FileKeyringStore) -> bytes:
    """The text of that document."""
    return store.path.read_bytes()


@pytest.fixture
def provider(made: KeyringAdmin) -> WrappedKeyProvider:
    return WrappedKeyProvider(made.store, made.wrapper)


def rejected(data: bytes, wrapper: KeyWrapper, tenant: str = "default") -> str:
    """The message with which a document is refused."""
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(WrappedKeyProvider(MemoryStore(data), wrapper).snapshot(tenant))
    return str(caught.value)


async def test_a_document_gives_its_keys(made: KeyringAdmin, provider: WrappedKeyProvider) -> None:
    """A snapshot has all keys, the version, and the same keys as `get`."""
    snapshot = await provider.snapshot("default")
    assert 3 == snapshot.version
    assert snapshot.complete
    assert [key.id for key in (await made.keys()).keys] == [key.id for key in snapshot.keys]
    for key in snapshot.keys:
        assert key.check_value == (await provider.get(key.id, "default")).check_value
    with pytest.raises(KeyNotFoundError, match="no key 'absent'") as caught:
        await provider.get("absent", "default")
    assert "absent" == caught.value.key_id


async def test_one_unwrap_opens_any_number_of_keys(
    made: KeyringAdmin, wrapper: LocalKeyWrapper
) -> None:
    """The key-encryption key is used once for each load, and the store is read once."""
    calls: list[str] = []

    class Counting:
        async def name(self) -> str:
            return await wrapper.name()

        async def wrap(self, key: bytes, tenant: str) -> bytes:
            raise NotImplementedError

        async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
            calls.append(tenant)
            return await wrapper.unwrap(wrapped, tenant)

    await WrappedKeyProvider(made.store, Counting()).snapshot("default")
    assert ["default"] == calls


async def test_a_missing_document_may_come_later(store: FileKeyringStore, tmp_path: Path) -> None:
    """No document, or no key file, is worth trying again, and the message says what makes one."""
    wrapper = LocalKeyWrapper(tmp_path / "absent.key")
    provider = WrappedKeyProvider(store, wrapper)
    with pytest.raises(KeyProviderUnavailableError, match=r"no keyring .* `sealwire keys init`"):
        await provider.snapshot("default")
    with pytest.raises(
        KeyProviderUnavailableError, match=r"not exist: restore .* `sealwire keys init`"
    ):
        await wrapper.name()
    await provider.aclose()


# Tampering. Whoever can write to the store cannot change what the keys are.


def at(document: Json, path: str) -> tuple[Any, Any]:
    """The container of a field, and its name or index there."""
    *parents, last = path.split(".")
    place: Any = document
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    return place, int(last) if last.isdigit() else last


def other(value: Any) -> Any:
    """Another value of the same type."""
    if value is None:
        return 1e12
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return value[:-5] + ("A" if value[-5] != "A" else "B") + value[-4:]


RECORD: Final = ("id", "suite", "created", "encrypt_from", "disabled", "destroyed_at", "check")
FIELDS: Final = [
    "format",
    "tenant",
    "version",
    "mac",
    "wrapped_by.0.wrapper",
    "wrapped_by.0.key",
    *(f"keys.{index}.{name}" for index in (0, 2) for name in (*RECORD, "material")),
]


@pytest.mark.parametrize("path", FIELDS)
def test_no_field_can_be_changed(path: str, text: bytes, wrapper: LocalKeyWrapper) -> None:
    """Each field, set to another value of its type, makes the document refused."""
    document: Json = json.loads(text)
    place, name = at(document, path)
    place[name] = other(place[name])
    rejected(json.dumps(document).encode(), wrapper)


def test_every_field_is_tried(text: bytes) -> None:
    """The list above has all the fields there are."""
    document: Json = json.loads(text)
    assert {"wrapped_by", "keys"} == set(document) - set(FIELDS)
    assert {*RECORD, "material"} == set(document["keys"][0])
    assert {"wrapper", "key"} == set(document["wrapped_by"][0])


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("how", ["removed", "null", "list", "renamed"])
def test_no_field_can_change_its_type(
    path: str, how: str, text: bytes, wrapper: LocalKeyWrapper
) -> None:
    """A field that is missing, null, of another type or under another name is refused."""
    document: Json = json.loads(text)
    place, name = at(document, path)
    value = place.pop(name)
    if how == "null" and value is not None:
        place[name] = None
    elif how == "list":
        place[name] = [value]
    elif how == "renamed":
        place["x-" + name] = value
    rejected(json.dumps(document).encode(), wrapper)


def swap_materials(document: Json) -> None:
    first, second = document["keys"][:2]
    first["material"], second["material"] = second["material"], first["material"]
    first["check"], second["check"] = second["check"], first["check"]


def erase(document: Json) -> None:
    document["keys"][0].update(material=None, destroyed_at=1.0)


CHANGES: dict[str, Callable[[Json], Any]] = {
    "keys reordered": lambda document: document["keys"].reverse(),
    "newest key removed": lambda document: document["keys"].pop(),
    "oldest key removed": lambda document: document["keys"].pop(0),
    "all keys removed": lambda document: document["keys"].clear(),
    "key repeated": lambda document: document["keys"].append(document["keys"][0]),
    "key added": lambda document: document["keys"].append({**document["keys"][0], "id": "new"}),
    "materials swapped": swap_materials,
    "key erased": erase,
    "wrapping removed": lambda document: document["wrapped_by"].clear(),
    "wrapping repeated": lambda document: document["wrapped_by"].append(document["wrapped_by"][0]),
    "wrapping added": lambda document: document["wrapped_by"].append({"wrapper": "x", "key": ""}),
    "mac shortened": lambda document: document.update(mac=document["mac"][:20]),
    "mac emptied": lambda document: document.update(mac=""),
    "field added": lambda document: document.update(comment="harmless"),
    "field added to a key": lambda document: document["keys"][0].update(comment="harmless"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_structure_can_be_changed(change: str, text: bytes, wrapper: LocalKeyWrapper) -> None:
    """Nothing can be reordered, added, removed or swapped."""
    document: Json = json.loads(text)
    CHANGES[change](document)
    rejected(json.dumps(document).encode(), wrapper)


def test_the_layout_of_the_text_does_not_matter(text: bytes, wrapper: LocalKeyWrapper) -> None:
    """The same values in another order of fields and with other white space are the document."""
    again = json.dumps(json.loads(text), sort_keys=True, indent=7).encode()
    assert again != text
    provider = WrappedKeyProvider(MemoryStore(again), wrapper)
    assert 3 == len(asyncio.run(provider.snapshot("default")).keys)


def test_a_truncated_document_is_refused_at_any_length(
    text: bytes, wrapper: LocalKeyWrapper
) -> None:
    """Only the last line break may be missing."""
    whole = text.rstrip(b"\n")
    for length in range(len(whole)):
        with pytest.raises(ConfigurationError, match="damaged or not one of sealwire's"):
            parse(whole[:length], "default")
    assert 3 == len(parse(whole, "default").keys)


def test_a_flipped_bit_changes_nothing_or_is_refused(text: bytes, wrapper: LocalKeyWrapper) -> None:
    """Whichever byte is damaged, the keys are those of before, or there are none."""

    async def opened(data: bytes) -> list[tuple[Any, ...]]:
        keys = (await WrappedKeyProvider(MemoryStore(data), wrapper).snapshot("default")).keys
        return [(key.id, key.check_value, key.encrypt_from, key.disabled) for key in keys]

    async def flip_all() -> int:
        expected = await opened(text)
        refused = 0
        for position in range(len(text)):
            damaged = bytearray(text)
            damaged[position] ^= 1 << position % 8
            try:
                assert expected == await opened(bytes(damaged))
            except SealwireError:
                refused += 1
        return refused

    assert asyncio.run(flip_all()) > 0.9 * len(text.replace(b" ", b""))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"format": ' * 50_000,
        b'{"format": "\\ud800", "tenant": "default", "version": 1, "wrapped_by": [], "keys": []}',
        b'{"format": "sealwire/keyring-v1", "tenant": "default", "version": 1e400}',
    ],
)
def test_foreign_files_are_refused(data: bytes, wrapper: LocalKeyWrapper) -> None:
    """Whatever lies there instead of a keyring, the message is about the keyring."""
    assert "the keyring" in rejected(data, wrapper)


def test_a_newer_format_is_named(text: bytes, wrapper: LocalKeyWrapper) -> None:
    """A document of a later release is no damaged one."""
    newer = text.replace(b"sealwire/keyring-v1", b"sealwire/keyring-v2")
    assert "'sealwire/keyring-v2', this release reads 'sealwire/keyring-v1'" in rejected(
        newer, wrapper
    )


def test_a_document_of_another_tenant_is_refused(text: bytes, wrapper: LocalKeyWrapper) -> None:
    """Neither as it is nor relabelled does it serve another tenant."""
    assert "belongs to the tenant 'default', not to 'shop'" in rejected(text, wrapper, "shop")
    relabelled = text.replace(b'"tenant": "default"', b'"tenant": "shop"')
    assert relabelled != text
    assert "belongs to another one, or to another tenant" in rejected(relabelled, wrapper, "shop")


def test_the_key_file_of_another_keyring_opens_nothing(text: bytes, tmp_path: Path) -> None:
    """The message names both and the file to restore; a forged name does not help."""
    stranger = LocalKeyWrapper(tmp_path / "other.key")
    stranger.create()
    name = asyncio.run(stranger.name())
    document: Json = json.loads(text)
    real = document["wrapped_by"][0]["wrapper"]
    told = rejected(text, stranger)
    assert f"is wrapped by {real}, not by {name}; {stranger.path} belongs to another" in told
    assert "restore the right one from your backup" in told
    document["wrapped_by"][0]["wrapper"] = name
    forged = json.dumps(document).encode()
    assert "does not open this keyring" in rejected(forged, stranger)
    document["wrapped_by"] = []
    assert f"wrapped by nothing, not by {name}" in rejected(json.dumps(document).encode(), stranger)


async def test_a_running_keyring_refuses_a_rollback(
    made: KeyringAdmin, store: FileKeyringStore, provider: WrappedKeyProvider, clock: FakeClock
) -> None:
    """An old copy that is restored, genuine as it is, does not replace the newer keys."""
    old = store.path.read_bytes()
    newest = (await made.rotate(delay=0.0)).key
    keyring = Keyring(provider, clock=clock)
    await keyring.ready()
    store.path.write_bytes(old)
    with pytest.raises(ConfigurationError, match="went back from version 4 to 3"):
        await keyring.refresh()
    assert newest.id == keyring.encryption_key().id


async def test_a_running_keyring_outlives_a_damaged_document(
    made: KeyringAdmin, store: FileKeyringStore, provider: WrappedKeyProvider, clock: FakeClock
) -> None:
    """While the file is damaged, opened to others or gone, the loaded keys go on."""
    keyring = Keyring(provider, clock=clock)
    await keyring.ready()
    key_id = keyring.encryption_key().id
    text = store.path.read_bytes()
    store.path.write_bytes(text[:100])
    with pytest.raises(ConfigurationError, match="damaged"):
        await keyring.refresh()
    store.path.write_bytes(text)
    store.path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await keyring.refresh()
    store.path.unlink()
    with pytest.raises(KeyProviderUnavailableError, match="no keyring"):
        await keyring.refresh()
    assert key_id == keyring.encryption_key().id


# Documents with a genuine MAC that are wrong nevertheless, as only a bug could make them.


def signed(*records: KeyRecord, version: int = 1) -> Document:
    document = Document(FORMAT, "default", version, (Wrapping("w", b""),), records)
    return parse(DocumentKey(SECRET).sign(document), "default")


@pytest.fixture
def record() -> KeyRecord:
    return DocumentKey(SECRET).wrap(Key("k", ROOT), ROOT, "default")


def test_a_document_key_opens_what_it_wrapped(record: KeyRecord) -> None:
    """The key comes back with its bytes and all its attributes."""
    keys = DocumentKey(SECRET).open(signed(record)).keys
    assert [Key("k", ROOT).content_key] == [key.content_key for key in keys]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "other"},
        {"suite": KeySuite.INTEROP},
        {"material": b""},
        {"material": b"\x00" * 11},
        {"material": b"\x00" * 27},
        {"material": b"\x00" * 60},
    ],
)
def test_material_is_bound_to_its_key(record: KeyRecord, changes: dict[str, Any]) -> None:
    """Wrapped material opens for its own id, suite and tenant only, and only whole."""
    changed = msgspec.structs.replace(record, **changes)
    with pytest.raises(ConfigurationError, match="does not open") as caught:
        DocumentKey(SECRET).open(signed(changed))
    assert "version 1, is not used" in str(caught.value)
    elsewhere = DocumentKey(SECRET).wrap(Key("k", ROOT), ROOT, "shop")
    with pytest.raises(ConfigurationError, match="'k' does not open"):
        DocumentKey(SECRET).open(signed(elsewhere))


def test_a_wrong_check_value_is_seen_and_shows_nothing(record: KeyRecord, leaks: Leaks) -> None:
    """The unwrapped bytes are in no frame of the error."""
    changed = msgspec.structs.replace(record, check="00" * 8)
    with pytest.raises(ConfigurationError, match="'k' has a wrong check value") as caught:
        DocumentKey(SECRET).open(signed(changed))
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), ROOT, SECRET)


def test_a_destroyed_key_has_no_material(record: KeyRecord) -> None:
    """A tombstone is read; a key that lost its material otherwise is refused."""
    tombstone = msgspec.structs.replace(record, material=None, destroyed_at=5.0)
    (key,) = DocumentKey(SECRET).open(signed(tombstone)).keys
    assert (5.0, b"") == (key.destroyed_at, key.content_key)
    lost = msgspec.structs.replace(record, material=None)
    with pytest.raises(ConfigurationError, match="'k' has no material"):
        DocumentKey(SECRET).open(signed(lost))


def test_times_may_be_whole_numbers() -> None:
    """A clock that counts in ints makes the same document as one that counts in floats."""
    key = Key("k", ROOT, created=1, encrypt_from=2, destroyed_at=3)
    record = DocumentKey(SECRET).wrap(key, ROOT, "default")
    (opened,) = DocumentKey(SECRET).open(signed(record)).keys
    assert (1.0, 2.0, 3.0) == (opened.created, opened.encrypt_from, opened.destroyed_at)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_document_key_has_32_bytes(size: int) -> None:
    """A wrapper that gives back anything else is not trusted."""
    with pytest.raises(ConfigurationError, match="does not have 32 bytes"):
        DocumentKey(b"x" * size)


# Secrets


def test_files_and_errors_hold_no_key_bytes(
    roots: list[bytes],
    made: KeyringAdmin,
    text: bytes,
    wrapper: LocalKeyWrapper,
    store: FileKeyringStore,
    leaks: Leaks,
) -> None:
    """Neither the document nor its backup nor any refusal shows a root or the document key."""
    kek, *inner = roots
    assert 4 == len(inner), "a document key and three roots"
    backup = store.path.with_name("keyring.json.bak").read_bytes()
    key_file = wrapper.path.read_bytes()
    assert leaks(key_file.decode(), kek), "the search does not see what is there"
    assert not leaks(key_file.decode(), *inner)
    assert not leaks((text + backup).decode(), kek, *inner)
    document: Json = json.loads(text)
    for path in FIELDS:
        place, name = at(document, path)
        before, place[name] = place[name], other(place[name])
        with pytest.raises(ConfigurationError) as caught:
            asyncio.run(
                WrappedKeyProvider(MemoryStore(json.dumps(document).encode()), wrapper).snapshot(
                    "default"
                )
            )
        place[name] = before
        assert not leaks(caught.value.with_traceback(None), kek, *inner)


# The local key file


async def test_a_key_file_wraps_for_one_tenant(wrapper: LocalKeyWrapper, tmp_path: Path) -> None:
    """What it wraps it opens, for the same tenant, and no other key file does."""
    assert isinstance(wrapper, KeyWrapper)
    wrapped = await wrapper.wrap(SECRET, "t")
    assert SECRET == await wrapper.unwrap(wrapped, "t")
    assert wrapped != await wrapper.wrap(SECRET, "t")
    stranger = LocalKeyWrapper(tmp_path / "other.key")
    stranger.create()
    for opener, tenant, data in (
        (wrapper, "u", wrapped),
        (stranger, "t", wrapped),
        (wrapper, "t", wrapped[:-1]),
        (wrapper, "t", wrapped[:11]),
        (wrapper, "t", b""),
        (wrapper, "t", bytes([wrapped[0] ^ 1]) + wrapped[1:]),
    ):
        with pytest.raises(ConfigurationError, match="does not open this keyring"):
            await opener.unwrap(data, tenant)
    assert await wrapper.name() == await LocalKeyWrapper(wrapper.path).name()
    assert await wrapper.name() != await stranger.name()


def test_a_key_file_is_never_overwritten(wrapper: LocalKeyWrapper) -> None:
    """Losing it would lose all keys."""
    before = wrapper.path.read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        wrapper.create()
    assert before == wrapper.path.read_bytes()
    assert 0o600 == wrapper.path.stat().st_mode & 0o777


GOOD: Final = base64.b64encode(ROOT)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\n",
        GOOD,
        b"sealwire-key-file-v1",
        b"sealwire-key-file-v1 ",
        b"sealwire-key-file-v1 " + GOOD[:-4],
        b"sealwire-key-file-v1 " + GOOD[:-1],
        b"sealwire-key-file-v1 " + GOOD + b"=",
        b"sealwire-key-file-v1 " + GOOD + b" " + GOOD,
        b"sealwire-key-file-v1 " + GOOD[:20] + b"\n" + GOOD[20:],
        b"sealwire-key-file-v1 " + base64.b64encode(ROOT + b"\x00"),
        b"sealwire-key-file-v1 " + ROOT.hex().encode(),
        b"sealwire-key-file-v1 " + ROOT,
        b"sealwire-key-file-v2 " + GOOD,
        b"AGE-SECRET-KEY-" + GOOD,
    ],
)
async def test_a_malformed_key_file_is_refused(
    contents: bytes, tmp_path: Path, leaks: Leaks
) -> None:
    """It is named, and nothing of its contents shows in the error or its frames."""
    wrapper = LocalKeyWrapper(tmp_path / "bad.key")
    wrapper.path.write_bytes(contents)
    wrapper.path.chmod(0o600)
    with pytest.raises(
        ConfigurationError, match=r"bad\.key is not a key file of sealwire: restore it from your"
    ) as caught:
        await wrapper.name()
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), ROOT)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o622])
async def test_a_key_file_that_others_can_touch_is_refused(
    mode: int, wrapper: LocalKeyWrapper
) -> None:
    """Whether they can read or change it."""
    wrapper.path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}"):
        await wrapper.unwrap(b"", "t")


async def test_the_spaces_around_a_key_do_not_matter(wrapper: LocalKeyWrapper) -> None:
    """An editor or a secret store may add or drop the last line break."""
    name = await wrapper.name()
    wrapper.path.write_bytes(b"\n " + wrapper.path.read_bytes().strip() + b"\r\n")
    assert name == await wrapper.name()


@pytest.mark.parametrize("linked", [False, True])
async def test_a_damaged_file_is_named_and_a_backup_only_where_there_is_one(
    linked: bool, admin: KeyringAdmin, store: FileKeyringStore
) -> None:
    """Before the first change there is none; it is beside the file, and not beside a link to it."""
    await admin.create()
    real = store.path
    if linked:
        real = store.path.parent / "elsewhere" / "ring.json"
        real.parent.mkdir()
        store.path.rename(real)
        store.path.symlink_to(real)
    begin = f"the keyring {store.path} is damaged or not one of sealwire's: "

    async def told() -> str:
        whole = real.read_bytes()
        real.write_bytes(whole[:-5])
        messages: set[str] = set()
        for load in (admin.keys(), WrappedKeyProvider(store, admin.wrapper).snapshot("default")):
            with pytest.raises(ConfigurationError) as caught:
                await load
            messages.add(str(caught.value))
        real.write_bytes(whole)
        return messages.pop()

    assert f"{begin}restore it from your backup" == await told()
    await admin.rotate()
    older = f"{real}.bak is the version before the last change"
    assert f"{begin}restore it from your backup; {older}" == await told()


async def test_a_store_without_files_promises_no_backup(wrapper: LocalKeyWrapper) -> None:
    """Nobody knows what it keeps."""
    with pytest.raises(ConfigurationError, match="the keyring is damaged") as caught:
        await WrappedKeyProvider(MemoryStore(b"{"), wrapper).snapshot("default")
    assert str(caught.value).endswith("sealwire's: restore it from your backup")

"""No way of looking at an object, and no failure of it, shows a key, a passphrase or a token."""

from __future__ import annotations

import asyncio
import base64
import copy
import dataclasses
import inspect
import io
import json
import logging
import os
import pickle
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import msgspec
import pytest
from rich.console import Console
from rich.pretty import Pretty

import sealwire.keys
from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
from sealwire.config import Config, KeyringOptions, load_config
from sealwire.converter import CompositePayloadConverter
from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError
from sealwire.keys import (
    AuditEvent,
    AuditOutcome,
    BlindIndex,
    CompositeKeyProvider,
    DataKeys,
    EnvironmentKeyProvider,
    FileAuditSink,
    FileKeyringStore,
    FolderKeyringStore,
    ImportedBundle,
    Key,
    KeyLifecycle,
    Keyring,
    KeyringAdmin,
    KeyringShredder,
    KeyringWrapper,
    KeySet,
    KeySuite,
    LocalKeyWrapper,
    LoggingAuditSink,
    RotationResult,
    Shredded,
    StaticKeyProvider,
    StoredDocument,
    TenantKeyrings,
    WrappedKeyProvider,
    export_bundle,
    import_bundle,
)
from sealwire.keys.aws import AwsKmsWrapper
from sealwire.keys.azure import AzureKeyVaultWrapper
from sealwire.keys.data_key import DataKey
from sealwire.keys.database import Database
from sealwire.keys.document import DocumentKey
from sealwire.keys.gcp import GcpKmsWrapper
from sealwire.keys.objects import ObjectKeyringStore
from sealwire.keys.os_keyring import OsKeyringWrapper
from sealwire.keys.passphrase import PassphraseWrapper
from sealwire.keys.pkcs11 import Pkcs11Wrapper
from sealwire.keys.secret import Secret
from sealwire.keys.service import Question
from sealwire.keys.sql import SqlKeyringStore
from sealwire.keys.vault import VaultKeyringStore, VaultTransitWrapper
from sealwire.payload import Payload
from sealwire.server import BearerToken
from sealwire.testing.devserver import free_port

Leaks = Callable[..., list[str]]
Roots = list[bytes]

KEY: Final = bytes.fromhex("b7a695847362f1e0" * 4)  # whatever is wrapped by hand
THEIRS: Final = b"test-key-test-key-test-key-test!"  # as the samples of other SDKs have them
PASSPHRASE: Final = "trombone quarry lattice plume ember oxide"
TOKEN: Final = "hvs.CAESIJ4711tokenOfVault0815"
PIN: Final = "pin-9481726350"
PASSWORD: Final = "Falsch4712Password"
ENVIRONMENT: Final = bytes.fromhex("5a4b3c2d1e0f9988" * 4)
ARN: Final = "arn:aws:kms:eu-central-1:111122223333:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
GCP: Final = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


@dataclass
class World:
    """A keyring with everything that holds its keys, and all of their secrets."""

    folder: Path
    admin: KeyringAdmin
    keyring: Keyring
    closed: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")
    secrets: set[bytes] = field(default_factory=set[bytes])

    @property
    def store(self) -> FileKeyringStore:
        return FileKeyringStore(self.folder / "keyring.json")

    @property
    def wrapper(self) -> LocalKeyWrapper:
        return LocalKeyWrapper(self.folder / "keyring.key")

    @property
    def provider(self) -> WrappedKeyProvider:
        return WrappedKeyProvider(self.store, self.wrapper)

    @property
    def key(self) -> Key:
        return self.keyring.encryption_key()


@pytest.fixture
async def world(tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch) -> World:
    wrapper = LocalKeyWrapper(tmp_path / "keyring.key")
    wrapper.create()
    admin = KeyringAdmin(FileKeyringStore(tmp_path / "keyring.json"), wrapper)
    await admin.create()
    await admin.rotate(suite=KeySuite.INDEX)
    await admin.import_interop("theirs", THEIRS)
    monkeypatch.setenv("SEALWIRE_KEYS", f"env {base64.b64encode(ENVIRONMENT).decode()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keyring = Keyring(WrappedKeyProvider(admin.store, wrapper))
    await keyring.ready()
    world = World(tmp_path, admin, keyring)
    texts = (PASSPHRASE, TOKEN, PIN, PASSWORD)
    derived = {
        value
        for key in (await keyring.keys()).keys
        for value in (key.content_key, key.index_key)
        if value
    }
    world.secrets = {*roots, *derived, KEY, THEIRS, ENVIRONMENT, *(text.encode() for text in texts)}
    return world


# Looking at objects


def postgresql(world: World) -> str:
    return f"postgresql://sealwire:{PASSWORD}@{world.closed.removeprefix('http://')}/keys"


def set_of(world: World) -> KeySet:
    return KeySet((world.key,))


OBJECTS: Final[dict[str, Callable[[World], Any]]] = {
    "key": lambda w: w.key,
    "interop key": lambda w: w.keyring.encryption_key(KeySuite.INTEROP),
    "index key": lambda w: w.keyring.encryption_key(KeySuite.INDEX),
    "key set": set_of,
    "static provider": lambda w: StaticKeyProvider(w.key),
    "environment": lambda w: EnvironmentKeyProvider(),
    "composite": lambda w: CompositeKeyProvider(StaticKeyProvider(w.key), EnvironmentKeyProvider()),
    "wrapped provider": lambda w: w.provider,
    "keyring": lambda w: w.keyring,
    "admin": lambda w: w.admin,
    "lifecycle": lambda w: KeyLifecycle(w.admin),
    "shredder": lambda w: KeyringShredder(w.admin),
    "shredded": lambda w: Shredded(set_of(w), versions_erased=True),
    "rotation": lambda w: RotationResult(w.key, rotated=True),
    "imported": lambda w: ImportedBundle((w.key,), ()),
    "stored document": lambda w: asyncio.run(w.store.load("default")),
    "file store": lambda w: w.store,
    "folder store": lambda w: FolderKeyringStore(w.folder),
    "local wrapper": lambda w: w.wrapper,
    "tenants": lambda w: tenants(w),
    "keyring wrapper": lambda w: KeyringWrapper(w.keyring),
    "data keys": lambda w: data_keys(w),
    "blind index": lambda w: BlindIndex(w.keyring),
    "event": lambda w: AuditEvent(0.0, "a", "b", "c", (), 1, 1, AuditOutcome.DONE),
    "log": lambda w: LoggingAuditSink(),
    "audit file": lambda w: FileAuditSink(w.folder / "audit.jsonl"),
    "passphrase": lambda w: PassphraseWrapper(Secret(PASSPHRASE)),
    "vault transit": lambda w: VaultTransitWrapper(w.closed, "orders", token=TOKEN),
    "vault store": lambda w: VaultKeyringStore(w.closed, "orders", token=TOKEN),
    "token": lambda w: Pkcs11Wrapper(w.folder / "none.so", "sealwire", "orders", pin=PIN),
    "aws": lambda w: AwsKmsWrapper(ARN, endpoint_url=w.closed),
    "gcp": lambda w: GcpKmsWrapper(GCP, endpoint=w.closed),
    "azure": lambda w: AzureKeyVaultWrapper("https://x.vault.azure.net/keys/k"),
    "system": lambda w: OsKeyringWrapper(),
    "sql": lambda w: SqlKeyringStore(postgresql(w)),
    "database": lambda w: Database(Secret(postgresql(w)), 1.0),
    "objects": lambda w: ObjectKeyringStore("s3://bucket/prefix"),
    "codec": lambda w: EncryptionCodec(w.keyring, "orders"),
    "chain": lambda w: CodecChain(CompressionCodec(), EncryptionCodec(w.keyring, "orders")),
    "options": lambda w: options(w),
    "configuration": lambda w: Config(options(w)),
    "document key": lambda w: DocumentKey(KEY),
    "data key": lambda w: DataKey(KEY),
    "question": lambda w: Question(len_of, explained, KEY, "shop"),
    "secret": lambda w: [Secret(KEY), Secret(TOKEN)],
    "bearer token": lambda w: BearerToken(TOKEN),
    "opened": lambda w: asyncio.run(w.admin.editor.load()),
}


def len_of(key: bytes, tenant: str) -> bytes:
    return bytes(len(key))


def explained(_: Exception) -> SealwireError:
    return ConfigurationError("it fails")


def tenants(world: World) -> TenantKeyrings:
    made = TenantKeyrings(world.provider)
    made.ready_sync("default")
    return made


def data_keys(world: World) -> DataKeys:
    made = DataKeys(world.wrapper)
    made.ready_sync()
    return made


def options(world: World) -> KeyringOptions:
    wrappers = (VaultTransitWrapper(world.closed, "orders", token=TOKEN), world.wrapper)
    return KeyringOptions(store=SqlKeyringStore(postgresql(world)), wrapper=wrappers)


def pretty(shown: Any) -> str:
    console = Console(file=io.StringIO(), width=250, record=True)
    console.print(Pretty(shown, max_length=1000, max_string=10_000))
    return console.export_text()


def logged(shown: Any) -> str:
    stream = io.StringIO()
    logger = logging.Logger("secrets")
    logger.addHandler(logging.StreamHandler(stream))
    logger.error("it is %s %r", shown, shown, extra={"shown": shown})
    return stream.getvalue()


Look = Callable[[Any], Any]


def thrown(shown: Any) -> BaseException:
    """An error with the object in its arguments, its chain and the variables of its frames."""

    def inner(held: Any) -> None:
        held_again = {"held": held}
        raise LookupError(held, held_again)

    def outer() -> None:
        try:
            inner(shown)
        except LookupError as err:
            raise RuntimeError(f"with {shown}") from err

    with pytest.raises(RuntimeError) as caught:
        outer()
    return caught.value


def as_data(shown: Any) -> str:
    if not dataclasses.is_dataclass(shown) or isinstance(shown, type):
        return "no dataclass"
    return repr([dataclasses.asdict(shown), dataclasses.astuple(shown)])


def pickled(shown: Any) -> bytes:
    return b"".join(pickle.dumps(shown, number) for number in range(pickle.HIGHEST_PROTOCOL + 1))


def attributes(shown: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", vars(shown))


def inside(shown: Any) -> str:
    return repr(
        [attributes(part) for part in attributes(shown).values() if hasattr(part, "__dict__")]
    )


WAYS: Final[dict[str, Look]] = {
    "repr": repr,
    "str": str,
    "format": lambda shown: f"{shown} {shown!s} {shown!r} {shown!a} {[shown]}",
    "vars": lambda shown: repr(attributes(shown)),
    "vars of the inside": inside,
    "copy": lambda shown: repr([copy.copy(shown), attributes(copy.copy(shown))]),
    "deepcopy": lambda shown: repr([copy.deepcopy(shown), attributes(copy.deepcopy(shown))]),
    "asdict": as_data,
    "pickle": pickled,
    "logging": logged,
    "rich": pretty,
    "traceback": thrown,
}


@pytest.mark.parametrize("name", OBJECTS)
def test_nothing_that_is_done_to_an_object_shows_a_secret(
    name: str, world: World, leaks: Leaks
) -> None:
    """Neither what it gives, nor the error with which it refuses."""
    shown = OBJECTS[name](world)
    for way, look in WAYS.items():
        try:
            seen = look(shown)
        except (TypeError, AttributeError, ValueError, pickle.PicklingError) as err:
            seen = err.with_traceback(None)
        if isinstance(seen, bytes):
            assert not [secret for secret in world.secrets if secret in seen], way
            seen = seen.decode("latin-1")
        assert not leaks(seen, *world.secrets), way


def test_every_public_class_is_looked_at(world: World) -> None:
    """A class that is new in `sealwire.keys` is new here, too."""
    seen: set[type[Any]] = {type(make(world)) for make in OBJECTS.values()}
    public = {
        item
        for name in sealwire.keys.__all__
        if inspect.isclass(item := getattr(sealwire.keys, name))
        and not issubclass(item, Enum)
        and not getattr(item, "_is_protocol", False)
    }
    assert set() == public - seen


@pytest.mark.parametrize("way", ["repr", "vars", "asdict", "pickle", "rich", "traceback"])
def test_the_ways_of_looking_find_what_is_not_hidden(way: str, world: World, leaks: Leaks) -> None:
    """With a careless class, each of them shows its key."""
    seen = WAYS[way](Careless(KEY))
    assert KEY in seen if isinstance(seen, bytes) else leaks(seen, KEY)


@dataclass
class Careless:
    """A class that hides nothing."""

    key: bytes


# Provoking failures


@pytest.mark.parametrize("written", ["94817263", "9481.7263", "[94817263]", "1948-01-07"])
def test_a_wrong_type_in_the_configuration_shows_no_secret(written: str, tmp_path: Path) -> None:
    """A PIN without quotes is named by its place, and is not repeated."""
    file = tmp_path / "sealwire.toml"
    table = f'library = "x.so"\ntoken_label = "t"\nkey_label = "k"\npin = {written}\n'
    file.write_text(f'[[keyring.wrapper]]\ntype = "pkcs11"\n{table}')
    with pytest.raises(
        ConfigurationError, match=r"keyring.wrapper\[0\].pin: expected a text"
    ) as told:
        load_config(file)
    assert written.strip("[]") not in str(told.value)


class Failing:
    """A provider, wrapper and store of somebody else, whose errors and variables tell all."""

    async def name(self) -> str:
        return "failing"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        raise OSError(f"cannot wrap {key!r} with {PASSWORD}")

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        key = KEY
        raise OSError(f"cannot unwrap {key!r} with {PASSWORD}")

    async def snapshot(self, tenant: str) -> KeySet:
        key = KEY
        raise OSError(f"cannot read {key!r} with {PASSWORD}")

    async def get(self, key_id: str, tenant: str) -> Key:
        raise NotImplementedError

    async def aclose(self) -> None: ...

    async def load(self, tenant: str) -> StoredDocument | None:
        return None

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        raise KeyProviderUnavailableError("the store is down")


Action = Callable[[World], Awaitable[object]]


async def spoilt(world: World, **fields: Any) -> object:
    """Read the document with other values in its first key."""
    document = json.loads(world.store.path.read_bytes())
    document["keys"][0] |= fields
    world.store.path.write_text(json.dumps(document))
    return await world.provider.snapshot("default")


async def forged(world: World, **fields: Any) -> object:
    """The same, signed, as only somebody who can open the document could."""
    opened = await world.admin.editor.load()
    first, *others = opened.document.keys
    changed = msgspec.structs.replace(first, **fields)
    document = msgspec.structs.replace(opened.document, keys=(changed, *others))
    world.store.path.write_bytes(opened.document_key.sign(document))
    return await world.provider.snapshot("default")


async def rotated_after_damage(world: World) -> object:
    world.store.path.write_bytes(world.store.path.read_bytes().replace(b"created", b"erased"))
    return await world.admin.rotate()


def elsewhere(world: World) -> LocalKeyWrapper:
    """A wrapper whose key file is not there."""
    return LocalKeyWrapper(world.folder / "absent.key")


def other(world: World) -> LocalKeyWrapper:
    """A wrapper that opens nothing here."""
    made = LocalKeyWrapper(world.folder / "other.key")
    made.create()
    return made


async def decoded(world: World, change: Callable[[Payload], object]) -> object:
    """Decode what was encrypted and then changed."""
    codec = EncryptionCodec(world.keyring, "orders")
    (payload,) = await codec.encode(CompositePayloadConverter().to_payloads([1]))
    change(payload)
    return await codec.decode([payload])


def flip(payload: Payload) -> None:
    payload.data = payload.data[:-1] + bytes((payload.data[-1] ^ 1,))


def rename(payload: Payload) -> None:
    payload.metadata["encryption-key-id"] = b"nobody"


async def passphrase_unwrap(world: World) -> object:
    wrapped = await PassphraseWrapper(Secret(PASSPHRASE)).wrap(KEY, "shop")
    return await PassphraseWrapper(Secret(PASSPHRASE[::-1])).unwrap(wrapped, "shop")


async def imported_bundle(world: World) -> object:
    data = await export_bundle(world.admin, other(world))
    return await import_bundle(world.admin, data, world.wrapper)


async def environment(value: str) -> KeySet:
    os.environ["SEALWIRE_KEYS"] = value.format(base64.b64encode(ENVIRONMENT).decode())
    return await EnvironmentKeyProvider().snapshot("shop")


def replaced(world: World, **parts: Any) -> KeyringAdmin:
    return dataclasses.replace(world.admin, **parts)


FAILURES: Final[dict[str, Action]] = {
    # wrong keys
    "key of 31 bytes": lambda w: at_once(lambda: Key("k", KEY[1:])),
    "key file of another keyring": lambda w: WrappedKeyProvider(w.store, other(w)).snapshot(
        "default"
    ),
    "administrator without the key file": lambda w: replaced(w, wrapper=elsewhere(w)).rotate(),
    "local wrap without a key file": lambda w: elsewhere(w).wrap(KEY, "shop"),
    "local unwrap of something else": lambda w: w.wrapper.unwrap(bytes(60), "shop"),
    "document key of 31 bytes": lambda w: at_once(lambda: DocumentKey(KEY[1:])),
    "short passphrase": lambda w: PassphraseWrapper(Secret(PASSPHRASE[:9])).wrap(KEY, "shop"),
    "passphrase file that is not there": lambda w: PassphraseWrapper(w.folder / "none").wrap(
        KEY, ""
    ),
    "another passphrase": passphrase_unwrap,
    # broken documents
    "changed material": lambda w: spoilt(w, material=base64.b64encode(bytes(60)).decode()),
    "changed check value": lambda w: spoilt(w, check=""),
    "forged material": lambda w: forged(w, material=bytes(60)),
    "forged check value": lambda w: forged(w, check="00" * 8),
    "forged time": lambda w: forged(w, created=1e300),
    "forged id": lambda w: forged(w, id="../k"),
    "rotation of a broken document": rotated_after_damage,
    "bundle for somebody else": imported_bundle,
    # importing
    "import of 33 bytes": lambda w: w.admin.import_interop("new", THEIRS + b"!"),
    "import under a taken id": lambda w: w.admin.import_interop("theirs", THEIRS),
    "import without a keyring": lambda w: replaced(w, tenant="shop").import_interop("new", THEIRS),
    "import into a store that fails": lambda w: replaced(w, store=Failing()).import_interop(
        "n", THEIRS
    ),
    # somebody else's parts
    "provider that fails": lambda w: Keyring(Failing()).ready(),
    "tenants of a provider that fails": lambda w: TenantKeyrings(Failing()).ready("shop"),
    "wrapper that fails to wrap": lambda w: replaced(w, wrapper=Failing(), tenant="new").create(),
    "wrapper that fails in a list": lambda w: w.admin.rewrap([w.wrapper, Failing()]),
    "wrapper that fails to export": lambda w: export_bundle(w.admin, Failing()),
    "data keys of a wrapper that fails": lambda w: DataKeys(Failing()).ready(),
    "store that fails": lambda w: replaced(w, store=Failing()).create(),
    "lifecycle": lambda w: KeyLifecycle(w.admin).disable(w.key.id),
    "shredding": lambda w: KeyringShredder(w.admin).shred(),
    "keyring wrapper without keys": lambda w: KeyringWrapper(Keyring(Failing())).wrap(KEY, "shop"),
    "keyring wrapper of something else": lambda w: KeyringWrapper(w.keyring).unwrap(
        bytes(99), "shop"
    ),
    "index of no attribute": lambda w: at_once(lambda: BlindIndex(w.keyring).token("a b", "x")),
    # the environment
    "environment: no base64": lambda w: environment("env {}!"),
    "environment: one word": lambda w: environment("{}"),
    "environment: one id twice": lambda w: environment("env {0}, env {0}"),
    "environment: wrong word": lambda w: environment("env {} interop2"),
    "environment: wrong id": lambda w: environment("!env {}"),
    # payloads
    "changed payload": lambda w: decoded(w, flip),
    "unknown key": lambda w: decoded(w, rename),
    "payload of another namespace": lambda w: foreign(w),
    # services that do not answer
    "vault transit": lambda w: vault(VaultTransitWrapper, w).wrap(KEY, "shop"),
    "vault store": lambda w: vault(VaultKeyringStore, w).load("shop"),
    "aws": lambda w: AwsKmsWrapper(ARN, endpoint_url=w.closed, retries=0).wrap(KEY, "shop"),
    "gcp": lambda w: GcpKmsWrapper(GCP, endpoint=w.closed, retries=0, timeout=1.0).wrap(
        KEY, "shop"
    ),
    "postgresql": lambda w: SqlKeyringStore(postgresql(w)).save("shop", b"", "0" * 64),
    "pkcs11": lambda w: Pkcs11Wrapper(w.folder / "none.so", "t", "k", pin=PIN).wrap(KEY, "shop"),
}


async def at_once(call: Callable[[], object]) -> object:
    return call()


async def foreign(world: World) -> object:
    there = EncryptionCodec(world.keyring, "billing")
    payloads = await there.encode(CompositePayloadConverter().to_payloads([1]))
    return await EncryptionCodec(world.keyring, "orders").decode(payloads)


def vault(cls: Any, world: World) -> Any:
    return cls(world.closed, "orders", token=TOKEN, retries=0, timeout=1.0)


def without_the_test(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this test at the beginning: a caller's variables are its own."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback


@pytest.mark.parametrize("name", FAILURES)
async def test_no_failure_shows_a_secret(
    name: str,
    world: World,
    roots: Roots,
    leaks: Leaks,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its text, its chain, the variables of all frames, and everything that was logged."""
    monkeypatch.setenv("SEALWIRE_KEYS", "")
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    with pytest.raises(SealwireError) as caught:
        await FAILURES[name](world)
    error = caught.value.with_traceback(without_the_test(caught.tb))
    hidden = world.secrets.union(roots)
    assert not leaks(error, *hidden)
    assert not leaks(caplog.text, *hidden)

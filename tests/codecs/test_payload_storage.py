"""Large payloads in a folder and in moto's S3: what is stored, shared, refused and found again."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from temporalio.contrib.aws.s3driver import S3StorageDriver, S3StorageDriverClient
from temporalio.converter import (
    StorageDriverActivityInfo,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)

from sealwire.codecs import EncryptionCodec
from sealwire.codecs.forms import is_encrypted
from sealwire.codecs.object_bucket import BucketObjectStore
from sealwire.codecs.object_folder import FolderObjectStore
from sealwire.codecs.object_names import Owner, digest_of
from sealwire.codecs.object_store import ObjectStore, StoredObject
from sealwire.codecs.payload_cache import FolderCache, MemoryCache, PayloadCache
from sealwire.codecs.payload_storage import REUSE, PayloadStorage
from sealwire.errors import (
    ConfigurationError,
    DecryptError,
    PayloadTooLargeError,
    StorageUnavailableError,
    StoredPayloadError,
    UnencryptedPayloadError,
)
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import CONTENT_ID, Payload
from sealwire.temporal.storage import SealwireStorageDriver
from sealwire.testing import FakeClock, free_port
from sealwire.testing.sharing import in_a_fork

SECRET: Final = "geheim4711"
ROOT: Final = bytes(range(100, 132))
OWNER: Final = Owner("default", "workflow", "Import", "import-1", "4cf1")
LARGE: Final = 1000  # bytes; what counts as large here


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker would get from its platform."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def codec(content_ids: int | None = None, **options: Any) -> EncryptionCodec:
    keyring = Keyring(StaticKeyProvider(Key("2026-01-k1", ROOT)))
    return EncryptionCodec(keyring, "default", content_ids=content_ids, **options)


def sealed(content: bytes = b"x" * LARGE, content_ids: int | None = None) -> Payload:
    inner = Payload(metadata={"encoding": b"binary/plain"}, data=content)
    [outer] = codec(content_ids).encode_sync([inner])
    return outer


def s3(moto: str) -> Any:
    boto3: Any = import_module("boto3")  # which has no types
    return boto3.client(
        "s3",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


@pytest.fixture
def bucket(moto: str) -> str:
    """The name of a new bucket."""
    name = f"payloads-{os.urandom(6).hex()}"
    s3(moto).create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store of each kind."""
    if request.param == "folder":
        return FolderObjectStore(tmp_path / "payloads")
    bucket = request.getfixturevalue("bucket")
    return BucketObjectStore(f"s3://{bucket}/sealwire/large", request.getfixturevalue("moto"))


def listed(store: ObjectStore, folder: str = "v0") -> list[StoredObject]:
    return [item for page in store.list(folder) for item in page]


@dataclass
class Counting:
    """A store that counts what it is asked, and whose objects can be changed."""

    inner: ObjectStore
    puts: list[str] = field(default_factory=list[str])
    gets: list[str] = field(default_factory=list[str])
    kind: str = "counting"
    prefix: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def get(self, name: str, max_size: int) -> bytes | None:
        self.gets.append(name)
        return self.inner.get(name, max_size)

    def put(self, name: str, data: bytes) -> None:
        self.puts.append(name)
        self.inner.put(name, data)

    def list(self, folder: str) -> Iterator[Sequence[StoredObject]]:
        return self.inner.list(folder)

    def delete(self, names: Sequence[str]) -> None:
        self.inner.delete(names)


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    """A folder that counts."""
    return Counting(FolderObjectStore(tmp_path / "payloads"))


# What is stored, and where


async def test_a_payload_comes_back_as_it_was(store: ObjectStore) -> None:
    """Sealed, under the reference that was given for it; several keep their order."""
    storage = PayloadStorage(store)
    payloads = [sealed(bytes([n]) * LARGE) for n in range(20)]
    references = await storage.store(payloads, OWNER)
    assert payloads == await storage.retrieve(references)
    assert [b"\x03" * LARGE] == [item.data for item in codec().decode_sync(payloads[3:4])]
    assert 20 == len(listed(store))


async def test_a_name_says_whose_the_payload_is_and_its_hash(store: ObjectStore) -> None:
    """As with Temporal's own drivers, so that rules for prefixes and other SDKs fit."""
    payload = sealed()
    [reference] = await PayloadStorage(store).store([payload], OWNER)
    digest = hashlib.sha256(payload.SerializeToString()).hexdigest()
    name = f"v0/ns/default/wt/Import/wi/import-1/ri/4cf1/d/sha256/{digest}"
    expected = {"key": store.prefix + name, "hash_algorithm": "sha256", "hash_value": digest}
    assert expected | dict(store.labels) == reference
    [there] = listed(store)
    assert (name, len(payload.SerializeToString())) == (there.name, there.size)
    assert abs(there.modified - time.time()) < 100


OWNERS: Final = {
    "v0/ns/null": Owner(),
    "v0/ns/a": Owner("a"),
    "v0/ns/a/at/T/ai/1/ri/null": Owner("a", "activity", "T", "1"),
    "v0/ns/a/wt/null/wi/%2E%2E/ri/%2E": Owner("a", "workflow", None, "..", "."),
    "v0/ns/a/wt/T/wi/..%2Fetc%2F%C3%A9%00/ri/r": Owner("a", "workflow", "T", "../etc/é\0", "r"),
    "v0/ns/a/wt/T/wi/a!-_.*'()/ri/r": Owner("a", "workflow", "T", "a!-_.*'()", "r"),
    "v0/ns/b": Owner("b", "workflow", "T", "x" * 256, "r"),
    "v0/ns/c": Owner("c", "workflow", "é" * 80, "é" * 40, "é" * 40),
}


@pytest.mark.parametrize(("folder", "owner"), OWNERS.items())
async def test_any_owner_has_a_place(folder: str, owner: Owner, store: ObjectStore) -> None:
    """Whatever is in the names, the object is below its namespace and comes back."""
    storage = PayloadStorage(store)
    payload = sealed()
    references = await storage.store([payload], owner)
    digest = references[0]["hash_value"]
    if folder == "v0/ns/c":  # which is long, and fits
        folder = owner.folder
    assert f"{store.prefix}{folder}/d/sha256/{digest}" == references[0]["key"]
    assert len(references[0]["key"]) <= 1024
    assert [payload] == await storage.retrieve(references)
    assert [digest] == [digest_of(item.name) for item in listed(store)]


async def test_plaintext_is_not_stored(store: ObjectStore) -> None:
    """Unless that is asked for; nothing of the batch is stored then."""
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"x"')
    relabelled = Payload(metadata={"encoding": b"binary/sealed-v1"}, data=b"x" * LARGE)
    for payload in (plain, relabelled):
        with pytest.raises(UnencryptedPayloadError, match="require_sealed = false"):
            await PayloadStorage(store).store([sealed(), payload], OWNER)
    assert [] == listed(store)
    storage = PayloadStorage(store, require_sealed=False)
    assert [plain] == await storage.retrieve(await storage.store([plain], OWNER))


def test_both_formats_are_sealed() -> None:
    """The one of the samples counts as encrypted, too."""
    interop = Payload(
        metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"k"}, data=bytes(28)
    )
    assert [True, True, False] == [is_encrypted(item) for item in (sealed(), interop, Payload())]


async def test_a_payload_has_a_largest_size(store: ObjectStore) -> None:
    """It is not stored if it is larger, and not read if somebody else has stored it."""
    references = await PayloadStorage(store).store([sealed()], OWNER)
    small = PayloadStorage(store, max_size=LARGE)
    with pytest.raises(PayloadTooLargeError, match=r"max_size in \[storage\] is 1000"):
        await small.store([sealed()], OWNER)
    with pytest.raises(PayloadTooLargeError, match="max_size is 1000"):
        await small.retrieve(references)
    with pytest.raises(ConfigurationError, match="1 byte or more"):
        PayloadStorage(store, max_size=0)


@pytest.mark.parametrize(
    ("namespace", "read_only"), [("ReplayNamespace", False), ("default", True), (None, True)]
)
async def test_a_replayer_stores_nothing(
    namespace: str | None, read_only: bool, store: ObjectStore
) -> None:
    """What it encodes is thrown away, so it needs no permission to write."""
    storage = PayloadStorage(store)
    owner = replace(OWNER, namespace=namespace)
    for payload in (sealed(), sealed(content_ids=LARGE)):
        [reference] = await storage.store([payload], owner, read_only=read_only)
        assert reference["key"].endswith(reference["hash_value"])
    assert [] == listed(store)


# Equal contents


async def test_equal_contents_are_stored_once(store: ObjectStore) -> None:
    """Each sealing is different; with content ids the first one serves, for any workflow."""
    storage = PayloadStorage(store)
    first, second = (sealed(content_ids=LARGE) for _ in range(2))
    assert first.data != second.data
    references = [
        *await storage.store([first], OWNER),
        *await storage.store([second], replace(OWNER, id="import-2")),
    ]
    assert references[:1] * 2 == references
    assert [first, first] == await storage.retrieve(references)
    assert 1 == len(listed(store))


async def test_without_content_ids_each_sealing_is_an_object(store: ObjectStore) -> None:
    """The salts are random, so no two names are equal."""
    storage = PayloadStorage(store)
    await storage.store([sealed(), sealed()], OWNER)
    assert 2 == len(listed(store))


async def test_what_differs_is_not_shared(counting: Counting) -> None:
    """Contents, namespaces of the store, keys and contexts have objects of their own."""
    storage = PayloadStorage(counting)
    inner = Payload(metadata={"encoding": b"binary/plain"}, data=b"x" * LARGE)
    other_key = Keyring(StaticKeyProvider(Key("k2", ROOT[::-1])))
    codecs = [
        codec(LARGE),
        codec(LARGE, context={"team": "billing"}),
        EncryptionCodec(other_key, "default", content_ids=LARGE),
        EncryptionCodec(codec().keyring, "other", content_ids=LARGE),
    ]
    payloads = [one.encode_sync([inner])[0] for one in codecs]
    await storage.store([*payloads, sealed(b"y" * LARGE, LARGE)], OWNER)
    await storage.store(payloads[:1], replace(OWNER, namespace="other"))
    assert 6 == len(counting.puts)


async def test_two_uploads_at_once_are_both_good(store: ObjectStore) -> None:
    """Both are kept and readable, and all later ones get the same reference."""
    storage = PayloadStorage(store)
    racing = [sealed(content_ids=LARGE) for _ in range(2)]
    names = [(await PayloadStorage(Blind(store)).store([item], OWNER))[0] for item in racing]
    assert racing == await storage.retrieve(names)
    later = [(await storage.store([sealed(content_ids=LARGE)], OWNER))[0] for _ in range(3)]
    assert [min(names, key=lambda item: item["hash_value"])] * 3 == later
    assert 2 == len(listed(store))


@dataclass
class Blind(Counting):
    """A store in which nothing is found yet."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner, prefix=inner.prefix, labels=inner.labels)

    def list(self, folder: str) -> Iterator[Sequence[StoredObject]]:
        nothing: list[StoredObject] = []
        return iter([nothing])


async def test_an_old_object_is_not_used_again(counting: Counting) -> None:
    """Else the collection of garbage could remove it just when it is referred to anew."""
    clock = FakeClock(time.time())
    storage = PayloadStorage(counting, clock=clock)
    for seconds in (0.0, REUSE - 100, 200.0, 200.0):
        clock.advance(seconds)
        await storage.store([sealed(content_ids=LARGE)], OWNER)
    # The files have the real time, so once the limit is passed each upload is a new one.
    assert 3 == len(counting.puts)


async def test_a_planted_object_is_not_handed_out(store: ObjectStore) -> None:
    """Who writes to the store but has no key cannot put other sealed contents in the place."""
    storage = PayloadStorage(store)
    wanted, other = (sealed(bytes([n]) * LARGE, LARGE) for n in (1, 2))
    [reference] = await storage.store([wanted], OWNER)
    folder = reference["key"].removeprefix(store.prefix).rpartition("/d/")[0]
    store.delete([item.name for item in listed(store)])
    for forged, error in (
        (other, StoredPayloadError),
        (relabelled(other, wanted), DecryptError),
    ):
        data = forged.SerializeToString()
        name = f"{folder}/d/sha256/{hashlib.sha256(data).hexdigest()}"
        store.put(name, data)
        again = await storage.store([sealed(b"\1" * LARGE, LARGE)], OWNER)
        assert store.prefix + name == again[0]["key"]  # its size fits, so it was taken for good
        with pytest.raises(error) as caught:
            codec().decode_sync(await storage.retrieve(again))
        assert (error is StoredPayloadError) == (in_full(again[0]) in str(caught.value))
        store.delete([name])


def relabelled(payload: Payload, like: Payload) -> Payload:
    forged = Payload()
    forged.CopyFrom(payload)
    forged.metadata[CONTENT_ID] = like.metadata[CONTENT_ID]
    return forged


async def test_a_planted_object_of_another_size_is_passed_over(counting: Counting) -> None:
    """A cut or padded copy is not referred to."""
    storage = PayloadStorage(counting)
    [reference] = await storage.store([sealed(content_ids=LARGE)], OWNER)
    folder = reference["key"].rpartition("/d/")[0]
    counting.inner.put(f"{folder}/d/sha256/{'0' * 64}", b"short")
    assert [reference] == await storage.store([sealed(content_ids=LARGE)], OWNER)


# Hostile references and objects


async def good_reference(storage: PayloadStorage) -> dict[str, str]:
    [reference] = await storage.store([sealed()], OWNER)
    return reference


HOSTILE: Final[Mapping[str, Callable[[dict[str, str]], dict[str, str]]]] = {
    "nothing": lambda _: {},
    "no key": lambda ref: {**ref, "key": ""},
    "no hash": lambda ref: {k: v for k, v in ref.items() if k != "hash_value"},
    "no algorithm": lambda ref: {k: v for k, v in ref.items() if k != "hash_algorithm"},
    "a weak algorithm": lambda ref: {**ref, "hash_algorithm": "md5"},
    "another hash": lambda ref: {**ref, "hash_value": "0" * 64},
    "an upper-case hash": lambda ref: {**ref, "hash_value": ref["hash_value"].upper()},
    "an absolute path": lambda ref: {**ref, "key": "/etc/passwd"},
    "a path upwards": lambda ref: {**ref, "key": "../" + ref["key"]},
    "a path upwards inside": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "/../")},
    "a dot": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "/./")},
    "an empty part": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "//")},
    "a backslash": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "\\")},
    "a null byte": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "/\0/")},
    "a line break": lambda ref: {**ref, "key": ref["key"] + "\n"},
    "a query": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "/?versionId=1/")},
    "another version": lambda ref: {**ref, "key": ref["key"].replace("v0/", "v1/")},
    "a name too long": lambda ref: {**ref, "key": ref["key"].replace("/wi/", "/" + "x" * 999)},
    "an integer": lambda ref: {**ref, "hash_value": "", "key": ref["key"][:-64]},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_reference_is_refused(
    change: Callable[[dict[str, str]], dict[str, str]], store: ObjectStore
) -> None:
    """Before the store is asked for anything, and without a word of it in the message."""
    asked = Counting(store, prefix=store.prefix, labels=store.labels)
    reference = change(await good_reference(PayloadStorage(store)))
    with pytest.raises(StoredPayloadError) as caught:
        await PayloadStorage(asked).retrieve([reference])
    assert [] == asked.gets
    assert "passwd" not in str(caught.value)
    assert "/" not in str(caught.value)


async def test_a_reference_stays_in_its_bucket_and_prefix(moto: str, bucket: str) -> None:
    """Neither another bucket nor another prefix of this one is read."""
    here = PayloadStorage(BucketObjectStore(f"s3://{bucket}/a", moto))
    beside = PayloadStorage(BucketObjectStore(f"s3://{bucket}/ab", moto))
    reference = await good_reference(here)
    for changed in (
        {**reference, "bucket": "another-bucket"},
        {k: v for k, v in reference.items() if k != "bucket"},
        await good_reference(beside),
    ):
        with pytest.raises(StoredPayloadError, match="another bucket or prefix"):
            await here.retrieve([changed])


def in_full(reference: Mapping[str, str]) -> str:
    """How a message names an object: as the service or the folder does."""
    return f": '{reference['key']}'"


async def test_a_changed_object_is_not_returned(store: ObjectStore) -> None:
    """Nor one that is gone; the errors differ, because what to do does, and name the object."""
    storage = PayloadStorage(store)
    reference = await good_reference(storage)
    name = reference["key"].removeprefix(store.prefix)
    for data in (b"", sealed().SerializeToString()):
        store.put(name, data)
        with pytest.raises(StoredPayloadError, match="not what was stored" + in_full(reference)):
            await storage.retrieve([reference])
    store.delete([name])
    with pytest.raises(StoredPayloadError, match="was deleted, .*" + in_full(reference)):
        await storage.retrieve([reference])


async def test_a_damaged_object_that_is_deleted_is_replaced(store: ObjectStore) -> None:
    """Until then its content is referred to there; then it gets another object."""
    storage = PayloadStorage(store)
    [reference] = await storage.store([sealed(content_ids=LARGE)], OWNER)
    name = reference["key"].removeprefix(store.prefix)
    good = store.get(name, 10 * LARGE) or b""
    store.put(name, good[:-1] + bytes([good[-1] ^ 1]))
    assert [reference] == await storage.store([sealed(content_ids=LARGE)], OWNER)
    with pytest.raises(StoredPayloadError) as caught:
        await storage.retrieve([reference])

    named = str(caught.value).rpartition(": ")[2].strip("'")
    store.delete([named.removeprefix(store.prefix)])
    replaced = await storage.store([sealed(content_ids=LARGE)], OWNER)
    [payload] = await storage.retrieve(replaced)
    [inner] = codec().decode_sync([payload])
    assert b"x" * LARGE == inner.data
    with pytest.raises(StoredPayloadError, match="was deleted, .*" + in_full(reference)):
        await storage.retrieve([reference])
    store.put(name, good)
    assert 2 == len(await storage.retrieve([reference, *replaced]))


async def test_an_object_that_is_no_payload_is_refused(store: ObjectStore) -> None:
    """Also where its hash is the one in the reference."""
    data = b"\xff\xff\xff"
    digest = hashlib.sha256(data).hexdigest()
    name = f"v0/d/sha256/{digest}"
    store.put(name, data)
    reference = {
        **store.labels,
        "key": store.prefix + name,
        "hash_algorithm": "sha256",
        "hash_value": digest,
    }
    with pytest.raises(StoredPayloadError, match="is no payload" + in_full(reference)):
        await PayloadStorage(store).retrieve([reference])


async def test_no_link_is_followed_out_of_the_folder(tmp_path: Path) -> None:
    """Nor is a folder or a pipe read in the place of a file."""
    store = FolderObjectStore(tmp_path / "payloads")
    storage = PayloadStorage(store)
    reference = await good_reference(storage)
    file = store.path / reference["key"]
    outside = tmp_path / "outside"
    file.replace(outside)
    made: list[tuple[Callable[[], None], type[Exception]]] = [
        (lambda: file.symlink_to(outside), StorageUnavailableError),
        (lambda: os.mkfifo(file), ConfigurationError),
    ]
    for make, error in made:
        make()
        with pytest.raises(error):
            await storage.retrieve([reference])
        assert [] == listed(store)
        file.unlink()


def test_no_link_in_the_place_of_a_folder_is_followed(tmp_path: Path) -> None:
    """Nothing outside is read, written or deleted through it."""
    outside = tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    (outside / "d" / "x").write_bytes(b"theirs")
    store = FolderObjectStore(tmp_path / "payloads")
    store.put("v0/ns/orders/y", b"ours")
    (store.path / "v0" / "ns" / "evil").symlink_to(outside)
    name = "v0/ns/evil/d/x"
    calls: list[Callable[[], object]] = [
        partial(store.get, name, 10),
        partial(store.put, name, b"ours"),
        partial(store.delete, [name]),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="a link in the place of a folder"):
            call()
    assert b"theirs" == (outside / "d" / "x").read_bytes()
    assert b"ours" == store.get("v0/ns/orders/y", 10)


def test_a_name_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    """The store refuses it by itself, whoever calls it."""
    store = FolderObjectStore(tmp_path)
    for name in ("../x", "a/../../x", "/etc/passwd", "a//b", "."):
        calls: list[Callable[[], object]] = [
            partial(store.get, name, 10),
            partial(store.put, name, b""),
            partial(store.delete, [name]),
        ]
        for call in calls:
            with pytest.raises(ConfigurationError, match="leads out of the folder"):
                call()


# A folder


async def test_files_are_private_and_complete(tmp_path: Path) -> None:
    """Only their owner reads them; nothing unfinished is listed or left behind."""
    store = FolderObjectStore(tmp_path / "deep" / "payloads")
    reference = await good_reference(PayloadStorage(store))
    file = store.path / reference["key"]
    assert [0o600] == [stat.S_IMODE(path.stat().st_mode) for path in [file]]
    folders = {path for path in file.parents if path.is_relative_to(tmp_path / "deep")}
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in folders}
    assert [file] == [path for path in store.path.rglob("*") if path.is_file()]


async def test_what_a_killed_worker_left_is_no_object(tmp_path: Path) -> None:
    """It is listed as what it is, so that it can be deleted with its folder, and never used."""
    store = FolderObjectStore(tmp_path / "payloads")
    storage = PayloadStorage(store)
    [reference] = await storage.store([sealed(content_ids=LARGE)], OWNER)
    file = store.path / reference["key"]
    left = file.rename(file.with_name(".sealwire-x7_b1z9q"))
    [found] = listed(store)
    assert (True, left) == (found.unfinished, store.path / found.name)
    [other] = await storage.store([sealed(content_ids=LARGE)], OWNER)
    assert reference != other
    assert [False, True] == sorted(item.unfinished for item in listed(store))
    changed = {**reference, "key": found.name}
    with pytest.raises(StoredPayloadError, match="malformed"):
        await storage.retrieve([changed])
    store.delete([found.name, other["key"]])
    assert [] == list(store.path.iterdir())


async def test_what_a_store_calls_unfinished_is_not_referred_to(counting: Counting) -> None:
    """Whatever name it has."""

    class Uploading(Counting):
        def list(self, folder: str) -> Iterator[Sequence[StoredObject]]:
            for page in super().list(folder):
                yield [replace(item, unfinished=True) for item in page]

    storage = PayloadStorage(Uploading(counting))
    for _ in range(2):
        await storage.store([sealed(content_ids=LARGE)], OWNER)
    assert 2 == len(counting.puts)


async def test_deleting_leaves_no_empty_folders(tmp_path: Path) -> None:
    """But the one that was configured, and those with something in them."""
    store = FolderObjectStore(tmp_path / "payloads")
    storage = PayloadStorage(store)
    one = (await storage.store([sealed()], OWNER))[0]["key"]
    other = (await storage.store([sealed()], replace(OWNER, run_id="other")))[0]["key"]
    store.delete([one, one])
    assert [other] == [item.name for item in listed(store)]
    store.delete([other])
    assert [store.path] == list(tmp_path.iterdir())  # noqa: ASYNC240 - of a test
    assert [] == list(store.path.iterdir())


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """The error can be retried, and names the folder."""
    (tmp_path / "file").write_bytes(b"")
    store = FolderObjectStore(tmp_path / "file")
    with pytest.raises(StorageUnavailableError, match="cannot write the folder"):
        store.put("v0/x", b"")
    with pytest.raises(StorageUnavailableError, match="cannot read the folder"):
        store.get("v0/x", 10)


# Other SDKs


class Boto3Client(S3StorageDriverClient):
    """What the SDK's driver needs of S3, with boto3."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def put_object(self, *, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    async def object_exists(self, *, bucket: str, key: str) -> bool:
        found = self.client.list_objects_v2(Bucket=bucket, Prefix=key)
        return bool(found["KeyCount"])

    async def get_object(self, *, bucket: str, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data


TARGETS: Final = [
    None,
    StorageDriverWorkflowInfo(namespace="default", id="a", type="T", run_id="r"),
    StorageDriverWorkflowInfo(namespace="default", id="order/7 é+%2F&=", type="a b"),
    StorageDriverWorkflowInfo(namespace="", id="a"),
    StorageDriverActivityInfo(namespace="default", id="1", type="T", run_id="r"),
    StorageDriverWorkflowInfo(namespace="default", id="x" * 1000, type="T"),
]


@pytest.mark.parametrize("target", TARGETS, ids=range(len(TARGETS)))
async def test_the_sdks_s3_driver_and_ours_read_each_other(
    target: Any, moto: str, bucket: str
) -> None:
    """With the same name, type and references, so that either can replace the other."""
    theirs = S3StorageDriver(Boto3Client(s3(moto)), bucket)
    ours = SealwireStorageDriver(PayloadStorage(BucketObjectStore(f"s3://{bucket}", moto)))
    assert (theirs.name(), theirs.type()) == (ours.name(), ours.type())
    context, payload = StorageDriverStoreContext(target), sealed()
    for writer, reader in ((theirs, ours), (ours, theirs)):
        claims = await writer.store(context, [payload])
        assert [payload] == await reader.retrieve(StorageDriverRetrieveContext(), claims)


@pytest.mark.parametrize("target", [TARGETS[1], TARGETS[2], TARGETS[4]], ids=["a", "odd", "act"])
async def test_names_are_those_of_the_sdks_driver(target: Any, moto: str, bucket: str) -> None:
    """The very same object, where a payload has no content id."""
    theirs = S3StorageDriver(Boto3Client(s3(moto)), bucket)
    ours = SealwireStorageDriver(PayloadStorage(BucketObjectStore(f"s3://{bucket}", moto)))
    context, payload = StorageDriverStoreContext(target), sealed()
    assert await theirs.store(context, [payload]) == await ours.store(context, [payload])


async def test_the_sdks_driver_reads_what_has_a_content_id(moto: str, bucket: str) -> None:
    """Below a prefix, too: references name the whole key."""
    theirs = S3StorageDriver(Boto3Client(s3(moto)), bucket)
    storage = PayloadStorage(BucketObjectStore(f"s3://{bucket}/a/b", moto))
    payload = sealed(content_ids=LARGE)
    claims = [StorageDriverClaim(item) for item in await storage.store([payload], OWNER)]
    assert [payload] == await theirs.retrieve(StorageDriverRetrieveContext(), claims)


# Services that fail


async def test_a_service_that_is_down_may_come_back() -> None:
    """The error can be retried, and tells no credentials."""
    store = BucketObjectStore("s3://large", f"http://127.0.0.1:{free_port()}", timeout=0.5)
    for call in (
        lambda: store.get("v0/x", 10),
        lambda: store.put("v0/x", b""),
        lambda: list(store.list("v0")),
        lambda: store.delete(["v0/x"]),
    ):
        with pytest.raises(StorageUnavailableError, match="s3://large does not answer") as caught:
            call()
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@dataclass
class Service:
    """An S3 that answers the first requests wrong: with a status, or by hanging up half-way."""

    faults: list[int]
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[str] = field(default_factory=list[str])


class Handler(BaseHTTPRequestHandler):
    service: Service

    def do_GET(self) -> None:
        self.reply(self.service.objects.get(self.path))

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.service.faults:
            self.service.objects[self.path] = data
        self.reply(b"")

    def reply(self, body: bytes | None) -> None:
        self.service.asked.append(self.command)
        fault = self.service.faults.pop(0) if self.service.faults else 0
        self.send_response(fault if fault > 1 else 404 if body is None else 200)
        for name, value in {
            "Content-Length": str(len(body or b"")),
            "ETag": '"e"',
            "Last-Modified": "Tue, 24 Nov 2026 00:00:00 GMT",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == 1:  # hang up in the middle
            self.wfile.write((body or b"")[: len(body or b"") // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def serving(service: Service) -> Generator[str]:
    handler = type("OneHandler", (Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("faults", [[503, 500], [1]], ids=["5xx", "hung up half-way"])
async def test_faults_that_pass_are_not_noticed(faults: list[int]) -> None:
    """What is asked again after a fault of the service or the connection succeeds."""
    service = Service([])
    with serving(service) as endpoint:
        storage = PayloadStorage(BucketObjectStore("s3://large", endpoint))
        payload = sealed(b"x" * 100_000)
        service.faults = [fault for fault in faults if fault > 1]
        references = await storage.store([payload], OWNER)
        service.faults = list(faults)
        assert [payload] == await storage.retrieve(references)
    assert len(service.asked) > 2


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, ConfigurationError, "refuses: GenericError 400"),
        (401, ConfigurationError, "does not permit it"),
        (403, ConfigurationError, "does not permit it"),
        (429, StorageUnavailableError, "is busy .status 429"),
        (503, StorageUnavailableError, "does not answer"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, error: type[Exception], message: str) -> None:
    """What passes may be retried; what does not names its fix."""
    service = Service([status] * 100)
    with serving(service) as endpoint:
        store = BucketObjectStore("s3://large", endpoint, timeout=0.5)
        calls: list[Callable[[], object]] = [
            partial(store.get, "v0/x", 10),
            partial(store.put, "v0/x", b""),
        ]
        for call in calls:
            with pytest.raises(error, match=message) as caught:
                call()
            assert SECRET not in str(caught.value)


def test_a_missing_bucket_is_told(moto: str) -> None:
    """It is not created in passing."""
    store = BucketObjectStore("s3://no-such-bucket-4711/x", moto)
    for call in (lambda: store.put("v0/x", b""), lambda: listed(store)):
        with pytest.raises(ConfigurationError, match="there is no such bucket"):
            call()


def test_a_forked_process_is_told_to_connect_later(moto: str, bucket: str) -> None:
    """Instead of hanging: the client's threads are not in it."""
    store = BucketObjectStore(f"s3://{bucket}", moto)
    store.put("v0/x", b"1")

    def work() -> bytes:
        with pytest.raises(ConfigurationError, match="connect after the fork"):
            store.get("v0/x", 10)
        return b""

    in_a_fork(work, 60.0)


async def test_an_error_cancels_what_waits(tmp_path: Path) -> None:
    """One bad reference fails the batch, and leaves no task behind."""
    storage = PayloadStorage(FolderObjectStore(tmp_path))
    good = await storage.store([sealed() for _ in range(30)], OWNER)
    with pytest.raises(StoredPayloadError):
        await storage.retrieve([{}, *good])
    assert {asyncio.current_task()} == asyncio.all_tasks()


# The cache


@pytest.fixture(params=["memory", "folder"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> PayloadCache:
    """Each kind of cache, with room for three large payloads."""
    size = 3 * (LARGE + 500)
    return MemoryCache(size) if request.param == "memory" else FolderCache(tmp_path / "cache", size)


async def test_what_was_written_or_read_is_not_fetched(
    counting: Counting, cache: PayloadCache
) -> None:
    """Neither after storing it, nor after the first time it was read."""
    writer, reader = (PayloadStorage(counting, cache=item) for item in (cache, None))
    payload = sealed()
    references = await writer.store([payload], OWNER)
    assert [payload] == await writer.retrieve(references)
    assert [] == counting.gets
    [other] = await reader.store([sealed()], OWNER)
    for _ in range(3):
        await writer.retrieve([other])
    assert 1 == len(counting.gets)


async def test_the_cache_has_a_limit(counting: Counting, cache: PayloadCache) -> None:
    """The least recently used go first; what would fill it alone is not kept."""
    storage = PayloadStorage(counting, cache=cache)
    references: list[dict[str, str]] = []
    for _ in range(3):
        references += await storage.store([sealed()], OWNER)
        time.sleep(0.01)  # noqa: ASYNC251 - the times of files differ
    await storage.retrieve(references[:1])  # used again, so the second is the oldest
    references += await storage.store([sealed()], OWNER)
    await storage.store([sealed(b"x" * 3 * (LARGE + 500))], OWNER)
    for reference in references:
        await storage.retrieve([reference])
    assert [references[1]["key"]] == counting.gets[:1]
    assert references[0]["key"] not in counting.gets[:1]


async def test_a_cache_of_no_size_keeps_nothing(counting: Counting) -> None:
    """And a negative size is refused."""
    storage = PayloadStorage(counting, cache=MemoryCache(0))
    await storage.retrieve(await storage.store([sealed()], OWNER))
    assert 1 == len(counting.gets)
    for make in (lambda: MemoryCache(-1), lambda: FolderCache(Path("x"), -1)):
        with pytest.raises(ConfigurationError, match="must not be negative"):
            make()


async def test_plaintext_is_not_kept(counting: Counting, tmp_path: Path) -> None:
    """Not even where it may be stored."""
    storage = PayloadStorage(
        counting, require_sealed=False, cache=FolderCache(tmp_path / "cache", 10_000)
    )
    await storage.retrieve(await storage.store([Payload(data=b"plain")], OWNER))
    assert not (tmp_path / "cache").exists()


async def test_a_changed_file_of_the_cache_is_not_used(counting: Counting, tmp_path: Path) -> None:
    """The payload is fetched again, and kept again."""
    cache = FolderCache(tmp_path / "cache", 10_000)
    storage = PayloadStorage(counting, cache=cache)
    payload = sealed()
    [reference] = await storage.store([payload], OWNER)
    file = cache.path / reference["hash_value"]
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    file.write_bytes(sealed().SerializeToString())
    assert [payload] == await storage.retrieve([reference])
    assert [payload.SerializeToString()] == [file.read_bytes()]


def test_a_forked_process_does_not_wait_for_the_parents_threads() -> None:
    """It goes on with the memory's cache, although a thread was busy with it at the fork."""
    cache, busy, done = MemoryCache(100), threading.Event(), threading.Event()
    cache.put("kept", b"data")

    class Slow(bytes):
        def __len__(self) -> int:
            busy.set()
            done.wait(60)
            return 1

    thread = threading.Thread(target=cache.put, args=("slow", Slow(b"x")))
    thread.start()
    busy.wait(60)
    try:
        assert b"data" == in_a_fork(lambda: cache.get("kept") or b"", 5.0)
    finally:
        done.set()
        thread.join()


def test_a_cache_removes_its_own_files_only(tmp_path: Path) -> None:
    """Whatever else is in the folder is neither counted nor removed."""
    other = tmp_path / "photo.jpg"
    other.write_bytes(bytes(100))
    os.utime(other, (0, 0))
    cache = FolderCache(tmp_path, 10)
    for data in (b"123456", b"abcdef"):
        cache.put(hashlib.sha256(data).hexdigest(), data)
    assert ["photo.jpg", hashlib.sha256(b"abcdef").hexdigest()] == sorted(
        (path.name for path in tmp_path.iterdir()), key=len
    )


async def test_a_cache_that_cannot_be_used_is_no_error(counting: Counting, tmp_path: Path) -> None:
    """Payloads are stored and read as without it."""
    (tmp_path / "file").write_bytes(b"")
    storage = PayloadStorage(counting, cache=FolderCache(tmp_path / "file", 10_000))
    payload = sealed()
    assert [payload] == await storage.retrieve(await storage.store([payload], OWNER))


# Memory

MEASURE: Final = """
import asyncio, os, resource, sys
from pathlib import Path
from sealwire.codecs import EncryptionCodec, FolderObjectStore, Owner, PayloadStorage
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main():
    keyring = Keyring(StaticKeyProvider(Key("k", bytes(range(100, 132)))))
    storage = PayloadStorage(FolderObjectStore(Path(sys.argv[1])))
    codec = EncryptionCodec(keyring, "default", content_ids=1)
    [sealed] = await codec.encode([Payload(data=os.urandom(20 << 20))])
    before = peak()
    references = await storage.store([sealed], Owner())
    del sealed
    [sealed] = await storage.retrieve(references)
    print(peak() - before)

asyncio.run(main())
"""


def test_storing_takes_no_more_memory_than_sealing(tmp_path: Path) -> None:
    """At most one copy of a payload of 20 MiB is added to what encrypting it takes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, check=True, timeout=60
    )
    assert int(done.stdout) < 24 << 20


# Arguments


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3://", "file:///folder", "http://x/y", "s3://user:geheim4711@b", "s3://b/a b"),
        *("s3://b/a//b", "s3://b/../x", "s3://b/%2e", "s3://b/a?x=1", "s3://b/ä"),
    ],
)
def test_other_places_are_refused(url: str) -> None:
    """The message does not repeat what may be a credential."""
    with pytest.raises(ConfigurationError) as caught:
        BucketObjectStore(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("timeout", [0.0, -1.0, 601.0, float("nan")])
def test_a_timeout_has_limits(timeout: float) -> None:
    """A store that waits for ever is not made."""
    with pytest.raises(ConfigurationError, match="at most 600 seconds"):
        BucketObjectStore("s3://b", timeout=timeout)


def test_stores_for_google_and_azure_are_made() -> None:
    """With the prefix and the names that references get."""
    for url, kind in (("gs://b/p", "gcp.gcsdriver"), ("az://b/p/", "sealwire.azure")):
        store = BucketObjectStore(url)
        assert (kind, "p/", {"bucket": "b"}) == (store.kind, store.prefix, store.labels)

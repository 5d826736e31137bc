"""Large payloads in Azure Blob Storage and Google Cloud Storage, over HTTP."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from sealwire.codecs import EncryptionCodec
from sealwire.codecs.object_bucket import BucketObjectStore
from sealwire.codecs.object_names import Owner
from sealwire.codecs.object_store import ObjectStore, StoredObject
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.errors import (
    ConfigurationError,
    PayloadTooLargeError,
    StorageUnavailableError,
    StoredPayloadError,
)
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing import free_port

SECRET: Final = base64.b64encode(b"geheim4711" * 5).decode()
OWNER: Final = Owner("default", "workflow", "Import", "import-1", "4cf1")
LARGE: Final = 1000  # bytes; what counts as large here


@pytest.fixture(params=["azure", "google"])
def store(request: pytest.FixtureRequest) -> BucketObjectStore:
    """An empty store at each service, below a prefix."""
    if request.param == "azure":
        container = request.getfixturevalue("azure_container")
        endpoint = request.getfixturevalue("azure_endpoint")
        return BucketObjectStore(f"az://{container}/sealwire/large", endpoint)
    bucket = request.getfixturevalue("google_bucket")
    endpoint = request.getfixturevalue("google_storage")
    return BucketObjectStore(f"gs://{bucket}/sealwire/large", endpoint)


def sealed(content: bytes = b"x" * LARGE, content_ids: int | None = None) -> Payload:
    keyring = Keyring(StaticKeyProvider(Key("2026-01-k1", bytes(range(100, 132)))))
    codec = EncryptionCodec(keyring, "default", content_ids=content_ids)
    inner = Payload(metadata={"encoding": b"binary/plain"}, data=content)
    [outer] = codec.encode_sync([inner])
    return outer


def listed(store: ObjectStore, folder: str = "v0") -> list[StoredObject]:
    return [item for page in store.list(folder) for item in page]


async def test_payloads_come_back_as_they_were(store: ObjectStore) -> None:
    """More than a page of them, one of them of megabytes, each under its own reference."""
    storage = PayloadStorage(store)
    payloads = [sealed(bytes([n]) * LARGE) for n in range(24)] + [sealed(bytes(3_000_000))]
    references = await storage.store(payloads, OWNER)
    assert payloads == await storage.retrieve(references)
    sizes = {store.prefix + item.name: item.size for item in listed(store)}
    expected = {
        reference["key"]: len(payload.SerializeToString())
        for reference, payload in zip(references, payloads, strict=True)
    }
    assert expected == sizes


@pytest.mark.parametrize(
    "owner",
    [
        Owner(),
        Owner("a", "workflow", None, "..", "."),
        Owner("a", "workflow", "T", "../etc/é\0 ?#&+%2F", "r"),
        Owner("a", "activity", "a!-_.*'()", "1"),
        Owner("c", "workflow", "é" * 80, "é" * 40, "é" * 40),
    ],
    ids=["nobody", "dots", "odd", "plain", "long"],
)
async def test_any_owner_has_a_place(owner: Owner, store: ObjectStore) -> None:
    """Whatever is in the names, the object has the name that the reference gives."""
    storage = PayloadStorage(store)
    payload = sealed()
    [reference] = await storage.store([payload], owner)
    assert [payload] == await storage.retrieve([reference])
    assert [reference["key"]] == [store.prefix + item.name for item in listed(store)]


async def test_equal_contents_are_stored_once(store: ObjectStore) -> None:
    """What is there is found, for any workflow."""
    storage = PayloadStorage(store)
    first = sealed(content_ids=LARGE)
    [reference] = await storage.store([first], OWNER)
    again = await storage.store([sealed(content_ids=LARGE)], replace(OWNER, id="import-2"))
    assert [reference] == again
    assert [first] == await storage.retrieve(again)
    assert 1 == len(listed(store))


async def test_a_payload_has_a_largest_size(store: ObjectStore) -> None:
    """One that somebody else has stored is not read if it is larger."""
    references = await PayloadStorage(store).store([sealed()], OWNER)
    with pytest.raises(PayloadTooLargeError, match="max_size is 1000"):
        await PayloadStorage(store, max_size=LARGE).retrieve(references)


async def test_what_was_changed_or_deleted_is_told(store: ObjectStore) -> None:
    """The errors differ, because what to do does."""
    storage = PayloadStorage(store)
    [reference] = await storage.store([sealed()], OWNER)
    name = reference["key"].removeprefix(store.prefix)
    for data in (b"", sealed().SerializeToString()):
        store.put(name, data)
        with pytest.raises(StoredPayloadError, match="is not what was stored"):
            await storage.retrieve([reference])
    store.delete([name])
    with pytest.raises(StoredPayloadError, match="was deleted, or is in another place"):
        await storage.retrieve([reference])


def test_of_several_objects_the_missing_ones_are_not_missed(store: ObjectStore) -> None:
    """All others are deleted, and nothing beside them."""
    names = [f"v0/ns/a/d/sha256/{hashlib.sha256(bytes([n])).hexdigest()}" for n in range(30)]
    for name in names[::2]:
        store.put(name, b"x")
    store.delete(names[:-2])
    assert [names[-2]] == [item.name for item in listed(store)]
    store.delete(names[:1])
    store.delete([])
    assert 1 == len(listed(store))


def test_only_the_folder_is_listed(store: ObjectStore) -> None:
    """One whose name begins with the same letters is another one."""
    for name in ("v0/ns/a/d/sha256/1", "v0/ns/ab/d/sha256/2", "v0/ns/a.b/d/sha256/3"):
        store.put(name, b"x")
    assert ["v0/ns/a/d/sha256/1"] == [item.name for item in listed(store, "v0/ns/a")]
    assert [] == listed(store, "v0/ns/c")


def calls_of(store: ObjectStore) -> list[Callable[[], object]]:
    return [
        partial(store.get, "v0/x", 10),
        partial(store.put, "v0/x", b""),
        partial(listed, store),
        partial(store.delete, ["v0/x", "v0/y"]),
    ]


def test_wrong_credentials_are_told(
    store: BucketObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what somebody has to repair, whatever was asked, and without a word of them."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", SECRET)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", SECRET)
    for call in calls_of(store):
        with pytest.raises(ConfigurationError, match="does not permit it") as caught:
            call()
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_missing_bucket_is_told(store: BucketObjectStore) -> None:
    """It is not created in passing."""
    other = BucketObjectStore(store.url.replace("://", "://not-"), store.endpoint)
    for call in (lambda: other.put("v0/x", b""), lambda: listed(other)):
        with pytest.raises(ConfigurationError, match="there is no such bucket, container"):
            call()


@pytest.mark.parametrize("place", ["az://large", "gs://large"])
def test_a_service_that_is_down_may_come_back(
    place: str, azure_container: str, google_bucket: str
) -> None:
    """The error can be retried."""
    assert azure_container != google_bucket  # the environment signs in to both
    store = BucketObjectStore(place, f"http://127.0.0.1:{free_port()}", timeout=0.1)
    for call in calls_of(store):
        with pytest.raises(StorageUnavailableError, match=f"{place} does not answer"):
            call()


@pytest.mark.parametrize(
    ("place", "variable", "value"),
    [
        ("az://large", "AZURE_STORAGE_ACCOUNT_KEY", "geheim4711!"),
        ("gs://large", "GOOGLE_SERVICE_ACCOUNT_KEY", "geheim4711!"),
    ],
)
def test_malformed_credentials_are_told(
    place: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what somebody has to repair, not as an outage."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "orders")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match="one is missing or malformed") as caught:
        BucketObjectStore(place).get("v0/x", 10)
    assert value not in str(caught.value)

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from temporalio.converter import ExternalStorage

from sealwire.codecs import CodecChain, EncryptionCodec
from sealwire.codecs.object_folder import FolderObjectStore
from sealwire.codecs.object_names import Owner
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.errors import ConfigurationError, StorageUnavailableError
from sealwire.keys import Keyring
from sealwire.payload import Payload
from sealwire.server import BearerToken, codec_app, running
from sealwire.temporal import external_storage
from sealwire.wire import format_payloads, parse_payloads

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN: Final = Payload(metadata={"encoding": b"json/plain"}, data=b'"a large document"')
OWNER: Final = Owner("default")
KEPT: Final = "/decode?preserveStorageRefs=true"
MESSAGE: Final = b"temporal.api.sdk.v1.ExternalStorageReference"
MARKER: Final = "__temporal_external_storage_reference"
PAGE: Final = "http://ui.example"


@pytest.fixture
def storage(tmp_path: Path) -> PayloadStorage:
    return PayloadStorage(FolderObjectStore(tmp_path / "payloads"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "payloads"


class DownStorage(PayloadStorage):
    """Does not answer."""

    async def retrieve(self, references: Sequence[Mapping[str, str]]) -> list[Payload]:
        raise StorageUnavailableError("the storage is down; start it")


class SlowStorage(PayloadStorage):
    """Answers never."""

    async def retrieve(self, references: Sequence[Mapping[str, str]]) -> list[Payload]:
        await asyncio.Event().wait()
        return []


@asynccontextmanager
async def client_of(codec: Any, **options: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of a server of its own."""
    defaults: dict[str, Any] = {"token": None, "namespace": "default", "origins": [PAGE]}
    app = codec_app(codec, **(defaults | options))
    headers = {"Content-Type": "application/json", "Origin": PAGE}
    async with running(app) as url, httpx2.AsyncClient(base_url=url, headers=headers) as client:
        yield client


async def ask(
    codec: Any, path: str, payloads: Sequence[Payload], *, prefer: str = "", **options: Any
) -> httpx2.Response:
    async with client_of(codec, **options) as client:
        headers = {"Prefer": prefer} if prefer else {}
        return await client.post(path, content=format_payloads(payloads), headers=headers)


async def stored(storage: PayloadStorage, codec: Any, payload: Payload = PLAIN) -> Payload:
    """Seal a payload and put it into the storage as the SDK does; return the reference."""
    sealed = await codec.encode([payload])
    sdk: ExternalStorage = external_storage(storage, threshold=1, namespace="default")
    [reference] = await sdk._store_payload_sequence(sealed)  # pyright: ignore[reportPrivateUsage]
    return reference


def change_file(folder: Path) -> None:
    """Change the last byte of the one file in a folder."""
    [file] = [path for path in folder.rglob("*") if path.is_file()]
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def error_of(payload: Payload) -> str:
    shown: dict[str, str] = json.loads(payload.data)
    return shown["type"]


async def test_a_reference_comes_back_as_it_is(codec: CodecChain, storage: PayloadStorage) -> None:
    """Under the policy `strict`, too, the web UI gets the reference that it offers to download."""
    reference = await stored(storage, codec)
    [sealed] = await codec.encode([PLAIN])
    for given in (None, storage):
        response = await ask(codec, KEPT, [sealed, reference, sealed], storage=given)
        assert [PLAIN, reference, PLAIN] == parse_payloads(response.content)


async def test_without_storage_a_reference_is_kept(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """A server that cannot follow a reference shows it, and no error that tells of plaintext."""
    reference = await stored(storage, codec)
    response = await ask(codec, "/decode", [reference])
    assert [reference] == parse_payloads(response.content)


async def test_a_reference_of_the_first_releases_is_one(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """Its form of before the message is known, too."""
    reference = await stored(storage, codec)
    claim = json.loads(reference.data)["claimData"]
    early = Payload(
        metadata={"encoding": b"json/external-storage-reference"},
        data=json.dumps({"driver_name": "x", "driver_claim": {"claim_data": claim}}).encode(),
        external_payloads=reference.external_payloads,
    )
    response = await ask(codec, KEPT, [early], storage=storage)
    assert [early] == parse_payloads(response.content)
    response = await ask(codec, "/download", [early], storage=storage)
    assert [PLAIN] == parse_payloads(response.content)


@pytest.mark.parametrize(
    ("metadata", "data", "sizes"),
    [
        ({}, b'{"driverName": "x", "claimData": {}}', []),
        ({"note": b"x"}, b'{"driverName": "x", "claimData": {}}', [1]),
        ({"encryption-key-id": b"x"}, b'{"driverName": "x", "claimData": {}}', [1]),
        ({"messageType": b"google.protobuf.Struct"}, b'{"driverName": "x", "claimData": {}}', [1]),
        ({"encoding": b"json/plain"}, b'{"driverName": "x", "claimData": {}}', [1]),
        ({"encoding": b"json/external-storage-reference"}, b'{"driver_name": "x"}', [1]),
        ({}, b'{"driverName": "x", "claimData": {}, "amount": 1}', [1]),
        ({}, b'{"driverName": "x", "claimData": {"amount": 1}}', [1]),
        ({}, b'{"driverName": "x", "claimData": {"a": "%s"}}' % (b"x" * 20_000), [1]),
        ({}, b'{"claimData": {}}', [1]),
        ({}, b'"approved"', [1]),
        ({}, b"\xff", [1]),
        ({}, b"", [1]),
    ],
)
async def test_what_only_resembles_a_reference_is_plaintext(
    codec: CodecChain, metadata: dict[str, bytes], data: bytes, sizes: list[int]
) -> None:
    """A value in clear is not shown because it is labelled as a reference."""
    labels = {"encoding": b"json/protobuf", "messageType": MESSAGE, **metadata}
    payload = Payload(metadata=labels, data=data)
    for size in sizes:
        payload.external_payloads.add(size_bytes=size)
    [shown] = parse_payloads((await ask(codec, KEPT, [payload])).content)
    assert error_of(shown) in ("UnencryptedPayloadError", "DecryptError")


@pytest.mark.parametrize("path", ["/decode", KEPT])
async def test_a_strict_client_gets_no_reference(
    codec: CodecChain, storage: PayloadStorage, path: str
) -> None:
    """A worker with a remote codec would take it for an authentic value."""
    reference = await stored(storage, codec)
    response = await ask(codec, path, [reference], prefer="handling=strict", storage=storage)
    assert (400, "UnencryptedPayloadError") == (response.status_code, response.json()["type"])


async def test_decode_brings_what_is_in_the_storage(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """The command, which cannot download, shows the payload itself."""
    reference = await stored(storage, codec)
    [sealed] = await codec.encode([PLAIN])
    response = await ask(codec, "/decode", [reference, sealed, reference], storage=storage)
    assert [PLAIN] * 3 == parse_payloads(response.content)


async def test_decode_brings_a_limited_size(codec: CodecChain, storage: PayloadStorage) -> None:
    """What does not fit stays a reference, so that all the rest is shown."""
    large = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(5 << 20))
    wide = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(50_000) * 190)
    references = [await stored(storage, codec, each) for each in (large, PLAIN, wide)]
    batch = [references[0], *references]
    response = await ask(codec, "/decode", batch, storage=storage, deadline=20.0)
    shown = parse_payloads(response.content)
    assert [large, references[0], PLAIN, references[2]] == shown


async def test_decode_does_not_wait_for_a_slow_storage(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """The rest of a history is shown before the command gives up."""
    reference = await stored(storage, codec)
    [sealed] = await codec.encode([PLAIN])
    slow = SlowStorage(storage.objects)
    response = await ask(codec, "/decode", [reference, sealed], storage=slow, deadline=0.5)
    assert [reference, PLAIN] == parse_payloads(response.content)


async def test_decode_says_why_a_payload_cannot_be_had(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """In its place is an error, as for all others."""
    reference = await stored(storage, codec)
    down = DownStorage(storage.objects)
    [shown] = parse_payloads((await ask(codec, "/decode", [reference], storage=down)).content)
    assert "StorageUnavailableError" == error_of(shown)


async def test_download_returns_what_was_stored(codec: CodecChain, storage: PayloadStorage) -> None:
    """What the web UI sends for a click is answered with the decoded payload, in order."""
    other = Payload(metadata={"encoding": b"json/plain"}, data=b'"another"')
    references = [await stored(storage, codec, each) for each in (PLAIN, other)]
    path = "/download?preserveStorageRefs=true"
    response = await ask(codec, path, references, storage=storage)
    assert [PLAIN, other] == parse_payloads(response.content)
    assert PAGE == response.headers["access-control-allow-origin"]


async def test_download_reads_an_encoded_reference(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """Later SDKs have references encoded, under a mark of their own."""
    reference = await stored(storage, codec)
    [encoded] = await codec.encode([reference])
    encoded.metadata[MARKER] = b"true"
    encoded.external_payloads.extend(reference.external_payloads)
    response = await ask(codec, "/download", [encoded], storage=storage)
    assert [PLAIN] == parse_payloads(response.content)
    response = await ask(codec, KEPT, [encoded], storage=storage)
    assert [reference] == parse_payloads(response.content)


async def test_a_mark_makes_no_reference(codec: CodecChain, storage: PayloadStorage) -> None:
    """What is marked and is another value is refused."""
    [marked] = await codec.encode([PLAIN])
    marked.metadata[MARKER] = b"true"
    response = await ask(codec, "/download", [marked], storage=storage)
    assert 400 == response.status_code
    [shown] = parse_payloads((await ask(codec, KEPT, [marked])).content)
    assert "PayloadError" == error_of(shown)


async def test_download_takes_references_only(codec: CodecChain, storage: PayloadStorage) -> None:
    """A payload that is none makes the request fail: what is saved to a file must be true."""
    reference = await stored(storage, codec)
    [sealed] = await codec.encode([PLAIN])
    response = await ask(codec, "/download", [reference, sealed], storage=storage)
    assert (400, True) == (response.status_code, "no reference" in response.json()["error"])


async def test_download_stays_in_the_storage(codec: CodecChain, storage: PayloadStorage) -> None:
    """A reference that leads out of it is refused, and nothing is read."""
    reference = await stored(storage, codec)
    message = json.loads(reference.data)
    message["claimData"]["key"] = "v0/../../etc/d/sha256/" + "0" * 64
    reference.data = json.dumps(message).encode()
    response = await ask(codec, "/download", [reference], storage=storage)
    assert (400, True) == (response.status_code, "malformed" in response.json()["error"])


async def test_download_notices_a_changed_object(
    codec: CodecChain, storage: PayloadStorage, folder: Path
) -> None:
    """What has another hash than the reference says is refused."""
    reference = await stored(storage, codec)
    change_file(folder)
    response = await ask(codec, "/download", [reference], storage=storage, prefer="handling=strict")
    assert (400, "StoredPayloadError") == (response.status_code, response.json()["type"])


async def test_download_refuses_plaintext(codec: CodecChain, storage: PayloadStorage) -> None:
    """Who writes to storage and database, but has no key, gets nothing shown; nor by a chain."""
    reference = await stored(storage, codec)
    lax = replace(storage, require_sealed=False)
    for planted in (PLAIN, reference):
        [claim] = await lax.store([planted], OWNER)
        forged = Payload()
        forged.CopyFrom(reference)
        forged.data = json.dumps({"driverName": "x", "claimData": claim}).encode()
        response = await ask(
            codec, "/download", [forged], storage=storage, prefer="handling=strict"
        )
        assert (400, "UnencryptedPayloadError") == (response.status_code, response.json()["type"])


async def test_download_works_for_one_namespace(keyring: Keyring, storage: PayloadStorage) -> None:
    """A payload of another namespace is not decoded for the one that is named."""
    reference = await stored(storage, EncryptionCodec(keyring, namespace="orders"))
    codec = EncryptionCodec(keyring)
    async with client_of(codec, storage=storage, namespace=None) as client:
        body = format_payloads([reference])
        statuses = [
            (
                await client.post("/download", content=body, headers={"X-Namespace": name})
            ).status_code
            for name in ("orders", "billing")
        ]
    assert [200, 400] == statuses


async def test_download_is_bounded(codec: CodecChain, storage: PayloadStorage) -> None:
    """References to one large payload do not fill the memory."""
    large = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(100_000) * 200)
    reference = await stored(storage, codec, large)
    response = await ask(codec, "/download", [reference] * 4, storage=storage)
    assert (413, True) == (response.status_code, "ask for fewer" in response.json()["error"])


async def test_download_has_a_deadline_of_its_own(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """It may take longer than a decode, and not for ever."""
    reference = await stored(storage, codec)
    slow = SlowStorage(storage.objects)
    response = await ask(codec, "/download", [reference], storage=slow, download_deadline=0.2)
    assert (504, True) == (response.status_code, "0.2 s" in response.json()["error"])
    with pytest.raises(ConfigurationError):
        codec_app(codec, token=None, download_deadline=0.0)


async def test_download_tells_that_the_storage_is_down(
    codec: CodecChain, storage: PayloadStorage
) -> None:
    """It is 503, after which the web UI tries again."""
    reference = await stored(storage, codec)
    down = DownStorage(storage.objects)
    response = await ask(codec, "/download", [reference], storage=down)
    assert (503, "1") == (response.status_code, response.headers["retry-after"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong-wrong-wrong-wrong"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Authorization": "Bearer correct-horse-battery-staple", "X-Namespace": "other"}, 403),
        ({"Authorization": "Bearer correct-horse-battery-staple", "Content-Type": "a/b"}, 415),
        ({"Authorization": "Bearer correct-horse-battery-staple"}, 200),
    ],
)
async def test_download_asks_who_it_is(
    codec: CodecChain,
    storage: PayloadStorage,
    token: str,
    headers: dict[str, str],
    status: int,
) -> None:
    """Token, origin, namespace and type are checked as for the other routes."""
    body = format_payloads([await stored(storage, codec)])
    async with client_of(codec, storage=storage, token=BearerToken(token)) as client:
        response = await client.post("/download", content=body, headers=headers)
    assert status == response.status_code


async def test_a_download_is_logged(
    codec: CodecChain, storage: PayloadStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """The line tells of the route and the number of payloads, and no name of an object."""
    reference = await stored(storage, codec)
    with caplog.at_level(logging.INFO, "sealwire.server"):
        await ask(codec, "/download", [reference], storage=storage)
    [line] = [item.getMessage() for item in caplog.records if item.name == "sealwire.server"]
    assert line.startswith("POST download namespace=default payloads=1 status=200 ms=")
    assert "sha256" not in line

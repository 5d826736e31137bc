from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx2
import pytest

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PayloadCodec,
    PolicyMode,
)
from sealwire.errors import (
    ConfigurationError,
    KeyProviderUnavailableError,
    PayloadTooLargeError,
    SealwireError,
)
from sealwire.keys import Key, Keyring, KeySet, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.server import codec_app, running
from sealwire.server.problems import RequestError
from sealwire.server.transcoder import Transcoder
from sealwire.wire import format_payloads, parse_payloads

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKER = b"plaintext-marker"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"%s"' % MARKER)


async def ask(
    codec: PayloadCodec,
    path: str,
    payloads: Sequence[Payload],
    *,
    namespace: str | None = None,
    accept_namespaces: Sequence[str] = (),
    deadline: float = 2.0,
    named: str | None = None,
) -> httpx2.Response:
    """Ask a server of its own for `codec`."""
    app = codec_app(
        codec,
        token=None,
        origins=["http://ui.example"],
        namespace=namespace,
        accept_namespaces=accept_namespaces,
        deadline=deadline,
    )
    headers = {"Content-Type": "application/json", "Origin": "http://ui.example"}
    if named is not None:
        headers["X-Namespace"] = named
    async with running(app) as url, httpx2.AsyncClient(headers=headers) as client:
        return await client.post(f"{url}{path}", content=format_payloads(payloads))


@dataclass(frozen=True)
class FailingCodec:
    """Fails on every payload, after which it would return plaintext."""

    error: Exception

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        raise self.error

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        raise self.error


class BrokenContextCodec(CompressionCodec):
    """Cannot be asked for a namespace."""

    def with_context(self, context: Any) -> Self:
        raise RuntimeError(f"cannot handle {MARKER.decode()}")


class MiscountingCodec:
    """Loses one payload of each batch."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads[1:])

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads[1:])


class HangingCodec:
    """Waits for something that never comes."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        await asyncio.Event().wait()
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self.encode(payloads)


class DownProvider:
    """A key provider that cannot be reached."""

    async def snapshot(self, tenant: str) -> KeySet:
        raise KeyProviderUnavailableError("the key service is down; start it")

    async def get(self, key_id: str, tenant: str) -> Key:
        raise KeyProviderUnavailableError("the key service is down; start it")

    async def aclose(self) -> None:
        """Do nothing."""


async def test_encodes_and_decodes(client: httpx2.AsyncClient, codec: CodecChain) -> None:
    """The server seals as the worker's chain does, and the worker reads it."""
    response = await client.post("/encode", content=format_payloads([PLAIN]))
    [sealed] = parse_payloads(response.content)
    assert b"binary/sealed-v1" == sealed.metadata.get("encoding")
    assert MARKER not in sealed.SerializeToString()
    assert [PLAIN] == await codec.decode([sealed])
    response = await client.post("/decode", content=response.content)
    assert [PLAIN] == parse_payloads(response.content)


async def test_one_bad_payload_hides_no_other(
    client: httpx2.AsyncClient, codec: CodecChain
) -> None:
    """A payload that was changed comes back as an error, in its place, among the good ones."""
    sealed = await codec.encode([PLAIN] * 20)
    sealed[17].data = sealed[17].data[:-1] + bytes([sealed[17].data[-1] ^ 1])
    response = await client.post("/decode", content=format_payloads(sealed))
    assert 200 == response.status_code
    decoded = parse_payloads(response.content)
    bad = decoded.pop(17)
    assert [PLAIN] * 19 == decoded
    assert b"json/plain" == bad.metadata.get("encoding")
    shown = json.loads(bad.data)
    assert {"type": "DecryptError", "keyId": "k1"} == {k: shown[k] for k in ("type", "keyId")}
    assert "not authentic" in shown["error"]


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (PLAIN, "UnencryptedPayloadError"),
        (Payload(metadata={"encoding": b"binary/sealed-v1"}), "DecryptError"),
        (Payload(metadata={"encoding": b"binary/encrypted"}, data=bytes(40)), "DecryptError"),
        (Payload(), "UnencryptedPayloadError"),
    ],
)
async def test_an_error_payload_shows_no_content(
    client: httpx2.AsyncClient, payload: Payload, error: str
) -> None:
    """What is shown is the kind of the error, and nothing of the payload."""
    response = await client.post("/decode", content=format_payloads([payload]))
    [shown] = parse_payloads(response.content)
    assert (200, error) == (response.status_code, json.loads(shown.data)["type"])
    assert MARKER not in shown.SerializeToString()


async def test_a_key_of_others_is_named(client: httpx2.AsyncClient) -> None:
    """The id of a key that the server lacks is shown, so that somebody can look for it."""
    other = EncryptionCodec(
        Keyring(StaticKeyProvider(Key.generate("their-key"))), namespace="default"
    )
    sealed = await other.encode([PLAIN])
    response = await client.post("/decode", content=format_payloads(sealed))
    [shown] = parse_payloads(response.content)
    expected = {"type": "KeyNotFoundError", "keyId": "their-key"}
    assert expected == {name: json.loads(shown.data)[name] for name in expected}


@pytest.mark.parametrize("path", ["/encode", "/decode"])
async def test_the_text_of_a_foreign_error_is_not_shown(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that is not ours may hold plaintext: neither client nor log gets its text."""
    codec = FailingCodec(RuntimeError(f"cannot handle {MARKER.decode()}"))
    with caplog.at_level(logging.INFO):
        response = await ask(codec, path, [PLAIN])
    text = response.text if path == "/encode" else str(parse_payloads(response.content))
    assert "see the log" in text
    assert MARKER.decode() not in text + caplog.text
    assert "RuntimeError raised at " in caplog.text
    assert "http://ui.example" == response.headers["access-control-allow-origin"]


@pytest.mark.parametrize("path", ["/encode", "/decode"])
async def test_an_unforeseen_error_is_an_answer_too(path: str) -> None:
    """Whatever goes wrong, a page gets a status and the headers that let it read that."""
    response = await ask(BrokenContextCodec(), path, [PLAIN], named="default")
    assert (500, ["error"]) == (response.status_code, list(response.json()))
    assert MARKER.decode() not in response.text
    assert "http://ui.example" == response.headers["access-control-allow-origin"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyProviderUnavailableError("the provider is down"), 503),
        (PayloadTooLargeError("too large"), 413),
        (ConfigurationError("wrong"), 500),
        (SealwireError("wrong"), 500),
        (RuntimeError("wrong"), 500),
    ],
)
async def test_a_failed_encode_is_an_error_status(error: Exception, status: int) -> None:
    """Encoding that fails returns no payload at all."""
    response = await ask(FailingCodec(error), "/encode", [PLAIN])
    assert (status, ["error"]) == (response.status_code, list(response.json()))
    assert "http://ui.example" == response.headers["access-control-allow-origin"]


async def test_keys_that_cannot_be_loaded_are_a_service_unavailable() -> None:
    """While the key provider is down, encoding is 503 and decoding says why in each payload."""
    codec = EncryptionCodec(Keyring(DownProvider()), namespace="default")
    response = await ask(codec, "/encode", [PLAIN])
    assert (503, "1") == (response.status_code, response.headers["retry-after"])
    assert "start it" in response.json()["error"]
    response = await ask(codec, "/decode", [PLAIN] * 3)
    shown = [json.loads(payload.data) for payload in parse_payloads(response.content)]
    assert ["KeyProviderUnavailableError"] * 3 == [error["type"] for error in shown]


@pytest.mark.parametrize("path", ["/encode", "/decode"])
async def test_a_slow_codec_is_given_up(path: str) -> None:
    """The client gets 504 at the deadline, with the headers that let a page read it."""
    response = await ask(HangingCodec(), path, [PLAIN], deadline=0.05)
    assert 504 == response.status_code
    assert "0.05 s" in response.json()["error"]
    assert "http://ui.example" == response.headers["access-control-allow-origin"]


async def test_a_codec_that_loses_payloads_is_noticed() -> None:
    """The count is always that of the request: the UI shows nothing at all for another."""
    assert 500 == (await ask(MiscountingCodec(), "/encode", [PLAIN] * 2)).status_code
    response = await ask(MiscountingCodec(), "/decode", [PLAIN] * 2)
    shown = [json.loads(payload.data) for payload in parse_payloads(response.content)]
    assert ["SealwireError"] * 2 == [error["type"] for error in shown]


async def test_the_answer_is_bounded(keyring: Keyring) -> None:
    """Small payloads that stand for large ones are refused before they fill the memory."""
    codec = CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="default"))
    large = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(5000) * 400)
    [small] = await codec.encode([large])
    assert len(small.data) < 10_000
    response = await ask(codec, "/decode", [small] * 40)
    assert (413, True) == (response.status_code, "ask for fewer" in response.json()["error"])


@pytest.mark.parametrize("path", ["/encode", "/decode"])
@pytest.mark.parametrize(
    ("named", "status"), [(None, 200), ("default", 200), ("Default", 403), ("other", 403)]
)
async def test_only_the_own_namespace_is_served(
    codec: CodecChain, path: str, named: str | None, status: int
) -> None:
    """A server with a namespace refuses a client that names another, and says which."""
    response = await ask(codec, path, [], namespace="default", named=named)
    assert status == response.status_code
    if status == 403:
        assert "accept_namespaces" in response.json()["error"]


async def test_the_namespace_that_the_client_names_is_sealed(keyring: Keyring) -> None:
    """A codec without a namespace works for the one in the header."""
    codec = EncryptionCodec(keyring)
    sealed = await ask(codec, "/encode", [PLAIN], named="orders")
    assert [PLAIN] == await EncryptionCodec(keyring, namespace="orders").decode(
        parse_payloads(sealed.content)
    )
    batch = parse_payloads(sealed.content)
    response = await ask(codec, "/decode", batch, named="orders")
    assert [PLAIN] == parse_payloads(response.content)
    response = await ask(codec, "/decode", batch, named="billing")
    [shown] = parse_payloads(response.content)
    assert "ContextMismatchError" == json.loads(shown.data)["type"]


async def test_a_namespace_of_its_own_needs_no_header(keyring: Keyring) -> None:
    """A server with a namespace gives it to a codec that has none."""
    sealed = await ask(EncryptionCodec(keyring), "/encode", [PLAIN], namespace="orders")
    assert [PLAIN] == await EncryptionCodec(keyring, namespace="orders").decode(
        parse_payloads(sealed.content)
    )


async def test_encoding_without_any_namespace_is_a_bad_request(keyring: Keyring) -> None:
    """Nothing is sealed for an unknown namespace."""
    response = await ask(EncryptionCodec(keyring), "/encode", [PLAIN])
    assert (400, True) == (response.status_code, "namespace" in response.json()["error"])


async def test_an_accepted_namespace_can_be_read_and_not_written(keyring: Keyring) -> None:
    """Payloads from elsewhere are decoded as the policy allows; none is sealed for elsewhere."""
    policy = DecodePolicy(accept_namespaces=frozenset({"old"}))
    codec = EncryptionCodec(keyring, namespace="new", policy=policy)
    sealed = await EncryptionCodec(keyring, namespace="old").encode([PLAIN])
    accept = ["old"]
    response = await ask(
        codec, "/decode", sealed, namespace="new", accept_namespaces=accept, named="old"
    )
    assert [PLAIN] == parse_payloads(response.content)
    response = await ask(
        codec, "/encode", [PLAIN], namespace="new", accept_namespaces=accept, named="old"
    )
    assert 403 == response.status_code


async def test_a_list_of_namespaces_is_a_limit(keyring: Keyring) -> None:
    """A server without a namespace of its own serves those that are listed."""
    codec = EncryptionCodec(keyring)
    statuses = {
        named: (
            await ask(codec, "/encode", [PLAIN], accept_namespaces=["a", "b"], named=named)
        ).status_code
        for named in ("a", "b", "c")
    }
    assert {"a": 200, "b": 200, "c": 403} == statuses


@pytest.mark.parametrize("named", [b"\xff\xfe", b"a\tb", b"\xe2\x80\xa8", b"x" * 1001])
async def test_a_name_that_no_namespace_has_is_a_bad_request(
    client: httpx2.AsyncClient, named: bytes
) -> None:
    """A name that could forge a line of the log is refused."""
    headers = [(b"X-Namespace", named), (b"Content-Type", b"application/json")]
    token = client.headers["Authorization"].encode()
    async with httpx2.AsyncClient(headers=[*headers, (b"Authorization", token)]) as other:
        response = await other.post(client.base_url.join("/decode"), content="{}")
    assert 400 == response.status_code


async def test_the_names_of_clients_fill_no_memory(keyring: Keyring) -> None:
    """However many namespaces clients make up, a bounded number of codecs is kept."""
    transcoder = Transcoder(EncryptionCodec(keyring))
    for number in range(1000):
        await transcoder.encode([PLAIN], f"namespace-{number}")
    assert len(transcoder._codecs) <= 64  # pyright: ignore[reportPrivateUsage] - nothing else shows it


async def test_a_codec_of_another_namespace_is_refused_at_start_up(codec: CodecChain) -> None:
    """A server for one namespace cannot run the codec of another."""
    with pytest.raises(ConfigurationError, match="configured for the namespace 'default'"):
        codec_app(codec, token=None, namespace="orders")


async def test_plaintext_passes_where_the_policy_is_open(keyring: Keyring) -> None:
    """While plaintext is being migrated, the UI shows both kinds."""
    policy = DecodePolicy(mode=PolicyMode.OPEN)
    codec = EncryptionCodec(keyring, namespace="default", policy=policy)
    sealed = await codec.encode([PLAIN])
    response = await ask(codec, "/decode", [PLAIN, *sealed])
    assert [PLAIN, PLAIN] == parse_payloads(response.content)


async def test_payloads_that_grow_are_looked_at_one_by_one() -> None:
    """Of many small ones that become large, no more are decoded than there is room for."""

    class Growing:
        decoded = 0

        async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
            return list(payloads)

        async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
            self.decoded += len(payloads)
            return [Payload(data=item.data * 100) for item in payloads]

    growing = Growing()
    small, large = Payload(data=bytes(1_000)), Payload(data=bytes(40_000))
    server = Transcoder(growing, max_answer=9_000_000)
    assert 40 == len(await server.decode([small] * 40, None))
    assert 3 == len(await server.decode([small, large, large], None))
    growing.decoded = 0
    with pytest.raises(RequestError, match="ask for fewer"):
        await server.decode([large] * 16, None)
    assert 3 == growing.decoded

"""A remote codec and servers that fail, lie or wait: scripted, over real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import gzip
import ipaddress
import os
import pty
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sealwire.codecs import RemoteCodec
from sealwire.codecs.remote_http import Connections
from sealwire.errors import (
    CodecUnavailableError,
    ConfigurationError,
    DecryptError,
    KeyDestroyedError,
    PayloadError,
    PayloadTooLargeError,
    SealwireError,
)
from sealwire.payload import Payload
from sealwire.wire import format_payloads, parse_payloads

# pyright: reportPrivateUsage=false

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"plaintext-marker"')
ENCODED = Payload(metadata={"encoding": b"binary/encrypted"}, data=b"ciphertext")
SECRET = "what only the server knows"


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    line: str
    headers: Mapping[str, str]
    body: bytes


Step = Callable[[asyncio.StreamWriter, Received], Awaitable[None]]


@dataclass
class Script:
    """A server that follows a script, one step a request; the last one is for all further ones."""

    steps: list[Step]
    url: str = ""
    received: list[Received] = field(default_factory=list[Received])
    connections: int = 0
    under_way: int = 0
    most_under_way: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    await self._answer(await _read(reader), writer)
        finally:
            writer.close()

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> None:
        self.received.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await step(writer, request)
        finally:
            self.under_way -= 1


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in rest)}
    return Received(line, headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def scripted(*steps: Step, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Script]:
    script = Script(list(steps))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(script.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    script.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(
    status: int = 200,
    body: bytes = format_payloads([ENCODED]),
    kind: str = "application/json",
    **headers: str,
) -> Step:
    """An answer that is complete."""

    async def step(writer: asyncio.StreamWriter, _: Received) -> None:
        lines = {"content-type": kind, "content-length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body)
        await writer.drain()

    return step


def raw(data: bytes) -> Step:
    """Some bytes, after which the connection is closed."""

    async def step(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return step


async def silence(writer: asyncio.StreamWriter, _: Received) -> None:
    await asyncio.Event().wait()


def dripping(head: bytes, drop: bytes) -> Step:
    """One small piece after the other, without an end."""

    async def step(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    return step


async def flood(writer: asyncio.StreamWriter, _: Received, status: int = 200) -> None:
    """A body without an end, as fast as it goes, of a length that is a lie."""
    writer.write(f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\n".encode())
    writer.write(b"content-length: 99999999999\r\n\r\n")
    while True:
        writer.write(bytes(64 * 1024))
        await writer.drain()


@asynccontextmanager
async def codec_for(script: Script, **options: Any) -> AsyncGenerator[RemoteCodec]:
    settings: dict[str, Any] = {"backoff": 0.001, **options}
    codec = RemoteCodec(script.url, **settings)
    try:
        yield codec
    finally:
        await codec.aclose()


async def failure(*steps: Step, **options: Any) -> tuple[SealwireError, int]:
    """What encoding raises, and how many requests were sent."""
    async with scripted(*steps) as script, codec_for(script, **options) as codec:
        with pytest.raises(SealwireError) as caught:
            await codec.encode([PLAIN])
        assert SECRET not in str(caught.value)
        assert "plaintext-marker" not in str(caught.value)
        return caught.value, len(script.received)


async def test_a_request_is_what_the_protocol_says() -> None:
    """Path, headers and body are those of Temporal's other clients."""
    async with scripted(answer()) as script:
        options = {"namespace": "a", "token": "t0", "headers": {"X-Client": "b"}}
        async with codec_for(script, **options) as codec:
            assert [ENCODED] == await codec.encode([PLAIN])
        [request] = script.received
    assert "POST /encode HTTP/1.1" == request.line
    assert [PLAIN] == parse_payloads(request.body)
    expected = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer t0",
        "content-length": str(len(request.body)),
        "content-type": "application/json",
        "host": script.url.removeprefix("http://"),
        "prefer": "handling=strict",
        "user-agent": "sealwire",
        "x-client": "b",
        "x-namespace": "a",
    }
    assert expected == dict(request.headers)


async def test_the_namespace_is_quoted_in_the_path() -> None:
    """A name cannot leave its place in the URL."""
    async with scripted(answer()) as script:
        codec = RemoteCodec(f"{script.url}/x/{{namespace}}/", namespace="a/../b?ü")
        await codec.encode([PLAIN])
        await codec.aclose()
        assert "POST /x/a%2F..%2Fb%3F%C3%BC/encode HTTP/1.1" == script.received[0].line


async def test_a_token_is_asked_for_each_request() -> None:
    """A function may return another token each time."""
    tokens = iter(["first", "second", "not valid"])
    async with scripted(answer()) as script:
        async with codec_for(script, token=lambda: next(tokens), max_payloads=1) as codec:
            await codec.encode([PLAIN, PLAIN])
            with pytest.raises(ConfigurationError, match="bearer token"):
                await codec.encode([PLAIN])
        sent = [request.headers["authorization"] for request in script.received]
    assert ["Bearer first", "Bearer second"] == sent


async def test_a_connection_is_used_again() -> None:
    """One after the other, requests go over one connection."""
    async with scripted(answer()) as script, codec_for(script) as codec:
        for _ in range(5):
            await codec.encode([PLAIN])
        assert 1 == script.connections


async def test_no_more_requests_than_connections() -> None:
    """Further requests wait for their turn."""

    async def later(writer: asyncio.StreamWriter, request: Received) -> None:
        await asyncio.sleep(0.01)
        await answer()(writer, request)

    async with scripted(later) as script, codec_for(script, max_connections=2) as codec:
        await asyncio.gather(*(codec.encode([PLAIN]) for _ in range(10)))
        assert 2 == script.most_under_way


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ({"max_payloads": 4}, [4, 4, 2]),
        ({"max_bytes": 3 * PLAIN.ByteSize()}, [3, 3, 3, 1]),
        ({"max_bytes": 1}, [1] * 10),
    ],
)
async def test_large_batches_go_in_parts(limits: dict[str, int], sizes: list[int]) -> None:
    """Neither limit is exceeded, except by a payload that alone is larger."""

    async def count(writer: asyncio.StreamWriter, request: Received) -> None:
        encoded = [ENCODED] * len(parse_payloads(request.body))
        await answer(body=format_payloads(encoded))(writer, request)

    async with scripted(count) as script, codec_for(script, **limits) as codec:
        assert [ENCODED] * 10 == await codec.encode([PLAIN] * 10)
        assert sizes == [len(parse_payloads(request.body)) for request in script.received]


@pytest.mark.parametrize(
    "step",
    [
        answer(429),
        answer(502, b"<html>", "text/html"),
        answer(503, retry_after="0"),
        answer(504),
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b"\x15\x03\x01\x00\x02\x02\x16"),
        raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    ],
)
async def test_a_passing_fault_is_not_seen(step: Step) -> None:
    """Faults that may pass are tried again, as often as allowed, and not more."""
    async with scripted(step, step, answer()) as script, codec_for(script, retries=2) as codec:
        assert [ENCODED] == await codec.encode([PLAIN])
        assert 3 == len(script.received)
    error, requests = await failure(step, retries=2)
    assert (CodecUnavailableError, 3) == (type(error), requests)


@pytest.mark.parametrize(
    "step",
    [
        silence,
        dripping(b"HTTP/1.1 200 OK\r\n", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", b" "),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
async def test_every_try_ends(step: Step) -> None:
    """A server that says nothing, or that little by little never ends, is given up in time."""
    error, requests = await failure(step, timeout=0.1, retries=1)
    assert (CodecUnavailableError, 2) == (type(error), requests)
    assert "within 0.1 s" in str(error)


async def test_every_call_ends() -> None:
    """All tries and requests together take no longer than the total."""
    error, requests = await failure(silence, timeout=60.0, total_timeout=0.2, retries=50)
    assert (CodecUnavailableError, 1) == (type(error), requests)
    assert "0.2 s" in str(error)


async def test_the_blocking_methods_end_too() -> None:
    """A thread without an event loop is not held by a server that drips."""
    async with scripted(dripping(b"HTTP/1.1 200 OK\r\n", b"x")) as script:
        codec = RemoteCodec(script.url, timeout=0.1, retries=0)
        with pytest.raises(CodecUnavailableError):
            await asyncio.to_thread(codec.decode_sync, [ENCODED])


async def test_a_refused_connection_is_tried_again() -> None:
    """Where nothing listens, the error says that the server cannot be reached."""
    async with scripted(answer()) as script:
        pass
    codec = RemoteCodec(script.url, backoff=0.001)
    with pytest.raises(CodecUnavailableError, match="cannot be reached; check that it runs"):
        await codec.encode([PLAIN])
    await codec.aclose()


@pytest.mark.parametrize(
    "after",
    [
        "3600",
        "99999999999999999999",
        "Fri, 31 Dec 2399 23:59:59 GMT",
        "Fri, 31 Dec 2399 23:59:59 -0000",
    ],
)
async def test_a_long_wait_is_left_to_the_caller(after: str) -> None:
    """A server that wants to be asked much later is not asked sooner, and nothing waits for it."""
    async with asyncio.timeout(5):
        error, requests = await failure(answer(503, retry_after=after))
    assert (CodecUnavailableError, 1) == (type(error), requests)


async def test_a_short_wait_is_respected() -> None:
    """A second that the server asks for passes before the next try."""
    loop = asyncio.get_running_loop()
    async with scripted(answer(429, retry_after="1"), answer()) as script:
        async with codec_for(script) as codec:
            started = loop.time()
            await codec.encode([PLAIN])
        assert 1 <= loop.time() - started


@pytest.mark.parametrize(
    "after",
    [
        *("", "soon", "-1", "1.5", "٣", "Fri, 31 Dec 1999 23:59:59 GMT"),
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
async def test_a_wait_that_is_none_is_ignored(after: str) -> None:
    """What cannot be read, or has passed, is as good as nothing."""
    step = answer(503, retry_after=after.encode().decode("latin-1"))
    async with asyncio.timeout(5), scripted(step, answer()) as script, codec_for(script) as codec:
        assert [ENCODED] == await codec.encode([PLAIN])


async def test_a_date_is_understood() -> None:
    """The other form of the header counts from now."""
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    text = email.utils.format_datetime(later, usegmt=True)
    _, requests = await failure(answer(503, retry_after=text))
    assert 1 == requests


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (201, ConfigurationError),
        (204, ConfigurationError),
        (301, ConfigurationError),
        (307, ConfigurationError),
        (400, PayloadError),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (404, ConfigurationError),
        (405, ConfigurationError),
        (413, PayloadTooLargeError),
        (415, ConfigurationError),
        (422, PayloadError),
        (500, CodecUnavailableError),
        (501, CodecUnavailableError),
    ],
)
async def test_other_statuses_are_final(status: int, expected: type[SealwireError]) -> None:
    """They are not tried again, not followed, and their text is not shown."""
    async with scripted(answer()) as elsewhere:
        location = {"location": f"{elsewhere.url}/encode"}
        body = b"" if status == 204 else SECRET.encode()
        error, requests = await failure(answer(status, body, "text/plain", **location))
        assert (expected, 1) == (type(error), requests)
        assert [] == elsewhere.received


async def test_a_redirect_is_named() -> None:
    """Whoever reads the message knows that the address is one that redirects."""
    error, _ = await failure(answer(302, location="https://elsewhere.example"))
    assert "redirects (status 302)" in str(error)
    assert "elsewhere" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"%s"' % SECRET.encode(),
        b'{"payloads": {}}',
        b'{"payloads": [null]}',
        b'{"payloads": [{"data": "%s"}]}' % SECRET.encode(),
        b'{"%s": []}' % SECRET.encode(),
        b'{"payloads": [{"data": 1}]}',
        b'{"payloads": [{"metadata": {"encoding": "***"}}]}',
        b'{"payloads": [{"metadata": {"\xff": ""}}]}',
        b'{"payloads": [{"externalPayloads": [{"sizeBytes": 99999999999999999999}]}]}',
        b"[" * 100_000,
        format_payloads([]),
        format_payloads([ENCODED] * 2),
    ],
)
async def test_a_wrong_answer_is_no_payload(body: bytes) -> None:
    """What is no JSON, no Payloads or not as many is refused, and not quoted."""
    error, requests = await failure(answer(body=body))
    assert (PayloadError, 1) == (type(error), requests)
    assert len(str(error)) < 200


@pytest.mark.parametrize(
    "kind", ["text/html", "text/plain", "", "application/json2", "multipart/x"]
)
async def test_only_json_is_read(kind: str) -> None:
    """Another content type comes from something that is no codec server."""
    error, requests = await failure(answer(kind=kind))
    assert (ConfigurationError, 1) == (type(error), requests)


async def test_nothing_is_decompressed() -> None:
    """An answer that is compressed although that was declined is not expanded."""
    bomb = gzip.compress(bytes(10_000_000))
    error, _ = await failure(answer(body=bomb, content_encoding="gzip"))
    assert ConfigurationError is type(error)


async def test_an_answer_is_bounded_whatever_it_claims() -> None:
    """Reading stops at the limit."""
    error, requests = await failure(flood, max_answer=1_000_000)
    assert (PayloadTooLargeError, 1) == (type(error), requests)
    assert "1000000 bytes" in str(error)


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_what_is_not_read_to_its_end_is_closed(status: int) -> None:
    """The connection ends with the error, and not with the program."""
    gone = asyncio.Event()

    async def step(writer: asyncio.StreamWriter, request: Received) -> None:
        try:
            await flood(writer, request, status)
        finally:
            gone.set()

    options = {"max_answer": 1000, "retries": 0}
    async with scripted(step) as script, codec_for(script, **options) as codec:
        with pytest.raises(SealwireError):
            await codec.encode([PLAIN])
        async with asyncio.timeout(5):
            await gone.wait()


async def test_an_explanation_is_bounded_too() -> None:
    """An error with a body without an end is still an error, at once."""

    async def endless(writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\n\r\n")
        while True:
            writer.write(b" " * 64 * 1024)
            await writer.drain()

    error, requests = await failure(endless)
    assert (PayloadError, 1) == (type(error), requests)


async def test_a_cause_is_taken_from_a_list() -> None:
    """A server can choose among the errors that we know, and give no text of its own."""
    told = b'{"error": "%s", "type": "KeyDestroyedError", "keyId": "k-1", "index": 0}'
    error, _ = await failure(answer(500, told % SECRET.encode()))
    assert (KeyDestroyedError, "k-1", 0) == (type(error), error.key_id, error.index)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (b'{"type": "SystemExit"}', PayloadError),
        (b'{"type": "SealwireError"}', PayloadError),
        (b'{"type": 1}', PayloadError),
        (b"{", PayloadError),
        (b'"DecryptError"', PayloadError),
        (b'{"type": "DecryptError", "keyId": "a\\nb", "index": 1}', DecryptError),
        (b'{"type": "DecryptError", "keyId": ["a"], "index": -1}', DecryptError),
        (b'{"type": "DecryptError", "keyId": 7, "index": "0"}', DecryptError),
        (b'{"type": "DecryptError", "index": false}', DecryptError),
    ],
)
async def test_a_cause_is_not_believed_blindly(told: bytes, expected: type[SealwireError]) -> None:
    """Unknown causes are ignored, and so are key ids and positions that cannot be."""
    error, _ = await failure(answer(400, told))
    assert (expected, None, None) == (type(error), error.key_id, error.index)


async def test_cookies_are_not_kept() -> None:
    """Nothing that a server sets comes back in the next request."""
    async with scripted(answer(set_cookie="a=b; Path=/")) as script, codec_for(script) as codec:
        for _ in range(2):
            await codec.encode([PLAIN])
        assert "cookie" not in script.received[1].headers


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plaintext and token go to the server that is configured, and nowhere else."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with scripted(answer()) as script, codec_for(script) as codec:
        assert [ENCODED] == await codec.encode([PLAIN])


async def test_cancelled_calls_leave_no_connection_behind() -> None:
    """After many cancelled calls the codec works as before."""
    arrived = asyncio.Semaphore(0)

    async def hang(writer: asyncio.StreamWriter, request: Received) -> None:
        arrived.release()
        await silence(writer, request)

    async with (
        scripted(*[hang] * 8, answer()) as script,
        codec_for(script, max_connections=4) as codec,
    ):
        for _ in range(2):
            tasks = [asyncio.create_task(codec.encode([PLAIN])) for _ in range(4)]
            for _ in tasks:
                await arrived.acquire()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [True] * 4 == [isinstance(one, asyncio.CancelledError) for one in results]
        assert [ENCODED] == await codec.encode([PLAIN])


async def test_a_child_process_leaves_its_parents_connections_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a shared connection each might read the other's answer."""
    async with scripted(answer()) as script, codec_for(script) as codec:
        await codec.encode([PLAIN])
        with monkeypatch.context() as forked:
            forked.setattr("os.getpid", lambda: 1)
            await codec.encode([PLAIN])
            assert 2 == script.connections
            await codec.aclose()
        await codec.encode([PLAIN])
        assert 2 == script.connections


def test_an_abandoned_loop_is_forgotten() -> None:
    """A loop that was closed without its generators leaves nothing when the next one comes."""
    codec = RemoteCodec("http://127.0.0.1:1", retries=0)
    loop = asyncio.new_event_loop()
    with pytest.raises(CodecUnavailableError):
        loop.run_until_complete(codec.encode([PLAIN]))
    loop.close()

    async def next_one() -> int:
        with suppress(CodecUnavailableError):
            await codec.encode([PLAIN])
        return len(codec._connections._pools)

    assert 1 == asyncio.run(next_one())


@dataclass(frozen=True)
class Authority:
    """Certificates for 127.0.0.1, of an authority that nobody else trusts."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def file(self) -> Path:
        file = self.folder / "ca.pem"
        if not file.exists():
            made = self._certificate("ca", self.key, authority=True)
            file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return file

    def issue(self, name: str, address: str = "127.0.0.1") -> Path:
        """A file with a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._certificate(name, key, address=address)
        file = self.folder / f"{name}.pem"
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
        return file

    def _certificate(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        authority: bool = False,
        address: str = "127.0.0.1",
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        issuer, subject = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("ca", name)
        )
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=authority,
            crl_sign=authority,
            encipher_only=False,
            decipher_only=False,
        )
        public = self.key.public_key()
        return (
            x509.CertificateBuilder()
            .issuer_name(issuer)
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)
            .sign(self.key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def server_side(certificate: Path, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_with_an_authority_of_ones_own(authority: Authority) -> None:
    """A certificate of the named authority is accepted, and the connection is kept."""
    tls = server_side(authority.issue("server"))
    async with scripted(answer(), tls=tls) as script:
        async with codec_for(script, ca_file=authority.file) as codec:
            for _ in range(2):
                assert [ENCODED] == await codec.encode([PLAIN])
        assert 1 == script.connections


async def test_a_certificate_of_somebody_else_is_refused(authority: Authority) -> None:
    """Nothing is sent to a server that the system's authorities do not vouch for, nor retried."""
    async with scripted(answer(), tls=server_side(authority.issue("server"))) as script:
        async with codec_for(script) as codec:
            with pytest.raises(ConfigurationError, match="ca_file"):
                await codec.encode([PLAIN])
        assert [] == script.received


async def test_a_certificate_for_another_address_is_refused(authority: Authority) -> None:
    """The server's name is checked, too."""
    tls = server_side(authority.issue("other", "192.0.2.1"))
    async with scripted(answer(), tls=tls) as script:
        async with codec_for(script, ca_file=authority.file) as codec:
            with pytest.raises(ConfigurationError, match="not valid here"):
                await codec.encode([PLAIN])
        assert [] == script.received


async def test_a_client_can_show_a_certificate(authority: Authority) -> None:
    """A server that asks for certificates of clients gets the configured one."""
    tls = server_side(authority.issue("server"), authority.file)
    shown = {"ca_file": authority.file, "client_certificate": authority.issue("client")}
    async with scripted(answer(), tls=tls) as script:
        async with codec_for(script, **shown) as codec:
            assert [ENCODED] == await codec.encode([PLAIN])
        async with codec_for(script, ca_file=authority.file) as codec:
            with pytest.raises(CodecUnavailableError):
                await codec.encode([PLAIN])


ON_A_TERMINAL = """
import os, sys
from sealwire.codecs import RemoteCodec
os.open(os.ttyname(0), os.O_RDWR)  # makes it this session's own, where OpenSSL would ask
try:
    RemoteCodec("https://codec.example.com", client_certificate=sys.argv[1])
except Exception as err:
    print(f"{type(err).__name__} {err}")
"""


def on_a_terminal(*arguments: str) -> str:
    """What a program shows on a terminal where nobody answers: a line, or a question."""
    outside, inside = pty.openpty()
    command = [sys.executable, "-c", ON_A_TERMINAL, *arguments]
    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    ) as process:
        os.close(inside)
        shown = ""
        while not shown.endswith(("\n", "phrase:")):
            shown += os.read(outside, 1000).decode()
        process.kill()
    os.close(outside)
    return shown


def test_an_encrypted_client_key_asks_nobody(authority: Authority, tmp_path: Path) -> None:
    """A key with a passphrase is refused, and not asked for on the terminal."""
    file = tmp_path / "client.pem"
    key = authority.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    file.write_bytes(key + authority.file.read_bytes())
    shown = on_a_terminal(str(file))
    assert shown.startswith("ConfigurationError cannot use client_certificate")


def test_connections_show_no_secret() -> None:
    """What holds the connections says how it is set up, and nothing else."""
    shown = repr(RemoteCodec("http://127.0.0.1:1", token="t0ken")._connections)
    assert shown.startswith(Connections.__name__)
    assert "t0ken" not in shown

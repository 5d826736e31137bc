"""A remote codec and real codec servers: sealwire's own, and one like Temporal's samples."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from google.protobuf import json_format
from starlette.applications import Starlette

from sealwire.codecs import (
    CodecChain,
    CodecKind,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PayloadCodec,
    PolicyMode,
    RemoteCodec,
)
from sealwire.config import RemoteOptions, load_config
from sealwire.errors import (
    CodecUnavailableError,
    ConfigurationError,
    ContextMismatchError,
    DecryptError,
    KeyNotFoundError,
    PayloadError,
    PayloadTooLargeError,
    SealwireError,
    UnencryptedPayloadError,
)
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload, Payloads
from sealwire.server import BearerToken, codec_app, running
from sealwire.testing.codecs import PayloadCodecConformance

TOKEN = "correct-horse-battery-staple"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"plaintext-marker"')


def keyring(key_id: str = "k") -> Keyring:
    return Keyring(StaticKeyProvider(Key(key_id, bytes(range(200, 232)))))


@contextmanager
def served(app: Starlette) -> Generator[str]:
    """Serve `app` in a thread of its own, as another process would."""
    url: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with running(app) as address:
            url.append(address)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield url[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    """A server that seals for the namespace `default`, and wants the token."""
    chain = CodecChain(CompressionCodec(), EncryptionCodec(keyring(), namespace="default"))
    with served(codec_app(chain, token=BearerToken(TOKEN), namespace="default")) as url:
        yield url


@pytest.fixture
async def codec(url: str) -> AsyncGenerator[RemoteCodec]:
    codec = RemoteCodec(url, namespace="default", token=TOKEN)
    yield codec
    await codec.aclose()


class TestRemote(PayloadCodecConformance):
    """The published contract, over HTTP."""

    @pytest.fixture(autouse=True)
    def _at(self, url: str) -> None:
        self.url = url

    def codec(self) -> PayloadCodec:
        return RemoteCodec(self.url, token=TOKEN)


class SampleServer(BaseHTTPRequestHandler):
    """The protocol as Temporal's samples implement it, with a cipher that is none."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        route = self.path.rpartition("/")[2]
        try:
            if self.headers["Content-Type"] != "application/json":
                raise ValueError
            payloads = json_format.Parse(body, Payloads())
            result = [self.convert(route, payload) for payload in payloads.payloads]
        except ValueError:
            self.send_error(400)
            return
        answer = json_format.MessageToJson(Payloads(payloads=result)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def convert(self, route: str, payload: Payload) -> Payload:
        if route == "encode":
            data = payload.SerializeToString()[::-1]
            return Payload(metadata={"encoding": b"binary/encrypted"}, data=data)
        if payload.metadata.get("encoding") != b"binary/encrypted":
            raise ValueError
        return Payload.FromString(payload.data[::-1])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base
        """Say nothing."""


class Listener(ThreadingHTTPServer):
    request_queue_size = 128  # 5 would be too few for tests with many connections at once


@pytest.fixture(scope="module")
def sample_url() -> Generator[str]:
    with Listener(("127.0.0.1", 0), SampleServer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/codecs/{{namespace}}/"
        server.shutdown()
        thread.join()


class TestSample(PayloadCodecConformance):
    """The published contract, with a server that knows nothing of sealwire."""

    @pytest.fixture(autouse=True)
    def _at(self, sample_url: str) -> None:
        self.url = sample_url

    def codec(self) -> PayloadCodec:
        return RemoteCodec(self.url, namespace="default")


async def test_the_server_seals(codec: RemoteCodec) -> None:
    """What is stored is sealed, and whoever has the keys reads it without the server."""
    [sealed] = await codec.encode([PLAIN])
    assert b"binary/sealed-v1" == sealed.metadata.get("encoding")
    assert b"plaintext-marker" not in sealed.SerializeToString()
    local = CodecChain(CompressionCodec(), EncryptionCodec(keyring(), namespace="default"))
    assert [PLAIN] == await local.decode([sealed])
    assert [PLAIN] == await codec.decode(await local.encode([PLAIN]))


async def test_a_changed_payload_is_never_a_value(codec: RemoteCodec) -> None:
    """The web UI would get an error in its place; this codec raises what the server raised."""
    sealed = await codec.encode([PLAIN] * 40)
    sealed[33].data = sealed[33].data[:-1] + bytes([sealed[33].data[-1] ^ 1])
    with pytest.raises(DecryptError) as caught:
        await codec.decode(sealed)
    assert ("k", 33) == (caught.value.key_id, caught.value.index)


async def test_the_position_counts_over_all_requests(url: str) -> None:
    """With small requests, too, the error names the payload's position in the whole batch."""
    codec = RemoteCodec(url, token=TOKEN, max_payloads=2)
    sealed = await codec.encode([PLAIN] * 5)
    sealed[4].data = sealed[4].data[:-1]
    with pytest.raises(DecryptError) as caught:
        await codec.decode(sealed)
    assert 4 == caught.value.index
    await codec.aclose()


async def test_plaintext_is_refused_by_the_policy_of_the_server(codec: RemoteCodec) -> None:
    """What is not sealed is refused, and the error does not quote it."""
    with pytest.raises(UnencryptedPayloadError) as caught:
        await codec.decode([PLAIN])
    assert "plaintext-marker" not in str(caught.value)


async def test_an_unknown_key_is_one(codec: RemoteCodec) -> None:
    """A key that the server lacks is named as it is by a codec with keys."""
    sealed = await EncryptionCodec(keyring("elsewhere"), namespace="default").encode([PLAIN])
    with pytest.raises(KeyNotFoundError) as caught:
        await codec.decode(sealed)
    assert "elsewhere" == caught.value.key_id


async def test_another_namespaces_payload_is_one(codec: RemoteCodec) -> None:
    """A payload that was sealed for another namespace gives the error that says so."""
    sealed = await EncryptionCodec(keyring(), namespace="other").encode([PLAIN])
    with pytest.raises(ContextMismatchError):
        await codec.decode(sealed)


async def test_a_wrong_token_is_a_wrong_configuration(url: str) -> None:
    """Status 401 tells to check the token, and shows none."""
    codec = RemoteCodec(url, token="wrong-horse-battery-staple")
    with pytest.raises(ConfigurationError, match="check it") as caught:
        await codec.encode([PLAIN])
    assert "horse" not in str(caught.value)
    assert "horse" not in repr(codec)
    await codec.aclose()


async def test_another_namespace_is_not_served(url: str) -> None:
    """The namespace is sent, and a server for another one refuses."""
    codec = RemoteCodec(url, token=TOKEN).with_context(SimpleNamespace(namespace="other"))
    with pytest.raises(ConfigurationError, match="namespace"):
        await codec.encode([PLAIN])
    await codec.aclose()


async def test_the_namespace_is_sent_in_utf8() -> None:
    """A name that is not ASCII reaches the server as it is."""
    chain = EncryptionCodec(keyring())
    async with running(codec_app(chain, token=None)) as url:
        codec = RemoteCodec(url).with_context(SimpleNamespace(namespace="bücher"))
        sealed = await codec.encode([PLAIN])
        assert [PLAIN] == await EncryptionCodec(keyring(), namespace="bücher").decode(sealed)
        await codec.aclose()


async def test_a_server_without_keys_can_be_asked_again() -> None:
    """A server whose key provider is down gives the error that is worth retrying."""

    class Down(RemoteCodec):
        async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
            raise CodecUnavailableError("down")

    async with running(codec_app(Down("http://127.0.0.1:1"), token=None)) as url:
        codec = RemoteCodec(url, retries=0)
        with pytest.raises(CodecUnavailableError, match="status 503"):
            await codec.encode([PLAIN])
        await codec.aclose()


async def test_a_server_that_encodes_nothing_is_refused() -> None:
    """Plaintext that comes back unchanged would be stored; it is an error unless allowed."""
    async with running(codec_app(CodecChain(), token=None)) as url:
        codec = RemoteCodec(url)
        with pytest.raises(PayloadError, match="json/plain unchanged") as caught:
            await codec.encode([Payload(metadata={"encoding": b"x/own"}, data=b"1"), PLAIN])
        assert 1 == caught.value.index
        await codec.aclose()
        careless = RemoteCodec(url, allow_unencrypted=True)
        assert [PLAIN] == await careless.encode([PLAIN])
        await careless.aclose()


async def test_too_large_a_request_says_what_to_do() -> None:
    """The server's limit for a body is named as the cause."""
    async with running(codec_app(EncryptionCodec(keyring(), "a"), token=None, max_body=100)) as url:
        codec = RemoteCodec(url)
        with pytest.raises(PayloadTooLargeError, match="max_bytes"):
            await codec.encode([Payload(data=bytes(1000))])
        await codec.aclose()


async def test_no_payloads_need_no_server() -> None:
    """An empty batch sends nothing."""
    assert [] == await RemoteCodec("http://127.0.0.1:1").encode([])


async def test_it_can_be_used_after_aclose(codec: RemoteCodec) -> None:
    """Closing ends the connections, and the next call opens new ones."""
    sealed = await codec.encode([PLAIN])
    await codec.aclose()
    await codec.aclose()
    assert [PLAIN] == await codec.decode(sealed)


def test_each_event_loop_has_its_connections(url: str) -> None:
    """One codec serves loop after loop, and keeps nothing of those that have ended."""
    codec = RemoteCodec(url, token=TOKEN)
    for _ in range(3):
        sealed = asyncio.run(codec.encode([PLAIN]))
        assert [PLAIN] == asyncio.run(codec.decode(sealed))
    assert {} == codec._connections._pools  # pyright: ignore[reportPrivateUsage]


async def test_the_blocking_methods_work_inside_a_loop(codec: RemoteCodec) -> None:
    """A caller that has an event loop may block it."""
    assert [PLAIN] == codec.decode_sync(codec.encode_sync([PLAIN]))


FORKED = """
import asyncio, os, sys
from sealwire.codecs import RemoteCodec
from sealwire.payload import Payload
codec = RemoteCodec(sys.argv[1], token=sys.argv[2])
payload = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
with asyncio.Runner() as runner:
    sealed = runner.run(codec.encode([payload]))
    child = os.fork()
    if child == 0:
        os._exit(0 if asyncio.run(codec.decode(sealed)) == [payload] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert runner.run(codec.decode(sealed)) == [payload]
print("good")
"""


def test_it_survives_a_fork(url: str) -> None:
    """Parent and child go on, each over connections of its own."""
    command = [sys.executable, "-W", "error", "-c", FORKED, url, TOKEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ("good\n", "") == (done.stdout, done.stderr)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the HTTP client, the error says what to install."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[remote\]'"):
        RemoteCodec("http://127.0.0.1:1")


def test_it_takes_the_place_of_encryption() -> None:
    """In a chain it comes after compression, and not beside an encryption."""
    codec = RemoteCodec("http://127.0.0.1:1")
    assert CodecKind.ENCRYPT is codec.kind
    assert 2 == len(CodecChain(CompressionCodec(), codec).codecs)
    with pytest.raises(ConfigurationError, match="right order"):
        CodecChain(codec, CompressionCodec())
    with pytest.raises(ConfigurationError, match="encrypt twice"):
        CodecChain(EncryptionCodec(keyring()), codec)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "codec.example.com",
        "ftp://codec.example.com",
        "https://",
        "https://user:secret@codec.example.com",
        "https://codec.example.com/?token=secret",
        "https://codec.example.com/#secret",
        "https://codec.example.com:port",
        "https://codec.example.com/a b",
        "https://codec.example.com\\@other",
        "https://bücher.example",
        "https://{namespace}.example.com",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """The error shows the form that is right, and not the address, which may hold a secret."""
    with pytest.raises(ConfigurationError, match=r"https://codec\.example\.com/orders") as caught:
        RemoteCodec(url)
    assert "secret" not in str(caught.value)


def test_no_secret_leaves_the_process() -> None:
    """Neither the token nor a header is in a pickle or in the attributes of a codec."""
    token = RemoteCodec("http://127.0.0.1:1", token=TOKEN)
    header = RemoteCodec("http://127.0.0.1:1", headers={"Authorization": f"Basic {TOKEN}"})
    for codec in (token, header):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(codec)
        assert TOKEN not in repr(codec)
    assert TOKEN not in repr(vars(token))


@pytest.mark.parametrize(
    "url", ["http://codec.example.com", "http://10.0.0.1/", "http://[fe80::1]"]
)
def test_plain_http_is_for_this_machine(url: str) -> None:
    """Without TLS only loopback is possible, unless insecure connections are asked for."""
    with pytest.raises(ConfigurationError, match="allow_insecure"):
        RemoteCodec(url, token=TOKEN)
    assert url == RemoteCodec(url, token=TOKEN, allow_insecure=True).url


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1/x", "http://[::1]:8081"])
def test_loopback_needs_no_tls(url: str) -> None:
    """The addresses of this machine are accepted without TLS."""
    assert url == RemoteCodec(url).url


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": "two words"}, "a bearer token consists of"),
        ({"token": "a\r\nb"}, "a bearer token consists of"),
        ({"namespace": "a\nb"}, "namespace must be printable"),
        ({"namespace": ""}, "namespace must be printable"),
        ({"namespace": " a"}, "namespace must be printable"),
        ({"namespace": "a" * 1001}, "more than 1000"),
        ({"headers": {"x y": "secret"}}, "'x y' cannot be sent"),
        ({"headers": {"x": "secret\r\ny: z"}}, "'x' cannot be sent"),
        ({"headers": {"Content-Length": "1"}}, "'Content-Length' is set by the codec"),
        ({"headers": {"X-Namespace": "a"}}, "'X-Namespace' is set by the codec"),
        ({"timeout": 0}, "timeout must be"),
        ({"total_timeout": float("nan")}, "total_timeout must be"),
        ({"connect_timeout": float("inf")}, "connect_timeout must be"),
        ({"retries": -1}, "retries and backoff"),
        ({"backoff": -1.0}, "retries and backoff"),
        ({"max_payloads": 0}, "max_payloads must be"),
        ({"max_bytes": 0}, "max_bytes must be"),
        ({"max_answer": 0}, "max_answer must be"),
        ({"max_connections": 0}, "max_connections must be"),
        ({"ca_file": Path("/nowhere.pem")}, "cannot use ca_file /nowhere.pem: No such file"),
        ({"ca_file": Path(__file__)}, "cannot use ca_file"),
        ({"client_certificate": Path("/nowhere.pem")}, "cannot use client_certificate"),
        ({"client_key": Path("/nowhere.pem")}, "needs client_certificate"),
    ],
)
def test_impossible_parameters_are_refused(options: dict[str, object], message: str) -> None:
    """Each is named when the codec is made, and no secret with it."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        RemoteCodec("https://codec.example.com", **options)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert "secret" not in str(caught.value)


def test_a_context_selects_the_namespace() -> None:
    """The context's namespace is taken where none is configured, and compared where one is."""
    codec = RemoteCodec("http://127.0.0.1:1")
    bound = codec.with_context(SimpleNamespace(namespace="a"))
    assert (None, "a") == (codec.namespace, bound.namespace)
    assert bound is bound.with_context(SimpleNamespace(namespace="a"))
    assert bound is bound.with_context(SimpleNamespace(namespace="ReplayNamespace"))
    assert bound is bound.with_context(SimpleNamespace())
    assert RemoteCodec("http://127.0.0.1:1", namespace="a") == bound
    with pytest.raises(ConfigurationError, match="'a', and the client works in 'b'"):
        bound.with_context(SimpleNamespace(namespace="b"))


async def test_a_url_with_a_namespace_needs_one() -> None:
    """Nothing is sent to an address that is not complete."""
    with pytest.raises(ConfigurationError, match="set `namespace`"):
        await RemoteCodec("http://127.0.0.1:1/{namespace}").encode([PLAIN])


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "codec.token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return file


async def test_the_configuration_needs_no_keyring(
    url: str, token_file: Path, tmp_path: Path
) -> None:
    """A chain with a remote codec encrypts, although there is no keyring anywhere."""
    file = tmp_path / "sealwire.toml"
    file.write_text(
        'namespace = "default"\n[[codec]]\ntype = "compression"\n'
        f'[[codec]]\ntype = "remote"\nurl = "{url}"\ntoken_file = "codec.token"\n'
    )
    config = load_config(file)
    await config.load_keys()
    converter = config.data_converter("default")
    sealed = await converter.encode(["value"])
    assert b"binary/sealed-v1" == sealed[0].metadata.get("encoding")
    assert ["value"] == await converter.decode(sealed, [str])

    token_file.write_text("wrong-horse-battery-staple")  # noqa: ASYNC240 - a few bytes
    with pytest.raises(ConfigurationError, match="refuses the token"):
        await converter.encode(["value"])
    remote = config.codec().codecs[1]
    assert isinstance(remote, RemoteCodec)
    await remote.aclose()  # of the other codecs too: they share them


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "url: is required"),
        ('url = "http://codec.example.com"', "allow_insecure = true"),
        ('url = "https://codec.example.com"\ntoken = "x"', "token: unknown key"),
        ('url = "https://codec.example.com"\ntoken_file = "none"', "none does not exist"),
        ('url = "https://codec.example.com"\ntimeout = 0', "timeout must be"),
    ],
)
def test_faults_of_the_configuration_are_named(text: str, message: str, tmp_path: Path) -> None:
    """A section that cannot work is refused with its place."""
    file = tmp_path / "sealwire.toml"
    file.write_text(f'[[codec]]\ntype = "remote"\n{text}\n')
    with pytest.raises(ConfigurationError, match=r"codec\[0\].*" + message):
        load_config(file)


def test_the_configuration_has_the_defaults_of_the_codec() -> None:
    """A key that is left out means the same in the file and in code."""
    codec = {item.name: item.default for item in fields(RemoteCodec)}
    own = {"url", "token_file", "_codec"}
    assert {} == {
        item.name: item.default
        for item in fields(RemoteOptions)
        if item.name not in own and item.default != codec[item.name]
    }


async def test_only_those_who_ask_get_strict_answers(url: str) -> None:
    """A sealwire server fails as a whole for `Prefer: handling=strict`, and says that it did."""
    import httpx2

    sealed = await EncryptionCodec(keyring(), namespace="default").encode([PLAIN])
    sealed[0].data = sealed[0].data[:-1]
    body = json_format.MessageToJson(Payloads(payloads=sealed))
    good = json_format.MessageToJson(Payloads())
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        lenient = await client.post("/decode", content=body)
        prefer = {"Prefer": "wait=1, Handling=Strict; x=y"}
        strict = await client.post("/decode", content=body, headers=prefer)
        applied = await client.post("/decode", content=good, headers=prefer)
    assert (200, None) == (lenient.status_code, lenient.headers.get("preference-applied"))
    assert 400 == strict.status_code
    told = json.loads(strict.content)
    assert ("DecryptError", "k", 0) == (told["type"], told["keyId"], told["index"])
    assert (200, "handling=strict") == (
        applied.status_code,
        applied.headers.get("preference-applied"),
    )


def test_its_error_is_its_own_branch() -> None:
    """An unreachable server says nothing about keys or payloads."""
    assert (SealwireError,) == CodecUnavailableError.__bases__


async def test_a_policy_of_the_server_decides_about_plaintext() -> None:
    """While a fleet migrates, the server lets plaintext through on decode."""
    open_ = EncryptionCodec(keyring(), "default", DecodePolicy(PolicyMode.MIGRATE))
    async with running(codec_app(open_, token=None)) as url:
        codec = RemoteCodec(url)
        assert [PLAIN] == await codec.decode([PLAIN])
        await codec.aclose()

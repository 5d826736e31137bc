"""Payloads that carry their key, with a real client of AWS KMS: against moto, and through a relay.

The relay stands between the client and moto, and can be down, slow or refuse.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from sealwire.codecs import EnvelopeEncryptionCodec
from sealwire.errors import DecryptError, KeyProviderUnavailableError
from sealwire.keys import DataKeys
from sealwire.keys.aws import AwsKmsWrapper
from sealwire.payload import Payload
from sealwire.testing import FakeClock, free_port

REGION: Final = "eu-central-1"
PLAIN: Final = Payload(metadata={"encoding": b"json/plain"}, data=b'"the secret of the house"')
MOTO: Final = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
# It has the ARN, the address and the namespace, and nothing else of the process that seals.
READER: Final = """
import sys
from sealwire.codecs import EnvelopeEncryptionCodec
from sealwire.keys import DataKeys
from sealwire.keys.aws import AwsKmsWrapper
from sealwire.payload import Payload

arn, address = sys.argv[1:]
keys = DataKeys(AwsKmsWrapper(arn, endpoint_url=address), read_only=True)
codec = EnvelopeEncryptionCodec(keys, namespace="orders")
[payload] = codec.decode_sync([Payload.FromString(bytes.fromhex(sys.stdin.read()))])
print(payload.data.decode())
"""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))


@pytest.fixture(scope="module")
def moto() -> Generator[str]:
    """The address of an emulated KMS."""
    with subprocess.Popen(
        [sys.executable, "-c", MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


@pytest.fixture
def make_key(moto: str) -> Callable[[], str]:
    """Makes a key in the emulated KMS and returns its ARN."""

    def make() -> str:
        session: Any = import_module("boto3.session").Session()
        client = session.client("kms", region_name=REGION, endpoint_url=moto)
        arn: str = client.create_key()["KeyMetadata"]["Arn"]
        client.close()
        return arn

    return make


class Relay(ThreadingHTTPServer):
    """Passes calls on to a KMS, unless a test says otherwise, and counts them."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Passes)
        self.target = urlsplit(target).netloc
        self.refusal: tuple[int, str] | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.calls: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are no news."""


class Passes(BaseHTTPRequestHandler):
    server: Relay  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append(self.headers["X-Amz-Target"].partition(".")[2])
        self.server.hold.wait(10)
        if self.server.refusal is None:
            status, answer = self.passed_on(body)
        else:
            status, code = self.server.refusal
            answer = json.dumps({"__type": code, "message": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def passed_on(self, body: bytes) -> tuple[int, bytes]:
        target = http.client.HTTPConnection(self.server.target, timeout=10)
        names = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")
        target.request("POST", "/", body, {name: self.headers[name] for name in names})
        response = target.getresponse()
        answer = response.read()
        target.close()
        return response.status, answer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base
        """Say nothing."""


@pytest.fixture
def relay(moto: str) -> Generator[Relay]:
    """A KMS between which and the client something may go wrong."""
    with Relay(moto) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.hold.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def kms(relay: Relay, make_key: Callable[[], str]) -> AwsKmsWrapper:
    """A new key, by way of the relay; one try, so that outages are short."""
    address = f"http://127.0.0.1:{relay.server_port}"
    return AwsKmsWrapper(make_key(), endpoint_url=address, retries=0)


def codec_of(*keys: AwsKmsWrapper, **options: Any) -> EnvelopeEncryptionCodec:
    """The codec of another process."""
    return EnvelopeEncryptionCodec(DataKeys(keys, **options), namespace="orders")


def test_another_process_reads_with_nothing_but_the_kms(
    moto: str, make_key: Callable[[], str]
) -> None:
    """What one process seals, another one opens that knows the key's ARN and the namespace."""
    arn = make_key()
    [outer] = codec_of(AwsKmsWrapper(arn, endpoint_url=moto)).encode_sync([PLAIN])

    run = subprocess.run(
        [sys.executable, "-c", READER, arn, moto],
        input=outer.SerializeToString().hex(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (PLAIN.data.decode() + "\n", "") == (run.stdout, run.stderr)


def test_the_kms_is_asked_once_for_many_payloads(relay: Relay, kms: AwsKmsWrapper) -> None:
    """Twice to make a key, which is unwrapped again to be sure, and once to read with it."""
    outer = codec_of(kms).encode_sync([PLAIN] * 1000)
    assert ["Encrypt", "Decrypt"] == relay.calls

    assert [PLAIN] * 1000 == codec_of(kms).decode_sync(outer)
    assert ["Encrypt", "Decrypt", "Decrypt"] == relay.calls


async def test_many_cold_readers_at_once_make_one_call(relay: Relay, kms: AwsKmsWrapper) -> None:
    """A thousand tasks of one event loop that want the same data key."""
    outer = await codec_of(kms).encode([PLAIN])
    relay.calls.clear()
    reader = codec_of(kms)

    assert [[PLAIN]] * 1000 == await asyncio.gather(*(reader.decode(outer) for _ in range(1000)))
    assert ["Decrypt"] == relay.calls


def test_wraps_of_another_key_of_the_account_are_refused(
    relay: Relay, kms: AwsKmsWrapper, make_key: Callable[[], str]
) -> None:
    """The KMS would know them; it is told which key it may use."""
    other = replace(kms, key_id=make_key())
    [outer] = codec_of(other).encode_sync([PLAIN])
    name, own = asyncio.run(other.name()).encode(), asyncio.run(kms.name()).encode()
    wraps = outer.metadata["encryption-wrapped-key"]
    assert len(own) == len(name)
    outer.metadata["encryption-wrapped-key"] = wraps.replace(name, own)

    with pytest.raises(DecryptError):
        codec_of(kms).decode_sync([outer])
    assert "Decrypt" == relay.calls[-1]


@pytest.mark.parametrize(
    "refusal", [(400, "ThrottlingException"), (503, "Unavailable"), (500, "KMSInternalException")]
)
def test_a_kms_that_is_overloaded_is_worth_retrying(
    relay: Relay, kms: AwsKmsWrapper, refusal: tuple[int, str]
) -> None:
    """Cold readers and writers fail so; who has a key goes on."""
    writer, reader = codec_of(kms), codec_of(kms)
    outer = writer.encode_sync([PLAIN])
    relay.refusal = refusal

    with pytest.raises(KeyProviderUnavailableError, match=refusal[1]):
        reader.decode_sync(outer)
    with pytest.raises(KeyProviderUnavailableError, match=refusal[1]):
        reader.encode_sync([PLAIN])
    assert [PLAIN] == writer.decode_sync(writer.encode_sync([PLAIN]))
    relay.refusal = None
    assert [PLAIN] == reader.decode_sync(outer)


async def test_a_kms_that_hangs_stops_only_who_has_no_key(relay: Relay, kms: AwsKmsWrapper) -> None:
    """A cold reader gives up in time; a writer whose key is due for renewal goes on at once."""
    clock, impatient = FakeClock(), replace(kms, timeout=0.3)
    writer, reader = codec_of(kms, clock=clock), codec_of(impatient)
    outer = await writer.encode([PLAIN])
    relay.hold.clear()
    clock.advance(0.95 * 3600)

    with pytest.raises(KeyProviderUnavailableError):
        await reader.decode(outer)
    async with asyncio.timeout(1):
        assert [PLAIN] == await writer.decode(await writer.encode([PLAIN]))
    relay.hold.set()
    assert [PLAIN] == await reader.decode(outer)


def test_a_key_that_was_disabled_opens_nothing_after_an_hour(
    relay: Relay, kms: AwsKmsWrapper, caplog: pytest.LogCaptureFixture
) -> None:
    """Although it is cached; the log says what the KMS said, and the error that it is not open."""
    clock = FakeClock()
    outer = codec_of(kms).encode_sync([PLAIN])
    reader = codec_of(kms, clock=clock)
    assert [PLAIN] == reader.decode_sync(outer)
    relay.refusal = (400, "DisabledException")
    clock.advance(3599)
    assert [PLAIN] == reader.decode_sync(outer)
    clock.advance(1)

    with pytest.raises(DecryptError):
        reader.decode_sync(outer)
    assert "cannot open a data key: AWS KMS refuses: DisabledException" in caplog.text


def test_an_address_where_nobody_listens(
    kms: AwsKmsWrapper, leaks: Callable[..., list[str]], roots: list[bytes]
) -> None:
    """A cold start fails with a retryable error, in which no key is to be seen."""
    nobody = replace(kms, endpoint_url=f"http://127.0.0.1:{free_port()}")
    error = failure(nobody)

    assert 1 == len(roots)
    assert [] == leaks(error, *roots)


def failure(kms: AwsKmsWrapper) -> KeyProviderUnavailableError:
    """The error of a cold start, without the frames of the test."""
    with pytest.raises(KeyProviderUnavailableError) as caught:
        codec_of(kms).encode_sync([PLAIN])
    return caught.value

"""The AWS wrapper against moto's server, and against one that answers as a script says."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
import trustme

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError
from sealwire.keys import FileKeyringStore, Keyring, KeyringAdmin, KeyWrapper, WrappedKeyProvider
from sealwire.keys.aws import AwsKmsWrapper
from sealwire.testing import KeyWrapperConformance
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]
KEY: Final = bytes.fromhex("8d7c6b5a49382716" * 4)
WRAPPED: Final = bytes.fromhex("c0ffee0ddba11dad" * 9)
SECRET: Final = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION: Final = "eu-central-1"
ARN: Final = f"arn:aws:kms:{REGION}:111122223333:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
SHARED: Final = f"arn:aws:kms:{REGION}:111122223333:key/mrk-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
MOTO: Final = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET.decode())
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
def make_key(moto: str) -> Callable[[], AwsKmsWrapper]:
    """Makes a key in the emulated KMS."""

    def make() -> AwsKmsWrapper:
        client: Any = (
            import_module("boto3.session")
            .Session()
            .client("kms", region_name=REGION, endpoint_url=moto)
        )
        arn: str = client.create_key()["KeyMetadata"]["Arn"]
        client.close()
        return AwsKmsWrapper(arn, endpoint_url=moto)

    return make


class Script(ThreadingHTTPServer):
    """Answers what it is told, in turn and the last for ever, and keeps the requests."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Says)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.hold = threading.Event()
        self.hold.set()

    def refuse(self, *answers: tuple[int, str]) -> None:
        self.answers += [
            (status, {"__type": code, "message": KEY.hex()}) for status, code in answers
        ]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are no news."""


class Says(BaseHTTPRequestHandler):
    server: Script  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.headers["Authorization"], body))
        self.server.hold.wait()
        several = len(self.server.answers) > 1
        status, answer = self.server.answers.pop(0) if several else self.server.answers[0]
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base
        """Say nothing."""


@pytest.fixture
def script() -> Generator[Script]:
    """A KMS that a test tells what to answer."""
    with Script() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.hold.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def scripted(script: Script) -> AwsKmsWrapper:
    """A wrapper that asks that KMS, once."""
    return AwsKmsWrapper(ARN, endpoint_url=f"http://127.0.0.1:{script.server_port}", retries=0)


async def failure(call: Awaitable[bytes]) -> SealwireError:
    """The error of a call, with the frames from the call on."""
    try:
        await call
    except SealwireError as err:
        return err
    raise AssertionError("it did not fail")


class TestAwsKmsWrapper(KeyWrapperConformance):
    """The published contract, with an emulated KMS."""

    _made: ClassVar[list[AwsKmsWrapper]] = []

    @pytest.fixture(autouse=True)
    def _keys(self, make_key: Callable[[], AwsKmsWrapper]) -> None:
        while len(self._made) < 2:
            self._made.append(make_key())

    def wrapper(self) -> KeyWrapper:
        return replace(self._made[0])

    def other(self) -> KeyWrapper:
        return replace(self._made[1])

    def secrets(self) -> list[bytes]:
        return [SECRET]


async def test_a_keyring_is_made_rotated_and_read(
    make_key: Callable[[], AwsKmsWrapper], store: FileKeyringStore, clock: FakeClock
) -> None:
    """An administrator's changes are read by workers; when KMS is down, the cached keys go on."""
    wrapper = make_key()
    admin = KeyringAdmin(store, wrapper, clock=clock)
    first = await admin.create()
    second = (await admin.rotate(delay=0.0)).key
    keyring = Keyring(WrappedKeyProvider(store, wrapper), clock=clock)
    await keyring.ready()
    assert second.id == keyring.encryption_key().id
    assert first.content_key == keyring.decryption_key(first.id).content_key

    down = replace(wrapper, endpoint_url="http://127.0.0.1:1", retries=0)
    keyring.provider = WrappedKeyProvider(store, down)
    with pytest.raises(KeyProviderUnavailableError, match="AWS KMS"):
        await keyring.refresh()
    assert second.id == keyring.encryption_key().id
    with pytest.raises(KeyProviderUnavailableError, match="AWS KMS"):
        await Keyring(WrappedKeyProvider(store, down), clock=clock).ready()


async def test_the_keyring_of_another_tenant_is_refused(
    make_key: Callable[[], AwsKmsWrapper], store: FileKeyringStore
) -> None:
    """A document that is relabelled for another tenant does not open with the same key."""
    wrapper = make_key()
    await KeyringAdmin(store, wrapper, "shop").create()
    text = store.path.read_text(encoding="utf-8")
    store.path.write_text(text.replace('"tenant": "shop"', '"tenant": "bank"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="for another tenant"):
        await WrappedKeyProvider(store, wrapper).snapshot("bank")


async def test_the_tenant_is_the_encryption_context(
    script: Script, scripted: AwsKmsWrapper
) -> None:
    """Both calls name the key and, percent-encoded, the tenant, and nothing else of it."""
    script.answers = [(200, {"CiphertextBlob": "AAAA", "Plaintext": "////"})]
    assert b"\x00\x00\x00" == await scripted.wrap(KEY, "shop")
    assert b"\xff\xff\xff" == await scripted.unwrap(WRAPPED, "a b/é%\x00:@\ud800")
    encrypt, decrypt = (body for _, body in script.requests)
    assert {"sealwire-keyring-tenant": "shop"} == encrypt["EncryptionContext"]
    context = {"sealwire-keyring-tenant": "a%20b/%C3%A9%25%00:@%ED%A0%80"}
    assert context == decrypt["EncryptionContext"]
    assert [ARN, ARN] == [encrypt["KeyId"], decrypt["KeyId"]]


@pytest.mark.parametrize("tenant", ["", "x" * 8001, "é" * 1334])
async def test_a_tenant_that_kms_would_not_take_is_refused_here(
    tenant: str, scripted: AwsKmsWrapper
) -> None:
    """A tenant that is empty or, encoded, too long for a context is told so."""
    with pytest.raises(ConfigurationError, match="1 to 8000 characters"):
        await scripted.wrap(KEY, tenant)


REFUSALS: Final = {
    "AccessDeniedException": "allow kms:Decrypt",
    "DisabledException": "enable-key",
    "ExpiredTokenException": "renew",
    "IncorrectKeyException": "another key",
    "InvalidCiphertextException": "another tenant",
    "InvalidKeyUsageException": "ENCRYPT_DECRYPT",
    "KMSInvalidStateException": "cancel-key-deletion",
    "NotFoundException": "check the ARN",
    "UnrecognizedClientException": "renew",
    "SomethingNewException": "reference of the KMS API",
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_names_its_fix(
    code: str, script: Script, scripted: AwsKmsWrapper, leaks: Leaks
) -> None:
    """What trying again does not change is an error of the set-up, with the code and the fix."""
    script.refuse((400, code))
    error = await failure(replace(scripted, retries=2).unwrap(WRAPPED, "shop"))
    assert isinstance(error, ConfigurationError)
    assert f"AWS KMS refuses: {code}; " in str(error)
    assert REFUSALS[code] in str(error)
    assert 1 == len(script.requests)
    assert [] == leaks(error, KEY, WRAPPED, SECRET)


async def test_the_permission_is_that_of_the_call(script: Script, scripted: AwsKmsWrapper) -> None:
    """Whoever may not wrap is told of `kms:Encrypt`."""
    script.refuse((400, "AccessDeniedException"))
    assert "allow kms:Encrypt for" in str(await failure(scripted.wrap(KEY, "shop")))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (429, "TooManyRequestsException"),
        (500, "KMSInternalException"),
        (500, "KeyUnavailableException"),
        (503, "DependencyTimeoutException"),
        (502, ""),
    ],
)
async def test_an_outage_can_be_retried(
    status: int, code: str, script: Script, scripted: AwsKmsWrapper, leaks: Leaks
) -> None:
    """What may pass is told as an outage, after as many tries as were asked for."""
    script.refuse((status, code))
    error = await failure(replace(scripted, retries=1).wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert f"not available at this moment: {code}" in str(error)
    assert 2 == len(script.requests)
    assert [] == leaks(error, KEY, SECRET)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DisabledException", ConfigurationError),
        ("KMSInvalidStateException", ConfigurationError),
        ("ThrottlingException", KeyProviderUnavailableError),
    ],
)
async def test_questions_and_errors_are_those_of_the_service_s_model(
    code: str, kind: type[SealwireError]
) -> None:
    """boto3's own stub, which checks what is asked against the model of KMS, says the same."""
    wrapper = AwsKmsWrapper(ARN, retries=0)
    client: Any = import_module("boto3").client("kms", region_name=REGION)
    vars(wrapper)["_clients"][os.getpid()] = client
    asked = {
        "KeyId": ARN,
        "CiphertextBlob": WRAPPED,
        "EncryptionContext": {"sealwire-keyring-tenant": "shop"},
    }
    with import_module("botocore.stub").Stubber(client) as stub:
        stub.add_response("decrypt", {"Plaintext": KEY}, asked)
        stub.add_client_error("decrypt", code, expected_params=asked)
        assert KEY == await wrapper.unwrap(WRAPPED, "shop")
        error = await failure(wrapper.unwrap(WRAPPED, "shop"))
        stub.assert_no_pending_responses()
    assert type(error) is kind
    assert code in str(error)


async def test_a_short_outage_is_not_noticed(script: Script, scripted: AwsKmsWrapper) -> None:
    """After a throttled and a failed try, the third one has the answer."""
    script.refuse((400, "ThrottlingException"), (500, "KMSInternalException"))
    script.answers.append((200, {"Plaintext": "////"}))
    assert b"\xff\xff\xff" == await replace(scripted, retries=2).unwrap(WRAPPED, "shop")
    assert 3 == len(script.requests)


async def test_what_is_logged_for_debugging_holds_no_key(
    script: Script, scripted: AwsKmsWrapper, leaks: Leaks, caplog: pytest.LogCaptureFixture
) -> None:
    """The client logs what it sends and receives, but not while sealwire asks; others see all."""
    caplog.set_level(logging.DEBUG)
    script.answers = [(200, {"CiphertextBlob": "AAAA"}), (200, {"Plaintext": _text(KEY)})]
    await scripted.wrap(KEY, "shop")
    assert KEY == await scripted.unwrap(WRAPPED, "shop")
    assert 2 == len(script.requests)
    assert "botocore" in caplog.text
    assert [] == leaks(caplog.text, KEY, SECRET)
    logging.getLogger("botocore.endpoint").debug("others' request")
    assert "others' request" in caplog.text


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


async def test_a_service_that_is_not_there_is_an_outage(leaks: Leaks) -> None:
    """Where nothing listens, the message says what to check."""
    wrapper = AwsKmsWrapper(ARN, endpoint_url="http://127.0.0.1:1", retries=0)
    for call in (wrapper.wrap(KEY, "shop"), wrapper.unwrap(WRAPPED, "shop")):
        error = await failure(call)
        assert isinstance(error, KeyProviderUnavailableError)
        assert "(EndpointConnectionError); check the network" in str(error)
        assert [] == leaks(error, KEY, WRAPPED, SECRET)


async def test_a_service_that_hangs_is_given_up(
    script: Script, scripted: AwsKmsWrapper, leaks: Leaks
) -> None:
    """The timeout holds for all tries together, and nothing of the call is shown."""
    script.hold.clear()
    error = await failure(replace(scripted, timeout=0.2, retries=10).wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert "did not answer within 0.2 seconds" in str(error)
    assert [] == leaks(error, KEY, SECRET)


async def test_a_foreign_certificate_is_refused(script: Script) -> None:
    """Nothing is sent to a server whose certificate is not trusted, and that is no outage."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = trustme.CA().issue_cert("localhost")
    certificate.configure_cert(context)
    script.socket = context.wrap_socket(script.socket, server_side=True)
    endpoint = f"https://localhost:{script.server_port}"
    error = await failure(AwsKmsWrapper(ARN, endpoint_url=endpoint).wrap(KEY, "shop"))
    assert isinstance(error, ConfigurationError)
    assert "its certificate is trusted here" in str(error)
    assert [] == script.requests


async def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials nothing is sent, and the message says what is missing."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = await failure(AwsKmsWrapper(ARN).wrap(KEY, "shop"))
    assert isinstance(error, ConfigurationError)
    assert "no complete AWS credentials (PartialCredentialsError)" in str(error)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    error = await failure(AwsKmsWrapper(ARN).wrap(KEY, "shop"))
    assert "no complete AWS credentials (NoCredentialsError)" in str(error)


async def test_a_wrong_aws_configuration_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what the client itself says only the class is told."""
    monkeypatch.setenv("AWS_PROFILE", "s3cret-profile")
    error = await failure(AwsKmsWrapper(ARN).wrap(KEY, "shop"))
    assert isinstance(error, ConfigurationError)
    assert "fails with ProfileNotFound" in str(error)
    assert "s3cret" not in str(error)


async def test_a_multi_region_key_is_one_key(script: Script, scripted: AwsKmsWrapper) -> None:
    """Its replicas have one name, and the replica in the region is the one that is asked."""
    script.answers = [(200, {"Plaintext": "////"})]
    here = replace(scripted, key_id=SHARED)
    there = replace(here, region="us-east-1")
    assert await here.name() == await there.name()
    assert "aws-kms:arn:aws:kms::111122223333:key/mrk-" in await there.name()
    await there.unwrap(WRAPPED, "shop")
    [(authorization, body)] = script.requests
    assert SHARED.replace(REGION, "us-east-1") == body["KeyId"]
    assert "/us-east-1/kms/" in authorization


async def test_a_forked_process_has_connections_of_its_own(
    script: Script, scripted: AwsKmsWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls share a client, but never with another process, whose connections it would mix up."""
    script.answers = [(200, {"Plaintext": "////"})]
    clients: dict[int, object] = vars(scripted)["_clients"]
    for process in (1, 2, 1):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        await scripted.unwrap(WRAPPED, "shop")
    assert [1, 2] == sorted(clients)
    assert clients[1] is not clients[2]


async def test_the_name_is_the_arn() -> None:
    """A key of one region is named as AWS names it, without asking AWS."""
    assert f"aws-kms:{ARN}" == await AwsKmsWrapper(ARN, region=REGION).name()


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        "alias/sealwire",
        "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        f"arn:aws:kms:{REGION}:111122223333:alias/sealwire",
        f"{ARN}/../other",
        f"{ARN}\n",
        f"{ARN}\x00",
        f"{ARN}?x='",
        ARN.replace(REGION, "eu.evil.example/"),
        ARN.replace("kms", "s3"),
    ],
)
def test_only_the_arn_of_a_key_is_accepted(key_id: str) -> None:
    """An alias could be moved to another key, and anything else is no key."""
    with pytest.raises(ConfigurationError, match="must be the ARN of a key"):
        AwsKmsWrapper(key_id)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"region": "us-east-1"}, f"the key is in {REGION} and only there"),
        ({"endpoint_url": "http://kms.example.com"}, "must begin with https://"),
        ({"endpoint_url": "https://user:pw@kms.example.com"}, "no credentials"),
        ({"timeout": 11.0}, "at most 10 seconds"),
        ({"retries": -1}, "from 0 to 10"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    """A parameter out of its range is refused when the wrapper is made."""
    with pytest.raises(ConfigurationError, match=message):
        AwsKmsWrapper(ARN, **wrong)
    with pytest.raises(ConfigurationError, match="must be the ARN"):
        AwsKmsWrapper(SHARED, region="evil.example/")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without boto3, the message has the command that installs it."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[aws\]'"):
        AwsKmsWrapper(ARN)


async def test_it_is_shown_without_credentials(
    make_key: Callable[[], AwsKmsWrapper], leaks: Leaks
) -> None:
    """The text of a wrapper that has been used is that of a new one, which has the key's ARN."""
    wrapper = make_key()
    fresh = repr(wrapper)
    await wrapper.wrap(KEY, "shop")
    assert fresh == repr(wrapper)
    assert wrapper.key_id in fresh
    assert replace(wrapper) == wrapper
    assert [] == leaks(fresh, SECRET, b"AKIAIOSFODNN7EXAMPLE")


def test_nothing_listens_where_the_tests_say_so() -> None:
    """Port 1 of this machine refuses, which the outages above rest on."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 1), 1).close()

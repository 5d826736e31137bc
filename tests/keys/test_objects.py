"""Keyrings in object storage: moto's S3 over HTTP, a service without conditions, and a folder."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import KeyringAdmin, KeyringStore, LocalKeyWrapper
from sealwire.keys.objects import ObjectKeyringStore
from sealwire.testing import KeyringStoreConformance, free_port
from sealwire.testing.sharing import in_a_fork

SECRET: Final = "geheim4711"
OLD, NEW = b"the old document", b"the new document"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker would get from its platform."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


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
    """A new bucket that keeps versions."""
    name = f"keys-{os.urandom(6).hex()}"
    client = s3(moto)
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


class TestS3(KeyringStoreConformance):
    """Moto's S3, below a prefix."""

    @pytest.fixture(autouse=True)
    def _bucket(self, moto: str, bucket: str) -> None:
        self.place = ObjectKeyringStore(f"s3://{bucket}/sealwire/keys", moto)

    def store(self) -> KeyringStore:
        return ObjectKeyringStore(self.place.url, self.place.endpoint)

    def secrets(self) -> list[bytes]:
        return [SECRET.encode()]


class TestFolder(KeyringStoreConformance):
    """A folder with a file for each tenant."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def store(self) -> KeyringStore:
        return ObjectKeyringStore(self.folder.as_uri())


async def replace(store: ObjectKeyringStore, data: bytes, tenant: str = "t") -> None:
    found = await store.load(tenant)
    await store.save(tenant, data, found.revision if found else None)


TENANTS: Final = {
    "shop": "shop.json",
    "Shop-1.eu_~": "Shop-1.eu_~.json",
    "../../etc/passwd": "..=2F..=2Fetc=2Fpasswd.json",
    ".": "..json",
    "..": "...json",
    "a=2Fb": "a=3D2Fb.json",
    "a/b": "a=2Fb.json",
    "a b\x00'\"\n": "a=20b=00=27=22=0A.json",
    "é": "=C3=A9.json",
    "x" * 200: "x" * 200 + ".json",
}


async def test_a_tenant_is_a_name_below_the_prefix(moto: str, bucket: str) -> None:
    """Whatever is in it, it names one object there, and no other tenant has the same."""
    store = ObjectKeyringStore(f"s3://{bucket}/sealwire", moto)
    for tenant in TENANTS:
        await replace(store, tenant.encode(), tenant)
    listed = {item["Key"] for item in s3(moto).list_objects_v2(Bucket=bucket)["Contents"]}
    names = {f"sealwire/{name}" for name in TENANTS.values()}
    assert names | {"sealwire/.sealwire-probe"} == listed


async def test_a_tenant_is_a_file_in_the_folder(tmp_path: Path) -> None:
    """The same names, with a lock beside each, and nothing outside."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    store = ObjectKeyringStore(folder.as_uri())
    for tenant in TENANTS:
        await replace(store, tenant.encode(), tenant)
    files = {path.name for path in folder.iterdir()}
    assert {f"{name}{end}" for name in TENANTS.values() for end in ("", ".lock")} == files
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {folder} == set(tmp_path.iterdir())  # noqa: ASYNC240 - of a test


@pytest.mark.parametrize("tenant", ["", "x" * 201, "/" * 67, "é" * 34, "\ud800"])
async def test_a_tenant_must_fit_a_name(tenant: str, tmp_path: Path) -> None:
    """What would be too long for a file is refused everywhere."""
    store = ObjectKeyringStore(tmp_path.as_uri())
    for call in (store.load(tenant), store.save(tenant, NEW, None)):
        with pytest.raises(ConfigurationError, match="is 1 to 200 characters"):
            await call


async def test_the_versions_before_are_kept_by_the_bucket(moto: str, bucket: str) -> None:
    """With versioning, each document that was replaced is still there."""
    store = ObjectKeyringStore(f"s3://{bucket}", moto)
    await replace(store, OLD)
    await replace(store, NEW)
    versions = s3(moto).list_object_versions(Bucket=bucket, Prefix="t.json")["Versions"]
    assert [True, False] == [version["IsLatest"] for version in versions]


async def test_a_missing_bucket_is_told(moto: str) -> None:
    """It is not created in passing."""
    store = ObjectKeyringStore("s3://no-such-bucket-4711/x", moto)
    assert await store.load("t") is None
    with pytest.raises(ConfigurationError, match="there is no such bucket or container"):
        await store.save("t", NEW, None)


async def test_a_service_that_is_down_may_come_back() -> None:
    """The error can be retried, and tells no credentials."""
    store = ObjectKeyringStore("s3://keys", f"http://127.0.0.1:{free_port()}")
    for call in (store.load("t"), store.save("t", NEW, None)):
        with pytest.raises(
            KeyProviderUnavailableError, match="s3://keys does not answer"
        ) as caught:
            await call
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


# A service of our own, for what moto does not do.


@dataclass
class Service:
    """Answers every request with one status, or keeps objects without looking at conditions."""

    status: int = 200
    gate: threading.Event | None = None
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[str] = field(default_factory=list[str])


class Handler(BaseHTTPRequestHandler):
    service: Service

    def do_GET(self) -> None:
        self.reply(self.service.objects.get(self.path))

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.service.status == 200:
            self.service.objects[self.path] = data
        self.reply(b"")

    def reply(self, body: bytes | None) -> None:
        self.service.asked.append(f"{self.command} {self.path}")
        if self.service.gate is not None:
            self.service.gate.wait(30)
        status = self.service.status if self.service.status != 200 or body is not None else 404
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body or b"")),
            "ETag": '"e"',
            "Last-Modified": "Tue, 24 Nov 2026 00:00:00 GMT",
        }.items():
            self.send_header(name, value)
        self.end_headers()
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
            if service.gate is not None:
                service.gate.set()
            server.shutdown()
            thread.join()


async def test_a_service_that_ignores_conditions_is_refused() -> None:
    """Before anything is written but the probe."""
    service = Service()
    with serving(service) as endpoint:
        store = ObjectKeyringStore("s3://keys/x", endpoint)
        for revision in (None, '"e"'):
            with pytest.raises(ConfigurationError, match="ignores If-Match and If-None-Match"):
                await store.save("t", NEW, revision)
    assert {"/keys/x/.sealwire-probe"} == set(service.objects)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, ConfigurationError, "refuses: GenericError 400"),
        (401, ConfigurationError, "does not permit it: readers need s3:GetObject"),
        (403, ConfigurationError, "does not permit it: readers need s3:GetObject"),
        (429, KeyProviderUnavailableError, "is busy .status 429"),
        (500, KeyProviderUnavailableError, "does not answer"),
        (503, KeyProviderUnavailableError, "does not answer"),
    ],
)
async def test_a_refusal_says_what_to_do(status: int, error: type[Exception], message: str) -> None:
    """What passes may be retried; what does not names its fix."""
    service = Service(status)
    with serving(service) as endpoint:
        store = ObjectKeyringStore("s3://keys/x", endpoint, timeout=2.0)
        for call in (store.load("t"), store.save("t", NEW, None)):
            with pytest.raises(error, match=message) as caught:
                await call
            assert SECRET not in str(caught.value)


async def test_a_service_that_is_silent_is_given_up() -> None:
    """After the time that was given, and the error can be retried."""
    service = Service(gate=threading.Event())
    with serving(service) as endpoint:
        store = ObjectKeyringStore("s3://keys/x", endpoint, timeout=0.3)
        with pytest.raises(KeyProviderUnavailableError, match=r"within 0\.3 seconds"):
            await store.load("t")
    assert service.asked


def test_a_forked_process_is_told_what_its_parent_would_be(
    moto: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conflicts and outages come out of the other interpreter as they are."""
    store = ObjectKeyringStore(f"s3://{bucket}", moto)
    asyncio.run(store.save("t", OLD, None))

    def work() -> bytes:
        with pytest.raises(ConfigurationError, match="changed by somebody else meanwhile"):
            asyncio.run(store.save("t", NEW, None))
        down = ObjectKeyringStore(f"s3://{bucket}", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(KeyProviderUnavailableError, match="does not answer"):
            asyncio.run(down.load("t"))
        monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
        with pytest.raises(KeyProviderUnavailableError, match="load the keyring after the fork"):
            asyncio.run(store.load("t"))
        return b""

    in_a_fork(work, 60.0)


def test_two_administrators_in_one_bucket_lose_no_key(
    moto: str, bucket: str, tmp_path: Path
) -> None:
    """Of two that rotate from the same document, one wins and the other is told."""
    wrapper = LocalKeyWrapper(tmp_path / "keyring.key")
    wrapper.create()
    admin = KeyringAdmin(ObjectKeyringStore(f"s3://{bucket}", moto), wrapper)
    made = [asyncio.run(admin.create()).id]

    async def rotate() -> list[str | BaseException]:
        both = await asyncio.gather(admin.rotate(), admin.rotate(), return_exceptions=True)
        return [item if isinstance(item, BaseException) else item.key.id for item in both]

    [key_id] = [item for item in asyncio.run(rotate()) if isinstance(item, str)]
    assert [*made, key_id] == [key.id for key in asyncio.run(admin.keys()).keys]


# Arguments


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys",
        "s3://",
        "s3:///keys",
        "file://",
        "file://host/folder",
        "file:relative",
        "http://127.0.0.1/keys",
        "memory:///",
        "s3://user:geheim4711@keys",
        "s3://keys?secret=geheim4711",
        "s3://keys#geheim4711",
        "s3://keys:80/geheim4711",
        "s3://ke ys/geheim4711",
        "s3://keys/geheim4711\n",
    ],
)
def test_other_places_are_refused(url: str) -> None:
    """The message does not repeat what may be a credential."""
    with pytest.raises(ConfigurationError, match=r"must be a URL|names no bucket") as caught:
        ObjectKeyringStore(url)
    assert SECRET not in str(caught.value)


def test_an_endpoint_uses_tls_or_this_machine() -> None:
    """Credentials are sent to it."""
    ObjectKeyringStore("s3://keys", "https://minio.example.com")
    for endpoint in ("http://minio.example.com", "https://a:geheim4711@minio.example.com", "x"):
        with pytest.raises(ConfigurationError, match="the endpoint must") as caught:
            ObjectKeyringStore("s3://keys", endpoint)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("timeout", [0.0, -1.0, 10.1, float("nan")])
def test_a_timeout_has_limits(timeout: float) -> None:
    """A store that waits for ever is not made."""
    with pytest.raises(ConfigurationError, match="at most 10 seconds"):
        ObjectKeyringStore("s3://keys", timeout=timeout)

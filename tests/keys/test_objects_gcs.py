"""Keyrings in Google Cloud Storage: its XML API over HTTP, with tokens of a machine there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import KeyringStore
from sealwire.keys.bucket import Bucket
from sealwire.keys.objects import ObjectKeyringStore
from sealwire.testing import KeyringStoreConformance, free_port

OLD, NEW = b"the old document", b"the new document"
OWNER, READER = "token-of-the-owner", "token-of-a-reader"


class TestGoogle(KeyringStoreConformance):
    """Google Cloud Storage, below a prefix."""

    @pytest.fixture(autouse=True)
    def _bucket(self, google_storage: str, google_bucket: str) -> None:
        self.place = ObjectKeyringStore(f"gs://{google_bucket}/sealwire/keys", google_storage)

    def store(self) -> KeyringStore:
        return ObjectKeyringStore(self.place.url, self.place.endpoint)

    def secrets(self) -> list[bytes]:
        return [OWNER.encode()]


@pytest.fixture
def store(google_storage: str, google_bucket: str) -> ObjectKeyringStore:
    """A store in an empty bucket."""
    return ObjectKeyringStore(f"gs://{google_bucket}", google_storage)


async def replace(store: ObjectKeyringStore, data: bytes) -> str:
    """Save a document, and return its revision."""
    found = await store.load("t")
    await store.save("t", data, found.revision if found else None)
    found = await store.load("t")
    assert found is not None
    assert data == found.data
    return found.revision


async def test_equal_documents_have_different_revisions(store: ObjectKeyringStore) -> None:
    """Their ETags are equal; the generation tells that there was another one in between."""
    first, _, third = [await replace(store, data) for data in (OLD, NEW, OLD)]
    assert first.split()[0] == third.split()[0]
    with pytest.raises(ConfigurationError, match="changed by somebody else meanwhile"):
        await store.save("t", NEW, first)


async def test_the_probe_is_written_once(store: ObjectKeyringStore) -> None:
    """Google takes one change a second of an object, and there may be many tenants."""
    bucket = Bucket(store.url, store.endpoint, store.timeout)
    await store.save("t", OLD, None)
    before = await bucket.get(".sealwire-probe")
    await store.save("u", NEW, None)
    assert before is not None
    assert before == await bucket.get(".sealwire-probe")


async def test_a_reader_reads_and_does_not_write(
    store: ObjectKeyringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker needs no permission to write; that it has none is told as such."""
    revision = await replace(store, OLD)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", READER)
    found = await store.load("t")
    assert found is not None
    assert OLD == found.data
    with pytest.raises(ConfigurationError, match="does not permit it"):
        await store.save("t", NEW, revision)


async def test_a_wrong_token_is_told(
    store: ObjectKeyringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read or written, and without the token."""
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "geheim4711")
    for call in (store.load("t"), store.save("t", NEW, None)):
        with pytest.raises(ConfigurationError, match="does not permit it") as caught:
            await call
        assert "geheim4711" not in str(caught.value)


async def test_a_missing_bucket_is_told(google_storage: str, google_bucket: str) -> None:
    """It is not created in passing."""
    store = ObjectKeyringStore(f"gs://not-{google_bucket}/x", google_storage)
    assert await store.load("t") is None
    with pytest.raises(ConfigurationError, match="there is no such bucket or container"):
        await store.save("t", NEW, None)


async def test_a_service_that_is_down_may_come_back(google_bucket: str) -> None:
    """The error can be retried."""
    store = ObjectKeyringStore(f"gs://{google_bucket}", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(KeyProviderUnavailableError, match="does not answer"):
        await store.load("t")


@pytest.mark.parametrize("content", [None, "geheim4711", '{"type": "unknown"}'])
async def test_a_file_of_credentials_that_cannot_be_used_is_told(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what somebody has to repair, not as an outage; without what is in it."""
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(ConfigurationError, match=r"variables GOOGLE_\*") as caught:
        await ObjectKeyringStore("gs://keys").load("t")
    assert "geheim4711" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None

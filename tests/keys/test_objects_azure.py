"""Keyrings in Azure Blob Storage: Microsoft's emulator over HTTP."""

from __future__ import annotations

import base64
import os

import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import KeyringStore
from sealwire.keys.objects import ObjectKeyringStore
from sealwire.testing import KeyringStoreConformance, free_port

NEW = b"the new document"
ACCOUNT, KEY = "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"


class TestAzure(KeyringStoreConformance):
    """Azurite, below a prefix."""

    @pytest.fixture(autouse=True)
    def _container(self, azure_endpoint: str, azure_container: str) -> None:
        self.place = ObjectKeyringStore(f"az://{azure_container}/sealwire/keys", azure_endpoint)

    def store(self) -> KeyringStore:
        return ObjectKeyringStore(self.place.url, self.place.endpoint)

    def secrets(self) -> list[bytes]:
        return [os.environ[KEY].encode()]


async def test_a_missing_container_is_told(azure_endpoint: str, azure_container: str) -> None:
    """It is not created in passing."""
    store = ObjectKeyringStore(f"az://not-{azure_container}/x", azure_endpoint)
    assert await store.load("t") is None
    with pytest.raises(ConfigurationError, match="there is no such bucket or container"):
        await store.save("t", NEW, None)


async def test_a_wrong_key_is_told(
    azure_endpoint: str, azure_container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read or written, and without the key."""
    key = base64.b64encode(b"geheim4711" * 5).decode()
    monkeypatch.setenv(KEY, key)
    store = ObjectKeyringStore(f"az://{azure_container}", azure_endpoint)
    for call in (store.load("t"), store.save("t", NEW, None)):
        with pytest.raises(ConfigurationError, match="does not permit it") as caught:
            await call
        assert key not in str(caught.value)


async def test_a_service_that_is_down_may_come_back(azure_container: str) -> None:
    """The error can be retried."""
    store = ObjectKeyringStore(f"az://{azure_container}", f"http://127.0.0.1:{free_port()}/a")
    with pytest.raises(KeyProviderUnavailableError, match="does not answer"):
        await store.load("t")


@pytest.mark.parametrize(("account", "key"), [(None, None), ("orders", "geheim4711!")])
async def test_what_lacks_in_the_environment_is_told(
    account: str | None, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account or a key as what somebody has to repair, not as an outage."""
    for variable, value in ((ACCOUNT, account), (KEY, key)):
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=r"variables AZURE_STORAGE_\*") as caught:
        await ObjectKeyringStore("az://keys").load("t")
    assert "geheim4711" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None

"""Keyrings in a folder, a file for each tenant."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from sealwire.errors import ConfigurationError
from sealwire.keys import FolderKeyringStore, KeyringAdmin, KeyringStore, LocalKeyWrapper
from sealwire.testing import KeyringStoreConformance


class TestFolder(KeyringStoreConformance):
    """A folder that does not exist at first."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "keyrings"

    def store(self) -> KeyringStore:
        return FolderKeyringStore(self.folder)


@pytest.mark.parametrize(
    "tenant", ["../escaped", "/etc/escaped", "..", "a/b", ".", "x\x00y", "c:\\x", "shóp", "%2e%2e"]
)
def test_a_hostile_name_stays_in_the_folder(tmp_path: Path, tenant: str) -> None:
    """Whatever a tenant is called, nothing is made beside the folder, which is private."""
    store = FolderKeyringStore(tmp_path / "keyrings")
    asyncio.run(store.save(tenant, b"{}", None))

    assert [tmp_path / "keyrings"] == list(tmp_path.iterdir())
    assert 0o700 == stat.S_IMODE((tmp_path / "keyrings").stat().st_mode)
    assert all(file.is_file() for file in (tmp_path / "keyrings").iterdir())
    assert asyncio.run(store.load(tenant)) is not None


@pytest.mark.parametrize("tenant", ["", "x" * 201, "é" * 34, "\ud800"])
async def test_a_name_that_makes_no_file_name_is_refused(tmp_path: Path, tenant: str) -> None:
    """Reading and writing are refused in the same words."""
    store = FolderKeyringStore(tmp_path)
    with pytest.raises(ConfigurationError, match="name of a tenant is 1 to 200 characters"):
        await store.load(tenant)
    with pytest.raises(ConfigurationError, match="name of a tenant is 1 to 200 characters"):
        await store.save(tenant, b"{}", None)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error says which folder, and why."""
    store = FolderKeyringStore(tmp_path / "absent" / "keyrings")
    assert await store.load("shop") is None
    with pytest.raises(ConfigurationError, match=r"cannot make the folder .*keyrings: No such"):
        await store.save("shop", b"{}", None)


async def test_a_damaged_file_of_a_tenant_is_named(tmp_path: Path) -> None:
    """With the version before it, once there is one."""
    wrapper = LocalKeyWrapper(tmp_path / "keyring.key")
    wrapper.create()
    admin = KeyringAdmin(FolderKeyringStore(tmp_path / "keyrings"), wrapper, "shop")
    await admin.create()
    file = tmp_path / "keyrings" / "shop.json"
    for backup in ("", f"; {file}.bak is the version before the last change"):
        whole = file.read_bytes()
        file.write_bytes(b"{")
        with pytest.raises(ConfigurationError) as caught:
            await admin.keys()
        assert str(caught.value).startswith(f"the keyring {file} is damaged")
        assert str(caught.value).endswith(f"restore it from your backup{backup}")
        file.write_bytes(whole)
        await admin.rotate()

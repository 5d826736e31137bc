"""Keyring documents in a folder, a file for each tenant.

A file is called like its tenant, with `.json` at the end. What is not a letter, a digit or one of
`_.-~` in the tenant's name is written as its bytes in UTF-8, each as `=` and two hexadecimal
digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sealwire.errors import ConfigurationError

from .store import FileKeyringStore, StoredDocument

_MAX_NAME: Final = 200  # characters; a file's name has at most 255, with what is put beside it


@dataclass(frozen=True)
class FolderKeyringStore:
    """A `FileKeyringStore` for each tenant, all in one folder.

    Args:
        path: The folder; made with mode 0700 for the first keyring.
    """

    path: Path

    async def load(self, tenant: str) -> StoredDocument | None:
        """Read the tenant's file; see `KeyringStore`."""
        return await self._store(tenant).load(tenant)

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Replace the tenant's file; see `KeyringStore`."""
        file = self._store(tenant)
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as err:
            raise ConfigurationError(
                f"cannot make the folder {self.path}: {err.strerror}"
            ) from None
        await file.save(tenant, data, revision)

    async def erase_versions(self, tenant: str) -> bool:
        """Put the present version in the place of the one before; see `ErasesVersions`."""
        return await self._store(tenant).erase_versions(tenant)

    def file_of(self, tenant: str) -> Path:
        """Return the tenant's file; see `KeepsFiles`."""
        return self.path / document_name(tenant)

    def _store(self, tenant: str) -> FileKeyringStore:
        return FileKeyringStore(self.file_of(tenant))


def document_name(tenant: str) -> str:
    """Name the document of a tenant: two tenants never share one, and none leaves its place.

    Raises:
        ConfigurationError: The tenant's name is empty, too long, or no text.
    """
    try:
        name = quote(tenant, safe="").replace("%", "=")
    except UnicodeEncodeError:
        name = ""
    if not 0 < len(name) <= _MAX_NAME:
        raise ConfigurationError(
            f"the name of a tenant is 1 to {_MAX_NAME} characters, where each byte that is "
            "not a letter, a digit or one of _.-~ counts three times"
        )
    return f"{name}.json"

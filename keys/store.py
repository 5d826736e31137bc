"""Where a keyring document lives. A store sees wrapped keys only."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from sealwire.errors import ConfigurationError

from .document import RESTORE, Origin
from .files import discard_unfinished, read_private, replace, write_new


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it was read.

    Args:
        data: The bytes.
        revision: What `KeyringStore.save` compares to see whether it was changed since.
    """

    data: bytes
    revision: str


@runtime_checkable
class KeyringStore(Protocol):
    """Keeps one document for each tenant."""

    async def load(self, tenant: str) -> StoredDocument | None:
        """Return the document, or None when there is none yet.

        Raises:
            KeyProviderUnavailableError: The store does not answer.
            ConfigurationError: The document must not be used, for example because others can.
        """
        ...

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Replace the document that has `revision`; None where there must be none yet.

        Raises:
            ConfigurationError: Somebody else changed it meanwhile; nothing was written.
            KeyProviderUnavailableError: The store does not answer.
        """
        ...


@runtime_checkable
class ErasesVersions(Protocol):
    """A store that can erase what it keeps of older versions: a further ability."""

    async def erase_versions(self, tenant: str) -> bool:
        """Erase every version of the document but the present one.

        Returns:
            Whether none is left in this place; False where somebody else keeps them.

        Raises:
            ConfigurationError: It is not permitted.
            KeyProviderUnavailableError: The store does not answer.
        """
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A store whose documents are files, which a person can put back: a further ability."""

    def file_of(self, tenant: str) -> Path:
        """Return the file of the document; `<name>.bak` beside it is the version before."""
        ...


def origin_of(store: KeyringStore, tenant: str) -> Origin:
    """Say where a document of a store is, and what of it is there to put back."""
    if not isinstance(store, KeepsFiles):
        return Origin()
    file = store.file_of(tenant)
    real = file.resolve()  # the version before is beside the file, and not beside a link to it
    backup = real.with_name(f"{real.name}.bak")
    older = f"; {backup} is the version before the last change" if _is_there(backup) else ""
    return Origin(f"the keyring {file}", RESTORE + older)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # for example of a name that is too long
        return False


@dataclass(frozen=True)
class FileKeyringStore:
    """One document in one file, for one tenant.

    Args:
        path: The file. Beside it are `<name>.bak`, the version before, and `<name>.lock`.
    """

    path: Path

    async def load(self, tenant: str) -> StoredDocument | None:  # noqa: ARG002
        """Read the file; see `KeyringStore`."""
        return self._read()

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:  # noqa: ARG002
        """Replace the file; see `KeyringStore`."""
        path = self.path.resolve()  # a link stays one, and both ways to the file share a lock
        with _locked(path.with_name(f"{path.name}.lock")):
            present = self._read()
            if (present.revision if present else None) != revision:
                raise ConfigurationError(
                    f"{self.path} was changed by somebody else meanwhile; nothing was written: "
                    "run the command again"
                )
            discard_unfinished(path)
            if present is None:
                write_new(path, data)
            else:
                replace(path, data)

    def file_of(self, tenant: str) -> Path:  # noqa: ARG002
        """Return the file; see `KeepsFiles`."""
        return self.path

    async def erase_versions(self, tenant: str) -> bool:  # noqa: ARG002
        """Put the present version in the place of the one before; see `ErasesVersions`."""
        if self._read() is None:
            return True
        path = self.path.resolve()
        with _locked(path.with_name(f"{path.name}.lock")):
            present = self._read()
            discard_unfinished(path)
            if present is not None:
                replace(path, present.data)
        return True

    def _read(self) -> StoredDocument | None:
        try:
            data = read_private(self.path)
        except FileNotFoundError:
            return None
        return StoredDocument(data, hashlib.sha256(data).hexdigest())


@contextmanager
def _locked(path: Path) -> Generator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as err:
        raise ConfigurationError(f"cannot write {path}: {err.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # released with the descriptor
        except OSError as err:
            raise ConfigurationError(f"cannot lock {path}: {err.strerror}") from None
        yield
    finally:
        os.close(descriptor)

"""Keyring documents in object storage: S3, Google Cloud Storage, Azure Blob Storage, or a folder.

Needs the extra `storage`. There is one object for each tenant, `<prefix>/<tenant>.json`. What is
not a letter, a digit or one of `_.-~` in the tenant's name is written as its bytes in UTF-8, each
as `=` and two hexadecimal digits.

- A document is created with `If-None-Match: *` and replaced with `If-Match` (at Google, with the
  generation), so that of two administrators one wins. A service that ignores these headers is
  found out before each change, by an object `<prefix>/.sealwire-probe`, and refused.
- Versions before the present one are kept by the versioning of the bucket, where it is on.
- In a folder, the store is a `FolderKeyringStore`: a file system has no conditional writing.
"""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .folder import FolderKeyringStore, document_name
from .service import check_endpoint
from .store import StoredDocument

try:
    from .bucket import Bucket
except ModuleNotFoundError:
    raise ConfigurationError(
        "keyrings in object storage need the package 'obstore'; "
        "fix: pip install 'sealwire[storage]'"
    ) from None

_SCHEMES: Final = ("s3", "gs", "az", "file")
_MAX_TIMEOUT: Final = 10.0  # seconds; a refresh of a keyring may take 30 in all
_START: Final = 20.0  # seconds that an interpreter may take to start, beside its calls


@dataclass(frozen=True)
class ObjectKeyringStore:
    """One object for each tenant; credentials come from the environment of the process.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
            `file:///folder`; without credentials.
        endpoint: Of another service with the same protocol, such as `https://minio.example.com`
            with that of S3.
        timeout: Seconds for each call; at most 10.

    Raises:
        ConfigurationError: An argument is not acceptable.
    """

    url: str
    endpoint: str | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= _MAX_TIMEOUT:
            raise ConfigurationError(
                f"timeout must be above 0 and at most {_MAX_TIMEOUT:g} seconds"
            )
        check_url(self.url, "the place of keyrings")
        if self.endpoint is not None:
            check_endpoint(self.endpoint)

    async def load(self, tenant: str) -> StoredDocument | None:
        """Read the object of `tenant`; see `KeyringStore`."""
        name = document_name(tenant)
        if (folder := self._folder) is not None:
            return await folder.load(tenant)
        if home() != os.getpid():
            return await asyncio.to_thread(_elsewhere, _Task(self, tenant))
        return await self._bucket.get(name)

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Create or replace the object of `tenant`; see `KeyringStore`."""
        name = document_name(tenant)
        if (folder := self._folder) is not None:
            await folder.save(tenant, data, revision)
        elif home() != os.getpid():
            await asyncio.to_thread(_elsewhere, _Task(self, tenant, data, revision))
        elif not await self._bucket.put(name, data, revision):
            raise ConfigurationError(
                f"the keyring of {tenant!r} in {self.url} was changed by somebody else meanwhile; "
                "nothing was written: run the command again"
            )

    async def erase_versions(self, tenant: str) -> bool:
        """Erase the version before in a folder; those of a bucket are its own business."""
        folder = self._folder
        return folder is not None and await folder.erase_versions(tenant)

    @property
    def _folder(self) -> FolderKeyringStore | None:
        parts = urlsplit(self.url)
        return FolderKeyringStore(Path(unquote(parts.path))) if parts.scheme == "file" else None

    @property
    def _bucket(self) -> Bucket:
        return Bucket(self.url, self.endpoint, self.timeout)


def check_url(url: str, what: str) -> None:
    """Refuse a URL that names no bucket, container or folder, or has credentials in it.

    Args:
        url: What to check.
        what: What is there, for the message.

    Raises:
        ConfigurationError: It is not acceptable.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = url.isprintable() and not port and not {"@", "?", "#", " "} & set(url)
    if parts.scheme not in _SCHEMES or not url.startswith(f"{parts.scheme}://") or not plain:
        raise ConfigurationError(
            f"{what} must be a URL such as s3://bucket/prefix, gs://bucket/prefix, "
            "az://container/prefix or file:///folder, without credentials"
        )
    if bool(parts.netloc) == (parts.scheme == "file") or (not parts.netloc and not parts.path):
        raise ConfigurationError(f"{url} names no bucket, container or absolute folder")


@functools.cache
def home() -> int:
    """Return the process that asked first: obstore's threads live in it, and in no fork of it."""
    return os.getpid()


class _Task(msgspec.Struct, frozen=True):
    store: ObjectKeyringStore
    tenant: str
    data: bytes | None = None
    revision: str | None = None


class _Outcome(msgspec.Struct, frozen=True):
    found: StoredDocument | None = None
    error: str | None = None
    retryable: bool = False


def _elsewhere(task: _Task) -> StoredDocument | None:
    """Do in a new interpreter what cannot be done in a forked process, where obstore hangs."""
    try:
        done = subprocess.run(  # noqa: S603 - nothing in the command comes from outside
            [sys.executable, "-c", f"from {__name__} import answer; answer()"],
            input=msgspec.json.encode(task),
            capture_output=True,
            timeout=_START + 4 * task.store.timeout,
            check=True,
        )
        outcome = msgspec.json.decode(done.stdout, type=_Outcome)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        outcome = _Outcome(
            error="object storage cannot be asked in a process forked from one that asked it "
            "before, and no other interpreter could be started: load the keyring after the fork",
            retryable=True,
        )
    if outcome.error is None:
        return outcome.found
    kind = KeyProviderUnavailableError if outcome.retryable else ConfigurationError
    raise kind(outcome.error)


def answer() -> None:
    """Do the task on standard input, and write its outcome to standard output."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=_Task)
    try:
        outcome = _Outcome(asyncio.run(_do(task)))
    except SealwireError as err:
        outcome = _Outcome(error=str(err), retryable=isinstance(err, KeyProviderUnavailableError))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


async def _do(task: _Task) -> StoredDocument | None:
    if task.data is None:
        return await task.store.load(task.tenant)
    await task.store.save(task.tenant, task.data, task.revision)
    return None

"""Keyring documents in object storage: S3, Google Cloud Storage, Azure Blob Storage, or a folder.

Needs the extra `storage`. There is one object for each tenant, `<prefix>/<tenant>.json`. What is
not a letter, a digit or one of `_.-~` in the tenant's name is written as its bytes in UTF-8, each
as `=` and two hexadecimal digits.

- A document is created with `If-None-Match: *` and replaced with `If-Match` (at Google, with the
  generation), so that of two administrators one wins. A service that ignores these headers is
  found out before each change, by an object `<prefix>/.sealwire-probe`, and refused.
- Versions before the present one are kept by the versioning of the bucket, where it is on.
- In a folder, each tenant has a `FileKeyringStore`: a file system has no conditional writing.
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
from urllib.parse import quote, unquote, urlsplit

import msgspec

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .service import check_endpoint
from .store import FileKeyringStore, StoredDocument

try:
    from .bucket import Bucket
except ModuleNotFoundError:
    raise ConfigurationError(
        "keyrings in object storage need the package 'obstore'; "
        "fix: pip install 'sealwire[storage]'"
    ) from None

_SCHEMES: Final = ("s3", "gs", "az", "file")
_MAX_NAME: Final = 200  # characters; a file's name has at most 255, with what is put beside it
_MAX_TIMEOUT: Final = 10.0  # seconds; a refresh of a keyring may take 30 in all
_START: Final = 20.0  # seconds that an interpreter may take to start, beside its calls


@dataclass(frozen=True)
class ObjectKeyringStore:
    """One object for each tenant; credentials come from the environment of the process.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
            `file:///folder`; without credentials.
        endpoint: Of a service that speaks the protocol of S3, such as `https://minio.example.com`.
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
        _check_url(self.url)
        if self.endpoint is not None:
            check_endpoint(self.endpoint)

    async def load(self, tenant: str) -> StoredDocument | None:
        """Read the object of `tenant`; see `KeyringStore`."""
        name = _name(tenant)
        if (folder := self._folder) is not None:
            return await FileKeyringStore(folder / name).load(tenant)
        if _home() != os.getpid():
            return await asyncio.to_thread(_elsewhere, _Task(self, tenant))
        return await self._bucket.get(name)

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Create or replace the object of `tenant`; see `KeyringStore`."""
        name = _name(tenant)
        if (folder := self._folder) is not None:
            await FileKeyringStore(folder / name).save(tenant, data, revision)
        elif _home() != os.getpid():
            await asyncio.to_thread(_elsewhere, _Task(self, tenant, data, revision))
        elif not await self._bucket.put(name, data, revision):
            raise ConfigurationError(
                f"the keyring of {tenant!r} in {self.url} was changed by somebody else meanwhile; "
                "nothing was written: run the command again"
            )

    @property
    def _folder(self) -> Path | None:
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def _bucket(self) -> Bucket:
        return Bucket(self.url, self.endpoint, self.timeout)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = url.isprintable() and not port and not {"@", "?", "#", " "} & set(url)
    if parts.scheme not in _SCHEMES or not url.startswith(f"{parts.scheme}://") or not plain:
        raise ConfigurationError(
            "the place of keyrings must be a URL such as s3://bucket/prefix, gs://bucket/prefix, "
            "az://container/prefix or file:///folder, without credentials"
        )
    if bool(parts.netloc) == (parts.scheme == "file") or (not parts.netloc and not parts.path):
        raise ConfigurationError(f"{url} names no bucket, container or absolute folder")


def _name(tenant: str) -> str:
    """Name the object of a tenant: two tenants never share one, and none leaves its place."""
    try:
        name = quote(tenant, safe="").replace("%", "=")
    except UnicodeEncodeError:
        name = ""
    if not 0 < len(name) <= _MAX_NAME:
        raise ConfigurationError(
            f"a tenant in object storage is 1 to {_MAX_NAME} characters, where each byte that is "
            "not a letter, a digit or one of _.-~ counts three times"
        )
    return f"{name}.json"


@functools.cache
def _home() -> int:
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

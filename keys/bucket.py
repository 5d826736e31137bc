"""Conditional reading and writing of objects at S3, Google Cloud Storage or Azure Blob Storage.

A revision is an object's ETag; at Google, it is followed by a space and the generation.

Calls block, in threads: those of obstore that are awaited can abort the process when it ends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import from_url

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .store import StoredDocument

T = TypeVar("T")

_MAX_SIZE: Final = 64 * 1024 * 1024  # bytes, as of a file; 10,000 keys take 3 MiB
_VARIABLES: Final = {"s3": "AWS_*", "gs": "GOOGLE_*", "az": "AZURE_STORAGE_*"}
_RETRIES: Final = 3  # by the client, with a pause that doubles, and jitter
_PROBE: Final = ".sealwire-probe"
_NOBODYS: Final = '"0" 1'  # a revision that no object has
# One ETag: neither `*`, which every object matches, nor a list, nor none.
_REVISION: Final = re.compile(r'(?P<e_tag>"[\w/+=:.-]+"|[\w/+=:.-]+)( (?P<version>\d+))?', re.ASCII)


@dataclass(frozen=True)
class Bucket:
    """A bucket or container, and a prefix in it.

    Args:
        url: `s3://…`, `gs://…` or `az://…`.
        endpoint: Of another service with the same protocol.
        timeout: Seconds for each call.
    """

    url: str
    endpoint: str | None
    timeout: float

    async def get(self, name: str) -> StoredDocument | None:
        """Read an object; None if there is none.

        Raises:
            KeyProviderUnavailableError: The service does not answer.
            ConfigurationError: It refuses, or the object is too large.
        """
        return await self._answer(lambda: self._get(name))

    async def put(self, name: str, data: bytes, revision: str | None) -> bool:
        """Write an object if its revision is this one, or if there is none; say whether it was.

        Raises:
            KeyProviderUnavailableError: The service does not answer.
            ConfigurationError: It refuses, or does not look at conditions.
        """
        if revision is not None and not self._is_revision(revision):
            return False
        await self._answer(self._check_conditions)
        if await self._answer(lambda: self._put(name, data, revision)):
            return True
        # The client may have written, lost the answer, tried again and met its own document.
        found = await self.get(name)
        return found is not None and found.data == data

    def _is_revision(self, text: str) -> bool:
        found = _REVISION.fullmatch(text)
        return found is not None and (self.url[:3] != "gs:" or found["version"] is not None)

    def _get(self, name: str) -> StoredDocument | None:
        try:
            found = obstore.get(self._client, name)
        except FileNotFoundError:
            return None
        if found.meta["size"] > _MAX_SIZE:
            raise ConfigurationError(f"{name} in {self.url} is larger than {_MAX_SIZE} bytes")
        # S3 has versions, too, and does not compare them.
        version = f" {found.meta['version']}" if self.url.startswith("gs:") else ""
        revision = f"{found.meta['e_tag']}{version}"
        return StoredDocument(bytes(found.bytes()), revision)

    def _put(self, name: str, data: bytes, revision: str | None) -> bool:
        try:
            # A multipart upload would leave the condition out.
            obstore.put(self._client, name, data, mode=_mode(revision), use_multipart=False)
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            return False
        return True

    def _check_conditions(self) -> None:
        # Written once and for all: Google takes one change a second of an object.
        self._put(_PROBE, b"", None)
        for revision in (None, _NOBODYS):
            if self._put(_PROBE, b"", revision):
                raise ConfigurationError(
                    f"{self.url} ignores If-Match and If-None-Match: of two administrators, one "
                    "would overwrite the other's keys; nothing was written: use another service"
                )

    async def _answer(self, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self.timeout):
                return await asyncio.to_thread(call)
        except TimeoutError:
            error: SealwireError = KeyProviderUnavailableError(
                f"{self.url} did not answer within {self.timeout:g} seconds"
            )
        except SealwireError:
            raise
        except Exception as err:  # noqa: BLE001 - its text may quote a signed URL
            error = self._explain(err)
        raise error

    def _explain(self, err: Exception) -> SealwireError:
        # The text is looked at and never shown.
        if isinstance(err, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            return ConfigurationError(
                f"{self.url} does not permit it: readers need s3:GetObject and s3:ListBucket, "
                "administrators s3:PutObject too, or what the service calls so"
            )
        if isinstance(err, FileNotFoundError):
            return ConfigurationError(f"{self.url}: there is no such bucket or container")
        rejected = re.search(r"status code: (4\d\d)", str(err))
        if isinstance(err, exceptions.GenericError) and not rejected:
            return KeyProviderUnavailableError(f"{self.url} does not answer")
        if rejected and rejected[1] in ("408", "409", "425", "429"):
            return KeyProviderUnavailableError(f"{self.url} is busy (status {rejected[1]})")
        return ConfigurationError(
            f"{self.url} refuses: {type(err).__name__} {rejected[1] if rejected else ''}".rstrip()
        )

    @cached_property
    def _client(self) -> Any:
        # One for all requests of a call: each new one asks for a token first.
        return connect(self.url, self.endpoint, self.timeout, _RETRIES)


def connect(url: str, endpoint: str | None, timeout: float, retries: int) -> Any:
    """Make a client of obstore, with credentials from the environment; nothing is asked yet.

    Args:
        url: `s3://…`, `gs://…` or `az://…`.
        endpoint: Of another service; must have been checked.
        timeout: Seconds for a request, and for all tries together.
        retries: How often to ask again what was not answered.

    Raises:
        ConfigurationError: The environment lacks something, or has something malformed.
    """
    limit = timedelta(seconds=timeout)
    options: Any = {"timeout": limit, "connect_timeout": limit}
    place: Any = {}
    if endpoint is not None:
        options["allow_http"] = endpoint.startswith("http://")  # this machine: it was checked
        place["base_url" if url.startswith("gs:") else "endpoint"] = endpoint
    retry: Any = {"max_retries": retries, "retry_timeout": limit}
    with suppress(Exception):  # its text may quote a credential
        return from_url(url, client_options=options, retry_config=retry, **place)
    raise ConfigurationError(
        f"{url} cannot be used with the variables {_VARIABLES[urlsplit(url).scheme]} of the "
        "environment: one is missing or malformed"
    )


def _mode(revision: str | None) -> Any:
    found = _REVISION.fullmatch(revision or "")
    return {key: part for key, part in found.groupdict().items() if part} if found else "create"

"""Large payloads in object storage: S3, Google Cloud Storage or Azure Blob Storage.

Needs the extra `storage`. The client tries again after errors of the service and of the connection,
with pauses that grow and have jitter. Calls block, and are made in threads: those that are
awaited can abort the process when it ends.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from sealwire.errors import (
    ConfigurationError,
    PayloadTooLargeError,
    SealwireError,
    StorageUnavailableError,
)
from sealwire.keys.service import check_endpoint

from .object_store import StoredObject

try:
    import obstore
    from obstore import exceptions

    from sealwire.keys.bucket import connect
    from sealwire.keys.objects import check_url, home
except ModuleNotFoundError:
    raise ConfigurationError(
        "large payloads in object storage need the package 'obstore'; "
        "fix: pip install 'sealwire[storage]'"
    ) from None

T = TypeVar("T")

# The first two are what Temporal's own drivers call themselves in every SDK.
_KINDS: Final = {"s3": "aws.s3driver", "gs": "gcp.gcsdriver", "az": "sealwire.azure"}
_PREFIX: Final = re.compile(r"(?:[0-9A-Za-z!\-_.*'()]+/)*")
_RETRIES: Final = 5
_PAUSES: Final = (0.2, 0.4)  # seconds at most, before an object is read again from its beginning
_PAGE: Final = 1000  # objects, as S3 has in a page
_MAX_TIMEOUT: Final = 600.0  # seconds


@dataclass(frozen=True)
class BucketObjectStore:
    """One object for each payload; credentials come from the environment of the process.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`, without
            credentials. Each part of the prefix is letters, digits and `!-_.*'()`.
        endpoint: Of another service with the same protocol, such as `https://minio.example.com`
            with that of S3.
        timeout: Seconds for one request. After this time no request is tried again.

    Raises:
        ConfigurationError: An argument is not acceptable.
    """

    url: str
    endpoint: str | None = None
    timeout: float = 5.0
    _prefix: str = field(init=False, repr=False, compare=False)
    _clients: dict[str, Any] = field(
        default_factory=dict[str, Any], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= _MAX_TIMEOUT:
            raise ConfigurationError(
                f"timeout must be above 0 and at most {_MAX_TIMEOUT:g} seconds"
            )
        check_url(self.url, "the place of large payloads")
        parts = urlsplit(self.url)
        prefix = f"{parts.path.strip('/')}/".removeprefix("/")
        if parts.scheme not in _KINDS or not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "the place of large payloads must begin with s3://, gs:// or az://, and have only "
                "letters, digits and !-_.*'() between the slashes of its prefix"
            )
        if {".", ".."} & set(prefix.split("/")):
            raise ConfigurationError("no part of the prefix of large payloads can be . or ..")
        if self.endpoint is not None:
            check_endpoint(self.endpoint)
        object.__setattr__(self, "_prefix", prefix)

    @property
    def kind(self) -> str:
        """See `ObjectStore`."""
        return _KINDS[urlsplit(self.url).scheme]

    @property
    def prefix(self) -> str:
        """See `ObjectStore`."""
        return self._prefix

    @property
    def labels(self) -> Mapping[str, str]:
        """See `ObjectStore`."""
        return {"bucket": urlsplit(self.url).netloc}

    def get(self, name: str, max_size: int) -> bytes | None:
        """See `ObjectStore`."""
        for pause in _PAUSES:
            with suppress(_BrokenOffError):
                return self._answer(lambda client: self._get(client, name, max_size))
            time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter is no secret
        return self._answer(lambda client: self._get(client, name, max_size))

    def put(self, name: str, data: bytes) -> None:
        """See `ObjectStore`."""
        # In one request: what an aborted upload in parts leaves behind costs money, unseen.
        self._answer(
            lambda client: obstore.put(client, self._prefix + name, data, use_multipart=False)
        )

    def list(self, folder: str) -> Iterator[Sequence[StoredObject]]:
        """See `ObjectStore`."""
        pages = self._answer(
            lambda client: iter(client.list(self._prefix + folder, chunk_size=_PAGE))
        )
        while (page := self._answer(lambda _: next(pages, None))) is not None:
            yield [
                StoredObject(
                    item["path"].removeprefix(self._prefix),
                    item["size"],
                    item["last_modified"].timestamp(),
                )
                for item in page
            ]

    def delete(self, names: Sequence[str]) -> None:
        """See `ObjectStore`."""
        paths = [self._prefix + name for name in names]
        try:
            self._answer(lambda client: obstore.delete(client, paths))
        except _AbsentError:
            for path in paths:  # of several, the client stops at the first that is missing
                self._delete_one(path)

    def _delete_one(self, path: str) -> None:
        try:
            self._answer(lambda client: obstore.delete(client, path))
        except _AbsentError:
            return

    def _get(self, client: Any, name: str, max_size: int) -> bytes | None:
        try:
            found = obstore.get(client, self._prefix + name)
        except FileNotFoundError:
            return None
        if found.meta["size"] > max_size:
            raise PayloadTooLargeError(
                f"the stored payload has {found.meta['size']} bytes, and max_size is {max_size}"
            )
        try:
            return bytes(found.bytes())
        except exceptions.GenericError:
            pass
        raise _BrokenOffError(f"{self.url} broke off in the middle of an object")

    def _answer(self, call: Callable[[Any], T]) -> T:
        if home() != os.getpid():
            raise ConfigurationError(
                f"{self.url} cannot be asked in a process that was forked from one that asked "
                "object storage before: connect after the fork"
            )
        try:
            return call(self._client())
        except SealwireError:
            raise
        except Exception as err:  # noqa: BLE001 - its text may quote a signed URL
            error = self._explain(err)
        raise error

    def _explain(self, err: Exception) -> SealwireError:
        # The text is looked at and never shown.
        rejected = re.search(r"status code: (4\d\d)|\b(4\d\d) [A-Z][a-z]", str(err))
        status = rejected and (rejected[1] or rejected[2])
        denied = exceptions.PermissionDeniedError | exceptions.UnauthenticatedError
        if isinstance(err, denied) or status in ("401", "403"):  # of a listing
            return ConfigurationError(
                f"{self.url} does not permit it: see docs/how-to/large-payloads.md for who needs "
                "which permission"
            )
        if isinstance(err, FileNotFoundError) or status == "404":
            return _AbsentError(f"{self.url}: there is no such bucket, container or object")
        if isinstance(err, exceptions.GenericError) and not status:
            return StorageUnavailableError(f"{self.url} does not answer")
        if status in ("408", "409", "425", "429"):
            return StorageUnavailableError(f"{self.url} is busy (status {status})")
        return ConfigurationError(
            f"{self.url} refuses: {type(err).__name__} {status or ''}".rstrip()
        )

    def _client(self) -> Any:
        client = self._clients.get(self.url)
        if client is None:
            client = self._clients.setdefault(self.url, self._connect())
        return client

    def _connect(self) -> Any:
        parts = urlsplit(self.url)
        place = f"{parts.scheme}://{parts.netloc}"
        return connect(place, self.endpoint, self.timeout, _RETRIES)


class _BrokenOffError(StorageUnavailableError):
    """An answer began and did not end; the client asks again for its rest at most."""


class _AbsentError(ConfigurationError):
    """There is nothing of this name."""

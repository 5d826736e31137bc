"""The section `[storage]` of `sealwire.toml`: where payloads go that are too large for a server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from sealwire.codecs import EncryptionCodec, TenantEncryptionCodec
from sealwire.codecs.object_folder import FolderObjectStore
from sealwire.codecs.object_store import ObjectStore
from sealwire.codecs.payload_cache import FolderCache, MemoryCache, PayloadCache
from sealwire.codecs.payload_storage import DEFAULT_MAX_SIZE, DEFAULT_THRESHOLD, PayloadStorage
from sealwire.codecs.threads import Threads
from sealwire.errors import ConfigurationError

_SealingT = TypeVar("_SealingT", bound=EncryptionCodec | TenantEncryptionCodec)

_CACHE_SIZE: Final = 32 * 1024 * 1024


@dataclass(frozen=True)
class StorageOptions:
    """The section `[storage]`; see `PayloadStorage`.

    Args:
        url: A bucket or container, see `BucketObjectStore`.
        folder: A folder, see `FolderObjectStore`.
        endpoint: Of another service with the same protocol.
        name: What references call the storage; by default what Temporal's own drivers are called.
        threshold: From how many bytes on a payload is stored outside, once it is sealed.
        max_size: The largest payload, in bytes.
        content_ids: Keep one copy of equal payloads, and upload nothing again on replay. It shows
            which of the large payloads are equal.
        require_sealed: Refuse to store what is not encrypted in one of sealwire's formats.
        timeout: Seconds for one request.
        concurrency: How many requests at once.
        cache_size: Bytes that are kept, so that they are not fetched again; 0 for none.
        cache_folder: Where; None for the memory of the process.

    Raises:
        ConfigurationError: A value is not possible.
    """

    url: str | None = None
    folder: Path | None = None
    endpoint: str | None = None
    name: str | None = None
    threshold: int = DEFAULT_THRESHOLD
    max_size: int = DEFAULT_MAX_SIZE
    content_ids: bool = False
    require_sealed: bool = True
    timeout: float = 5.0
    concurrency: int = 8
    cache_size: int = _CACHE_SIZE
    cache_folder: Path | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.folder is None):
            raise ConfigurationError("external storage is a url or a folder: name one of them")
        if not 1 <= self.threshold <= self.max_size:
            raise ConfigurationError("threshold must be 1 byte or more, and at most max_size")
        if self.name is not None and not self.name:
            raise ConfigurationError("name must not be empty")
        self.storage()  # refuses what is not possible, and does no I/O

    def storage(self, *, require_sealed: bool = True) -> PayloadStorage:
        """Build the storage; it connects on first use.

        Args:
            require_sealed: Whether anything is encrypted at all.
        """
        return PayloadStorage(
            self.objects(),
            self.max_size,
            self.require_sealed and require_sealed,
            self._cache(),
            Threads(self.concurrency),
        )

    def identifying(self, codec: _SealingT) -> _SealingT:
        """Return the codec that gives content ids, where this is configured.

        Raises:
            ConfigurationError: It writes a format without them.
        """
        return replace(codec, content_ids=self.threshold) if self.content_ids else codec

    def objects(self) -> ObjectStore:
        """Build the store.

        Raises:
            ConfigurationError: The extra `storage` is missing, or the URL is not acceptable.
        """
        if self.folder is not None:
            return FolderObjectStore(self.folder)
        from sealwire.codecs.object_bucket import BucketObjectStore

        return BucketObjectStore(self.url or "", self.endpoint, self.timeout)

    def _cache(self) -> PayloadCache | None:
        if self.cache_folder is not None:
            return FolderCache(self.cache_folder, self.cache_size)
        return MemoryCache(self.cache_size) if self.cache_size else None

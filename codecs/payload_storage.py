"""Sealed payloads in an object store: what is written, what is referred to, what is accepted back.

A reference is a mapping of texts, as Temporal's own drivers write it::

    bucket           of the store, where it has one
    key              the object's whole name
    hash_algorithm   sha256
    hash_value       of the object, in lower-case hex

References and objects come from others. A name has to be one that a driver gives, below the
configured prefix; an object must have the hash; and only the seal tells who wrote it, which is for
the codec to check. Where a name has a content id, so must the payload, whose metadata are sealed:
else who writes to the store but has no key could hand out another sealed payload in its place.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError

from sealwire.errors import (
    ConfigurationError,
    PayloadTooLargeError,
    StoredPayloadError,
    UnencryptedPayloadError,
)
from sealwire.payload import Payload, encoding_of

from .forms import is_encrypted
from .object_names import Owner, content_folder, digest_of, has_content_of, object_name
from .object_store import ObjectStore
from .payload_cache import PayloadCache
from .protocol import REPLAY_NAMESPACE
from .threads import Threads

T = TypeVar("T")

DEFAULT_THRESHOLD: Final = 256 * 1024  # bytes, as in Temporal's SDKs
DEFAULT_MAX_SIZE: Final = 50 * 1024 * 1024  # bytes, as in Temporal's own drivers
# Seconds. For so long an object is used again; `collect` must let it live longer than that.
REUSE: Final = 7 * 86_400.0
_ALGORITHM: Final = "sha256"


@dataclass(frozen=True)
class PayloadStorage:
    """Stores payloads, and reads them back.

    Args:
        objects: Where they are stored.
        max_size: The largest payload, in bytes.
        require_sealed: Refuse to store what is not encrypted in one of sealwire's formats.
        cache: Keeps what was read or written; None for no cache.
        threads: Where it works; how many requests there are at once.
        clock: Returns the seconds since 1970.

    Raises:
        ConfigurationError: `max_size` is less than 1.
    """

    objects: ObjectStore
    max_size: int = DEFAULT_MAX_SIZE
    require_sealed: bool = True
    cache: PayloadCache | None = None
    threads: Threads = field(default_factory=lambda: Threads(8), repr=False, compare=False)
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_size < 1:
            raise ConfigurationError("max_size must be 1 byte or more")

    async def store(
        self, payloads: Sequence[Payload], owner: Owner, *, read_only: bool = False
    ) -> list[dict[str, str]]:
        """Store sealed payloads.

        For a replayer nothing is written: what it encodes is thrown away.

        Args:
            payloads: What to store.
            owner: What they are stored for; a replayer that states no namespace is known by it.
            read_only: Write nothing, whoever the owner is; the references lead nowhere then.

        Returns:
            As many references.

        Raises:
            UnencryptedPayloadError: A payload is not sealed.
            PayloadTooLargeError: It is larger than `max_size`.
            StorageUnavailableError: The store does not answer.
        """
        for payload in payloads:
            self._check_sealed(payload)
        writes = not read_only and owner.namespace != REPLAY_NAMESPACE
        return await _together(
            [self.threads.run(self._store, item, owner, writes) for item in payloads]
        )

    async def retrieve(self, references: Sequence[Mapping[str, str]]) -> list[Payload]:
        """Read payloads back, sealed as they are.

        Returns:
            As many payloads.

        Raises:
            StoredPayloadError: A reference leads elsewhere, or what is there was not stored so.
            PayloadTooLargeError: It is larger than `max_size`.
            StorageUnavailableError: The store does not answer.
        """
        return await _together([self.threads.run(self._retrieve, item) for item in references])

    def _check_sealed(self, payload: Payload) -> None:
        if self.require_sealed and not is_encrypted(payload):
            raise UnencryptedPayloadError(
                f"a payload with the encoding {encoding_of(payload)} is not sealed, and is not put "
                "into external storage; require_sealed = false in [storage] allows it",
                encoding=encoding_of(payload),
            )

    def _store(self, payload: Payload, owner: Owner, writes: bool) -> dict[str, str]:
        data = payload.SerializeToString()
        if len(data) > self.max_size:
            raise PayloadTooLargeError(
                f"the payload has {len(data)} bytes, and max_size in [storage] is {self.max_size}"
            )
        digest = hashlib.sha256(data).hexdigest()
        content = content_folder(payload, owner.namespace)
        folder = owner.folder if content is None else content
        if writes:
            there = None if content is None else self._same_content(content, len(data))
            if there is not None:
                return self._reference(folder, there)
            self.objects.put(object_name(folder, digest), data)
            self._keep(digest, payload, data)
        return self._reference(folder, digest)

    def _same_content(self, folder: str, size: int) -> str | None:
        """Return the hash of an object with this content, the same one each time."""
        since = self.clock() - REUSE
        page = next(iter(self.objects.list(folder)), ())
        digests = (
            digest_of(item.name)
            for item in page
            if item.size == size and item.modified >= since and not item.unfinished
        )
        return min(filter(None, digests), default=None)

    def _reference(self, folder: str, digest: str) -> dict[str, str]:
        return {
            **self.objects.labels,
            "key": self.objects.prefix + object_name(folder, digest),
            "hash_algorithm": _ALGORITHM,
            "hash_value": digest,
        }

    def _retrieve(self, reference: Mapping[str, str]) -> Payload:
        name, digest = self._checked(reference)
        shown = repr(self.objects.prefix + name)  # which was checked: it is neither long nor odd
        data = self.cache.get(digest) if self.cache is not None else None
        kept = data is not None
        if data is None:
            data = self.objects.get(name, self.max_size)
        if data is None:
            raise StoredPayloadError(
                "the payload is not in external storage: it was deleted, or is in another place "
                f"than the configuration says: {shown}"
            )
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoredPayloadError(
                f"the payload in external storage is not what was stored: {shown}"
            )
        payload = _parsed(data, shown)
        if not has_content_of(payload, name):
            raise StoredPayloadError(
                f"external storage has another payload under this content id: {shown}"
            )
        if not kept:
            self._keep(digest, payload, data)
        return payload

    def _checked(self, reference: Mapping[str, str]) -> tuple[str, str]:
        key, digest = reference.get("key", ""), reference.get("hash_value", "")
        labels = self.objects.labels
        name = key.removeprefix(self.objects.prefix)
        if any(reference.get(label) != value for label, value in labels.items()) or not (
            key.startswith(self.objects.prefix)
        ):
            raise StoredPayloadError(
                "a reference leads to another bucket or prefix than the configuration names"
            )
        if reference.get("hash_algorithm") != _ALGORITHM or digest_of(name) != digest:
            raise StoredPayloadError("a reference to a stored payload is malformed")
        return name, digest

    def _keep(self, digest: str, payload: Payload, data: bytes) -> None:
        if self.cache is not None and is_encrypted(payload):
            self.cache.put(digest, data)


async def _together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return [await task for task in tasks]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _parsed(data: bytes, shown: str) -> Payload:
    try:
        return Payload.FromString(data)
    except DecodeError:
        pass
    raise StoredPayloadError(f"what is in external storage is no payload: {shown}")

"""Where payloads that are too large for the server are kept, and what is asked of such a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a listing.

    Args:
        name: Its name, with slashes.
        size: In bytes.
        modified: When it was written, in seconds since 1970.
        unfinished: Whether it is no object: its upload is going on, or was broken off.
    """

    name: str
    size: int
    modified: float
    unfinished: bool = False


@runtime_checkable
class ObjectStore(Protocol):
    """Keeps bytes under names with slashes. Its methods block, and are called in threads.

    All of them raise `StorageUnavailableError` where the same call may succeed later, and
    `ConfigurationError` where somebody has to repair something first.
    """

    @property
    def kind(self) -> str:
        """What other programs call such a store."""
        ...

    @property
    def prefix(self) -> str:
        """What references put before a name: empty, or with a slash at its end."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """What else references say of the place, such as the bucket."""
        ...

    def get(self, name: str, max_size: int) -> bytes | None:
        """Return an object; None where there is none.

        Raises:
            PayloadTooLargeError: It has more than `max_size` bytes; it was not read.
        """
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write an object, all at once or not at all. One of the same name has the same bytes."""
        ...

    def list(self, folder: str) -> Iterator[Sequence[StoredObject]]:
        """List what is below `folder`, in pages of at most some thousand objects.

        Where unfinished uploads take space under names of their own, they are listed, too.
        """
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects. One that is not there is not missed."""
        ...

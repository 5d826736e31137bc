"""Stored payloads that no history refers to any more: which they are, and their removal.

An object is kept while anything refers to it, and while it is young. A reference may not be in a
history yet, and an object with a content id is referred to anew by others for `REUSE` seconds.
Only objects of the namespace are looked at, and only those with a name that a driver gives. What
is left of an upload that was broken off is no object: nothing refers to it, only its age counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sealwire.codecs.object_names import digest_of, has_content_id, namespace_folder
from sealwire.codecs.object_store import ObjectStore, StoredObject
from sealwire.codecs.payload_storage import REUSE
from sealwire.codecs.threads import Threads
from sealwire.errors import ConfigurationError

from .reference_keys import References

# Seconds. An upload is in a history within minutes; clocks differ by less than hours.
MIN_AGE: Final = 86_400.0
_EXAMPLES: Final = 10


@dataclass(slots=True)
class Pile:
    """So many objects.

    Attributes:
        objects: How many.
        size: Their bytes.
    """

    objects: int = 0
    size: int = 0

    def add(self, item: StoredObject) -> None:
        """Count one more."""
        self.objects += 1
        self.size += item.size


@dataclass
class Sweep:
    """What was found in a store.

    Attributes:
        referenced: Objects to which something refers.
        young: Others that are too young to be deleted.
        unknown: Those with another name than drivers give; they are left alone.
        unfinished: What is left of uploads that were broken off, and old enough to be deleted.
        garbage: The rest.
        deleted: How many of the last two were deleted.
        examples: The names of some of these.
    """

    referenced: Pile = field(default_factory=Pile)
    young: Pile = field(default_factory=Pile)
    unknown: Pile = field(default_factory=Pile)
    unfinished: Pile = field(default_factory=Pile)
    garbage: Pile = field(default_factory=Pile)
    deleted: int = 0
    examples: list[str] = field(default_factory=list[str])

    @property
    def deletable(self) -> int:
        """How many may be deleted."""
        return self.garbage.objects + self.unfinished.objects

    def sort(self, item: StoredObject, *, is_referenced: bool, before: float) -> bool:
        """Count an object; return whether it is to be deleted."""
        pile = self._pile(item, is_referenced=is_referenced, before=before)
        pile.add(item)
        goes = pile is self.garbage or pile is self.unfinished
        if goes and len(self.examples) < _EXAMPLES:
            self.examples.append(item.name)
        return goes

    def _pile(self, item: StoredObject, *, is_referenced: bool, before: float) -> Pile:
        if item.unfinished:
            return self.unfinished if item.modified < before else self.young
        if is_referenced:
            return self.referenced
        if digest_of(item.name) is None:
            return self.unknown
        limit = before - REUSE if has_content_id(item.name) else before
        return self.garbage if item.modified < limit else self.young


async def find_garbage(
    objects: ObjectStore, references: References, namespace: str, before: float
) -> Sweep:
    """Look at all objects of a namespace, and delete none.

    Args:
        objects: The store.
        references: All references; they were read after `before`.
        namespace: Whose objects.
        before: Younger objects are no garbage; in seconds since 1970.

    Raises:
        StorageUnavailableError: The store does not answer.
    """
    return await _sweep(objects, references, namespace, before, delete=False)


async def delete_garbage(
    objects: ObjectStore, references: References, namespace: str, before: float
) -> Sweep:
    """Do the same, and delete what is garbage.

    Raises:
        ConfigurationError: The store may not be changed.
        StorageUnavailableError: It does not answer.
    """
    return await _sweep(objects, references, namespace, before, delete=True)


async def _sweep(
    objects: ObjectStore, references: References, namespace: str, before: float, *, delete: bool
) -> Sweep:
    found, threads = Sweep(), Threads(1)
    pages = objects.list(namespace_folder(namespace))
    try:
        while (page := await threads.run(_next, pages)) is not None:
            garbage = [
                item.name
                for item in page
                if found.sort(
                    item,
                    is_referenced=objects.prefix + item.name in references,
                    before=before,
                )
            ]
            if delete and garbage:
                await threads.run(objects.delete, garbage)
                found.deleted += len(garbage)
    finally:
        threads.close()
    return found


def _next(pages: Iterator[Sequence[StoredObject]]) -> Sequence[StoredObject] | None:
    return next(pages, None)


def check_age(age: float) -> None:
    """Refuse an age at which an object may not be in a history yet.

    Raises:
        ConfigurationError: It is under a day.
    """
    if not age >= MIN_AGE:  # NaN is not
        raise ConfigurationError(
            "objects of less than a day may belong to what is about to be written into a history; "
            "use 24h or more"
        )

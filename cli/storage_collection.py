"""Collect garbage in external storage: read what a server keeps, then look at the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from temporalio.client import Client

from sealwire.codecs.object_store import ObjectStore
from sealwire.config import Config
from sealwire.errors import ConfigurationError
from sealwire.temporal.connection import connect, explained
from sealwire.temporal.reference_keys import References
from sealwire.temporal.retention import Retention, read_retention
from sealwire.temporal.storage_gc import (
    MIN_AGE,
    Sweep,
    check_age,
    delete_garbage,
    find_garbage,
)
from sealwire.temporal.stored_references import ReferenceReader


@dataclass(frozen=True)
class Collection:
    """What was found, and deleted.

    Args:
        namespace: Whose objects.
        runs: How many histories were read.
        others: How many schedules, activities and operations.
        references: How many objects they refer to, here or elsewhere.
        before: Younger objects were left alone; in seconds since 1970.
        sweep: The objects.
    """

    namespace: str
    runs: int
    others: int
    references: int
    before: float
    sweep: Sweep


@dataclass(frozen=True)
class Collector:
    """Collects for one namespace.

    Args:
        config: Where the storage is, and what decodes references.
        namespaces: The namespace, and others whose histories refer to its objects; None for what
            `connect` takes.
        address: Host and port; None for what Temporal's own tools are set up for.
        profile: A profile of Temporal's own configuration file.
        age: How old garbage must be, in seconds; None for a day and the retention.
        delete: Whether to delete what is found.
        even_if_archived: Whether to go on if histories are archived.
        even_if_unreferenced: Whether to delete if nothing refers to any object.

    Raises:
        ConfigurationError: There is no storage, or the age is under a day.
    """

    config: Config
    namespaces: tuple[str | None, ...]
    address: str | None
    profile: str | None
    age: float | None
    delete: bool
    even_if_archived: bool
    even_if_unreferenced: bool
    _objects: ObjectStore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        options = self.config.storage
        if options is None:
            raise ConfigurationError(
                "the configuration has no external storage: add a section [storage]"
            )
        object.__setattr__(self, "_objects", options.objects())
        if self.age is not None:
            check_age(self.age)

    async def collect(self, advance: Callable[[], object]) -> Collection:
        """Read the histories, then look at the objects.

        Args:
            advance: Called after each history.

        Raises:
            ConfigurationError: A rail is in the way, or something cannot be read completely.
            StorageUnavailableError: The store does not answer.
        """
        begun = time.time()
        clients = [
            await connect(self.config, name, address=self.address, profile=self.profile)
            for name in self.namespaces
        ]
        namespace = clients[0].namespace
        kept = [await self._retention(client) for client in clients]
        age = self.age
        if age is None:
            age = MIN_AGE + max(item.seconds for item in kept)
        with closing(References()) as references:
            readers = [await self._read(client, references, advance) for client in clients]
            return Collection(
                namespace,
                sum(reader.runs for reader in readers),
                sum(reader.others for reader in readers),
                len(references),
                begun - age,
                await self._sweep(references, namespace, begun - age),
            )

    async def _sweep(self, references: References, namespace: str, before: float) -> Sweep:
        found = await find_garbage(self._objects, references, namespace, before)
        if not self.delete or not found.deletable:
            return found
        # No server refers to what is unfinished.
        suspicious = found.garbage.objects and not found.referenced.objects
        if suspicious and not self.even_if_unreferenced:
            raise ConfigurationError(
                f"nothing refers to any object of {namespace!r}: is it the right server, and the "
                "right storage? If they are, --even-if-unreferenced deletes the objects"
            )
        return await delete_garbage(self._objects, references, namespace, before)

    async def _retention(self, client: Client) -> Retention:
        async with explained(client):
            kept = await read_retention(client)
        if kept.archives and not self.even_if_archived:
            raise ConfigurationError(
                f"histories of {kept.namespace!r} are archived, and refer to stored payloads "
                "there, too; --even-if-archived deletes these"
            )
        return kept

    async def _read(
        self, client: Client, references: References, advance: Callable[[], object]
    ) -> ReferenceReader:
        codec = self.config.codec(self.config.namespace or client.namespace)
        reader = ReferenceReader(client, codec, references, advance)
        async with explained(client):
            await reader.read()
        return reader

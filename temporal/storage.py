"""Payloads that are too large for the server: sealwire's storage as a driver of the SDK.

The SDK calls the driver after the codec, so what is stored is sealed, and puts a reference into the
history. Names and references are those of Temporal's own S3 drivers, so that workers with one of
them read what is stored here, and the other way round; see `sealwire.codecs.object_names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ExternalStorage,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)

from sealwire.codecs.object_names import Owner
from sealwire.codecs.payload_storage import DEFAULT_THRESHOLD, PayloadStorage
from sealwire.config import Config


class SealwireStorageDriver(StorageDriver):
    """A `PayloadStorage` as the SDK's storage driver.

    Args:
        storage: Where payloads are stored.
        name: What references call it; None for the name of its type.
        namespace: The client's namespace, for payloads of which the SDK tells none.
        read_only: For a replayer: write nothing.
    """

    def __init__(
        self,
        storage: PayloadStorage,
        name: str | None = None,
        namespace: str | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        self.storage = storage
        self._name = name or storage.objects.kind
        self._namespace = namespace
        self._read_only = read_only

    def name(self) -> str:
        """Return what references call this driver."""
        return self._name

    def type(self) -> str:
        """Return what drivers for such a store are called in every SDK."""
        return self.storage.objects.kind

    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        """Store sealed payloads; see `PayloadStorage.store`."""
        references = await self.storage.store(
            payloads, self._owner(context), read_only=self._read_only
        )
        return [StorageDriverClaim(reference) for reference in references]

    async def retrieve(
        self,
        context: StorageDriverRetrieveContext,  # noqa: ARG002 - it says nothing
        claims: Sequence[StorageDriverClaim],
    ) -> list[Payload]:
        """Read payloads back, still sealed; see `PayloadStorage.retrieve`."""
        return await self.storage.retrieve([claim.claim_data for claim in claims])

    def _owner(self, context: StorageDriverStoreContext) -> Owner:
        target = context.target
        if target is None:
            return Owner(self._namespace)
        namespace = target.namespace or self._namespace
        kind: Literal["workflow", "activity"] = (
            "workflow" if isinstance(target, StorageDriverWorkflowInfo) else "activity"
        )
        return Owner(namespace, kind, target.type, target.id, target.run_id)


def configured_storage(
    config: Config,
    namespace: str | None,
    existing: ExternalStorage | None,
    *,
    read_only: bool = False,
) -> ExternalStorage | None:
    """Build the external storage of a configuration; None where it has none.

    Args:
        config: Its section `[storage]`.
        namespace: The client's namespace, where it is known.
        existing: What was set before. It is kept, unless this configuration has made it, perhaps
            for another namespace.
        read_only: For a replayer: write nothing.
    """
    options, storage = config.storage, config.payload_storage
    if options is None or storage is None:
        return existing
    if existing is not None and not _is_made_of(existing, storage):
        return existing
    return external_storage(
        storage,
        name=options.name,
        threshold=options.threshold,
        namespace=config.namespace or namespace,
        read_only=read_only,
    )


def _is_made_of(existing: ExternalStorage, storage: PayloadStorage) -> bool:
    drivers = existing.drivers
    return all(isinstance(one, SealwireStorageDriver) and one.storage is storage for one in drivers)


def external_storage(
    storage: PayloadStorage,
    *,
    name: str | None = None,
    threshold: int = DEFAULT_THRESHOLD,
    namespace: str | None = None,
    read_only: bool = False,
) -> ExternalStorage:
    """Build the SDK's external storage around one driver.

    Args:
        storage: Where payloads are stored.
        name: What references call it; None for the name of its type.
        threshold: From how many bytes on a sealed payload is stored outside.
        namespace: The client's namespace.
        read_only: For a replayer: write nothing.
    """
    driver = SealwireStorageDriver(storage, name, namespace, read_only=read_only)
    return ExternalStorage(drivers=[driver], payload_size_threshold=threshold)

"""Sealed payloads in Temporal: a plugin for `temporalio`.

::

    client = await Client.connect("localhost:7233", plugins=[SealwirePlugin("sealwire.toml")])

The plugin belongs to the client; workers of that client take it from there, and a `Replayer` takes
it directly. `data_converter` and `sandbox_runner` are for programs that do not use plugins.
"""

from .converter import SealwireCodec, SealwirePayloadConverter, data_converter
from .failures import (
    ClearFailureConverter,
    EncodedFailureConverter,
    EncodedTypeFailureConverter,
)
from .plugin import SealwirePlugin
from .sandbox import PASSTHROUGH_MODULES, sandbox_runner
from .search_attributes import SearchAttributeGuard
from .storage import SealwireStorageDriver, external_storage

__all__ = [
    "PASSTHROUGH_MODULES",
    "ClearFailureConverter",
    "EncodedFailureConverter",
    "EncodedTypeFailureConverter",
    "SealwireCodec",
    "SealwirePayloadConverter",
    "SealwirePlugin",
    "SealwireStorageDriver",
    "SearchAttributeGuard",
    "data_converter",
    "external_storage",
    "sandbox_runner",
]

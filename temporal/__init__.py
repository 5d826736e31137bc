"""Sealed payloads in Temporal: a plugin for `temporalio`.

::

    client = await Client.connect("localhost:7233", plugins=[SealwirePlugin("sealwire.toml")])

The plugin belongs to the client; workers of that client take it from there, and a `Replayer` takes
it directly. `data_converter` is for programs that do not use plugins.
"""

from .converter import SealwireCodec, SealwirePayloadConverter, data_converter
from .plugin import PASSTHROUGH_MODULES, SealwirePlugin

__all__ = [
    "PASSTHROUGH_MODULES",
    "SealwireCodec",
    "SealwirePayloadConverter",
    "SealwirePlugin",
    "data_converter",
]

"""Sealed payloads for durable workflows.

`sealwire` turns values into Payload protobufs and back, and makes sure that only those who should
read them can. One file, `sealwire.toml`, describes the whole chain; workers, clients, the codec
server and the command line all read it:

- `sealwire.load_config` reads that file, and gives a `DataConverter` for use without Temporal;
- `sealwire.temporal.SealwirePlugin` plugs it into a `temporalio` client;
- `sealwire.converter`, `sealwire.codecs` and `sealwire.keys` are the parts, each usable alone.

Importing this package needs the core dependencies alone. The names below are loaded on first use.

Compatibility: payloads and keyrings written by one release are readable by every later one. The
Python API may still change before 1.0; each change is in the changelog.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sealwire.errors import SealwireError
from sealwire.payload import Payload

if TYPE_CHECKING:
    from sealwire.config import Config, load_config
    from sealwire.converter import DataConverter

__all__ = ["Config", "DataConverter", "Payload", "SealwireError", "__version__", "load_config"]

__version__: Final = "0.1.0"

_LAZY: Final = {
    "Config": "sealwire.config",
    "DataConverter": "sealwire.converter",
    "load_config": "sealwire.config",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

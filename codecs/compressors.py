"""The interface of a compression algorithm, and what the algorithms share.

Whoever made the data that is decompressed may be hostile. So each `decompress` counts what comes
out, stops at its limit, and trusts no size in a header.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, Protocol

from sealwire.errors import ConfigurationError, PayloadError, PayloadTooLargeError

# Smaller payloads without a dictionary shrink by a tenth, and take longer than to encrypt them.
MIN_SIZE: Final = 256
# A probe takes 10 to 30 µs. From 16 KiB on most algorithms take ten times that, for random bytes
# too; the fast ones pass over random bytes by themselves, and take as long as that from 128 KiB on.
PROBE_FROM: Final = 16 * 1024
PROBE_FAST_FROM: Final = 128 * 1024


class Decompressor(Protocol):
    """Reads one encoding. Threads may share it."""

    @property
    def encoding(self) -> bytes:
        """The value of `metadata["encoding"]`."""
        ...

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Undo compression.

        Args:
            data: One frame or stream, and nothing after it.
            limit: The most bytes to return. Not much more than that is ever allocated.

        Raises:
            PayloadTooLargeError: The result would be larger.
            PayloadError: The data is damaged.
        """
        ...


class Compressor(Decompressor, Protocol):
    """Writes one encoding with the parameters that it was made with, and reads it with any."""

    @property
    def min_size(self) -> int:
        """The size in bytes from which compression pays."""
        ...

    @property
    def probe_from(self) -> int:
        """The size in bytes from which a probe is cheap beside compression."""
        ...

    def compress(self, data: bytes) -> bytes:
        """Return `data` as one frame or stream."""
        ...


def check_level(algorithm: str, level: int, levels: range) -> None:
    """Refuse a level that an algorithm does not have.

    Raises:
        ConfigurationError: It has not.
    """
    if level not in levels:
        raise ConfigurationError(
            f"level {level} is not a level of {algorithm}: expected {levels[0]} to {levels[-1]}"
        )


def optional(module: str, extra: str) -> Any:
    """Import a module that only an extra installs.

    Raises:
        ConfigurationError: It is not installed. Not a `PayloadError`, because the payload is good.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"binary/{extra} needs a package that is not installed; "
            f"fix: pip install 'sealwire[{extra}]'"
        ) from None


def damaged(encoding: bytes) -> PayloadError:
    """Return the error for data that is not what its encoding says."""
    name = encoding.decode()
    return PayloadError(f"the {name} data is damaged", encoding=name)


def too_large(encoding: bytes, limit: int) -> PayloadTooLargeError:
    """Return the error for data that would expand beyond `limit` bytes."""
    name = encoding.decode()
    return PayloadTooLargeError(
        f"a {name} payload would have more than {limit} bytes when decompressed: "
        "max_size and max_ratio allow no more",
        encoding=name,
    )

"""The algorithms whose packages are extras: lz4, brotli and snappy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from sealwire.errors import ConfigurationError
from sealwire.payload import Encoding

from .compressors import (
    MIN_SIZE,
    PROBE_FAST_FROM,
    PROBE_FROM,
    check_level,
    damaged,
    optional,
    too_large,
)

# LZ4 frame format, 3: "Magic Number"; frames that a reader may skip have others.
_LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
_LZ4_HC: Final = 3  # LZ4HC_CLEVEL_MIN: from this level on it searches, and is no longer fast
# Most payloads are read in one step. Later steps double, because each copies the rest of the input.
_FIRST_STEP: Final = 64 * 1024
# For brotli a step may give twice as much, so it must not grow with the result.
_BROTLI_STEP: Final = 1024 * 1024


@dataclass(frozen=True)
class Lz4:
    """`binary/lz4`: an LZ4 frame. The fastest; level 0 is plain LZ4, from 3 on it is LZ4 HC."""

    level: int = 0
    _frame: Any = field(init=False, repr=False, compare=False)

    encoding = Encoding.LZ4
    min_size = MIN_SIZE

    def __post_init__(self) -> None:
        check_level("lz4", self.level, range(13))
        object.__setattr__(self, "_frame", optional("lz4.frame", "lz4"))

    @property
    def probe_from(self) -> int:
        """See `Compressor`."""
        return PROBE_FROM if self.level >= _LZ4_HC else PROBE_FAST_FROM

    def compress(self, data: bytes) -> bytes:
        """See `Compressor`."""
        frame: bytes = self._frame.compress(data, compression_level=self.level, store_size=False)
        return frame

    def decompress(self, data: bytes, limit: int) -> bytes:
        """See `Decompressor`."""
        if not data.startswith(_LZ4_MAGIC):
            raise damaged(self.encoding)
        stream = self._frame.LZ4FrameDecompressor()
        parts: list[bytes] = []
        size = 0
        while not stream.eof:
            # The package allocates the whole step at once.
            step = min(max(_FIRST_STEP, size), limit + 1 - size)
            try:
                part = stream.decompress(data, max_length=step)
            except RuntimeError:
                raise damaged(self.encoding) from None
            size += len(part)
            if size > limit:
                raise too_large(self.encoding, limit)
            if not part and not stream.eof:
                raise damaged(self.encoding)
            parts.append(part)
            data = b""
        if stream.unused_data:
            raise damaged(self.encoding)
        return b"".join(parts)


@dataclass(frozen=True)
class Brotli:
    """`binary/brotli`: a brotli stream (RFC 7932). The smallest for text, and slow to write."""

    level: int = 4
    _brotli: Any = field(init=False, repr=False, compare=False)

    encoding = Encoding.BROTLI
    min_size = MIN_SIZE
    probe_from = PROBE_FROM

    def __post_init__(self) -> None:
        check_level("brotli", self.level, range(12))
        package = optional("brotli", "brotli")
        # Before 1.2 there is no limit for what a step may give.
        if not hasattr(package.Decompressor, "can_accept_more_data"):
            raise ConfigurationError(
                "binary/brotli needs brotli 1.2 or newer; fix: pip install 'sealwire[brotli]'"
            )
        object.__setattr__(self, "_brotli", package)

    def compress(self, data: bytes) -> bytes:
        """See `Compressor`."""
        stream: bytes = self._brotli.compress(data, quality=self.level)
        return stream

    def decompress(self, data: bytes, limit: int) -> bytes:
        """See `Decompressor`."""
        stream = self._brotli.Decompressor()
        step = min(_BROTLI_STEP, limit + 1)
        parts: list[bytes] = []
        size = 0
        while not stream.is_finished():
            try:
                part = stream.process(data, output_buffer_limit=step)
            except self._brotli.error:  # also for what follows the end of the stream
                raise damaged(self.encoding) from None
            size += len(part)
            if size > limit:
                raise too_large(self.encoding, limit)
            if not part and not stream.is_finished():
                raise damaged(self.encoding)
            parts.append(part)
            data = b""
        return b"".join(parts)


@dataclass(frozen=True)
class Snappy:
    """`binary/snappy`, read only: the raw block format, as Temporal's samples write it."""

    _package: Any = field(init=False, repr=False, compare=False)

    encoding = Encoding.SNAPPY

    def __post_init__(self) -> None:
        object.__setattr__(self, "_package", optional("cramjam", "snappy"))

    def decompress(self, data: bytes, limit: int) -> bytes:
        """See `Decompressor`."""
        snappy = self._package.snappy
        try:
            # What the header states is allocated, and more than that is an error.
            if snappy.decompress_raw_len(data) > limit:
                raise too_large(self.encoding, limit)
            return bytes(snappy.decompress_raw(data))
        except self._package.DecompressionError:
            raise damaged(self.encoding) from None

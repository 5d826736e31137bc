"""zlib and gzip: two wrappings of the same algorithm, in the standard library."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from sealwire.payload import Encoding

from .compressors import MIN_SIZE, PROBE_FROM, check_level, damaged, too_large

# How the module `zlib` tells them apart; 15 stands for the largest window, 32 KiB.
_ZLIB_BITS: Final = 15
_GZIP_BITS: Final = 16 + 15


@dataclass(frozen=True)
class Zlib:
    """`binary/zlib`: a zlib stream (RFC 1950), as the Go and Java SDKs' own codecs write it."""

    level: int = 6

    encoding = Encoding.ZLIB
    min_size = MIN_SIZE
    probe_from = PROBE_FROM

    def __post_init__(self) -> None:
        check_level("zlib", self.level, range(1, 10))

    def compress(self, data: bytes) -> bytes:
        """See `Compressor`."""
        return zlib.compress(data, self.level)

    def decompress(self, data: bytes, limit: int) -> bytes:
        """See `Decompressor`."""
        return _inflate(self.encoding, _ZLIB_BITS, data, limit)


@dataclass(frozen=True)
class Gzip:
    """`binary/gzip`, read only: one gzip member (RFC 1952)."""

    encoding = Encoding.GZIP

    def decompress(self, data: bytes, limit: int) -> bytes:
        """See `Decompressor`."""
        return _inflate(self.encoding, _GZIP_BITS, data, limit)


def _inflate(encoding: bytes, bits: int, data: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(bits)
    try:
        plain = stream.decompress(data, limit + 1)
    except zlib.error:
        raise damaged(encoding) from None
    if len(plain) > limit:
        raise too_large(encoding, limit)
    if not stream.eof or stream.unused_data:
        raise damaged(encoding)
    return plain

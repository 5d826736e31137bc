"""Compression: zstd or zlib over the whole inner payload, where that makes it smaller.

Formats: `binary/zstd` is a zstd frame (RFC 8878), `binary/zlib` a zlib stream (RFC 1950), each of
the serialized inner Payload; the latter is the format of the Go and Java SDKs' own codecs.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

import zstandard
from google.protobuf.message import DecodeError

from sealwire.errors import ConfigurationError, PayloadError, PayloadTooLargeError
from sealwire.payload import ENCODING, Encoding, Payload, encoding_of

from .protocol import CodecKind

_LEVELS: Final = {"zstd": range(-7, 23), "zlib": range(1, 10)}
_DEFAULT_LEVEL: Final = {"zstd": 3, "zlib": 6}
_WRITES: Final = {"zstd": Encoding.ZSTD, "zlib": Encoding.ZLIB}
# Payloads that cannot shrink any more, or must not be touched.
_OPAQUE: Final = frozenset({Encoding.ZSTD, Encoding.ZLIB, Encoding.SEALED, Encoding.ENCRYPTED})
# Below this size the ratio says nothing: 40 bytes may well stand for 64 KiB of zeros.
_RATIO_FLOOR: Final = 64 * 1024
# RFC 8878, 3.1.1.1.2: decoders should support windows of up to 8 MiB, and may refuse larger ones.
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
# RFC 8878, 3.1.1.2: 4 bytes of input may stand for a block of 128 KiB, so that a step of this many
# bytes gives at most 8 MiB before the limit is looked at.
_ZSTD_STEP: Final = 256


class _Contexts(threading.local):
    """The zstd contexts of one thread: fast to reuse, not safe to share."""

    def __init__(self, level: int) -> None:
        self.compressor = zstandard.ZstdCompressor(level=level)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)


@dataclass(frozen=True)
class CompressionCodec:
    """Compress on encode, and read both algorithms on decode.

    The original payload is kept when the compressed one would not be smaller. Reading is bounded:
    the limits hold while decompressing, whatever a header claims, and encoding never writes what
    decoding with the same limits would refuse.

    Args:
        algorithm: What to write.
        level: Higher is smaller and slower; -7 to 22 for zstd (3 if None), 1 to 9 for zlib (6).
        min_size: Payloads of fewer serialized bytes are left alone; zstd without a dictionary
            saves a tenth of such sizes, and takes longer than encryption does.
        max_size: The largest serialized payload in bytes that decoding gives back.
        max_ratio: The largest factor by which decoding may expand data, above 64 KiB.

    Raises:
        ConfigurationError: A parameter is out of its range.
    """

    algorithm: Literal["zstd", "zlib"] = "zstd"
    level: int | None = None
    min_size: int = 256
    max_size: int = 64 * 1024 * 1024
    max_ratio: int = 1000
    _contexts: _Contexts = field(init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.COMPRESS

    def __post_init__(self) -> None:
        if self.algorithm not in _LEVELS:
            raise ConfigurationError(
                f"unknown algorithm {self.algorithm!r}: expected one of {', '.join(_LEVELS)}"
            )
        levels = _LEVELS[self.algorithm]
        if self.level is not None and self.level not in levels:
            raise ConfigurationError(
                f"level {self.level} is not a level of {self.algorithm}: "
                f"expected {levels[0]} to {levels[-1]}"
            )
        if self.min_size < 0 or self.max_size < 1 or self.max_ratio < 1:
            raise ConfigurationError("min_size must be 0 or more, max_size and max_ratio 1 or more")
        object.__setattr__(
            self,
            "_contexts",
            _Contexts(self._level if self.algorithm == "zstd" else _DEFAULT_LEVEL["zstd"]),
        )

    @property
    def _level(self) -> int:
        return _DEFAULT_LEVEL[self.algorithm] if self.level is None else self.level

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Compress each payload that shrinks."""
        return self.encode_sync(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decompress each compressed payload.

        Raises:
            PayloadError: The compressed data is damaged.
            PayloadTooLargeError: The result would exceed the limits.
        """
        return self.decode_sync(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`."""
        return [self._compress(payload) for payload in payloads]

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`."""
        return [self._decompress(payload) for payload in payloads]

    def _compress(self, payload: Payload) -> Payload:
        if payload.metadata.get(ENCODING) in _OPAQUE:
            return payload
        plain = payload.SerializeToString()
        if not self.min_size <= len(plain) <= self.max_size:
            return payload
        if self.algorithm == "zstd":
            data = self._contexts.compressor.compress(plain)
        else:
            data = zlib.compress(plain, self._level)
        # The second test: what reading with the same limits would refuse is not written.
        if len(data) >= len(plain) or len(plain) > self._limit(data):
            return payload
        compressed = Payload()
        compressed.metadata[ENCODING] = _WRITES[self.algorithm]
        compressed.data = data
        if payload.external_payloads:
            # The server accounts for external storage by the outer payload's copy.
            compressed.external_payloads.extend(payload.external_payloads)
        return compressed if compressed.ByteSize() < len(plain) else payload

    def _decompress(self, payload: Payload) -> Payload:
        encoding = payload.metadata.get(ENCODING)
        if encoding == Encoding.ZSTD:
            plain = self._unzstd(payload.data)
        elif encoding == Encoding.ZLIB:
            plain = self._unzlib(payload.data)
        else:
            return payload
        try:
            return Payload.FromString(plain)
        except DecodeError:
            raise _damaged(encoding_of(payload)) from None

    def _unzstd(self, data: bytes) -> bytes:
        limit = self._limit(data)
        contexts = self._contexts
        if not data.startswith(zstandard.FRAME_HEADER):  # nor a frame that a reader may skip
            raise _damaged("binary/zstd")
        try:
            # With a stated size zstandard allocates just that and fails if the frame is longer.
            stated = zstandard.frame_content_size(data)
            if stated > limit:
                raise self._too_large("binary/zstd")
            # Of a frame that states 0 it does not even look at the rest.
            if stated > 0:
                return contexts.decompressor.decompress(data, allow_extra_data=False)
            return self._unzstd_stream(data, limit)
        except zstandard.ZstdError:
            raise _damaged("binary/zstd") from None

    def _unzstd_stream(self, data: bytes, limit: int) -> bytes:
        stream = self._contexts.decompressor.decompressobj()
        parts: list[bytes] = []
        size = 0
        start = 0
        for start in range(0, len(data), _ZSTD_STEP):
            parts.append(stream.decompress(data[start : start + _ZSTD_STEP]))
            size += len(parts[-1])
            if size > limit:
                raise self._too_large("binary/zstd")
            if stream.eof:
                break
        if not stream.eof or stream.unused_data or start + _ZSTD_STEP < len(data):
            raise _damaged("binary/zstd")
        return b"".join(parts)

    def _unzlib(self, data: bytes) -> bytes:
        limit = self._limit(data)
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(data, limit + 1)
        except zlib.error:
            raise _damaged("binary/zlib") from None
        if len(plain) > limit:
            raise self._too_large("binary/zlib")
        if not stream.eof or stream.unused_data:
            raise _damaged("binary/zlib")
        return plain

    def _limit(self, data: bytes) -> int:
        return min(self.max_size, max(_RATIO_FLOOR, len(data) * self.max_ratio))

    def _too_large(self, encoding: str) -> PayloadTooLargeError:
        return PayloadTooLargeError(
            f"a {encoding} payload would exceed max_size ({self.max_size} bytes) "
            f"or max_ratio ({self.max_ratio}) when decompressed",
            encoding=encoding,
        )


def _damaged(encoding: str) -> PayloadError:
    return PayloadError(f"the {encoding} data is damaged", encoding=encoding)

"""Compression of the whole inner payload, where that makes it smaller.

Formats: the data of a compressed payload is one frame or stream of the serialized inner Payload,
and `metadata["encoding"]` names the algorithm.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from google.protobuf.message import DecodeError

from sealwire.errors import ConfigurationError, DictionaryNotFoundError, SealwireError
from sealwire.payload import ENCODING, Encoding, Payload

from .algorithms import COMPRESSED, Algorithm, reader_of, writer_of
from .compression_probe import Probe
from .compression_rules import CompressionRule
from .compressors import MIN_SIZE, PROBE_FAST_FROM, Compressor, Decompressor, damaged
from .protocol import CodecKind
from .serialized import serialized
from .zstd import DictionarySource, dictionary_id_of

# Payloads that cannot shrink any more, or must not be touched.
_OPAQUE: Final = COMPRESSED | {
    Encoding.PADDED,
    Encoding.SEALED,
    Encoding.ENVELOPED,
    Encoding.ENCRYPTED,
}
# Below this size the ratio says nothing: 40 bytes may well stand for 64 KiB of zeros.
_RATIO_FLOOR: Final = 64 * 1024
# Pairs of types that one codec keeps its copies for; for more, copies are made anew.
_REMEMBERED: Final = 256

_Choice = tuple[CompressionRule, Compressor | None]
_Name = tuple[Algorithm, int | None]
_Types = tuple[str | None, str | None]


@dataclass(frozen=True)
class CompressionCodec:
    """Compress on encode, and read every algorithm on decode.

    The original payload is kept when the compressed one would not be smaller. Reading is bounded:
    the limits hold while decompressing, whatever a header claims, and encoding never writes what
    decoding with the same limits would refuse.

    Args:
        algorithm: What to write; `"none"` only reads. `lz4` and `brotli` need the extra of their
            name, for reading too; to read `binary/snappy` takes the extra `snappy`.
        level: Higher is smaller and slower. -7 to 22 for zstd (3 if None), 1 to 9 for zlib (6),
            0 to 12 for lz4 (0), 0 to 11 for brotli (4).
        min_size: Payloads of fewer serialized bytes are left alone; 256 if None, and 64 where
            zstd has a dictionary.
        max_size: The largest serialized payload in bytes that decoding gives back.
        max_ratio: The largest factor by which decoding may expand data, above 64 KiB.
        threads: How many threads compress a payload of a megabyte or more; zstd only, and 0 for
            the caller's.
        probe: Whether a sample decides about large payloads, so that no time is lost with images,
            say; from 16 KiB, or 128 KiB where compression is fast. What repeats only over more
            than 64 KiB looks random to it.
        rules: Other compression for some payloads: the first rule that matches decides.
        dictionaries: Trained dictionaries for zstd.

    Raises:
        ConfigurationError: A parameter is out of its range, or a package is not installed.
    """

    algorithm: Algorithm = "zstd"
    level: int | None = None
    min_size: int | None = None
    max_size: int = 64 * 1024 * 1024
    max_ratio: int = 1000
    threads: int = 0
    probe: bool = True
    rules: tuple[CompressionRule, ...] = ()
    dictionaries: DictionarySource | None = None
    _writer: Compressor | None = field(init=False, repr=False, compare=False)
    _readers: dict[bytes, Decompressor] = field(init=False, repr=False, compare=False)
    _probe: Probe = field(default_factory=Probe, init=False, repr=False, compare=False)
    _choices: tuple[_Choice, ...] = field(init=False, repr=False, compare=False)
    _active: tuple[_Choice, ...] = field(init=False, repr=False, compare=False)
    _clones: dict[_Types, Any] = field(
        default_factory=dict[_Types, Any], init=False, repr=False, compare=False
    )

    kind: ClassVar[CodecKind] = CodecKind.COMPRESS
    encodings: ClassVar[frozenset[bytes]] = COMPRESSED

    def __post_init__(self) -> None:
        if (self.min_size or 0) < 0 or self.max_size < 1 or self.max_ratio < 1:
            raise ConfigurationError("min_size must be 0 or more, max_size and max_ratio 1 or more")
        named = [self._named_by(rule) for rule in self.rules]
        own_name: _Name = self.algorithm, self.level
        names = {own_name, *named}
        if self.threads and not any(algorithm == "zstd" for algorithm, _ in names):
            raise ConfigurationError("threads are for zstd, which nothing here writes")
        writers = {name: writer_of(*name, self.threads, self.dictionaries) for name in names}
        own = writers[own_name]
        choices = zip(self.rules, (writers[name] for name in named), strict=True)
        set_field = object.__setattr__  # the instance is frozen
        set_field(self, "_writer", own)
        set_field(self, "_readers", {} if own is None else {own.encoding: own})
        set_field(self, "_choices", tuple(choices))
        set_field(self, "_active", self._choices_for((None, None)))

    def with_context(self, context: Any) -> Self:
        """Return the codec for the types in an SDK's serialization context."""
        if not any(rule.needs_context for rule in self.rules):
            return self
        types = getattr(context, "workflow_type", None), getattr(context, "activity_type", None)
        clone: Self | None = self._clones.get(types)
        if clone is None:
            clone = copy.copy(self)  # which shares all that threads and payloads have in common
            object.__setattr__(clone, "_active", self._choices_for(types))
            if len(self._clones) < _REMEMBERED:
                self._clones[types] = clone
        return clone

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Compress each payload that shrinks.

        Raises:
            KeyLookupError: There are dictionaries, and they cannot be loaded.
        """
        if self.dictionaries is not None and not self.dictionaries.is_ready:
            await self.dictionaries.ready()
        return [self._compress(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decompress each compressed payload.

        Raises:
            PayloadError: The compressed data is damaged.
            PayloadTooLargeError: The result would exceed the limits.
            DictionaryNotFoundError: The dictionary it was compressed with cannot be found.
            ConfigurationError: The package for its encoding is not installed.
        """
        source = self.dictionaries
        if source is not None and not source.is_ready and _dictionaries_of(payloads):
            await source.ready()
        decoded: list[Payload] = []
        try:
            self._decode(payloads, decoded)
        except DictionaryNotFoundError:
            if source is None:
                raise
            await source.find(_dictionaries_of(payloads[len(decoded) :]))
            self._decode(payloads, decoded)
        return decoded

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`; blocks while dictionaries are loaded."""
        if self.dictionaries is not None and not self.dictionaries.is_ready:
            self.dictionaries.ready_sync()
        return [self._compress(payload) for payload in payloads]

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`; blocks while dictionaries are loaded."""
        source = self.dictionaries
        if source is not None and not source.is_ready and _dictionaries_of(payloads):
            source.ready_sync()
        decoded: list[Payload] = []
        try:
            self._decode(payloads, decoded)
        except DictionaryNotFoundError:
            if source is None:
                raise
            source.find_sync(_dictionaries_of(payloads[len(decoded) :]))
            self._decode(payloads, decoded)
        return decoded

    def leaves_alone(self, payload: Payload) -> bool:
        """Tell at once that a payload is compressed already, or too random to be.

        Returns:
            False where only an attempt can tell.
        """
        return payload.metadata.get(ENCODING) in _OPAQUE or self._looks_random(payload.data)

    def _looks_random(self, data: bytes) -> bool:
        probed = self.probe and len(data) >= PROBE_FAST_FROM
        return probed and not self._probe.promises(data)

    def _compress(self, payload: Payload) -> Payload:
        if payload.metadata.get(ENCODING) in _OPAQUE:
            return payload
        data = payload.data
        # Before it is serialized, which for a megabyte takes several times as long.
        if self._looks_random(data):
            return payload
        may_probe = self.probe and len(data) < PROBE_FAST_FROM
        plain = serialized(payload, data)
        size = len(plain)
        del data  # it makes room
        writer, min_size = self._writer, self.min_size
        if self._active:
            writer, min_size = self._choose(payload, size)
        if writer is None or size > self.max_size or _is_small(size, min_size, writer):
            return payload
        if may_probe and size >= writer.probe_from and not self._probe.promises(plain):
            return payload
        data = writer.compress(plain)
        del plain
        # The second test: what reading with the same limits would refuse is not written.
        if len(data) >= size or size > self._limit(data):
            return payload
        compressed = Payload()
        compressed.metadata[ENCODING] = writer.encoding
        compressed.data = data
        if payload.external_payloads:
            # The server accounts for external storage by the outer payload's copy.
            compressed.external_payloads.extend(payload.external_payloads)
        return compressed if compressed.ByteSize() < size else payload

    def _decode(self, payloads: Sequence[Payload], decoded: list[Payload]) -> None:
        """Append to `decoded` what it lacks; after an error it can be called again."""
        for payload in payloads[len(decoded) :]:
            try:
                decoded.append(self._decompress(payload))
            except SealwireError as err:
                err.index = len(decoded)
                raise

    def _decompress(self, payload: Payload) -> Payload:
        encoding = payload.metadata.get(ENCODING)
        if encoding is None or encoding not in COMPRESSED:
            return payload
        reader = self._readers.get(encoding)
        if reader is None:
            reader = self._readers[encoding] = reader_of(encoding, self.dictionaries)
        data = payload.data
        plain = reader.decompress(data, self._limit(data))
        try:
            return Payload.FromString(plain)
        except DecodeError:
            raise damaged(encoding) from None

    def _limit(self, data: bytes) -> int:
        return min(self.max_size, max(_RATIO_FLOOR, len(data) * self.max_ratio))

    def _named_by(self, rule: CompressionRule) -> _Name:
        if rule.algorithm is not None:
            return rule.algorithm, rule.level
        return self.algorithm, self.level if rule.level is None else rule.level

    def _choices_for(self, types: _Types) -> tuple[_Choice, ...]:
        return tuple(choice for choice in self._choices if choice[0].applies_in(*types))

    def _choose(self, payload: Payload, size: int) -> tuple[Compressor | None, int | None]:
        for rule, writer in self._active:
            if rule.matches(payload, size):
                return writer, self.min_size if rule.min_size is None else rule.min_size
        return self._writer, self.min_size


def _is_small(size: int, min_size: int | None, writer: Compressor) -> bool:
    if min_size is not None:
        return size < min_size
    return size < MIN_SIZE and size < writer.min_size


def _dictionaries_of(payloads: Sequence[Payload]) -> set[int]:
    ids = {
        dictionary_id_of(payload.data)
        for payload in payloads
        if payload.metadata.get(ENCODING) == Encoding.ZSTD
    }
    return ids - {0}

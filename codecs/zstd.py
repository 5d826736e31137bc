"""zstd (RFC 8878), with trained dictionaries where there are some."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import zstandard

from sealwire.errors import ConfigurationError, DictionaryNotFoundError
from sealwire.payload import Encoding

from .compressors import MIN_SIZE, PROBE_FAST_FROM, PROBE_FROM, check_level, damaged, too_large

# A dictionary pays from here on: the frame and the metadata entry take about 40 bytes.
MIN_SIZE_WITH_DICTIONARY: Final = 64
# 3.1.1.1.2: decoders should support windows of up to 8 MiB, and may refuse larger ones.
_WINDOW: Final = 8 * 1024 * 1024
# 3.1.1.2: 4 bytes of input may stand for a block of 128 KiB, so that a step of this many bytes
# gives at most 8 MiB before the limit is looked at.
_STEP: Final = 256
# Up to this level random bytes of 16 KiB take less than twice as long as a probe.
_FAST: Final = 5
# ZSTDMT_JOBSIZE_MIN, what one thread compresses at a time; the default is 8 MiB at level 3, so that
# most payloads would be one job. With fewer than two jobs, no thread helps.
_JOB: Final = 512 * 1024
_PARALLEL: Final = 2 * _JOB
# ZSTDMT_NBWORKERS_MAX on 64-bit machines.
_MAX_THREADS: Final = 256
# Dictionaries that a thread keeps contexts for; payloads of one process need a few.
_REMEMBERED: Final = 8

_T = TypeVar("_T")


class DictionarySource(Protocol):
    """Where trained dictionaries come from. Those of one id never differ."""

    @property
    def is_ready(self) -> bool:
        """Whether the dictionaries are loaded."""
        ...

    async def ready(self) -> None:
        """Load the dictionaries."""
        ...

    def ready_sync(self) -> None:
        """Like `ready`; blocks."""
        ...

    def writer(self) -> zstandard.ZstdCompressionDict | None:
        """Return the dictionary to write with now, the same object each time; None for none."""
        ...

    def reader(self, dictionary_id: int) -> zstandard.ZstdCompressionDict:
        """Return a dictionary that is loaded, the same object each time.

        Raises:
            DictionaryNotFoundError: It is not.
        """
        ...

    async def find(self, ids: Iterable[int]) -> None:
        """Look for dictionaries that are not loaded, and load those that there are."""
        ...

    def find_sync(self, ids: Iterable[int]) -> None:
        """Like `find`; blocks."""
        ...


# By the identity of the dictionary, which cannot be another's as long as the entry keeps it alive.
_Kept = dict[int, tuple[zstandard.ZstdCompressionDict, _T]]


class _Contexts(threading.local):
    """The contexts of one thread: fast to reuse, not safe to share."""

    def __init__(self, level: int) -> None:
        self.compressor = zstandard.ZstdCompressor(level=level)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self.compressors: _Kept[zstandard.ZstdCompressor] = {}
        self.decompressors: _Kept[zstandard.ZstdDecompressor] = {}


@dataclass(frozen=True)
class Zstd:
    """`binary/zstd`: one zstd frame.

    Args:
        level: -7 to 22.
        threads: How many threads compress one payload of a megabyte or more; 0 for the caller's.
        dictionaries: The trained dictionaries.

    Raises:
        ConfigurationError: A parameter is out of its range.
    """

    level: int = 3
    threads: int = 0
    dictionaries: DictionarySource | None = None
    _contexts: _Contexts = field(init=False, repr=False, compare=False)
    _prepared: _Kept[zstandard.ZstdCompressionDict] = field(
        default_factory=dict[
            int, tuple[zstandard.ZstdCompressionDict, zstandard.ZstdCompressionDict]
        ],
        init=False,
        repr=False,
        compare=False,
    )

    encoding = Encoding.ZSTD

    def __post_init__(self) -> None:
        check_level("zstd", self.level, range(-7, 23))
        if not 0 <= self.threads <= _MAX_THREADS:
            raise ConfigurationError(f"threads must be 0 to {_MAX_THREADS}")
        object.__setattr__(self, "_contexts", _Contexts(self.level))

    @property
    def min_size(self) -> int:
        """See `Compressor`."""
        source = self.dictionaries
        return MIN_SIZE if source is None or not source.writer() else MIN_SIZE_WITH_DICTIONARY

    @property
    def probe_from(self) -> int:
        """See `Compressor`."""
        return PROBE_FAST_FROM if self.level <= _FAST else PROBE_FROM

    def compress(self, data: bytes) -> bytes:
        """See `Compressor`."""
        if self.threads and len(data) >= _PARALLEL:
            return self._compress_in_threads(data)
        dictionary = None if self.dictionaries is None else self.dictionaries.writer()
        if dictionary is None:
            return self._contexts.compressor.compress(data)
        kept = self._contexts.compressors
        found = kept.get(id(dictionary))
        if found is None:
            found = _keep(kept, dictionary, self._new_compressor(dictionary))
        return found[1].compress(data)

    def decompress(self, data: bytes, limit: int) -> bytes:
        """See `Decompressor`.

        Raises:
            DictionaryNotFoundError: The dictionary that the frame names is not loaded.
        """
        if not data.startswith(zstandard.FRAME_HEADER):  # nor a frame that a reader may skip
            raise damaged(self.encoding)
        try:
            header = zstandard.get_frame_parameters(data)
            context = self._decompressor(header.dict_id)
            stated = header.content_size
            # Of a frame that states 0 zstandard does not even look at the rest.
            if stated in (0, zstandard.CONTENTSIZE_UNKNOWN):
                return self._stream(context, data, limit)
            if stated > limit:
                raise too_large(self.encoding, limit)
            # It allocates just what is stated, and fails if the frame is longer.
            return context.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError:
            raise damaged(self.encoding) from None

    def _stream(self, context: zstandard.ZstdDecompressor, data: bytes, limit: int) -> bytes:
        stream = context.decompressobj()
        parts: list[bytes] = []
        size = 0
        start = 0
        for start in range(0, len(data), _STEP):
            parts.append(stream.decompress(data[start : start + _STEP]))
            size += len(parts[-1])
            if size > limit:
                raise too_large(self.encoding, limit)
            if stream.eof:
                break
        if not stream.eof or stream.unused_data or start + _STEP < len(data):
            raise damaged(self.encoding)
        return b"".join(parts)

    def _decompressor(self, dictionary_id: int) -> zstandard.ZstdDecompressor:
        if not dictionary_id:
            return self._contexts.decompressor
        if self.dictionaries is None:
            raise DictionaryNotFoundError(
                f"the payload was compressed with the dictionary {dictionary_id}, and this codec "
                "has no dictionaries: give it those of the writer",
                dictionary_id=dictionary_id,
                encoding="binary/zstd",
            )
        dictionary = self.dictionaries.reader(dictionary_id)
        kept = self._contexts.decompressors
        found = kept.get(id(dictionary))
        if found is None:
            new = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=_WINDOW)
            found = _keep(kept, dictionary, new)
        return found[1]

    def _new_compressor(
        self, dictionary: zstandard.ZstdCompressionDict
    ) -> zstandard.ZstdCompressor:
        prepared = self._prepared.get(id(dictionary))
        if prepared is None:
            prepared = _keep(self._prepared, dictionary, _precomputed(dictionary, self.level))
        return zstandard.ZstdCompressor(level=self.level, dict_data=prepared[1])

    def _compress_in_threads(self, data: bytes) -> bytes:
        # Made for this call alone, because the threads of a context do not survive a fork; and
        # without a dictionary, which is of no use for a megabyte.
        parameters = zstandard.ZstdCompressionParameters.from_level(  # pyright: ignore[reportUnknownMemberType]
            self.level,
            source_size=len(data),
            threads=self.threads,
            job_size=_JOB,
            write_content_size=True,
        )
        return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _precomputed(
    dictionary: zstandard.ZstdCompressionDict, level: int
) -> zstandard.ZstdCompressionDict:
    if not dictionary.dict_id():
        raise ConfigurationError(
            "a dictionary without an id cannot be found again when reading; "
            "fix: make it with zstandard.train_dictionary"
        )
    # A copy, because what is precomputed is kept in the dictionary, and is for one level.
    copy = zstandard.ZstdCompressionDict(dictionary.as_bytes())
    # 0 is zstd's name for its default.
    copy.precompute_compress(level or 3)  # pyright: ignore[reportUnknownMemberType]
    return copy


def _keep(
    kept: _Kept[_T], dictionary: zstandard.ZstdCompressionDict, item: _T
) -> tuple[zstandard.ZstdCompressionDict, _T]:
    if len(kept) >= _REMEMBERED:
        kept.clear()
    entry = kept[id(dictionary)] = dictionary, item
    return entry


def dictionary_id_of(data: bytes) -> int:
    """Return the id of the dictionary that a frame needs; 0 for none, or if it is no frame."""
    try:
        return zstandard.get_frame_parameters(data).dict_id
    except zstandard.ZstdError:
        return 0


def content_size_of(data: bytes) -> int:
    """Return the size that a frame claims to have once it is decompressed; 0 if it claims none."""
    try:
        return max(0, zstandard.frame_content_size(data))
    except zstandard.ZstdError:
        return 0

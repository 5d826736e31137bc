"""Which algorithm has which name and which encoding."""

from __future__ import annotations

from typing import Any, Final, Literal

from sealwire.errors import ConfigurationError
from sealwire.payload import Encoding

from .compressors import Compressor, Decompressor
from .compressors_extra import Brotli, Lz4, Snappy
from .deflate import Gzip, Zlib
from .zstd import DictionarySource, Zstd

Algorithm = Literal["zstd", "zlib", "lz4", "brotli", "none"]

ALGORITHMS: Final = ("zstd", "zlib", "lz4", "brotli", "none")
COMPRESSED: Final = frozenset(
    {
        Encoding.ZSTD,
        Encoding.ZLIB,
        Encoding.LZ4,
        Encoding.BROTLI,
        Encoding.GZIP,
        Encoding.SNAPPY,
    }
)


def writer_of(
    algorithm: Algorithm,
    level: int | None = None,
    threads: int = 0,
    dictionaries: DictionarySource | None = None,
) -> Compressor | None:
    """Return what writes an algorithm; None for `"none"`.

    Args:
        algorithm: Its name.
        level: None for the algorithm's default.
        threads: For zstd.
        dictionaries: For zstd.

    Raises:
        ConfigurationError: It has no such level, or its package is not installed.
    """
    options: dict[str, Any] = {} if level is None else {"level": level}
    check_algorithm(algorithm)
    match algorithm:
        case "zstd":
            return Zstd(threads=threads, dictionaries=dictionaries, **options)
        case "zlib":
            return Zlib(**options)
        case "lz4":
            return Lz4(**options)
        case "brotli":
            return Brotli(**options)
        case "none":
            if level is not None:
                raise ConfigurationError("the algorithm 'none' has no levels")
            return None


def reader_of(encoding: bytes, dictionaries: DictionarySource | None = None) -> Decompressor:
    """Return what reads one of the encodings in `COMPRESSED`.

    Raises:
        ConfigurationError: Its package is not installed.
    """
    match encoding:
        case Encoding.ZSTD:
            return Zstd(dictionaries=dictionaries)
        case Encoding.ZLIB:
            return Zlib()
        case Encoding.GZIP:
            return Gzip()
        case Encoding.LZ4:
            return Lz4()
        case Encoding.BROTLI:
            return Brotli()
        case _:
            return Snappy()


def check_algorithm(algorithm: str) -> None:
    """Refuse an unknown name.

    Raises:
        ConfigurationError: It is unknown.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigurationError(
            f"unknown algorithm {algorithm!r}: expected one of {', '.join(ALGORITHMS)}"
        )

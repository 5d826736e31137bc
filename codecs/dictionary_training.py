"""Training a dictionary, and measuring on payloads that it has not seen what it saves."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import zstandard

from sealwire.errors import ConfigurationError, DictionaryNotFoundError
from sealwire.payload import Payload

from .compression import CompressionCodec
from .dictionary_document import IDS, MAX_SIZE, load_content

DEFAULT_SIZE: Final = 16 * 1024  # bytes; larger ones save little more on payloads of 1 KiB
MIN_SIZE: Final = 256  # bytes; ZDICT_DICTSIZE_MIN in zstd's zdict.h
# With fewer, what is measured on the fifth of them that is held out is chance.
MIN_SAMPLES: Final = 50
_HOLD_OUT: Final = 5  # one of so many payloads is measured, and not trained on
_MAX_SAMPLE: Final = 128 * 1024  # bytes of a payload that are trained on: one block of zstd
_WORTHWHILE: Final = 0.9  # of the bytes that are stored without a dictionary


@dataclass(frozen=True, slots=True)
class Training:
    """A trained dictionary, and what it does to payloads that it was not trained on.

    Sizes are means in bytes of one serialized payload, before encryption.

    Args:
        content: The dictionary.
        trained_on: How many payloads it was trained on, no two of them equal.
        held_out: How many others it was measured on.
        plain: The size without compression.
        without: The size as the codec stores it without a dictionary.
        size: The size as the codec stores it with this one.
    """

    content: bytes = field(repr=False)
    trained_on: int
    held_out: int
    plain: float
    without: float
    size: float

    @property
    def id(self) -> int:
        """The dictionary's id."""
        return zstandard.ZstdCompressionDict(self.content).dict_id()

    @property
    def is_worthwhile(self) -> bool:
        """Whether it saves clearly over compression without one: a tenth of the bytes or more."""
        return self.size <= _WORTHWHILE * self.without


@dataclass(frozen=True, slots=True)
class OneDictionary:
    """A `DictionarySource` of one dictionary, for measuring and for tests.

    Args:
        content: The dictionary; it is written with at once.
    """

    content: zstandard.ZstdCompressionDict

    def writer(self) -> zstandard.ZstdCompressionDict:
        """Return the dictionary."""
        return self.content

    def reader(self, dictionary_id: int) -> zstandard.ZstdCompressionDict:
        """Return the dictionary.

        Raises:
            DictionaryNotFoundError: It is another one that is asked for.
        """
        if dictionary_id != self.content.dict_id():
            raise DictionaryNotFoundError(
                f"the only dictionary here is {self.content.dict_id()}, not {dictionary_id}",
                dictionary_id=dictionary_id,
            )
        return self.content

    @property
    def is_ready(self) -> bool:
        """True."""
        return True

    async def ready(self) -> None:
        """Do nothing."""

    def ready_sync(self) -> None:
        """Do nothing."""

    async def find(self, ids: Iterable[int]) -> None:
        """Do nothing: there is no other one."""

    def find_sync(self, ids: Iterable[int]) -> None:
        """Do nothing: there is no other one."""


def train_dictionary(
    payloads: Sequence[Payload],
    size: int = DEFAULT_SIZE,
    codec: CompressionCodec | None = None,
) -> Training:
    """Train a zstd dictionary on payloads as they are before compression.

    Args:
        payloads: Typical payloads; a few hundred are good, equal ones count once.
        size: The largest size of the dictionary in bytes.
        codec: How the payloads will be compressed; zstd with its defaults if None.

    Returns:
        The dictionary with a random id, and what it saves.

    Raises:
        ConfigurationError: There are too few payloads, they have nothing in common, the size is
            out of its range, or the codec does not write zstd.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ConfigurationError(f"a dictionary has {MIN_SIZE} to {MAX_SIZE} bytes, not {size}")
    plain_codec = replace(codec or CompressionCodec(), dictionaries=None)
    if plain_codec.algorithm != "zstd":
        raise ConfigurationError(
            f'a dictionary is for algorithm = "zstd", and the codec writes {plain_codec.algorithm}'
        )
    distinct = {payload.SerializeToString(deterministic=True): payload for payload in payloads}
    samples = list(distinct.values())
    if len(samples) < MIN_SAMPLES:
        raise ConfigurationError(
            f"{len(samples)} different payloads are too few to train on: at least {MIN_SAMPLES} "
            "are needed, and a few hundred are better; give more histories or files"
        )
    held_out = samples[_HOLD_OUT - 1 :: _HOLD_OUT]
    del samples[_HOLD_OUT - 1 :: _HOLD_OUT]
    content = _train(samples, size, plain_codec.level or 0)
    loaded = load_content(content)
    if isinstance(loaded, str):
        raise ConfigurationError(loaded)
    trained_codec = replace(plain_codec, dictionaries=OneDictionary(loaded))
    return Training(
        content,
        trained_on=len(samples),
        held_out=len(held_out),
        plain=_mean_size(held_out),
        without=_mean_size(plain_codec.encode_sync(held_out)),
        size=_mean_size(trained_codec.encode_sync(held_out)),
    )


def _train(payloads: Sequence[Payload], size: int, level: int) -> bytes:
    # Any: the list of zstandard's stub is invariant.
    samples: list[Any] = [payload.SerializeToString()[:_MAX_SAMPLE] for payload in payloads]
    dictionary_id = IDS[secrets.randbelow(len(IDS))]
    try:
        trained = zstandard.train_dictionary(size, samples, dict_id=dictionary_id, level=level)
    except zstandard.ZstdError:
        problem = "zstd finds nothing that the payloads have in common; give more, or other ones"
    else:
        return trained.as_bytes()
    del samples, payloads  # a traceback may show the variables
    raise ConfigurationError(problem)


def _mean_size(payloads: Sequence[Payload]) -> float:
    return sum(payload.ByteSize() for payload in payloads) / len(payloads)

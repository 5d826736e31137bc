"""zstd with trained dictionaries: which one is used, and what happens where it is missing."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

import pytest
import zstandard

from sealwire.codecs import CompressionCodec, CompressionRule, DictionarySource
from sealwire.codecs.zstd import Zstd
from sealwire.errors import (
    ConfigurationError,
    DictionaryNotFoundError,
    PayloadError,
    PayloadTooLargeError,
)
from sealwire.payload import Payload


def order(number: int) -> Payload:
    """A payload of the kind that dictionaries are trained for."""
    source = random.Random(number)  # noqa: S311 - not a secret
    text = (
        f'{{"order":"2025-{number:06}","customer":{{"id":{source.getrandbits(17)},"vip":true}},'
        f'"lines":[{{"sku":"{source.randbytes(4).hex()}","quantity":{source.randint(1, 9)}}}]}}'
    )
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


@cache
def trained(dictionary_id: int) -> zstandard.ZstdCompressionDict:
    """A dictionary that was trained on orders."""
    samples: list[bytes | bytearray | memoryview] = [
        order(dictionary_id * 1000 + number).SerializeToString() for number in range(500)
    ]
    return zstandard.train_dictionary(4096, samples, dict_id=dictionary_id)


@dataclass(eq=False)
class Shelf:
    """A source whose store has more than is loaded, and which notes what it is asked for."""

    stored: dict[int, zstandard.ZstdCompressionDict]
    newest: int | None = None
    loaded: dict[int, zstandard.ZstdCompressionDict] = field(
        default_factory=dict[int, zstandard.ZstdCompressionDict]
    )
    is_ready: bool = False
    asked: list[set[int]] = field(default_factory=list[set[int]])

    def writer(self) -> zstandard.ZstdCompressionDict | None:
        assert self.is_ready
        return None if self.newest is None else self.loaded[self.newest]

    def reader(self, dictionary_id: int) -> zstandard.ZstdCompressionDict:
        assert self.is_ready
        if dictionary_id not in self.loaded:
            raise DictionaryNotFoundError("not loaded", dictionary_id=dictionary_id)
        return self.loaded[dictionary_id]

    async def ready(self) -> None:
        self.ready_sync()

    def ready_sync(self) -> None:
        self.is_ready = True
        if self.newest is not None:
            self.loaded[self.newest] = self.stored[self.newest]

    async def find(self, ids: Iterable[int]) -> None:
        self.find_sync(ids)

    def find_sync(self, ids: Iterable[int]) -> None:
        self.asked.append(set(ids))
        self.loaded.update({one: self.stored[one] for one in self.asked[-1] if one in self.stored})


def shelf(*ids: int, newest: int | None = None) -> Shelf:
    """A source with some dictionaries in its store."""
    return Shelf({one: trained(one) for one in ids}, newest)


def compressed(dictionary_id: int, *numbers: int) -> list[Payload]:
    """Orders, written with a dictionary."""
    source = shelf(dictionary_id, newest=dictionary_id)
    return CompressionCodec(dictionaries=source).encode_sync([order(number) for number in numbers])


def frame_of(payload: Payload) -> zstandard.FrameParameters:
    """The header of the frame in a payload."""
    return zstandard.get_frame_parameters(payload.data)


def test_small_payload_shrinks_by_almost_half() -> None:
    """With a dictionary; without one it is hardly smaller."""
    [outer] = compressed(7, 1)
    [plain] = CompressionCodec(min_size=0).encode_sync([order(1)])

    assert {"encoding": b"binary/zstd"} == dict(outer.metadata)
    assert 7 == frame_of(outer).dict_id
    assert 1.8 * outer.ByteSize() < order(1).ByteSize() < 1.2 * plain.ByteSize()


def test_other_programs_read_it_with_the_dictionary() -> None:
    """The frame is an ordinary one that names its dictionary."""
    [outer] = compressed(7, 1)
    reader = zstandard.ZstdDecompressor(dict_data=trained(7))

    assert order(1) == Payload.FromString(reader.decompress(outer.data))


@pytest.mark.parametrize("level", range(-7, 23))
def test_every_level_writes_with_the_dictionary(level: int) -> None:
    """What is prepared for a level is read like that of any other."""
    source = shelf(7, newest=7)
    codec = CompressionCodec(level=level, dictionaries=source)
    [outer] = codec.encode_sync([order(1)])

    assert 7 == frame_of(outer).dict_id
    assert [order(1)] == CompressionCodec(dictionaries=source).decode_sync([outer])


def test_levels_share_one_dictionary() -> None:
    """Codecs and rules of several levels prepare the same dictionary, each for itself."""
    source = shelf(7, newest=7)
    before = trained(7).as_bytes()
    rules = (CompressionRule(level=19, min_size=150),)
    codecs = [
        CompressionCodec(level=level, rules=rules, dictionaries=source) for level in (1, 9, 1)
    ]
    orders = [order(number) for number in range(50)]

    for _ in range(2):
        for codec in codecs:
            assert orders == codec.decode_sync(codec.encode_sync(orders))
    assert before == trained(7).as_bytes()


@pytest.mark.parametrize(
    ("newest", "min_size", "size", "shrinks"),
    [
        (7, None, 64, True),
        (7, None, 63, False),
        (None, None, 255, False),
        (None, None, 256, True),
        (7, 100, 99, False),
        (7, 100, 100, True),
        (None, 100, 100, True),
    ],
)
def test_dictionary_pays_from_64_bytes(
    newest: int | None, min_size: int | None, size: int, shrinks: bool
) -> None:
    """And no dictionary from 256, unless `min_size` says otherwise."""
    codec = CompressionCodec(min_size=min_size, dictionaries=shelf(7, newest=newest))
    payload = Payload(data=bytes(size))
    payload.data = bytes(2 * size - payload.ByteSize())
    assert size == payload.ByteSize()

    assert shrinks == (codec.encode_sync([payload]) != [payload])


def test_payload_of_a_megabyte_is_compressed_in_threads_without_it() -> None:
    """There a dictionary saves nothing, and the frame can be read without it."""
    large = Payload(data=b"".join(b"%d," % number for number in range(200_000)))
    codec = CompressionCodec(threads=2, dictionaries=shelf(7, newest=7))
    small, big = codec.encode_sync([order(1), large])

    assert [7, 0] == [frame_of(small).dict_id, frame_of(big).dict_id]
    assert [large] == CompressionCodec().decode_sync([big])


@pytest.mark.parametrize("algorithm", ["zlib", "lz4", "brotli", "none"])
def test_other_algorithms_have_no_dictionary(algorithm: str) -> None:
    """They write as without one, and read what zstd wrote with it."""
    source = shelf(7, newest=7)
    codec = CompressionCodec(algorithm, dictionaries=source)  # type: ignore[arg-type]

    assert [order(1)] == codec.encode_sync([order(1)])
    assert [order(2)] == codec.decode_sync(compressed(7, 2))


async def test_dictionaries_are_loaded_before_they_are_used() -> None:
    """For the first payload to write, and for the first to read that names one."""
    for wanted in (True, False):
        payloads = compressed(7, 1) if wanted else CompressionCodec().encode_sync([order(1)])
        source = shelf(7, newest=7)
        await CompressionCodec(dictionaries=source).decode(payloads)
        assert wanted == source.is_ready
        source = shelf(7, newest=7)
        CompressionCodec(dictionaries=source).decode_sync(payloads)
        assert wanted == source.is_ready
    source = shelf(7, newest=7)
    await CompressionCodec(dictionaries=source).encode([order(1)])
    assert source.is_ready


async def test_missing_dictionary_is_asked_for_once() -> None:
    """All that a batch lacks are asked for together; the rest of the batch is read as ever."""
    batch = [*compressed(7, 1), *compressed(8, 2), order(3), *compressed(9, 4), *compressed(8, 5)]
    inner = [order(number) for number in range(1, 6)]

    source = shelf(7, 8, 9, newest=7)
    assert inner == await CompressionCodec(dictionaries=source).decode(batch)
    assert [{8, 9}] == source.asked
    source = shelf(7, 8, 9, newest=7)
    codec = CompressionCodec(dictionaries=source)
    assert inner == codec.decode_sync(batch)
    assert [{8, 9}] == source.asked
    assert inner == codec.decode_sync(batch)
    assert [{8, 9}] == source.asked


async def test_dictionary_that_nobody_has_is_an_error_of_its_own() -> None:
    """It tells which payload of the batch; it is no `PayloadError`, because the payload is good."""
    batch = [order(1), *compressed(7, 2), *compressed(8, 3)]
    codec = CompressionCodec(dictionaries=shelf(7, newest=7))

    with pytest.raises(DictionaryNotFoundError) as caught:
        codec.decode_sync(batch)
    with pytest.raises(DictionaryNotFoundError) as caught_later:
        await codec.decode(batch)

    for error in (caught.value, caught_later.value):
        assert (2, 8) == (error.index, error.dictionary_id)
        assert not isinstance(error, PayloadError)


async def test_codec_without_dictionaries_names_the_one_that_is_needed() -> None:
    """The message says which, and what to do."""
    [outer] = compressed(7, 1)

    with pytest.raises(DictionaryNotFoundError, match=r"dictionary 7, .* give it") as caught:
        CompressionCodec().decode_sync([outer])
    assert (0, 7, "binary/zstd") == (
        caught.value.index,
        caught.value.dictionary_id,
        caught.value.encoding,
    )
    with pytest.raises(DictionaryNotFoundError):
        await CompressionCodec().decode([outer])


def test_dictionary_without_an_id_is_refused() -> None:
    """What is written with raw content would not say what it takes to read it."""
    raw = zstandard.ZstdCompressionDict(b"order customer vip" * 50)
    codec = CompressionCodec(dictionaries=Shelf({1: raw}, newest=1))

    with pytest.raises(ConfigurationError, match=r"zstandard\.train_dictionary"):
        codec.encode_sync([order(1)])


def test_new_dictionary_is_used_at_once() -> None:
    """Whatever the source names is written with, and the old one is still read."""
    source = shelf(7, 8, newest=7)
    codec = CompressionCodec(dictionaries=source)
    [old] = codec.encode_sync([order(1)])
    source.newest = 8
    source.ready_sync()
    [new] = codec.encode_sync([order(1)])

    assert [7, 8] == [frame_of(old).dict_id, frame_of(new).dict_id]
    assert [order(1), order(1)] == codec.decode_sync([old, new])


def test_more_dictionaries_than_a_thread_remembers_work() -> None:
    """Contexts are dropped and made again, in any order; those of eight at most are kept."""
    ids = range(100, 112)
    source = shelf(*ids, newest=100)
    source.find_sync(ids)
    codec = CompressionCodec(dictionaries=source)
    before = [sys.getrefcount(source.loaded[one]) for one in ids]

    for _ in range(2):
        for source.newest in ids:
            source.ready_sync()
            [outer] = codec.encode_sync([order(1)])
            assert source.newest == frame_of(outer).dict_id
            assert [order(1)] == codec.decode_sync([outer])
    after = [sys.getrefcount(source.loaded[one]) for one in ids]
    assert 0 < sum(now > then for now, then in zip(after, before, strict=True)) <= 8


def test_threads_share_dictionaries() -> None:
    """Eight threads with three dictionaries get their own payloads back."""
    source = shelf(7, 8, 9, newest=7)
    source.ready_sync()
    source.find_sync([8, 9])
    codec = CompressionCodec(dictionaries=source)
    foreign = {one: compressed(one, 1) for one in (8, 9)}

    def work(number: int) -> bool:
        mine = [order(number * 100 + i) for i in range(20)]
        return mine == codec.decode_sync(codec.encode_sync(mine)) and all(
            [order(1)] == codec.decode_sync(payloads) for payloads in foreign.values()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_source_is_a_dictionary_source() -> None:
    """The class above has what the interface asks for; the type checker says so."""
    source: DictionarySource = shelf()

    assert Zstd(dictionaries=source).dictionaries is source


BAD: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-1],
    "tail": lambda data: data + b"x",
    "another frame": lambda data: data + data,
    "no content": lambda data: data[:8],
}


@pytest.mark.parametrize("bad", BAD)
def test_damaged_data_is_refused_with_a_dictionary_too(bad: str) -> None:
    """The checks of a frame do not depend on its dictionary."""
    [outer] = compressed(7, 1)
    codec = CompressionCodec(dictionaries=shelf(7, newest=7))
    outer.data = BAD[bad](outer.data)

    with pytest.raises(PayloadError):
        codec.decode_sync([outer])


@pytest.mark.parametrize("stated", [True, False])
def test_limits_hold_with_a_dictionary_too(stated: bool) -> None:
    """Also where the frame states no size."""
    writer = zstandard.ZstdCompressor(dict_data=trained(7), write_content_size=stated)
    plain = Payload(data=bytes(1_000_000)).SerializeToString()
    outer = Payload(metadata={"encoding": b"binary/zstd"}, data=writer.compress(plain))
    source = shelf(7, newest=7)

    large = CompressionCodec(max_ratio=10**6, dictionaries=source)
    assert [1_000_000] == [len(inner.data) for inner in large.decode_sync([outer])]
    with pytest.raises(PayloadTooLargeError):
        CompressionCodec(max_size=999_999, dictionaries=source).decode_sync([outer])


def test_wrong_dictionary_under_the_right_id_is_damage_or_another_payload() -> None:
    """Ids are unique by contract; if not, nothing but a documented error comes out."""
    source = random.Random(7)  # noqa: S311 - not a secret
    samples: list[bytes | bytearray | memoryview] = [
        source.randbytes(50) + b"filler" * 20 for _ in range(500)
    ]
    impostor = zstandard.train_dictionary(4096, samples, dict_id=7)
    codec = CompressionCodec(dictionaries=Shelf({7: impostor}, newest=7))

    for outer in compressed(7, *range(1, 30)):
        with suppress(PayloadError):
            assert [order(1)] != codec.decode_sync([outer])

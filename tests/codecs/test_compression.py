"""`CompressionCodec`: smaller where that is possible, and bounded whatever it is given."""

from __future__ import annotations

import random
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire.codecs import CompressionCodec
from sealwire.codecs.algorithms import COMPRESSED
from sealwire.errors import ConfigurationError, PayloadError
from sealwire.payload import Payload
from sealwire.testing.strategies import payloads

Algorithm = Literal["zstd", "zlib", "lz4", "brotli"]

ALL: Final[tuple[Algorithm, ...]] = ("zstd", "zlib", "lz4", "brotli")
MIB = 1024 * 1024
TEXT = Payload(metadata={"encoding": b"json/plain"}, data=b'{"name": "value"}' * 100)
NOISE = random.Random(7).randbytes(100_000)  # noqa: S311 - not a secret

every = pytest.mark.parametrize("algorithm", ALL)


def is_plain(payload: Payload) -> bool:
    """Whether a payload does not claim to be compressed already."""
    return payload.metadata.get("encoding") not in COMPRESSED


def encoded(codec: CompressionCodec, payload: Payload) -> Payload:
    """One payload, encoded."""
    [outer] = codec.encode_sync([payload])
    return outer


def decoded(codec: CompressionCodec, payload: Payload) -> Payload:
    """One payload, decoded."""
    [inner] = codec.decode_sync([payload])
    return inner


def labelled(algorithm: Algorithm, data: bytes) -> Payload:
    """A payload that claims to be compressed."""
    return Payload(metadata={"encoding": b"binary/" + algorithm.encode()}, data=data)


@every
@settings(deadline=None, max_examples=60)
@given(
    batch=st.lists(payloads(max_size=500).filter(is_plain), max_size=3),
    min_size=st.integers(0, 300),
)
def test_decode_undoes_encode(algorithm: Algorithm, batch: list[Payload], min_size: int) -> None:
    """Any payloads come back equal and in order, and the inputs stay as they were."""
    codec = CompressionCodec(algorithm, min_size=min_size)
    before = [payload.SerializeToString(deterministic=True) for payload in batch]

    outer = codec.encode_sync(batch)

    assert batch == codec.decode_sync(outer)
    assert before == [payload.SerializeToString(deterministic=True) for payload in batch]


@every
@settings(deadline=None, max_examples=60)
@given(
    unit=st.binary(min_size=1, max_size=8),
    size=st.integers(0, 400_000) | st.sampled_from([65_530, 65_536, 131_072]),
    max_size=st.integers(1, 500_000),
    max_ratio=st.integers(1, 2000),
    min_size=st.integers(0, 100),
)
def test_what_encode_writes_decode_reads_with_the_same_limits(
    algorithm: Algorithm, unit: bytes, size: int, max_size: int, max_ratio: int, min_size: int
) -> None:
    """No limit turns a payload of one's own into one that cannot be read, repetitive or not."""
    codec = CompressionCodec(algorithm, max_size=max_size, max_ratio=max_ratio, min_size=min_size)
    payload = Payload(data=(unit * size)[:size])

    assert payload == decoded(codec, encoded(codec, payload))


@every
def test_repetitive_megabytes_are_read_back_with_the_default_limits(algorithm: Algorithm) -> None:
    """Zeros compress by more than the ratio that decoding allows, and are not lost for it."""
    payload = Payload(data=bytes(10 * MIB))
    codec = CompressionCodec(algorithm)

    assert payload == decoded(codec, encoded(codec, payload))


@every
async def test_async_and_sync_give_the_same(algorithm: Algorithm) -> None:
    """Compression is deterministic, in both ways of calling."""
    codec = CompressionCodec(algorithm)
    outer = await codec.encode([TEXT])

    assert outer == codec.encode_sync([TEXT])
    assert [TEXT] == await codec.decode(outer)
    assert [TEXT] == codec.decode_sync(outer)


@every
@pytest.mark.parametrize("writer", ALL)
def test_every_codec_reads_all_algorithms(algorithm: Algorithm, writer: Algorithm) -> None:
    """What to write is a choice, what to read is not."""
    outer = encoded(CompressionCodec(writer), TEXT)

    assert b"binary/" + writer.encode() == outer.metadata.get("encoding")
    assert TEXT == decoded(CompressionCodec(algorithm), outer)


def test_compressed_payload_has_nothing_but_its_encoding() -> None:
    """The inner metadata is compressed as well."""
    outer = encoded(CompressionCodec(), TEXT)

    assert {"encoding": b"binary/zstd"} == dict(outer.metadata)
    assert outer.ByteSize() < TEXT.ByteSize()


def test_zlib_is_the_format_of_the_other_sdks() -> None:
    """`binary/zlib` is a zlib stream of the serialized payload and reads as one."""
    outer = encoded(CompressionCodec("zlib"), TEXT)
    foreign = labelled("zlib", zlib.compress(TEXT.SerializeToString(), 9))

    assert TEXT == Payload.FromString(zlib.decompress(outer.data))
    assert TEXT == decoded(CompressionCodec(), foreign)


@every
def test_payload_that_does_not_shrink_is_kept(algorithm: Algorithm) -> None:
    """Random bytes are returned as the very payload that came in."""
    payload = Payload(data=NOISE)

    assert payload is encoded(CompressionCodec(algorithm), payload)


@every
def test_result_is_never_larger(algorithm: Algorithm) -> None:
    """Around the size at which compression begins to pay, the smaller of the two is written."""
    codec = CompressionCodec(algorithm, min_size=0)

    for size in range(200):
        payload = Payload(data=NOISE[: size // 2] + bytes(size - size // 2))
        outer = encoded(codec, payload)
        assert outer is payload or outer.ByteSize() < payload.ByteSize()


@every
def test_min_size_counts_the_serialized_payload(algorithm: Algorithm) -> None:
    """The bound itself is compressed, a byte less is not."""
    size = TEXT.ByteSize()

    assert TEXT is encoded(CompressionCodec(algorithm, min_size=size + 1), TEXT)
    assert TEXT is not encoded(CompressionCodec(algorithm, min_size=size), TEXT)


@every
def test_payload_above_max_size_is_not_compressed(algorithm: Algorithm) -> None:
    """What could not be read back is written as it is."""
    size = TEXT.ByteSize()

    assert TEXT is encoded(CompressionCodec(algorithm, max_size=size - 1), TEXT)
    assert TEXT is not encoded(CompressionCodec(algorithm, max_size=size), TEXT)


@every
@pytest.mark.parametrize(
    "encoding",
    sorted({*COMPRESSED, b"binary/padded", b"binary/sealed-v1", b"binary/encrypted"}),
)
def test_compressed_padded_and_encrypted_payloads_are_not_compressed(
    algorithm: Algorithm, encoding: bytes
) -> None:
    """However well they would shrink, they are returned as they are."""
    payload = Payload(metadata={"encoding": encoding}, data=bytes(1000))

    assert payload is encoded(CompressionCodec(algorithm), payload)


@pytest.mark.parametrize("payload", [Payload(), Payload(data=NOISE[:9]), TEXT])
def test_payload_that_is_not_compressed_is_decoded_to_itself(payload: Payload) -> None:
    """Foreign payloads pass, and no entry appears in their metadata."""
    before = payload.SerializeToString()

    assert payload is decoded(CompressionCodec(), payload)
    assert before == payload.SerializeToString()


@every
def test_external_payloads_are_copied_outside(algorithm: Algorithm) -> None:
    """The server's size accounting sees them, and on decode the inner copy counts."""
    inner = Payload(data=bytes(1000))
    inner.external_payloads.add(size_bytes=5000)
    codec = CompressionCodec(algorithm)
    outer = encoded(codec, inner)

    assert [5000] == [item.size_bytes for item in outer.external_payloads]
    outer.external_payloads[0].size_bytes = 1
    assert inner == decoded(codec, outer)


@every
def test_unknown_fields_inside_survive(algorithm: Algorithm) -> None:
    """A field that a newer server adds to Payload comes back."""
    inner = Payload.FromString(TEXT.SerializeToString() + b"\x9a\x06\x05hello")
    codec = CompressionCodec(algorithm)

    back = decoded(codec, encoded(codec, inner))

    assert inner.SerializeToString(deterministic=True) == back.SerializeToString(deterministic=True)
    assert b"hello" in back.SerializeToString()


@pytest.mark.parametrize(
    ("algorithm", "level"),
    [
        *(("zstd", level) for level in range(-7, 23)),
        *(("zlib", level) for level in range(1, 10)),
        *(("lz4", level) for level in range(13)),
        *(("brotli", level) for level in range(12)),
    ],
)
def test_every_level_is_read_back(algorithm: Algorithm, level: int) -> None:
    """All levels that can be configured work."""
    codec = CompressionCodec(algorithm, level=level)
    outer = encoded(codec, TEXT)

    assert outer.ByteSize() < TEXT.ByteSize()
    assert TEXT == decoded(CompressionCodec(), outer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": -8}, "-7 to 22"),
        ({"level": 23}, "-7 to 22"),
        ({"algorithm": "zlib", "level": 0}, "1 to 9"),
        ({"algorithm": "zlib", "level": 10}, "1 to 9"),
        ({"algorithm": "lz4", "level": -1}, "0 to 12"),
        ({"algorithm": "lz4", "level": 13}, "0 to 12"),
        ({"algorithm": "brotli", "level": -1}, "0 to 11"),
        ({"algorithm": "brotli", "level": 12}, "0 to 11"),
        ({"algorithm": "none", "level": 1}, "'none' has no levels"),
        ({"algorithm": "lzma"}, "zstd, zlib, lz4, brotli, none"),
        ({"algorithm": "gzip"}, "zstd, zlib, lz4, brotli, none"),
        ({"min_size": -1}, "min_size"),
        ({"max_size": 0}, "max_size"),
        ({"max_ratio": 0}, "max_ratio"),
        ({"threads": -1}, "0 to 256"),
        ({"threads": 257}, "0 to 256"),
        ({"algorithm": "zlib", "threads": 2}, "threads are for zstd"),
    ],
)
def test_parameter_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    """The message says what is possible."""
    with pytest.raises(ConfigurationError, match=message):
        CompressionCodec(**options)


@every
def test_threads_share_one_codec(algorithm: Algorithm) -> None:
    """Eight threads compress and decompress their own payloads and get nobody else's."""
    codec = CompressionCodec(algorithm)

    def work(number: int) -> bool:
        # Long enough for the compressors to run at the same time, outside of Python's lock.
        mine = [Payload(data=f"{number}/{i} ".encode() * 50_000) for i in range(3)]
        return mine == codec.decode_sync(codec.encode_sync(mine))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))


def test_codecs_compare_by_their_parameters() -> None:
    """Two codecs of equal parameters are equal and hash alike; their contexts do not matter."""
    assert CompressionCodec("zlib", 3) == CompressionCodec("zlib", 3)
    assert CompressionCodec("zlib", 3) != CompressionCodec("zlib", 4)
    assert 1 == len({CompressionCodec(), CompressionCodec()})


def test_no_algorithm_reads_and_writes_nothing() -> None:
    """`none` is for programs that are to compress no more, and have payloads to read."""
    codec = CompressionCodec("none")

    assert TEXT is encoded(codec, TEXT)
    assert TEXT == decoded(codec, encoded(CompressionCodec(), TEXT))


def test_many_threads_compress_one_large_payload() -> None:
    """Its jobs are found in the frame, which has no longer the bytes of a single thread's."""
    large = Payload(data=b"".join(b"%d," % number for number in range(300_000)))
    small = Payload(data=large.data[:10_000])
    parallel, alone = CompressionCodec(threads=2), CompressionCodec()

    outer = encoded(parallel, large)

    assert large == decoded(alone, outer)
    assert encoded(alone, large) != outer
    assert encoded(alone, small) == encoded(parallel, small)


def test_threads_survive_a_fork() -> None:
    """The child of a process that has compressed in threads compresses as well."""
    program = """
import os, sys
from sealwire.codecs import CompressionCodec
from sealwire.payload import Payload
codec = CompressionCodec(threads=2)
large = Payload(data=b"".join(b"%d," % number for number in range(300_000)))
codec.encode_sync([large])
child = os.fork()
if not child:
    os._exit(0 if [large] == codec.decode_sync(codec.encode_sync([large])) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)

    assert 0 == done.returncode


def test_damage_names_the_position_in_the_batch() -> None:
    """A caller with many payloads learns which of them it is."""
    batch = [TEXT, encoded(CompressionCodec(), TEXT), labelled("zstd", b"no frame")]

    with pytest.raises(PayloadError) as caught:
        CompressionCodec().decode_sync(batch)

    assert 2 == caught.value.index

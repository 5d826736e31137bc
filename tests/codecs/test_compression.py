"""`CompressionCodec`: smaller where that is possible, and bounded whatever it is given."""

from __future__ import annotations

import gzip
import random
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire.codecs import CompressionCodec
from sealwire.errors import ConfigurationError, PayloadError, PayloadTooLargeError
from sealwire.payload import Payload
from sealwire.testing.strategies import payloads

Algorithm = Literal["zstd", "zlib"]

BOTH: tuple[Algorithm, Algorithm] = ("zstd", "zlib")
MIB = 1024 * 1024
TEXT = Payload(metadata={"encoding": b"json/plain"}, data=b'{"name": "value"}' * 100)
NOISE = random.Random(7).randbytes(100_000)  # noqa: S311 - not a secret

both = pytest.mark.parametrize("algorithm", BOTH)


def is_plain(payload: Payload) -> bool:
    """Whether a payload does not claim to be compressed already."""
    return payload.metadata.get("encoding") not in (b"binary/zstd", b"binary/zlib")


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


def packed(algorithm: Algorithm, plain: bytes) -> bytes:
    """`plain`, compressed by the library itself."""
    return zstandard.compress(plain) if algorithm == "zstd" else zlib.compress(plain)


def refused(
    payload: Payload,
    error: type[PayloadError] = PayloadError,
    codec: CompressionCodec | None = None,
) -> PayloadError:
    """Check that `payload` is refused with exactly this error, which is returned."""
    with pytest.raises(PayloadError) as caught:
        (codec or CompressionCodec()).decode_sync([payload])
    assert error is type(caught.value)
    return caught.value


@both
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


@both
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


@both
def test_repetitive_megabytes_are_read_back_with_the_default_limits(algorithm: Algorithm) -> None:
    """Zeros compress by more than the ratio that decoding allows, and are not lost for it."""
    payload = Payload(data=bytes(10 * MIB))
    codec = CompressionCodec(algorithm)

    assert payload == decoded(codec, encoded(codec, payload))


@both
async def test_async_and_sync_give_the_same(algorithm: Algorithm) -> None:
    """Compression is deterministic, in both ways of calling."""
    codec = CompressionCodec(algorithm)
    outer = await codec.encode([TEXT])

    assert outer == codec.encode_sync([TEXT])
    assert [TEXT] == await codec.decode(outer)
    assert [TEXT] == codec.decode_sync(outer)


@both
@pytest.mark.parametrize("writer", BOTH)
def test_either_codec_reads_both_algorithms(algorithm: Algorithm, writer: Algorithm) -> None:
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


@both
def test_payload_that_does_not_shrink_is_kept(algorithm: Algorithm) -> None:
    """Random bytes are returned as the very payload that came in."""
    payload = Payload(data=NOISE)

    assert payload is encoded(CompressionCodec(algorithm), payload)


@both
def test_result_is_never_larger(algorithm: Algorithm) -> None:
    """Around the size at which compression begins to pay, the smaller of the two is written."""
    codec = CompressionCodec(algorithm, min_size=0)

    for size in range(200):
        payload = Payload(data=NOISE[: size // 2] + bytes(size - size // 2))
        outer = encoded(codec, payload)
        assert outer is payload or outer.ByteSize() < payload.ByteSize()


@both
def test_min_size_counts_the_serialized_payload(algorithm: Algorithm) -> None:
    """The bound itself is compressed, a byte less is not."""
    size = TEXT.ByteSize()

    assert TEXT is encoded(CompressionCodec(algorithm, min_size=size + 1), TEXT)
    assert TEXT is not encoded(CompressionCodec(algorithm, min_size=size), TEXT)


@both
def test_payload_above_max_size_is_not_compressed(algorithm: Algorithm) -> None:
    """What could not be read back is written as it is."""
    size = TEXT.ByteSize()

    assert TEXT is encoded(CompressionCodec(algorithm, max_size=size - 1), TEXT)
    assert TEXT is not encoded(CompressionCodec(algorithm, max_size=size), TEXT)


@both
@pytest.mark.parametrize(
    "encoding", [b"binary/zstd", b"binary/zlib", b"binary/sealed-v1", b"binary/encrypted"]
)
def test_compressed_and_encrypted_payloads_are_not_compressed(
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


@both
def test_external_payloads_are_copied_outside(algorithm: Algorithm) -> None:
    """The server's size accounting sees them, and on decode the inner copy counts."""
    inner = Payload(data=bytes(1000))
    inner.external_payloads.add(size_bytes=5000)
    codec = CompressionCodec(algorithm)
    outer = encoded(codec, inner)

    assert [5000] == [item.size_bytes for item in outer.external_payloads]
    outer.external_payloads[0].size_bytes = 1
    assert inner == decoded(codec, outer)


@both
def test_unknown_fields_inside_survive(algorithm: Algorithm) -> None:
    """A field that a newer server adds to Payload comes back."""
    inner = Payload.FromString(TEXT.SerializeToString() + b"\x9a\x06\x05hello")
    codec = CompressionCodec(algorithm)

    back = decoded(codec, encoded(codec, inner))

    assert inner.SerializeToString(deterministic=True) == back.SerializeToString(deterministic=True)
    assert b"hello" in back.SerializeToString()


@pytest.mark.parametrize(
    ("algorithm", "level"),
    [*(("zstd", level) for level in range(-7, 23)), *(("zlib", level) for level in range(1, 10))],
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
        ({"algorithm": "brotli"}, "zstd, zlib"),
        ({"min_size": -1}, "min_size"),
        ({"max_size": 0}, "max_size"),
        ({"max_ratio": 0}, "max_ratio"),
    ],
)
def test_parameter_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    """The message says what is possible."""
    with pytest.raises(ConfigurationError, match=message):
        CompressionCodec(**options)


def rle_frame(blocks: int, *, window: int = 23) -> bytes:
    """A zstd frame (RFC 8878) without a size, of blocks of 128 KiB that take four bytes each."""
    block = 128 * 1024
    headers = (block << 3 | 1 << 1 | (number == blocks - 1) for number in range(blocks))
    body = b"".join(struct.pack("<I", header)[:3] + b"\0" for header in headers)
    return struct.pack("<IBB", 0xFD2FB528, 0, (window - 10) << 3) + body


def test_frame_made_by_hand_is_a_frame() -> None:
    """The bomb of the tests below would go off in a decoder without limits."""
    frame = rle_frame(8)

    assert -1 == zstandard.frame_content_size(frame)
    assert bytes(MIB) == zstandard.ZstdDecompressor().decompressobj().decompress(frame)


BOMBS = {
    "zlib": labelled("zlib", zlib.compress(bytes(40 * MIB), 9)),
    "zstd that states its size": labelled("zstd", zstandard.compress(bytes(100 * MIB))),
    "zstd without a size": labelled("zstd", rle_frame(8 * 1024)),
    "zstd that states far too much": labelled(
        "zstd", struct.pack("<IBQ", 0xFD2FB528, 0b11100000, 2**62) + bytes(20)
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("max_size", [MIB, 64 * MIB])
def test_bombs_are_refused_in_bounded_memory(bomb: Payload, max_size: int) -> None:
    """Some kilobytes that stand for up to 1 GiB are refused before they take that much."""
    codec = CompressionCodec(max_size=max_size)
    limit = min(max_size, max(64 * 1024, len(bomb.data) * codec.max_ratio))
    tracemalloc.start()
    try:
        error = refused(bomb, PayloadTooLargeError, codec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # One step of the stream, and the growth of its buffer, may come on top.
    assert peak < 2 * limit + 9 * MIB
    assert "max_size" in str(error)
    assert bomb.metadata["encoding"].decode() == error.encoding


def test_ratio_is_limited_below_max_size() -> None:
    """10 MiB out of 330 bytes are refused though they are fewer than `max_size`, 64 KiB are not."""
    small = Payload(data=bytes(64_000))
    codec = CompressionCodec(max_ratio=2)

    refused(labelled("zstd", rle_frame(80)), PayloadTooLargeError, CompressionCodec())
    assert small == decoded(codec, encoded(codec, small))
    refused(labelled("zlib", zlib.compress(bytes(70_000))), PayloadTooLargeError, codec)


@both
@pytest.mark.parametrize("stated", [True, False])
def test_limit_is_exact(algorithm: Algorithm, stated: bool) -> None:
    """A payload of `max_size` bytes is read, one of a byte more is not."""
    plain = Payload(data=NOISE).SerializeToString()
    size = len(plain)
    data = packed(algorithm, plain)
    if algorithm == "zstd" and not stated:
        data = zstandard.ZstdCompressor(write_content_size=False).compress(plain)
        assert -1 == zstandard.frame_content_size(data)

    inner = decoded(CompressionCodec(max_size=size), labelled(algorithm, data))

    assert plain == inner.SerializeToString()
    refused(labelled(algorithm, data), PayloadTooLargeError, CompressionCodec(max_size=size - 1))


def lying_frame(stated: int) -> bytes:
    """A frame of 100,004 bytes that states another size."""
    frame = bytearray(zstandard.compress(Payload(data=NOISE).SerializeToString()))
    frame[5:9] = struct.pack("<I", stated)
    assert stated == zstandard.frame_content_size(bytes(frame))
    return bytes(frame)


@pytest.mark.parametrize("stated", [0, 1, 1000, 100_003, 100_005, 200_000])
def test_frame_that_states_a_wrong_size_is_damaged(stated: int) -> None:
    """A header that lies, up or down, does not get its bytes accepted."""
    refused(labelled("zstd", lying_frame(stated)))


def test_frame_that_states_more_than_the_limit_is_not_tried() -> None:
    """The size that is stated counts against the limit, if only that."""
    refused(labelled("zstd", lying_frame(2**32 - 1)), PayloadTooLargeError)


def test_frame_that_states_the_truth_is_read() -> None:
    """The frames above are wrong in nothing but their size."""
    payload = labelled("zstd", lying_frame(100_004))

    assert NOISE == decoded(CompressionCodec(), payload).data


def test_window_above_8_mib_is_refused() -> None:
    """A frame cannot ask for more memory than RFC 8878 has every decoder grant."""
    limits = CompressionCodec(max_ratio=10**6)

    with pytest.raises(PayloadTooLargeError):
        limits.decode_sync([labelled("zstd", rle_frame(1024, window=23))])
    refused(labelled("zstd", rle_frame(1024, window=24)), codec=limits)


@pytest.mark.parametrize("data", [rle_frame(2), packed("zstd", bytes(99)), packed("zlib", b"x")])
def test_every_truncation_is_refused(data: bytes) -> None:
    """Data cut off at any length is damaged."""
    algorithm: Algorithm = "zlib" if data[:1] == b"\x78" else "zstd"

    for length in range(len(data)):
        refused(labelled(algorithm, data[:length]), codec=CompressionCodec(max_ratio=10**6))


@pytest.mark.parametrize("tail", [b"\0", b"x" * 300, packed("zstd", b""), packed("zlib", b"x")])
def test_trailing_data_is_refused(tail: bytes) -> None:
    """Nothing is ignored behind the compressed data, another frame included."""
    plain = TEXT.SerializeToString()
    unstated = zstandard.ZstdCompressor(write_content_size=False).compress(plain)

    refused(labelled("zstd", packed("zstd", plain) + tail))
    refused(labelled("zstd", unstated + tail))
    refused(labelled("zlib", packed("zlib", plain) + tail))


@pytest.mark.parametrize("size", range(254, 260))
def test_trailing_data_is_refused_wherever_a_step_ends(size: int) -> None:
    """Also where the frame ends just at, before or after a step of the stream."""
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    frame = compressor.compress(NOISE[:size])
    assert -1 == zstandard.frame_content_size(frame)
    plain = Payload(data=NOISE[: size - 12]).SerializeToString()
    good = compressor.compress(plain)

    assert plain == decoded(CompressionCodec(), labelled("zstd", good)).SerializeToString()
    for tail in (b"x", b"x" * 256, b"x" * 257):
        refused(labelled("zstd", good + tail))


@both
@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"garbage", NOISE[:500], gzip.compress(b"x"), bytes(64)],
    ids=["empty", "zero", "text", "noise", "gzip", "zeros"],
)
def test_garbage_is_refused(algorithm: Algorithm, data: bytes) -> None:
    """What is not of the format is damaged, and the error says which format."""
    error = refused(labelled(algorithm, data))

    assert f"binary/{algorithm}" == error.encoding


@both
def test_compressed_garbage_is_refused(algorithm: Algorithm) -> None:
    """What decompresses to no payload is damaged, too."""
    refused(labelled(algorithm, packed(algorithm, b"\xff" * 9)))


@both
def test_skippable_frames_are_no_payload(algorithm: Algorithm) -> None:
    """Data that a decoder is free to skip is not skipped."""
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"skip"

    refused(labelled(algorithm, skippable))
    refused(labelled(algorithm, skippable + packed(algorithm, TEXT.SerializeToString())))


@pytest.mark.parametrize("frame", [packed("zstd", b""), packed("zlib", b"")])
def test_nothing_compressed_is_the_empty_payload(frame: bytes) -> None:
    """A serialized payload may have no bytes, and a frame may state so truthfully."""
    algorithm: Algorithm = "zlib" if frame[:1] == b"\x78" else "zstd"

    assert Payload() == decoded(CompressionCodec(), labelled(algorithm, frame))


@both
def test_only_documented_errors_escape(algorithm: Algorithm) -> None:
    """With any byte changed there is a payload or a `PayloadError`, and nothing else."""
    good = encoded(CompressionCodec(algorithm), TEXT).data
    unstated = zstandard.ZstdCompressor(write_content_size=False)
    codec = CompressionCodec()
    caught = 0

    for data in (good, unstated.compress(TEXT.SerializeToString())):
        for at in range(len(data)):
            for value in (0, 1, 0x7F, 0x80, 0xFF):
                changed = data[:at] + bytes([data[at] ^ value]) + data[at + 1 :]
                try:
                    codec.decode_sync([labelled(algorithm, changed)])
                except PayloadError:
                    caught += 1

    assert caught > 0


@both
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

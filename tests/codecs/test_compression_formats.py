"""What each compressed encoding is, and that nothing else is taken for it."""

from __future__ import annotations

import gzip
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sealwire.codecs import CompressionCodec
from sealwire.errors import DictionaryNotFoundError, PayloadError, PayloadTooLargeError
from sealwire.payload import Payload

# They come without types.
brotli: Any = import_module("brotli")
lz4_frame: Any = import_module("lz4.frame")

TEXT = Payload(metadata={"encoding": b"json/plain"}, data=b'{"name": "value"}' * 100)
NOISE = random.Random(7).randbytes(100_000)  # noqa: S311 - not a secret
SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"  # in zstd and in lz4

_UNSTATED: Final = zstandard.ZstdCompressor(write_content_size=False)

# What another program writes, made by the libraries themselves.
PACK: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "zstd": zstandard.compress,
    "zstd without a size": _UNSTATED.compress,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "lz4": lz4_frame.compress,
    "lz4 with checksums": lambda plain: lz4_frame.compress(
        plain, content_checksum=True, block_checksum=True, block_linked=False, block_size=7
    ),
    "brotli": brotli.compress,
    "snappy": lambda plain: bytes(cramjam.snappy.compress_raw(plain)),
}
every_format = pytest.mark.parametrize("name", PACK)


def decoded(payload: Payload, codec: CompressionCodec | None = None) -> Payload:
    """One payload, decoded."""
    [inner] = (codec or CompressionCodec()).decode_sync([payload])
    return inner


def labelled(name: str, data: bytes) -> Payload:
    """A payload that claims to be of a format."""
    return Payload(metadata={"encoding": b"binary/" + name.split()[0].encode()}, data=data)


def refused(
    payload: Payload,
    error: type[PayloadError] = PayloadError,
    codec: CompressionCodec | None = None,
) -> PayloadError:
    """Check that `payload` is refused with exactly this error, which is returned."""
    with pytest.raises(PayloadError) as caught:
        decoded(payload, codec)
    assert error is type(caught.value)
    assert payload.metadata["encoding"].decode() == caught.value.encoding
    return caught.value


@every_format
def test_what_other_programs_write_is_read(name: str) -> None:
    """Each format is what the library of its name makes of the serialized payload."""
    assert TEXT == decoded(labelled(name, PACK[name](TEXT.SerializeToString())))


@every_format
@given(data=st.binary(max_size=2000), repeat=st.integers(1, 200))
def test_any_payload_is_read(name: str, data: bytes, repeat: int) -> None:
    """Short, long, random and repetitive ones come back."""
    payload = Payload(data=data * repeat)

    assert payload == decoded(labelled(name, PACK[name](payload.SerializeToString())))


def test_other_programs_read_what_is_written() -> None:
    """The data is one frame or stream, which the library of its name reads in one call."""
    plain = TEXT.SerializeToString()
    readers: dict[str, Callable[[bytes], bytes]] = {
        "zstd": zstandard.decompress,
        "zlib": zlib.decompress,
        "lz4": lz4_frame.decompress,
        "brotli": brotli.decompress,
    }
    for name, read in readers.items():
        algorithm: Any = name
        [outer] = CompressionCodec(algorithm).encode_sync([TEXT])
        assert {"encoding": b"binary/" + name.encode()} == dict(outer.metadata)
        assert plain == read(outer.data)


@every_format
def test_every_truncation_is_refused(name: str) -> None:
    """Data cut off at any length is damaged."""
    data = PACK[name](Payload(data=NOISE[:50] + bytes(150)).SerializeToString())

    for length in range(len(data)):
        refused(labelled(name, data[:length]))


@every_format
def test_trailing_data_is_refused(name: str) -> None:
    """Nothing is ignored behind the compressed data, another frame or member included."""
    data = PACK[name](TEXT.SerializeToString())

    for tail in (b"\0", b"x" * 300, SKIPPABLE, PACK[name](b""), data):
        refused(labelled(name, data + tail))


@every_format
@pytest.mark.parametrize("tail", [b"\0", b"x" * 100_000])
def test_trailing_data_is_refused_after_many_steps(name: str, tail: bytes) -> None:
    """Also where the result was read in several steps before the end was seen."""
    data = PACK[name](Payload(data=bytes(3_000_000)).SerializeToString())
    codec = CompressionCodec(max_ratio=10**6)

    assert 3_000_000 == len(decoded(labelled(name, data), codec).data)
    refused(labelled(name, data + tail), codec=codec)


@pytest.mark.parametrize("size", range(254, 260))
def test_trailing_data_is_refused_wherever_a_step_ends(size: int) -> None:
    """Also where a zstd frame ends just at, before or after a step of the stream."""
    frame = _UNSTATED.compress(NOISE[:size])
    assert -1 == zstandard.frame_content_size(frame)
    plain = Payload(data=NOISE[: size - 12]).SerializeToString()
    good = _UNSTATED.compress(plain)

    assert plain == decoded(labelled("zstd", good)).SerializeToString()
    for tail in (b"x", b"x" * 256, b"x" * 257):
        refused(labelled("zstd", good + tail))


@every_format
@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", NOISE[:500], bytes(64), b"\x80" * 64],
    ids=["empty", "text", "noise", "zeros", "endless varint"],
)
def test_garbage_is_refused(name: str, data: bytes) -> None:
    """What is not of the format is damaged, and the error says which format."""
    assert "is damaged" in str(refused(labelled(name, data)))


@every_format
def test_formats_are_not_guessed(name: str) -> None:
    """The label counts, whatever the data looks like."""
    data = PACK[name](TEXT.SerializeToString())

    for other in PACK:
        if other.split()[0] != name.split()[0]:
            refused(labelled(other, data))


@every_format
def test_compressed_garbage_is_refused(name: str) -> None:
    """What decompresses to no payload is damaged, too."""
    refused(labelled(name, PACK[name](b"\xff" * 9)))


@every_format
def test_skippable_frames_are_no_payload(name: str) -> None:
    """Data that a decoder is free to skip is not skipped."""
    for frame in (SKIPPABLE, struct.pack("<II", 0x184D2A50, 0)):
        refused(labelled(name, frame))
        refused(labelled(name, frame + PACK[name](TEXT.SerializeToString())))


@every_format
def test_nothing_compressed_is_the_empty_payload(name: str) -> None:
    """A serialized payload may have no bytes, and a frame may state so truthfully."""
    assert Payload() == decoded(labelled(name, PACK[name](b"")))


@every_format
def test_one_layer_is_read(name: str) -> None:
    """What is compressed twice comes back compressed once: one codec reads one layer."""
    inner = labelled(name, PACK[name](TEXT.SerializeToString()))
    outer = labelled(name, PACK[name](inner.SerializeToString()))

    assert inner == decoded(outer)


@every_format
def test_only_documented_errors_escape(name: str) -> None:
    """With any byte changed there is a payload or a documented error, and nothing else."""
    good = PACK[name](TEXT.SerializeToString())
    codec = CompressionCodec()
    caught = 0

    for at in range(len(good)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            changed = good[:at] + bytes([good[at] ^ value]) + good[at + 1 :]
            try:
                codec.decode_sync([labelled(name, changed)])
            # A changed header may name a dictionary.
            except (PayloadError, DictionaryNotFoundError):
                caught += 1

    assert caught > 0


@every_format
def test_limit_is_exact(name: str) -> None:
    """A payload of `max_size` bytes is read, one of a byte more is not."""
    plain = Payload(data=NOISE).SerializeToString()
    size = len(plain)
    outer = labelled(name, PACK[name](plain))

    inner = decoded(outer, CompressionCodec(max_size=size))

    assert plain == inner.SerializeToString()
    error = refused(outer, PayloadTooLargeError, CompressionCodec(max_size=size - 1))
    assert "max_size" in str(error)


@every_format
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1024 * 1024, 3_000_000])
def test_limit_is_exact_wherever_a_step_ends(name: str, size: int) -> None:
    """Also for zeros, and for sizes around those in which the result is read."""
    plain = Payload(data=bytes(size)).SerializeToString()
    outer = labelled(name, PACK[name](plain))
    limits: dict[str, Any] = {"max_ratio": 10**6}

    inner = decoded(outer, CompressionCodec(max_size=len(plain), **limits))

    assert size == len(inner.data)
    refused(outer, PayloadTooLargeError, CompressionCodec(max_size=len(plain) - 1, **limits))


@every_format
def test_ratio_is_limited_above_64_kib(name: str) -> None:
    """What expands beyond the ratio is refused, though it is smaller than `max_size`."""
    codec = CompressionCodec(max_ratio=2)
    small, large = (Payload(data=bytes(size)).SerializeToString() for size in (65_000, 70_000))

    assert 65_000 == len(decoded(labelled(name, PACK[name](small)), codec).data)
    refused(labelled(name, PACK[name](large)), PayloadTooLargeError, codec)


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
    assert NOISE == decoded(labelled("zstd", lying_frame(100_004))).data


@pytest.mark.parametrize("change", [-1, 1])
def test_lz4_frame_that_states_a_wrong_size_is_damaged(change: int) -> None:
    """The header of an LZ4 frame is not trusted, either."""
    plain = TEXT.SerializeToString()
    lying = lz4_frame.LZ4FrameCompressor()
    header = lying.begin(source_size=len(plain) + change)
    data = header + lz4_frame.compress(plain, store_size=False)[7:]

    assert len(plain) + change == lz4_frame.get_frame_info(data)["content_size"]
    refused(labelled("lz4", data))


@pytest.mark.parametrize("stated", [0, 1, 1000, 2**16])
def test_snappy_that_states_a_wrong_size_is_damaged(stated: int) -> None:
    """A block that states another size than it has is refused."""
    body = PACK["snappy"](Payload(data=NOISE).SerializeToString())[3:]

    refused(labelled("snappy", varint(stated) + body))


@pytest.mark.parametrize("stated", [64 * 1024 * 1024 + 1, 2**32 - 1])
def test_snappy_that_states_more_than_the_limit_is_not_tried(stated: int) -> None:
    """The library would allocate what is stated."""
    body = PACK["snappy"](Payload(data=NOISE).SerializeToString())[3:]

    refused(labelled("snappy", varint(stated) + body), PayloadTooLargeError)


def varint(number: int) -> bytes:
    """A number as protobuf and snappy write it."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def test_a_gzip_member_may_have_a_name_and_a_comment() -> None:
    """The optional fields of the header are no part of the payload."""
    plain = TEXT.SerializeToString()
    simple = gzip.compress(plain)
    named = simple[:3] + b"\x18" + simple[4:10] + b"name\0comment\0" + simple[10:]

    assert TEXT == decoded(labelled("gzip", named))


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"lz4", "brotli", "cramjam"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from sealwire.codecs import CompressionCodec, CompressionRule
from sealwire.errors import ConfigurationError
from sealwire.payload import Payload
codec = CompressionCodec()
text = Payload(data=bytes(1000))
assert [text] == codec.decode_sync(codec.encode_sync([text]))
for name in ("lz4", "brotli", "snappy"):
    try:
        codec.decode_sync([text, Payload(metadata={"encoding": f"binary/{name}".encode()})])
    except ConfigurationError as err:
        print(err.index, err)
for options in ({"algorithm": "lz4"}, {"rules": (CompressionRule("brotli"),)}):
    try:
        CompressionCodec(**options)
    except ConfigurationError as err:
        print(err)
"""


def test_missing_package_is_named_with_its_extra() -> None:
    """Whoever writes or reads an encoding without its package is told what to install."""
    output = subprocess.check_output([sys.executable, "-c", BLOCKED], text=True)

    asked = [("1 ", "lz4"), ("1 ", "brotli"), ("1 ", "snappy"), ("", "lz4"), ("", "brotli")]
    assert [
        f"{index}binary/{extra} needs a package that is not installed; "
        f"fix: pip install 'sealwire[{extra}]'"
        for index, extra in asked
    ] == output.splitlines()


def test_optional_packages_are_imported_where_they_are_used() -> None:
    """A codec that has met none of their encodings has loaded none of them."""
    program = """
import sys
from sealwire.codecs import CompressionCodec
from sealwire.payload import Payload
codec = CompressionCodec()
codec.decode_sync(codec.encode_sync([Payload(data=bytes(1000))]))
print({"lz4", "brotli", "cramjam"} & set(sys.modules))
"""
    output = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert "set()\n" == output


def test_old_brotli_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.2 the package has no limit for its output, so it is not used."""
    monkeypatch.setattr(brotli, "Decompressor", object)

    with pytest.raises(ValueError, match=r"pip install 'sealwire\[brotli\]'"):
        CompressionCodec("brotli")

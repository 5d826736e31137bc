"""Decompression bombs: a few kilobytes that stand for 256 MiB, read in less memory than that."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import cramjam
import pytest
import zstandard

from sealwire.codecs import CompressionCodec, EncryptionCodec
from sealwire.errors import PayloadError, PayloadTooLargeError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload

# They come without types.
brotli: Any = import_module("brotli")
lz4_frame: Any = import_module("lz4.frame")

MIB: Final = 1024 * 1024
EXPANDED: Final = 256 * MIB
ROOT: Final = bytes(range(200, 232))

# The whole process, interpreter and libraries included, has this much address space.
PROGRAM: Final = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({256 * MIB}, {256 * MIB}))
from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload
chain = {{
    "one": CompressionCodec(),
    "two": CodecChain(CompressionCodec(), CompressionCodec()),
    "sealed": CodecChain(
        CompressionCodec(),
        EncryptionCodec(Keyring(StaticKeyProvider(Key("k", {ROOT!r}))), namespace="default"),
    ),
}}[sys.argv[1]]
with open(sys.argv[2], "rb") as file:
    payload = Payload.FromString(file.read())
try:
    print("read", [len(inner.data) for inner in chain.decode_sync([payload])])
except Exception as err:
    print(type(err).__name__)
"""
# What a decoder without limits does with the same data in as much memory.
UNLIMITED: Final = f"""
import resource, sys, zlib
resource.setrlimit(resource.RLIMIT_AS, ({256 * MIB}, {256 * MIB}))
with open(sys.argv[1], "rb") as file:
    data = file.read()
try:
    print(len(zlib.decompress(data)))
except MemoryError:
    print("MemoryError")
"""


def labelled(encoding: str, data: bytes) -> Payload:
    """A payload that claims to be of an encoding."""
    return Payload(metadata={"encoding": encoding.encode()}, data=data)


def rle_frame(blocks: int, *, window: int = 23) -> bytes:
    """A zstd frame (RFC 8878) without a size, of blocks of 128 KiB that take four bytes each."""
    block = 128 * 1024
    headers = (block << 3 | 1 << 1 | (number == blocks - 1) for number in range(blocks))
    body = b"".join(struct.pack("<I", header)[:3] + b"\0" for header in headers)
    return struct.pack("<IBB", 0xFD2FB528, 0, (window - 10) << 3) + body


@cache
def deflated(bits: int) -> bytes:
    """Zeros as a zlib stream or a gzip member, at a thousand to one."""
    stream = zlib.compressobj(9, wbits=bits)
    return b"".join(stream.compress(bytes(MIB)) for _ in range(256)) + stream.flush()


def in_zstd(inner: Payload) -> Payload:
    """A payload inside a compressed one."""
    return labelled("binary/zstd", zstandard.compress(inner.SerializeToString()))


def sealed(inner: Payload) -> Payload:
    """A payload inside a sealed one."""
    keyring = Keyring(StaticKeyProvider(Key("k", ROOT)))
    [outer] = EncryptionCodec(keyring, namespace="default").encode_sync([inner])
    return outer


def skippable(data: bytes) -> bytes:
    """A frame that a decoder may skip; zstd and lz4 have the same."""
    return struct.pack("<II", 0x184D2A50, len(data)) + data


def stating(size: int) -> bytes:
    """A zstd bomb whose header states another size."""
    header = struct.pack("<IBQ", 0xFD2FB528, 0b11100000, size)
    return header + rle_frame(EXPANDED // (128 * 1024))[6:]


UNSIZED: Final = rle_frame(EXPANDED // (128 * 1024))
TOO_LARGE: Final = "PayloadTooLargeError"
DAMAGED: Final = "PayloadError"

BOMBS: Final[Mapping[str, tuple[str, Callable[[], Payload], str]]] = {
    "zlib": ("one", lambda: labelled("binary/zlib", deflated(15)), TOO_LARGE),
    "gzip": ("one", lambda: labelled("binary/gzip", deflated(31)), TOO_LARGE),
    "zstd": (
        "one",
        lambda: labelled("binary/zstd", zstandard.compress(bytes(EXPANDED))),
        TOO_LARGE,
    ),
    "zstd without a size": ("one", lambda: labelled("binary/zstd", UNSIZED), TOO_LARGE),
    "zstd that states too little": ("one", lambda: labelled("binary/zstd", stating(1000)), DAMAGED),
    "zstd that states nothing": ("one", lambda: labelled("binary/zstd", stating(0)), DAMAGED),
    "zstd that states too much": (
        "one",
        lambda: labelled("binary/zstd", stating(2**62)),
        TOO_LARGE,
    ),
    "zstd after a skippable frame": (
        "one",
        lambda: labelled("binary/zstd", skippable(b"x") + UNSIZED),
        DAMAGED,
    ),
    "zstd before a skippable frame": (
        "one",
        lambda: labelled("binary/zstd", UNSIZED + skippable(b"x")),
        TOO_LARGE,
    ),
    "zstd of many frames": (
        "one",
        lambda: labelled("binary/zstd", zstandard.compress(bytes(MIB)) * 256),
        DAMAGED,
    ),
    "zstd with a huge window": (
        "one",
        lambda: labelled("binary/zstd", rle_frame(2048, window=31)),
        DAMAGED,
    ),
    "zstd in zstd": ("two", lambda: in_zstd(labelled("binary/zstd", UNSIZED)), TOO_LARGE),
    "zstd in zstd, read once": (
        "one",
        lambda: in_zstd(labelled("binary/zstd", UNSIZED)),
        f"read [{len(UNSIZED)}]",
    ),
    "zlib in zstd": ("two", lambda: in_zstd(labelled("binary/zlib", deflated(15))), TOO_LARGE),
    "zstd in sealed": ("sealed", lambda: sealed(labelled("binary/zstd", UNSIZED)), TOO_LARGE),
    "lz4": (
        "one",
        lambda: labelled("binary/lz4", lz4_frame.compress(bytes(EXPANDED), block_size=7)),
        TOO_LARGE,
    ),
    "lz4 after a skippable frame": (
        "one",
        lambda: labelled("binary/lz4", skippable(b"x") + lz4_frame.compress(bytes(EXPANDED))),
        DAMAGED,
    ),
    "brotli": (
        "one",
        lambda: labelled("binary/brotli", brotli.compress(bytes(EXPANDED), quality=5)),
        TOO_LARGE,
    ),
    "snappy": (
        "one",
        lambda: labelled("binary/snappy", bytes(cramjam.snappy.compress_raw(bytes(EXPANDED)))),
        TOO_LARGE,
    ),
    "snappy that states 4 GiB": (
        "one",
        lambda: labelled("binary/snappy", b"\xff\xff\xff\xff\x0f" + bytes(100)),
        TOO_LARGE,
    ),
}
# The format allows no more: an LZ4 sequence gives 255 bytes for one, a snappy element 64 for three.
MODEST: Final = {"lz4", "lz4 after a skippable frame", "snappy"}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_in_256_mib(name: str, tmp_path: Path) -> None:
    """A process of 256 MiB, all included, refuses it with the error that is documented."""
    chain, make, answer = BOMBS[name]
    payload = make()
    file = tmp_path / "payload"
    file.write_bytes(payload.SerializeToString())
    if name not in MODEST:
        assert len(payload.data) * 1000 <= EXPANDED

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, chain, file], capture_output=True, text=True, check=False
    )

    assert f"{answer}\n" == done.stdout, done.stderr


def test_decoder_without_limits_runs_out_of_memory(tmp_path: Path) -> None:
    """So the limit of the tests above is one that these bombs go beyond."""
    file = tmp_path / "stream"
    file.write_bytes(deflated(15))

    output = subprocess.check_output([sys.executable, "-c", UNLIMITED, file], text=True)

    assert "MemoryError\n" == output


@pytest.mark.parametrize("name", ["zstd", "zlib", "lz4", "brotli"])
def test_large_payload_is_read_in_256_mib(name: str, tmp_path: Path) -> None:
    """Memory is not so scarce that every large payload would be refused."""
    noise = random.Random(7).randbytes(4 * MIB)  # noqa: S311 - not a secret
    plain = Payload(data=noise + bytes(28 * MIB)).SerializeToString()
    packed: dict[str, Callable[[bytes], bytes]] = {
        "zstd": zstandard.ZstdCompressor(write_content_size=False).compress,
        "zlib": zlib.compress,
        "lz4": lz4_frame.compress,
        "brotli": lambda data: brotli.compress(data, quality=1),
    }
    file = tmp_path / "payload"
    file.write_bytes(labelled(f"binary/{name}", packed[name](plain)).SerializeToString())

    output = subprocess.check_output([sys.executable, "-c", PROGRAM, "one", file], text=True)

    assert f"read [{32 * MIB}]\n" == output


def test_frame_made_by_hand_is_a_frame() -> None:
    """The bomb without a size would go off in a decoder without limits."""
    frame = rle_frame(8)

    assert -1 == zstandard.frame_content_size(frame)
    assert bytes(MIB) == zstandard.ZstdDecompressor().decompressobj().decompress(frame)


def test_window_above_8_mib_is_refused() -> None:
    """A frame cannot ask for more memory than RFC 8878 has every decoder grant."""
    codec = CompressionCodec(max_ratio=10**6)

    for window, error in ((23, PayloadTooLargeError), (24, PayloadError)):
        with pytest.raises(PayloadError) as caught:
            codec.decode_sync([labelled("binary/zstd", rle_frame(1024, window=window))])
        assert error is type(caught.value)

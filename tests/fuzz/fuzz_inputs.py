"""The fuzzer's bytes as payloads: past decompression and authentication, where it wants to be.

A fuzzer never finds a valid tag or checksum by itself. So a *recipe* wraps what it chose into the
layers that the reader takes off, with the keys of this file. The bytes of an input are::

    shape(1)     the number of the recipe, | 40: change a byte at the end, | 80: a batch of three
    position(2)  little-endian; where a byte of the outer payload is changed
    change(1)    what it is changed by
    rest         for the recipe
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Final

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from sealwire.codecs import sealed as sealed_format
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import ENCODING, Encoding, Payload

# They come without types.
brotli: Any = import_module("brotli")
cramjam: Any = import_module("cramjam")
lz4_frame: Any = import_module("lz4.frame")

Recipe = Callable[[bytes], Payload]

ROOT: Final = bytes(range(150, 182))
INTEROP_ROOT: Final = b"test-key-test-key-test-key-test!"
SEALED_KEY: Final = Key("sealed-1", ROOT)
KEYS: Final = (
    Key("disabled-1", bytes(range(100, 132)), disabled=True),
    Key("destroyed-1", None, destroyed_at=1.0),
    Key("interop-1", INTEROP_ROOT, suite=KeySuite.INTEROP),
    SEALED_KEY,
)
HEADER: Final = 4  # bytes before the rest
_EDIT: Final = 0x40
_BATCH: Final = 0x80
_RECIPE: Final = 0x3F


class NotAnInput(Exception):  # noqa: N818 - no error, just nothing to try
    """The fuzzer's bytes stand for nothing."""


def keyring() -> Keyring:
    """A keyring with a key in each state."""
    return Keyring(StaticKeyProvider(*KEYS))


def dictionary() -> zstandard.ZstdCompressionDict:
    """A trained dictionary, the same each time."""
    numbers = random.Random(7)  # noqa: S311 - reproducible, and no secret
    samples: list[Any] = [order(numbers).SerializeToString() for _ in range(300)]
    return zstandard.train_dictionary(1024, samples, dict_id=40_000)


def order(numbers: random.Random) -> Payload:
    """A small payload as an application would have it."""
    number, city = numbers.randrange(10**6), numbers.choice(["Oslo", "Paris", "Wien"])
    data = f'{{"order_id": "ord-{number}", "city": "{city}", "lines": [{number % 9}]}}'
    return labelled(Encoding.JSON, data.encode())


def assemble(data: bytes, recipes: Sequence[Recipe], companion: Payload) -> list[Payload]:
    """Return the payloads that an input stands for.

    Args:
        data: The whole input.
        recipes: What the input chooses from.
        companion: A good payload, for the middle of a batch.

    Raises:
        NotAnInput: It stands for nothing that protobuf would hand to a codec.
    """
    shape, position, change = struct.unpack_from("<BHB", data)
    payload = recipes[(shape & _RECIPE) % len(recipes)](data[HEADER:])
    if shape & _EDIT:
        raw = bytearray(payload.SerializeToString() or b"\0")
        raw[position % len(raw)] ^= change
        payload = outer(bytes(raw))
    return [payload, companion, payload] if shape & _BATCH else [payload]


def outer(data: bytes) -> Payload:
    """The serialized outer payload itself.

    Raises:
        NotAnInput: It is none.
    """
    try:
        return Payload.FromString(data)
    except DecodeError:
        raise NotAnInput from None


def labelled(encoding: bytes, data: bytes) -> Payload:
    """Data under a label."""
    return Payload(metadata={ENCODING: encoding}, data=data)


def nested(*layers: Recipe) -> Recipe:
    """Recipes around each other, the innermost first."""

    def wrap(data: bytes) -> Payload:
        payload = layers[0](data)
        for layer in layers[1:]:
            payload = layer(payload.SerializeToString())
        return payload

    return wrap


def gzipped(data: bytes) -> bytes:
    """A gzip member without a time in it."""
    stream = zlib.compressobj(wbits=31)
    return stream.compress(data) + stream.flush()


def compressions() -> tuple[Recipe, ...]:
    """Data under each label, and compressed under each label."""
    trained = zstandard.ZstdCompressor(dict_data=dictionary())
    made: dict[bytes, Callable[[bytes], bytes]] = {
        Encoding.ZSTD: zstandard.compress,
        Encoding.ZLIB: zlib.compress,
        Encoding.GZIP: gzipped,
        Encoding.SNAPPY: lambda data: bytes(cramjam.snappy.compress_raw(data)),
        Encoding.LZ4: lz4_frame.compress,
        Encoding.BROTLI: brotli.compress,
    }
    compressors = [*made.items(), (Encoding.ZSTD, trained.compress)]
    return (
        outer,
        *(partial(labelled, encoding) for encoding in made),
        *(_compressed(encoding, compress) for encoding, compress in compressors),
    )


def _compressed(encoding: bytes, compress: Callable[[bytes], bytes]) -> Recipe:
    return lambda data: labelled(encoding, compress(data))


def padded(data: bytes) -> Payload:
    """A serialized payload with its padding."""
    return labelled(Encoding.PADDED, data + b"\x80" + bytes(-len(data) % 64))


def sealed(entries: dict[str, bytes], data: bytes) -> Payload:
    """Bytes sealed with the key, authentic under whatever entries there are."""
    payload = Payload(metadata={ENCODING: Encoding.SEALED, **entries})
    context = sealed_format.authenticated_context(payload.metadata)
    payload.data = sealed_format.seal(SEALED_KEY, context, data)
    return payload


def sealed_for(key_id: bytes, **context: str) -> Recipe:
    """Sealed for a context, under the label of a key."""
    entries = {"encryption-key-id": key_id}
    if context:
        entries["encryption-context"] = sealed_format.pack_context(context)
    return partial(sealed, entries)


def sealed_anywhere(data: bytes) -> Payload:
    """Sealed for a context of the fuzzer's own: a length, so many bytes, and the message."""
    size = data[0] if data else 0
    entries = {"encryption-key-id": b"sealed-1", "encryption-context": data[1 : 1 + size]}
    if size % 4 == 3:
        entries["encryption-content-id"] = data[1:33]
    return sealed(entries, data[1 + size :])


def sealings() -> tuple[Recipe, ...]:
    """Every way to be sealed, and nearly."""
    names = (b"sealed-1", b"interop-1", b"disabled-1", b"destroyed-1", b"unknown-1", b"no id!", b"")
    return (
        outer,
        partial(labelled, Encoding.SEALED),
        *(sealed_for(name, namespace="default") for name in names),
        sealed_for(b"sealed-1", namespace="elsewhere"),
        sealed_for(b"sealed-1", namespace="accepted", purpose="x"),
        sealed_for(b"sealed-1"),
        sealed_anywhere,
    )


def interop(key_id: bytes, more: dict[str, bytes], data: bytes) -> Payload:
    """Bytes encrypted in the interop format, always with the same nonce."""
    payload = labelled(Encoding.ENCRYPTED, bytes(12))
    payload.metadata["encryption-key-id"] = key_id
    for name, value in more.items():
        payload.metadata[name] = value
    payload.data += AESGCM(INTEROP_ROOT).encrypt(bytes(12), data, None)
    return payload


def interop_cipher(data: bytes) -> Payload:
    """As Java's sample labels it, with a cipher that the fuzzer may change."""
    return interop(INTEROP_ROOT, {"encryption-cipher": b"AES/GCM/NoPadding"}, data)


def interops() -> tuple[Recipe, ...]:
    """Every way to be encrypted in the interop format, and nearly."""
    names = (b"interop-1", b"", b"test", b"sealed-1", b"disabled-1", b"unknown-1", b"\xff")
    return (
        outer,
        partial(labelled, Encoding.ENCRYPTED),
        *(partial(interop, name, {}) for name in names),
        interop_cipher,
        partial(interop, b"interop-1", {"encryption-dek": b"x"}),
    )

"""`CodecChain`: several codecs in an order that works."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import temporalio.converter

from sealwire.codecs import (
    CodecChain,
    CodecKind,
    CompressionCodec,
    ContextualCodec,
    EncryptionCodec,
    PaddingCodec,
    PayloadCodec,
    SyncPayloadCodec,
    with_context,
)
from sealwire.errors import ConfigurationError, PayloadError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload

TEXT = Payload(metadata={"encoding": b"json/plain"}, data=b'{"name": "value"}' * 100)
SMALL = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
KEYRING = Keyring(StaticKeyProvider(Key("k", bytes(range(200, 232)))))

COMPRESS = CompressionCodec()
ENCRYPT = EncryptionCodec(KEYRING, namespace="default")


class Suffix:
    """A codec that appends a letter, without a kind and for use from an event loop only."""

    def __init__(self, letter: bytes) -> None:
        self.letter = letter

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata=dict(payload.metadata), data=payload.data + self.letter)
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        for payload in payloads:
            if not payload.data.endswith(self.letter):
                raise PayloadError("the suffix is missing")
        return [
            Payload(metadata=dict(payload.metadata), data=payload.data[:-1]) for payload in payloads
        ]


class Pad(Suffix):
    """A codec of a kind of its own."""

    kind = CodecKind.PAD


class Offload(Suffix):
    """A codec that comes last."""

    kind = CodecKind.OFFLOAD


class Numbered(Suffix):
    """A codec with an attribute of that name that means something else."""

    kind = "third"


class FromTheSdk(temporalio.converter.PayloadCodec):
    """A codec written for `temporalio`."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data) for payload in payloads]


class Bound(Suffix):
    """A codec that cares about the context."""

    def with_context(self, context: Any) -> Bound:
        return self if context is None else Bound(context.namespace.encode())


async def test_encode_goes_from_left_to_right_and_decode_back() -> None:
    """The first codec works on the plain payload, the last on what is stored."""
    chain = CodecChain(Suffix(b"a"), Suffix(b"b"), Suffix(b"c"))
    plain = [Payload(data=b"1"), Payload(data=b"2")]

    outer = await chain.encode(plain)

    assert [b"1abc", b"2abc"] == [payload.data for payload in outer]
    assert plain == await chain.decode(outer)
    with pytest.raises(PayloadError):
        await CodecChain(Suffix(b"c"), Suffix(b"b"), Suffix(b"a")).decode(outer)


async def test_compression_then_encryption() -> None:
    """What is encrypted is the compressed payload, in both ways of calling."""
    chain = CodecChain(COMPRESS, ENCRYPT)

    outer = chain.encode_sync([TEXT, SMALL])
    again = await chain.encode([TEXT, SMALL])

    assert [b"binary/sealed-v1"] * 2 == [payload.metadata.get("encoding") for payload in outer]
    assert outer[0].ByteSize() < TEXT.ByteSize()
    inside = ENCRYPT.decode_sync(outer)
    assert b"binary/zstd" == inside[0].metadata.get("encoding")
    assert SMALL == inside[1]
    assert [TEXT, SMALL] == chain.decode_sync(again)
    assert [TEXT, SMALL] == await chain.decode(outer)


def test_encrypted_payload_passes_the_whole_chain() -> None:
    """A chain that meets its own output, as with a plug-in set up twice, changes nothing."""
    chain = CodecChain(COMPRESS, ENCRYPT)
    [outer] = chain.encode_sync([TEXT])

    assert [outer] == chain.encode_sync([outer])


async def test_empty_chain_returns_the_payloads() -> None:
    """No codec is a codec, too, and gives a new list."""
    chain, batch = CodecChain(), [TEXT]

    for result in (
        await chain.encode(batch),
        await chain.decode(batch),
        chain.encode_sync(batch),
        chain.decode_sync(batch),
    ):
        assert batch == result
        assert batch is not result


def test_chain_in_a_chain_is_flattened() -> None:
    """However it is nested, a chain is a list of codecs."""
    inner = CodecChain(COMPRESS, CodecChain(Pad(b"p")))

    chain = CodecChain(inner, CodecChain(), ENCRYPT)

    assert (COMPRESS, *inner.codecs[1:], ENCRYPT) == chain.codecs
    assert CodecChain(*chain.codecs) == chain


COMPRESS_LATE = (
    "CompressionCodec cannot come after EncryptionCodec in a chain; "
    "the right order is: CompressionCodec, EncryptionCodec"
)
PAD_LATE = (
    "Pad cannot come after EncryptionCodec in a chain; "
    "the right order is: CompressionCodec, Pad, EncryptionCodec"
)
ENCRYPT_LATE = (
    "EncryptionCodec cannot come after Offload in a chain; "
    "the right order is: EncryptionCodec, Offload"
)
TWICE = "EncryptionCodec and EncryptionCodec would encrypt twice; keep one of them"
WRONG: dict[str, tuple[list[PayloadCodec], str]] = {
    "compress after encrypt": ([ENCRYPT, COMPRESS], COMPRESS_LATE),
    "nested": ([CodecChain(ENCRYPT), CodecChain(COMPRESS)], COMPRESS_LATE),
    "pad late, with another between": ([COMPRESS, ENCRYPT, Suffix(b"s"), Pad(b"p")], PAD_LATE),
    "encrypt after offload": ([Offload(b"o"), ENCRYPT], ENCRYPT_LATE),
    "encrypt twice": ([ENCRYPT, EncryptionCodec(KEYRING)], TWICE),
    "encrypt twice, with another between": ([ENCRYPT, Suffix(b"s"), CodecChain(ENCRYPT)], TWICE),
}


@pytest.mark.parametrize(("codecs", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_order_is_refused_when_the_chain_is_built(
    codecs: list[PayloadCodec], message: str
) -> None:
    """The message names both codecs and the order that works."""
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        CodecChain(*codecs)


@pytest.mark.parametrize(
    "codecs",
    [
        [COMPRESS, Pad(b"p"), ENCRYPT, Offload(b"o")],
        [COMPRESS, CompressionCodec("zlib"), ENCRYPT],
        [Suffix(b"s"), ENCRYPT, Suffix(b"s")],
        [ENCRYPT, Numbered(b"n"), FromTheSdk()],
    ],
    ids=["all kinds", "two compressions", "without a kind", "another meaning of kind"],
)
async def test_right_order_is_accepted(codecs: list[PayloadCodec]) -> None:
    """Every order that works is possible; a codec without a kind may stand anywhere."""
    chain = CodecChain(*codecs)
    plain = [Payload(data=b"x" * 500)]

    assert plain == await chain.decode(await chain.encode(plain))


def test_codec_without_sync_methods_is_refused_in_sync_use() -> None:
    """The message names the codec and what to do instead."""
    chain = CodecChain(COMPRESS, FromTheSdk())

    for call in (chain.encode_sync, chain.decode_sync):
        with pytest.raises(ConfigurationError, match=r"FromTheSdk.*event loop"):
            call([TEXT])


def test_protocols_tell_codecs_apart() -> None:
    """What a codec can do shows in which protocols it fulfils."""
    for codec in (COMPRESS, ENCRYPT, CodecChain(COMPRESS)):
        assert isinstance(codec, SyncPayloadCodec)
    assert isinstance(FromTheSdk(), PayloadCodec)
    assert not isinstance(FromTheSdk(), SyncPayloadCodec)
    assert not isinstance(PaddingCodec(), ContextualCodec)
    assert isinstance(COMPRESS, ContextualCodec)
    assert isinstance(ENCRYPT, ContextualCodec)


def test_context_reaches_the_codecs_that_care() -> None:
    """The others stay the same objects, and the chain keeps its order."""
    free = EncryptionCodec(KEYRING)
    chain = CodecChain(COMPRESS, free)

    bound = chain.with_context(SimpleNamespace(namespace="a"))

    assert bound is not chain
    assert COMPRESS is bound.codecs[0]
    assert EncryptionCodec(KEYRING, namespace="a") == bound.codecs[1]
    assert (COMPRESS, free) == chain.codecs
    assert [TEXT] == bound.decode_sync(bound.encode_sync([TEXT]))


@pytest.mark.parametrize("context", [None, SimpleNamespace(namespace="default")])
def test_chain_that_does_not_change_returns_itself(context: object) -> None:
    """A context that is known already costs nothing."""
    chain = CodecChain(COMPRESS, ENCRYPT)

    assert chain is chain.with_context(context)


def test_with_context_leaves_other_codecs_alone() -> None:
    """A codec that has no such method is its own version for every context."""
    codec = Suffix(b"a")
    context = SimpleNamespace(namespace="b")

    assert codec is with_context(codec, context)
    assert b"b" == with_context(Bound(b"a"), context).letter


async def test_bound_chain_works_in_its_order() -> None:
    """The copy for a context encodes and decodes like any other chain."""
    chain = CodecChain(Bound(b"x"), Suffix(b"y")).with_context(SimpleNamespace(namespace="b"))

    [outer] = await chain.encode([Payload(data=b"1")])

    assert b"1by" == outer.data
    assert [Payload(data=b"1")] == await chain.decode([outer])


async def test_error_in_a_codec_is_the_error_of_the_chain() -> None:
    """A chain hides nothing: attributes such as the position survive."""
    chain = CodecChain(COMPRESS, ENCRYPT)
    [outer] = chain.encode_sync([TEXT])
    bad = Payload(metadata=dict(outer.metadata), data=outer.data[:-1])

    with pytest.raises(PayloadError) as caught:
        await chain.decode([outer, bad])

    assert 1 == caught.value.index
    assert "k" == caught.value.key_id

"""`PaddingCodec`: sizes that tell less, and data that is whole afterwards."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec, PaddingCodec
from sealwire.codecs.padding import padme
from sealwire.errors import ConfigurationError, PayloadError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing.strategies import payloads

CODEC = PaddingCodec()
ENCRYPTION = EncryptionCodec(Keyring(StaticKeyProvider(Key.generate("k"))), "default")


def text(size: int) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=b"x" * size)


def padme_by_the_paper(size: int) -> int:
    """Algorithm 1 of the PURBs paper, with logarithms."""
    exponent = math.floor(math.log2(size))
    digits = math.floor(math.log2(exponent)) + 1
    step: int = 1 << exponent - digits
    return math.ceil(size / step) * step


def test_sizes_are_those_of_the_paper() -> None:
    """A size is rounded up to PADMÉ's next one, and one of those is left alone."""
    assert [0, 1] == [padme(0), padme(1)]
    for size in (*range(2, 5000), 2**16 - 1, 2**16, 2**16 + 1, 1_000_003):
        assert padme_by_the_paper(size) == padme(size)
        assert padme(size) == padme(padme(size))
        assert size <= padme(size) <= size * 1.12


@given(payloads(), st.integers(0, 300))
def test_any_payload_comes_back(payload: Payload, min_size: int) -> None:
    """Padding is taken off again, whatever the payload ends with."""
    codec = PaddingCodec(min_size)
    [padded] = codec.encode_sync([payload])
    assert [payload] == codec.decode_sync([padded])
    assert [payload] == CODEC.decode_sync([padded]), "what min_size is matters to the writer only"


@pytest.mark.parametrize("end", [b"", b"\0", b"\x80", b"\x80\0\0", b"\0" * 100, b"\x80" * 100])
def test_data_that_looks_like_padding_is_kept(end: bytes) -> None:
    """Zeros and end marks of the data itself are not mistaken for padding."""
    payload = Payload(data=b"data" + end)
    assert [payload] == CODEC.decode_sync(CODEC.encode_sync([payload]))


def test_many_sizes_become_few() -> None:
    """A thousand sizes of an argument are stored as fifty, and all the small ones as one."""
    sizes = {len(CODEC.encode_sync([text(size)])[0].data) for size in range(1000)}
    small = {len(CODEC.encode_sync([text(size)])[0].data) for size in range(30)}

    assert len(sizes) <= 50
    assert {64} == small
    assert 64 == CODEC.min_size


def test_the_stored_size_shows_the_padded_one_only() -> None:
    """Sealed payloads of two values are equally long, where without padding they are not."""
    values = [Payload(data=b"yes, approve it"), Payload(data=b"no")]
    padded = CodecChain(CompressionCodec(), CODEC, ENCRYPTION)
    plain = CodecChain(CompressionCodec(), ENCRYPTION)

    assert 1 == len({item.ByteSize() for item in padded.encode_sync(values)})
    assert 2 == len({item.ByteSize() for item in plain.encode_sync(values)})
    assert values == padded.decode_sync(padded.encode_sync(values))


def test_padding_comes_between_compression_and_encryption() -> None:
    """Compressed, the padding would vanish, and what is encrypted shows its size already."""
    order = re.escape("CompressionCodec, PaddingCodec, EncryptionCodec")
    for wrong in ((CODEC, CompressionCodec(), ENCRYPTION), (CompressionCodec(), ENCRYPTION, CODEC)):
        with pytest.raises(ConfigurationError, match=order):
            CodecChain(*wrong)


def test_padded_and_encrypted_payloads_are_left_alone() -> None:
    """They are not padded a second time, or in vain."""
    [padded] = CODEC.encode_sync([text(5)])
    [sealed] = ENCRYPTION.encode_sync([text(5)])
    assert [padded, sealed] == CODEC.encode_sync([padded, sealed])


def test_external_payloads_are_copied_outside() -> None:
    """The server's size accounting sees them, and on decode the inner copy counts."""
    inner = text(5)
    inner.external_payloads.add(size_bytes=5000)
    [padded] = CODEC.encode_sync([inner])

    assert [5000] == [item.size_bytes for item in padded.external_payloads]
    padded.external_payloads[0].size_bytes = 1
    assert [inner] == CODEC.decode_sync([padded])


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"no end", b"no end\0\0", b"\xff\xff\x80\0"])
def test_damaged_padding_is_refused(data: bytes) -> None:
    """What has no end mark, or no payload before it, is no padded payload."""
    with pytest.raises(PayloadError, match="binary/padded data is damaged"):
        CODEC.decode_sync([Payload(metadata={"encoding": b"binary/padded"}, data=data)])


def test_a_negative_size_is_refused() -> None:
    """The message names the parameter."""
    with pytest.raises(ConfigurationError, match="min_size"):
        PaddingCodec(-1)


def test_a_codec_cannot_be_changed() -> None:
    """One that is in a chain already stays what it was."""
    with pytest.raises(AttributeError, match="min_size"):
        setattr(CODEC, "min_size", -1)  # noqa: B010 - type checkers know it is frozen

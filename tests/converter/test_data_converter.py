"""Values to stored payloads and back: the composite, then the codec."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec, PayloadCodec
from sealwire.converter import CompositePayloadConverter, DataConverter, NullConverter
from sealwire.errors import ConfigurationError, ConversionError, DecryptError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload, encoding_of
from sealwire.testing.strategies import json_values


@dataclass
class Order:
    customer: str
    amounts: list[int]


class AsyncOnly:
    """A codec that can only be awaited."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(reversed(payloads))

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(reversed(payloads))


def _sealing() -> CodecChain:
    keyring = Keyring(StaticKeyProvider(Key("key-1", bytes(range(32)))))
    return CodecChain(CompressionCodec(), EncryptionCodec(keyring, "default"))


async def _encode(converter: DataConverter, values: Sequence[Any]) -> list[Payload]:
    return await converter.encode(values)


def _encode_sync(converter: DataConverter, values: Sequence[Any]) -> list[Payload]:
    return converter.encode_sync(values)


async def _decode(converter: DataConverter, payloads: Sequence[Payload], *hints: Any) -> list[Any]:
    return await converter.decode(payloads, hints)


def _decode_sync(converter: DataConverter, payloads: Sequence[Payload], *hints: Any) -> list[Any]:
    return converter.decode_sync(payloads, hints)


async def _done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


ENCODERS = [_encode, _encode_sync]
DECODERS = [_decode, _decode_sync]


@pytest.mark.parametrize("codec", [None, _sealing()], ids=["plain", "sealed"])
@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize("decode", DECODERS)
async def test_values_come_back_as_their_types(
    codec: PayloadCodec | None, encode: Callable[..., Any], decode: Callable[..., Any]
) -> None:
    """What one way of calling writes, both ways of calling read."""
    converter = DataConverter(codec=codec)
    values = [Order("hunter2", [1, 2]), None, b"hunter2" * 500, {"a"}]
    payloads = await _done(encode(converter, values))
    assert len(values) == len(payloads)
    stored = b"".join(payload.SerializeToString() for payload in payloads)
    assert (codec is None) == (b"hunter2" in stored)
    assert values == await _done(decode(converter, payloads, Order, None, bytes, set[str]))


@given(st.lists(json_values(), max_size=4))
def test_any_values_survive_the_whole_chain(values: list[Any]) -> None:
    """Converted, compressed, sealed and all of it undone, values are the same."""
    converter = DataConverter(codec=_sealing())
    payloads = converter.encode_sync(values)
    assert {"binary/sealed-v1"} >= {encoding_of(payload) for payload in payloads}
    assert values == converter.decode_sync(payloads)


async def test_a_codec_without_synchronous_methods_is_only_for_await() -> None:
    """The error says what to call instead, and awaiting works."""
    converter = DataConverter(codec=AsyncOnly())
    payloads = await converter.encode([1, 2])
    assert [b"2", b"1"] == [payload.data for payload in payloads]
    assert [1, 2] == await converter.decode(payloads)
    for call in (converter.encode_sync, converter.decode_sync):
        with pytest.raises(ConfigurationError, match="AsyncOnly has no encode_sync"):
            call([])


async def test_a_value_is_converted_before_the_codec_sees_it() -> None:
    """What cannot be converted is refused with its position, and no text of it."""
    converter = DataConverter(codec=_sealing())
    for encode in ENCODERS:
        with pytest.raises(ConversionError) as caught:
            await _done(encode(converter, [1, {"hunter2": object()}]))
        assert 1 == caught.value.index
        assert "hunter2" not in str(caught.value)


async def test_a_changed_payload_is_refused_by_the_codec() -> None:
    """An error of the codec passes through as it is."""
    converter = DataConverter(codec=_sealing())
    payloads = await converter.encode([1])
    payloads[0].data = payloads[0].data[:-1] + bytes([payloads[0].data[-1] ^ 1])
    with pytest.raises(DecryptError):
        await converter.decode(payloads)
    with pytest.raises(DecryptError):
        converter.decode_sync(payloads)


async def test_nothing_becomes_nothing() -> None:
    """An empty list of values is an empty list of payloads."""
    converter = DataConverter(codec=_sealing())
    assert [] == await converter.encode([])
    assert [] == await converter.decode([])
    assert [] == converter.decode_sync(converter.encode_sync([]))


def test_the_converters_are_a_parameter() -> None:
    """Any composite takes the place of the default one."""
    converter = DataConverter(CompositePayloadConverter(NullConverter()))
    assert ["binary/null"] == [encoding_of(item) for item in converter.encode_sync([None])]
    with pytest.raises(ConversionError):
        converter.encode_sync([1])

"""Values encrypted without a payload around them: as if there had been one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from sealwire.codecs import CodecChain, CompressionCodec, DecodePolicy, EncryptionCodec, PolicyMode
from sealwire.converter import (
    CompositePayloadConverter,
    DataConverter,
    JsonConverter,
    default_converters,
)
from sealwire.errors import (
    ConversionError,
    DecryptError,
    KeyLookupError,
    PayloadError,
    SealwireError,
    UnencryptedPayloadError,
    UnknownEncodingError,
)
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import ENCODING, Payload, encoding_of
from sealwire.testing.strategies import json_values

KEYRING = Keyring(
    StaticKeyProvider(
        Key("sealed", bytes(range(32))), Key("interop", bytes(range(32)), suite=KeySuite.INTEROP)
    )
)
CODECS: dict[str, EncryptionCodec | CodecChain] = {
    "sealed": EncryptionCodec(KEYRING, "default"),
    "interop": EncryptionCodec(KEYRING, "default", format="interop"),
    "content ids": EncryptionCodec(KEYRING, "default", content_ids=200),
    "a chain of one": CodecChain(EncryptionCodec(KEYRING, "default")),
}
LONG = b" " * 128 * 1024 + b"1"  # JSON, and long enough to be split
MEBIBYTE = bytes(1024) * 1024
VALUES: list[Any] = [
    *(None, b"", b"x", bytearray(b"abc"), memoryview(b"abc"), MEBIBYTE),
    *("", "text", 1, 2.5, [], {}, {"a": [1, None]}, "long" * 50, "longer" * 5000),
    *(Duration(seconds=3), {"x"}),
]


@dataclass
class Order:
    number: int
    lines: list[str]


def name_of(value: object) -> str:
    return f"{type(value).__name__}-{len(str(value))}"


class Apart(CompositePayloadConverter):
    """Another class, so that the way by payloads is taken."""


EXPERIENCED = CompositePayloadConverter()  # remembers what other tests have shown it


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("value", [*VALUES, Order(1, ["a"])], ids=name_of)
async def test_both_ways_read_what_the_other_wrote(name: str, value: Any) -> None:
    """With or without payloads in between; sizes and contents are the same."""
    direct = DataConverter(codec=CODECS[name])
    apart = DataConverter(Apart(), CODECS[name])
    hints: dict[Any, Any] = {Order: Order, Duration: Duration, set: set}
    hint = hints.get(type(value))
    for _ in range(2):  # a class is known from the second time on
        stored = [
            *(await direct.encode([value]), await apart.encode([value])),
            *(direct.encode_sync([value]), apart.encode_sync([value])),
        ]
        assert 1 == len({payload.ByteSize() for (payload,) in stored})
        expected = apart.converter.to_payload(value)
        assert [[expected]] * 4 == [CODECS[name].decode_sync(payloads) for payloads in stored]
        for payloads in stored:
            for reader in (direct, apart):
                back: Any = bytes(value) if type(value) in (bytearray, memoryview) else value
                assert [back] == await reader.decode(payloads, [hint])
                assert [back] == reader.decode_sync(payloads, [hint])


@pytest.mark.parametrize("name", ["sealed", "interop"])
def test_large_payloads_are_cut_before_their_data(name: str) -> None:
    """Wherever they end within the chunks of the sealed format; smaller ones are not cut."""
    codec = CODECS[name]
    assert isinstance(codec, EncryptionCodec)
    sizes = (100_000, *range(9 * 16384 - 60, 9 * 16384 + 20), 1_000_000)
    payloads = [Payload(metadata={ENCODING: b"binary/plain"}, data=bytes(size)) for size in sizes]
    decoded = codec.decode_parts_sync(codec.encode_sync(payloads))
    for payload, (before, data) in zip(payloads, decoded, strict=True):
        assert payload.SerializeToString() == before + data
        assert data == (payload.data if len(payload.data) > 128 * 1024 else b"")


@given(st.lists(json_values(), max_size=4))
def test_any_values_survive(values: list[Any]) -> None:
    """Of any kind, together, whether their classes are known or not."""
    converter = DataConverter(codec=CODECS["sealed"])
    for _ in range(2):
        assert values == converter.decode_sync(converter.encode_sync(values))


@given(
    metadata=st.dictionaries(
        st.sampled_from(["encoding", "messageType", "x"]),
        st.sampled_from([b"json/plain", b"binary/plain", b"binary/null", b"unknown", b"", b"x"]),
    ),
    data=st.sampled_from([b"", b"1", b"{}", b"nonsense", b"1" * 200, LONG, b" " + LONG]),
    more=st.sampled_from([b"", b"\x12\x011", b"\x1a\x02\x08\x05", b"\x20\x01", b"\xff"]),
    name=st.sampled_from(["sealed", "interop"]),
)
def test_any_payload_inside_is_read_as_by_protobuf(
    metadata: dict[str, bytes], data: bytes, more: bytes, name: str
) -> None:
    """Other metadata, fields twice, fields of external storage, unknown ones, and no payload."""
    codec = CODECS[name]
    assert isinstance(codec, EncryptionCodec)
    message = Payload(metadata=metadata, data=data).SerializeToString() + more
    stored = codec.encode_parts_sync([(message, b"")])
    outcomes: list[Any] = []
    for converter in (EXPERIENCED, Apart()):
        try:
            outcomes.append(DataConverter(converter, codec).decode_sync(stored))
        except SealwireError as err:
            outcomes.append((PayloadError if more == b"\xff" else type(err), err.index))
    if more != b"\xff":
        assert outcomes[0] == outcomes[1]
    else:
        assert outcomes[0] == (PayloadError, 0)
        with pytest.raises(DecryptError):
            codec.decode_sync(stored)


@given(st.lists(st.tuples(st.sampled_from("jbmpx"), st.sampled_from([1, 100, 1000])), max_size=8))
def test_payloads_of_one_size_are_told_apart(drawn: list[tuple[str, int]]) -> None:
    """What begins a payload is remembered for each size, and none is taken for another."""
    longest = len(b"binary/protobuf")
    payloads: list[Payload] = []
    for kind, size in drawn:
        encoding = {"j": b"json/plain", "b": b"binary/plain", "m": b"binary/msgpack"}.get(kind)
        encoding = encoding or (b"json/protobuf" if kind == "p" else b"")
        metadata = {ENCODING: encoding} if encoding else {"x": b"json/plain"}
        data = b"1" * (size + longest - len(encoding))
        payloads.append(Payload(metadata=metadata, data=data))
    for payload in payloads:
        outcomes: list[Any] = []
        for read in (EXPERIENCED.from_payload, _from_parts):
            try:
                outcomes.append(read(payload))
            except SealwireError as err:
                outcomes.append(type(err))
        assert outcomes[0] == outcomes[1]


def _from_parts(payload: Payload) -> Any:
    (value,) = EXPERIENCED.from_parts([(payload.SerializeToString(), b"")])
    return value


def test_a_large_payload_without_its_data_is_none() -> None:
    """Where payloads that are split have begun like that, too."""
    payload = Payload(metadata={ENCODING: b"json/plain"}, data=LONG)
    before = payload.SerializeToString().removesuffix(LONG)
    assert [1, 1] == EXPERIENCED.from_parts([(before, LONG)] * 2)
    with pytest.raises(PayloadError):
        EXPERIENCED.from_parts([(before, b"")])


async def test_an_error_tells_the_position() -> None:
    """On both ways, of values and of payloads."""
    converter = DataConverter(codec=CODECS["sealed"])
    converter.encode_sync([{}])
    with pytest.raises(ConversionError) as caught:
        await converter.encode([{}, {"hunter2": object()}])
    assert 1 == caught.value.index
    assert "hunter2" not in str(caught.value)
    payloads = await converter.encode([{}, {"a": 1}])
    with pytest.raises(ConversionError) as caught:
        await converter.decode(payloads, [dict, int])
    assert 1 == caught.value.index
    odd = CODECS["sealed"].encode_sync([Payload(metadata={ENCODING: b"odd"})])
    with pytest.raises(UnknownEncodingError) as unknown:
        await converter.decode([*payloads, *odd])
    assert 2 == unknown.value.index


async def test_plaintext_is_admitted_or_refused_as_ever() -> None:
    """What the policy lets pass is read, too."""
    payloads = DataConverter().encode_sync([{"a": 1}])
    with pytest.raises(UnencryptedPayloadError):
        await DataConverter(codec=CODECS["sealed"]).decode(payloads)
    migrating = EncryptionCodec(KEYRING, "default", DecodePolicy(PolicyMode.MIGRATE))
    assert [{"a": 1}] == await DataConverter(codec=migrating).decode(payloads)
    assert [{"a": 1}] == DataConverter(codec=migrating).decode_sync(payloads)


class Loud(JsonConverter):
    """Overrides what is stored."""

    def to_payload(self, value: Any) -> Payload | None:
        payload = super().to_payload(value)
        assert payload is not None
        payload.metadata["loud"] = b"yes"
        return payload


class Marking(EncryptionCodec):
    """Overrides what is encrypted."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        for payload in payloads:
            payload.metadata["marked"] = b"yes"
        return await super().encode(payloads)


async def test_a_subclass_is_asked_as_it_expects() -> None:
    """Whoever changes `to_payload` or `encode` is not passed by."""
    codec = CODECS["sealed"]
    others = default_converters()[:-2]
    converter = DataConverter(CompositePayloadConverter(*others, Loud()), codec)
    marking = DataConverter(codec=Marking(KEYRING, "default"))
    for _ in range(2):
        (loud,) = codec.decode_sync(await converter.encode([{"a": 1}]))
        assert b"yes" == loud.metadata["loud"]
        (marked,) = codec.decode_sync(await marking.encode([{"a": 1}]))
        assert b"yes" == marked.metadata["marked"]


async def test_a_chain_compresses_as_ever() -> None:
    """Several codecs get payloads."""
    converter = DataConverter(codec=CodecChain(CompressionCodec(), EncryptionCodec(KEYRING, "d")))
    for _ in range(2):
        payloads = await converter.encode(["a" * 5000])
        assert "binary/sealed-v1" == encoding_of(payloads[0])
        assert payloads[0].ByteSize() < 500
        assert ["a" * 5000] == await converter.decode(payloads)


@pytest.mark.parametrize("known", [True, False])
async def test_keys_are_loaded_when_they_are_needed(*, known: bool) -> None:
    """With the first value that is encrypted, whether its class is known or not."""
    converter = CompositePayloadConverter()
    if known:
        converter.to_payload({})
    for _ in range(2):
        keyring = Keyring(StaticKeyProvider(Key("sealed", bytes(range(32)))))
        sealing = DataConverter(converter, EncryptionCodec(keyring, "default"))
        assert [{"a": 1}] == await sealing.decode(await sealing.encode([{"a": 1}]))


async def test_no_payloads_need_no_key() -> None:
    """Where no key of the format is active, an empty list is still an empty list."""
    keyring = Keyring(StaticKeyProvider(Key("sealed", bytes(range(32)))))
    codec = EncryptionCodec(keyring, "default", format="interop")
    assert [] == await codec.encode_parts([])
    assert [] == codec.encode_parts_sync([])
    with pytest.raises(KeyLookupError):
        codec.encode_parts_sync([(b"", b"x")])

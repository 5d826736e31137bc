"""The published contract of a converter, run over each of ours and over broken ones."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from google.protobuf import struct_pb2, timestamp_pb2

from sealwire.converter import (
    BinaryProtobufConverter,
    BytesConverter,
    JsonConverter,
    JsonProtobufConverter,
    MsgpackConverter,
    NullConverter,
    PayloadConverter,
)
from sealwire.converter.base import new_payload
from sealwire.payload import Payload
from sealwire.testing.converters import PayloadConverterConformance

VALUES: list[tuple[Any, Any]] = [
    ("text", str),
    ({"b": [1, 2.5, None], "a": {"c": True}}, dict[str, Any]),
    ({3: "c", 1: "a"}, dict[int, str]),
    ({"x", "y", "z"}, set[str]),
    ([(1, b"one"), (2, b"two")], list[tuple[int, bytes]]),
]


class TestNullConverter(PayloadConverterConformance):
    """`binary/null`."""

    def converter(self) -> PayloadConverter:
        return NullConverter()

    def values(self) -> Iterable[tuple[Any, Any]]:
        return [(None, None), (None, str)]


class TestBytesConverter(PayloadConverterConformance):
    """`binary/plain`."""

    def converter(self) -> PayloadConverter:
        return BytesConverter()

    def values(self) -> Iterable[tuple[Any, Any]]:
        return [(b"", bytes), (b"\x00\xff", None), (bytearray(b"x"), bytearray)]


class TestJsonConverter(PayloadConverterConformance):
    """`json/plain`."""

    def converter(self) -> PayloadConverter:
        return JsonConverter()

    def values(self) -> Iterable[tuple[Any, Any]]:
        return VALUES


class TestMsgpackConverter(PayloadConverterConformance):
    """`binary/msgpack`."""

    def converter(self) -> PayloadConverter:
        return MsgpackConverter()

    def values(self) -> Iterable[tuple[Any, Any]]:
        return VALUES


class _Messages(PayloadConverterConformance):
    def values(self) -> Iterable[tuple[Any, Any]]:
        struct = struct_pb2.Struct()
        struct.update({"text": "x", "list": [1, None, True], "inner": {"a": 1.5}})
        stamp = timestamp_pb2.Timestamp(seconds=1, nanos=2_000)
        return [(struct, None), (struct, struct_pb2.Struct), (stamp, timestamp_pb2.Timestamp)]


class TestJsonProtobufConverter(_Messages):
    """`json/protobuf`."""

    def converter(self) -> PayloadConverter:
        return JsonProtobufConverter()


class TestBinaryProtobufConverter(_Messages):
    """`binary/protobuf`."""

    def converter(self) -> PayloadConverter:
        return BinaryProtobufConverter()


class _Sound:
    encoding = "test/text"

    def to_payload(self, value: Any) -> Payload | None:
        return new_payload(b"test/text", value.encode()) if isinstance(value, str) else None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return payload.data.decode("utf-8", "surrogateescape")


_count = itertools.count()


class _UnstableEncoding(_Sound):
    def __init__(self) -> None:
        self.encoding = f"test/{next(_count)}"


class _OtherEncoding(_Sound):
    def to_payload(self, value: Any) -> Payload | None:
        return new_payload(b"test/other", value.encode()) if isinstance(value, str) else None


class _OtherEncodingOfOthers(_Sound):
    def to_payload(self, value: Any) -> Payload | None:
        return super().to_payload(value) or new_payload(b"test/other")


class _Declines(_Sound):
    def to_payload(self, value: Any) -> Payload | None:
        return None


class _Lossy(_Sound):
    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return payload.data.decode("utf-8", "replace").upper()


class _NeedsHint(_Sound):
    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        assert type_hint is not None
        return super().from_payload(payload, type_hint)


class _Random(_Sound):
    def to_payload(self, value: Any) -> Payload | None:
        payload = super().to_payload(value)
        if payload is not None:
            payload.metadata["count"] = b"%d" % next(_count)
        return payload


class _OtherData(_Sound):
    def to_data(self, value: Any) -> bytes:
        return f"\0{value}".encode()

    def from_data(self, data: bytes, type_hint: Any = None) -> Any:
        return data[1:].decode()


class _ChangesPayload(_Sound):
    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        payload.metadata.setdefault("seen", b"")
        return super().from_payload(payload, type_hint)


class _RawErrors(_Sound):
    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return payload.data.decode()


def _suite(converter: Callable[[], PayloadConverter]) -> PayloadConverterConformance:
    class Suite(PayloadConverterConformance):
        def converter(self) -> PayloadConverter:
            return converter()

        def values(self) -> Iterable[tuple[Any, Any]]:
            return [("text", str), ("é", str)]

    return Suite()


def _failing(suite: PayloadConverterConformance) -> set[str]:
    failing: set[str] = set()
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite, name)()
            except Exception:  # noqa: BLE001 - a raw error of the converter counts too
                failing.add(name)
    return failing


def test_a_sound_converter_passes_the_suite() -> None:
    """A converter that keeps the contract fails none of the tests."""
    assert set[str]() == _failing(_suite(_Sound))


@pytest.mark.parametrize(
    ("converter", "test"),
    [
        (_UnstableEncoding, "test_the_encoding_is_stable"),
        (_OtherEncoding, "test_its_own_values_become_payloads_of_its_encoding"),
        (_OtherEncodingOfOthers, "test_other_values_are_left_to_other_converters"),
        (_Declines, "test_a_value_comes_back_as_it_was"),
        (_Lossy, "test_a_value_comes_back_as_it_was"),
        (_NeedsHint, "test_a_payload_can_be_read_without_a_hint"),
        (_Random, "test_the_same_value_gives_the_same_bytes"),
        (_OtherData, "test_data_alone_makes_no_difference"),
        (_ChangesPayload, "test_nothing_given_is_changed"),
        (_RawErrors, "test_malformed_data_gives_a_payload_error"),
    ],
)
def test_a_broken_converter_fails_the_suite(
    converter: Callable[[], PayloadConverter], test: str
) -> None:
    """Each test goes red for a converter that breaks what it is about."""
    assert test in _failing(_suite(converter))


def test_the_suite_has_no_default_converter() -> None:
    """Forgetting to override a method is an error, and no empty success."""
    assert 9 == len(_failing(PayloadConverterConformance()))

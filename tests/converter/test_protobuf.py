"""`json/protobuf` and `binary/protobuf`, in both directions with the SDK's own converters."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from temporalio.converter import BinaryProtoPayloadConverter, JSONProtoPayloadConverter

from sealwire.converter import (
    BinaryProtobufConverter,
    CompositePayloadConverter,
    JsonProtobufConverter,
    PayloadConverter,
)
from sealwire.converter.base import new_payload
from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import ENCODING, MESSAGE_TYPE, Payload, build_private_messages
from sealwire.testing.strategies import payloads

JSON = JsonProtobufConverter()
BINARY = BinaryProtobufConverter()
BOTH: list[PayloadConverter] = [JSON, BINARY]
PrivatePayload, _ = build_private_messages()
STRUCT = b"google.protobuf.Struct"


def _struct(**items: Any) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(items)
    return message


MESSAGES: list[Message] = [
    empty_pb2.Empty(),
    _struct(text="é", list=[1.0, None, True], inner={"a": "b"}),
    timestamp_pb2.Timestamp(seconds=1, nanos=2_000),
    duration_pb2.Duration(seconds=-1),
    field_mask_pb2.FieldMask(paths=["a.b", "c_d"]),
    wrappers_pb2.Int64Value(value=2**62),
    wrappers_pb2.BytesValue(value=b"\xff"),
    wrappers_pb2.DoubleValue(value=float("inf")),
    descriptor_pb2.UninterpretedOption.NamePart(name_part="a", is_extension=True),
    Payload(metadata={"encoding": b"json/plain"}, data=b"1"),
]


def _payload(encoding: str, name: bytes, data: bytes) -> Payload:
    payload = new_payload(encoding.encode(), data)
    payload.metadata[MESSAGE_TYPE] = name
    return payload


def _converted(converter: PayloadConverter, message: Message) -> Payload:
    payload = converter.to_payload(message)
    assert payload is not None
    return payload


@pytest.mark.parametrize("message", MESSAGES, ids=lambda item: item.DESCRIPTOR.full_name)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(JSON, JSONProtoPayloadConverter()), (BINARY, BinaryProtoPayloadConverter())],
    ids=["json", "binary"],
)
def test_the_sdk_reads_ours_and_we_read_the_sdks(ours: Any, theirs: Any, message: Message) -> None:
    """A message comes back equal in all four directions, with the same metadata."""
    metadata = {
        ENCODING: ours.encoding.encode(),
        MESSAGE_TYPE: message.DESCRIPTOR.full_name.encode(),
    }
    for writer in (ours, theirs):
        payload = writer.to_payload(message)
        assert metadata == dict(payload.metadata)
        for reader in (ours, theirs):
            assert message == reader.from_payload(payload)
            assert message == reader.from_payload(payload, type(message))


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@given(message=payloads())
def test_any_message_comes_back_the_same(converter: PayloadConverter, message: Payload) -> None:
    """A message with a map, bytes and nested messages survives both encodings."""
    assert message == converter.from_payload(_converted(converter, message))


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_the_order_of_a_map_does_not_show(converter: PayloadConverter) -> None:
    """Maps are written sorted by their keys, for they have no order of their own."""
    names = [f"key-{number}" for number in range(50)]
    forward = struct_pb2.Struct()
    forward.update(dict.fromkeys(names, 1))
    backward = struct_pb2.Struct()
    backward.update(dict.fromkeys(reversed(names), 1))
    assert _converted(converter, forward).data == _converted(converter, backward).data


def test_the_json_is_compact_with_sorted_keys() -> None:
    """The bytes of `json/protobuf` are fixed."""
    assert b'{"a":1.0,"b":null}' == _converted(JSON, _struct(b=None, a=1)).data


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize("value", [None, {}, b"", "text", Message, struct_pb2.Struct], ids=repr)
def test_what_is_no_message_is_left_to_others(converter: PayloadConverter, value: Any) -> None:
    """A class is no message, and neither is a dict."""
    assert converter.to_payload(value) is None


def test_unknown_fields_survive_in_binary() -> None:
    """A program with an older definition of a message passes on what it does not know."""
    newer = struct_pb2.Value(string_value="kept").SerializeToString()
    older = BINARY.from_payload(_payload("binary/protobuf", b"google.protobuf.Empty", newer))
    assert isinstance(older, empty_pb2.Empty)
    assert 1 == len(UnknownFieldSet(older))
    assert newer == _converted(BINARY, older).data


def test_unknown_fields_in_json_are_refused_unless_allowed() -> None:
    """JSON has no place to keep an unknown field, so losing it is the caller's choice."""
    payload = _payload("json/protobuf", b"google.protobuf.Empty", b'{"later":1}')
    with pytest.raises(PayloadError, match=r"the data is not a valid google\.protobuf\.Empty"):
        JSON.from_payload(payload)
    reader = JsonProtobufConverter(ignore_unknown_fields=True)
    assert empty_pb2.Empty() == reader.from_payload(payload)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize("name", [b"acme.v1.Order", b"", b"\xff", b"x" * 1000])
def test_an_unknown_message_type_says_what_to_do(converter: PayloadConverter, name: bytes) -> None:
    """The error names the type, shortened, and both ways to make it known."""
    with pytest.raises(ConversionError) as caught:
        converter.from_payload(_payload(converter.encoding, name, b"{}"))
    text = str(caught.value)
    assert text.startswith(f"the protobuf message {name.decode('utf-8', 'replace')[:200]!r} is not")
    assert "import its generated module (…_pb2), or give the class as the type hint" in text
    assert converter.encoding == caught.value.encoding


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_payload_without_a_message_type_is_refused(converter: PayloadConverter) -> None:
    """There is nothing to guess from, and nothing is added to the metadata."""
    payload = new_payload(converter.encoding.encode(), b"")
    with pytest.raises(ConversionError, match="the protobuf message '' is not known"):
        converter.from_payload(payload)
    assert [ENCODING] == list(payload.metadata)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_hint_of_another_message_is_refused(converter: PayloadConverter) -> None:
    """Bytes of one message are never read as another one, though they might parse."""
    payload = _converted(converter, struct_pb2.Struct())
    with pytest.raises(ConversionError) as caught:
        converter.from_payload(payload, empty_pb2.Empty)
    assert "expected the message google.protobuf.Empty, got 'google.protobuf.Struct'" == str(
        caught.value
    )
    assert converter.encoding == caught.value.encoding


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize("hint", [Message, Any, object, struct_pb2.Struct | None, None], ids=repr)
def test_a_hint_that_names_no_message_is_ignored(converter: PayloadConverter, hint: Any) -> None:
    """The base class and unions leave the choice to the payload."""
    message = _struct(a=1)
    assert message == converter.from_payload(_converted(converter, message), hint)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_message_of_a_private_pool_is_read_with_its_hint(converter: PayloadConverter) -> None:
    """The hint's own class is built, whatever the default pool holds under its name."""
    message = PrivatePayload(data=b"x", metadata={"a": b"b"})
    value = converter.from_payload(_converted(converter, message), PrivatePayload)
    assert message == value
    assert type(value) is PrivatePayload


def _deep() -> struct_pb2.Value:
    message = value = struct_pb2.Value()
    for _ in range(2_000):
        value = value.list_value.values.add()
    value.null_value = struct_pb2.NULL_VALUE
    return message


@pytest.mark.parametrize(
    "message",
    [
        _struct(hunter2=float("nan")),
        timestamp_pb2.Timestamp(seconds=10**15),
        timestamp_pb2.Timestamp(nanos=-5),
        duration_pb2.Duration(seconds=10**15),
        any_pb2.Any(type_url="hunter2/acme.v1.Hunter2", value=b"hunter2"),
        field_mask_pb2.FieldMask(paths=["hunter2__a"]),
        _deep(),
    ],
    ids=lambda item: item.DESCRIPTOR.name,
)
def test_a_message_without_a_json_form_is_refused_without_being_quoted(
    message: Message, everything_said: Callable[[BaseException], str]
) -> None:
    """The error names the message type; neither it nor its context has a value."""
    with pytest.raises(ConversionError, match="has no JSON form") as caught:
        JSON.to_payload(message)
    assert message.DESCRIPTOR.full_name in str(caught.value)
    assert "json/protobuf" == caught.value.encoding
    assert "hunter2" not in everything_said(caught.value)
    assert caught.value.__context__ is None


def test_a_missing_required_field_is_refused() -> None:
    """A proto2 message that no reader could parse is not written."""
    with pytest.raises(ConversionError, match=r"a required field of .*NamePart is not set"):
        BINARY.to_payload(descriptor_pb2.UninterpretedOption.NamePart())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (STRUCT, b"hunter2"),
        (STRUCT, b'["hunter2"]'),
        (STRUCT, b'{"hunter2":'),
        (STRUCT, b"hunter2\xff"),
        (STRUCT, b""),
        (STRUCT, b'{"a":' + b"[" * 100_000),
        (b"google.protobuf.Timestamp", b'"hunter2"'),
        (b"google.protobuf.Int64Value", b'"hunter2"'),
        (b"google.protobuf.Any", b'{"@type":"x/acme.hunter2"}'),
        (b"google.protobuf.Any", b'{"@type":1}'),
        (b"google.protobuf.Empty", b'{"hunter2":1}'),
        (b"google.protobuf.StringValue", b'"hunter2\\ud800"'),
        (b"google.protobuf.Value", b"1" * 5000),
    ],
)
def test_malformed_json_is_named_and_not_quoted(
    name: bytes, data: bytes, everything_said: Callable[[BaseException], str]
) -> None:
    """The error names the message type; neither it nor its context has the data."""
    with pytest.raises(PayloadError, match="the data is not a valid google") as caught:
        JSON.from_payload(_payload("json/protobuf", name, data))
    assert "json/protobuf" == caught.value.encoding
    assert "hunter2" not in everything_said(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x0a", b"\x0a\x07hunter2", b"\x0a\xff\xff\xff\xff\x0f"]
)
def test_malformed_binary_data_is_named_and_not_quoted(
    data: bytes, everything_said: Callable[[BaseException], str]
) -> None:
    """The error names the message type; neither it nor its context has the data."""
    with pytest.raises(PayloadError, match=r"the data is not a valid google\.") as caught:
        BINARY.from_payload(_payload("binary/protobuf", STRUCT, data))
    assert "binary/protobuf" == caught.value.encoding
    assert "hunter2" not in everything_said(caught.value)


def test_unknown_fields_survive_the_default_converters() -> None:
    """JSON has no place for fields that this process does not know: such a message stays binary."""
    newer = duration_pb2.Duration(seconds=1)
    older = empty_pb2.Empty.FromString(newer.SerializeToString())
    outer = any_pb2.Any()  # known to the last field
    composite = CompositePayloadConverter()
    payload = composite.to_payload(older)
    assert b"binary/protobuf" == payload.metadata["encoding"]
    again = composite.from_payload(payload)
    assert newer == duration_pb2.Duration.FromString(again.SerializeToString())
    assert b"json/protobuf" == composite.to_payload(outer).metadata["encoding"]


def test_unknown_fields_inside_a_message_survive_too() -> None:
    """They are found at any depth."""
    inner = descriptor_pb2.FieldDescriptorProto.FromString(b"\xf8\x3f\x01")  # field 1023
    message = descriptor_pb2.DescriptorProto(name="a", field=[inner])
    payload = CompositePayloadConverter().to_payload(message)
    assert b"binary/protobuf" == payload.metadata["encoding"]
    assert message == CompositePayloadConverter().from_payload(payload)

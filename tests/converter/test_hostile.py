"""Data from a stranger: whatever the bytes, only our errors come out, for every converter."""

import collections
import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from google.protobuf import any_pb2, descriptor_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire.converter import (
    CompositePayloadConverter,
    JsonConverter,
    MsgpackConverter,
    default_converters,
)
from sealwire.converter.base import new_payload
from sealwire.errors import ConversionError, PayloadError, SealwireError
from sealwire.payload import MESSAGE_TYPE, Payload
from sealwire.testing.strategies import json_values, payloads

READERS = default_converters()


class Color(enum.Enum):
    RED = "red"


@dataclass
class Node:
    name: str
    when: dt.datetime | None = None
    children: "list[Node] | None" = None


class Pair(NamedTuple):
    first: int
    second: float = 0.0


class Mixed(enum.Enum):
    TEXT = "a"
    NUMBER = 1
    PAIR = (1, 2)


@dataclass
class Tagged:
    name: str
    number: int = field(init=False, default=0)
    inner: "Tagged | Node | None" = None


class Model(pydantic.BaseModel):
    name: str
    children: "list[Model]" = []
    secret: pydantic.SecretStr | None = None


class Branch(pydantic.BaseModel):
    name: str = ""
    kids: "list[Branch | Leaf]" = []


class Leaf(pydantic.BaseModel):
    size: int = 0
    kids: "list[Branch | Leaf]" = []


class Ordered(pydantic.BaseModel):
    kid: Annotated["Ordered | Leaf | None", pydantic.Field(union_mode="left_to_right")] = None


class Mapped(pydantic.BaseModel):
    kid: "dict[str, Mapped] | list[Mapped] | Mapped | None" = None


class Nested(pydantic.RootModel["tuple[Nested, ...] | list[Nested] | int"]):
    pass


class Even(pydantic.BaseModel):
    kind: Literal["even"] = "even"
    kid: Annotated["Even | Odd", pydantic.Field(discriminator="kind")] | None = None


class Odd(pydantic.BaseModel):
    kind: Literal["odd"]
    kid: "Even | None" = None


@pydantic.dataclasses.dataclass
class Checked:
    number: Annotated[int, pydantic.Field(ge=0)]
    data: bytes = b""


HINTS: list[Any] = [
    None,
    int,
    str,
    bytes,
    float,
    bool,
    type(None),
    Node,
    Node | None,
    Color,
    Pair,
    Literal["a", 1],
    list[int],
    set[str],
    frozenset[int],
    tuple[int, ...],
    tuple[int, str],
    collections.deque[int],
    dict[str, Any],
    dict[int, list[Node]],
    dict[uuid.UUID, int],
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    decimal.Decimal,
    int | str | None,
    Node | Pair | None,
    Node | Tagged | dict[str, Any],
    list[Tagged | Node],
    dict[Mixed, Tagged],
    dict[Annotated[int, pydantic.Field(ge=0)], bytes],
    Model,
    list[Model | Node],
    Checked,
    Mixed | int,
    set[int] | list[str] | tuple[int, str],
]
MESSAGES: list[type[Message]] = [
    any_pb2.Any,
    descriptor_pb2.FieldDescriptorProto,
    descriptor_pb2.UninterpretedOption,
    field_mask_pb2.FieldMask,
    struct_pb2.Struct,
    struct_pb2.Value,
    timestamp_pb2.Timestamp,
    Payload,
]


def _refusal(reader: Any, payload: Payload, hint: Any = None) -> SealwireError | None:
    """Read the payload and return the error; one that is not ours passes through."""
    try:
        reader.from_payload(payload, hint)
    except (PayloadError, ConversionError) as err:
        return err
    return None


@pytest.mark.parametrize("reader", READERS, ids=lambda item: item.encoding)
@settings(max_examples=300)
@given(
    data=st.binary(max_size=60),
    hint=st.sampled_from([*HINTS, *MESSAGES]),
    message=st.sampled_from(MESSAGES),
)
def test_any_bytes_give_a_value_or_one_of_our_errors(
    reader: Any, data: bytes, hint: Any, message: type[Message]
) -> None:
    """Nothing else is raised, whatever the data and the hint."""
    payload = new_payload(reader.encoding.encode(), data)
    payload.metadata[MESSAGE_TYPE] = message.DESCRIPTOR.full_name.encode()
    error = _refusal(reader, payload, hint)
    assert error is None or error.__cause__ is None


@pytest.mark.parametrize("reader", [JsonConverter(), MsgpackConverter()], ids=lambda r: r.encoding)
@settings(max_examples=300)
@given(value=json_values(), hint=st.sampled_from(HINTS), cut=st.integers(0, 5))
def test_well_formed_data_of_any_shape_fits_or_is_refused(
    reader: Any, value: Any, hint: Any, cut: int
) -> None:
    """A value of another type, whole or truncated, is refused with one of our errors."""
    payload = reader.to_payload(value)
    assert payload is not None
    payload.data = payload.data[: len(payload.data) - cut]
    error = _refusal(reader, payload, hint)
    assert error is None or error.__context__ is None


@settings(max_examples=150)
@given(
    value=st.recursive(
        json_values(max_leaves=2),
        lambda inner: st.dictionaries(
            st.sampled_from(["@type", "value", "a", "name", "number", "options"]), inner
        ),
        max_leaves=6,
    ),
    message=st.sampled_from(MESSAGES),
)
def test_json_of_any_shape_is_a_message_or_refused(value: Any, message: type[Message]) -> None:
    """`json/protobuf` reads JSON that fits the message, and refuses the rest as malformed."""
    payload = new_payload(b"json/protobuf", json.dumps(value).encode())
    payload.metadata[MESSAGE_TYPE] = message.DESCRIPTOR.full_name.encode()
    error = _refusal(CompositePayloadConverter(), payload)
    assert error is None or isinstance(error, PayloadError)
    assert error is None or error.__context__ is None


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_message_type_is_looked_up_safely(name: bytes) -> None:
    """A message type of any bytes is unknown, and no more than that."""
    payload = new_payload(b"json/protobuf", b"{}")
    payload.metadata[MESSAGE_TYPE] = name
    with pytest.raises(ConversionError, match="is not known in this process"):
        CompositePayloadConverter().from_payload(payload)


@given(payloads())
def test_any_payload_gives_a_value_or_one_of_our_errors(payload: Payload) -> None:
    """The composite takes any payload, and adds no metadata to it."""
    before = dict(payload.metadata)
    _refusal(CompositePayloadConverter(), payload)
    assert before == dict(payload.metadata)


@pytest.mark.parametrize("opcode", [b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9"])
@pytest.mark.parametrize(
    "hint", [None, list[int], tuple[int, ...], set[int], dict[int, int], bytes]
)
def test_a_claimed_size_costs_no_memory(opcode: bytes, hint: Any) -> None:
    """Five bytes that announce four billion elements are refused, not allocated."""
    with pytest.raises((PayloadError, ConversionError)):
        MsgpackConverter().from_payload(
            new_payload(b"binary/msgpack", opcode + b"\xff\xff\xff\xff"), hint
        )


def _written(writer: Any, value: Any) -> Payload:
    payload = writer.to_payload(value)
    assert isinstance(payload, Payload)
    return payload


def _nested(wrap: Callable[[Any], Any], levels: int, innermost: Any) -> Any:
    for _ in range(levels):
        innermost = wrap(innermost)
    return innermost


SELF_CONTAINING: list[tuple[Any, Callable[[Any], Any], Any]] = [
    (Branch, lambda inner: {"kids": [inner]}, {}),
    (list[Branch | Leaf], lambda inner: [{"kids": inner}], []),
    (Ordered, lambda inner: {"kid": inner}, None),
    (Mapped, lambda inner: {"kid": inner}, None),
    (Nested, lambda inner: [inner], 5),
]


@pytest.mark.parametrize("reader", [JsonConverter(), MsgpackConverter()], ids=lambda r: r.encoding)
@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize(("hint", "wrap", "innermost"), SELF_CONTAINING)
def test_a_union_that_contains_itself_is_read_to_a_bounded_depth(
    reader: Any, hint: Any, wrap: Any, innermost: Any, fits: bool
) -> None:
    """It would try each class again at each of 26 levels: that is refused beforehand."""
    payload = _written(reader, _nested(wrap, 26, innermost if fits else "text"))
    refusal = _refusal(reader, payload, hint)
    assert "nested in itself too deeply for pydantic" in str(refusal)
    assert "discriminator" in str(refusal)
    shallow = _nested(wrap, 6, innermost)
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(hint)
    expected = adapter.dump_python(adapter.validate_python(shallow), mode="json")
    decoded = reader.from_payload(_written(reader, shallow), hint)
    assert expected == adapter.dump_python(decoded, mode="json")


def test_a_wide_document_of_such_a_union_is_read() -> None:
    """Only depth multiplies: a thousand siblings, with brackets in their texts, are no matter."""
    reader = JsonConverter()
    value = {"kids": [{"name": '[{"[\\', "kids": [{"size": 1}]}] * 1000}
    decoded = reader.from_payload(_written(reader, value), Branch)
    assert Branch.model_validate(value) == decoded


def test_a_discriminator_takes_the_bound_away() -> None:
    """What the error advises works: pydantic then knows the class at once."""
    reader = JsonConverter()
    value: Any = None
    for _ in range(60):
        value = {"kind": "even", "kid": value}
    assert Even.model_validate(value) == reader.from_payload(_written(reader, value), Even)


def test_extensions_of_others_are_no_code() -> None:
    """An unknown extension type is data, and nothing is loaded for it."""
    value = MsgpackConverter().from_payload(
        new_payload(b"binary/msgpack", msgspec.msgpack.encode(msgspec.msgpack.Ext(42, b"x")))
    )
    assert isinstance(value, msgspec.msgpack.Ext)

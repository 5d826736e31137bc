"""Decoding into types: errors that state types and places and never a value, and the cache."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import gc
import re
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest

from sealwire.converter import JsonConverter, MsgpackConverter, PayloadConverter
from sealwire.converter.base import new_payload
from sealwire.converter.custom import CustomTypes
from sealwire.converter.typed import Format, TypedReader
from sealwire.errors import ConversionError, PayloadError, SealwireError

SECRET = "hunter2"
BOTH = [JsonConverter(), MsgpackConverter()]


class Color(enum.Enum):
    RED = "red"


class Guarded(enum.Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> "Guarded":
        raise ValueError(f"no {value}")


class RealEnum(enum.Enum):
    HALF = 0.5


@dataclass
class Item:
    name: str
    count: int = 0


@dataclass
class Other:
    name: str


@dataclass
class Basket:
    items: dict[str, list[Item]]


@dataclass
class Strict:
    """Refuses each value with another error, the value in every text."""

    kind: str
    value: str

    def __post_init__(self) -> None:
        raise {
            "value": ValueError(f"bad {self.value}"),
            "type": TypeError(f"bad {self.value}"),
            "key": KeyError(self.value),
            "like msgspec": ValueError(f"Expected `int`, got `{self.value}`"),
            "with a place": ValueError(f"Invalid UUID - at `$.{self.value}`"),
            "of msgspec": msgspec.ValidationError(f"Expected `{self.value}`"),
            "malformed": msgspec.DecodeError(self.value),
            "unicode": UnicodeDecodeError("utf-8", self.value.encode(), 0, 1, self.value),
            "recursion": RecursionError(self.value),
            "chained": _chained(self.value),
        }[self.kind]


def _chained(value: str) -> Exception:
    error = ValueError(f"bad {value}")
    error.__cause__ = KeyError(value)
    return error


class Pair(NamedTuple):
    first: int
    second: int


class Movie(TypedDict):
    year: int


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""


class Cat(msgspec.Struct, tag="cat"):
    name: str


class Dog(msgspec.Struct, tag="dog"):
    name: str


@dataclass
class Queue:
    waiting: collections.deque[int]


class Custom:
    def __init__(self, name: str) -> None:
        self.name = name


def _decode(converter: PayloadConverter, value: Any, type_hint: Any) -> Any:
    payload = converter.to_payload(value)
    assert payload is not None
    return converter.from_payload(payload, type_hint)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize(
    ("value", "type_hint", "problem"),
    [
        (SECRET, int, "into int: Expected int, got str"),
        ([1, SECRET], list[int], "Expected int, got str at [1]"),
        ({"a": {SECRET: SECRET}}, dict[str, dict[str, int]], "Expected int, got str at [...][...]"),
        ({SECRET: 1}, dict[int, int], "Expected int, got str"),
        ({SECRET: 1}, dict[Color, int], "the value was refused"),
        ({SECRET: 1}, dict[uuid.UUID, int], "Invalid UUID"),
        (
            {"items": {SECRET: [{"name": "a", "count": SECRET}]}},
            Basket,
            "into Basket: Expected int, got str at items[...][0].count",
        ),
        ({SECRET: 1}, Item, "Object missing required field name"),
        ({"name": "a", "count": SECRET}, Item | None, "Expected int, got str at count"),
        ({"year": SECRET}, Movie, "Expected int, got str at year"),
        ([1, 2, SECRET], Pair, "Expected array of length 2"),
        ([1, SECRET], Pair, "Expected int, got str at [1]"),
        (SECRET, Color, "into Color: the value was refused"),
        ([SECRET], list[Color], "the value was refused at [0]"),
        (SECRET, Guarded, "the value was refused"),
        (SECRET, Literal["a"], "the value was refused"),
        (SECRET, uuid.UUID, "Invalid UUID"),
        (SECRET, dt.datetime, "Invalid RFC3339 encoded datetime"),
        (SECRET, dt.date, "Invalid RFC3339 encoded date"),
        (SECRET, dt.time, "Invalid RFC3339 encoded time"),
        (SECRET, dt.timedelta, "Invalid ISO8601 duration"),
        ("P99999999999D", dt.timedelta, "Duration is out of range"),
        (SECRET, decimal.Decimal, "Invalid decimal string"),
        (SECRET, int | float | None, "Expected int | float | null, got str"),
        ({SECRET: 1}, Closed, "the value was refused"),
        ({"type": SECRET}, Cat | Dog, "the value was refused at type"),
        (SECRET, Annotated[str, msgspec.Meta(max_length=3)], "Expected str of length <= 3"),
        ({"name": SECRET}, Custom, "Custom is not a type that can be read; give it a CustomType"),
        ([SECRET], collections.OrderedDict[str, int], "Expected object, got array"),
        ({"waiting": [SECRET]}, Queue, "into Queue: Expected int, got str at waiting[0]"),
        ({"waiting": SECRET}, Queue, "into Queue: Expected array, got str at waiting"),
        ({"kind": "value", "value": SECRET}, Strict, "into Strict: the value was refused"),
        ({"kind": "type", "value": SECRET}, Strict, "into Strict: the value was refused"),
        ([{"kind": "value", "value": SECRET}], list[Strict], "the value was refused at [0]"),
        ({"kind": "key", "value": SECRET}, Strict, "its constructor raised KeyError"),
        ({"kind": "like msgspec", "value": SECRET}, Strict, "the value was refused"),
        ({"kind": "with a place", "value": SECRET}, Strict, "the value was refused"),
        ([{"kind": "with a place", "value": SECRET}], list[Strict], "the value was refused at [0]"),
        ({"kind": "of msgspec", "value": SECRET}, Strict, "the value was refused"),
        ([{"kind": "of msgspec", "value": SECRET}], list[Strict], "the value was refused"),
        ({"kind": "malformed", "value": SECRET}, Strict, "the data is not valid "),
        ({"kind": "unicode", "value": SECRET}, Strict, ""),
        ({"kind": "recursion", "value": SECRET}, Strict, "data is nested too deeply"),
        ({"kind": "chained", "value": SECRET}, Strict, "the value was refused"),
    ],
    ids=lambda item: item if isinstance(item, str) else repr(item)[:40],
)
def test_an_error_states_types_and_places_and_never_a_value(
    converter: PayloadConverter,
    value: Any,
    type_hint: Any,
    problem: str,
    everything_said: Callable[[BaseException], str],
) -> None:
    """Neither the text of an error nor its cause nor its context quotes what was decoded."""
    with pytest.raises((ConversionError, PayloadError)) as caught:
        _decode(converter, value, type_hint)
    assert re.search(f"{re.escape(problem)}([,.]|json|binary|$)", str(caught.value))
    assert converter.encoding == caught.value.encoding
    assert SECRET not in everything_said(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("converter", "data", "type_hint", "problem"),
    [
        (JsonConverter(), b"1e999", None, "cannot decode json/plain: Number out of range"),
        (
            JsonConverter(),
            b"1" * 5000,
            None,
            "cannot decode json/plain: Integer value out of range",
        ),
        (JsonConverter(), b"1" * 5000, int, "into int: Integer value out of range"),
        (JsonConverter(), b'"?"', bytes, "into bytes: Invalid base64 encoded string"),
        (JsonConverter(), b"hunter2", None, "the data is not valid json/plain"),
        (JsonConverter(), b'"hunter2\xff"', None, "the data is not valid json/plain"),
        (JsonConverter(), b"[NaN, 1e999]", None, "the data is not valid json/plain"),
        (JsonConverter(), b"[NaN, hunter2]", None, "the data is not valid json/plain"),
        (JsonConverter(), b"\xff\xfe1\x00", None, "the data is not valid json/plain"),
        (JsonConverter(), b"[NaN," + b"[" * 100_000, None, "data is nested too deeply"),
        (JsonConverter(), b"", None, "the data is not valid json/plain"),
        (JsonConverter(), b"1 2", None, "the data is not valid json/plain"),
        (JsonConverter(), b"[" * 100_000, None, "the json/plain data is nested too deeply"),
        (MsgpackConverter(), b"\xc1", None, "the data is not valid binary/msgpack"),
        (MsgpackConverter(), b"\xa1\xff", None, "the data is not valid binary/msgpack"),
        (MsgpackConverter(), b"\x01\x01", None, "the data is not valid binary/msgpack"),
        (MsgpackConverter(), b"\x81\x80\x01", None, "the data is not valid binary/msgpack"),
        (MsgpackConverter(), b"\xdd\xff\xff\xff\xff", None, "is not valid binary/msgpack"),
        (MsgpackConverter(), b"\xdf\xff\xff\xff\xff", None, "is not valid binary/msgpack"),
        (MsgpackConverter(), b"\x91" * 100_000, None, "nested too deeply"),
        (
            MsgpackConverter(),
            b"\xd7\xff" + b"\xff" * 8,
            None,
            "cannot decode binary/msgpack: Invalid MessagePack timestamp: nanoseconds out of range",
        ),
    ],
)
def test_malformed_data_is_named_and_not_quoted(
    converter: PayloadConverter,
    data: bytes,
    type_hint: Any,
    problem: str,
    everything_said: Callable[[BaseException], str],
) -> None:
    """What is wrong with the data is said in words that fit any data."""
    with pytest.raises(SealwireError) as caught:
        converter.from_payload(new_payload(converter.encoding.encode(), data), type_hint)
    assert problem in str(caught.value)
    assert converter.encoding == caught.value.encoding
    assert SECRET not in everything_said(caught.value)
    assert caught.value.__context__ is None


Broken = dataclasses.make_dataclass("Broken", [("value", "not a type(")])
Missing = dataclasses.make_dataclass("Missing", [("value", "NoSuchName")])
Attribute = dataclasses.make_dataclass("Attribute", [("value", "int.no_such_name")])


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize(
    ("type_hint", "problem"),
    [
        (Broken, "into Broken: Forward reference must be an expression"),
        (Missing, "into Missing: name 'NoSuchName' is not defined"),
        (Attribute, "no attribute 'no_such_name'"),
        ("Item", "not supported"),
        (5, "not supported"),
        ([int], "not supported"),
        (Annotated[int, msgspec.Meta(min_length=1)], "cannot decode"),
    ],
    ids=str,
)
def test_a_hint_that_cannot_be_decoded_into_is_explained(
    converter: PayloadConverter, type_hint: Any, problem: str
) -> None:
    """A type without a decoder is a `ConversionError` that says why."""
    with pytest.raises(ConversionError, match=problem) as caught:
        _decode(converter, 1, type_hint)
    assert converter.encoding == caught.value.encoding
    assert caught.value.__context__ is None


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_hint_need_not_be_hashable(converter: PayloadConverter) -> None:
    """An annotation may carry anything, such as a list."""
    assert 1 == _decode(converter, 1, Annotated[int, []])
    with pytest.raises(ConversionError, match="Expected int, got str"):
        _decode(converter, "a", Annotated[int, []])


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_hints_that_are_alike_are_told_apart(converter: PayloadConverter) -> None:
    """1 and True are equal, and still other literals."""
    assert 1 == _decode(converter, 1, Literal[1])
    assert _decode(converter, True, bool) is True
    with pytest.raises(ConversionError):
        _decode(converter, True, Literal[1])


class _Counting:
    """Builds real decoders and keeps the types that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, type_hint: Any, hook: Any) -> msgspec.json.Decoder[Any]:
        self.asked.append(type_hint)
        return msgspec.json.Decoder(type_hint, dec_hook=hook)

    def reader(self) -> TypedReader:
        return TypedReader(Format("json/plain", self, msgspec.json.encode), CustomTypes())


def test_what_a_type_needs_is_found_out_once() -> None:
    """The second payload of a type costs a look-up."""
    build = _Counting()
    reader = build.reader()
    for _ in range(3):
        assert [1] == reader.read(b"[1]", list[int])
        assert [1] == reader.read(b"[1]", Any)
        assert [1] == reader.read(b"[1]")
    # Once to find out whether msgspec knows the type, and once to decode with.
    assert [Any, list[int], list[int]] == build.asked


def test_the_cache_is_bounded_and_drops_the_oldest() -> None:
    """Types that are new in every workflow run do not pile up."""
    build = _Counting()
    reader = build.reader()
    hints: list[Any] = [Annotated[int, number] for number in range(300)]
    for hint in hints:
        reader.read(b"1", hint)
    build.asked.clear()
    for hint in hints[-256:]:
        reader.read(b"1", hint)
    assert [] == build.asked
    reader.read(b"1", hints[0])
    assert [hints[0]] == build.asked


def test_nothing_of_a_type_is_kept_beyond_the_limit() -> None:
    """Thousands of classes, each used once, are freed, all but as many as the cache holds."""
    converter = JsonConverter()
    alive: list[weakref.ref[type]] = []
    for number in range(1500):
        cls = dataclasses.make_dataclass(f"Model{number}", [("value", int)])
        assert 1 == converter.from_payload(new_payload(b"json/plain", b'{"value":1}'), cls).value
        alive.append(weakref.ref(cls))
        del cls
    gc.collect()
    assert sum(item() is not None for item in alive) <= 1100


def test_two_converters_share_nothing() -> None:
    """What was found out about types lives and dies with the converter."""
    assert JsonConverter() == JsonConverter()
    assert JsonConverter().from_data != JsonConverter().from_data

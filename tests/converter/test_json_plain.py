"""`json/plain`: its bytes, and what it refuses to write."""

import collections
import datetime as dt
import enum
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from sealwire.converter import JsonConverter
from sealwire.errors import ConfigurationError, ConversionError
from sealwire.testing.strategies import json_values

JSON = JsonConverter()
NAN = float("nan")
INFINITY = float("inf")


@dataclass
class Reading:
    value: Any
    note: str = ""


@dataclass(slots=True)
class SlottedReading:
    value: Any
    late: int = field(init=False)


class Pair(NamedTuple):
    first: Any
    second: Any = None


class Model(Struct):
    value: Any


class ArrayModel(Struct, array_like=True, tag=True):
    value: Any


@attrs.define
class AttrsLike:
    value: Any


class Limit(enum.Enum):
    UNKNOWN = NAN
    SOME = (1, {"inner": [INFINITY]})
    OBJECT = Reading(NAN)
    EMPTY = None


class RealLimit(float, enum.Enum):
    UNKNOWN = NAN


class Real(float):
    pass


class Text(str):
    __slots__ = ()


class Lazy(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __init__(self, **items: Any) -> None:
        self._items = items

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class Faulty(Lazy):
    def __getitem__(self, key: str) -> Any:
        raise KeyError("hunter2")


class FaultyZone(dt.tzinfo):
    def utcoffset(self, _: dt.datetime | None, /) -> dt.timedelta | None:
        raise ValueError("hunter2")

    def dst(self, _: dt.datetime | None, /) -> dt.timedelta | None:
        return None

    def tzname(self, _: dt.datetime | None, /) -> str | None:
        return None


@dataclass(frozen=True)
class Unordered:
    value: int

    def __lt__(self, other: object) -> bool:
        raise ValueError("hunter2")


def _json(value: Any) -> bytes:
    payload = JSON.to_payload(value)
    assert payload is not None
    return payload.data


WRAPPINGS: list[Callable[[Any], Any]] = [
    lambda leaf: leaf,
    lambda leaf: [leaf],
    lambda leaf: (1, (leaf,)),
    lambda leaf: {"key": leaf},
    lambda leaf: {1: leaf},
    lambda leaf: {1: {"key": [leaf]}},
    lambda leaf: collections.deque([leaf]),
    lambda leaf: collections.OrderedDict[str, Any](key=leaf),
    lambda leaf: Lazy(key=leaf),
    lambda leaf: Lazy(key={2: leaf}),
    lambda leaf: Reading(leaf),
    lambda leaf: {1: Reading(leaf)},
    lambda leaf: SlottedReading(leaf),
    lambda leaf: Pair(1, leaf),
    lambda leaf: Model(leaf),
    lambda leaf: {1: Model(leaf)},
    lambda leaf: ArrayModel(leaf),
    lambda leaf: AttrsLike(leaf),
    lambda leaf: {1: AttrsLike(leaf)},
    lambda leaf: [None, Reading(Model({"key": Pair(AttrsLike([leaf]))}))],
]


@pytest.mark.parametrize("wrap", WRAPPINGS, ids=range(len(WRAPPINGS)))
@pytest.mark.parametrize(
    "leaf",
    [
        NAN,
        INFINITY,
        -INFINITY,
        Real(NAN),
        RealLimit.UNKNOWN,
        Limit.UNKNOWN,
        Limit.SOME,
        Limit.OBJECT,
        {1.0, NAN},
        frozenset({INFINITY}),
        {1: NAN},
    ],
    ids=repr,
)
def test_a_float_that_json_lacks_is_refused(leaf: Any, wrap: Callable[[Any], Any]) -> None:
    """NaN and infinities never become null, however deep they are hidden."""
    with pytest.raises(ConversionError, match="NaN or infinite"):
        JSON.to_payload(wrap(leaf))


@pytest.mark.parametrize("wrap", WRAPPINGS, ids=range(len(WRAPPINGS)))
@pytest.mark.parametrize("leaf", [None, "null", Text("null"), 1.5, Limit.EMPTY, {"null": None}])
def test_null_and_finite_floats_are_not_refused(leaf: Any, wrap: Callable[[Any], Any]) -> None:
    """A value with a null in it is written, wherever the null comes from."""
    assert _json(wrap(leaf))


@given(value=json_values(), leaf=st.sampled_from([NAN, INFINITY, -INFINITY]))
def test_any_value_with_a_nan_in_it_is_refused(value: Any, leaf: float) -> None:
    """What else a value contains does not matter."""
    with pytest.raises(ConversionError, match="NaN or infinite"):
        JSON.to_payload({"value": value, "leaf": [leaf]})


@given(value=json_values())
def test_the_output_is_strict_json_with_sorted_keys(value: Any) -> None:
    """The standard library reads the same value from it, and object keys are in order."""

    def no_constant(name: str) -> Any:
        raise AssertionError(name)

    def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name.encode() for name, _ in pairs]
        assert sorted(names) == names
        return dict(pairs)

    parsed = json.loads(_json(value), parse_constant=no_constant, object_pairs_hook=in_order)
    assert value == parsed
    assert isinstance(parsed, value.__class__)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (2**63, b"9223372036854775808"),
        (2**64, b"18446744073709551616"),
        (-(2**200), str(-(2**200)).encode()),
        (10**4299, str(10**4299).encode()),
        (-0.0, b"-0.0"),
        (b"\xff", b'"/w=="'),
        ({"b": 1, "a": {"d": 1, "c": 2}}, b'{"a":{"c":2,"d":1},"b":1}'),
        ({3, 1, 2}, b"[1,2,3]"),
        ({2, "a", None}, b'["a",2,null]'),
        ({Text("b"), "a", 2**80}, b'["a","b",1208925819614629174706176]'),
        ({1: {"x", "y"}}, b'{"1":["x","y"]}'),
        ({1: {frozenset("ab"), frozenset("cd")}}, b'{"1":[["a","b"],["c","d"]]}'),
        ("\u2028é😀\x00", '"\u2028é😀\\u0000"'.encode()),
    ],
    ids=lambda item: repr(item)[:40],
)
def test_the_bytes_of_a_value_are_fixed(value: Any, data: bytes) -> None:
    """The bytes are the same in every process."""
    assert data == _json(value)


class Named(enum.Enum):
    QUOTED = 'say "hi"'
    NUMBER = 7


class Flavor(str, enum.Enum):  # noqa: UP042 - the older idiom is the case
    SWEET = "sweet"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (-7, "-7"),
        (2**70, "1180591620717411303424"),
        (1.5, "1.5"),
        (-0.0, "-0.0"),
        (b"\xff", "/w=="),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.timedelta(days=1), "P1D"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Named.QUOTED, 'say "hi"'),
        (Named.NUMBER, "7"),
        (Flavor.SWEET, "sweet"),
        (Text('"'), '"'),
    ],
    ids=repr,
)
def test_a_key_becomes_text(key: Any, text: str) -> None:
    """Keys are written as `json.dumps` writes them, and more kinds of them."""
    assert {text: 1} == json.loads(_json({key: 1}))


@given(st.dictionaries(st.none() | st.booleans() | st.integers() | st.text(), st.none()))
def test_no_entry_is_lost_to_the_text_of_its_key(value: dict[Any, None]) -> None:
    """As many keys are written as there were, or the value is refused."""
    try:
        data = _json(value)
    except ConversionError:
        assert len({json.loads(json.dumps(key)) for key in value}) == len(value)
    else:
        assert len(value) == len(json.loads(data))


@pytest.mark.parametrize(
    "value",
    [
        {1: "a", "1": "b"},
        {None: "a", "null": "b"},
        {True: "a", "true": "b"},
        {"outer": [{1: "a", "1": "b"}]},
        Reading({1: "a", "1": "b"}),
        {uuid.UUID(int=0): "a", "00000000-0000-0000-0000-000000000000": "b"},
    ],
    ids=repr,
)
def test_keys_that_become_the_same_are_refused(value: Any) -> None:
    """No entry overwrites another one in the output."""
    with pytest.raises(ConversionError, match="two keys become the same"):
        JSON.to_payload(value)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (NAN, "NaN or infinite"),
        (INFINITY, "NaN or infinite"),
        (RealLimit.UNKNOWN, "NaN or infinite"),
        (Limit.UNKNOWN, "NaN or infinite"),
        ((1, 2), "not a single value"),
        (frozenset({1}), "not a single value"),
        (Unordered(1), "not a single value"),
        (object(), "type object"),
    ],
    ids=lambda item: repr(item).partition(" at 0x")[0],
)
def test_a_key_that_has_no_text_is_refused(key: Any, problem: str) -> None:
    """The error says what is wrong with the key."""
    with pytest.raises(ConversionError, match=problem):
        JSON.to_payload({key: 1, 2: 2})


def _nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = None
    for _ in range(depth):
        value = wrap(value)
    return value


def _endless_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _endless_dict() -> Any:
    value: dict[Any, Any] = {}
    value[1] = value
    return value


def _endless_object() -> Any:
    value = Reading(None)
    value.value = {"self": value}
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "type object"),
        (1j, "type complex"),
        (Reading, "type type"),
        (iter([1]), "the iterator list_iterator; turn it into a list"),
        ((n for n in [1]), "the iterator generator"),
        (ValueError("hunter2"), "type ValueError"),
        ({"key": [map(int, "1")]}, "the iterator map"),
        ({1: {object()}}, "type object"),
        (_endless_list(), "contains itself"),
        (_endless_dict(), "contains itself"),
        (_endless_object(), "contains itself"),
        (_nested(100_000, lambda inner: [inner]), "nested too deeply"),
        (_nested(100_000, lambda inner: {1: inner}), "nested too deeply"),
        (10**5000, "raised ValueError"),
        (Faulty(key=1), "raised KeyError"),
        (dt.datetime(2024, 1, 1, tzinfo=FaultyZone()), "raised ValueError"),
        (Model({1: 1, "a": {2: 2}, None: 3}), "raised TypeError"),
        (memoryview(b"hunter2")[::2], "raised BufferError"),
    ],
    ids=lambda item: type(item).__name__ if not isinstance(item, str) else item,
)
def test_a_value_that_json_lacks_is_refused_without_being_quoted(
    value: Any, problem: str, everything_said: Callable[[BaseException], str]
) -> None:
    """The error names the type or the kind of fault; neither it nor its context has the value."""
    with pytest.raises(ConversionError, match=problem) as caught:
        JSON.to_payload(value)
    assert "json/plain" == caught.value.encoding
    assert "hunter2" not in everything_said(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("depth", [50, 400, 700])
def test_nesting_is_limited_by_the_format_alone(depth: int) -> None:
    """What can be written can also be looked through for NaN, and read back."""
    value = _nested(depth, lambda inner: [inner])
    payload = JSON.to_payload(value)
    assert payload is not None
    assert value == JSON.from_payload(payload)


def test_a_value_is_never_declined() -> None:
    """The converter is the last of a composite: what it cannot write is an error there."""
    assert b"null" == _json(None)
    assert b'"eA=="' == _json(b"x")


@dataclass
class Declared:
    b: int
    a: dict[str, int]


@pytest.mark.parametrize(
    ("key_order", "data"),
    [
        ("sorted", b'{"a":{"x":1,"y":2},"b":1}'),
        ("declared", b'{"b":1,"a":{"x":1,"y":2}}'),
        ("kept", b'{"b":1,"a":{"y":2,"x":1}}'),
    ],
)
def test_the_order_of_keys_can_be_chosen(key_order: Any, data: bytes) -> None:
    """Everything is sorted, or mappings only, or nothing but sets."""
    converter = JsonConverter(key_order=key_order)
    payload = converter.to_payload(Declared(1, {"y": 2, "x": 1}))
    assert payload is not None
    assert data == payload.data
    for value in ({"z", "a"}, [{"z", "a"}], Reading({"z", "a"})):
        same = converter.to_payload(value)
        assert same is not None
        assert b'["a","z"]' in same.data


def test_an_unknown_order_is_refused() -> None:
    """The error names what there is."""
    with pytest.raises(ConfigurationError, match="sorted, declared, kept"):
        JsonConverter(key_order=cast("Any", "random"))

"""Which Python types come back from `json/plain` and `binary/msgpack`, with and without a hint."""

import datetime as dt
import decimal
import enum
import uuid
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    TypedDict,
    TypeVar,
)

import pytest
from hypothesis import given
from msgspec import Meta, Struct

from sealwire.converter import JsonConverter, MsgpackConverter, PayloadConverter
from sealwire.testing.strategies import json_values

T = TypeVar("T")
BOTH = [JsonConverter(), MsgpackConverter()]


@dataclass
class Item:
    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list[str])
    _note: str | None = None


@dataclass
class Order:
    item: Item
    previous: "Order | None" = None


@dataclass(slots=True)
class Slotted:
    value: int


@dataclass(frozen=True)
class Frozen:
    value: int


@dataclass(frozen=True, slots=True, order=True)
class Compact:
    value: int


@dataclass
class Inherited(Item):
    price: decimal.Decimal = decimal.Decimal(0)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Computed:
    width: int
    area: int = field(init=False)

    def __post_init__(self) -> None:
        self.area = self.width**2


@dataclass
class Late:
    width: int
    area: int = field(init=False)


@dataclass(kw_only=True)
class Stamped:
    at: dt.datetime
    id: uuid.UUID
    raw: bytes


@dataclass
class Queued:
    waiting: deque[Item]


class Color(enum.Enum):
    RED = "red"
    QUOTED = 'say "hi"'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class OldMode(str, enum.Enum):  # noqa: UP042 - the older idiom is the case
    FAST = "fast"


class Movie(TypedDict):
    title: str
    year: int


class Partial(TypedDict, total=False):
    title: str


class Point(NamedTuple):
    x: int
    y: int = 0


class Model(Struct, frozen=True):
    value: float


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


UserId = NewType("UserId", str)

WITH_HINT: list[tuple[Any, Any]] = [
    (None, type(None)),
    (True, bool),
    (-(2**63), int),
    (2**63 - 1, int),
    (2**63, int),
    (2**64 - 1, int),
    (1.5, float),
    (5e-324, float),
    (1.7976931348623157e308, float),
    ("é\u2028\x00😀", str),
    (b"\x00\xff", bytes),
    (bytearray(b"x"), bytearray),
    ([1, 2], list[int]),
    ([1, "a", None, [True]], list),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[int, ...]),
    ({1, 2}, set[int]),
    (frozenset({"a", "b"}), frozenset[str]),
    (deque([1, 2]), deque[int]),
    (deque([1, "a"]), deque),
    ({"a": 1}, dict[str, int]),
    ({1: "a", -2: "b"}, dict[int, str]),
    ({1.5: "a"}, dict[float, str]),
    ({dt.date(2024, 2, 29): 1}, dict[dt.date, int]),
    ({uuid.UUID(int=7): 1}, dict[uuid.UUID, int]),
    ({Level.HIGH: 1}, dict[Level, int]),
    ({Mode.FAST: 1}, dict[Mode, int]),
    ({Color.QUOTED: 1}, dict[Color, int]),
    ({"a": 1}, Mapping[str, int]),
    ([1], Sequence[int]),
    ({1}, AbstractSet[int]),
    (Item("a"), Item),
    (Item("a", 2, ["x"], "private"), Item),
    (Order(Item("a"), Order(Item("b"))), Order),
    ([Item("a")], list[Item]),
    ({"k": Item("a")}, dict[str, Item]),
    ({3: Item("a", tags=["x"])}, dict[int, Item]),
    (Slotted(1), Slotted),
    (Frozen(1), Frozen),
    ({Frozen(1), Frozen(2)}, set[Frozen]),
    ({Compact(2), Compact(1)}, set[Compact]),
    (Inherited("a", price=decimal.Decimal("1.10")), Inherited),
    (Box(1), Box[int]),
    (Box(Item("a")), Box[Item]),
    (Computed(3), Computed),
    (Stamped(at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), id=uuid.UUID(int=1), raw=b"x"), Stamped),
    (Queued(deque([Item("a")])), Queued),
    (Color.RED, Color),
    (Level.HIGH, Level),
    (Mode.FAST, Mode),
    (OldMode.FAST, OldMode),
    (Movie(title="a", year=1), Movie),
    (Partial(), Partial),
    (Point(1, 2), Point),
    (UserId("a"), UserId),
    (Model(1.5), Model),
    ({1: Model(2.5)}, dict[int, Model]),
    ("a", Literal["a", "b"]),
    (3, Annotated[int, Meta(ge=0)]),
    (None, int | None),
    (3, int | None),
    ("a", int | str),
    (Item("a"), Item | None),
    (dt.datetime(2024, 1, 2, 3, 4, 5, 678), dt.datetime),  # noqa: DTZ001 - naive is the case
    (dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))), dt.datetime),
    (dt.date(2024, 2, 29), dt.date),
    (dt.time(1, 2, 3, 4), dt.time),
    (dt.timedelta(days=-1, microseconds=1), dt.timedelta),
    (uuid.UUID(int=2**127), uuid.UUID),
    (decimal.Decimal("1.10"), decimal.Decimal),
]


ONE = "00000000-0000-0000-0000-000000000001"
ITEM = {"name": "a", "count": 1, "tags": list[str](), "_note": "n"}
WITHOUT_HINT: list[tuple[Any, Any, Any]] = [
    ((1, (2,)), [1, [2]], [1, [2]]),
    ({3}, [3], [3]),
    (deque([1]), [1], [1]),
    (Item("a", _note="n"), ITEM, ITEM),
    (Point(1), [1, 0], [1, 0]),
    (Color.RED, "red", "red"),
    (Level.HIGH, 2, 2),
    ({"b": b"x"}, {"b": "eA=="}, {"b": b"x"}),
    ({"b": [memoryview(b"x")]}, {"b": ["eA=="]}, {"b": [b"x"]}),
    ({1: "a"}, {"1": "a"}, {1: "a"}),
    ({None: 1, True: 2}, {"null": 1, "true": 2}, {None: 1, True: 2}),
    (dt.date(2024, 2, 29), "2024-02-29", "2024-02-29"),
    (
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "2024-01-01T00:00:00Z",
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    ),
    (uuid.UUID(int=1), ONE, ONE),
    (decimal.Decimal("1.10"), "1.10", "1.10"),
]


def _round_trip(converter: PayloadConverter, value: Any, type_hint: Any = None) -> Any:
    payload = converter.to_payload(value)
    assert payload is not None
    return converter.from_payload(payload, type_hint)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize(("value", "type_hint"), WITH_HINT, ids=repr)
def test_a_value_comes_back_as_its_type(
    converter: PayloadConverter, value: Any, type_hint: Any
) -> None:
    """With its type as the hint a value comes back equal and of its own class."""
    actual = _round_trip(converter, value, type_hint)
    assert value == actual
    assert type(value) is type(actual)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_negative_zero_keeps_its_sign(converter: PayloadConverter) -> None:
    """-0.0 equals 0.0 and is still another float."""
    assert "-0.0" == repr(_round_trip(converter, -0.0, float))
    assert "-0.0" == repr(_round_trip(converter, -0.0))


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@given(value=json_values())
def test_builtin_values_need_no_hint(converter: PayloadConverter, value: Any) -> None:
    """Whatever both JSON and Python have comes back the same without a hint."""
    assert repr(_sorted(value)) == repr(_sorted(_round_trip(converter, value)))


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@given(value=json_values())
def test_any_and_object_are_no_hint(converter: PayloadConverter, value: Any) -> None:
    """A parameter that is annotated with `Any` or `object` gets builtin types."""
    payload = converter.to_payload(value)
    assert payload is not None
    expected = repr(converter.from_payload(payload))
    assert expected == repr(converter.from_payload(payload, Any))
    assert expected == repr(converter.from_payload(payload, object))


@pytest.mark.parametrize(
    ("value", "json", "msgpack"),
    WITHOUT_HINT,
    ids=lambda item: repr(item).partition(" at 0x")[0],
)
def test_without_a_hint_other_types_become_builtin_ones(
    value: Any, json: Any, msgpack: Any
) -> None:
    """What the format has no word for comes back as the nearest that it has."""
    assert json == _round_trip(JsonConverter(), value)
    assert msgpack == _round_trip(MsgpackConverter(), value)


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Text("a"), "a"),
        (Number(3), 3),
        (Real(1.5), 1.5),
        ([Text("a"), Number(3)], ["a", 3]),
        ({Text("k"): Real(1.5)}, {"k": 1.5}),
        (OrderedDict[str, int](b=1, a=2), {"a": 2, "b": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (MappingProxyType({"a": Text("x")}), {"a": "x"}),
        ({Text("b"), "a"}, ["a", "b"]),
        ({Color.RED}, ["red"]),
        ({1: Model(1.5)}, {"1": {"value": 1.5}}),
    ],
    ids=repr,
)
def test_subclasses_of_builtin_types_are_written_as_these(
    converter: PayloadConverter, value: Any, plain: Any
) -> None:
    """A subclass of a builtin type is written as what it is a kind of."""
    actual = _round_trip(converter, value)
    if isinstance(actual, dict) and isinstance(converter, MsgpackConverter):
        actual = {str(key): item for key, item in actual.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    assert plain == actual


class Contrary(float):
    def __float__(self) -> float:
        return float("nan")


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_subclass_cannot_change_what_its_value_is(converter: PayloadConverter) -> None:
    """The number that a subclass holds counts, and not what its methods make of it."""
    assert 1.5 == _round_trip(converter, Contrary(1.5))


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_computed_field_comes_back_as_it_was_written(converter: PayloadConverter) -> None:
    """A dataclass field with `init=False` is written, and restored after the constructor ran."""
    value = Computed(3)
    value.area = 10
    assert 10 == _round_trip(converter, value, Computed).area


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_a_field_without_a_value_is_left_out(converter: PayloadConverter) -> None:
    """A dataclass field that was never set is no entry, not even with other keys about."""
    assert {"width": 1} == _round_trip(converter, Late(1))
    assert [{"width": 1}] == list(_round_trip(converter, {3: Late(1)}).values())


@pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
def test_unknown_fields_are_ignored_and_missing_ones_defaulted(
    converter: PayloadConverter,
) -> None:
    """A class may gain a field with a default, or lose one, while old payloads are about."""
    assert Item("a") == _round_trip(converter, {"name": "a", "later": 1}, Item)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list):
        return [_sorted(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value

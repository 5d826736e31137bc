"""`json/plain` beside the SDK's own converter: what one writes, the other reads as the same.

Where they differ, the row says in which column and under which heading of the documents.
"""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import types
import uuid
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from temporalio.converter import JSONPlainPayloadConverter

from sealwire.converter import JsonConverter, PayloadConverter
from sealwire.testing.strategies import json_values

OURS = JsonConverter()
THEIRS = JSONPlainPayloadConverter()
COLUMNS: dict[str, tuple[PayloadConverter, PayloadConverter]] = {
    "ours-ours": (OURS, OURS),
    "ours-theirs": (OURS, THEIRS),
    "theirs-ours": (THEIRS, OURS),
}
PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "what-becomes-what.md"

T = TypeVar("T")


@dataclass
class Item:
    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list[str])
    _note: str | None = None


@dataclass
class Order:
    item: Item
    others: dict[str, Item] = field(default_factory=dict[str, Item])
    previous: "Order | None" = None


@dataclass
class Inherited(Item):
    price: float = 0.0


@dataclass(frozen=True, slots=True)
class Compact:
    value: int


@dataclass
class Computed:
    width: int
    area: int = field(init=False, default=0)


@dataclass
class Constructed:
    width: int

    def __init__(self, width: int) -> None:
        self.width = width


@dataclass(kw_only=True)
class Keyword:
    value: int
    at: dt.datetime


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Cat:
    name: str


@dataclass
class Dog:
    name: str
    age: int = 0


@dataclass
class Photo:
    raw: bytes


@dataclass
class Pet:
    animal: Cat | Dog


class Level(enum.IntEnum):
    HIGH = 2


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class OldMode(str, enum.Enum):  # noqa: UP042 - the older idiom is the case
    FAST = "fast"


class Half(enum.Enum):
    HALF = 0.5


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Point(NamedTuple):
    x: int
    y: int = 0


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Names(list[str]):
    pass


@attrs.define
class Attrs:
    name: str
    _secret: int = 0


class Struct(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    name: str
    when: dt.datetime | None = None


UserId = NewType("UserId", str)

NO_WRITER: Final = "types that only sealwire writes"
NO_READER: Final = "types that only sealwire reads"
OTHER_CLASS: Final = "classes that the default converter loses"
UNION: Final = "unions of classes"
BYTES: Final = "bytes inside a value"
NOT_FINITE: Final = "NaN and infinities"
MAPPING: Final = "mappings that are no dict"
WHOLE: Final = "numbers for another kind of number"


@dataclass(frozen=True)
class Row:
    """A value and its hint; where the two converters differ, in which columns, and why."""

    value: Any
    hint: Any
    differs: tuple[str, ...] = ()
    heading: str = ""


def _differs(value: Any, hint: Any, heading: str, *columns: str) -> Row:
    return Row(value, hint, columns, heading)


NAIVE = dt.datetime(2024, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001 - naive is the case
MATRIX: list[Row] = [
    Row(None, type(None)),
    Row(True, bool),
    Row(1, int),
    Row(2**53 + 1, int),
    Row(2**64, int),
    Row(-(10**100), int),
    Row(1.5, float),
    Row(-0.0, float),
    Row(1e22, float),
    Row(5e-324, float),
    Row(1.7976931348623157e308, float),
    Row("é\u2028\x00😀", str),
    Row("", str),
    Row("\ud800 alone", str),
    Row({"\udfff": ["\ud800"]}, dict[str, list[str]]),
    Row([1, "a", None], list),
    Row([], list[int]),
    Row([1, 2], list[int]),
    Row([[1], []], list[list[int]]),
    Row((1, "a"), tuple[int, str]),
    Row((1, 2, 3), tuple[int, ...]),
    Row((), tuple[int, ...]),
    Row({1, 2}, set[int]),
    Row(frozenset({1}), frozenset[int]),
    Row(collections.deque([1, 2]), collections.deque[int]),
    Row([1], Sequence[int]),
    Row([1], MutableSequence[int]),
    Row({"a": 1}, dict[str, int]),
    Row({}, dict[str, int]),
    Row({"a": {"b": [1]}}, dict[str, Any]),
    Row({1: "a"}, dict[int, str]),
    Row({-(2**70): "a"}, dict[int, str]),
    Row({1.5: "a"}, dict[float, str]),
    Row({True: "a", False: "b"}, dict[bool, str]),
    Row({Level.HIGH: 1}, dict[Level, int]),
    Row({Mode.FAST: 1}, dict[Mode, int]),
    Row({UserId("a"): 1}, dict[UserId, int]),
    Row({"a": 1}, Mapping[str, int]),
    Row({"a": 1}, MutableMapping[str, int]),
    Row(Item("a"), Item),
    Row(Item("a", 2, ["x"], "private"), Item),
    Row(Order(Item("a"), {"b": Item("b")}, Order(Item("c"))), Order),
    Row(Inherited("a", price=1.5), Inherited),
    Row(Compact(1), Compact),
    Row(Computed(3), Computed),
    Row(Constructed(3), Constructed),
    Row(Keyword(value=1, at=NAIVE), Keyword),
    Row([Item("a")], list[Item]),
    Row({"k": Item("a")}, dict[str, Item]),
    Row(Level.HIGH, Level),
    Row(Rights.READ | Rights.WRITE, Rights),
    Row(Mode.FAST, Mode),
    Row(OldMode.FAST, OldMode),
    Row(Movie(title="a", year=1), Movie),
    Row(Movie(title="a"), Movie),
    Row(UserId("a"), UserId),
    Row("a", Literal["a", "b"]),
    Row(None, int | None),
    Row("a", int | str),
    Row(1.5, float | int),
    Row(Item("a"), Item | None),
    Row([Item("a")], list[Item] | None),
    Row(NAIVE, dt.datetime),
    Row(dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime),
    Row(dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-3))), dt.datetime),
    Row(dt.datetime(1890, 1, 2, tzinfo=dt.timezone(dt.timedelta(seconds=3208))), dt.datetime),
    Row([NAIVE, None], list[dt.datetime | None]),
    Row(uuid.UUID(int=1), uuid.UUID),
    Row(Model(name="a", when=NAIVE), Model),
    Row({"id": uuid.UUID(int=1)}, dict[str, uuid.UUID]),
    # Where they differ.
    _differs(math.inf, float, NOT_FINITE, "ours-ours", "ours-theirs"),
    _differs(1.5, int | float, WHOLE, "ours-theirs"),
    _differs(b"a", bytes, BYTES, "ours-theirs"),
    _differs([b"\x00\xff"], list[bytes], BYTES, "ours-theirs"),
    _differs(Photo(b"a"), Photo, BYTES, "ours-theirs"),
    _differs(bytearray(b"a"), bytearray, BYTES, "ours-theirs"),
    _differs(Dog("a", 3), Cat | Dog, UNION, "ours-theirs"),
    _differs(Cat("a"), Dog | Cat, UNION, "ours-theirs"),
    _differs([Dog("a", 3), Cat("b")], list[Cat | Dog], UNION, "ours-theirs"),
    _differs(Pet(Dog("a", 3)), Pet, UNION, "ours-theirs"),
    _differs(Point(1, 2), Point, OTHER_CLASS, "ours-theirs"),
    _differs(Text("a"), Text, OTHER_CLASS, "ours-theirs"),
    _differs(Names(["a"]), Names, OTHER_CLASS, "ours-theirs"),
    _differs({1}, AbstractSet[int], OTHER_CLASS, "ours-theirs"),
    _differs(
        collections.OrderedDict(a=1), collections.OrderedDict[str, int], OTHER_CLASS, "ours-theirs"
    ),
    _differs(collections.Counter("aab"), collections.Counter[str], OTHER_CLASS, "ours-theirs"),
    _differs({None: 1}, dict[None, int], OTHER_CLASS, "ours-theirs"),
    _differs(Number(3), Number, NO_READER, "ours-theirs"),
    _differs(Box(1), Box[int], NO_READER, "ours-theirs"),
    _differs(3, Annotated[int, "positive"], NO_READER, "ours-theirs"),
    _differs(Half.HALF, Half, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs(decimal.Decimal("1.10"), decimal.Decimal, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs(dt.date(2024, 2, 29), dt.date, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs(dt.time(1, 2), dt.time, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs(dt.timedelta(1), dt.timedelta, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs(Attrs("a", 1), Attrs, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs(Struct("a"), Struct, NO_WRITER, "ours-theirs", "theirs-ours"),
    _differs({uuid.UUID(int=1): 1}, dict[uuid.UUID, int], NO_WRITER, "theirs-ours"),
]


def _crosses_over(writer: PayloadConverter, reader: PayloadConverter, row: Row) -> bool:
    payload = writer.to_payload(row.value)
    assert payload is not None
    actual = reader.from_payload(payload, row.hint)
    return bool(row.value == actual) and type(row.value) is type(actual)


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row.value!r:.40}")
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.filterwarnings("ignore:If you're using Pydantic")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
def test_a_typed_value_crosses_over(column: str, row: Row) -> None:
    """A value that one of the two writes is read by the other as an equal one of its class."""
    writer, reader = COLUMNS[column]
    if column not in row.differs:
        assert _crosses_over(writer, reader, row)
        return
    try:
        same = _crosses_over(writer, reader, row)
    except Exception:  # noqa: BLE001 - the SDK raises all kinds of errors
        same = False
    assert not same, "they agree now: take the column out of the row, and out of the documents"


def test_the_matrix_is_large_enough() -> None:
    """The promise is about many types, most of which are the same in every column."""
    assert len(MATRIX) >= 90
    assert sum(not row.differs for row in MATRIX) >= 60


@pytest.mark.parametrize("heading", sorted({row.heading for row in MATRIX} - {""} | {MAPPING}))
def test_every_difference_is_documented(heading: str) -> None:
    """Whoever changes from the default converter can read what is different, and why."""
    assert f"| {heading} |" in PAGE.read_text(encoding="utf-8")


@given(value=json_values())
def test_any_json_value_crosses_over_without_a_hint(value: Any) -> None:
    """Whatever JSON has is the same for both, in both directions."""
    for writer, reader in COLUMNS.values():
        payload = writer.to_payload(value)
        assert payload is not None
        assert value == reader.from_payload(payload)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(
    "value", [{None: 1}, {True: 1, False: 2}, {1: 1, -2: 2}, {1.5: 1}, {Level.HIGH: 1}], ids=repr
)
def test_keys_become_the_same_text(column: str, value: Any) -> None:
    """What JSON has no key for is written as the same text by both."""
    writer, reader = COLUMNS[column]
    payload, own = writer.to_payload(value), reader.to_payload(value)
    assert payload is not None
    assert own is not None
    assert reader.from_payload(payload) == reader.from_payload(own)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"b": 1, "a": [True, None, "x"]}, b'{"a":[true,null,"x"],"b":1}'),
        (Order(Item("a", 2)), None),
        ({"a": (1, 2), "b": {"d": 1, "c": 2}}, None),
        (range(3), b"[0,1,2]"),
        ({"b": 1, "a": 2}.values(), b"[1,2]"),
        (NAIVE, b'"2024-01-02T03:04:05.000678"'),
        (uuid.UUID(int=1), None),
        (1e22, b"1e22"),
    ],
    ids=repr,
)
def test_the_bytes_are_those_of_the_default_converter(value: Any, data: bytes | None) -> None:
    """Order and spacing are the same; a float's exponent has no sign, which every reader takes."""
    ours, theirs = OURS.to_payload(value), THEIRS.to_payload(value)
    assert ours is not None
    assert theirs is not None
    assert theirs.data.replace(b"e+", b"e") == ours.data
    assert data in (None, ours.data)


def test_a_number_that_does_not_fit_is_refused_and_not_cut() -> None:
    """The default converter reads 1.5 as the int 1; a whole float is an int for both."""
    payload = THEIRS.to_payload(1.5)
    assert payload is not None
    assert 1 == THEIRS.from_payload(payload, int)
    with pytest.raises(TypeError, match="Expected int, got float"):
        OURS.from_payload(payload, int)
    whole = THEIRS.to_payload(2.0)
    assert whole is not None
    assert 2 == OURS.from_payload(whole, int)


def test_a_mapping_that_is_no_dict_keeps_its_values() -> None:
    """The default converter writes the keys of such a mapping only."""
    value = types.MappingProxyType({"a": 1})
    theirs, ours = THEIRS.to_payload(value), OURS.to_payload(value)
    assert theirs is not None
    assert ours is not None
    assert (b'["a"]', b'{"a":1}') == (theirs.data, ours.data)


def test_unknown_fields_are_ignored_by_both() -> None:
    """A newer sender's additional field does not break a reader."""
    for converter in (OURS, THEIRS):
        payload = converter.to_payload({**dataclasses.asdict(Item("a")), "later": 1})
        assert payload is not None
        assert Item("a") == converter.from_payload(payload, Item)


def test_not_finite_numbers_of_the_default_converter_are_read() -> None:
    """Histories that have NaN in them stay readable; with `allow_nan` it is written as well."""
    theirs = THEIRS.to_payload([math.inf, -math.inf])
    assert theirs is not None
    assert [math.inf, -math.inf] == OURS.from_payload(theirs, list[float])
    assert theirs == JsonConverter(allow_nan=True).to_payload([math.inf, -math.inf])

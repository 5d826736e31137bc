"""`json/plain` beside the SDK's own converter: what one writes, the other reads as the same."""

import collections
import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType, TypedDict

import pytest
from hypothesis import given
from temporalio.converter import JSONPlainPayloadConverter

from sealwire.converter import JsonConverter, PayloadConverter
from sealwire.testing.strategies import json_values

OURS = JsonConverter()
THEIRS = JSONPlainPayloadConverter()
DIRECTIONS: list[tuple[PayloadConverter, PayloadConverter]] = [(OURS, THEIRS), (THEIRS, OURS)]


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


class Level(enum.IntEnum):
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class OldMode(str, enum.Enum):  # noqa: UP042 - the older idiom is the case
    FAST = "fast"


class Movie(TypedDict):
    title: str
    year: int


UserId = NewType("UserId", str)
MATRIX: list[tuple[Any, Any]] = [
    (None, type(None)),
    (True, bool),
    (1, int),
    (2**64, int),
    (-(10**100), int),
    (1.5, float),
    (1e22, float),
    (5e-324, float),
    ("é\u2028\x00😀", str),
    ([1, "a", None], list),
    ([1, 2], list[int]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ({1, 2}, set[int]),
    (frozenset({1}), frozenset[int]),
    (collections.deque([1, 2]), collections.deque[int]),
    ({"a": 1}, dict[str, int]),
    ({"a": {"b": [1]}}, dict[str, Any]),
    ({1: "a"}, dict[int, str]),
    ({1.5: "a"}, dict[float, str]),
    ({Level.HIGH: 1}, dict[Level, int]),
    ({Mode.FAST: 1}, dict[Mode, int]),
    ({"a": 1}, Mapping[str, int]),
    (Item("a"), Item),
    (Item("a", 2, ["x"], "private"), Item),
    (Order(Item("a"), {"b": Item("b")}, Order(Item("c"))), Order),
    (Inherited("a", price=1.5), Inherited),
    (Compact(1), Compact),
    ([Item("a")], list[Item]),
    ({"k": Item("a")}, dict[str, Item]),
    (Level.HIGH, Level),
    (Mode.FAST, Mode),
    (OldMode.FAST, OldMode),
    (Movie(title="a", year=1), Movie),
    (UserId("a"), UserId),
    ("a", Literal["a", "b"]),
    (None, int | None),
    ("a", int | str),
    (Item("a"), Item | None),
    (dt.datetime(2024, 1, 2, 3, 4, 5, 678), dt.datetime),  # noqa: DTZ001 - naive is the case
    (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime),
    (dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-3))), dt.datetime),
    (uuid.UUID(int=1), uuid.UUID),
]


@pytest.mark.parametrize(("value", "type_hint"), MATRIX, ids=repr)
@pytest.mark.parametrize(("writer", "reader"), DIRECTIONS, ids=["ours-theirs", "theirs-ours"])
def test_a_typed_value_crosses_over(
    writer: PayloadConverter, reader: PayloadConverter, value: Any, type_hint: Any
) -> None:
    """A value that one of the two writes is read by the other as an equal one of its class."""
    payload = writer.to_payload(value)
    assert payload is not None
    actual = reader.from_payload(payload, type_hint)
    assert value == actual
    assert type(value) is type(actual)


@given(value=json_values())
def test_any_json_value_crosses_over_without_a_hint(value: Any) -> None:
    """Whatever JSON has is the same for both, in both directions."""
    for writer, reader in DIRECTIONS:
        payload = writer.to_payload(value)
        assert payload is not None
        assert value == reader.from_payload(payload)


@pytest.mark.parametrize(("writer", "reader"), DIRECTIONS, ids=["ours-theirs", "theirs-ours"])
@pytest.mark.parametrize(
    "value", [{None: 1}, {True: 1, False: 2}, {1: 1, -2: 2}, {1.5: 1}, {Level.HIGH: 1}], ids=repr
)
def test_keys_become_the_same_text(
    writer: PayloadConverter, reader: PayloadConverter, value: Any
) -> None:
    """What JSON has no key for is written as the same text by both."""
    payload, own = writer.to_payload(value), reader.to_payload(value)
    assert payload is not None
    assert own is not None
    assert reader.from_payload(payload) == reader.from_payload(own)


def test_unknown_fields_are_ignored_by_both() -> None:
    """A newer sender's additional field does not break a reader."""
    for converter in (OURS, THEIRS):
        payload = converter.to_payload({**dataclasses.asdict(Item("a")), "later": 1})
        assert payload is not None
        assert Item("a") == converter.from_payload(payload, Item)

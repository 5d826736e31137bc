"""Hypothesis strategies for values and payloads; the only module here that needs `hypothesis`."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections import deque
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Final, NamedTuple, Union, get_args, get_origin

from hypothesis import strategies as st

from sealwire.payload import ENCODING, Payload

_INT64: Final = st.integers(-(2**63), 2**63 - 1)


def json_values(*, max_leaves: int = 20) -> st.SearchStrategy[Any]:
    """Generate what every encoding but `binary/*` of single values gives back unchanged.

    None, booleans, integers of 64 bits, finite floats, text without lone surrogates, and lists and
    dicts with text keys of these.

    Args:
        max_leaves: How many values that are no container one value has, at most.
    """
    leaves = (
        st.none()
        | st.booleans()
        | _INT64
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20)
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
        ),
        max_leaves=max_leaves,
    )


class Color(enum.Enum):
    """An enum of text, for `typed_values`."""

    RED = "red"
    GREEN = "green"


class Level(enum.IntEnum):
    """An enum of numbers, for `typed_values`."""

    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    """A named tuple, for `typed_values`."""

    x: int
    y: float = 0.0


@dataclass(frozen=True)
class Item:
    """A dataclass, for `typed_values`; frozen, so that it can be in a set."""

    name: str
    count: int | None = None


@dataclass
class Order:
    """A recursive dataclass of several types, for `typed_values`."""

    id: uuid.UUID
    items: list[Item]
    at: dt.datetime
    raw: bytes = b""
    by_level: dict[int, Color] = field(default_factory=dict[int, Color])
    previous: Order | None = None


def typed_values(*, max_depth: int = 2) -> st.SearchStrategy[tuple[Any, Any]]:
    """Generate pairs of a value and its type, which `json/plain` and `binary/msgpack` give back.

    Scalars, dates, enums, dataclasses and named tuples, and lists, tuples, sets, mappings and
    optional values of these. No two types of one union are written alike.

    Args:
        max_depth: How many containers are inside of each other, at most.
    """
    hashable = st.sampled_from(list(_HASHABLE))
    hints: st.SearchStrategy[Any] = hashable | st.sampled_from(list(_OTHER))
    for _ in range(max_depth):
        hints = hints | st.one_of(
            hints.map(lambda hint: list[hint]),  # type: ignore[valid-type]
            hints.map(lambda hint: tuple[hint, ...]),  # type: ignore[valid-type]
            st.tuples(hints, hints).map(lambda pair: tuple[pair]),  # type: ignore[valid-type]
            hints.map(lambda hint: deque[hint]),  # type: ignore[valid-type]
            hints.map(lambda hint: hint | None),
            hashable.map(lambda hint: set[hint]),  # type: ignore[valid-type]
            hashable.map(lambda hint: frozenset[hint]),  # type: ignore[valid-type]
            st.tuples(hashable, hints).map(lambda pair: dict[pair]),  # type: ignore[misc, valid-type]
        )
    return hints.flatmap(lambda hint: _values_of(hint).map(lambda value: (value, hint)))


_HASHABLE: Final[dict[Any, st.SearchStrategy[Any]]] = {
    bool: st.booleans(),
    int: _INT64,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=10),
    bytes: st.binary(max_size=10),
    dt.date: st.dates(),
    dt.time: st.times(),
    dt.timedelta: st.timedeltas(),
    uuid.UUID: st.uuids(),
    decimal.Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Color: st.sampled_from(Color),
    Level: st.sampled_from(Level),
}
_points: Final = st.builds(Point, _INT64, _HASHABLE[float])
_items: Final = st.builds(Item, st.text(max_size=5), st.none() | _INT64)
_OTHER: Final[dict[Any, st.SearchStrategy[Any]]] = {
    dt.datetime: st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    Point: _points,
    Item: _items,
    Order: st.recursive(
        st.none(),
        lambda previous: st.builds(
            Order,
            st.uuids(),
            st.lists(_items, max_size=2),
            st.datetimes(),
            st.binary(max_size=5),
            st.dictionaries(_INT64, st.sampled_from(Color), max_size=2),
            previous,
        ),
        max_leaves=3,
    ).filter(lambda order: order is not None),
    Item | Point: _items | _points,
    Order | Item | None: st.none() | _items,
    int | str | None: st.none() | _INT64 | st.text(max_size=5),
    Color | int: st.sampled_from(Color) | _INT64,
}
_KNOWN: Final = {**_HASHABLE, **_OTHER, type(None): st.none()}


def _values_of(hint: Any) -> st.SearchStrategy[Any]:
    known = _KNOWN.get(hint)
    if known is not None:
        return known
    kind, inner = get_origin(hint), [_values_of(item) for item in get_args(hint) if item is not ...]
    if kind is UnionType or kind is Union:
        return st.one_of(inner)
    if kind is dict:
        return st.dictionaries(*inner, max_size=3)
    if kind is tuple and ... not in get_args(hint):
        return st.tuples(*inner)
    make: Any = kind
    return st.lists(inner[0], max_size=3).map(make)


def payloads(*, max_size: int = 200) -> st.SearchStrategy[Payload]:
    """Generate payloads of any metadata, data and external payloads; most have an encoding.

    Args:
        max_size: The size of the data, at most, in bytes.
    """
    return st.builds(
        _payload,
        st.none() | st.sampled_from([b"json/plain", b"binary/plain", b"binary/null"]) | _blobs(30),
        st.dictionaries(st.text(max_size=20), _blobs(30), max_size=4),
        _blobs(max_size),
        st.lists(_INT64, max_size=3),
    )


def _blobs(max_size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=max_size)


def _payload(
    encoding: bytes | None, metadata: dict[str, bytes], data: bytes, sizes: list[int]
) -> Payload:
    payload = Payload(metadata=metadata, data=data)
    if encoding is not None:
        payload.metadata[ENCODING] = encoding
    for size in sizes:
        payload.external_payloads.add(size_bytes=size)
    return payload

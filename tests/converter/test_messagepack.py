"""`binary/msgpack`, checked against the independent `msgpack` package in both directions."""

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.converter import MsgpackConverter
from sealwire.converter.base import new_payload
from sealwire.errors import ConversionError
from sealwire.payload import Encoding
from sealwire.testing.strategies import json_values

MSGPACK = MsgpackConverter()
AWARE = st.datetimes(timezones=st.just(dt.UTC))


def _data(value: Any) -> bytes:
    payload = MSGPACK.to_payload(value)
    assert payload is not None
    return payload.data


def _read(data: bytes, type_hint: Any = None) -> Any:
    return MSGPACK.from_payload(new_payload(Encoding.MSGPACK, data), type_hint)


def _values() -> st.SearchStrategy[Any]:
    leaves = json_values(max_leaves=3) | st.binary() | AWARE | st.integers(2**63, 2**64 - 1)
    keys = st.text() | st.integers(-(2**63), 2**64 - 1)
    return leaves | st.lists(leaves) | st.dictionaries(keys, leaves)


def _their_data(value: Any) -> bytes:
    return cast("bytes", msgpack.packb(value, datetime=True))  # pyright: ignore[reportUnknownMemberType]


def _their_value(data: bytes) -> Any:
    return msgpack.unpackb(data, timestamp=3, strict_map_key=False)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@given(_values())
def test_another_implementation_reads_what_is_written(value: Any) -> None:
    """The `msgpack` package gives back the value, aware datetimes included."""
    assert value == _their_value(_data(value))


@given(_values())
def test_what_another_implementation_writes_is_read(value: Any) -> None:
    """The value of the `msgpack` package comes back, aware datetimes included."""
    assert value == _read(_their_data(value))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), "d6ff00000000"),
        (dt.datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=dt.UTC), "d7ff00000fa000000001"),
        (dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC), "c70cff00000000ffffffffffffffff"),
        (b"\x00", "c40100"),
        ("a", "a161"),
        (2**64 - 1, "cfffffffffffffffff"),
        (-(2**63), "d38000000000000000"),
        (1.5, "cb3ff8000000000000"),
        ({"b": 1, "a": 2}, "82a16102a16201"),
        ({2: 1, 1: 2}, "8201020201"),
        ({"a": 1, 1: {"y", "x"}}, "820192a178a179a16101"),
        ({1: {"b": 1, "a": 2}}, "810182a16102a16201"),
        ({frozenset("ba"): 1}, "8192a161a16201"),
    ],
    ids=repr,
)
def test_the_bytes_of_a_value_are_fixed(value: Any, data: str) -> None:
    """Timestamps are extension -1 in the shortest of its forms, maps and sets are in order."""
    assert data == _data(value).hex()


def test_non_finite_floats_are_kept() -> None:
    """Unlike JSON, MessagePack has NaN and infinities."""
    assert ["nan", "inf", "-inf"] == [
        repr(item) for item in _read(_data([float("nan"), float("inf"), float("-inf")]))
    ]


def test_an_extension_type_is_read_as_one() -> None:
    """Foreign extension types are passed on with their code and data."""
    value = _read(bytes.fromhex("c702056162"))
    assert isinstance(value, msgspec.msgpack.Ext)
    assert (5, b"ab") == (value.code, bytes(value.data))


def test_tuples_may_be_keys() -> None:
    """A key may be a tuple, which is an array in the format and a tuple again when read."""
    assert {(1, ("a",)): 2} == _read(_data({(1, ("a",)): 2}))


class Color(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Frozen:
    value: int


def test_an_enum_as_a_key_is_its_value() -> None:
    """An enum is written as its value wherever it stands."""
    assert {"red": 1, 2: "red"} == _read(_data({Color.RED: 1, 2: Color.RED}))


def _endless() -> Any:
    value: dict[Any, Any] = {}
    value[1] = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**64, "integer beyond 64 bits; use the json/plain encoding"),
        (-(2**63) - 1, "integer beyond 64 bits"),
        ({1: [10**300]}, "integer beyond 64 bits"),
        ({2**64: "hunter2"}, "integer beyond 64 bits"),
        ("hunter2\ud800", "lone surrogate"),
        (object(), "type object"),
        (_endless(), "contains itself"),
        ({Frozen(1): 1}, "a mapping key that is a mapping or an object"),
        ({(Frozen(1),): 1}, "a mapping key that is a mapping or an object"),
        ({uuid.UUID(int=0): 1, str(uuid.UUID(int=0)): 2}, "two keys become the same"),
        ({"x": [{(1, 2): 1, frozenset({1, 2}): 2}]}, "two keys become the same"),
    ],
    ids=lambda item: type(item).__name__ if not isinstance(item, str) else item[:30],
)
def test_a_value_that_messagepack_lacks_is_refused_without_being_quoted(
    value: Any, problem: str, everything_said: Callable[[BaseException], str]
) -> None:
    """The error names the kind of fault; neither it nor its context has the value."""
    with pytest.raises(ConversionError, match=problem) as caught:
        MSGPACK.to_payload(value)
    assert "binary/msgpack" == caught.value.encoding
    assert "hunter2" not in everything_said(caught.value)
    assert caught.value.__context__ is None


@given(st.dictionaries(st.integers(-(2**63), 2**64 - 1) | st.text(), st.none()), st.randoms())
def test_equal_mappings_give_equal_bytes(value: dict[Any, None], random: Any) -> None:
    """The order in which the entries were put in does not show."""
    items = list(value.items())
    random.shuffle(items)
    assert _data(value) == _data(dict(items))

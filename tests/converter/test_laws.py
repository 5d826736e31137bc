"""No value is changed in silence: it comes back as it was, or converting it raises an error."""

import datetime as dt
import decimal
import enum
import uuid
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from sealwire.converter import JsonConverter, MsgpackConverter, PayloadConverter
from sealwire.errors import ConversionError
from sealwire.testing.strategies import json_values, typed_values

CONVERTERS: list[PayloadConverter] = [
    JsonConverter(),
    JsonConverter(key_order="declared"),
    JsonConverter(key_order="kept"),
    JsonConverter(allow_nan=True),
    MsgpackConverter(),
]
every = pytest.mark.parametrize("converter", CONVERTERS, ids=repr)


class Tagged(str):
    tag: str = ""


class Amount(float):
    currency: str = ""


class Cached(str):
    @cached_property
    def upper_case(self) -> str:
        return self.upper()


class Keyed(enum.Enum):
    NUMBER = 1
    TEXT = "1"


class Loose(NamedTuple):
    value: Any
    names: frozenset[str] = frozenset()


@dataclass
class Node:
    value: float | None = None
    children: "list[Node]" = field(default_factory=list["Node"])
    by_id: "dict[uuid.UUID, Node]" = field(default_factory=dict[uuid.UUID, "Node"])


@attrs.define
class Private:
    _name: str
    number: int = attrs.field(default=1, alias="count")
    made: int = attrs.field(init=False, default=0)


@attrs.frozen(kw_only=True)
class Converted:
    size: int = attrs.field(converter=int, validator=attrs.validators.ge(0))
    inner: "Converted | None" = None


class Renamed(msgspec.Struct, rename="camel", omit_defaults=True, tag=True):
    first_name: str
    numbers: tuple[int, ...] = ()


class Arrayed(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    value: float
    other: "Arrayed | None" = None


def _tagged() -> Tagged:
    value = Tagged("a")
    value.tag = "b"
    return value


def _amount() -> Amount:
    value = Amount(1.5)
    value.currency = "EUR"
    return value


def _cached() -> Cached:
    value = Cached("a")
    assert "A" == value.upper_case
    return value


def _made() -> Private:
    value = Private("a", 2)
    value.made = 3
    return value


# What looks different when it is equal: sets and mappings have no order, zones other names.
UNORDERED: Any = (set, dict, dt.datetime)
# Each of these either comes back equal and of the same class, or is refused.
SUSPECTS: list[tuple[Any, Any]] = [
    *((number, float) for number in (float("inf"), -0.0, 5e-324, 1e22)),
    *(([number], list[float | None]) for number in (float("inf"), -0.0, 1e308)),
    *((number, int) for number in (2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**4000)),
    *(({number: [number]}, dict[int, list[int]]) for number in (2**63, 2**64, 10**30)),
    ("\ud800", str),
    ("\ud83d\ude00", str),
    (["a\udfff"], list[str]),
    ({"\ud800": "\udc00"}, dict[str, str]),
    ({"\ud83d\ude00": 1, "\U0001f600": 2}, dict[str, int]),
    ({"\ud800", "a"}, set[str]),
    *((kind(), kind) for kind in (list, dict, set, frozenset, tuple, deque, bytes, bytearray, str)),
    ({True: 1, "true": 2}, dict[bool | str, int]),
    ({None: 1, "null": 2}, dict[str | None, int]),
    ({1: 1, "1": 2}, dict[int | str, int]),
    ({1.5: 1, "1.5": 2}, dict[float | str, int]),
    ({Keyed.NUMBER: 1, Keyed.TEXT: 2}, dict[Keyed, int]),
    ({(1, "a"): 1}, dict[tuple[int, str], int]),
    ({frozenset({1}): 1}, dict[frozenset[int], int]),
    ({b"\xff": 1}, dict[bytes, int]),
    ({decimal.Decimal("1.10"): 1}, dict[decimal.Decimal, int]),
    (dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime),
    (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))), dt.datetime),
    (dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5))), dt.datetime),
    (dt.datetime(1890, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=3208))), dt.datetime),
    ([dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)], list[dt.datetime]),
    (dt.timedelta.max, dt.timedelta),
    (dt.timedelta.min, dt.timedelta),
    *((decimal.Decimal(text), decimal.Decimal) for text in ("-0", "1E+5", "Infinity", "1E+1000")),
    (_tagged(), Tagged),
    ([_amount()], list[Amount]),
    ({_tagged(): 1}, dict[Tagged, int]),
    (_cached(), Cached),
    (Loose(1, frozenset({"a"})), Loose),
    (Node(1.5, [Node(float("inf"))], {uuid.UUID(int=1): Node()}), Node),
    (Private("a", 2), Private),
    (_made(), Private),
    ([Private("a")], list[Private]),
    (Converted(size=3, inner=Converted(size=4)), Converted),
    ({3: Converted(size=3)}, dict[int, Converted]),
    (Renamed("a", (1,)), Renamed),
    (Arrayed(1.5, Arrayed(2.0)), Arrayed),
    (OrderedDict(a=1), OrderedDict[str, int]),
    (defaultdict(list[int], a=[1]), defaultdict[str, list[int]]),
    (range(3), range),
    (1 + 2j, complex),
    (slice(1), slice),
]


class Refused:
    """What stands for a value that was refused."""

    def __init__(self, error: ConversionError) -> None:
        self.error = error


def _outcome(converter: PayloadConverter, value: Any, type_hint: Any) -> Any:
    try:
        return _there_and_back(converter, value, type_hint)
    except ConversionError as err:
        return Refused(err)


def _there_and_back(converter: PayloadConverter, value: Any, type_hint: Any) -> Any:
    payload = converter.to_payload(value)
    assert payload is not None
    return converter.from_payload(payload, type_hint)


@every
@pytest.mark.parametrize(("value", "type_hint"), SUSPECTS, ids=lambda item: ascii(item)[:50])
def test_a_value_comes_back_or_is_refused(
    converter: PayloadConverter, value: Any, type_hint: Any
) -> None:
    """There is no third way, for the values that are most likely to take one."""
    actual = _outcome(converter, value, type_hint)
    if isinstance(actual, Refused):
        assert actual.error.__context__ is None
        return
    assert value == actual
    assert type(value) is type(actual)
    assert isinstance(value, UNORDERED) or ascii(value) == ascii(actual)


@every
@pytest.mark.parametrize("value", [float("nan"), [float("nan")], decimal.Decimal("sNaN")], ids=str)
def test_nan_comes_back_or_is_refused(converter: PayloadConverter, value: Any) -> None:
    """It equals nothing, not even itself, so it is compared by what it looks like."""
    actual = _outcome(converter, value, type(value))
    if isinstance(actual, Refused):
        assert "NaN" in str(actual.error)
    else:
        assert repr(value) == repr(actual)


@pytest.mark.parametrize("value", [_tagged(), _amount(), [_tagged()]], ids=repr)
def test_attributes_beside_the_value_are_refused(value: Any) -> None:
    """A `float` with a currency would come back without it."""
    for converter in CONVERTERS:
        with pytest.raises(ConversionError, match=r"attributes of its own.*CustomType"):
            converter.to_payload(value)


def test_an_integer_of_too_many_digits_is_refused() -> None:
    """Python itself takes 4300 digits, and so does every reader of ours."""
    for converter in CONVERTERS:
        with pytest.raises(ConversionError, match=r"ValueError|beyond 64 bits"):
            converter.to_payload(10**5000)


def test_two_surrogates_in_a_row_are_refused() -> None:
    """JSON would read them as one character."""
    with pytest.raises(ConversionError, match="two surrogates in a row"):
        JsonConverter().to_payload({"\ud83d\ude00": 1, "\U0001f600": 2})


@every
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(pair=typed_values())
def test_a_typed_value_comes_back_as_it_was(
    converter: PayloadConverter, pair: tuple[Any, Any]
) -> None:
    """With its type as the hint, whatever is inside of what."""
    value, type_hint = pair
    actual = _there_and_back(converter, value, type_hint)
    assert value == actual
    assert type(value) is type(actual)


@every
@settings(max_examples=100)
@given(value=json_values())
def test_an_untyped_value_comes_back_without_a_hint(
    converter: PayloadConverter, value: Any
) -> None:
    """Whatever JSON has comes back the same."""
    assert value == _there_and_back(converter, value, None)


@every
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(pair=typed_values(max_depth=1), other=typed_values(max_depth=1))
def test_another_type_takes_a_value_or_refuses_it(
    converter: PayloadConverter, pair: tuple[Any, Any], other: tuple[Any, Any]
) -> None:
    """Nothing but our own errors comes out of a hint that does not fit."""
    outcome = _outcome(converter, pair[0], other[1])
    assert not isinstance(outcome, Refused) or outcome.error.__context__ is None

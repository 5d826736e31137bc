"""What msgspec does not read: unions, constructors, enums of any values, subclasses, odd keys."""

import dataclasses
import datetime as dt
import decimal
import enum
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar, Union

import msgspec
import pydantic
import pytest
from typing_extensions import TypeAliasType

from sealwire.converter import JsonConverter, MsgpackConverter, PayloadConverter
from sealwire.converter.base import new_payload
from sealwire.converter.hints import unwrapped
from sealwire.errors import ConversionError, PayloadError, SealwireError
from sealwire.payload import Payload

BOTH = [JsonConverter(), MsgpackConverter()]
both = pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
T = TypeVar("T")


@dataclass
class Item:
    name: str


@dataclass
class Priced(Item):
    price: float = 0.0


@dataclass(frozen=True)
class Other:
    name: str
    size: int


@dataclass
class Left:
    inner: "Left | Right | None" = None
    x: int = 0


@dataclass
class Right:
    inner: "Left | Right | None" = None
    y: int = 0


@dataclass
class Tree:
    children: "list[Tree | Leaf]" = field(default_factory=list["Tree | Leaf"])


@dataclass
class Leaf:
    value: int


class LeftDict(TypedDict, total=False):
    inner: "LeftDict | RightDict | None"


class RightDict(TypedDict, total=False):
    inner: "RightDict | LeftDict | None"


@dataclass
class Own:
    name: str
    size: int

    def __init__(self, name: str, size: int = 1) -> None:
        self.name = name
        self.size = size


@dataclass
class Unset:
    name: str
    size: int = field(init=False)
    seen: list[int] = field(init=False, default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    size: int = field(init=False, default=1)


@dataclass
class First(Generic[T]):
    value: T


@dataclass
class Second(First[tuple[int, ...]]):
    name: str = ""


class Place(NamedTuple):
    at: tuple[int, ...] = ()


class Mixed(enum.Enum):
    TUPLE = (1, 2)
    DATE = dt.date(2024, 2, 29)
    HALF = 0.5
    BYTES = b"x"
    NOTHING = None


class Alike(enum.Enum):
    DATE = dt.date(2024, 2, 29)
    TEXT = "2024-02-29"
    FINE = "fine"


class AlikeKeys(enum.Enum):
    NUMBER = 1
    TEXT = "1"


class Unwritable(enum.Enum):
    THING = object()
    BIG = 2**70
    ONE = 1


class Lone(enum.Enum):
    HALF = "\ud800"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Blob(bytes):
    pass


class Ids(list[tuple[int, ...]]):
    pass


class Names(dict[int, tuple[str, ...]]):
    pass


class Suffixed(str):
    __slots__ = ()

    def __new__(cls, value: str) -> "Suffixed":
        return super().__new__(cls, value + "!")


Wide: Any = Union[  # noqa: UP007 - built from a list
    tuple(dataclasses.make_dataclass(f"Class{at}", [(f"field{at}", int)]) for at in range(60))
]
_MEMBERS: Any = {f"M{at}": at if at % 2 else f"v{at}" for at in range(3000)}
Big: Any = enum.Enum("Big", _MEMBERS)  # type: ignore[misc]

LEAVES: list[Any] = [None, {"inner": "hunter2"}, "hunter2", {"inner": [[]]}]

BIG: list[tuple[Any, Any]] = [
    ([at if at % 2 else f"v{at}" for at in range(3000)] * 10, list[Big]),
    ([{"zz": 1}] * 200, list[Wide]),
    ([{"field59": 1}] * 200, list[Wide]),
    ([1] * 30_000, list[Annotated[int, pydantic.Field(ge=0)] | bytes]),
    ([[1]] * 3_000, list[list[Annotated[int, []]] | bytes]),
    ({"1" * 5000: 1}, dict[int, int]),
    ({"[" * 100_000: 1}, dict[int | bool, int]),
    ({"1e400": 1}, dict[float, int]),
    ("9" * 200_000, decimal.Decimal),
    ("P" + "9" * 100_000 + "D", dt.timedelta),
    ([{"children": [{}] * 1000}], list[Tree | Leaf]),
    ([[]] * 10_000, list[list[int] | set[int] | tuple[int, ...]]),
]

COMES_BACK: list[tuple[Any, Any]] = [
    (Item("a"), Item | Priced),
    (Priced("a", 1.5), Item | Priced),
    (Priced("a", 1.5), Priced | Item),
    (Item("a"), Priced | Item),
    (Other("a", 1), Item | Other),
    ([Item("a"), Other("b", 2), None], list[Item | Other | None]),
    ({"k": Item("a")}, dict[str, Item] | Other),
    (Item("a"), dict[str, str] | Item),
    ([1.0], list[int] | list[float]),
    ([1], list[float] | list[int]),
    ({"a": 1.0}, dict[str, int] | dict[str, float]),
    ((1.0, "a"), tuple[int, int] | tuple[float, str]),
    (dt.date(2024, 2, 29), dt.datetime | dt.date),
    (dt.datetime(2024, 2, 29), dt.date | dt.datetime),  # noqa: DTZ001 - naive is the case
    (Left(Right(Left(None, 3))), Left | Right),
    (Tree([Leaf(1), Tree([Leaf(2)])]), Tree | Leaf),
    (Own("a", 3), Own),
    (Frozen("a"), Frozen),
    (Second((1, 2), "a"), Second),
    (First((1, 2)), First[tuple[int, ...]]),
    (Place((1, 2)), Place),
    (Mixed.TUPLE, Mixed),
    (Mixed.DATE, Mixed | int),
    (Mixed.HALF, Mixed),
    (Mixed.BYTES, Mixed),
    (Mixed.NOTHING, Mixed),
    (Alike.FINE, Alike),
    (Unwritable.ONE, Unwritable),
    (Unwritable.ONE, Unwritable | int),
    (b"x", Literal[b"x", b"y"]),
    (Mixed.HALF, Literal[Mixed.HALF]),
    (True, Literal[1, True]),
    (Text("a"), Text),
    (Number(3), Number),
    (Real(1.5), Real),
    (Blob(b"\xff"), Blob),
    (Ids([(1, 2)]), Ids),
    (Names({1: ("a",)}), Names),
    ({Text("a"): 1}, dict[Text, int]),
    ({Number(3): 1}, dict[Number, int]),
    ({Real(1.5): 1}, dict[Real, int]),
    ([{Number(3): 1}], list[dict[Number, int]]),
    ({2: 3, None: 1}, dict[int | None, int]),
    ({True: 1}, dict[bool, int]),
    ({Mixed.HALF: 1}, dict[Mixed, int]),
    (OrderedDict(a=1), OrderedDict[str, int]),
    (Counter("aab"), Counter[str]),
]


def _refusal(converter: PayloadConverter, payload: Payload, type_hint: Any) -> SealwireError | None:
    """Read and return the error, if any; one that is not ours passes through."""
    try:
        converter.from_payload(payload, type_hint)
    except (ConversionError, PayloadError) as err:
        return err
    return None


def _there_and_back(converter: PayloadConverter, value: Any, type_hint: Any) -> Any:
    payload = converter.to_payload(value)
    assert payload is not None
    return converter.from_payload(payload, type_hint)


@both
@pytest.mark.parametrize(("value", "type_hint"), COMES_BACK, ids=str)
def test_a_value_comes_back_as_its_type(
    converter: PayloadConverter, value: Any, type_hint: Any
) -> None:
    """What has a rule comes back equal and of its own class, down to the last element."""
    actual = _there_and_back(converter, value, type_hint)
    assert repr(value) == repr(actual)
    assert value == actual
    assert type(value) is type(actual)
    if isinstance(value, dict):
        assert list(map(type, value)) == list(map(type, actual))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


@both
def test_a_field_that_the_constructor_does_not_take_is_restored(
    converter: PayloadConverter,
) -> None:
    """What was set later comes back, and what was never set stays unset."""
    value = Unset("a")
    value.seen.append(2)
    actual = _there_and_back(converter, value, Unset)
    assert [2] == actual.seen
    assert not hasattr(actual, "size")


@both
@pytest.mark.parametrize("member", [Alike.DATE, Alike.TEXT])
def test_members_that_are_written_alike_are_refused(
    converter: PayloadConverter, member: Alike
) -> None:
    """Nobody can tell which one of them it was."""
    with pytest.raises(ConversionError, match="several values that are written alike"):
        _there_and_back(converter, member, Alike)


@pytest.mark.parametrize("member", list(AlikeKeys))
def test_members_that_are_the_same_as_keys_are_refused(member: AlikeKeys) -> None:
    """1 and "1" differ as values, and not as the keys of a JSON object."""
    assert member is _there_and_back(JsonConverter(), member, AlikeKeys)
    assert {member: 1} == _there_and_back(MsgpackConverter(), {member: 1}, dict[AlikeKeys, int])
    with pytest.raises(ConversionError, match="same as keys"):
        _there_and_back(JsonConverter(), {member: 1}, dict[AlikeKeys, int])


def test_a_lone_surrogate_is_a_member_as_any_text() -> None:
    """JSON can say it, so an enum of it comes back."""
    assert Lone.HALF is _there_and_back(JsonConverter(), Lone.HALF, Lone)
    assert {Lone.HALF: 1} == _there_and_back(JsonConverter(), {Lone.HALF: 1}, dict[Lone, int])


@both
def test_a_constructor_that_changes_its_value_is_refused(converter: PayloadConverter) -> None:
    """A subclass of `str` that appends something would append it again."""
    with pytest.raises(ConversionError, match="does not keep what it is given"):
        _there_and_back(converter, Suffixed("a"), Suffixed)


@both
@pytest.mark.parametrize(
    ("value", "type_hint"),
    [
        (1, bool),
        (5, bool),
        (0, Literal[False]),
        ([1], list[bool]),
        ({1: 1}, dict[bool, int]),
        ("a", Number),
        (1.5, Number),
        ({"x": 1}, Names),
        ({}, Item | Other),
        (uuid.UUID(int=1), type("Id", (uuid.UUID,), {})),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(
    converter: PayloadConverter, value: Any, type_hint: Any
) -> None:
    """A rule is no reason to take anything for anything."""
    with pytest.raises(ConversionError) as caught:
        _there_and_back(converter, value, type_hint)
    assert caught.value.__context__ is None


@both
@pytest.mark.parametrize(
    "type_hint",
    [Annotated[int, msgspec.Meta(ge=0)], Annotated[int, pydantic.Field(ge=0)]],
    ids=["msgspec", "pydantic"],
)
def test_a_constraint_holds_at_any_depth(converter: PayloadConverter, type_hint: Any) -> None:
    """Whoever enforces it, in a container, in a class, in a union or as a key."""
    cls: Any = dataclasses.make_dataclass("Holder", [("value", type_hint), ("raw", bytes, b"")])
    good: list[tuple[Any, Any]] = [
        ([1], list[type_hint]),
        ({"a": [1]}, dict[str, list[type_hint]]),
        ({1: b"\xff"}, dict[type_hint, bytes]),
        ([1, b"\xff"], list[type_hint | bytes]),
        (cls(1, b"\xff"), cls),
        ([cls(1, b"\xff")], list[cls | Item]),
    ]
    for value, hint in good:
        assert value == _there_and_back(converter, value, hint)
    for value, hint in [([-1], good[0][1]), ({-1: b""}, good[2][1]), (cls(-1), cls)]:
        with pytest.raises(ConversionError):
            _there_and_back(converter, value, hint)


@both
@pytest.mark.parametrize("leaf", LEAVES, ids=str)
@pytest.mark.parametrize("depth", [20, 200, 2000])
@pytest.mark.parametrize("type_hint", [Left | Right, LeftDict | RightDict, list[Left] | Right])
def test_nested_unions_take_time_that_grows_with_the_data(
    converter: PayloadConverter,
    leaf: Any,
    depth: int,
    type_hint: Any,
    everything_said: Callable[[BaseException], str],
) -> None:
    """Depth does not double it: no value is read twice into the same type."""
    encode = msgspec.json.encode if converter is BOTH[0] else msgspec.msgpack.encode
    shallow = encode({"inner": leaf})
    opening = encode({"inner": 0})[:-1]
    closing = b"}" if converter is BOTH[0] else b""
    payload = new_payload(converter.encoding.encode())
    payload.data = opening * depth + shallow + closing * depth
    started = time.process_time()
    error = _refusal(converter, payload, type_hint)
    assert error is None or "hunter2" not in everything_said(error)
    assert error is None or error.__context__ is None
    assert time.process_time() - started < 5


@both
@pytest.mark.parametrize(
    ("value", "type_hint"),
    BIG,
    ids=lambda item: str(item)[:40],
)
def test_big_data_for_any_rule_is_read_or_refused_in_time(
    converter: PayloadConverter, value: Any, type_hint: Any
) -> None:
    """Thousands of members, wide unions, constraints one by one, and long keys."""
    payload = converter.to_payload(value)
    assert payload is not None
    started = time.process_time()
    error = _refusal(converter, payload, type_hint)
    assert error is None or error.__context__ is None
    assert time.process_time() - started < 5


_Member = TypeVar("_Member")
Pairs = TypeAliasType("Pairs", tuple[_Member, _Member], type_params=(_Member,))


def test_a_named_alias_means_what_it_stands_for() -> None:
    """`type Pairs[T] = tuple[T, T]` with an argument is that type with the argument in it."""
    assert tuple[int, int] == unwrapped(Pairs[int])

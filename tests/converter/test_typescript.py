"""Our payloads beside Temporal's TypeScript SDK: what one writes, the other reads as the same.

Where the languages differ, a test of its own states how.
"""

import base64
import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import json
import subprocess
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
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

import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import RetryPolicy, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from sealwire.converter import CompositePayloadConverter
from sealwire.errors import ConversionError
from sealwire.payload import Payload

OURS: Final = CompositePayloadConverter()
NODE_TESTS: Final = Path(__file__).parents[1] / "node"
SAFE: Final = 2**53 - 1  # JavaScript's `Number.MAX_SAFE_INTEGER`


class TypeScriptError(Exception):
    """What the TypeScript SDK has thrown."""


@dataclass(frozen=True)
class Answer:
    """A value in JavaScript.

    Attributes:
        payload: What the SDK writes for it.
        type: What it is; `typeof` with null, array and Uint8Array told apart.
        json: What `JSON.stringify` gives; None for undefined.
    """

    payload: Payload
    type: str
    json: str | None

    @property
    def seen(self) -> Any:
        return None if self.json is None else json.loads(self.json)


class TypeScript:
    """The TypeScript SDK in one Node.js process, which answers line for line.

    Args:
        node: The command.
        script: What answers.
        log: Where the process' stderr goes.
    """

    def __init__(self, node: Path, script: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [node, script],
                bufsize=1,
                encoding="utf-8",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer to one request.

        Raises:
            ChildProcessError: The process has ended.
            TypeScriptError: The SDK has thrown something.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise ChildProcessError(f"node ended with {code}: {self._log.read_text('utf-8')}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TypeScriptError(answer["error"])
        return answer

    def through(
        self, payload: Payload, converter: Literal["default", "protobufs"] = "default"
    ) -> Answer:
        """Decode a payload there, and encode the value again."""
        metadata = {
            name: base64.b64encode(item).decode() for name, item in payload.metadata.items()
        }
        data = base64.b64encode(payload.data).decode()
        return _answer(self.ask(op="through", converter=converter, metadata=metadata, data=data))

    def make(self, name: str) -> Answer:
        """Encode one of the values that `converter.mjs` makes."""
        return _answer(self.ask(op="make", name=name))

    def close(self) -> int:
        """Let the process end, and return its exit code."""
        self._process.communicate()
        return self._process.returncode


def _answer(fields: Mapping[str, Any]) -> Answer:
    metadata = {name: base64.b64decode(item) for name, item in fields["metadata"].items()}
    payload = Payload(metadata=metadata, data=base64.b64decode(fields["data"]))
    return Answer(payload, fields["type"], fields["json"])


@pytest.fixture(scope="session")
def start_typescript(
    require_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TypeScript]:
    """Starts a script of `tests/node`."""
    node = require_part("node")

    def start(script: str) -> TypeScript:
        log = tmp_path_factory.mktemp("node") / "stderr"
        return TypeScript(node, NODE_TESTS / script, log)

    return start


@pytest.fixture(scope="session")
def typescript(start_typescript: Callable[[str], TypeScript]) -> Generator[TypeScript]:
    """One process for all tests here."""
    process = start_typescript("converter.mjs")
    process.ask(op="versions")  # it has started, and no test waits for that
    yield process
    assert 0 == process.close()


T = TypeVar("T")


@dataclass
class Item:
    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list[str])


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
class Box(Generic[T]):
    content: T


@dataclass
class Everything:
    at: dt.datetime
    day: dt.date
    lasts: dt.timedelta
    id: uuid.UUID
    price: decimal.Decimal
    blob: bytes
    level: "Level"
    point: "Point"
    names: set[str]


@dataclass
class Sent:
    name: str
    at: dt.datetime


@dataclass
class Blob:
    data: bytes


@dataclass
class Account:
    number: int
    text: str
    exact: decimal.Decimal


class Level(enum.IntEnum):
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"


class OldMode(str, enum.Enum):  # noqa: UP042 - the older idiom is the case
    FAST = "fast"


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Code(enum.Enum):
    LOST = 404


class Movie(TypedDict):
    title: str
    year: int
    rating: NotRequired[float]


class Point(NamedTuple):
    x: int
    y: float = 0.5


UserId = NewType("UserId", str)
INDIA: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))
MATRIX: list[tuple[Any, Any]] = [
    (None, type(None)),
    (True, bool),
    (False, bool),
    (0, int),
    (-1, int),
    (SAFE, int),
    (-SAFE, int),
    (1.5, float),
    (1.0, float),
    (0.1, float),
    (-0.0, float),
    (5e-324, float),
    (1e-7, float),
    (1e16, float),
    (1e21, float),
    (1e22, float),
    (1.7976931348623157e308, float),
    ("", str),
    ("é ñ 漢字", str),
    ("a\u2028b\u2029c", str),
    ("😀 👩\u200d🚀", str),
    ('a\x00b\x1f\x7f"\\/\n', str),
    ("\ufeff\uffff\U0010ffff", str),
    ("</script>", str),
    ([], list),
    ([1, "a", None, [True, {}]], list),
    ([1, 2], list[int]),
    ([[1.5], []], list[list[float]]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ({1, 2}, set[int]),
    ({"b", "a"}, set[str]),
    (frozenset({1}), frozenset[int]),
    (collections.deque([1, 2]), collections.deque[int]),
    ([1, 2], Sequence[int]),
    ({}, dict),
    ({"": 1, "é": 2, "😀": 3, "__proto__": 4, "constructor": 5}, dict[str, int]),
    ({"a": {"b": [{"c": {"d": [[]]}}]}}, dict[str, Any]),
    ({"a": {"b": {"c": 1.5}}}, dict[str, dict[str, dict[str, float]]]),
    ({"a": 1}, Mapping[str, int]),
    ({1: "a", -2: "b", 10: "c"}, dict[int, str]),
    ({Level.HIGH: 1}, dict[Level, int]),
    ({Mode.FAST: 1}, dict[Mode, int]),
    ({uuid.UUID(int=1): 1}, dict[uuid.UUID, int]),
    ({dt.date(2024, 1, 2): 1}, dict[dt.date, int]),
    (Item("a"), Item),
    (Item("a", 2, ["x"]), Item),
    (Order(Item("a"), {"b": Item("b")}, Order(Item("c"))), Order),
    (Inherited("a", price=1.5), Inherited),
    (Inherited("a", price=2.0), Inherited),
    (Compact(1), Compact),
    (Box(1), Box[int]),
    (Box([Item("a")]), Box[list[Item]]),
    (Box(Box("a")), Box[Box[str]]),
    ([Item("a")], list[Item]),
    ({"k": Item("a")}, dict[str, Item]),
    (
        Everything(
            dt.datetime(2024, 1, 2, 3, 4, 5, 6, dt.UTC),
            dt.date(2024, 1, 2),
            dt.timedelta(seconds=1),
            uuid.UUID(int=2**128 - 1),
            decimal.Decimal("1.10"),
            b"\x00\xff",
            Level.HIGH,
            Point(1, 1.0),
            {"b", "a"},
        ),
        Everything,
    ),
    (Level.HIGH, Level),
    (Mode.FAST, Mode),
    (OldMode.FAST, OldMode),
    (Color.RED, Color),
    ([Color.RED, Color.BLUE], list[Color]),
    (Code.LOST, Code),
    (Movie(title="a", year=1), Movie),
    (Movie(title="a", year=1, rating=4.0), Movie),
    (Point(1, 2.0), Point),
    ([Point(1)], list[Point]),
    (UserId("a"), UserId),
    ("a", Literal["a", "b"]),
    (2, Literal[1, 2]),
    (None, int | None),
    (1, int | None),
    ("a", int | str),
    (1, int | str),
    (Item("a"), Item | None),
    ([1], list[int] | dict[str, int]),
    ({"a": None}, dict[str, Item | None]),
    (dt.datetime(2024, 1, 2, 3, 4, 5, 678), dt.datetime),  # noqa: DTZ001 - naive is the case
    (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime),
    (dt.datetime(2024, 1, 2, 3, 4, 5, 999999, INDIA), dt.datetime),
    (dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime),
    (dt.date(2024, 2, 29), dt.date),
    (dt.time(23, 59, 59, 1), dt.time),
    (dt.time(1, tzinfo=dt.UTC), dt.time),
    (dt.timedelta(days=1, seconds=1, microseconds=1), dt.timedelta),
    (dt.timedelta(days=-1), dt.timedelta),
    (uuid.UUID(int=1), uuid.UUID),
    (decimal.Decimal("-123456789012345678901234567890.10"), decimal.Decimal),
    ({"a": b"\x00\xff", "b": b""}, dict[str, bytes]),
]

row: Final = pytest.mark.parametrize(("value", "type_hint"), MATRIX, ids=repr)


@row
def test_a_value_comes_back_from_typescript(
    typescript: TypeScript, value: Any, type_hint: Any
) -> None:
    """What TypeScript has read and written again is an equal value of the same class."""
    payload = OURS.to_payload(value)
    answer = typescript.through(payload)
    actual = OURS.from_payload(answer.payload, type_hint)
    assert value == actual
    assert type(value) is type(actual)
    assert payload.metadata == answer.payload.metadata


@row
def test_typescript_sees_what_python_sees(
    typescript: TypeScript, value: Any, type_hint: Any
) -> None:
    """The JSON of the value in JavaScript is what `json.loads` gives for the payload."""
    payload = OURS.to_payload(value)
    expected = json.loads(payload.data) if payload.data else None
    assert expected == typescript.through(payload).seen


def same_in_javascript(number: float) -> bool:
    """Whether a float without a hint is the same after `JSON.stringify`; see the tests below."""
    return not number.is_integer() or abs(number) <= SAFE


JSON_LEAVES: Final = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False).filter(same_in_javascript)
    | st.text()
)
JSON_VALUES: Final = st.recursive(
    JSON_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@settings(deadline=None)  # the other process may have to wait for a processor
@given(value=JSON_VALUES)
def test_any_json_value_comes_back_without_a_hint(typescript: TypeScript, value: Any) -> None:
    """What both languages have is the same after the way there and back."""
    answer = typescript.through(OURS.to_payload(value))
    assert value == answer.seen
    assert value == OURS.from_payload(answer.payload)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("boolean", True),
        ("number", 1),
        ("number", 1.5),
        ("string", "a"),
        ("array", (1,)),
        ("array", Point(1)),
        ("array", {1}),
        ("object", {1: 1}),
        ("object", Item("a")),
        ("string", dt.datetime(2024, 1, 2, tzinfo=dt.UTC)),
        ("string", dt.timedelta(1)),
        ("string", decimal.Decimal(1)),
        ("string", uuid.UUID(int=1)),
        ("string", Mode.FAST),
        ("number", Level.HIGH),
    ],
    ids=repr,
)
def test_a_value_has_a_type_in_typescript(
    typescript: TypeScript, expected: str, value: Any
) -> None:
    """A TypeScript function gets each kind of value as the type that its author expects."""
    assert expected == typescript.through(OURS.to_payload(value)).type


# None, null and undefined


def test_none_is_undefined_in_typescript(typescript: TypeScript) -> None:
    """None alone, which is `binary/null`, is not null there, and comes back as None."""
    answer = typescript.through(OURS.to_payload(None))
    assert "undefined" == answer.type
    assert Payload(metadata={"encoding": b"binary/null"}) == answer.payload
    assert OURS.from_payload(answer.payload, int) is None


def test_none_inside_is_null_in_typescript(typescript: TypeScript) -> None:
    """None in a list or a field is null there."""
    assert "[null]" == typescript.through(OURS.to_payload([None])).json


def test_null_from_typescript_is_none(typescript: TypeScript) -> None:
    """Null is `json/plain` there, and None here, where the hint allows for it."""
    payload = typescript.make("null").payload
    assert Payload(metadata={"encoding": b"json/plain"}, data=b"null") == payload
    assert OURS.from_payload(payload) is None
    assert OURS.from_payload(payload, Item | None) is None
    with pytest.raises(ConversionError):
        OURS.from_payload(payload, Item)


def test_undefined_from_typescript_is_none(typescript: TypeScript) -> None:
    """Undefined alone, such as the result of a function without `return`, is None."""
    payload = typescript.make("undefined").payload
    assert OURS.to_payload(None) == payload
    assert OURS.from_payload(payload) is None


def test_an_undefined_field_is_left_out(typescript: TypeScript) -> None:
    """A field that is undefined in TypeScript gets the default of our dataclass."""
    payload = typescript.make("undefined_field").payload
    assert {"name": "a"} == OURS.from_payload(payload)
    assert Item("a", count=1) == OURS.from_payload(payload, Item)


def test_undefined_in_an_array_is_none(typescript: TypeScript) -> None:
    """Undefined keeps its place in an array."""
    payload = typescript.make("array_with_undefined").payload
    assert [1, None, 2] == OURS.from_payload(payload, list[int | None])


# Numbers


@pytest.mark.parametrize(
    ("expected", "value"),
    [(2**53, 2**53 + 1), (-(2**53), -(2**53) - 1), (2**64, 2**64 - 1), (10**20, 10**20 + 1)],
)
def test_an_integer_beyond_53_bits_changes_in_typescript(
    typescript: TypeScript, expected: int, value: int
) -> None:
    """JavaScript's numbers are floats: a larger integer becomes another one, without an error."""
    answer = typescript.through(OURS.to_payload(value))
    assert expected == int(float(answer.payload.data))
    assert value != OURS.from_payload(answer.payload, int)


@pytest.mark.parametrize("value", [10**21, -(10**30)])
def test_an_integer_of_22_digits_is_a_float_from_typescript(
    typescript: TypeScript, value: int
) -> None:
    """JavaScript writes it with an exponent, which an `int` hint refuses."""
    payload = typescript.through(OURS.to_payload(value)).payload
    with pytest.raises(ConversionError, match="Expected int, got float"):
        OURS.from_payload(payload, int)
    assert float(value) == OURS.from_payload(payload, float)


@pytest.mark.parametrize("number", [SAFE + 2, 2**64 - 1, 10**30])
def test_a_large_integer_survives_as_text(typescript: TypeScript, number: int) -> None:
    """As `str` or `Decimal`, which is text in JSON, an integer of any size comes back."""
    value = (str(number), decimal.Decimal(number))
    answer = typescript.through(OURS.to_payload(value))
    assert [str(number), str(number)] == answer.seen
    assert value == OURS.from_payload(answer.payload, tuple[str, decimal.Decimal])
    assert number == int(value[1])


def test_only_the_number_of_an_object_changes(typescript: TypeScript) -> None:
    """Beside a large integer that loses digits, the same as text does not."""
    value = Account(2**53 + 1, str(2**53 + 1), decimal.Decimal(2**53 + 1))
    payload = typescript.through(OURS.to_payload(value)).payload
    assert dataclasses.replace(value, number=2**53) == OURS.from_payload(payload, Account)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("largest_safe_integer", SAFE),
        ("large_number", 2**53 + 2),
        ("largest_number", 1.7976931348623157e308),
        ("smallest_number", 5e-324),
        ("ten_to_the_21", 1e21),
        ("whole_number", 1),
    ],
)
def test_a_number_from_typescript_is_the_same_here(
    typescript: TypeScript, name: str, expected: float
) -> None:
    """Any number of JavaScript's is read exactly; a whole one below 1e21 as an int."""
    payload = typescript.make(name).payload
    actual = OURS.from_payload(payload)
    assert expected == actual
    assert type(expected) is type(actual)
    assert float(expected) == OURS.from_payload(payload, float)


def test_a_whole_float_is_an_int_without_a_hint(typescript: TypeScript) -> None:
    """JavaScript writes 1.0 as 1, so that only a hint makes it a float again."""
    payload = typescript.through(OURS.to_payload([1.0, 1e16])).payload
    assert b"[1,10000000000000000]" == payload.data
    assert [int, int] == [type(item) for item in OURS.from_payload(payload)]
    assert [float, float] == [type(item) for item in OURS.from_payload(payload, list[float])]


def test_a_large_whole_float_needs_its_hint(typescript: TypeScript) -> None:
    """JavaScript fills up with zeros, and the digits it writes are exact as a float alone."""
    payload = typescript.through(OURS.to_payload(2.0**69)).payload
    assert b"590295810358705700000" == payload.data
    assert 2.0**69 != OURS.from_payload(payload)
    assert 2.0**69 == OURS.from_payload(payload, float)


def test_negative_zero_loses_its_sign_in_typescript(typescript: TypeScript) -> None:
    """TypeScript reads -0.0, and `JSON.stringify` writes 0."""
    assert b"-0.0" == OURS.to_payload(-0.0).data
    answers = (typescript.through(OURS.to_payload(-0.0)), typescript.make("negative_zero"))
    assert [b"0", b"0"] == [answer.payload.data for answer in answers]


def test_nan_from_typescript_is_none(typescript: TypeScript) -> None:
    """`JSON.stringify` writes null for NaN, which a hint for numbers alone refuses."""
    answer = typescript.make("nan")
    assert "number" == answer.type
    assert OURS.from_payload(answer.payload, float | None) is None
    with pytest.raises(ConversionError):
        OURS.from_payload(answer.payload, float)


def test_typescript_refuses_what_python_writes_for_nan(typescript: TypeScript) -> None:
    """`NaN` is no JSON: the SDK for Python writes it, and TypeScript cannot read that payload."""
    with pytest.raises(TypeScriptError, match="SyntaxError"):
        typescript.through(Payload(metadata={"encoding": b"json/plain"}, data=b'{"a":NaN}'))


def test_a_bigint_is_refused_by_typescript(typescript: TypeScript) -> None:
    """TypeScript has no JSON for its own large integers."""
    with pytest.raises(TypeScriptError, match="ValueError: Unable to convert"):
        typescript.make("bigint")


# Bytes


@pytest.mark.parametrize("value", [b"", b"\x00\xff", bytes(range(256)) * 300], ids=len)
def test_bytes_are_a_uint8array(typescript: TypeScript, value: bytes) -> None:
    """Bytes alone, which are `binary/plain`, are a Uint8Array and come back unchanged."""
    payload = OURS.to_payload(value)
    answer = typescript.through(payload)
    assert "Uint8Array" == answer.type
    assert payload == answer.payload
    actual = OURS.from_payload(answer.payload, bytes)
    assert value == actual
    assert type(actual) is bytes


def test_a_uint8array_is_bytes(typescript: TypeScript) -> None:
    """A Uint8Array alone is bytes, with a hint or without."""
    payload = typescript.make("bytes").payload
    assert b"\x00\x01\xff" == OURS.from_payload(payload)
    assert b"\x00\x01\xff" == OURS.from_payload(payload, bytes)


def test_bytes_inside_are_base64_text_in_typescript(typescript: TypeScript) -> None:
    """TypeScript gets the bytes of a field as text that `Buffer.from(text, "base64")` reads."""
    answer = typescript.through(OURS.to_payload(Blob(b"\x00\xff")))
    assert {"data": "AP8="} == answer.seen
    assert Blob(b"\x00\xff") == OURS.from_payload(answer.payload, Blob)


@pytest.mark.parametrize(
    ("name", "data"),
    [("bytes_inside", {"0": 1, "1": 2}), ("buffer_inside", {"type": "Buffer", "data": [1, 2]})],
)
def test_a_uint8array_inside_is_an_object(
    typescript: TypeScript, name: str, data: dict[str, Any]
) -> None:
    """`JSON.stringify` spells the bytes of a field out, and a `bytes` hint refuses that."""
    payload = typescript.make(name).payload
    assert {"data": data} == OURS.from_payload(payload)
    with pytest.raises(ConversionError, match="Expected bytes, got object"):
        OURS.from_payload(payload, Blob)


# Dates and other objects


def test_a_date_is_a_datetime(typescript: TypeScript) -> None:
    """A Date is ISO text in UTC, which a hint makes a datetime with its zone."""
    expected = dt.datetime(2024, 1, 2, 3, 4, 5, 678000, dt.UTC)
    payload = typescript.make("date").payload
    assert "2024-01-02T03:04:05.678Z" == OURS.from_payload(payload)
    assert expected == OURS.from_payload(payload, dt.datetime)
    inside = typescript.make("date_inside").payload
    assert Sent("a", expected) == OURS.from_payload(inside, Sent)


def test_an_invalid_date_is_none(typescript: TypeScript) -> None:
    """`JSON.stringify` writes null for a Date that is none."""
    payload = typescript.make("invalid_date").payload
    assert OURS.from_payload(payload, dt.datetime | None) is None
    with pytest.raises(ConversionError):
        OURS.from_payload(payload, dt.datetime)


def test_an_object_is_a_dataclass(typescript: TypeScript) -> None:
    """An object literal of TypeScript's is an instance of the class in the hint."""
    payload = typescript.make("nested").payload
    assert Order(Item("a", 2), {"b": Item("b")}) == OURS.from_payload(payload, Order)


@pytest.mark.parametrize("name", ["map", "set"])
def test_a_map_or_set_is_empty(typescript: TypeScript, name: str) -> None:
    """`JSON.stringify` leaves out what a Map or Set contains, without an error."""
    assert {} == OURS.from_payload(typescript.make(name).payload)


def test_a_cycle_is_refused_by_typescript(typescript: TypeScript) -> None:
    """TypeScript refuses an object that contains itself, as we do."""
    with pytest.raises(TypeScriptError, match="ValueError: Unable to convert"):
        typescript.make("cycle")


def test_typescript_moves_keys_that_are_numbers(typescript: TypeScript) -> None:
    """JavaScript keeps such keys first and by size: the bytes differ, the value does not."""
    value = {"b": 1, "10": 2, "9": 3}
    payload = typescript.through(OURS.to_payload(value)).payload
    assert b'{"10":2,"9":3,"b":1}' == OURS.to_payload(value).data
    assert b'{"9":3,"10":2,"b":1}' == payload.data
    assert value == OURS.from_payload(payload)


# Text


def test_text_from_typescript_is_the_same_here(typescript: TypeScript) -> None:
    """U+2028, NUL and what is beyond 16 bits are read as they were."""
    assert "é\u2028\x00😀" == OURS.from_payload(typescript.make("unicode").payload, str)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", "\udc00\ud800"], ids=ascii)
def test_a_lone_surrogate_comes_back_from_typescript(typescript: TypeScript, value: str) -> None:
    """Half a character, which JavaScript's strings may have too, is an escape in both's JSON."""
    answer = typescript.through(OURS.to_payload(value))
    assert value == answer.seen
    assert value == OURS.from_payload(answer.payload, str)


def test_a_lone_surrogate_from_typescript_is_the_same_here(typescript: TypeScript) -> None:
    """What JavaScript escapes is read as the same half of a character."""
    payload = typescript.make("lone_surrogate").payload
    assert b'"\\ud800"' == payload.data
    assert "\ud800" == OURS.from_payload(payload, str)


# Protobuf messages


MESSAGES: list[Message] = [
    WorkflowExecution(),
    WorkflowExecution(workflow_id="é😀", run_id="b"),
    RetryPolicy(
        initial_interval=duration_pb2.Duration(seconds=1, nanos=500_000_000),
        backoff_coefficient=1.5,
        maximum_attempts=3,
        non_retryable_error_types=["a", "b"],
    ),
    timestamp_pb2.Timestamp(seconds=1_704_164_645, nanos=678_000_000),
    Payload(metadata={"encoding": b"json/plain", "é": b"\x00\xff"}, data=b"\x00\xff"),
    HistoryEvent(event_id=2**53 + 1, event_type=EventType.EVENT_TYPE_TIMER_FIRED),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_from_typescript(typescript: TypeScript, message: Message) -> None:
    """A `json/protobuf` payload names the same message for both; its 64-bit integers are exact."""
    payload = OURS.to_payload(message)
    answer = typescript.through(payload, "protobufs")
    assert b"json/protobuf" == payload.metadata["encoding"]
    assert payload.metadata == answer.payload.metadata
    assert message == OURS.from_payload(answer.payload, type(message))


def test_messages_need_typescripts_other_converter(typescript: TypeScript) -> None:
    """TypeScript's default converter reads no messages; it has a second one, which does."""
    with pytest.raises(TypeScriptError, match="ValueError: Unknown encoding: json/protobuf"):
        typescript.through(OURS.to_payload(WorkflowExecution()))


# The harness


def test_the_sdk_is_the_one_in_the_lock(typescript: TypeScript) -> None:
    """What is installed is what `package-lock.json` names."""
    lock = json.loads((NODE_TESTS / "package-lock.json").read_text("utf-8"))
    expected = lock["packages"]["node_modules/@temporalio/common"]["version"]
    assert expected == typescript.ask(op="versions")["common"]


def test_the_lock_names_no_registry() -> None:
    """The lock works with any registry."""
    lock = json.loads((NODE_TESTS / "package-lock.json").read_text("utf-8"))
    assert [] == [name for name, entry in lock["packages"].items() if "resolved" in entry]


def test_a_dead_process_says_why(start_typescript: Callable[[str], TypeScript]) -> None:
    """The error has the exit code and what the process wrote to stderr."""
    process = start_typescript("absent.mjs")
    for _ in range(2):
        with pytest.raises(ChildProcessError, match=r"(?s)ended with 1: .*Cannot find module"):
            process.ask(op="versions")
    assert 1 == process.close()

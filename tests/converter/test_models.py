"""pydantic's models: nothing is lost on the way through its serializers and validators."""

import datetime as dt
import decimal
import enum
import gc
import pathlib
import uuid
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar

import pydantic
import pydantic.dataclasses
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, RootModel

from sealwire.converter import JsonConverter, MsgpackConverter, PayloadConverter
from sealwire.converter.model_writer import ModelWriter
from sealwire.errors import ConversionError

BOTH = [JsonConverter(), MsgpackConverter()]
both = pytest.mark.parametrize("converter", BOTH, ids=lambda item: item.encoding)
T = TypeVar("T")
SECRET = "hunter2"


class Color(enum.Enum):
    RED = "red"
    TWO = 2


class Plain(BaseModel):
    name: str
    size: int = 1


class Sub(Plain):
    extra: int = 2


class Alias(BaseModel):
    name: str = Field(default="none", alias="Name")


class ReadAlias(BaseModel):
    name: str = Field(default="none", validation_alias="Name")


class WrittenAlias(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    name: str = Field(default="none", serialization_alias="Name")


class Choices(BaseModel):
    name: str = Field(default="none", validation_alias=AliasChoices("n", AliasPath("names", 0)))


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    name: str = Field(default="none", alias="Name")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Times(BaseModel):
    at: dt.datetime
    on: dt.date
    took: dt.timedelta
    cost: decimal.Decimal


class Raw(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes


class OneWayRaw(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class Sets(BaseModel):
    names: set[str]
    more: dict[str, frozenset[int]] = {}


class Numbers(RootModel[list[int]]):
    pass


class Box(BaseModel, Generic[T]):
    content: T


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: tuple[str, ...] = ()


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    previous: "Owner | None" = None


class Colors(BaseModel):
    first: Color
    by_color: dict[Color, int] = {}


class Paths(BaseModel):
    limit: float | None = None
    where: pathlib.Path = pathlib.Path("a")


class Vault(BaseModel):
    secret: pydantic.SecretStr


class OpenVault(BaseModel):
    secret: pydantic.SecretStr

    @pydantic.field_serializer("secret")
    def _open(self, secret: pydantic.SecretStr) -> str:
        return secret.get_secret_value()


class Reading(BaseModel):
    value: float
    anything: Any = None


class TextReading(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    value: float


class MixedReading(TextReading):
    inner: Reading


class Keys(BaseModel):
    by_key: dict[int | str, int]


class Untyped(BaseModel):
    anything: Any


@pydantic.dataclasses.dataclass
class Checked:
    size: Annotated[int, Field(ge=0)]
    data: bytes = b"\xff"
    took: dt.timedelta = dt.timedelta(1)
    names: set[str] = field(default_factory=set[str])
    count: int = 0
    seen: int = field(init=False, default=0)


@pydantic.dataclasses.dataclass
class CheckedAlias:
    name: str = Field(alias="Name")
    data: bytes = b"\xff"


@pydantic.dataclasses.dataclass
class CheckedText:
    size: Annotated[int, Field(ge=0)]


@dataclass
class Holder:
    model: Alias
    checked: list[Checked]
    data: bytes = b"\xff"


@dataclass
class Rival:
    name: str


VALUES: list[tuple[Any, Any]] = [
    (Plain(name="a"), Plain),
    (Sub(name="a", extra=3), Sub),
    (Alias(Name="a"), Alias),
    (ReadAlias.model_validate({"Name": "a"}), ReadAlias),
    (WrittenAlias(name="a"), WrittenAlias),
    (Choices.model_validate({"n": "a"}), Choices),
    (ByName.model_validate({"name": "a"}), ByName),
    (Open.model_validate({"name": "a", "more": [1]}), Open),
    (
        Times(
            at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            on=dt.date(2024, 1, 1),
            took=dt.timedelta(microseconds=-1),
            cost=decimal.Decimal("1.10"),
        ),
        Times,
    ),
    (Raw(data=b"\xff\x00"), Raw),
    (Sets(names={"a", "b"}, more={"k": frozenset({2, 1})}), Sets),
    (Numbers([1, 2]), Numbers),
    (Box[tuple[int, ...]](content=(1,)), Box[tuple[int, ...]]),
    (Owner(pet=Dog(tricks=("sit",)), previous=Owner(pet=Cat(lives=9))), Owner),
    (Colors(first=Color.TWO, by_color={Color.RED: 1}), Colors),
    (OpenVault(secret=pydantic.SecretStr(SECRET)), OpenVault),
    (Checked(3, b"abcd", names={"a", "b"}), Checked),
    (CheckedAlias(Name="a"), CheckedAlias),
    (Holder(Alias(Name="a"), [Checked(1)]), Holder),
]


def _there_and_back(converter: PayloadConverter, value: Any, type_hint: Any) -> Any:
    payload = converter.to_payload(value)
    assert payload is not None
    return converter.from_payload(payload, type_hint)


@both
@pytest.mark.parametrize(("value", "cls"), VALUES, ids=lambda item: str(item)[:40])
def test_a_model_comes_back_wherever_it_is(
    converter: PayloadConverter, value: Any, cls: Any
) -> None:
    """Alone, in a list, in a mapping, beside bytes and in a union, with whatever aliases it has."""
    for given, hint in [
        (value, cls),
        ([value], list[cls]),
        ({"a": value}, dict[str, cls]),
        ({3: value}, dict[int, cls]),
        ((value, b"\xff"), tuple[cls, bytes]),
        ([value, None], list[cls | None]),
    ]:
        actual = _there_and_back(converter, given, hint)
        assert given == actual
        assert type(given) is type(actual)


@both
def test_a_model_and_a_dataclass_in_one_union_are_told_apart(converter: PayloadConverter) -> None:
    """The one that leaves nothing out wins, on whichever side it is written."""
    for hint in (Plain | Rival, Rival | Plain):
        assert Plain(name="a") == _there_and_back(converter, Plain(name="a"), hint)
        assert Rival("a") == _there_and_back(converter, Rival("a"), hint)


@both
def test_what_pydantic_dataclasses_enforce_holds(converter: PayloadConverter) -> None:
    """It is written like any dataclass, and its own constructor validates what is read."""
    value = Checked(1)
    value.seen = 7
    assert 7 == _there_and_back(converter, value, Checked).seen
    with pytest.raises(ConversionError):
        _there_and_back(converter, {"size": -1}, Checked)
    with pytest.raises(ConversionError):
        _there_and_back(converter, [{"size": -1}], list[Checked])


@both
def test_a_pydantic_dataclass_without_bytes_is_read_as_pydantic_does(
    converter: PayloadConverter,
) -> None:
    """Text for a number is fine with pydantic; beside bytes it would read those as text too."""
    assert CheckedText(1) == _there_and_back(converter, {"size": "1"}, CheckedText)
    with pytest.raises(ConversionError, match="greater_than_equal, got int at size"):
        _there_and_back(converter, {"size": -1}, CheckedText)
    with pytest.raises(ConversionError):
        _there_and_back(converter, {"size": 1, "count": "1", "data": "abcd"}, Checked)
    with pytest.raises(ConversionError):
        _there_and_back(converter, "no base64", Annotated[bytes, Field(min_length=1)])


@both
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Vault(secret=pydantic.SecretStr(SECRET)), "secret in Vault.*get_secret_value|SecretStr"),
        (Untyped(anything=[pydantic.SecretStr(SECRET)]), "secret in Untyped|SecretStr"),
        (pydantic.SecretStr(SECRET), "SecretStr.*CustomType"),
        (pydantic.AnyUrl(f"http://{SECRET}/"), "AnyUrl.*CustomType"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_a_secret_is_refused_and_not_masked(
    converter: PayloadConverter,
    value: Any,
    why: str,
    everything_said: Callable[[BaseException], str],
) -> None:
    """It would be written as asterisks, which would come back as the secret."""
    for given in (value, [value]):
        with pytest.raises(ConversionError, match=why) as caught:
            converter.to_payload(given)
        assert SECRET not in everything_said(caught.value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (OneWayRaw(data=b"abcd"), "ser_json_bytes and val_json_bytes"),
        (Reading(value=float("nan")), "NaN or infinite in Reading"),
        (Reading(value=1, anything=[float("inf")]), "NaN or infinite in Reading"),
        (MixedReading(value=1, inner=Reading(value=float("nan"))), "NaN or infinite in Mixed"),
        (Keys(by_key={1: 1, "1": 2}), "two keys become one"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_what_pydantic_would_change_in_json_is_refused(value: BaseModel, why: str) -> None:
    """The error names the setting that helps."""
    with pytest.raises(ConversionError, match=why):
        JsonConverter().to_payload(value)


def test_an_empty_secret_is_no_secret() -> None:
    """It is written as it is."""
    value = Vault(secret=pydantic.SecretStr(""))
    assert value == _there_and_back(JsonConverter(), value, Vault)


def test_nan_as_text_comes_back() -> None:
    """A model that says so writes NaN as text, and reads it."""
    value = _there_and_back(JsonConverter(), TextReading(value=float("nan")), TextReading)
    assert "nan" == repr(value.value)


def test_null_beside_types_of_pydantic_alone_is_no_nan() -> None:
    """Looking for NaN steps over what msgspec does not know, such as a path."""
    assert Paths() == _there_and_back(JsonConverter(), Paths(), Paths)


@both
def test_no_warning_quotes_a_value(converter: PayloadConverter) -> None:
    """A value of another type gives a warning of pydantic that quotes it."""
    wrong: Any = SECRET
    value = Plain.model_construct(name="a", size=wrong)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        payload = converter.to_payload(value)
    assert payload is not None
    with pytest.raises(ConversionError, match="int_parsing, got str at size"):
        converter.from_payload(payload, Plain)


def test_an_alias_is_written_as_other_pydantic_converters_write_it() -> None:
    """As `temporalio.contrib.pydantic` does, as long as the alias is read as well."""
    assert {"Name": "a"} == _there_and_back(JsonConverter(), Alias(Name="a"), None)
    assert {"name": "a"} == _there_and_back(JsonConverter(), WrittenAlias(name="a"), None)


def test_nothing_of_a_model_class_is_kept_beyond_the_limit() -> None:
    """What is known about model classes is bounded."""
    writer = ModelWriter("json/plain", text=True)
    alive: list[weakref.ref[type]] = []
    for number in range(270):
        cls = pydantic.create_model(f"Model{number}", value=(int, 1))
        writer(cls())
        alive.append(weakref.ref(cls))
        del cls
    gc.collect()
    assert sum(item() is not None for item in alive) <= 256


class StrictAll(BaseModel):
    model_config = ConfigDict(strict=True)
    date: dt.date
    uuid: uuid.UUID
    pair: tuple[int, str]
    numbers: set[int]
    price: decimal.Decimal
    color: Color
    naive: dt.datetime
    aware: dt.datetime
    span: dt.timedelta
    by_number: dict[int, float]
    inner: "StrictAll | None" = None


class StrictField(BaseModel):
    date: dt.date = Field(strict=True)
    text: pydantic.StrictStr = ""


class StrictBytes(BaseModel):
    model_config = ConfigDict(strict=True)
    raw: bytes
    number: float = 0.0


class StrictBoth(StrictBytes):
    date: dt.date


class StrictLoose(BaseModel):
    model_config = ConfigDict(strict=True)
    date: dt.date
    anything: Any


def _strict_all(inner: StrictAll | None = None) -> StrictAll:
    return StrictAll(
        date=dt.date(2024, 2, 29),
        uuid=uuid.UUID(int=1),
        pair=(1, "a"),
        numbers={1, 2},
        price=decimal.Decimal("1.10"),
        color=Color.TWO,
        naive=dt.datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001 - it is about one without a zone
        aware=dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
        span=dt.timedelta(days=-1, microseconds=1),
        by_number={1: float("inf") if inner else 0.1},
        inner=inner,
    )


@pytest.mark.parametrize("in_list", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        _strict_all(),
        _strict_all(_strict_all()),
        StrictField(date=dt.date(2024, 2, 29), text="2024-02-29"),
        StrictBytes(raw=b"\xff\x00", number=float("inf")),
        StrictLoose(date=dt.date(2024, 2, 29), anything={"a": [1, None, "2024-02-29"]}),
    ],
    ids=lambda item: type(item).__name__,
)
def test_a_strict_model_comes_back_from_messagepack(model: BaseModel, in_list: bool) -> None:
    """Text stands for dates, UUIDs and the like there, as it does in JSON; bytes stay bytes."""
    converter = MsgpackConverter()
    cls: Any = type(model)
    value, hint = ([model], list[cls]) if in_list else (model, cls)
    assert value == converter.from_data(converter.to_data(value), hint)


@pytest.mark.parametrize(
    "model",
    [
        StrictBoth(date=dt.date(2024, 2, 29), raw=b"\xff"),
        StrictLoose(date=dt.date(2024, 2, 29), anything=b"text"),
        StrictLoose(date=dt.date(2024, 2, 29), anything={1: 2}),
        StrictLoose(date=dt.date(2024, 2, 29), anything=dt.datetime.now(dt.UTC)),
    ],
)
def test_a_strict_model_that_would_not_come_back_is_not_written(model: BaseModel) -> None:
    """The error says what to do: JSON text would turn its bytes, keys or times into others."""
    with pytest.raises(
        ConversionError, match=r"the model is strict, .* use the json/plain encoding"
    ):
        MsgpackConverter().to_data(model)


def test_a_strict_model_stays_strict_in_messagepack() -> None:
    """Text is still no number, and the error is about the field that is wrong."""
    data = MsgpackConverter().to_data({"date": "2024-02-29", "text": 1})
    with pytest.raises(ConversionError, match="got int at text"):
        MsgpackConverter().from_data(data, StrictField)

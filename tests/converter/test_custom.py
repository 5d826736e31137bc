"""Classes of the user's own: a pair of functions, and extension types of MessagePack."""

import datetime as dt
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from sealwire.converter import (
    CompositePayloadConverter,
    CustomType,
    JsonConverter,
    MsgpackConverter,
    MsgpackExtension,
    PayloadConverter,
    default_converters,
)
from sealwire.errors import ConfigurationError, ConversionError
from sealwire.testing.converters import PayloadConverterConformance

SECRET = "hunter2"


class Money:
    """A class that nothing here knows."""

    def __init__(self, amount: Decimal, currency: str) -> None:
        self.amount = amount
        self.currency = currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))


class Tip(Money):
    pass


@dataclass(frozen=True)
class Temperature:
    """A class that has a form of its own already."""

    celsius: float


@dataclass
class Invoice:
    total: Money
    at: Temperature
    lines: dict[str, list[Money]]
    previous: "Invoice | None" = None


class Color(enum.Enum):
    RED = 1


def money_to(money: Money) -> str:
    return f"{money.amount} {money.currency}"


def money_from(text: str) -> Money:
    amount, currency = text.split()
    return Money(Decimal(amount), currency)


MONEY = CustomType(Money, to=money_to, from_=money_from)
TEMPERATURE = CustomType(
    Temperature,
    to=lambda item: f"{item.celsius} °C",
    from_=lambda text: Temperature(float(text.removesuffix(" °C"))),
)
ENCODINGS: list[Callable[[Iterable[CustomType[Any]]], PayloadConverter]] = [
    JsonConverter,
    MsgpackConverter,
]
PRICE = Money(Decimal("1.50"), "EUR")


def _there_and_back(converter: PayloadConverter, value: Any, hint: Any = None) -> Any:
    payload = converter.to_payload(value)
    assert payload is not None
    return converter.from_payload(payload, hint)


class _Custom(PayloadConverterConformance):
    def values(self) -> Iterable[tuple[Any, Any]]:
        invoice = Invoice(PRICE, Temperature(20.5), {"a": [PRICE]})
        return [
            (PRICE, Money),
            ([PRICE], list[Money]),
            ({"k": PRICE}, dict[str, Money]),
            ({PRICE}, set[Money]),
            (invoice, Invoice),
            (Invoice(PRICE, Temperature(1.0), {}, invoice), Invoice),
            (PRICE, Money | None),
        ]


class TestCustomTypesInJson(_Custom):
    """`json/plain` with custom types keeps the contract of a converter."""

    def converter(self) -> PayloadConverter:
        return JsonConverter([MONEY, TEMPERATURE])


class TestCustomTypesInMessagePack(_Custom):
    """`binary/msgpack` with custom types keeps the contract of a converter."""

    def converter(self) -> PayloadConverter:
        return MsgpackConverter([MONEY, TEMPERATURE])


@pytest.mark.parametrize("make", ENCODINGS)
def test_a_class_that_has_a_form_is_written_by_its_functions(
    make: Callable[[Iterable[CustomType[Any]]], PayloadConverter],
) -> None:
    """A custom type for a dataclass replaces its fields, at any depth."""
    converter = make([TEMPERATURE, CustomType(dt.date, to=dt.date.toordinal, from_=_day)])
    value = {"a": [Temperature(1.5)], 2: (dt.date(1, 1, 2),)}
    assert ["1.5 °C"] == _there_and_back(converter, value)["a"]
    assert dt.date(1, 1, 2) == _there_and_back(converter, dt.date(1, 1, 2), dt.date)
    hint = dict[str, list[Temperature]]
    assert {"a": [Temperature(1.5)]} == _there_and_back(converter, {"a": [Temperature(1.5)]}, hint)


def _day(number: int) -> dt.date:
    return dt.date.fromordinal(number)


@pytest.mark.parametrize("make", ENCODINGS)
def test_a_subclass_is_written_like_its_base_class(
    make: Callable[[Iterable[CustomType[Any]]], PayloadConverter],
) -> None:
    """It comes back as the base class; as a hint it asks for what the functions do not give."""
    converter = make([MONEY])
    assert PRICE == _there_and_back(converter, Tip(Decimal("1.50"), "EUR"), Money)
    with pytest.raises(ConversionError, match="Tip: from_ of its CustomType returned a Money"):
        _there_and_back(converter, Tip(Decimal("1.50"), "EUR"), Tip)


@pytest.mark.parametrize("make", ENCODINGS)
def test_via_gives_from_a_value_of_the_type_that_to_returned(
    make: Callable[[Iterable[CustomType[Any]]], PayloadConverter],
) -> None:
    """Both encodings hand over the same types, whatever they write for them."""
    seen: list[Any] = []

    def from_(pair: tuple[Decimal, dt.datetime]) -> Money:
        seen.append(pair)
        return PRICE

    sent = (Decimal("1.50"), dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    kind = CustomType(Money, to=lambda _: sent, from_=from_, via=tuple[Decimal, dt.datetime])
    assert [PRICE] == _there_and_back(make([kind]), [PRICE], list[Money])
    assert [sent] == seen


def _fails(_: Any) -> Any:
    raise KeyError(SECRET)


def _three(_: Any) -> Any:
    return 3


@pytest.mark.parametrize("make", ENCODINGS)
@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (CustomType(Money, to=_fails, from_=money_from), "`to` of its CustomType raised KeyError"),
        (CustomType(Money, to=lambda m: m, from_=money_from), "returned a value of the same class"),
        (CustomType(Money, to=lambda _: object(), from_=money_from), "type object"),
        (CustomType(Money, to=money_to, from_=_fails), "from_ of its CustomType raised KeyError"),
        (CustomType(Money, to=money_to, from_=_three), "CustomType returned a int"),
        (
            CustomType(Money, to=lambda _: SECRET, from_=money_from, via=int),
            "Expected int, got str",
        ),
    ],
)
def test_a_function_that_fails_is_named_without_the_value(
    make: Callable[[Iterable[CustomType[Any]]], PayloadConverter],
    kind: CustomType[Any],
    problem: str,
    everything_said: Callable[[BaseException], str],
) -> None:
    """The error tells the class, the function and the kind of fault."""
    with pytest.raises(ConversionError, match=problem) as caught:
        _there_and_back(make([kind]), {"a": [PRICE]}, dict[str, list[Money]])
    assert SECRET not in everything_said(caught.value)
    assert caught.value.__context__ is None


def test_two_functions_for_one_class_are_refused() -> None:
    """Which of the two is meant cannot be told."""
    with pytest.raises(ConfigurationError, match="two custom types for Money"):
        JsonConverter([MONEY, MONEY])
    with pytest.raises(ConfigurationError, match="takes a class"):
        JsonConverter([CustomType(list[int], to=list, from_=list)])


def test_the_default_converters_share_the_custom_types() -> None:
    """JSON and MessagePack both know them, whichever is written."""
    for encoding in ("json/plain", "binary/msgpack"):
        converter = CompositePayloadConverter(*default_converters(encoding, types=[MONEY]))
        payload = converter.to_payload(PRICE)
        assert encoding.encode() == payload.metadata["encoding"]
        assert PRICE == converter.from_payload(payload, Money)


EXTENSION = MsgpackExtension(
    7, Money, lambda money: money_to(money).encode(), lambda data: money_from(data.decode())
)


class TestExtensions(_Custom):
    """`binary/msgpack` with an extension type keeps the contract of a converter."""

    def converter(self) -> PayloadConverter:
        return MsgpackConverter([TEMPERATURE], [EXTENSION])


def test_an_extension_comes_back_without_a_hint() -> None:
    """The code in the data says what it is."""
    converter = MsgpackConverter(extensions=[EXTENSION])
    assert {"a": [PRICE]} == _there_and_back(converter, {"a": [PRICE]})
    assert {3: PRICE} == _there_and_back(converter, {3: PRICE})


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: MsgpackExtension(-1, Money, _fails, _fails), "extension code -1"),
        (lambda: MsgpackExtension(128, Money, _fails, _fails), "extension code 128"),
        (
            lambda: MsgpackConverter(
                extensions=[EXTENSION, MsgpackExtension(7, Color, _fails, _fails)]
            ),
            "two extensions have the same code",
        ),
        (lambda: MsgpackConverter([MONEY], [EXTENSION]), "two custom types for Money"),
    ],
)
def test_extensions_that_cannot_work_are_refused(make: Callable[[], Any], problem: str) -> None:
    """Codes are 0 to 127 and mean one class each."""
    with pytest.raises(ConfigurationError, match=problem):
        make()


@pytest.mark.parametrize("hint", [None, Money, list[Money], int])
def test_extension_data_that_cannot_be_read_is_refused(
    hint: Any, everything_said: Callable[[BaseException], str]
) -> None:
    """What the user's function raises for a stranger's bytes is a `ConversionError`."""
    converter = MsgpackConverter(extensions=[EXTENSION])
    payload = converter.to_payload([PRICE])
    assert payload is not None
    payload.data = payload.data.replace(b"1.50", SECRET.encode()[:4])
    with pytest.raises(ConversionError) as caught:
        converter.from_payload(payload, hint)
    assert SECRET[:4] not in everything_said(caught.value)


@pytest.mark.parametrize("make", ENCODINGS)
def test_a_class_that_was_imported_twice_is_explained(
    make: Callable[[Iterable[CustomType[Any]]], PayloadConverter],
) -> None:
    """In the workflow sandbox a class can be another object than the one with the functions."""
    other = type("Money", (), {"__module__": Money.__module__, "__qualname__": "Money"})
    with pytest.raises(ConversionError, match="pass the module through the workflow sandbox"):
        make([MONEY]).to_payload(other())
    with pytest.raises(ConversionError, match="pass the module through the workflow sandbox"):
        _there_and_back(make([MONEY]), "1 EUR", other)

"""Workflows whose arguments are neither builtin types nor models."""

from dataclasses import dataclass
from datetime import timedelta

from sealwire_test_models import Order
from sealwire_test_money import Money, double
from temporalio import activity, workflow
from temporalio.common import RawValue
from temporalio.converter import TransferTypeConverter, transfer_type_convertible

LIMIT = timedelta(seconds=20)


@activity.defn
async def forward(raw: RawValue) -> RawValue:
    assert type(raw) is RawValue
    return raw


@workflow.defn
class Raw:
    """Takes one payload as it is and one as a model, and swaps them."""

    @workflow.run
    async def run(self, raw: RawValue, order: Order) -> RawValue:
        assert type(raw) is RawValue
        converter = workflow.payload_converter()
        (opened,) = converter.from_payloads([raw.payload], [Order])
        assert opened == order
        assert type(opened) is Order
        again = RawValue(converter.to_payload(opened))
        return await workflow.execute_activity(forward, again, start_to_close_timeout=LIMIT)


@dataclass
class Degrees:
    """What a `Temperature` is on its way."""

    celsius: float


class Temperature:
    def __init__(self, kelvin: float) -> None:
        self.kelvin = kelvin


class TemperatureConverter(TransferTypeConverter[Temperature, Degrees]):
    transfer_type = Degrees

    def to_transfer_type(self, value: Temperature) -> Degrees:
        return Degrees(value.kelvin - 273)

    def from_transfer_type(self, value: Degrees, type_hint: type[Temperature]) -> Temperature:
        assert type(value) is Degrees
        return type_hint(value.celsius + 273)


transfer_type_convertible(TemperatureConverter)(Temperature)


@activity.defn
async def heat(temperature: Temperature) -> Temperature:
    assert type(temperature) is Temperature
    return Temperature(temperature.kelvin + 1)


@workflow.defn
class Heat:
    @workflow.run
    async def run(self, temperature: Temperature) -> Temperature:
        assert type(temperature) is Temperature
        result = await workflow.execute_activity(heat, temperature, start_to_close_timeout=LIMIT)
        assert type(result) is Temperature
        return result


@workflow.defn
class Double:
    @workflow.run
    async def run(self, money: Money) -> Money:
        assert type(money) is Money
        result = await workflow.execute_activity(double, money, start_to_close_timeout=LIMIT)
        assert type(result) is Money
        return result

    @workflow.query
    def has_class(self, identity: int) -> bool:
        """Tells whether `Money` is the object that it is outside of the sandbox."""
        return id(Money) == identity

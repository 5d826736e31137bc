"""A class that no converter knows by itself, and a factory of converters that do."""

from __future__ import annotations

from temporalio import activity

from sealwire.converter import CompositePayloadConverter, CustomType, default_converters


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)

    def __str__(self) -> str:
        return f"{self.cents} cents"

    @classmethod
    def parse(cls, text: str) -> Money:
        return cls(int(text.removesuffix(" cents")))


def converters() -> CompositePayloadConverter:
    return CompositePayloadConverter(
        *default_converters(types=[CustomType(Money, to=str, from_=Money.parse)])
    )


@activity.defn
async def double(money: Money) -> Money:
    assert type(money) is Money
    return Money(money.cents * 2)

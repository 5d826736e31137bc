"""Models of every kind, and an activity that takes one of each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import attrs
import msgspec
import pydantic
from temporalio import activity, workflow


@dataclass
class Item:
    sku: str
    count: int
    price: Decimal


@dataclass
class Order:
    id: UUID
    placed: datetime
    items: list[Item]


@dataclass
class Card:
    number: str
    month: int


@dataclass
class Transfer:
    iban: str


class Customer(pydantic.BaseModel):
    name: str
    tags: set[str]
    age: int = pydantic.Field(ge=0)


class Parcel(msgspec.Struct):
    grams: int
    label: str | None = None


@attrs.define
class Note:
    text: str
    pages: tuple[int, ...] = ()


@dataclass
class Basket:
    order: Order
    payment: Card | Transfer
    customer: Customer
    parcel: Parcel
    note: Note


def make_basket(seed: int) -> Basket:
    return Basket(
        Order(
            UUID(int=seed),
            datetime(2026, 1, 2, tzinfo=UTC),
            [Item(f"sku-{n}", seed + n, Decimal("1.10")) for n in range(3)],
        ),
        Card("4111", seed % 12 + 1) if seed % 2 else Transfer(f"DE{seed}"),
        Customer(name=f"customer {seed}", tags={"a", "b", "c"}, age=seed),
        Parcel(seed, "fragile"),
        Note(f"note {seed}", (seed, seed + 1)),
    )


def check_types(basket: Basket) -> None:
    """Fails where a part is not of the very class that this module has."""
    assert type(basket) is Basket
    assert type(basket.order) is Order
    assert {type(item) for item in basket.order.items} == {Item}
    assert type(basket.payment) in (Card, Transfer)
    assert type(basket.customer) is Customer
    assert type(basket.parcel) is Parcel
    assert type(basket.note) is Note
    assert "Note" in repr(basket.note)  # attrs needs to pass through the sandbox for that


@activity.defn
async def pack(
    order: Order, payment: Card | Transfer, customer: Customer, parcel: Parcel, note: Note
) -> Basket:
    basket = Basket(order, payment, customer, parcel, note)
    check_types(basket)
    return basket


async def pack_in_activity(
    order: Order, payment: Card | Transfer, customer: Customer, parcel: Parcel, note: Note
) -> Basket:
    """What the workflows do: look at the arguments, send them on, look at the result."""
    check_types(Basket(order, payment, customer, parcel, note))
    basket = await workflow.execute_activity(
        pack,
        args=[order, payment, customer, parcel, note],
        start_to_close_timeout=timedelta(seconds=20),
    )
    check_types(basket)
    return basket

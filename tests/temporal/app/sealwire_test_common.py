"""A typed workflow of what the SDK's own converter knows in the sandbox; not passed through."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any, Literal, NewType, TypedDict
from uuid import UUID

from temporalio import activity, workflow

CustomerId = NewType("CustomerId", int)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Place(TypedDict):
    street: str
    number: int


@dataclass
class Line:
    sku: str
    count: int
    price: float
    colour: Colour | None = None


@dataclass
class Order:
    id: UUID
    customer: CustomerId
    lines: list[Line]
    place: Place
    level: Level
    kind: Literal["new", "used"]
    notes: dict[str, str | None] = field(default_factory=dict[str, str | None])
    tags: set[str] = field(default_factory=set[str])
    pair: tuple[int, str] = (0, "")


def order() -> Order:
    return Order(
        UUID(int=7),
        CustomerId(12),
        [Line("a", 2, 0.1), Line("b", 1, 1e300, Colour.BLUE)],
        Place(street="Höhenstraße 漢字", number=1),
        Level.HIGH,
        "used",
        {"first": "text", "second": None},
        {"x", "y"},
        (1, "one"),
    )


@activity.defn
async def total(order: Order, factor: float) -> tuple[Order, float]:
    assert type(order.lines[1].colour) is Colour
    return order, factor * sum(line.count * line.price for line in order.lines)


@activity.defn
async def raw(data: bytes, nothing: None, text: str) -> bytes | None:
    assert nothing is None
    return data if text else None


@workflow.defn
class Common:
    """Returns what came and went in every direction, as values and as text."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    @workflow.run
    async def run(self, order: Order, extra: dict[str, Any]) -> tuple[Order, list[Line], list[Any]]:
        limit = timedelta(seconds=20)
        same, sum_ = await workflow.execute_activity(
            total, args=[order, 2.0], start_to_close_timeout=limit
        )
        data = await workflow.execute_activity(
            raw, args=[b"\x00\xff", None, "text"], start_to_close_timeout=limit
        )
        nothing = await workflow.execute_activity(
            raw, args=[b"", None, ""], start_to_close_timeout=limit
        )
        await workflow.wait_condition(lambda: bool(self._lines))
        return same, self._lines, [sum_, repr(data), nothing, repr(same == order), extra]

    @workflow.signal
    def add(self, line: Line) -> None:
        self._lines.append(line)

    @workflow.update
    def change(self, index: int, line: Line) -> Line:
        self._lines.insert(index, line)
        return self._lines[0]

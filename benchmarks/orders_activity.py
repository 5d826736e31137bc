"""Models and an activity of `bench_workflows.py`, as an application has them.

Annotations are not postponed: the SDK would evaluate those of the models at every decode.
"""

from dataclasses import dataclass

from temporalio import activity


@dataclass
class Line:
    """A line of an order; about 43 bytes of JSON."""

    sku: str
    quantity: int
    price: float


@dataclass
class Order:
    """What the workflow and its activity take and return."""

    number: str
    customer: str
    lines: list[Line]


def order(lines: int) -> Order:
    """Make an order; 48 lines are 2 KiB of JSON, and 480 are 20 KiB."""
    return Order(
        "2025-000418",
        "C-20417",
        [Line(f"S{line * 7919 % 997:03}", 1 + line % 9, 10.25 + line) for line in range(lines)],
    )


@activity.defn
async def price(order: Order) -> Order:
    """Take a tenth off."""
    lines = [Line(line.sku, line.quantity, line.price * 0.9) for line in order.lines]
    return Order(order.number, order.customer, lines)

"""The workflow that `sealwire demo` runs: a payment, with personal data wherever data can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError


@dataclass
class Item:
    """One line of an order."""

    name: str
    price: float


@dataclass
class Order:
    """What a customer orders, and pays with."""

    customer: str
    card: str
    items: list[Item]


@dataclass
class Receipt:
    """What the customer gets."""

    customer: str
    total: float
    approved_by: str
    warning: str


ORDER: Final = Order(
    customer="Ada Lovelace",
    card="4111-1111-1111-1111",
    items=[Item("analytical engine", 1815.0), Item("punched cards", 12.5)],
)
APPROVER: Final = "Charles Babbage"
MEMO: Final = {"salesperson": "Mary Somerville"}
SECRETS: Final = (
    ORDER.customer,
    ORDER.card,
    *(item.name for item in ORDER.items),
    APPROVER,
    *MEMO.values(),
    "credit limit",  # in the failure's message and in its stack trace
)
"""What must not be found in anything the server stores."""


@activity.defn
async def charge(order: Order) -> float:
    """Charge the card; heartbeats carry data, too."""
    activity.heartbeat(f"charging {order.card}")
    return sum(item.price for item in order.items)


@activity.defn
async def check_credit(order: Order) -> None:
    """Fail with a message that nobody else should read."""
    raise ApplicationError(f"the credit limit of {order.customer} is exceeded", order.card)


@workflow.defn
class PaymentWorkflow:
    """Charge, wait for an approval, look at the credit, and give a receipt."""

    def __init__(self) -> None:
        self._approved_by = ""
        self._total: float | None = None

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        """Pay for `order`."""
        self._total = await workflow.execute_activity(
            charge, order, start_to_close_timeout=timedelta(seconds=10)
        )
        await workflow.wait_condition(lambda: bool(self._approved_by))
        warning = ""
        try:
            await workflow.execute_activity(
                check_credit,
                order,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as err:
            warning = str(err.cause)
        return Receipt(order.customer, self._total, self._approved_by, warning)

    @workflow.signal
    def approve(self, name: str) -> None:
        """Approve the payment."""
        self._approved_by = name

    @workflow.update
    async def charged(self) -> float:
        """Wait until the card is charged, and return the total."""
        await workflow.wait_condition(lambda: self._total is not None)
        return self._total or 0.0

    @workflow.query
    def status(self) -> str:
        """Tell how far the payment is."""
        if self._approved_by:
            return f"approved by {self._approved_by}"
        return "started" if self._total is None else "waits for an approval"

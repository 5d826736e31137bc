"""A workflow that takes and returns models of pydantic; the models pass through."""

from datetime import timedelta
from typing import Final

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from sealwire_test_pydantic_models import Order, Receipt

LIMIT: Final = timedelta(seconds=20)


@activity.defn
async def receive(order: Order) -> Receipt:
    assert type(order) is Order
    return Receipt(order=order, lines=[line.model_copy() for line in order.lines])


@workflow.defn
class Selling:
    """Returns the receipts of an order and of the one that it is told."""

    def __init__(self) -> None:
        self._told: Order | None = None

    @workflow.run
    async def run(self, order: Order) -> list[Receipt]:
        assert type(order) is Order
        await workflow.wait_condition(lambda: self._told is not None)
        assert type(self._told) is Order
        return [
            await workflow.execute_activity(receive, each, start_to_close_timeout=LIMIT)
            for each in (order, self._told)
        ]

    @workflow.signal
    def tell(self, order: Order) -> None:
        self._told = order

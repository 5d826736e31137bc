"""Workflows whose models are imported again in every run."""

from sealwire_test_models import (
    Basket,
    Card,
    Customer,
    Note,
    Order,
    Parcel,
    Transfer,
    pack_in_activity,
)
from temporalio import workflow


@workflow.defn
class Typed:
    @workflow.run
    async def run(
        self,
        order: Order,
        payment: Card | Transfer,
        customer: Customer,
        parcel: Parcel,
        note: Note,
    ) -> Basket:
        return await pack_in_activity(order, payment, customer, parcel, note)


@workflow.defn
class Untyped:
    """Imports the models, too, and converts none of them."""

    @workflow.run
    async def run(self, text: str) -> str:
        return text

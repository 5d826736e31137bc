"""The same workflow; its models pass through the sandbox."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
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


@workflow.defn
class TypedPassed:
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

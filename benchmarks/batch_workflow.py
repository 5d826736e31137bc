"""The workflow whose history `bench_workflows.py` replays."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orders_activity import Order, price


@workflow.defn
class BatchWorkflow:
    """Many activities one after the other: a long history."""

    @workflow.run
    async def run(self, order: Order, activities: int) -> Order:
        """Price an order again and again."""
        for _ in range(activities):
            order = await workflow.execute_activity(
                price, order, start_to_close_timeout=timedelta(seconds=30)
            )
        return order

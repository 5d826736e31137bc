"""The workflow of `bench_workflows.py`, in a module that the sandbox imports anew for each run.

Its models pass through the sandbox, as Temporal recommends it. A workflow for something else has a
module of its own: what stands here is executed again in every run.
"""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from orders_activity import Order, price


@workflow.defn
class OrderWorkflow:
    """One activity, which takes the workflow's argument and returns its result."""

    @workflow.run
    async def run(self, order: Order) -> Order:
        """Price an order."""
        return await workflow.execute_activity(
            price, order, start_to_close_timeout=timedelta(seconds=30)
        )

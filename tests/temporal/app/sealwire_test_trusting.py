"""A workflow that takes whatever an activity returns."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow


@activity.defn
async def outside() -> None:
    activity.raise_complete_async()


@workflow.defn
class Trusting:
    @workflow.run
    async def run(self) -> str:
        value: Any = await workflow.execute_activity(
            "outside", activity_id="outside", start_to_close_timeout=timedelta(seconds=20)
        )
        return str(value)

"""A workflow that keeps a subject's data for a while; not passed through."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def look_up(subject: str) -> str:
    return f"MARKER-record of {subject}"


@workflow.defn
class KeepRecord:
    def __init__(self) -> None:
        self._told = ""

    @workflow.run
    async def run(self, subject: str) -> str:
        record = await workflow.execute_activity(
            look_up, subject, start_to_close_timeout=timedelta(seconds=20)
        )
        await workflow.wait_condition(lambda: bool(self._told))
        return f"{record}, {self._told}"

    @workflow.signal
    def tell(self, text: str) -> None:
        self._told = text

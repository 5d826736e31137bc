"""A workflow for schedules, with a marker in what it returns."""

from temporalio import workflow


@workflow.defn
class Scheduled:
    """Returns the last run's result with its own."""

    @workflow.run
    async def run(self, text: str) -> str:
        last = ""
        if workflow.has_last_completion_result():
            last = f" after {workflow.get_last_completion_result(str)}"
        return f"MARKER-run of {text}{last}"

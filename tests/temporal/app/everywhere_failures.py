"""Workflows and activities that fail, with markers in all that failures store."""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, CancelledError

LIMIT: Final = timedelta(seconds=20)
ONCE: Final = RetryPolicy(maximum_attempts=1)


def failure(text: str) -> ApplicationError:
    """An error with a cause, which has a cause."""
    try:
        try:
            raise CancelledError("MARKER-first-cause", "MARKER-first-detail")
        except CancelledError as err:
            raise ApplicationError("MARKER-cause", {"detail": "MARKER-cause-detail"}) from err
    except ApplicationError as err:
        made = ApplicationError(f"MARKER-message {text}", "MARKER-detail", 2, type="OutOfStock")
        made.__cause__ = err
        return made


@activity.defn
async def fail(text: str) -> None:
    raise failure(text)  # MARKER-source-line


@workflow.defn
class Failing:
    @workflow.run
    async def run(self, text: str) -> None:
        raise failure(text)  # MARKER-source-line


@workflow.defn
class FailingParts:
    """Fails with an activity, a local activity or a child workflow."""

    @workflow.run
    async def run(self, part: str, text: str) -> None:
        if part == "activity":
            await workflow.execute_activity(
                fail, text, start_to_close_timeout=LIMIT, retry_policy=ONCE
            )
        elif part == "local":
            await workflow.execute_local_activity(
                fail, text, start_to_close_timeout=LIMIT, retry_policy=ONCE
            )
        else:
            await workflow.execute_child_workflow(Failing.run, text)


@workflow.defn
class FailingTask:
    """Raises an error that fails the task and not the workflow."""

    @workflow.run
    async def run(self, text: str) -> None:
        raise RuntimeError(f"MARKER-bug {text}")  # MARKER-source-line


@workflow.defn
class Recurring:
    """Succeeds, fails, and then knows of the last two runs."""

    def __init__(self) -> None:
        self._known: list[Any] = []

    @workflow.run
    async def run(self, text: str) -> str:
        if not workflow.has_last_completion_result():
            return f"MARKER-last-result {text}"
        error = workflow.get_last_failure()
        if error is None:
            raise failure(text)
        assert isinstance(error, ApplicationError)
        result = workflow.get_last_completion_result(str)
        self._known = [result, error.message, *error.details]
        await workflow.wait_condition(lambda: False)
        return ""

    @workflow.query
    def known(self) -> list[Any]:
        return self._known

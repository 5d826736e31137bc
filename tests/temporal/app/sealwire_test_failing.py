"""Activities and workflows that fail in several ways; not passed through."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError


class CardDeclinedError(Exception):
    """An exception whose name tells something."""


ATTEMPTS: dict[str, int] = {}


@activity.defn
async def charge(workflow_id: str, how: str) -> None:
    ATTEMPTS[workflow_id] = ATTEMPTS.get(workflow_id, 0) + 1
    if how == "plain":
        raise CardDeclinedError("MARKER-message")
    try:
        raise KeyError("MARKER-cause")
    except KeyError as err:
        raise ApplicationError("MARKER-message", "MARKER-detail", type=how) from err


@activity.defn
def charge_in_thread(workflow_id: str, how: str) -> None:
    ATTEMPTS[workflow_id] = ATTEMPTS.get(workflow_id, 0) + 1
    raise ApplicationError("MARKER-message", type=how)


POLICY = RetryPolicy(
    initial_interval=timedelta(milliseconds=10),
    maximum_attempts=3,
    non_retryable_error_types=["CardDeclinedError"],
)


@workflow.defn
class Shop:
    """Charges, and says how it failed; or fails itself with what it caught."""

    @workflow.run
    async def run(self, function: str, how: str, rethrow: bool) -> Any:
        local = function == "local"
        execute: Any = workflow.execute_local_activity if local else workflow.execute_activity
        try:
            await execute(
                "charge" if local else function,
                args=[workflow.info().workflow_id, how],
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=POLICY,
            )
        except FailureError as err:
            if rethrow:
                raise
            # Of a local activity, the SDK raises the failure itself.
            cause: Any = err.cause if isinstance(err, ActivityError) else err
            return [cause.type, cause.message, cause.non_retryable]


@workflow.defn
class Insolvent:
    """Fails with a type, at each attempt."""

    @workflow.run
    async def run(self, type_: str) -> None:
        raise ApplicationError(f"MARKER-message {workflow.info().attempt}", type=type_)


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, type_: str) -> None:
        await workflow.execute_child_workflow(
            Insolvent.run,
            type_,
            id=f"{workflow.info().workflow_id}-child",
            retry_policy=POLICY,
        )


WORKFLOWS: list[Any] = [Shop, Insolvent, Parent]
ACTIVITIES: list[Any] = [charge, charge_in_thread]

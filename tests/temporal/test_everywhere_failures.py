"""Messages, stack traces and details of failures are sealed, wherever they are stored."""

from __future__ import annotations

import asyncio
from typing import Any

import everywhere_failures as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
)

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle = WorkflowHandle[Any, Any]


@pytest.fixture(scope="module")
def application() -> Application:
    workflows = [app.Failing, app.FailingParts, app.FailingTask, app.Recurring]
    return Application(workflows, [app.fail])


def told(error: BaseException | None) -> list[Any]:
    """What a failure and its causes say, as far as they are the application's."""
    found: list[Any] = []
    while isinstance(error, FailureError):
        if isinstance(error, ApplicationError | CancelledError):
            found.append([error.message, *error.details])
        error = error.cause
    return found


EXPECTED: list[list[Any]] = [
    ["MARKER-message MARKER-text", "MARKER-detail", 2],
    ["MARKER-cause", {"detail": "MARKER-cause-detail"}],
    ["MARKER-first-cause", "MARKER-first-detail"],
]


async def test_failures(stage: Stage, unique: str) -> None:
    """Message, details, stack trace and causes of a workflow's failure are sealed."""
    with pytest.raises(WorkflowFailureError) as caught:
        await stage.client.execute_workflow(
            app.Failing.run, "MARKER-text", id=unique, task_queue=stage.queue
        )
    assert told(caught.value.cause) == EXPECTED
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.type == "OutOfStock"


async def test_failures_of_parts(stage: Stage, unique: str) -> None:
    """The same of activities, local activities and children, on their way to the client."""
    kinds = {"activity": ActivityError, "local": ApplicationError, "child": ChildWorkflowError}
    for part, kind in kinds.items():
        with pytest.raises(WorkflowFailureError) as caught:
            await stage.client.execute_workflow(
                app.FailingParts.run,
                args=[part, "MARKER-text"],
                id=f"{unique}-{part}",
                task_queue=stage.queue,
            )
        assert isinstance(caught.value.cause, kind)
        assert told(caught.value.cause) == EXPECTED


async def test_failed_tasks(stage: Stage, unique: str) -> None:
    """The error that fails a workflow task is sealed in the history."""
    handle: Handle = await stage.client.start_workflow(
        app.FailingTask.run, "MARKER-text", id=unique, task_queue=stage.queue
    )
    failure = await stage.event(handle, "workflow_task_failed_event_attributes")
    error = await stage.client.data_converter.decode_failure(failure.failure)
    assert isinstance(error, ApplicationError)
    assert error.message == "MARKER-bug MARKER-text"
    await handle.terminate()


async def test_last_result_and_failure(stage: Stage, unique: str) -> None:
    """What a recurring workflow is told of its last runs is sealed."""
    await stage.client.start_workflow(
        app.Recurring.run,
        "MARKER-text",
        id=unique,
        task_queue=stage.queue,
        cron_schedule="@every 1s",
    )
    latest: Handle = stage.client.get_workflow_handle(unique)
    known: list[Any] = []
    while not known:
        await asyncio.sleep(0.05)
        known = await latest.query(app.Recurring.known)
    assert ["MARKER-last-result MARKER-text", *EXPECTED[0]] == known
    await latest.terminate()

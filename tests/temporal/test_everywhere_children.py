"""Everything that workflows tell their successors and children is sealed."""

from __future__ import annotations

from typing import Any

import everywhere_children as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError, TerminatedError

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle = WorkflowHandle[Any, Any]


@pytest.fixture(scope="module")
def application() -> Application:
    return Application([app.Parent, app.Child, app.Again, app.Stopped], [app.beat])


async def test_children(stage: Stage, unique: str) -> None:
    """What a child is given, told and returns is sealed, its memo and summary too."""
    result = await stage.client.execute_workflow(
        app.Parent.run, "MARKER-text", id=unique, task_queue=stage.queue
    )
    succeeded = "MARKER-child-result MARKER-text MARKER-signal"
    failed = ["MARKER-child-failed MARKER-text", "MARKER-child-detail"]
    assert [succeeded, failed, "cancelled"] == result


async def test_continue_as_new(stage: Stage, unique: str) -> None:
    """Arguments and memo of the next run are sealed in both runs."""
    result = await stage.client.execute_workflow(
        app.Again.run,
        "MARKER-first",
        id=unique,
        task_queue=stage.queue,
        memo={"note": "MARKER-first-memo"},
    )
    assert ["MARKER-first MARKER-second", "MARKER-second-memo"] == result


async def beating(stage: Stage, unique: str) -> Handle:
    handle: Handle = await stage.client.start_workflow(
        app.Stopped.run, "MARKER-text", id=unique, task_queue=stage.queue
    )
    stranger = stage.stranger.get_workflow_handle(unique)
    while True:
        pending = (await stranger.describe()).raw_description.pending_activities
        if any(found.HasField("heartbeat_details") for found in pending):
            return handle


async def test_termination(stage: Stage, unique: str) -> None:
    """Details of a termination are sealed, its reason is not."""
    handle = await beating(stage, unique)
    await handle.terminate("MARKER-details", 2, reason="MARKER-reason")
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, TerminatedError)
    assert caught.value.cause.message == "MARKER-reason"
    assert ["MARKER-details", 2] == list(caught.value.cause.details)


async def test_cancellation(stage: Stage, unique: str) -> None:
    """A cancelled workflow ends as it would without sealwire."""
    handle = await beating(stage, unique)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, CancelledError)


async def test_reset(stage: Stage, unique: str) -> None:
    """A reset copies sealed payloads as they are; its reason is in clear."""
    handle = await beating(stage, unique)
    completed = [
        event.event_id
        for event in (await handle.fetch_history()).events
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    answer = await stage.stranger.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=unique),
            reason="MARKER-reason",
            workflow_task_finish_event_id=completed[-1],
            request_id=unique,
        )
    )
    again: Handle = stage.client.get_workflow_handle(unique, run_id=answer.run_id)
    await again.cancel()
    with pytest.raises(WorkflowFailureError) as caught:
        await again.result()
    assert isinstance(caught.value.cause, CancelledError)

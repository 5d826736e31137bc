"""Everything that activities store is sealed: docs/reference/what-is-sealed.md says where."""

from __future__ import annotations

from typing import Any

import everywhere_activities as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.enums.v1 import EventType
from temporalio.client import AsyncActivityHandle, WorkflowHandle
from temporalio.exceptions import ApplicationError

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle = WorkflowHandle[Any, Any]
RESUMED = app.Resumed()
ELSEWHERE = app.Elsewhere()


@pytest.fixture(scope="module")
def application() -> Application:
    return Application(
        [app.Greetings, app.Resuming, app.TimingOut, app.Waiting],
        [app.greet, app.greet_in_thread, RESUMED.resume, app.hang, ELSEWHERE.elsewhere],
    )


async def test_activities(stage: Stage, unique: str) -> None:
    """Arguments and results of async, threaded and local activities are sealed."""
    result = await stage.client.execute_workflow(
        app.Greetings.run, "MARKER-name", id=unique, task_queue=stage.queue
    )
    greeting = "MARKER-greeting of MARKER-name"
    assert [greeting, f"{greeting} in a thread", greeting] == result


async def test_heartbeats(stage: Stage, unique: str) -> None:
    """Heartbeat details and the failure of an attempt are sealed, and the next attempt has them."""
    RESUMED.looked.clear()
    handle: Handle = await stage.client.start_workflow(
        app.Resuming.run, "MARKER-start", id=unique, task_queue=stage.queue
    )
    pending: list[Any] = []
    while not any(found.HasField("last_failure") for found in pending):
        stranger = stage.stranger.get_workflow_handle(unique)
        pending = list((await stranger.describe()).raw_description.pending_activities)
    RESUMED.looked.set()
    assert ["MARKER-start", {"at": "MARKER-position"}] == await handle.result()


async def test_timeouts(stage: Stage, unique: str) -> None:
    """A timeout, of whichever kind, brings the last heartbeat with it, if there was one, sealed."""
    handle: Handle = await stage.client.start_workflow(
        app.TimingOut.run, "MARKER-beat", id=unique, task_queue=stage.queue
    )
    kinds = ["START_TO_CLOSE", "SCHEDULE_TO_CLOSE", "HEARTBEAT"]
    expected = [*([kind, "MARKER-beat"] for kind in kinds), ["SCHEDULE_TO_START"]]
    assert expected == await handle.result()
    inputs = [
        event.activity_task_scheduled_event_attributes.input.payloads
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    # That of the activity which no worker has taken can be read, too.
    decoded = [await stage.client.data_converter.decode(each) for each in inputs]
    assert [["MARKER-beat"]] * len(expected) == decoded


async def waiting(stage: Stage, unique: str, by_id: bool) -> tuple[Handle, AsyncActivityHandle]:
    handle: Handle = await stage.client.start_workflow(
        app.Waiting.run, "MARKER-text", id=unique, task_queue=stage.queue
    )
    token = await ELSEWHERE.tokens.get()
    if not by_id:
        return handle, stage.client.get_async_activity_handle(task_token=token)
    return handle, stage.client.get_async_activity_handle(
        workflow_id=unique, run_id=handle.first_execution_run_id, activity_id="elsewhere"
    )


async def complete(stage: Stage, unique: str, by_id: bool) -> None:
    handle, activity = await waiting(stage, f"{unique}-complete", by_id)
    await activity.heartbeat("MARKER-beat")
    await activity.complete("MARKER-result")
    assert await handle.result() == "MARKER-result"


async def fail(stage: Stage, unique: str, by_id: bool) -> None:
    handle, activity = await waiting(stage, f"{unique}-fail", by_id)
    error = ApplicationError("MARKER-message", "MARKER-detail")
    await activity.fail(error, last_heartbeat_details=["MARKER-last"])
    assert ["MARKER-message", "MARKER-detail"] == await handle.result()


async def cancel(stage: Stage, unique: str, by_id: bool) -> None:
    handle, activity = await waiting(stage, f"{unique}-cancel", by_id)
    await handle.signal(app.Waiting.cancel)
    await stage.event(handle, "activity_task_cancel_requested_event_attributes")
    await activity.report_cancellation("MARKER-cancelled")
    assert ["cancelled", "MARKER-cancelled"] == await handle.result()


async def test_completion_by_token(stage: Stage, unique: str) -> None:
    """What somebody else reports about an activity, with its token, is sealed."""
    for report in (complete, fail, cancel):
        await report(stage, unique, by_id=False)


async def test_completion_by_id(stage: Stage, unique: str) -> None:
    """What somebody else reports about an activity, with its id, is sealed."""
    for report in (complete, fail, cancel):
        await report(stage, unique, by_id=True)

"""Everything that Nexus operations carry from one namespace to another is sealed."""

from __future__ import annotations

from typing import Any

import everywhere_nexus as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.failure.v1 import Failure
from temporalio.client import WorkflowHandle

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle = WorkflowHandle[Any, Any]


@pytest.fixture(scope="module")
def application() -> Application:
    return Application([app.Visitor, app.Work], nexus=[app.DeskHandler()])


async def start(stage: Stage, unique: str, operation: str, text: str) -> Handle:
    name = f"{unique}-{operation}-{text}"
    return await stage.client.start_workflow(
        app.Visitor.run,
        args=[await stage.endpoint(name), operation, f"MARKER-{text}"],
        id=name,
        task_queue=stage.queue,
    )


async def told(stage: Stage, failure: Failure) -> list[Any]:
    return app.told(await stage.client.data_converter.decode_failure(failure))


def refused(text: str) -> list[Any]:
    cause = ["ApplicationError MARKER-handler-cause", "MARKER-handler-detail"]
    return [[f"HandlerError MARKER-handler-failed {text}"], cause]


async def test_operations(stage: Stage, unique: str) -> None:
    """Arguments, results and summaries of operations are sealed, in both namespaces."""
    called = [await start(stage, unique, operation, "x") for operation in ("ask", "work")]
    answers = [await handle.result() for handle in called]
    assert [["MARKER-answer to MARKER-x"], ["MARKER-worked on MARKER-x"]] == answers


async def test_failed_operations(stage: Stage, unique: str) -> None:
    """What failures of operations and of their handlers say is sealed, and arrives."""
    expected = {
        ("ask", "fail"): [
            ["ApplicationError OperationError: MARKER-operation-failed MARKER-fail"],
            ["ApplicationError MARKER-operation-cause", "MARKER-operation-detail"],
        ],
        ("ask", "cancel"): [
            ["CancelledError"],
            ["ApplicationError MARKER-operation-cause", "MARKER-operation-detail"],
        ],
        ("ask", "refuse"): refused("MARKER-refuse"),
        ("work", "fail"): [
            ["ApplicationError MARKER-work-failed MARKER-fail", "MARKER-work-detail"]
        ],
        ("work", "wait"): [["CancelledError"]],
    }
    for (operation, text), failures in expected.items():
        handle = await start(stage, unique, operation, text)
        assert failures == await handle.result()


async def pending(stage: Stage, handle: Handle) -> Failure:
    """What the server says of a pending operation whose last attempt has failed."""
    stranger = stage.stranger.get_workflow_handle(handle.id)
    while True:
        for found in (await stranger.describe()).raw_description.pending_nexus_operations:
            for attempt in (found, found.cancellation_info):
                if attempt.HasField("last_attempt_failure"):
                    return attempt.last_attempt_failure


async def test_pending_operations(stage: Stage, unique: str) -> None:
    """The failure of an attempt, to call or to cancel, is sealed while the next is awaited."""
    called = await start(stage, unique, "ask", "retry")
    assert refused("MARKER-retry") == await told(stage, await pending(stage, called))
    held = await start(stage, unique, "hold", "retry")
    assert refused("MARKER-cancel") == (await told(stage, await pending(stage, held)))[1:]
    for handle in (called, held):
        await handle.terminate()


async def test_failed_cancellations(stage: Stage, unique: str) -> None:
    """The failure of a request to cancel is sealed."""
    handle = await start(stage, unique, "hold", "once")
    failed = await stage.event(handle, "nexus_operation_cancel_request_failed_event_attributes")
    assert refused("MARKER-cancel") == (await told(stage, failed.failure))[1:]
    await handle.terminate()

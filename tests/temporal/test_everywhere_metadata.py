"""Memos, summaries and details are sealed; search attributes are not."""

from __future__ import annotations

from typing import Any

import everywhere_annotated as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecution, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle = WorkflowHandle[Any, Any]
MEMO = {"kept": "MARKER-memo", "removed": "MARKER-removed-memo"}
LATER = {"kept": "MARKER-memo", "added": "MARKER-added-memo"}


@pytest.fixture(scope="module")
def application() -> Application:
    return Application([app.Annotated], [app.note])


async def start(stage: Stage, unique: str) -> Handle:
    return await stage.client.start_workflow(
        app.Annotated.run,
        id=unique,
        task_queue=stage.queue,
        memo=MEMO,
        static_summary="MARKER-summary",
        static_details="MARKER-details",
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(app.TICKET, "MARKER-first-ticket")]
        ),
    )


async def listed(stage: Stage, unique: str, condition: str = "") -> WorkflowExecution:
    """The workflow as visibility has it, once it is there; the control's are on the same server."""
    while True:
        async for found in stage.client.list_workflows(f"WorkflowId = '{unique}' {condition}"):
            return found


async def test_memos(stage: Stage, unique: str) -> None:
    """A memo is sealed from the start to the last change, in descriptions and in lists."""
    handle = await start(stage, unique)
    await handle.signal(app.Annotated.end)
    assert await handle.result() == LATER
    # The server removes a field when it sees a null, which it does not in a sealed payload.
    described = LATER | {"removed": None} if stage.sealed else LATER
    assert described == dict(await (await handle.describe()).memo())
    while described != dict(await (await listed(stage, unique)).memo()):
        pass


async def test_summaries(stage: Stage, unique: str) -> None:
    """Summaries and details of workflows, activities, timers and groups of events are sealed."""
    handle = await start(stage, unique)
    await handle.signal(app.Annotated.end)
    await handle.result()
    described = await handle.describe()
    assert "MARKER-summary" == await described.static_summary()
    assert "MARKER-details" == await described.static_details()
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert "MARKER-current-details" == metadata.current_details
    assert "MARKER-signal-description" in {
        handler.description for handler in metadata.definition.signal_definitions
    }
    converter = stage.client.data_converter
    summaries = {
        (await converter.decode([event.user_metadata.summary]))[0]
        for event in (await handle.fetch_history()).events
        if event.user_metadata.HasField("summary")
    }
    names = ("", "activity-", "local-", "timer-")
    assert {f"MARKER-{name}summary" for name in names} == summaries


async def test_search_attributes(stage: Stage, unique: str) -> None:
    """Search attributes are in clear, because the server searches them."""
    handle = await start(stage, unique)
    await handle.signal(app.Annotated.end)
    await handle.result()
    found = await listed(stage, unique, "AND Ticket = 'MARKER-second-ticket'")
    assert "MARKER-second-ticket" == found.typed_search_attributes[app.TICKET]

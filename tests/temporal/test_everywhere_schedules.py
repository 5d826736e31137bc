"""Everything of the user's that a schedule stores is sealed."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import everywhere_scheduled as app
import pytest
from everywhere_places import is_marked
from everywhere_stage import Application, Stage
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

DAY = timedelta(days=1)
TICKET = TypedSearchAttributes(
    [SearchAttributePair(SearchAttributeKey.for_keyword("Ticket"), "MARKER-ticket")]
)


@pytest.fixture(scope="module")
def application() -> Application:
    return Application([app.Scheduled])


async def create(stage: Stage, unique: str) -> ScheduleHandle:
    action = ScheduleActionStartWorkflow(
        app.Scheduled.run,
        "MARKER-argument",
        id=f"{unique}-run",
        task_queue=stage.queue,
        memo={"note": "MARKER-run-memo"},
        static_summary="MARKER-summary",
        static_details="MARKER-details",
        typed_search_attributes=TICKET,
    )
    schedule = Schedule(
        action,
        ScheduleSpec(intervals=[ScheduleIntervalSpec(DAY)]),
        state=ScheduleState(note="MARKER-note"),
    )
    return await stage.client.create_schedule(
        unique, schedule, memo={"note": "MARKER-schedule-memo"}, search_attributes=TICKET
    )


async def runs(handle: ScheduleHandle, count: int) -> list[str]:
    """The ids of the workflows that the schedule has started, once there are as many."""
    while True:
        actions = (await handle.describe()).info.recent_actions
        if len(actions) >= count:
            started: list[Any] = [item.action for item in actions]
            return [item.workflow_id for item in started]


async def test_schedules(stage: Stage, unique: str) -> None:
    """Arguments, memos and summaries of a schedule are sealed, and so is what its runs pass on."""
    handle = await create(stage, unique)
    await handle.trigger()
    (first,) = await runs(handle, 1)
    result: Any = await stage.client.get_workflow_handle(first).result()
    assert result == "MARKER-run of MARKER-argument"

    now = datetime.now(UTC)
    await handle.backfill(ScheduleBackfill(now - 1.5 * DAY, now - 0.5 * DAY))
    _, second = await runs(handle, 2)
    again = await stage.client.get_workflow_handle(second).result()
    assert f"MARKER-run of MARKER-argument after {result}" == again
    await handle.delete()


async def test_described_schedules(stage: Stage, unique: str) -> None:
    """A schedule is described, changed and listed with what it was made of."""
    handle = await create(stage, unique)

    async def change(found: ScheduleUpdateInput) -> ScheduleUpdate:
        action = found.description.schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        described = await stage.client.data_converter.decode(action.args)
        assert ["MARKER-argument"] == described
        changed = dataclasses.replace(found.description.schedule, action=action)
        action.args = ["MARKER-changed"]
        return ScheduleUpdate(changed, search_attributes=TICKET)

    await handle.update(change)
    await handle.trigger()
    (started,) = await runs(handle, 1)
    result = await stage.client.get_workflow_handle(started).result()
    assert result == "MARKER-run of MARKER-changed"
    assert {"note": "MARKER-schedule-memo"} == await (await handle.describe()).memo()

    async def listed() -> dict[str, Any]:
        async for item in await stage.client.list_schedules():
            if item.id == unique:
                return dict(await item.memo())
        return {}

    while not (memo := await listed()):
        pass
    assert {"note": "MARKER-schedule-memo"} == memo
    await handle.delete()


async def test_the_scheduler_keeps_sealed_payloads(module_stage: Stage, unique: str) -> None:
    """The server's own workflow behind a schedule has the sealed payloads, in its own messages."""
    handle = await create(module_stage, unique)
    await handle.trigger()
    await runs(handle, 1)
    scheduler = module_stage.stranger.get_workflow_handle(f"temporal-sys-scheduler:{unique}")
    events = (await scheduler.fetch_history()).events
    data = b"".join(event.SerializeToString() for event in events)
    for clear in (b"MARKER-note", b"MARKER-ticket"):
        assert clear in data
        data = data.replace(clear, b"")
    assert is_marked(data) != module_stage.sealed
    await handle.delete()

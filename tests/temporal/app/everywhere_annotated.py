"""A workflow with a memo, search attributes, summaries and headers, all with markers."""

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey

LIMIT: Final = timedelta(seconds=20)
TICKET: Final = SearchAttributeKey.for_keyword("Ticket")


@activity.defn
async def note(text: str) -> str:
    return text


@workflow.defn
class Annotated:
    """Waits, until it is told to end, with annotations on all that it has done."""

    def __init__(self) -> None:
        self._ended = False

    @workflow.run
    async def run(self) -> dict[str, Any]:
        assert workflow.memo_value("kept") == "MARKER-memo"
        workflow.upsert_memo({"added": "MARKER-added-memo", "removed": None})
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [TICKET.value_set("MARKER-second-ticket")]
        )
        workflow.set_current_details("MARKER-current-details")
        group = workflow.create_event_group("group", label="MARKER-group-label")
        with group.scope():
            timer = asyncio.create_task(workflow.sleep(20, summary="MARKER-timer-summary"))
        await workflow.execute_activity(
            note, "", start_to_close_timeout=LIMIT, summary="MARKER-activity-summary"
        )
        await workflow.execute_local_activity(
            note, "", start_to_close_timeout=LIMIT, summary="MARKER-local-summary"
        )
        await workflow.wait_condition(lambda: self._ended)
        timer.cancel()
        return dict(workflow.memo())

    @workflow.signal(description="MARKER-signal-description")
    def end(self) -> None:
        self._ended = True

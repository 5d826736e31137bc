"""Workflows that start, succeed and stop other workflows, with markers in all that they store."""

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import (
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.exceptions import ApplicationError, CancelledError, ChildWorkflowError

TICKET: Final = TypedSearchAttributes(
    [SearchAttributePair(SearchAttributeKey.for_keyword("Ticket"), "MARKER-ticket")]
)


@workflow.defn
class Child:
    """Answers a signal; fails if the signal says so."""

    def __init__(self) -> None:
        self._signal = ""

    @workflow.run
    async def run(self, text: str) -> str:
        await workflow.wait_condition(lambda: bool(self._signal))
        if "fail" in self._signal:
            raise ApplicationError(f"MARKER-child-failed {text}", "MARKER-child-detail")
        return f"MARKER-child-result {text} {self._signal}"

    @workflow.signal
    def tell(self, text: str) -> None:
        self._signal = text


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, text: str) -> list[Any]:
        return [
            await self._one(text, "MARKER-signal"),
            await self._one(text, "MARKER-fail"),
            await self._one(text, None),
        ]

    async def _one(self, text: str, signal: str | None) -> Any:
        child = await workflow.start_child_workflow(
            Child.run,
            text,
            memo={"note": "MARKER-child-memo"},
            static_summary="MARKER-child-summary",
            static_details="MARKER-child-details",
            search_attributes=TICKET,
        )
        if signal is None:
            child.cancel()
        else:
            await child.signal(Child.tell, signal)
        try:
            return await child
        except ChildWorkflowError as err:
            if isinstance(err.cause, CancelledError):
                return "cancelled"
            cause: Any = err.cause
            return [cause.message, *cause.details]


@workflow.defn
class Again:
    """Runs a second time with another argument and another memo."""

    @workflow.run
    async def run(self, text: str) -> list[Any]:
        if not workflow.info().continued_run_id:
            memo = {"note": "MARKER-second-memo"}
            second = f"{text} MARKER-second"
            workflow.continue_as_new(second, memo=memo, search_attributes=TICKET)
        return [text, workflow.memo_value("note")]


@activity.defn
async def beat(text: str) -> None:
    while True:
        activity.heartbeat(text)
        await asyncio.sleep(0.05)


@workflow.defn
class Stopped:
    """Waits for an activity that does not end."""

    @workflow.run
    async def run(self, text: str) -> None:
        await workflow.execute_activity(
            beat,
            f"MARKER-beat of {text}",
            start_to_close_timeout=timedelta(seconds=20),
            heartbeat_timeout=timedelta(seconds=5),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )

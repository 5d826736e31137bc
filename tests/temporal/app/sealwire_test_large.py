"""Workflows whose payloads are large, for what counts as large in a test."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow

TIMEOUT = timedelta(seconds=30)


def turned(document: bytes) -> bytes:
    """Another document of the same size."""
    return document[1:] + document[:1]


@activity.defn
async def turn(document: bytes) -> bytes:
    return turned(document)


@activity.defn
async def hold(document: bytes) -> None:
    """Show a large heartbeat until the end."""
    while True:
        activity.heartbeat(document)
        await asyncio.sleep(0.05)


@workflow.defn
class TurnOnce:
    @workflow.run
    async def run(self, document: bytes) -> bytes:
        return turned(document)


@workflow.defn
class TurnOften:
    """Turn a document a few times, then wait for another one."""

    def __init__(self) -> None:
        self.other: bytes | None = None

    @workflow.run
    async def run(self, document: bytes, times: int) -> bytes:
        for _ in range(times):
            document = await workflow.execute_activity(
                turn, document, start_to_close_timeout=TIMEOUT
            )
        document = await workflow.execute_child_workflow(TurnOnce.run, document)
        await workflow.wait_condition(lambda: self.other is not None)
        return document + (self.other or b"")

    @workflow.signal
    def tell(self, other: bytes) -> None:
        self.other = other

    @workflow.query
    def ask(self) -> bytes | None:
        return self.other


@workflow.defn
class Hold:
    @workflow.run
    async def run(self, document: bytes) -> None:
        await workflow.execute_activity(
            hold,
            turned(document),
            start_to_close_timeout=TIMEOUT,
            heartbeat_timeout=TIMEOUT,
            cancellation_type=workflow.ActivityCancellationType.ABANDON,
        )


WORKFLOWS = [TurnOnce, TurnOften, Hold]
ACTIVITIES = [turn, hold]

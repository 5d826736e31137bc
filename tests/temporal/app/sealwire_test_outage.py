"""A workflow whose activity heartbeats whenever a test lets it; not passed through."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

SOON = RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1)


class Heart:
    """Beats once for each `beat.set()` of a test, which runs in the same process."""

    def __init__(self) -> None:
        self.attempts = 0
        self.beat = asyncio.Event()
        self.beaten = asyncio.Event()

    @activity.defn
    async def work(self, beats: int) -> str:
        self.attempts += 1
        for number in range(beats):
            await self.beat.wait()
            self.beat.clear()
            activity.heartbeat(f"MARKER-{number}")
            self.beaten.set()
        return f"MARKER-result {beats}"


@workflow.defn
class Steady:
    """Returns what its activity did, and what it was told meanwhile."""

    def __init__(self) -> None:
        self._told: list[str] = []

    @workflow.run
    async def run(self, beats: int) -> list[str]:
        done = await workflow.execute_activity(
            "work",
            beats,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=1),
            retry_policy=SOON,
        )
        return [done, *self._told]

    @workflow.signal
    def tell(self, text: str) -> None:
        self._told.append(text)

    @workflow.query
    def told(self) -> list[str]:
        return self._told


WORKFLOWS: list[Any] = [Steady]

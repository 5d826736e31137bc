"""A workflow that waits for whatever a test has in store for it; not passed through."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

SOON = RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1)


class Gate:
    """Lets an activity wait for a test, which runs in the same process."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.attempts = 0

    @activity.defn
    async def pass_gate(self, text: str) -> str:
        self.attempts += 1
        self.reached.set()
        await self.open.wait()
        return f"MARKER-passed {text}"

    @activity.defn
    async def resume(self) -> Any:
        """Heartbeat and fail at first, and return the heartbeat's details afterwards."""
        self.attempts += 1
        if activity.info().attempt == 1:
            activity.heartbeat("MARKER-position")
            self.reached.set()
            await self.open.wait()
            raise ValueError("MARKER-again")
        return list(activity.info().heartbeat_details)

    @activity.defn
    async def beat(self) -> str:
        """Send a heartbeat when the gate is open, and wait for what comes of it."""
        self.attempts += 1
        if activity.info().attempt == 1:
            self.reached.set()
            await self.open.wait()
            activity.heartbeat("MARKER-position")
            await asyncio.Event().wait()
        return "MARKER-beaten"


@workflow.defn
class Patient:
    """Returns its argument and what it was told, once it was told something."""

    def __init__(self) -> None:
        self._told: list[str] = []

    @workflow.run
    async def run(self, text: str) -> list[str]:
        await workflow.wait_condition(lambda: bool(self._told))
        return [text, *self._told]

    @workflow.signal
    def tell(self, text: str) -> None:
        self._told.append(text)

    @workflow.query
    def told(self, prefix: str) -> list[str]:
        return [f"{prefix}{text}" for text in self._told]

    @workflow.update
    def change(self, text: str) -> str:
        self._told.append(text)
        return f"MARKER-changed {text}"


@workflow.defn
class Gated:
    @workflow.run
    async def run(self, name: str) -> Any:
        arguments = [name] if name == "pass_gate" else []
        return await workflow.execute_activity(
            name, args=arguments, start_to_close_timeout=timedelta(seconds=20), retry_policy=SOON
        )


WORKFLOWS: list[Any] = [Patient, Gated]

"""Activities without a workflow, with markers in all that they store."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError


@activity.defn
async def answer(question: str) -> str:
    return f"MARKER-answer to {question}"


@activity.defn
async def fail(question: str) -> str:
    raise ApplicationError(f"MARKER-failed {question}", "MARKER-detail", non_retryable=True)


@dataclass
class Slow:
    """An activity whose second attempt waits until somebody has looked."""

    looked: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn
    async def slow(self, question: str) -> list[Any]:
        details = list(activity.info().heartbeat_details)
        if not details:
            activity.heartbeat(f"MARKER-beat of {question}")
            raise ApplicationError(f"MARKER-attempt {question}", "MARKER-attempt-detail")
        await self.looked.wait()
        return details

"""Activities that are called in every way, with markers in all that they store."""

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

LIMIT: Final = timedelta(seconds=20)
ONCE: Final = RetryPolicy(maximum_attempts=1)
AGAIN: Final = RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=1))


@activity.defn
async def greet(name: str) -> str:
    return f"MARKER-greeting of {name}"


@activity.defn
def greet_in_thread(name: str) -> str:
    assert threading.current_thread() is not threading.main_thread()
    activity.heartbeat(f"MARKER-thread of {name}")
    return f"MARKER-greeting of {name} in a thread"


@workflow.defn
class Greetings:
    @workflow.run
    async def run(self, name: str) -> list[str]:
        return [
            await workflow.execute_activity(greet, name, start_to_close_timeout=LIMIT),
            await workflow.execute_activity(greet_in_thread, name, start_to_close_timeout=LIMIT),
            await workflow.execute_local_activity(greet, name, start_to_close_timeout=LIMIT),
        ]


@dataclass
class Resumed:
    """An activity whose second attempt waits until somebody has looked."""

    looked: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn
    async def resume(self, start: str) -> list[Any]:
        details = list(activity.info().heartbeat_details)
        if not details:
            activity.heartbeat(start, {"at": "MARKER-position"})
            raise ApplicationError("MARKER-first attempt", "MARKER-attempt-detail")
        await self.looked.wait()
        return details


@workflow.defn
class Resuming:
    @workflow.run
    async def run(self, start: str) -> list[Any]:
        return await workflow.execute_activity_method(
            Resumed.resume, start, start_to_close_timeout=LIMIT, retry_policy=AGAIN
        )


@activity.defn
async def hang(text: str) -> None:
    activity.heartbeat(text)
    await asyncio.sleep(60)


@workflow.defn
class TimingOut:
    """Returns the kind of each timeout, and the last heartbeat where an attempt was begun."""

    @workflow.run
    async def run(self, text: str) -> list[Any]:
        second, long = timedelta(seconds=1), timedelta(seconds=30)
        limits: list[dict[str, Any]] = [
            {"start_to_close_timeout": second},
            {"schedule_to_close_timeout": second},
            {"start_to_close_timeout": long, "heartbeat_timeout": second},
            {
                "start_to_close_timeout": long,
                "schedule_to_start_timeout": second,
                "task_queue": f"{workflow.info().task_queue}-without-a-worker",
            },
        ]
        return list(await asyncio.gather(*(self._one(text, limit) for limit in limits)))

    async def _one(self, text: str, limit: dict[str, Any]) -> list[Any]:
        try:
            await workflow.execute_activity(hang, text, retry_policy=ONCE, **limit)
        except ActivityError as err:
            cause: Any = err.cause
            return [cause.type.name, *cause.last_heartbeat_details]
        return []


@dataclass
class Elsewhere:
    """An activity that somebody else completes, who gets its token here."""

    tokens: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue[bytes])

    @activity.defn
    async def elsewhere(self, text: str) -> str:
        self.tokens.put_nowait(activity.info().task_token)
        activity.raise_complete_async()


@workflow.defn
class Waiting:
    """Waits for an activity that is completed elsewhere, or cancels it."""

    def __init__(self) -> None:
        self._cancel = False

    @workflow.run
    async def run(self, text: str) -> Any:
        started = workflow.start_activity_method(
            Elsewhere.elsewhere,
            text,
            activity_id="elsewhere",
            start_to_close_timeout=LIMIT,
            retry_policy=ONCE,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.wait_condition(lambda: self._cancel or started.done())
        if self._cancel:
            started.cancel()
        try:
            return await started
        except ActivityError as err:
            if isinstance(err.cause, CancelledError):
                return ["cancelled", *err.cause.details]
            cause: Any = err.cause
            return [cause.message, *cause.details]

    @workflow.signal
    def cancel(self) -> None:
        self._cancel = True

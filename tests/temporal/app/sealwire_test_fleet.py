"""A workflow that runs for long, and takes another way when it reads something wrong."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy


@dataclass
class Order:
    number: int
    text: str


TEXT = "a text that compresses, " * 20
LIMIT = timedelta(seconds=20)
ONCE = RetryPolicy(maximum_attempts=1)


@activity.defn
async def answer(order: Order) -> dict[str, Any]:
    return {"number": order.number, "text": order.text}


@activity.defn
async def astray(order: Order) -> None:
    """No history has this activity, so a replay that needs it fails."""


ACTIVITIES: list[Any] = [answer, astray]


@workflow.defn
class Part:
    @workflow.run
    async def run(self, order: Order) -> int:
        return order.number + 1


@workflow.defn
class Long:
    def __init__(self) -> None:
        self._signal = ""
        self._waiting = False

    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        results: list[Any] = [await self._step(order)]
        self._waiting = True
        await workflow.wait_condition(lambda: bool(self._signal))
        results.append(await self._step(order))
        results.append(
            await workflow.execute_local_activity(
                answer, order, start_to_close_timeout=LIMIT, retry_policy=ONCE
            )
        )
        results.append(await workflow.execute_child_workflow(Part.run, order))
        return [self._signal, *results]

    async def _step(self, order: Order) -> int:
        number = order.number
        for _ in range(2):
            got = await workflow.execute_activity(
                answer, order, start_to_close_timeout=LIMIT, retry_policy=ONCE, summary=order.text
            )
            function = answer if got == {"number": number, "text": TEXT} else astray
            await workflow.execute_activity(
                function, order, start_to_close_timeout=LIMIT, retry_policy=ONCE
            )
        return number

    @workflow.signal
    def go_on(self, text: str) -> None:
        self._signal = text

    @workflow.update
    def change(self, text: str) -> str:
        return f"changed {text}"

    @workflow.query
    def repeat(self, text: str) -> str:
        return text

    @workflow.query
    def is_waiting(self) -> bool:
        return self._waiting


WORKFLOWS: list[Any] = [Long, Part]
ORDER = Order(7, TEXT)
SIGNAL = "go on"
RESULT: list[Any] = [SIGNAL, 7, 7, {"number": 7, "text": TEXT}, 8]

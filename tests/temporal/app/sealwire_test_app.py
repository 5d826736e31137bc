"""A workflow with a marker in every place where a user's data can be; not passed through."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError


@dataclass
class Person:
    name: str
    card: str


PERSON = Person("MARKER-argument", "MARKER-card")
SIGNAL = "MARKER-signal"
UPDATE = "MARKER-update"
MEMO = {"note": "MARKER-memo"}
SUMMARY = "MARKER-summary"

STORED = (
    *("MARKER-argument", "MARKER-card", "MARKER-signal", "MARKER-update", "MARKER-memo"),
    *("MARKER-summary", "MARKER-activity-result", "MARKER-local-result", "MARKER-heartbeat"),
    *("MARKER-failure-message", "MARKER-failure-detail", "MARKER-failure-cause"),
    *("MARKER-stack-trace", "MARKER-child-argument", "MARKER-child-result", "MARKER-result"),
)
QUERY_RESULT = "MARKER-query-result"


@activity.defn
async def describe(person: Person) -> str:
    assert type(person) is Person
    return f"MARKER-activity-result {person.name}"


@activity.defn
async def describe_locally(person: Person) -> str:
    return f"MARKER-local-result {person.name}"


@activity.defn
async def hang(person: Person) -> None:
    activity.heartbeat(f"MARKER-heartbeat {person.name}")
    await asyncio.sleep(60)


@activity.defn
async def fail(person: Person) -> None:
    text = f"MARKER-failure-message {person.name}"
    try:
        raise ValueError("MARKER-failure-cause")
    except ValueError as err:
        raise ApplicationError(text, "MARKER-failure-detail") from err  # MARKER-stack-trace


ACTIVITIES: list[Any] = [describe, describe_locally, hang, fail]
ONCE = RetryPolicy(maximum_attempts=1)


@workflow.defn
class Child:
    @workflow.run
    async def run(self, text: str) -> str:
        return f"MARKER-child-result {text}"


@workflow.defn
class Everything:
    def __init__(self) -> None:
        self._signal = ""

    @workflow.run
    async def run(self, person: Person) -> dict[str, Any]:
        limit = timedelta(seconds=20)
        results = [
            await workflow.execute_activity(
                describe, person, start_to_close_timeout=limit, summary=SUMMARY
            ),
            await workflow.execute_local_activity(
                describe_locally, person, start_to_close_timeout=limit
            ),
            await workflow.execute_child_workflow(Child.run, "MARKER-child-argument"),
        ]
        failures: list[str] = []
        for function, seconds in ((hang, 1), (fail, 20)):
            try:
                await workflow.execute_activity(
                    function,
                    person,
                    start_to_close_timeout=timedelta(seconds=seconds),
                    retry_policy=ONCE,
                )
            except ActivityError as err:
                failures.append(str(err.cause))
        await workflow.wait_condition(lambda: bool(self._signal))
        return {
            "result": "MARKER-result",
            "results": results,
            "failures": failures,
            "signal": self._signal,
        }

    @workflow.signal
    def tell(self, text: str) -> None:
        self._signal = text

    @workflow.update
    def change(self, text: str) -> str:
        return f"changed {text}"

    @workflow.query
    def ask(self) -> str:
        return QUERY_RESULT


@workflow.defn
class Failing:
    @workflow.run
    async def run(self, person: Person) -> None:
        raise ApplicationError(f"MARKER-failure-message {person.name}", person.card)


WORKFLOWS: list[Any] = [Everything, Child, Failing]

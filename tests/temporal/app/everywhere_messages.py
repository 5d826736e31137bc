"""A workflow that takes messages in every way, with markers in all that they store."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.contrib.workflow_streams import WorkflowStream
from temporalio.exceptions import ApplicationError


@workflow.defn
class Mailbox:
    """Keeps what it is told until it is told the word `close`, and returns it."""

    def __init__(self) -> None:
        self._letters: list[Any] = []

    @workflow.run
    async def run(self, first: str) -> list[Any]:
        self._letters.insert(0, first)
        await workflow.wait_condition(lambda: "close" in self._letters)
        return self._letters

    @workflow.signal
    def tell(self, letter: str) -> None:
        self._letters.append(letter)

    @workflow.signal(dynamic=True)
    def tell_anything(self, name: str, args: Sequence[RawValue]) -> None:
        values = workflow.payload_converter().from_payloads([arg.payload for arg in args])
        self._letters.append([name, *values])

    @workflow.query
    def ask(self, question: str) -> str:
        if "fail" in question:
            raise ApplicationError(f"MARKER-no-answer to {question}", "MARKER-query-detail")
        return f"MARKER-answer to {question}"

    @workflow.update
    async def change(self, letter: str) -> str:
        if "fail" in letter:
            raise ApplicationError(f"MARKER-no-change by {letter}", "MARKER-update-detail")
        self._letters.append(letter)
        return f"MARKER-changed by {letter}"

    @change.validator
    def check(self, letter: str) -> None:
        if "refuse" in letter:
            raise ApplicationError(f"MARKER-refused {letter}", "MARKER-refused-detail")


@workflow.defn
class Sender:
    """Signals a workflow that runs."""

    @workflow.run
    async def run(self, other: str) -> None:
        handle: Any = workflow.get_external_workflow_handle(other)
        await handle.signal(Mailbox.tell, "MARKER-from-outside")
        await handle.signal(Mailbox.tell, "close")


@workflow.defn
class Starter:
    """Signals a workflow that it starts by that."""

    @workflow.run
    async def run(self, other: str) -> None:
        handle: Any = await workflow.signal_with_start_workflow(
            "Mailbox",
            "MARKER-started-with",
            id=other,
            task_queue=workflow.info().task_queue,
            signal="tell",
            signal_args=["MARKER-signalled-with"],
            memo={"note": "MARKER-memo-with"},
            static_summary="MARKER-summary-with",
        )
        await handle.signal("tell", "close")


@workflow.defn
class Streaming:
    """Publishes to a stream."""

    @workflow.init
    def __init__(self) -> None:
        self._stream = WorkflowStream()
        self._closed = False

    @workflow.run
    async def run(self) -> None:
        self._stream.topic("news", type=str).publish("MARKER-from-workflow")
        await workflow.wait_condition(lambda: self._closed)

    @workflow.signal
    def close(self) -> None:
        self._closed = True

"""Sealed histories are read again: by a replayer, by another worker, by one without a cache."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import everywhere_activities as activities
import everywhere_annotated as annotated
import everywhere_children as children
import everywhere_failures as failing
import everywhere_messages as messages
import everywhere_nexus as nexus
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.exceptions import FailureError
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from sealwire.temporal import SealwireCodec, SealwirePlugin
from sealwire.temporal.history import find_payloads

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle: TypeAlias = Any  # the types of its updates are unknown to a type checker
WORKFLOWS = [
    *(activities.Greetings, activities.Waiting, annotated.Annotated),
    *(children.Parent, children.Child, children.Again),
    *(failing.FailingParts, failing.Failing, messages.Mailbox, nexus.Visitor, nexus.Work),
]
ELSEWHERE = activities.Elsewhere()
ACTIVITIES = [
    *(activities.greet, activities.greet_in_thread, ELSEWHERE.elsewhere),
    *(annotated.note, failing.fail),
]
MEMO = {"kept": "MARKER-memo", "removed": "MARKER-removed"}


@pytest.fixture(scope="module")
def application() -> Application:
    return Application(WORKFLOWS, ACTIVITIES, nexus=[nexus.DeskHandler()])


@dataclass
class Run:
    """A history, and what it is about.

    Args:
        history: The history.
        told: The arguments of the workflow, and what came of them: a result, the message of a
            failure, or the arguments of the next run.
    """

    history: WorkflowHistory
    told: list[Any]


async def start(stage: Stage, name: str, workflow: str, *args: Any) -> Handle:
    return await stage.client.start_workflow(
        workflow, args=args, id=f"{name}-{workflow}", task_queue=stage.queue, memo=MEMO
    )


async def run_of(handle: Handle, *args: Any) -> Run:
    try:
        result = await handle.result()
    except WorkflowFailureError as err:
        result = str(err.cause)
    return Run(await handle.fetch_history(), [*args, result])


async def plain_run(stage: Stage, unique: str, workflow: str, *args: Any) -> Run:
    return await run_of(await start(stage, unique, workflow, *args), *args)


async def annotated_run(stage: Stage, unique: str) -> Run:
    handle = await start(stage, unique, "Annotated")
    await handle.signal("end")
    return await run_of(handle)


async def mailbox_run(stage: Stage, unique: str) -> Run:
    handle = await start(stage, unique, "Mailbox", "MARKER-first")
    await handle.execute_update("change", "MARKER-update")
    await handle.signal("tell", "close")
    return await run_of(handle, "MARKER-first")


async def waiting_run(stage: Stage, unique: str) -> Run:
    """An activity that somebody else completes, with its token."""
    handle = await start(stage, unique, "Waiting", "MARKER-text")
    token = await ELSEWHERE.tokens.get()
    await stage.client.get_async_activity_handle(task_token=token).complete("MARKER-result")
    return await run_of(handle, "MARKER-text")


async def nexus_run(stage: Stage, unique: str, operation: str) -> Run:
    name = f"{unique}-{operation}"
    args = [await stage.endpoint(name), operation, "MARKER-x"]
    return await plain_run(stage, name, "Visitor", *args)


async def continued_runs(stage: Stage, unique: str) -> list[Run]:
    """A run that continues as new, and the next one."""
    first, second = "MARKER-first", "MARKER-first MARKER-second"
    handle = await start(stage, unique, "Again", first)
    last = await run_of(handle, second)
    begun: Handle = stage.client.get_workflow_handle(
        handle.id, run_id=handle.first_execution_run_id
    )
    return [Run(await begun.fetch_history(), [first, [second]]), last]


class Witness(Interceptor):
    """Notes what workflows are told, and what comes of it."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor]:
        told = self.told

        class Outbound(WorkflowOutboundInterceptor):
            def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:  # noqa: A002
                told.append(list(input.args))
                super().continue_as_new(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
                told.extend(input.args)
                try:
                    result = await super().execute_workflow(input)
                except FailureError as err:
                    told.append(str(err))
                    raise
                told.append(result)
                return result

        return Inbound


async def replayed(stage: Stage, history: WorkflowHistory) -> list[Any]:
    """Replay a history, and return what its workflow was told, and what came of it."""
    witness = Witness()
    codec = stage.client.data_converter.payload_codec
    if isinstance(codec, SealwireCodec):
        assert codec.config is not None
        replayer = Replayer(
            workflows=WORKFLOWS,
            plugins=[SealwirePlugin(codec.config, namespace="default")],
            interceptors=[witness],
        )
    else:
        replayer = Replayer(
            workflows=WORKFLOWS,
            data_converter=stage.client.data_converter,
            interceptors=[witness],
        )
    result = await replayer.replay_workflow(history)
    assert result.replay_failure is None
    return witness.told


async def test_replays(searched_stage: Stage, unique: str) -> None:
    """A replayer reads histories as they were fetched, and as they were written to JSON."""
    stage = searched_stage
    others = asyncio.gather(
        plain_run(stage, unique, "Greetings", "MARKER-name"),
        plain_run(stage, unique, "Parent", "MARKER-text"),
        plain_run(stage, unique, "FailingParts", "local", "MARKER-text"),
        annotated_run(stage, unique),
        mailbox_run(stage, unique),
        waiting_run(stage, unique),
        nexus_run(stage, unique, "ask"),
        nexus_run(stage, unique, "work"),
    )
    continued, runs = await asyncio.gather(continued_runs(stage, unique), others)
    for run in [*continued, *runs]:
        assert "MARKER" in str(run.told[-1])
        written = WorkflowHistory.from_json(run.history.workflow_id, run.history.to_json())
        for history in (run.history, written):
            assert run.told == await replayed(stage, history)


async def test_a_replay_that_reads_something_else_is_noticed(
    searched_stage: Stage, unique: str
) -> None:
    """With one payload that means something else, a replay succeeds, and tells something else."""
    stage = searched_stage
    (first, last), waiting, visitor, mailbox = await asyncio.gather(
        continued_runs(stage, unique),
        waiting_run(stage, unique),
        nexus_run(stage, unique, "work"),
        mailbox_run(stage, unique),
    )
    (other,) = await stage.client.data_converter.encode(["MARKER-else"])
    for run, changed in (
        (first, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED),
        (last, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED),
        (waiting, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED),
        (visitor, EventType.EVENT_TYPE_NEXUS_OPERATION_COMPLETED),
        (mailbox, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED),
    ):
        assert run.told == await replayed(stage, run.history)
        (event,) = (event for event in run.history.events if event.event_type == changed)
        for path, payload in find_payloads(event):
            if "indexed_fields" not in path:  # search attributes, which nothing seals
                payload.CopyFrom(other)
        assert run.told != await replayed(stage, run.history)


async def test_another_worker(stage: Stage, unique: str) -> None:
    """A worker that takes over reads all that was sealed before, and a query that waited for it."""

    def worker() -> Worker:
        return Worker(stage.client, task_queue=unique, workflows=[messages.Mailbox])

    handle: Handle = await stage.client.start_workflow(
        messages.Mailbox.run, "MARKER-first", id=unique, task_queue=unique
    )
    async with worker():
        await handle.execute_update(messages.Mailbox.change, "MARKER-update")
    await handle.signal(messages.Mailbox.tell, "MARKER-signal")
    waiting = [
        asyncio.create_task(handle.query(messages.Mailbox.ask, "MARKER-question")) for _ in range(3)
    ]
    while len(stage.requests("QueryWorkflow")) < len(waiting):  # noqa: ASYNC110 - asked elsewhere
        await asyncio.sleep(0.01)
    async with worker():
        answers = set(await asyncio.gather(*waiting))
        assert {"MARKER-answer to MARKER-question"} == answers
        await handle.signal(messages.Mailbox.tell, "close")
        letters = ["MARKER-first", "MARKER-update", "MARKER-signal", "close"]
        assert letters == await handle.result()


async def test_a_worker_without_a_cache(searched_stage: Stage, unique: str) -> None:
    """A worker that replays at each task reads at each task what it has sealed."""
    async with Worker(
        searched_stage.client,
        task_queue=unique,
        workflows=[messages.Mailbox],
        max_cached_workflows=0,
    ):
        handle: Handle = await searched_stage.client.start_workflow(
            messages.Mailbox.run, "MARKER-first", id=unique, task_queue=unique
        )
        for letter in ("MARKER-1", "MARKER-2", "close"):
            await handle.execute_update(messages.Mailbox.change, letter)
        assert ["MARKER-first", "MARKER-1", "MARKER-2", "close"] == await handle.result()

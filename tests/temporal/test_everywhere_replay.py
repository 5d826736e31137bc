"""Sealed histories are read again: by a replayer, by another worker, by one without a cache."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import everywhere_activities as activities
import everywhere_annotated as annotated
import everywhere_children as children
import everywhere_failures as failing
import everywhere_messages as messages
import pytest
from everywhere_stage import Application, Stage
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.worker import Replayer, Worker

from sealwire.temporal import SealwireCodec, SealwirePlugin

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle: TypeAlias = Any  # the types of its updates are unknown to a type checker
WORKFLOWS = [
    *(activities.Greetings, annotated.Annotated, children.Parent, children.Child),
    *(failing.FailingParts, failing.Failing, messages.Mailbox),
]
STARTED = [
    ("Greetings", "MARKER-name"),
    ("Annotated",),
    ("Parent", "MARKER-text"),
    ("FailingParts", "local", "MARKER-text"),
    ("Mailbox", "MARKER-first"),
]
ACTIVITIES = [activities.greet, activities.greet_in_thread, annotated.note, failing.fail]


@pytest.fixture(scope="module")
def application() -> Application:
    return Application(WORKFLOWS, ACTIVITIES)


async def histories(stage: Stage, unique: str) -> list[WorkflowHistory]:
    """Play workflows of many kinds, and fetch what they have left."""
    started: list[Handle] = []
    memo = {"kept": "MARKER-memo", "removed": "MARKER-removed"}
    for name, *args in STARTED:
        started.append(
            await stage.client.start_workflow(
                name, args=args, id=f"{unique}-{name}", task_queue=stage.queue, memo=memo
            )
        )
    await started[1].signal("end")
    await started[4].execute_update("change", "MARKER-update")
    await started[4].signal("tell", "close")
    for handle in started:
        try:
            await handle.result()
        except WorkflowFailureError:
            assert handle is started[3]
    return [await handle.fetch_history() for handle in started]


def replayer(stage: Stage) -> Replayer:
    codec = stage.client.data_converter.payload_codec
    if not isinstance(codec, SealwireCodec):
        return Replayer(workflows=WORKFLOWS, data_converter=stage.client.data_converter)
    assert codec.config is not None
    return Replayer(
        workflows=WORKFLOWS, plugins=[SealwirePlugin(codec.config, namespace="default")]
    )


async def test_replays(module_stage: Stage, unique: str) -> None:
    """A replayer reads histories as they were fetched, and as they were written to JSON."""
    fetched = await histories(module_stage, unique)
    read = [WorkflowHistory.from_json(item.workflow_id, item.to_json()) for item in fetched]
    for history in [*fetched, *read]:
        result = await replayer(module_stage).replay_workflow(history)
        assert result.replay_failure is None


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


async def test_a_worker_without_a_cache(module_stage: Stage, unique: str) -> None:
    """A worker that replays at each task reads at each task what it has sealed."""
    async with Worker(
        module_stage.client,
        task_queue=unique,
        workflows=[messages.Mailbox],
        max_cached_workflows=0,
    ):
        handle: Handle = await module_stage.client.start_workflow(
            messages.Mailbox.run, "MARKER-first", id=unique, task_queue=unique
        )
        for letter in ("MARKER-1", "MARKER-2", "close"):
            await handle.execute_update(messages.Mailbox.change, letter)
        assert ["MARKER-first", "MARKER-1", "MARKER-2", "close"] == await handle.result()

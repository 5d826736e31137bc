"""Everything that signals, queries and updates store is sealed."""

from __future__ import annotations

from typing import Any, TypeAlias

import everywhere_messages as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.contrib.workflow_streams import WorkflowStreamClient
from temporalio.exceptions import ApplicationError

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle: TypeAlias = Any  # the types of its updates are unknown to a type checker


@pytest.fixture(scope="module")
def application() -> Application:
    return Application([app.Mailbox, app.Sender, app.Starter, app.Streaming])


async def start(stage: Stage, unique: str) -> Handle:
    return await stage.client.start_workflow(
        app.Mailbox.run, "MARKER-first", id=unique, task_queue=stage.queue
    )


async def test_signals(stage: Stage, unique: str) -> None:
    """Arguments of signals, from a client and from another workflow, are sealed."""
    handle = await start(stage, unique)
    await handle.signal(app.Mailbox.tell, "MARKER-signal")
    await handle.signal("anything", args=["MARKER-dynamic", 2])
    await stage.client.execute_workflow(
        app.Sender.run, unique, id=f"{unique}-sender", task_queue=stage.queue
    )
    letters = ["MARKER-signal", ["anything", "MARKER-dynamic", 2], "MARKER-from-outside", "close"]
    assert ["MARKER-first", *letters] == await handle.result()


async def test_signal_with_start(stage: Stage, unique: str) -> None:
    """What a signal-with-start of a client brings is sealed."""
    handle: Handle = await stage.client.start_workflow(
        app.Mailbox.run,
        "MARKER-first",
        id=unique,
        task_queue=stage.queue,
        start_signal="tell",
        start_signal_args=["MARKER-start-signal"],
        memo={"note": "MARKER-memo"},
        static_summary="MARKER-summary",
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(SearchAttributeKey.for_keyword("Ticket"), "MARKER-ticket")]
        ),
    )
    await handle.signal(app.Mailbox.tell, "close")
    assert ["MARKER-first", "MARKER-start-signal", "close"] == await handle.result()


async def test_signal_with_start_by_a_workflow(stage: Stage, unique: str) -> None:
    """What a signal-with-start of a workflow brings is sealed, inside an envelope that is not."""
    await stage.client.execute_workflow(
        app.Starter.run, unique, id=f"{unique}-starter", task_queue=stage.queue
    )
    result = await stage.client.get_workflow_handle(unique).result()
    assert ["MARKER-started-with", "MARKER-signalled-with", "close"] == result


async def test_queries(stage: Stage, unique: str) -> None:
    """Arguments, answers and failures of queries are sealed."""
    handle = await start(stage, unique)
    assert await handle.query(app.Mailbox.ask, "MARKER-question") == (
        "MARKER-answer to MARKER-question"
    )
    with pytest.raises(WorkflowQueryFailedError) as caught:
        await handle.query(app.Mailbox.ask, "MARKER-fail")
    said = "Encoded failure" if stage.sealed else "MARKER-no-answer to MARKER-fail"
    assert said == str(caught.value)
    await handle.terminate()


async def test_updates(stage: Stage, unique: str) -> None:
    """Arguments, results and failures of updates, refusals included, are sealed."""
    handle = await start(stage, unique)
    assert await handle.execute_update(app.Mailbox.change, "MARKER-update") == (
        "MARKER-changed by MARKER-update"
    )
    expected = {"MARKER-fail": "MARKER-no-change by", "MARKER-refuse": "MARKER-refused"}
    for letter, text in expected.items():
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update(app.Mailbox.change, letter)
        assert isinstance(caught.value.cause, ApplicationError)
        assert f"{text} {letter}" == caught.value.cause.message
        assert len(caught.value.cause.details) == 1
    await handle.terminate()


async def test_update_with_start(stage: Stage, unique: str) -> None:
    """What an update-with-start brings is sealed."""
    operation = WithStartWorkflowOperation(
        app.Mailbox.run,
        "MARKER-first",
        id=unique,
        task_queue=stage.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    result = await stage.client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
        app.Mailbox.change, "MARKER-update", start_workflow_operation=operation
    )
    assert result == "MARKER-changed by MARKER-update"
    await (await operation.workflow_handle()).terminate()


async def test_streams(stage: Stage, unique: str) -> None:
    """Items of a workflow stream are sealed, whoever publishes them."""
    handle: Handle = await stage.client.start_workflow(
        app.Streaming.run, id=unique, task_queue=stage.queue
    )
    async with WorkflowStreamClient.create(stage.client, unique) as stream:
        topic = stream.topic("news", type=str)
        topic.publish("MARKER-from-client", force_flush=True)
        items: list[str] = []
        async for item in topic.subscribe():
            items.append(item.data)
            if len(items) == 2:
                break
    assert {"MARKER-from-workflow", "MARKER-from-client"} == set(items)
    await handle.signal(app.Streaming.close)
    await handle.result()

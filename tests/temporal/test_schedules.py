"""What schedules pass on to their next runs: no garbage, and its key is needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Final

import pytest
import sealwire_test_large as app
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleSpec,
)
from temporalio.service import RPCError
from temporalio.worker import Worker

from sealwire.cli.storage_collection import Collection, Collector
from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.key_usage import KeyUsage, scan_schedules
from sealwire.testing.devserver import DevServer

pytestmark = pytest.mark.server

MakeConfig = Callable[..., Awaitable[Config]]

SIZE: Final = 30_000
FOLDER: Final = '[storage]\nfolder = "payloads"\nthreshold = 20000\n'
NEWER: Final = {
    "enableChasm": "true",
    "enableCHASMSchedulerCreation": "true",
    "enableCHASMSchedulerRouting": "true",
    "chasmSchedulerCreationRolloutPercent": "100",
    # As in `temporal_server`, so that a workflow is deleted at once.
    **{f"{kind}ProcessorUpdateAckInterval": '"1s"' for kind in ("timer", "transfer", "visibility")},
}


@pytest.fixture(scope="module")
def newer_server() -> Generator[str]:
    """The address of a server whose schedules are no workflows any more."""
    options = [
        item
        for name, value in NEWER.items()
        for item in ("--dynamic-config-value", f"history.{name}={value}")
    ]
    with DevServer(options=options) as server:
        yield server.address


async def last_of(handle: ScheduleHandle, count: int) -> str:
    """Wait until a schedule has started so many workflows, and return the id of the last."""
    actions = (await handle.describe()).info.recent_actions
    while len(actions) < count:
        await asyncio.sleep(0.05)
        actions = (await handle.describe()).info.recent_actions
    started = actions[-1].action
    assert isinstance(started, ScheduleActionExecutionStartWorkflow)
    return started.workflow_id


async def has_learned(handle: ScheduleHandle) -> bool:
    """Whether a schedule knows that its last run has ended, and so has its result."""
    last = (await handle.describe()).raw_description.info.recent_actions[-1]
    return last.start_workflow_status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED


async def run_and_forget(client: Client, name: str) -> ScheduleHandle:
    """Let a schedule run once, and delete the run as the server does after its retention."""
    action = ScheduleActionStartWorkflow(
        app.TurnOnce.run, os.urandom(SIZE), id=name, task_queue=name
    )
    handle = await client.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))
    await handle.trigger()
    first = await last_of(handle, 1)
    await client.get_workflow_handle(first).result()
    while not await has_learned(handle):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.05)
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=first)
    )
    await client.workflow_service.delete_workflow_execution(request)
    with contextlib.suppress(RPCError):
        while True:
            await client.get_workflow_handle(first).describe()
            await asyncio.sleep(0.05)
    return handle


async def collect(config: Config, server: str) -> Collection:
    """Delete all garbage; every object is old."""
    assert config.storage is not None
    assert config.storage.folder is not None
    then = time.time() - 9e6
    for path in config.storage.folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))
    collector = Collector(config, ("default",), server, None, None, True, False, False)
    return await collector.collect(lambda: None)


async def test_a_result_for_the_next_run_is_kept(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """The run that gave it is gone, and only the server's own workflow refers to it."""
    config = await make_config(FOLDER)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with Worker(client, task_queue=unique, workflows=[app.TurnOnce]):
        handle = await run_and_forget(client, unique)
    found = await collect(config, temporal_server)
    assert (2, 0) == (found.sweep.referenced.objects, found.sweep.deleted)

    fresh = load_config(config.keyring.path.with_name("sealwire.toml"))
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(fresh)])
    async with Worker(client, task_queue=unique, workflows=[app.TurnOnce]):
        await handle.trigger()
        result: bytes = await client.get_workflow_handle(await last_of(handle, 2)).result()
    assert SIZE == len(result)
    await handle.delete()


async def test_nothing_is_deleted_where_a_result_cannot_be_seen(
    newer_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Where the schedule is no workflow, until a run of it is there again."""
    config = await make_config(FOLDER)
    client = await Client.connect(newer_server, plugins=[SealwirePlugin(config)])
    async with Worker(client, task_queue=unique, workflows=[app.TurnOnce]):
        handle = await run_and_forget(client, unique)
        with pytest.raises(
            ConfigurationError, match=f"last run of the schedule '{unique}' is gone"
        ):
            await collect(config, newer_server)
        await handle.trigger()
        await client.get_workflow_handle(await last_of(handle, 2)).result()
    found = await collect(config, newer_server)
    # The argument, and the results of both runs: the second one began with the first one's.
    assert (3, 0) == (found.sweep.referenced.objects, found.sweep.deleted)
    await handle.delete()


async def test_the_key_of_a_result_for_the_next_run_is_found(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """In the server's own workflow, where the argument is once more."""
    config = await make_config()
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with Worker(client, task_queue=unique, workflows=[app.TurnOnce]):
        handle = await run_and_forget(client, unique)
    (key,) = (await config.admin.keys()).keys
    usage = KeyUsage()
    await scan_schedules(client, usage, 100)
    assert 2 == usage.payloads[key.id]
    await handle.delete()


async def test_a_result_that_cannot_be_seen_leaves_a_doubt(
    newer_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Where the schedule is no workflow, until a run of it is there again."""
    config = await make_config()
    client = await Client.connect(newer_server, plugins=[SealwirePlugin(config)])
    async with Worker(client, task_queue=unique, workflows=[app.TurnOnce]):
        handle = await run_and_forget(client, unique)
        gone, there = KeyUsage(), KeyUsage()
        await scan_schedules(client, gone, 100)
        await handle.trigger()
        await client.get_workflow_handle(await last_of(handle, 2)).result()
    await scan_schedules(client, there, 100)
    assert (1, False) == (gone.hidden, gone.is_complete)
    assert (0, True) == (there.hidden, there.is_complete)
    await handle.delete()

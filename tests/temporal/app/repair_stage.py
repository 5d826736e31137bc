"""What tests of faults share: workflows that wait, why they wait, and the documented reset."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sealwire_test_patient as app
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.temporal import SealwirePlugin
from sealwire.testing.devserver import temporal_binary

Handle = WorkflowHandle[Any, Any]
TEXT = "MARKER-text"
# A task that failed twice is not answered any more, and comes again after this time.
SOON = timedelta(seconds=1)


@asynccontextmanager
async def working(client: Client, queue: str, gate: app.Gate | None = None) -> AsyncGenerator[None]:
    activities: list[Any] = [gate.pass_gate, gate.resume, gate.beat] if gate else []
    async with Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=activities):
        yield


async def connect(server: str, config: Config, namespace: str = "default") -> Client:
    return await Client.connect(server, namespace=namespace, plugins=[SealwirePlugin(config)])


async def start(client: Client, name: str, argument: Any, task_timeout: timedelta = SOON) -> Handle:
    """Start a workflow; only what fails within the timeout of its first task is in its history."""
    return await client.start_workflow(
        "Patient",
        argument,
        id=name,
        task_queue=name,
        task_timeout=task_timeout,
        result_type=list[str],
    )


async def start_gated(client: Client, name: str, activity: str) -> Handle:
    """Start a workflow that waits for an activity of a gate."""
    return await client.start_workflow(
        "Gated", activity, id=name, task_queue=name, task_timeout=SOON
    )


async def task_failure(handle: Handle) -> Failure:
    """Wait until a workflow task has failed, and return why."""
    async with asyncio.timeout(20):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return event.workflow_task_failed_event_attributes.failure
    raise AssertionError("the workflow ended")


async def next_task(handle: Handle, attempt: int) -> None:
    """Wait until the server has offered a workflow task for so many times."""
    async with asyncio.timeout(20):
        while True:
            description = (await handle.describe()).raw_description
            if description.pending_workflow_task.attempt >= attempt:
                return


async def pending(handle: Handle, attempt: int) -> Failure:
    """Wait for an attempt of the activity, and return why the last one failed."""
    async with asyncio.timeout(20):
        while True:
            found = (await handle.describe()).raw_description.pending_activities
            if found and found[0].attempt >= attempt:
                return found[0].last_failure


async def reset(server: str, name: str) -> None:
    """Reset a workflow as docs/how-to/temporal-plugin.md says."""
    page = Path(__file__).parents[3] / "docs" / "how-to" / "temporal-plugin.md"
    text = page.read_text(encoding="utf-8")
    (found,) = re.findall(r"^temporal (workflow reset .*?)^```", text, re.DOTALL | re.M)
    arguments = shlex.split(found.replace("\\\n", " ").replace("hello-ada", name))
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *arguments, "--address", server, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0

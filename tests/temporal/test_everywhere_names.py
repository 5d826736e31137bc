"""Names, identifiers and the texts of operators are in clear: the server needs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import everywhere_names as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.common import WorkerDeploymentVersion
from temporalio.converter import DataConverter
from temporalio.worker import Worker, WorkerDeploymentConfig

from sealwire.config import Config, EncryptionOptions
from sealwire.temporal import SealwirePlugin

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle: TypeAlias = Any  # the types of its updates are unknown to a type checker
MakeConfig = Callable[..., Awaitable[Config]]


@pytest.fixture(scope="module")
def application() -> Application:
    version = WorkerDeploymentVersion("MARKER-deployment", "MARKER-build")
    deployment = WorkerDeploymentConfig(version=version, use_worker_versioning=False)
    return Application(
        [app.Named, app.NamedChild],
        [app.named],
        queue="MARKER-queue",
        client={"identity": "MARKER-identity"},
        worker={"deployment_config": deployment},
    )


async def test_names(stage: Stage, unique: str) -> None:
    """Ids and names of workflows, activities and messages, and types of failures, are in clear."""
    handle: Handle = await stage.client.start_workflow(
        app.Named.run, id=f"MARKER-{unique}", task_queue=stage.queue, memo={"MARKER-field": 1}
    )
    await handle.query(app.Named.ask)
    await handle.execute_update("MARKER-update", id="MARKER-update-id")
    await handle.signal(app.Named.end)
    await handle.result()


async def test_names_of_schedules(stage: Stage, unique: str) -> None:
    """Ids, comments and notes of schedules are in clear."""
    action = ScheduleActionStartWorkflow(app.NamedChild.run, id=unique, task_queue=stage.queue)
    spec = ScheduleSpec(calendars=[ScheduleCalendarSpec(comment="MARKER-comment")])
    schedule = Schedule(action, spec, state=ScheduleState(note="MARKER-note"))
    handle = await stage.client.create_schedule(f"MARKER-{unique}", schedule)
    await handle.pause(note="MARKER-pause")
    await handle.describe()
    while f"MARKER-{unique}" not in [item.id async for item in await stage.client.list_schedules()]:
        pass
    await handle.delete()


async def test_names_of_endpoints(stage: Stage, unique: str) -> None:
    """Names and descriptions of Nexus endpoints are in clear."""
    worker = EndpointTarget.Worker(namespace="other", task_queue=stage.queue)
    spec = EndpointSpec(name=f"MARKER-{unique}", target=EndpointTarget(worker=worker))
    (text,) = await DataConverter.default.encode(["MARKER-description"])
    spec.description.CopyFrom(text)
    ask = CreateNexusEndpointRequest(spec=spec)
    await stage.client.operator_service.create_nexus_endpoint(ask)


async def test_reasons(stage: Stage, unique: str) -> None:
    """The reasons that are given for an end are in clear."""
    handle: Handle = await stage.client.start_workflow(
        app.Named.run, id=unique, task_queue=stage.queue
    )
    await handle.cancel(reason="MARKER-reason")
    await handle.terminate(reason="MARKER-reason")


async def test_errors_of_codecs(stage: Stage, unique: str, make_config: MakeConfig) -> None:
    """The text of a codec's error while it encodes is in clear: nothing can encode it."""
    if stage.sealed:
        config = await make_config()
        chain = Config(config.keyring, codecs=(app.Refusing(), EncryptionOptions()))
        options: dict[str, Any] = {"plugins": [SealwirePlugin(chain)]}
    else:
        options = {"data_converter": DataConverter(payload_codec=app.Refusing())}
    client = await Client.connect(stage.wire.address, **options)
    handle: Handle = await client.start_workflow(app.Refused.run, id=unique, task_queue=unique)
    async with Worker(client, task_queue=unique, workflows=[app.Refused]):
        await stage.event(handle, "workflow_task_failed_event_attributes")
    await handle.terminate()

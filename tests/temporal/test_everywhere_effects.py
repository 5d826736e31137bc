"""What a workflow decides by itself stays so in replays; batch operations; too long a run."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import everywhere_effects as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.batch.v1 import BatchOperationSignal
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import BatchOperationState
from temporalio.api.workflowservice.v1 import (
    DescribeBatchOperationRequest,
    ListBatchOperationsRequest,
    StartBatchOperationRequest,
)
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import TimeoutError as WorkflowTimeoutError
from temporalio.exceptions import TimeoutType
from temporalio.worker import Replayer

from sealwire.temporal import SealwireCodec, SealwirePlugin

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

Handle = WorkflowHandle[Any, Any]


@pytest.fixture(scope="module")
def application() -> Application:
    # Without a cache, each task runs the workflow again from its beginning.
    return Application([app.Effects, app.Endless], worker={"max_cached_workflows": 0})


async def start(stage: Stage, name: str, text: str) -> Handle:
    return await stage.client.start_workflow(app.Effects.run, text, id=name, task_queue=stage.queue)


async def test_effects(stage: Stage, unique: str) -> None:
    """Ids, random numbers, versions and times are those of the first time, whoever replays."""
    handle = await start(stage, unique, "MARKER-text")
    await stage.event(handle, "timer_fired_event_attributes")
    await handle.signal(app.Effects.tell, "MARKER-told")
    text, one, number, at, patched, told, two, later = await handle.result()

    assert ("MARKER-text", "MARKER-told") == (text, told)
    assert 4 == UUID(one).version == UUID(two).version
    assert one != two
    assert 0 <= number < 2**32
    assert datetime.fromisoformat(at).tzinfo is not None
    assert (True, True) == (patched, later)
    replayed = await replayer(stage).replay_workflow(await handle.fetch_history())
    assert replayed.replay_failure is None


def replayer(stage: Stage) -> Replayer:
    codec = stage.client.data_converter.payload_codec
    if not isinstance(codec, SealwireCodec):
        return Replayer(workflows=[app.Effects], data_converter=stage.client.data_converter)
    assert codec.config is not None
    plugin = SealwirePlugin(codec.config, namespace="default")
    return Replayer(workflows=[app.Effects], plugins=[plugin])


async def test_a_run_that_is_too_long(stage: Stage, unique: str) -> None:
    """The server ends it, and what it was given stays as it is."""
    with pytest.raises(WorkflowFailureError) as caught:
        await stage.client.execute_workflow(
            app.Endless.run,
            "MARKER-text",
            id=unique,
            task_queue=stage.queue,
            run_timeout=timedelta(seconds=1),
        )
    cause = caught.value.cause
    assert isinstance(cause, WorkflowTimeoutError)
    assert TimeoutType.START_TO_CLOSE == cause.type


async def test_batch_operations(stage: Stage, unique: str) -> None:
    """What a batch operation tells many workflows, its caller seals with the data converter."""
    handles = [await start(stage, f"{unique}-{number}", f"MARKER-{number}") for number in range(3)]
    told = Payloads(payloads=await stage.client.data_converter.encode(["MARKER-batch"]))
    service = stage.client.workflow_service
    await service.start_batch_operation(
        StartBatchOperationRequest(
            namespace="default",
            job_id=unique,
            reason="a test",
            executions=[WorkflowExecution(workflow_id=handle.id) for handle in handles],
            signal_operation=BatchOperationSignal(signal="tell", input=told),
        )
    )
    for number, handle in enumerate(handles):
        result = await handle.result()
        assert (f"MARKER-{number}", "MARKER-batch") == (result[0], result[5])
    describe = DescribeBatchOperationRequest(namespace="default", job_id=unique)
    described = await service.describe_batch_operation(describe)
    while described.state == BatchOperationState.BATCH_OPERATION_STATE_RUNNING:
        await asyncio.sleep(0.05)
        described = await service.describe_batch_operation(describe)
    assert 3 == described.complete_operation_count
    jobs = await service.list_batch_operations(ListBatchOperationsRequest(namespace="default"))
    assert unique in {job.job_id for job in jobs.operation_info}

"""Everything that activities and Nexus operations without a workflow store is sealed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import everywhere_nexus as nexus
import everywhere_standalone as app
import pytest
from everywhere_stage import Application, Stage
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.api.workflowservice.v1 import DescribeNexusOperationExecutionRequest
from temporalio.client import (
    ActivityFailureError,
    ActivityHandle,
    NexusClient,
    NexusOperationFailureError,
    NexusOperationHandle,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

LIMIT = timedelta(seconds=20)
SLOW = app.Slow()
TICKET = TypedSearchAttributes(
    [SearchAttributePair(SearchAttributeKey.for_keyword("Ticket"), "MARKER-ticket")]
)


@pytest.fixture(scope="module")
def application() -> Application:
    activities = [app.answer, app.fail, SLOW.slow]
    return Application([nexus.Work], activities, nexus=[nexus.DeskHandler()])


async def start(stage: Stage, activity: Any, name: str) -> ActivityHandle[Any]:
    return await stage.client.start_activity(
        activity,
        "MARKER-x",
        id=name,
        task_queue=stage.queue,
        start_to_close_timeout=LIMIT,
        summary="MARKER-summary",
        search_attributes=TICKET,
    )


async def test_standalone_activities(stage: Stage, unique: str) -> None:
    """Arguments, results, failures and summaries of activities without a workflow are sealed."""
    answered = await start(stage, app.answer, unique)
    assert await answered.result() == "MARKER-answer to MARKER-x"
    described = await answered.describe(include_input=True, include_outcome=True)
    assert ["MARKER-x"] == await described.input()
    assert await described.result() == "MARKER-answer to MARKER-x"
    summary = described.raw_info.user_metadata.summary
    assert ["MARKER-summary"] == await stage.client.data_converter.decode([summary])
    listed = [item async for item in stage.client.list_activities(f"ActivityId = '{unique}'")]
    while not listed:
        listed = [item async for item in stage.client.list_activities(f"ActivityId = '{unique}'")]

    failed = await start(stage, app.fail, f"{unique}-fail")
    with pytest.raises(ActivityFailureError) as caught:
        await failed.result()
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.message == "MARKER-failed MARKER-x"
    assert ["MARKER-detail"] == list(caught.value.cause.details)


async def test_attempts_of_standalone_activities(stage: Stage, unique: str) -> None:
    """Heartbeat and failure of an attempt are sealed, in descriptions too."""
    SLOW.looked.clear()
    slow = await start(stage, app.Slow.slow, unique)
    described = await slow.describe()
    while not (described.has_last_failure() and described.has_heartbeat_details()):
        described = await slow.describe(include_heartbeat_details=True, include_last_failure=True)
    assert ["MARKER-beat of MARKER-x"] == await described.heartbeat_details()
    error = await described.last_failure()
    assert isinstance(error, ApplicationError)
    assert error.message == "MARKER-attempt MARKER-x"
    SLOW.looked.set()
    assert ["MARKER-beat of MARKER-x"] == await slow.result()


async def desk(stage: Stage, unique: str) -> NexusClient[Any]:
    worker = EndpointTarget.Worker(namespace="other", task_queue=stage.queue)
    spec = EndpointSpec(name=unique, target=EndpointTarget(worker=worker))
    ask = CreateNexusEndpointRequest(spec=spec)
    await stage.client.operator_service.create_nexus_endpoint(ask)
    return stage.client.create_nexus_client(nexus.Desk, unique)


async def call(
    client: NexusClient[Any], operation: str, text: str, unique: str
) -> NexusOperationHandle[Any]:
    return await client.start_operation(
        getattr(nexus.Desk, operation),
        text,
        id=f"{unique}-{operation}-{text.removeprefix('MARKER-')}",
        summary="MARKER-summary",
        schedule_to_close_timeout=LIMIT,
        search_attributes=TICKET,
    )


async def test_standalone_operations(stage: Stage, unique: str) -> None:
    """Arguments, results and summaries of operations without a workflow are sealed."""
    client = await desk(stage, unique)
    expected = {"ask": "MARKER-answer to MARKER-x", "work": "MARKER-worked on MARKER-x"}
    for operation, result in expected.items():
        handle = await call(client, operation, "MARKER-x", unique)
        assert result == await handle.result()
        assert await (await handle.describe()).static_summary() == "MARKER-summary"
        await describe_all(stage, handle)


async def test_failed_standalone_operations(stage: Stage, unique: str) -> None:
    """What the failures of such operations say is sealed, and arrives."""
    client = await desk(stage, unique)
    handle = await call(client, "work", "MARKER-fail", unique)
    with pytest.raises(NexusOperationFailureError) as caught:
        await handle.result()
    failed = ["ApplicationError MARKER-work-failed MARKER-fail", "MARKER-work-detail"]
    assert [failed] == nexus.told(caught.value.cause)
    await describe_all(stage, handle)

    handle = await call(client, "ask", "MARKER-retry", unique)
    while (error := (await handle.describe()).last_attempt_failure) is None:
        pass
    cause = ["ApplicationError MARKER-handler-cause", "MARKER-handler-detail"]
    assert [["HandlerError MARKER-handler-failed MARKER-retry"], cause] == nexus.told(error)
    await handle.terminate()

    handle = await call(client, "hold", "MARKER-retry", unique)
    await handle.cancel()
    while not (info := (await handle.describe()).cancellation_info) or (
        info.last_attempt_failure is None
    ):
        pass
    assert [["HandlerError MARKER-handler-failed MARKER-cancel"], cause] == (
        nexus.told(info.last_attempt_failure)[1:]
    )
    await handle.terminate()


async def describe_all(stage: Stage, handle: NexusOperationHandle[Any]) -> None:
    """Ask for everything that the server says of an operation, and for the list of all."""
    await stage.stranger.workflow_service.describe_nexus_operation_execution(
        DescribeNexusOperationExecutionRequest(
            namespace="default",
            operation_id=handle.operation_id,
            include_input=True,
            include_outcome=True,
        )
    )
    query = f"OperationId = '{handle.operation_id}'"
    while not [item async for item in stage.client.list_nexus_operations(query)]:
        pass

"""Payloads of the SDK and the server themselves: accepted where they belong, and nowhere else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import nexusrpc
import nexusrpc.handler
import pytest
import sealwire_test_trusting as app
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import PendingNexusOperationState
from temporalio.api.failure.v1 import Failure
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNexusOperationExecutionRequest,
    SignalWithStartWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionResponse,
    StartNexusOperationExecutionRequest,
)
from temporalio.client import Client, Plugin, WorkflowHandle
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultPayloadConverter,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.errors import UnencryptedPayloadError
from sealwire.temporal import SealwirePlugin, data_converter

MakeConfig = Callable[..., Awaitable[Config]]
Request = SignalWithStartWorkflowExecutionRequest
Response = SignalWithStartWorkflowExecutionResponse


def payload(message: Request | Response, **metadata: bytes) -> Payload:
    kind = message.DESCRIPTOR.full_name.encode()
    entries = {"encoding": b"binary/protobuf", "messageType": kind, **metadata}
    return Payload(metadata=entries, data=message.SerializeToString())


REQUEST = payload(Request(workflow_id="forged"), __temporal_system_payload=b"true")
ANSWER = payload(Response(run_id="forged"))


async def finish(stranger: Client, name: str, value: Payload) -> None:
    """Complete the activity, as who can write to the server's database could."""
    handle = stranger.get_async_activity_handle(
        workflow_id=name, run_id=None, activity_id="outside"
    )
    while True:
        try:
            await handle.complete(RawValue(value))
        except RPCError:  # it has not been started yet
            continue
        return


async def task_failure(handle: WorkflowHandle[Any, Any]) -> Failure:
    """Wait until a workflow task has failed, and return why."""
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.HasField("workflow_task_failed_event_attributes"):
            return event.workflow_task_failed_event_attributes.failure
    raise LookupError(handle.id)


@pytest.mark.server
@pytest.mark.parametrize("forged", [REQUEST, ANSWER], ids=["request", "answer"])
async def test_no_system_payload_passes_for_a_value(
    temporal_server: str, make_config: MakeConfig, unique: str, forged: Payload
) -> None:
    """The SDK hands them past the codec; the converter refuses them, and the workflow waits."""
    config = await make_config()
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    stranger = await Client.connect(temporal_server)
    async with Worker(
        client, task_queue=unique, workflows=[app.Trusting], activities=[app.outside]
    ):
        handle = await client.start_workflow(app.Trusting.run, id=unique, task_queue=unique)
        await finish(stranger, unique, forged)
        failure = await task_failure(handle)
        await handle.terminate()
    error = await client.data_converter.decode_failure(failure)
    assert "UnencryptedPayloadError: in the place of a value" in str(error.__cause__)


async def test_only_the_plain_answer_passes_the_codec(make_config: MakeConfig) -> None:
    """An answer passes unsealed if it is one and alone; with anything else it is refused."""
    codec = data_converter(await make_config(), "default").payload_codec
    assert codec is not None
    before = ANSWER.SerializeToString(deterministic=True)
    (passed,) = await codec.decode([ANSWER])
    assert ANSWER.data == passed.data
    assert before == ANSWER.SerializeToString(deterministic=True)
    with_more = payload(Response(run_id="forged"), more=b"")
    for refused in ([REQUEST], [with_more], [ANSWER, ANSWER]):
        with pytest.raises(UnencryptedPayloadError):
            await codec.decode(refused)


async def test_a_sealed_message_of_that_kind_is_a_value(make_config: MakeConfig) -> None:
    """A user's own message of the answer's type, sealed, comes back as a value."""
    config = await make_config('[converter]\nprotobuf = "binary/protobuf"\n')
    converter = data_converter(config, "default")
    message = Response(run_id="own")
    assert [message] == await converter.decode(await converter.encode([message]), [Response])


@pytest.mark.parametrize("hint", [None, Request, RawValue])
async def test_the_mark_is_refused_whatever_is_expected(
    make_config: MakeConfig, hint: type[Any] | None
) -> None:
    """With every hint, `RawValue` included, a marked payload is no value."""
    converter = data_converter(await make_config(), "default").payload_converter
    with pytest.raises(UnencryptedPayloadError, match="for the SDK itself") as caught:
        converter.from_payloads([REQUEST], None if hint is None else [hint])
    assert caught.value.index == 0


@nexusrpc.service
class Desk:
    take: nexusrpc.Operation[Any, str]


@nexusrpc.handler.service_handler(service=Desk)
class TrustingDesk:
    """Takes whatever it is given."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    @nexusrpc.handler.sync_operation
    async def take(self, _: nexusrpc.handler.StartOperationContext, value: Any) -> str:
        self.taken.append(value)
        return "taken"


@pytest.mark.server
async def test_no_system_payload_reaches_the_handler_of_an_operation(
    full_server: str, make_config: MakeConfig, unique: str
) -> None:
    """The SDK reads them past the codec and the converter; what is sealed arrives."""
    client = await Client.connect(full_server, plugins=[SealwirePlugin(await make_config())])
    stranger = await Client.connect(full_server)
    target = EndpointTarget(worker=EndpointTarget.Worker(namespace="default", task_queue=unique))
    spec = EndpointSpec(name=unique, target=target)
    await client.operator_service.create_nexus_endpoint(CreateNexusEndpointRequest(spec=spec))

    async def start(name: str, value: Payload) -> None:
        request = StartNexusOperationExecutionRequest(
            namespace="default",
            operation_id=f"{unique}-{name}",
            request_id=name,
            endpoint=unique,
            service="Desk",
            operation="take",
            input=value,
        )
        await stranger.workflow_service.start_nexus_operation_execution(request)

    async def is_retried(name: str) -> bool:
        request = DescribeNexusOperationExecutionRequest(
            namespace="default", operation_id=f"{unique}-{name}"
        )
        service = stranger.workflow_service
        info = (await service.describe_nexus_operation_execution(request)).info
        return info.state == PendingNexusOperationState.PENDING_NEXUS_OPERATION_STATE_BACKING_OFF

    desk = TrustingDesk()
    async with Worker(client, task_queue=unique, nexus_service_handlers=[desk]):
        for name, forged in (("request", REQUEST), ("answer", ANSWER)):
            await start(name, forged)
            while not (desk.taken or await is_retried(name)):  # noqa: ASYNC110 - the server's
                await asyncio.sleep(0.05)
        (sealed,) = await client.data_converter.encode(["sealed"])
        await start("sealed", sealed)
        while not desk.taken:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert ["sealed"] == desk.taken


@pytest.mark.server
@pytest.mark.parametrize("where", ["client", "before", "after"])
async def test_a_converter_of_others_refuses_the_mark_too(
    temporal_server: str, make_config: MakeConfig, where: str
) -> None:
    """Whoever brings pydantic's converter, and in whatever order: it reads nothing unopened."""
    theirs = SimplePlugin("pydantic", data_converter=with_pydantic)  # pyright: ignore[reportUnknownMemberType]
    ours = SealwirePlugin(await make_config())
    orders: dict[str, list[Plugin]] = {
        "client": [ours],
        "before": [theirs, ours],
        "after": [ours, theirs],
    }
    given = pydantic_data_converter if where == "client" else DataConverter.default
    client = await Client.connect(temporal_server, plugins=orders[where], data_converter=given)

    assert issubclass(client.data_converter.payload_converter_class, PydanticPayloadConverter)
    converter = client.data_converter.payload_converter
    assert [{"a": 1}] == converter.from_payloads(converter.to_payloads([{"a": 1}]))
    for hint in (None, dict, RawValue):
        with pytest.raises(UnencryptedPayloadError, match="for the SDK itself"):
            converter.from_payloads([REQUEST], None if hint is None else [hint])


class Contextual(DefaultPayloadConverter, WithSerializationContext):
    """A converter that names itself where it is bound to a context, as in the SDK's examples."""

    context: SerializationContext | None = None

    def with_context(self, context: SerializationContext) -> Contextual:
        bound = Contextual()
        bound.context = context
        return bound


async def test_a_converter_bound_to_a_context_refuses_the_mark_too(make_config: MakeConfig) -> None:
    """Also one that returns a new object without what was put around it, and bound once more."""
    given = DataConverter(payload_converter_class=Contextual)
    context = WorkflowSerializationContext(namespace="default", workflow_id="a")
    converter = data_converter(await make_config(), "default", given)
    for _ in range(2):
        converter = converter.with_context(context)
        with pytest.raises(UnencryptedPayloadError, match="for the SDK itself"):
            converter.payload_converter.from_payloads([REQUEST])
    assert ["x"] == await converter.decode(await converter.encode(["x"]))


def with_pydantic(converter: DataConverter | None) -> DataConverter:
    """What a plugin does that brings pydantic's converter and keeps the rest."""
    base = converter or DataConverter.default
    return dataclasses.replace(base, payload_converter_class=PydanticPayloadConverter)

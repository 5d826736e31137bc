"""Where the SDK tells the namespace, tells another one, or tells none: payloads are read anyway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import everywhere_calling as calling
import everywhere_headers as headers
import everywhere_nexus as desk
import pytest
import sealwire_test_common as common
import sealwire_test_headers as user
from temporalio.api.enums.v1 import EventType
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import (
    ActivitySerializationContext,
    NexusSerializationContext,
    WorkflowSerializationContext,
)
from temporalio.worker import Worker

from sealwire.config import Config, EncryptionOptions, TemporalOptions
from sealwire.errors import ContextMismatchError
from sealwire.payload import encoding_of
from sealwire.temporal import SealwirePlugin, data_converter
from sealwire.temporal.history import find_payloads, search

MakeConfig = Callable[..., Awaitable[Config]]
Handle = WorkflowHandle[Any, Any]

CONTEXTS: list[Any] = [
    None,
    WorkflowSerializationContext("default", "workflow"),
    WorkflowSerializationContext("default", "a-schedule-s-prefix"),
    WorkflowSerializationContext("ReplayNamespace", "workflow"),
    ActivitySerializationContext("default", "id", "type", "queue", "workflow", "Workflow", False),
    ActivitySerializationContext("default", None, None, None, "workflow", None, is_local=True),
    NexusSerializationContext("endpoint", "service", "operation"),
]
RULES = """\
[[codec]]
type = "compression"
[[codec.rules]]
activity_type = "type"
algorithm = "zlib"
level = 9
[[codec]]
type = "encryption"
"""


@pytest.mark.parametrize("text", ["", RULES, "[temporal]\nthread_size = 1\n" + RULES])
async def test_any_context_reads_what_any_other_wrote(make_config: MakeConfig, text: str) -> None:
    """What the SDK tells of a payload, and it tells two sides different things, does not matter."""
    plain = data_converter(await make_config(text), "default")
    value = ["some text"] * 100
    for writer, reader in product(CONTEXTS, CONTEXTS):
        encode = plain if writer is None else plain.with_context(writer)
        decode = plain if reader is None else plain.with_context(reader)
        assert [value] == await decode.decode(await encode.encode([value]))


async def test_the_context_may_get_lost(make_config: MakeConfig) -> None:
    """A copy of the data converter, as the SDK makes it for external storage, is as good."""
    plain = data_converter(await make_config(), "default")
    bound = plain.with_context(CONTEXTS[1])
    assert ["x"] == await replace(bound).decode(await replace(bound).encode(["x"]))


async def test_a_nexus_context_alone_seals_nothing(make_config: MakeConfig) -> None:
    """It names no namespace, so that a codec that knows none refuses to write."""
    unbound = data_converter(await make_config()).with_context(CONTEXTS[-1])
    with pytest.raises(ContextMismatchError, match="set `namespace`"):
        await unbound.encode(["x"])


async def endpoint(client: Client, name: str, queue: str) -> None:
    worker = EndpointTarget.Worker(namespace="other", task_queue=queue)
    spec = EndpointSpec(name=name, target=EndpointTarget(worker=worker))
    await client.operator_service.create_nexus_endpoint(CreateNexusEndpointRequest(spec=spec))


async def attempts(handle: Handle) -> int:
    found = (await handle.describe()).raw_description.pending_nexus_operations
    return found[0].attempt if found and found[0].HasField("last_attempt_failure") else 0


ACCEPT = '[[codec]]\ntype = "encryption"\naccept_namespaces = '


@pytest.mark.server
@pytest.mark.parametrize("operation", ["ask", "work"])
async def test_nexus_crosses_namespaces_that_accept_each_other(
    temporal_server: str, make_config: MakeConfig, unique: str, operation: str
) -> None:
    """A handler that does not accept the caller's namespace is tried again until it does."""
    config = await make_config(f'{ACCEPT}["other"]\n')
    strict = Config(config.keyring)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    await endpoint(client, unique, unique)
    caller = Worker(client, task_queue=unique, workflows=[desk.Visitor])
    async with caller:
        handle: Handle = await client.start_workflow(
            desk.Visitor.run, args=[unique, operation, "x"], id=unique, task_queue=unique
        )
        async with handler(temporal_server, strict, unique):
            async with asyncio.timeout(20):
                while not await attempts(handle):  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.05)
        both = Config(config.keyring, codecs=(EncryptionOptions(accept_namespaces=BOTH),))
        async with handler(temporal_server, both, unique):
            (answer,) = await handle.result()
    assert answer in ("MARKER-answer to x", "MARKER-worked on x")


BOTH = frozenset({"default", "other"})


@asynccontextmanager
async def handler(server: str, config: Config, queue: str) -> AsyncGenerator[None]:
    plugin = SealwirePlugin(config)
    client = await Client.connect(server, namespace="other", plugins=[plugin])
    async with Worker(
        client,
        task_queue=queue,
        workflows=[desk.Work],
        nexus_service_handlers=[desk.DeskHandler()],
    ):
        yield


@pytest.mark.server
async def test_headers_in_clear_need_another_policy(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """With `headers = "all"`, a workflow that was started before waits for the policy `migrate`."""
    before = await make_config()
    old = Config(before.keyring)
    new = Config(before.keyring, temporal=TemporalOptions(headers="all"))
    migrating = Config(
        before.keyring,
        temporal=TemporalOptions(headers="all"),
        codecs=(EncryptionOptions(policy="migrate"),),
    )

    async def connect(config: Config) -> Client:
        return await Client.connect(
            temporal_server, interceptors=[headers.Headers()], plugins=[SealwirePlugin(config)]
        )

    handle: Handle = await (await connect(old)).start_workflow(
        calling.Called.run,
        False,
        id=unique,
        task_queue=unique,
        task_timeout=timedelta(seconds=1),
    )
    async with Worker(await connect(new), task_queue=unique, workflows=[calling.Called]):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failure = event.workflow_task_failed_event_attributes.failure
                assert "UnencryptedPayloadError" == failure.application_failure_info.type
                break
    async with Worker(await connect(migrating), task_queue=unique, workflows=[calling.Called]):
        assert await handle.result() == "child"


@pytest.mark.server
async def test_interceptors_may_seal_what_is_no_workflow_s(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """With `headers = "workflow"` they seal for clients and open for activities."""
    config = await make_config('[temporal]\nheaders = "workflow"\n')
    interceptor = user.UserHeader(data_converter(config, "default"), "MARKER")
    client = await Client.connect(
        temporal_server, interceptors=[interceptor], plugins=[SealwirePlugin(config)]
    )
    async with Worker(client, task_queue=unique, workflows=[user.Asking], activities=[user.who]):
        handle = await client.start_workflow(user.Asking.run, id=unique, task_queue=unique)
        assert ["MARKER", "MARKER"] == await handle.result()
    history = await handle.fetch_history()
    assert [set()] * len(history.events) == [search(event, ["MARKER"]) for event in history.events]
    headers = [
        encoding_of(payload)
        for event in history.events
        for path, payload in find_payloads(event)
        if "header" in path
    ]
    assert ["binary/sealed-v1"] * 2 == headers


@pytest.mark.server
async def test_the_same_workflow_runs_with_the_sdk_s_converter(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Sealed and in clear, on one server, a typed workflow gives equal values of equal types."""
    sealed = await Client.connect(temporal_server, plugins=[SealwirePlugin(await make_config())])
    plain = await Client.connect(temporal_server)
    results: list[Any] = []
    for name, client in (("sealed", sealed), ("plain", plain)):
        async with Worker(
            client,
            task_queue=f"{unique}-{name}",
            workflows=[common.Common],
            activities=[common.total, common.raw],
        ):
            handle = await client.start_workflow(
                common.Common.run,
                args=[common.order(), {"a": [1, 2.5, None, "x"], "b": {"c": True}}],
                id=f"{unique}-{name}",
                task_queue=f"{unique}-{name}",
            )
            line = common.Line("c", 3, 2.5, common.Colour.RED)
            changed = await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                common.Common.change, args=[0, line]
            )
            results.append([await handle.result(), changed])
    assert results[0] == results[1]
    ((order, lines, _), changed) = results[0]
    assert (common.order(), [changed]) == (order, lines)
    assert repr(results[0]) == repr(results[1])
    history = await plain.get_workflow_handle(f"{unique}-sealed").fetch_history()
    assert set() == set().union(*(search(event, ["Höhenstraße"]) for event in history.events))

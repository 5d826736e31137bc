"""What somebody changes between a worker and the database is never acted on, and can be undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator

import pytest
import sealwire_test_patient as app
from everywhere_wire import Wire
from google.protobuf.message import Message
from repair_secrets import Secrets
from repair_stage import (
    TEXT,
    connect,
    next_task,
    reset,
    start,
    start_gated,
    task_failure,
    working,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import (
    PollWorkflowTaskQueueResponse,
    RespondActivityTaskCompletedRequest,
    SignalWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowHandle

from sealwire.config import Config
from sealwire.errors import DecryptError
from sealwire.temporal.history import find_payloads

pytestmark = pytest.mark.server

MakeConfig = Callable[..., Awaitable[Config]]


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """What no failure may tell."""
    return Secrets(monkeypatch)


@pytest.fixture
def wire(temporal_server: str) -> Generator[Wire]:
    """The way to the server, on which somebody changes what passes."""
    with Wire(temporal_server) as wire:
        yield wire


def changing(kind: type[Message]) -> Callable[[Message], None]:
    """Change a bit of each sealed payload in messages of one kind."""

    def meddle(message: Message) -> None:
        for _, payload in find_payloads(message) if isinstance(message, kind) else ():
            if payload.metadata["encoding"] == b"binary/sealed-v1":
                payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])

    return meddle


async def refused(
    handle: WorkflowHandle[object, object], client: Client, config: Config, hidden: Secrets
) -> None:
    """Wait until the workflow's task was refused, and is offered again; nothing is told by that."""
    failure = await task_failure(handle)
    assert failure.application_failure_info.type == "DecryptError"
    await hidden.add_keys(config)
    assert set() == await hidden.found_in(failure, client.data_converter)
    await next_task(handle, attempt=3)


async def stored(handle: WorkflowHandle[object, object], field: str) -> Payload:
    """The payload that the server keeps in an event."""
    events = (await handle.fetch_history()).events
    found = [item for event in events for item in find_payloads(event)]
    (payload,) = (payload for path, payload in found if path.startswith(field))
    return payload


async def test_a_changed_result_is_made_again_after_a_reset(
    temporal_server: str, make_config: MakeConfig, unique: str, wire: Wire, hidden: Secrets
) -> None:
    """The workflow waits; reset to before the activity, it has the activity run once more."""
    config = await make_config()
    client = await connect(temporal_server, config)
    gate = app.Gate()
    gate.open.set()
    wire.meddler = changing(RespondActivityTaskCompletedRequest)
    async with working(await connect(wire.address, config), unique, gate):
        handle = await start_gated(client, unique, "pass_gate")
        await refused(handle, client, config, hidden)
        with pytest.raises(DecryptError):  # whoever reads the history is warned, too
            await client.data_converter.decode(
                [await stored(handle, "activity_task_completed_event_attributes.result")]
            )
        assert 1 == gate.attempts
        wire.meddler = None
        await reset(temporal_server, unique)
        assert "MARKER-passed pass_gate" == await client.get_workflow_handle(unique).result()
    assert 2 == gate.attempts


async def test_a_changed_signal_is_left_out_by_a_reset(
    temporal_server: str, make_config: MakeConfig, unique: str, wire: Wire, hidden: Secrets
) -> None:
    """The workflow waits; after a reset without signals it is told what it was to be told."""
    config = await make_config()
    client = await connect(temporal_server, config)
    async with working(client, unique):
        handle = await start(client, unique, TEXT)
        await handle.query("told", "")  # so that there is a task to reset to
        wire.meddler = changing(SignalWorkflowExecutionRequest)
        sender = await connect(wire.address, config)
        await sender.get_workflow_handle(unique).signal("tell", "MARKER-changed")
        await refused(handle, client, config, hidden)
        await reset(temporal_server, unique)
        again = client.get_workflow_handle(unique, result_type=list[str])
        await again.signal("tell", "better")
        assert [TEXT, "better"] == await again.result()


async def test_what_is_changed_on_its_way_to_the_worker_only_delays(
    temporal_server: str, make_config: MakeConfig, unique: str, wire: Wire, hidden: Secrets
) -> None:
    """The server has what was sealed: once it arrives unchanged, the workflow goes on by itself."""
    config = await make_config()
    client = await connect(temporal_server, config)
    wire.meddler = changing(PollWorkflowTaskQueueResponse)
    async with working(await connect(wire.address, config), unique):
        handle = await start(client, unique, TEXT)
        await refused(handle, client, config, hidden)
        payload = await stored(handle, "workflow_execution_started_event_attributes.input")
        assert [TEXT] == await client.data_converter.decode([payload])
        await handle.signal("tell", "better")
        wire.meddler = None
        assert [TEXT, "better"] == await handle.result()

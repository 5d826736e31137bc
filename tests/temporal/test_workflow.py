"""Whole workflows on a real server, with a real worker and its sandbox."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sealwire_test_app as app
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from sealwire.config import Config
from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads, search

MakeConfig = Callable[..., Awaitable[Config]]
Handle = WorkflowHandle[Any, Any]


@asynccontextmanager
async def running(client: Client, queue: str) -> AsyncGenerator[None]:
    async with Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=app.ACTIVITIES):
        yield


async def run_everything(client: Client, name: str) -> tuple[Handle, Any]:
    handle: Handle = await client.start_workflow(
        app.Everything.run, app.PERSON, id=name, task_queue=name, memo=app.MEMO
    )
    await handle.execute_update("change", app.UPDATE)  # pyright: ignore[reportUnknownMemberType]
    await handle.signal(app.Everything.tell, app.SIGNAL)
    return handle, await handle.result()


async def stored(plain: Client, name: str) -> list[Message]:
    """Everything the server tells somebody without keys about a workflow and its child."""
    handle: Handle = plain.get_workflow_handle(name)
    history = await handle.fetch_history()
    messages: list[Message] = [*history.events, (await handle.describe()).raw_description]
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            child_history = await plain.get_workflow_handle(child.workflow_id).fetch_history()
            messages += child_history.events
    answer = await handle.query("ask", result_type=RawValue)
    return [*messages, answer.payload]


def found(messages: list[Message]) -> set[str]:
    markers = (*app.STORED, app.QUERY_RESULT)
    return {text for message in messages for text in search(message, markers)}


async def test_nothing_of_a_run_is_stored_in_clear(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """No argument, result, signal, query, memo, heartbeat or failure is readable on the server."""
    config = await make_config()
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    plain = await Client.connect(temporal_server)
    async with running(client, unique):
        handle, result = await run_everything(client, unique)
        messages = await stored(plain, unique)
        assert await handle.query(app.Everything.ask) == app.QUERY_RESULT

    assert set() == found(messages)
    assert result["signal"] == app.SIGNAL
    assert "MARKER-failure-message MARKER-argument" in result["failures"]
    payloads = [payload for message in messages for _, payload in find_payloads(message)]
    assert len(payloads) > 15
    system = {b"json/plain", b"json/protobuf"}  # what the server and the SDK write for themselves
    assert {b"binary/sealed-v1"} == {item.metadata["encoding"] for item in payloads} - system


async def test_payloads_that_carry_their_keys_need_no_keyring(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """In envelope mode a run is as unreadable, and a client with the key file alone reads it."""
    worker = await make_config('[[codec]]\ntype = "envelope"\n', "worker")
    reader = await make_config('[[codec]]\ntype = "envelope"\n', "reader")
    worker.keyring.path.unlink()
    reader.keyring.path.unlink()
    reader.keyring.key_file.write_bytes(worker.keyring.key_file.read_bytes())
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(worker)])
    other = await Client.connect(temporal_server, plugins=[SealwirePlugin(reader)])
    plain = await Client.connect(temporal_server)
    async with running(client, unique):
        _, result = await run_everything(client, unique)
        messages = await stored(plain, unique)

    assert set() == found(messages)
    handle: Handle = other.get_workflow_handle(unique)
    assert result == await handle.result()
    payloads = [payload for message in messages for _, payload in find_payloads(message)]
    system = {b"json/plain", b"json/protobuf"}  # what the server and the SDK write for themselves
    assert {b"binary/enveloped-v1"} == {item.metadata["encoding"] for item in payloads} - system


async def test_the_same_run_in_clear_shows_every_marker(temporal_server: str, unique: str) -> None:
    """The search finds all markers under the default converter, so that the test above can fail."""
    client = await Client.connect(temporal_server)
    async with running(client, unique):
        await run_everything(client, unique)
        messages = await stored(client, unique)
    assert {*app.STORED, app.QUERY_RESULT} == found(messages)


async def test_a_pending_heartbeat_is_sealed(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Heartbeat details of a running activity, which `describe` shows, are sealed."""
    config = await make_config()
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    plain = await Client.connect(temporal_server)
    async with running(client, unique):
        handle: Handle = await client.start_workflow(
            app.Everything.run, app.PERSON, id=unique, task_queue=unique
        )
        details: list[Payload] = []
        while not details:
            description = (await plain.get_workflow_handle(unique).describe()).raw_description
            for pending in description.pending_activities:
                details += pending.heartbeat_details.payloads
        await handle.terminate()
    assert [item.metadata["encoding"] for item in details] == [b"binary/sealed-v1"]
    assert set() == search(details[0], ["MARKER"])


async def test_a_key_is_rotated_while_the_workflow_runs(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """One history has payloads of the old and the new key, all readable, without a restart."""
    config = await make_config("[keyring]\nrefresh_interval = 0.2\n")
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    keyring = config.loaded_keyring
    old = keyring.encryption_key().id
    async with running(client, unique):
        handle: Handle = await client.start_workflow(
            app.Everything.run, app.PERSON, id=unique, task_queue=unique
        )
        await handle.execute_update("change", app.UPDATE)  # pyright: ignore[reportUnknownMemberType]
        await rotate(config)
        while keyring.encryption_key().id == old:  # noqa: ASYNC110 - it notices by itself
            await asyncio.sleep(0.05)
        await handle.signal(app.Everything.tell, app.SIGNAL)
        result = await handle.result()
    assert result["signal"] == app.SIGNAL

    plain = await Client.connect(temporal_server)
    history = await plain.get_workflow_handle(unique).fetch_history()
    ids = {
        payload.metadata["encryption-key-id"].decode()
        for event in history.events
        for _, payload in find_payloads(event)
        if payload.metadata["encoding"] == b"binary/sealed-v1"
    }
    assert {old, keyring.encryption_key().id} == ids

    # A process that starts later reads both, and replays the history.
    fresh = SealwirePlugin(Config(config.keyring), namespace="default")
    replayer = Replayer(workflows=app.WORKFLOWS, plugins=[fresh])
    assert (await replayer.replay_workflow(history)).replay_failure is None


async def rotate(config: Config) -> None:
    """Rotate in another process, as an administrator would."""
    file = config.keyring.path.with_name("sealwire.toml")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sealwire", "keys", "rotate", "--immediate", "--config", str(file)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0


async def test_plaintext_from_outside_stops_at_the_worker(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A workflow started with plaintext fails its task and waits; it is neither run nor ended."""
    config = await make_config()
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    plain = await Client.connect(temporal_server)
    handle: Handle = await plain.start_workflow(
        app.Everything.run, app.PERSON, id=unique, task_queue=unique
    )
    async with running(client, unique):
        failure = await task_failure(handle)
    assert set() == search(failure, ["MARKER"])
    assert failure.application_failure_info.type == "UnencryptedPayloadError"
    error = await client.data_converter.decode_failure(failure)
    assert "json/plain is not encrypted" in str(error)
    description = await handle.describe()
    assert description.status is not None
    assert description.status.name == "RUNNING"
    await handle.terminate()


async def task_failure(handle: Handle) -> Failure:
    """Wait until a workflow task has failed, and return why."""
    while True:
        for event in (await handle.fetch_history()).events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return event.workflow_task_failed_event_attributes.failure


async def test_two_namespaces_cannot_read_each_other(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A payload copied into another namespace is refused, even with the same keyring."""
    config = await make_config()
    here = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    there = await Client.connect(
        temporal_server, namespace="other", plugins=[SealwirePlugin(config)]
    )
    (payload,) = await here.data_converter.encode([app.PERSON])
    assert await here.data_converter.decode([payload], [app.Person]) == [app.PERSON]

    handle: Handle = await there.start_workflow(
        "Everything", RawValue(payload), id=unique, task_queue=unique
    )
    async with running(there, unique):
        failure = await task_failure(handle)
    assert failure.application_failure_info.type == "ContextMismatchError"
    await handle.terminate()


async def test_a_failing_workflow_tells_its_client_everything(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """The client reads the message, the details and the stack trace that the server cannot."""
    config = await make_config()
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with running(client, unique):
        with pytest.raises(WorkflowFailureError) as caught:
            await client.execute_workflow(app.Failing.run, app.PERSON, id=unique, task_queue=unique)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.message == "MARKER-failure-message MARKER-argument"
    assert [app.PERSON.card] == list(cause.details)
    plain = await Client.connect(temporal_server)
    history = await plain.get_workflow_handle(unique).fetch_history()
    assert set() == set().union(*(search(event, ["MARKER"]) for event in history.events))


async def test_a_missing_keyring_stops_the_client_at_once(
    temporal_server: str, make_config: MakeConfig
) -> None:
    """A client without keys fails when it connects, not at the first payload."""
    config = await make_config()
    config.keyring.path.unlink()
    with pytest.raises(KeyProviderUnavailableError, match="keys init"):
        await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])


async def test_a_configuration_for_another_namespace_is_refused(
    temporal_server: str, make_config: MakeConfig
) -> None:
    """A client in another namespace than the configuration names does not connect."""
    config = await make_config('namespace = "payments"\n')
    with pytest.raises(ConfigurationError, match=r"payments.*default"):
        await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])

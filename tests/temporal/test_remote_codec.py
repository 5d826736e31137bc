"""Workers and clients without keys on a real server, with a codec server that has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sealwire_test_app as app
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from sealwire.config import Config, load_config
from sealwire.errors import CodecUnavailableError
from sealwire.server import BearerToken, codec_app, running
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads, search
from sealwire.testing import free_port

MakeConfig = Callable[..., Awaitable[Config]]
Handle = WorkflowHandle[Any, Any]
TOKEN = "correct-horse-battery-staple"

pytestmark = pytest.mark.server


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def keyless(tmp_path: Path, port: int) -> Config:
    """A configuration in a folder without any key."""
    folder = tmp_path / "keyless"
    folder.mkdir()
    token = folder / "codec.token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    file = folder / "sealwire.toml"
    file.write_text(
        f'[[codec]]\ntype = "remote"\nurl = "http://127.0.0.1:{port}"\n'
        'token_file = "codec.token"\ntotal_timeout = 2\n'
    )
    return load_config(file)


async def test_a_worker_without_keys_stores_nothing_in_clear(
    temporal_server: str, make_config: MakeConfig, keyless: Config, port: int, unique: str
) -> None:
    """Everything of a run is sealed by the codec server, and read through it."""
    server = codec_app((await make_config()).codec("default"), token=BearerToken(TOKEN))
    async with running(server, port=port):
        client = await Client.connect(temporal_server, plugins=[SealwirePlugin(keyless)])
        async with Worker(
            client, task_queue=unique, workflows=app.WORKFLOWS, activities=app.ACTIVITIES
        ):
            handle: Handle = await client.start_workflow(
                app.Everything.run, app.PERSON, id=unique, task_queue=unique, memo=app.MEMO
            )
            await handle.signal(app.Everything.tell, app.SIGNAL)
            result = await handle.result()
    assert app.SIGNAL == result["signal"]
    assert "MARKER-failure-message MARKER-argument" in result["failures"]
    plain = await Client.connect(temporal_server)
    events = (await plain.get_workflow_handle(unique).fetch_history()).events
    encodings = {
        payload.metadata["encoding"] for event in events for _, payload in find_payloads(event)
    }
    system = {b"json/plain", b"json/protobuf"}  # what the server and the SDK write for themselves
    assert {b"binary/sealed-v1"} == encodings - system
    assert set() == {text for event in events for text in search(event, app.STORED)}


async def test_a_workflow_outlives_an_outage(
    temporal_server: str, make_config: MakeConfig, keyless: Config, port: int, unique: str
) -> None:
    """Without the codec server the workflow waits; with it, it goes on as if nothing had been."""
    keys = await make_config()
    server = codec_app(keys.codec("default"), token=BearerToken(TOKEN))
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(keyless)])
    operator = await Client.connect(temporal_server, plugins=[SealwirePlugin(keys)])
    handle: Handle = operator.get_workflow_handle(unique)
    with pytest.raises(CodecUnavailableError):
        await client.start_workflow(app.Child.run, "text", id=unique, task_queue=unique)
    await operator.start_workflow(app.Child.run, "text", id=unique, task_queue=unique)
    async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS):
        async with asyncio.timeout(30):
            while not await has_failed_task(handle):
                pass
        async with running(server, port=port):
            assert "MARKER-child-result text" == await handle.result()


async def has_failed_task(handle: Handle) -> bool:
    events = (await handle.fetch_history()).events
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in events)

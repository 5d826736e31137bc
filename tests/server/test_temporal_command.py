from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
import pytest_asyncio
from google.protobuf import json_format
from temporalio.client import Client
from temporalio.converter import DataConverter

from sealwire.codecs import CodecChain
from sealwire.codecs.object_folder import FolderObjectStore
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.payload import Payload, Payloads
from sealwire.server import BearerToken, codec_app, running
from sealwire.temporal import external_storage
from sealwire.testing.devserver import temporal_binary

MARKER = "marker-in-the-clear"

pytestmark = [
    pytest.mark.server,
    pytest.mark.asyncio(loop_scope="session"),
]


@dataclass(frozen=True)
class Command:
    """The real command line, pointed at a real server."""

    address: str
    home: Path
    codec: tuple[str, ...] = ()

    async def __call__(self, *arguments: str) -> str:
        """Run the command and return what it prints."""
        process = await asyncio.create_subprocess_exec(
            temporal_binary(),
            *arguments,
            "--address",
            self.address,
            *self.codec,
            stdout=asyncio.subprocess.PIPE,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert 0 == process.returncode
        return output.decode()


@pytest.fixture
def raw(temporal_server: str, tmp_path: Path) -> Command:
    """The command without a codec server."""
    return Command(temporal_server, tmp_path)


@pytest.fixture
def decoding(raw: Command, url: str, token: str) -> Command:
    """The command with the codec server."""
    codec = ("--codec-endpoint", f"{url}/", "--codec-auth", f"Bearer {token}")
    return Command(raw.address, raw.home, codec)


@pytest.fixture
def storage(tmp_path: Path) -> PayloadStorage:
    return PayloadStorage(FolderObjectStore(tmp_path / "payloads"))


@pytest_asyncio.fixture(loop_scope="session")
async def following(
    raw: Command, codec: CodecChain, token: str, storage: PayloadStorage
) -> AsyncGenerator[Command]:
    """The command with a codec server that has the storage."""
    app = codec_app(codec, token=BearerToken(token), namespace="default", storage=storage)
    async with running(app) as url:
        options = ("--codec-endpoint", url, "--codec-auth", f"Bearer {token}")
        yield Command(raw.address, raw.home, options)


async def start_with_a_large_payload(
    address: str, codec: CodecChain, storage: PayloadStorage, workflow_id: str
) -> str:
    """Start a workflow whose first argument goes into the storage; return that argument."""
    converter = replace(
        DataConverter.default,
        payload_codec=cast("Any", codec),
        external_storage=external_storage(storage, namespace="default"),
    )
    client = await Client.connect(address, data_converter=converter)
    large = os.urandom(300_000).hex() + MARKER
    await client.start_workflow("Greet", args=[large, 2], id=workflow_id, task_queue="none")
    return large


async def show(command: Command, workflow_id: str) -> list[dict[str, Any]]:
    """Return the events of a workflow, as the command shows them."""
    output = await command("workflow", "show", "--workflow-id", workflow_id, "--output", "json")
    events: list[dict[str, Any]] = json.loads(output)["events"]
    return events


def payloads_of(events: list[dict[str, Any]]) -> list[Payload]:
    """Return the input and the memo of a workflow."""
    started = events[0]["workflowExecutionStartedEventAttributes"]
    memo = started.get("memo", {}).get("fields", {}).values()
    batch = {"payloads": [*started["input"]["payloads"], *memo]}
    return list(json_format.ParseDict(batch, Payloads()).payloads)


async def test_the_command_writes_and_reads_through_the_server(
    raw: Command, decoding: Command
) -> None:
    """The stored history has no plaintext; the same command with the codec server shows it."""
    await decoding(
        *("workflow", "start", "--type", "Greet", "--task-queue", "none"),
        *("--workflow-id", "served-sealed", "--input", f'"{MARKER}"', "--input", "2"),
        *("--memo", f'note="{MARKER}"'),
    )
    stored = payloads_of(await show(raw, "served-sealed"))
    assert [b"binary/sealed-v1"] * 3 == [payload.metadata.get("encoding") for payload in stored]
    assert not [payload for payload in stored if MARKER.encode() in payload.SerializeToString()]
    shown = payloads_of(await show(decoding, "served-sealed"))
    assert [MARKER, 2, MARKER] == [json.loads(payload.data) for payload in shown]


async def test_the_command_sends_a_signal_without_arguments(
    raw: Command, decoding: Command
) -> None:
    """An empty list of payloads is encoded as one, so that the signal arrives."""
    await decoding(
        *("workflow", "start", "--type", "Greet", "--task-queue", "none"),
        *("--workflow-id", "served-signalled"),
    )
    await decoding("workflow", "signal", "--workflow-id", "served-signalled", "--name", "go")
    names = [event["eventType"] for event in await show(raw, "served-signalled")]
    assert "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED" in names


async def test_the_command_shows_the_error_in_place_of_plaintext(
    raw: Command, decoding: Command
) -> None:
    """A payload that was stored in clear is shown as an error, not as a hidden time-out."""
    await raw(
        *("workflow", "start", "--type", "Greet", "--task-queue", "none"),
        *("--workflow-id", "served-plain", "--input", f'"{MARKER}"'),
    )
    [shown] = payloads_of(await show(decoding, "served-plain"))
    assert "UnencryptedPayloadError" == json.loads(shown.data)["type"]


async def test_the_command_shows_a_workflow_with_a_stored_payload(
    raw: Command, decoding: Command, codec: CodecChain, storage: PayloadStorage
) -> None:
    """Without the storage, the reference is shown as it is, and all the rest decoded."""
    await start_with_a_large_payload(raw.address, codec, storage, "served-large")
    [stored, _] = payloads_of(await show(raw, "served-large"))
    [reference, number] = payloads_of(await show(decoding, "served-large"))
    assert (stored, b"2") == (reference, number.data)
    assert {"driverName", "claimData"} == set(json.loads(reference.data))


async def test_the_command_shows_a_stored_payload(
    raw: Command, following: Command, codec: CodecChain, storage: PayloadStorage
) -> None:
    """A codec server with the storage brings what a reference leads to."""
    large = await start_with_a_large_payload(raw.address, codec, storage, "served-followed")
    shown = payloads_of(await show(following, "served-followed"))
    assert [large, 2] == [json.loads(payload.data) for payload in shown]


async def test_what_the_command_prints_can_be_downloaded(
    raw: Command, codec: CodecChain, storage: PayloadStorage
) -> None:
    """A reference out of the printed history is what `/download` takes."""
    large = await start_with_a_large_payload(raw.address, codec, storage, "served-printed")
    [started, *_] = await show(raw, "served-printed")
    [reference, _] = started["workflowExecutionStartedEventAttributes"]["input"]["payloads"]
    app = codec_app(codec, token=None, namespace="default", storage=storage)
    async with running(app) as url, httpx2.AsyncClient() as client:
        response = await client.post(f"{url}/download", json={"payloads": [reference]})
    assert large == json.loads(base64.b64decode(response.json()["payloads"][0]["data"]))

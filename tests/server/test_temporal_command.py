from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from sealwire.payload import Payload, Payloads
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

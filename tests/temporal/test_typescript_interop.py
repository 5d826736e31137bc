"""Workflows that this plugin and Temporal's TypeScript SDK run together on a real server.

The TypeScript programs, in `tests/node/interop`, have the codec of Temporal's samples.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import sealwire_test_app as app
from google.protobuf.message import Message
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads, search

MakeConfig = Callable[..., Awaitable[Config]]
Handle = WorkflowHandle[Any, Any]

SCRIPTS: Final = Path(__file__).parents[1] / "node" / "interop"
LIMIT: Final = 60.0  # seconds until a Node.js process that does not answer is given up
PERSON: Final = app.Person("MARKER-argument Zoë 🔐", "MARKER-card")
# What the TypeScript workflows store: no heartbeat, and no lines of source in stack traces.
STORED: Final = set(app.STORED) - {"MARKER-heartbeat", "MARKER-stack-trace"}
INTEROP_FORM: Final = {"encoding": b"binary/encrypted", "encryption-key-id": b"test-key-id"}
# What the server and the SDKs write for themselves: a search attribute, and what a local activity
# was, beside its result.
SYSTEM: Final = (
    ".indexed_fields[BuildIds]",
    "marker_recorded_event_attributes.details[data].payloads[0]",
)


@dataclass(frozen=True)
class Queues:
    """The task queues of the TypeScript workers."""

    encrypted: str
    clear: str


@dataclass(frozen=True)
class Seen:
    """What a client got back."""

    update: Any
    result: Any
    query: Any
    memo: Any
    failure: Any


def unique() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def typescript_worker(
    temporal_server: str,
    require_part: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Queues]:
    """One Node.js process with two workers; it ends when its stdin does."""
    queues = Queues(unique(), unique())
    node = require_part("node")
    log = tmp_path_factory.mktemp("node") / "stderr"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [node, SCRIPTS / "worker.mjs", temporal_server, queues.encrypted, queues.clear],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert b"ready\n" == process.stdout.readline(), log.read_text("utf-8")
            yield queues
            process.stdin.close()
            assert 0 == process.wait(LIMIT), log.read_text("utf-8")
        finally:
            process.kill()


@asynccontextmanager
async def running(client: Client, queue: str) -> AsyncGenerator[None]:
    async with Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=app.ACTIVITIES):
        yield


async def use_typescript_client(node: Path, server: str, queue: str) -> Seen:
    """Run both workflows with a client in a Node.js process of its own."""
    request = {
        "address": server,
        "queue": queue,
        "person": asdict(PERSON),
        "memo": app.MEMO,
        "update": app.UPDATE,
        "signal": app.SIGNAL,
    }
    process = await asyncio.create_subprocess_exec(
        *(node, SCRIPTS / "client.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT):
            answer, _ = await process.communicate(json.dumps(request).encode())
        assert 0 == process.returncode
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Seen(**json.loads(answer))


async def use_python_client(client: Client, queue: str) -> Seen:
    """Run both workflows as `client.mjs` does."""
    handle: Handle = await client.start_workflow(
        "Everything", PERSON, id=queue, task_queue=queue, memo=app.MEMO
    )
    update: Any = await handle.execute_update("change", app.UPDATE)  # pyright: ignore[reportUnknownMemberType]
    await handle.signal("tell", app.SIGNAL)
    result = await handle.result()
    query: Any = await handle.query("ask")  # pyright: ignore[reportUnknownMemberType]
    memo = await (await handle.describe()).memo()
    with pytest.raises(WorkflowFailureError) as caught:
        await client.execute_workflow("Failing", PERSON, id=f"{queue}-failing", task_queue=queue)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    return Seen(
        update, result, query, memo, {"message": cause.message, "details": [*cause.details]}
    )


async def stored(server: str, queue: str) -> list[Message]:
    """Everything the server tells somebody without keys about the workflows of a queue."""
    plain = await Client.connect(server)
    messages: list[Message] = []
    workflows = [queue, f"{queue}-failing"]
    for name in workflows:
        handle = plain.get_workflow_handle(name)
        messages.append((await handle.describe()).raw_description)
        for event in (await handle.fetch_history()).events:
            messages.append(event)
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            if child.workflow_id:
                workflows.append(child.workflow_id)
    answer: RawValue = await plain.get_workflow_handle(queue).query("ask", result_type=RawValue)
    return [*messages, answer.payload]


def found(messages: list[Message]) -> set[str]:
    markers = (*app.STORED, app.QUERY_RESULT)
    return {text for message in messages for text in search(message, markers)}


def check_stored(messages: list[Message]) -> None:
    """Fails unless every payload of a program is in the interop format, under the shared key."""
    assert set() == found(messages)
    written = [
        payload
        for message in messages
        for path, payload in find_payloads(message)
        if not path.endswith(SYSTEM)
    ]
    assert len(written) >= 20
    forms = [dict(payload.metadata) for payload in written]
    assert [INTEROP_FORM] * len(written) == forms


async def interop_client(server: str, make_config: MakeConfig) -> Client:
    """A client whose keyring has the key of the samples, and which writes their format."""
    config = await make_config('[[codec]]\ntype = "encryption"\nformat = "interop"\n')
    await config.admin.import_interop("test-key-id", b"test-key-test-key-test-key-test!")
    return await Client.connect(server, plugins=[SealwirePlugin(config)])


def check_seen(seen: Seen) -> None:
    """Fails unless a client got back all that the workflows of either language give."""
    assert f"changed {app.UPDATE}" == seen.update
    assert app.QUERY_RESULT == seen.query
    assert app.MEMO == seen.memo
    assert "MARKER-result" == seen.result["result"]
    assert [
        f"MARKER-activity-result {PERSON.name}",
        f"MARKER-local-result {PERSON.name}",
        "MARKER-child-result MARKER-child-argument",
    ] == seen.result["results"]
    assert f"MARKER-failure-message {PERSON.name}" == seen.result["failures"][-1]
    assert app.SIGNAL == seen.result["signal"]
    failure = {"message": f"MARKER-failure-message {PERSON.name}", "details": [PERSON.card]}
    assert failure == seen.failure


async def test_a_python_client_uses_a_typescript_worker(
    temporal_server: str, typescript_worker: Queues, make_config: MakeConfig
) -> None:
    """Arguments, results and failures are read on both sides, and none is stored in clear."""
    client = await interop_client(temporal_server, make_config)

    seen = await use_python_client(client, typescript_worker.encrypted)

    check_seen(seen)
    check_stored(await stored(temporal_server, typescript_worker.encrypted))


async def test_the_same_run_in_clear_shows_every_marker(
    temporal_server: str, typescript_worker: Queues
) -> None:
    """The search finds all markers where nobody encrypts, so that the test above can fail."""
    client = await Client.connect(temporal_server)

    await use_python_client(client, typescript_worker.clear)

    messages = await stored(temporal_server, typescript_worker.clear)
    assert {*STORED, app.QUERY_RESULT} == found(messages)


async def test_a_typescript_client_uses_a_python_worker(
    temporal_server: str, require_part: Callable[[str], Path], make_config: MakeConfig
) -> None:
    """The same the other way round: a TypeScript client and a worker with the plugin."""
    node, queue = require_part("node"), unique()
    client = await interop_client(temporal_server, make_config)

    async with running(client, queue):
        seen = await use_typescript_client(node, temporal_server, queue)
        messages = await stored(temporal_server, queue)

    check_seen(seen)
    check_stored(messages)

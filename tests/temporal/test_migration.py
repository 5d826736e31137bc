"""A running fleet goes from plaintext, or from somebody else's codec, to sealed and strict."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import sealwire_test_codecs as theirs
import sealwire_test_fleet as app
from google.protobuf.message import Message
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.worker import Worker

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError, KeyDisabledError, UnencryptedPayloadError
from sealwire.keys import KeyLifecycle, LocalKeyWrapper
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads

Handle = WorkflowHandle[Any, Any]

FAILED: Final = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
}
ENCRYPTION: Final = '[[codec]]\ntype = "encryption"\n'
MIGRATE: Final = f'{ENCRYPTION}policy = "migrate"\n'
STRICT: Final = f'[[codec]]\ntype = "compression"\n{ENCRYPTION}'
WRITE_NEW: Final = f'[[codec]]\ntype = "compression"\n{MIGRATE}'
# Compression only reads here, because what is written has to stay readable for the old programs.
READ_BOTH: Final = (
    f'[[codec]]\ntype = "compression"\nalgorithm = "none"\n{MIGRATE}format = "interop"\n'
)


@dataclass(frozen=True)
class Route:
    """How a kind of fleet gets there: what it has, and what is deployed first."""

    codec: PayloadCodec | None
    read_both: str
    old: str  # the encoding


ROUTES: Final = {
    "plaintext": Route(None, f"write_plaintext = true\n{WRITE_NEW}", "json/plain"),
    "sample": Route(theirs.SampleCodec(), READ_BOTH, "binary/encrypted"),
    "temporalcodec": Route(theirs.temporalcodec(), READ_BOTH, "binary/encrypted"),
}


@dataclass
class Fleet:
    """Programs on one task queue, and the workflows that they run."""

    server: str
    folder: Path
    queue: str = field(default_factory=lambda: f"fleet-{uuid.uuid4()}")
    configs: dict[str, Config] = field(default_factory=dict[str, Config])
    handles: dict[str, Handle] = field(default_factory=dict[str, Handle])

    async def connect(self, name: str, text: str) -> Client:
        file = self.folder / f"{name}.toml"
        file.write_text(text, encoding="utf-8")
        self.configs[name] = load_config(file)
        return await Client.connect(self.server, plugins=[SealwirePlugin(self.configs[name])])

    @asynccontextmanager
    async def working(self, *clients: Client) -> AsyncGenerator[None]:
        """Workers of these clients, at once; without a cache each task goes to any of them."""
        workers = [
            Worker(
                client,
                task_queue=self.queue,
                workflows=app.WORKFLOWS,
                activities=app.ACTIVITIES,
                max_cached_workflows=0,
            )
            for client in clients
        ]
        for worker in workers:
            await worker.__aenter__()
        try:
            yield
        finally:
            for worker in workers:
                await worker.__aexit__(None, None, None)

    async def start(self, client: Client, name: str) -> None:
        """Start a workflow and wait until it waits for its signal."""
        handle: Handle = await client.start_workflow(
            app.Long.run,
            app.ORDER,
            id=f"{self.queue}-{name}",
            task_queue=self.queue,
            # So soon the server gives a task to another worker, if one took it while it stopped.
            task_timeout=timedelta(seconds=2),
        )
        changed: Any = await handle.execute_update("change", name)  # pyright: ignore[reportUnknownMemberType]
        assert f"changed {name}" == changed
        while is_busy((await handle.describe()).raw_description):
            pass
        self.handles[name] = handle

    async def finish(self, client: Client, *names: str) -> None:
        """Let workflows go on, read what they return, and see that nothing failed on the way."""
        for name in names:
            handle: Any = client.get_workflow_handle(self.handles[name].id)
            await handle.signal(app.Long.go_on, app.SIGNAL)
            assert app.RESULT == await handle.result()
            assert await handle.query(app.Long.is_waiting)
            history = await handle.fetch_history()
            assert set() == FAILED & {event.event_type for event in history.events}

    async def stored(self, *names: str) -> set[str]:
        """The encodings of what is in the histories of these workflows."""
        plain = await Client.connect(self.server)
        messages: list[Message] = []
        for name in names:
            history = await plain.get_workflow_handle(self.handles[name].id).fetch_history()
            messages += history.events
        return {
            payload.metadata["encoding"].decode()
            for message in messages
            for path, payload in find_payloads(message)
            if "indexed_fields" not in path and "details[data]" not in path
        }


def is_busy(description: DescribeWorkflowExecutionResponse) -> bool:
    """Tell whether a worker has something to do for the workflow."""
    pending = description.HasField("pending_workflow_task")
    return pending or bool(description.pending_activities)


@pytest.mark.parametrize("name", ROUTES)
async def test_a_running_fleet_migrates_in_three_steps(
    temporal_server: str, tmp_path: Path, name: str
) -> None:
    """Old and new programs work side by side in every step, and no task of any workflow fails."""
    route, fleet = ROUTES[name], Fleet(temporal_server, tmp_path)
    converter = replace(DataConverter.default, payload_codec=route.codec)
    old = await Client.connect(temporal_server, data_converter=converter)
    await with_keys(tmp_path)

    async with fleet.working(old):
        await fleet.start(old, "before")

    reads = await fleet.connect("reads", route.read_both)
    async with fleet.working(old, reads):  # 1. read both: what is written stays readable to all
        await fleet.start(old, "old-1")
        await fleet.start(reads, "new-1")
        await fleet.finish(old, "new-1")
        await fleet.finish(reads, "old-1")
    assert {route.old} == await fleet.stored("before", "old-1", "new-1")

    writes = await fleet.connect("writes", WRITE_NEW)
    counters = fleet.configs["writes"].counters
    async with fleet.working(reads, writes):  # 2. write new
        await fleet.start(reads, "old-2")
        await fleet.start(writes, "new-2")
        await fleet.finish(writes, "before", "old-2")
        await fleet.finish(reads, "new-2")
    assert {route.old, "binary/sealed-v1"} == await fleet.stored("before")
    assert 0 < sum([*counters.plaintext.values(), *counters.interop.values()])

    async with fleet.working(writes):  # the first workflow that nobody writes old payloads for
        before = replace(counters, plaintext={**counters.plaintext}, interop={**counters.interop})
        await fleet.start(writes, "after")
        await fleet.start(writes, "later")
        await fleet.finish(writes, "after")
        assert before == counters  # so that `strict` would have refused nothing
    await withdraw_interop(fleet.configs["writes"])

    strict = await fleet.connect("strict", STRICT)
    async with fleet.working(writes, strict):  # 3. refuse old
        await fleet.start(strict, "last")
        await fleet.start(writes, "also-last")
    async with fleet.working(strict):
        await fleet.finish(strict, "later", "last", "also-last")
    assert {"binary/sealed-v1"} == await fleet.stored("after", "later", "last", "also-last")
    refused = KeyDisabledError if route.codec else UnencryptedPayloadError
    with pytest.raises(refused):
        await strict.data_converter.decode(await old.data_converter.encode(["x"]))


async def with_keys(folder: Path) -> None:
    """Make the keyring that all configurations of the folder share, with the old key in it."""
    (folder / "keys.toml").write_text("", encoding="utf-8")
    config = load_config(folder / "keys.toml")
    LocalKeyWrapper(config.keyring.key_file).create()
    await config.admin.create()
    await config.admin.import_interop(theirs.KEY_ID, theirs.KEY.encode())


async def withdraw_interop(config: Config) -> None:
    """Refuse old payloads that are encrypted: without their key nobody reads them."""
    await KeyLifecycle(config.admin).disable(theirs.KEY_ID, even_if_in_use=True)
    await config.loaded_keyring.refresh()


async def test_a_plaintext_query_fails_alone(temporal_server: str, tmp_path: Path) -> None:
    """The Web UI sends arguments of queries in clear: a strict worker refuses the query only."""
    fleet = Fleet(temporal_server, tmp_path)
    await with_keys(tmp_path)
    strict = await fleet.connect("strict", STRICT)
    plain = await Client.connect(temporal_server)
    async with fleet.working(strict):
        await fleet.start(strict, "a")
        handle = plain.get_workflow_handle(fleet.handles["a"].id)
        with pytest.raises(WorkflowQueryFailedError):
            await handle.query("repeat", "in clear")
        assert "sealed" == await fleet.handles["a"].query(app.Long.repeat, "sealed")
        await fleet.finish(strict, "a")  # and no task of the workflow has failed


async def test_interop_payloads_are_counted_by_key(temporal_server: str, tmp_path: Path) -> None:
    """The counters of a configuration are those of each client and worker that was built of it."""
    fleet = Fleet(temporal_server, tmp_path)
    await with_keys(tmp_path)
    sample = replace(DataConverter.default, payload_codec=theirs.SampleCodec())
    here = await fleet.connect("writes", WRITE_NEW)
    plugin = SealwirePlugin(fleet.configs["writes"])
    there = await Client.connect(temporal_server, namespace="other", plugins=[plugin])
    for client in (here, there):
        await client.data_converter.decode(await sample.encode(["x"]))
        await client.data_converter.decode(await DataConverter.default.encode([1, b"2"]))
    counters = fleet.configs["writes"].counters
    assert {theirs.KEY_ID: 2} == counters.interop
    assert {"json/plain": 2, "binary/plain": 2} == counters.plaintext


async def test_a_fleet_that_only_reads_writes_what_all_can_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`write_plaintext` leaves out the whole chain, compression too, and says so at start-up."""
    await with_keys(tmp_path)
    file = tmp_path / "reads.toml"
    file.write_text(ROUTES["plaintext"].read_both, encoding="utf-8")
    with caplog.at_level(logging.WARNING, "sealwire.config"):
        config = load_config(file)
    assert "everything is stored in clear" in caplog.text

    reads = config.data_converter("default")
    (tmp_path / "writes.toml").write_text(WRITE_NEW, encoding="utf-8")
    writes = load_config(tmp_path / "writes.toml").data_converter("default")
    sealed = await writes.encode([app.ORDER, None])
    assert [b"binary/sealed-v1"] * 2 == [item.metadata["encoding"] for item in sealed]
    assert [app.ORDER, None] == await reads.decode(sealed, [app.Order])
    assert await DataConverter.default.encode([{"a": app.TEXT}]) == await reads.encode(
        [{"a": app.TEXT}]
    )
    assert reads.encode_sync([1]) == await reads.encode([1])
    assert [app.ORDER, None] == reads.decode_sync(sealed, [app.Order])


def test_plaintext_is_not_written_where_it_is_refused(tmp_path: Path) -> None:
    """With the policy `strict` a program could not read what it wrote itself."""
    file = tmp_path / "sealwire.toml"
    file.write_text("write_plaintext = true\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="set the policy to 'migrate'"):
        load_config(file)
    file.write_text('write_plaintext = "yes"\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="write_plaintext: expected true or false"):
        load_config(file)

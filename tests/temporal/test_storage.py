"""Large payloads outside of a real server: stored once, found again, and collected when unused."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import pytest
import sealwire_test_app as everything
import sealwire_test_large as app
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import ExternalStorageReference
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import (
    Client,
    ClientConfig,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowHandle,
)
from temporalio.common import RawValue
from temporalio.converter import DataConverter, StorageDriver, StorageDriverStoreContext
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker

from sealwire.cli.storage_collection import Collection, Collector
from sealwire.codecs.object_folder import FolderObjectStore
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.codecs.reference_form import REFERENCE_MESSAGE
from sealwire.config import Config, StorageOptions, load_config
from sealwire.errors import ConfigurationError
from sealwire.temporal import (
    SealwirePlugin,
    data_converter,
    external_storage,
    sandbox_runner,
)
from sealwire.temporal.history import find_payloads, search
from sealwire.temporal.reference_keys import References
from sealwire.temporal.stored_references import ReferenceReader

pytestmark = pytest.mark.server

MakeConfig = Callable[..., Awaitable[Config]]
Handle = WorkflowHandle[Any, Any]

SIZE: Final = 30_000
TIMES: Final = 3
SOON: Final = timedelta(seconds=1)  # after that, a task that fails again is given out anew
FOLDER: Final = '[storage]\nfolder = "payloads"\nthreshold = 20000\n'
IDS: Final = "content_ids = true\n"
# What was put in, what each turn makes of it, the child's result, the signal, and the result.
CONTENTS: Final = 1 + TIMES + 1 + 1 + 1


@asynccontextmanager
async def running(client: Client, queue: str, **options: Any) -> AsyncGenerator[None]:
    async with Worker(
        client, task_queue=queue, workflows=app.WORKFLOWS, activities=app.ACTIVITIES, **options
    ):
        yield


async def turn_often(client: Client, name: str, document: bytes) -> Handle:
    handle: Handle = await client.start_workflow(
        app.TurnOften.run, args=[document, TIMES], id=name, task_queue=name
    )
    other = os.urandom(SIZE)
    await handle.signal(app.TurnOften.tell, other)
    expected = document
    for _ in range(TIMES + 1):
        expected = app.turned(expected)
    assert expected + other == await handle.result()
    return handle


def files(config: Config) -> list[Path]:
    assert config.storage is not None
    assert config.storage.folder is not None
    return [path for path in config.storage.folder.rglob("*") if path.is_file()]


async def references_of(handle: Handle) -> list[bytes]:
    history = await handle.fetch_history()
    payloads = [payload for event in history.events for _, payload in find_payloads(event)]
    return [
        payload.data
        for payload in payloads
        if payload.metadata.get("messageType") == b"temporal.api.sdk.v1.ExternalStorageReference"
    ]


def named_to_the_plugin(config: Config) -> Replayer:
    plugin = SealwirePlugin(config, namespace="default")
    return Replayer(workflows=app.WORKFLOWS, plugins=[plugin])


def named_to_the_replayer(config: Config) -> Replayer:
    plugin = SealwirePlugin(config)
    return Replayer(workflows=app.WORKFLOWS, plugins=[plugin], namespace="default")


def named_to_both(config: Config) -> Replayer:
    plugin = SealwirePlugin(config, namespace="default")
    return Replayer(workflows=app.WORKFLOWS, plugins=[plugin], namespace="default")


def with_a_converter(config: Config) -> Replayer:
    converter = data_converter(config, "default")
    runner = sandbox_runner()
    return Replayer(workflows=app.WORKFLOWS, data_converter=converter, workflow_runner=runner)


def with_a_read_only_converter(config: Config) -> Replayer:
    converter = data_converter(config, "default", read_only=True)
    return Replayer(
        workflows=app.WORKFLOWS,
        data_converter=converter,
        workflow_runner=sandbox_runner(),
        namespace="default",
    )


REPLAYERS: Final = [
    named_to_the_plugin,
    named_to_the_replayer,
    named_to_both,
    with_a_converter,
    with_a_read_only_converter,
]


async def replay_with_each(config: Config, handle: Handle) -> None:
    """Replay a history with each kind of replayer; none of them writes anything."""
    history, before = await handle.fetch_history(), set(files(config))
    for make in REPLAYERS:
        replayed = await make(load_fresh(config)).replay_workflow(history)
        assert replayed.replay_failure is None
        assert before == set(files(config)), make.__name__


async def test_each_content_is_uploaded_once(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """By a worker that replays the whole history for each task, and by a replayer not at all."""
    config = await make_config(FOLDER + IDS)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with running(client, unique, max_cached_workflows=0):
        handle = await turn_often(client, unique, os.urandom(SIZE))
    assert CONTENTS == len(files(config))
    found = await references_of(handle)
    # Each turn, and the child, has an argument that was there before.
    assert (CONTENTS, CONTENTS + TIMES + 1) == (len(set(found)), len(found))

    await replay_with_each(config, handle)


async def test_without_content_ids_replays_upload_again(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """So that the test above can fail; a replayer uploads nothing even then."""
    config = await make_config(FOLDER)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with running(client, unique, max_cached_workflows=0):
        handle = await turn_often(client, unique, os.urandom(SIZE))
    assert len(files(config)) > 2 * CONTENTS
    await replay_with_each(config, handle)


async def test_everything_can_be_outside(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Memos, heartbeats, failures, updates and queries too, and still nothing is in clear."""
    config = await make_config(FOLDER.replace("20000", "1") + IDS)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with Worker(
        client,
        task_queue=unique,
        workflows=everything.WORKFLOWS,
        activities=everything.ACTIVITIES,
    ):
        handle: Handle = await client.start_workflow(
            everything.Everything.run,
            everything.PERSON,
            id=unique,
            task_queue=unique,
            memo=everything.MEMO,
        )
        await handle.execute_update("change", everything.UPDATE)  # pyright: ignore[reportUnknownMemberType]
        await handle.signal(everything.Everything.tell, everything.SIGNAL)
        result = await handle.result()
        assert everything.QUERY_RESULT == await handle.query(everything.Everything.ask)
        assert everything.MEMO == dict(await (await handle.describe()).memo())
    assert everything.SIGNAL == result["signal"]
    assert "MARKER-failure-message MARKER-argument" in result["failures"]
    events: list[Message] = [*(await handle.fetch_history()).events]
    assert set() == {text for event in events for text in search(event, everything.STORED)}
    assert len(files(config)) > 15
    stored = b"".join(path.read_bytes() for path in files(config))
    assert set() == {text for text in everything.STORED if text.encode() in stored}


async def test_payloads_go_to_s3(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    moto: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what a section [storage] says, and nothing below the threshold."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    boto3: Any = import_module("boto3")  # which has no types
    s3 = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
    s3.create_bucket(Bucket=unique)
    config = await make_config(
        f'[storage]\nurl = "s3://{unique}/large"\nendpoint = "{moto}"\nthreshold = 20000\n{IDS}'
    )
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with running(client, unique, max_cached_workflows=0):
        handle = await turn_often(client, unique, os.urandom(SIZE))
        small: Handle = await client.start_workflow(
            app.TurnOnce.run, b"small", id=f"{unique}-small", task_queue=unique
        )
        assert b"malls" == await small.result()
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=unique)["Contents"]]
    assert CONTENTS == len(keys)
    assert all(key.startswith("large/v0/ns/default/c/sha256/") for key in keys)
    assert b'"driverName":"aws.s3driver"' in (await references_of(handle))[0].replace(b" ", b"")
    assert [] == await references_of(small)


async def task_failure(handle: Handle) -> tuple[str, str]:
    """Wait until a workflow task has failed, and return the error's class and message."""
    while True:
        for event in (await handle.fetch_history()).events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failure = event.workflow_task_failed_event_attributes.failure
                return failure.application_failure_info.type, str(failure)
        await asyncio.sleep(0.05)


async def test_a_workflow_waits_until_the_storage_is_back(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Its task fails and is tried again; it is neither ended nor changed."""
    config = await make_config(FOLDER)
    assert config.storage is not None
    folder = config.storage.folder
    assert folder is not None
    # A cache would serve the worker, which is in the same process.
    config = dataclasses.replace(config, storage=dataclasses.replace(config.storage, cache_size=0))
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    document = os.urandom(SIZE)
    handle: Handle = await client.start_workflow(
        app.TurnOnce.run, document, id=unique, task_queue=unique, task_timeout=SOON
    )
    away = folder.with_name("away")
    folder.rename(away)
    folder.write_bytes(b"in the way")
    async with running(client, unique):
        kind, _ = await task_failure(handle)
        assert "StorageUnavailableError" == kind
        folder.unlink()
        away.rename(folder)
        assert app.turned(document) == await handle.result()


async def test_a_workflow_waits_for_a_payload_that_is_restored(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A damaged object is not used; with the right one back, the workflow goes on."""
    config = await make_config(FOLDER + "cache_size = 0\n")
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    document = os.urandom(SIZE)
    handle: Handle = await client.start_workflow(
        app.TurnOnce.run, document, id=unique, task_queue=unique, task_timeout=SOON
    )
    [file] = files(config)
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    async with running(client, unique):
        kind, _ = await task_failure(handle)
        assert "StoredPayloadError" == kind
        file.write_bytes(data)
        assert app.turned(document) == await handle.result()


def driver_of(converter: DataConverter) -> StorageDriver:
    assert converter.external_storage is not None
    [driver] = converter.external_storage.drivers
    return driver


async def test_a_storage_of_the_users_is_kept(make_config: MakeConfig, tmp_path: Path) -> None:
    """One that the configuration has made is made anew, for the namespace of another client."""
    config = await make_config(FOLDER)
    own = external_storage(PayloadStorage(FolderObjectStore(tmp_path)), name="own")
    theirs = dataclasses.replace(DataConverter.default, external_storage=own)
    assert "own" == driver_of(data_converter(config, "a", theirs)).name()
    assert data_converter(await make_config(name="b"), "a").external_storage is None
    made = data_converter(config, "a")
    driver = driver_of(data_converter(config, "b", dataclasses.replace(made, payload_codec=None)))
    assert "sealwire.folder" == driver.name() == driver.type()
    [claim] = await driver.store(
        StorageDriverStoreContext(), await config.codec("b").encode([Payload(data=b"x")])
    )
    assert claim.claim_data["key"].startswith("v0/ns/b/d/")


async def stored_by(converter: DataConverter, config: Config) -> int:
    """How many files a payload adds of which the SDK tells no namespace."""
    before = len(files(config))
    payloads = await config.codec("a").encode([Payload(data=os.urandom(100))])
    await driver_of(converter).store(StorageDriverStoreContext(), payloads)
    return len(files(config)) - before


async def test_only_a_replayer_reads_only(make_config: MakeConfig, tmp_path: Path) -> None:
    """A client that takes over its converter writes again, and a storage of the user's goes on."""
    config = await make_config(FOLDER)
    plugin = SealwirePlugin(config)
    replaying = plugin.configure_replayer({"namespace": "a"}).get("data_converter")
    assert replaying is not None
    assert 0 == await stored_by(replaying, config)
    taken = plugin.configure_client(
        cast("ClientConfig", {"data_converter": replaying, "namespace": "a"})
    )
    assert 1 == await stored_by(taken["data_converter"], config)

    own = external_storage(PayloadStorage(FolderObjectStore(tmp_path)), name="own")
    theirs = dataclasses.replace(DataConverter.default, external_storage=own)
    kept = plugin.configure_replayer({"namespace": "a", "data_converter": theirs})
    assert own is kept.get("data_converter", theirs).external_storage


# The collection of garbage


def gc(config: Config, server: str, *arguments: str, as_json: bool = True) -> Any:
    """Run the command as a user does."""
    file = config.keyring.path.with_name("sealwire.toml")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sealwire", "storage", "gc"),
            *("--config", str(file), "--address", server, *arguments),
            *(["--json"] if as_json else []),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
        timeout=60,
    )
    if not as_json:
        return done
    assert "" == done.stderr
    return json.loads(done.stdout)


def age(config: Config, days: float) -> None:
    """Make all files older."""
    for path in files(config):
        then = time.time() - days * 86_400
        os.utime(path, (then, then))


@pytest.mark.parametrize("ids", ["", IDS], ids=["names by hash", "content ids"])
async def test_only_what_nothing_refers_to_is_deleted(
    temporal_server: str, make_config: MakeConfig, unique: str, ids: str
) -> None:
    """Finished, running and scheduled workflows keep their payloads, those of gone ones go."""
    config = await make_config(FOLDER + ids)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with running(client, unique):
        finished = await turn_often(client, unique, os.urandom(SIZE))
        kept = len(files(config))
        held: Handle = await client.start_workflow(
            app.Hold.run, os.urandom(SIZE), id=f"{unique}-held", task_queue=unique
        )
        await heartbeat_of(client, held)
        waiting: Handle = await client.start_workflow(
            app.TurnOften.run,
            args=[document := os.urandom(SIZE), 0],
            id=f"{unique}-waiting",
            task_queue=unique,
            memo={"copy": os.urandom(SIZE)},
        )
        await schedule(client, unique)
    before = set(files(config))
    async with running(client, f"{unique}-gone"):
        gone = await turn_often(client, f"{unique}-gone", os.urandom(SIZE))
    garbage = set(files(config)) - before
    for name in (await child_of(gone), gone.id):
        await delete(client, name)
    age(config, 100)

    looked = gc(config, temporal_server)
    assert looked["dry_run"]
    assert 0 == looked["deleted"]
    assert len(garbage) <= looked["objects"]["garbage"]["count"]
    assert before | garbage == set(files(config))

    deleted = gc(config, temporal_server, "--delete")
    assert looked["objects"] == deleted["objects"]
    assert deleted["deleted"] == deleted["objects"]["garbage"]["count"]
    assert not garbage & set(files(config))
    assert kept > 0
    nothing = gc(config, temporal_server, "--delete")
    assert 0 == nothing["deleted"]

    replayer = named_to_the_plugin(load_fresh(config))
    replayed = await replayer.replay_workflow(await finished.fetch_history())
    assert replayed.replay_failure is None
    fresh = await Client.connect(temporal_server, plugins=[SealwirePlugin(load_fresh(config))])
    async with asyncio.timeout(60), running(fresh, unique):
        await waiting.signal(app.TurnOften.tell, b"!")
        assert app.turned(document) + b"!" == await waiting.result()
        assert SIZE == len((await (await waiting.describe()).memo())["copy"])
        assert SIZE == len(await scheduled(fresh, unique))
        assert [SIZE] == [len(item) for item in await heartbeat_of(fresh, held)]
        await held.terminate()


def load_fresh(config: Config) -> Config:
    """A configuration without anything in its cache."""
    return load_config(config.keyring.path.with_name("sealwire.toml"))


async def heartbeat_of(client: Client, handle: Handle) -> list[bytes]:
    while True:
        pending = (await handle.describe()).raw_description.pending_activities
        for one in pending:
            if one.heartbeat_details.payloads:
                return await client.data_converter.decode(one.heartbeat_details.payloads, [bytes])
        await asyncio.sleep(0.05)


async def schedule(client: Client, name: str) -> None:
    action = ScheduleActionStartWorkflow(
        app.TurnOnce.run, os.urandom(SIZE), id=f"{name}-scheduled", task_queue=name
    )
    await client.create_schedule(f"{name}-schedule", Schedule(action=action, spec=ScheduleSpec()))


async def scheduled(client: Client, name: str) -> bytes:
    """Start what is scheduled, and return its result."""
    handle = client.get_schedule_handle(f"{name}-schedule")
    await handle.trigger()
    actions = (await handle.describe()).info.recent_actions
    while not actions:
        await asyncio.sleep(0.05)
        actions = (await handle.describe()).info.recent_actions
    started = actions[0].action
    assert isinstance(started, ScheduleActionExecutionStartWorkflow)
    result: bytes = await client.get_workflow_handle(started.workflow_id).result()
    await handle.delete()
    return result


async def delete(client: Client, workflow_id: str) -> None:
    """Delete a workflow, as the server does when its retention ends, and wait until it is gone."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=execution
    )
    await client.workflow_service.delete_workflow_execution(request)
    with contextlib.suppress(RPCError):
        while True:
            await client.get_workflow_handle(workflow_id).fetch_history()
            await asyncio.sleep(0.05)


async def child_of(handle: Handle) -> str:
    [child] = [
        event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
    ]
    return child


@dataclasses.dataclass(frozen=True)
class Stored:
    """Three objects of 3 days ago: one of a workflow that is there, two of none."""

    config: Config
    server: str
    orphan: str

    async def collect(self, days: float | None = 2, **options: Any) -> Collection:
        collector = Collector(
            self.config,
            ("default", *options.pop("also", ())),
            self.server,
            None,
            None if days is None else days * 86_400,
            options.pop("delete", False),
            even_if_archived=False,
            even_if_unreferenced=options.pop("even_if_unreferenced", False),
        )
        return await collector.collect(lambda: None)


@pytest.fixture
async def stored(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> AsyncGenerator[Stored]:
    """See `Stored`."""
    config = await make_config(FOLDER)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    handle: Handle = await client.start_workflow(
        app.TurnOnce.run, os.urandom(SIZE), id=unique, task_queue=unique
    )
    references = await client.data_converter.encode([os.urandom(SIZE), os.urandom(SIZE)])
    age(config, 3)
    key = json.loads(references[0].data)["claimData"]["key"]
    yield Stored(config, temporal_server, key)
    await handle.terminate()


async def test_young_objects_are_kept(stored: Stored) -> None:
    """By default for a day and the retention; less than a day is refused."""
    kept = (await stored.collect(4, delete=True)).sweep
    assert (0, 2, 1) == (kept.deleted, kept.young.objects, kept.referenced.objects)
    default = await stored.collect(None)
    assert 2 * 86_400 <= time.time() - default.before < 2 * 86_400 + 600  # the server keeps a day
    for days in (0.9, float("nan")):
        with pytest.raises(ConfigurationError, match="use 24h or more"):
            await stored.collect(days, delete=True)
    removed = (await stored.collect(2, delete=True)).sweep
    assert (2, 1) == (removed.deleted, len(files(stored.config)))


async def test_a_content_id_keeps_an_object_a_week_longer(stored: Stored) -> None:
    """So long, workers refer to it without storing it again."""
    options = dataclasses.replace(stored.config.storage or StorageOptions(), content_ids=True)
    config = dataclasses.replace(stored.config, storage=options)
    client = await Client.connect(stored.server, plugins=[SealwirePlugin(config)])
    await client.data_converter.encode([os.urandom(SIZE)])
    for days, garbage in ((7.9, 2), (8.1, 3)):
        age(config, days)
        assert garbage == (await stored.collect(1)).sweep.garbage.objects


async def test_a_store_to_which_nothing_refers_is_not_emptied(stored: Stored) -> None:
    """It may be another server's; who knows better can say so."""
    [mine] = [path for path in files(stored.config) if "/wi/" in str(path)]
    mine.unlink()
    with pytest.raises(ConfigurationError, match="is it the right server"):
        await stored.collect(delete=True)
    assert 2 == len(files(stored.config))
    found = await stored.collect(delete=True, even_if_unreferenced=True)
    assert (2, 0) == (found.sweep.deleted, len(files(stored.config)))


async def test_objects_of_others_are_left_alone(stored: Stored) -> None:
    """Those of other namespaces, and those that no driver has named."""
    assert stored.config.storage is not None
    objects = stored.config.storage.objects()
    notes = ["v0/ns/default/notes.txt", "v0/ns/default/no \udcff utf-8"]
    others = [f"v0/ns/other/d/sha256/{'0' * 64}", *notes, "readme"]
    for name in others:
        objects.put(name, b"x")
    age(stored.config, 100)
    found = (await stored.collect(delete=True)).sweep
    assert (2, 2) == (found.deleted, found.unknown.objects)
    assert all(objects.get(name, 10) for name in others)


def left_by_uploads(stored: Stored, days: float) -> list[Path]:
    """Files of workers that were killed in an upload: beside an object, and alone in a folder."""
    assert stored.config.storage is not None
    assert stored.config.storage.folder is not None
    objects = stored.config.storage.folder / stored.orphan
    alone = objects.parents[2] / "wt" / "T" / "wi" / "w" / "ri" / "r" / "d" / "sha256"
    alone.mkdir(parents=True)
    made = [objects.with_name(".sealwire-q3_x0a1b"), alone / ".sealwire-zz81kw_0"]
    then = time.time() - days * 86_400
    for path in made:
        path.write_bytes(b"half")
        os.utime(path, (then, then))
    return made


async def test_what_killed_workers_left_is_collected(stored: Stored) -> None:
    """With its folders, and counted by itself, once it is as old as garbage must be."""
    old = left_by_uploads(stored, 3)
    young = old[0].with_name(".sealwire-young")
    young.write_bytes(b"an upload in progress")
    looked = (await stored.collect()).sweep
    found = (looked.unfinished.objects, looked.unfinished.size, looked.young.objects)
    assert (2, 8, 1) == found
    assert (0, 2, 0) == (looked.deleted, looked.garbage.objects, looked.unknown.objects)
    assert {path.name for path in old} < {Path(name).name for name in looked.examples}
    assert all(path.exists() for path in old)

    deleted = (await stored.collect(delete=True)).sweep
    assert (4, looked.unfinished) == (deleted.deleted, deleted.unfinished)
    assert not any(path.exists() for path in old)
    assert not old[1].parents[5].exists()
    assert young.exists()
    assert 1 == (await stored.collect(delete=True)).sweep.young.objects


async def test_what_is_unfinished_needs_no_reference(stored: Stored) -> None:
    """No server refers to it, so it says nothing of which server it is."""
    for path in files(stored.config):
        path.unlink()
    left_by_uploads(stored, 3)
    assert 2 == (await stored.collect(delete=True)).sweep.deleted
    assert [] == files(stored.config)


async def test_the_command_shows_what_killed_workers_left(stored: Stored) -> None:
    """In a line of its own, by name, and to programs; then it deletes it."""
    left_by_uploads(stored, 100)
    options = ("--older-than", "90d")
    told = gc(stored.config, stored.server, *options, as_json=False)
    assert "unfinished uploads, would be deleted" in told.stdout
    assert 2 == told.stderr.count("/.sealwire-")
    assert "nothing was deleted: --delete does it" in told.stderr
    deleted = gc(stored.config, stored.server, *options, "--delete")
    assert (2, {"count": 2, "bytes": 8}) == (deleted["deleted"], deleted["objects"]["unfinished"])
    assert 3 == len(files(stored.config))


def reference_to(key: str) -> Payload:
    metadata = {
        "encoding": b"json/protobuf",
        "messageType": b"temporal.api.sdk.v1.ExternalStorageReference",
    }
    return Payload(metadata=metadata, data=f'{{"claimData":{{"key":"{key}"}}}}'.encode())


@asynccontextmanager
async def started_with(client: Client, payload: Payload, name: str) -> AsyncGenerator[None]:
    """A workflow with this argument, and afterwards none."""
    handle = await client.start_workflow(
        "Anything", RawValue(payload), id=f"{name}-odd", task_queue=name
    )
    try:
        yield
    finally:
        await handle.terminate()
        await delete(client, handle.id)


async def test_another_namespace_can_refer_to_objects(stored: Stored, unique: str) -> None:
    """As where Nexus hands a payload over; then its histories are read, too."""
    there = await Client.connect(stored.server, namespace="other")
    async with started_with(there, reference_to(stored.orphan), unique):
        alone = await stored.collect()
        both = await stored.collect(also=("other",))
    assert [2, 1] == [found.sweep.garbage.objects for found in (alone, both)]


def test_the_message_of_a_reference_is_that_of_the_sdk() -> None:
    """Its name is written down where the SDK may be missing."""
    assert REFERENCE_MESSAGE == ExternalStorageReference.DESCRIPTOR.full_name.encode()


async def test_a_reference_that_cannot_be_read_stops_it(stored: Stored, unique: str) -> None:
    """It may be one to anything, so nothing is deleted."""
    client = await Client.connect(stored.server)
    odd = reference_to("")
    odd.data = b'{"x"'
    async with started_with(client, odd, unique):
        with pytest.raises(ConfigurationError, match=rf"{unique}-odd.*cannot be read.*nothing is"):
            await stored.collect(delete=True)
    assert 3 == len(files(stored.config))


async def keys_in(payload: Payload, config: Config, server: str) -> tuple[int, bool]:
    """How many keys are read of a message with this payload, and whether `k` is one of them."""
    with closing(References()) as found:
        reader = ReferenceReader(await Client.connect(server), config.codec("default"), found)
        await reader.add(Payloads(payloads=[payload]), "a workflow")
        return len(found), "k" in found


EARLY: Final = {"encoding": b"json/external-storage-reference"}
MARKER: Final = "__temporal_external_storage_reference"


async def test_references_of_every_form_are_read(
    temporal_server: str, make_config: MakeConfig
) -> None:
    """Of early releases, and encoded by a codec, as later releases of the SDK write them."""
    config = await make_config(FOLDER)
    early = b'{"driver_name":"x","driver_claim":{"claim_data":{"key":"k"}}}'
    [encoded] = await config.codec("default").encode([reference_to("k")])
    encoded.metadata[MARKER] = b"true"
    encoded.external_payloads.add(size_bytes=SIZE)
    unmarked = Payload()
    unmarked.CopyFrom(encoded)
    del unmarked.metadata[MARKER]
    marked = reference_to("k")
    marked.metadata[MARKER] = b"true"
    for payload in (
        reference_to("k"),
        Payload(metadata=EARLY, data=early),
        encoded,
        unmarked,
        marked,
    ):
        assert (1, True) == await keys_in(payload, config, temporal_server)
    sealed = await config.codec("default").encode([Payload(metadata={"encoding": b"x"})])
    assert (0, False) == await keys_in(sealed[0], config, temporal_server)


MESSAGE: Final = b"temporal.api.sdk.v1.ExternalStorageReference"
UNREADABLE: Final = {
    "no JSON": {"encoding": b"json/protobuf", "messageType": MESSAGE},
    "another encoding": {"encoding": b"binary/protobuf", "messageType": MESSAGE},
    "an early one": EARLY,
    "not encrypted": {"encoding": b"json/x", MARKER: b"true"},
}


@pytest.mark.parametrize("metadata", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_could_be_a_reference_is_one(
    metadata: dict[str, bytes], temporal_server: str, make_config: MakeConfig
) -> None:
    """If it cannot be read, that is an error, and it is not passed over."""
    config = await make_config(FOLDER)
    with pytest.raises(ConfigurationError, match=r"a workflow has a reference .* cannot be read"):
        await keys_in(Payload(metadata=metadata, data=b'{"x"'), config, temporal_server)


async def test_the_namespace_is_found_as_everywhere(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, else the configuration's, else that of Temporal's own tools."""
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "other")
    there = gc(stored.config, stored.server)
    assert ("other", 0) == (there["namespace"], there["objects"]["young"]["count"])
    file = stored.config.keyring.path.with_name("sealwire.toml")
    file.write_text(f'namespace = "default"\n{file.read_text()}')
    here = gc(stored.config, stored.server, "--older-than", "2d")
    assert ("default", 2) == (here["namespace"], here["objects"]["garbage"]["count"])
    named = gc(stored.config, stored.server, "--namespace", "other")
    assert "other" == named["namespace"]


async def test_the_table_fits_a_terminal(stored: Stored) -> None:
    """It says what would be done, and how to do it."""
    done = gc(stored.config, stored.server, "--older-than", "2d", as_json=False)
    assert 0 == done.returncode
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "would be deleted" in done.stdout
    assert "nothing was deleted: --delete does it" in done.stderr
    assert 2 == done.stderr.count("v0/ns/default/")


async def test_without_a_section_there_is_nothing_to_collect(make_config: MakeConfig) -> None:
    """The message names the section."""
    refused = gc(await make_config(), "127.0.0.1:1", as_json=False)
    assert 1 == refused.returncode
    assert "add a section [storage]" in refused.stderr

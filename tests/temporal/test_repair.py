"""What goes wrong with a payload ends no workflow: it waits, and goes on after the repair."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sealwire_test_patient as app
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import RawValue
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.errors import DecryptError, KeyNotFoundError
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import search
from sealwire.testing.devserver import temporal_binary

pytestmark = pytest.mark.server

MakeConfig = Callable[..., Awaitable[Config]]
Handle = WorkflowHandle[Any, Any]
TEXT = "MARKER-text"


@asynccontextmanager
async def working(client: Client, queue: str, gate: app.Gate | None = None) -> AsyncGenerator[None]:
    activities: list[Any] = [gate.pass_gate, gate.resume, gate.beat] if gate else []
    async with Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=activities):
        yield


async def connect(server: str, config: Config, namespace: str = "default") -> Client:
    return await Client.connect(server, namespace=namespace, plugins=[SealwirePlugin(config)])


async def start(client: Client, name: str, argument: Any) -> Handle:
    return await client.start_workflow(
        "Patient",
        argument,
        id=name,
        task_queue=name,
        # A task that failed twice is not answered any more, and comes again after this time.
        task_timeout=timedelta(seconds=1),
        result_type=list[str],
    )


async def task_failure(handle: Handle) -> Failure:
    """Wait until a workflow task has failed, and return why."""
    async with asyncio.timeout(20):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return event.workflow_task_failed_event_attributes.failure
    raise AssertionError("the workflow ended")


def secrets_in(message: Message, config: Config) -> set[str]:
    """The pieces of plaintext and the key-encryption key that occur in a message."""
    key = config.keyring.key_file.read_text().strip()
    return search(message, ["MARKER", key, *(part for part in key.split() if len(part) > 16)])


async def same_keys(config: Config, make_config: MakeConfig, text: str, name: str) -> Config:
    """Another configuration with the keys of `config`."""
    other = await make_config(text, name)
    for path in ("path", "key_file"):
        shutil.copy(getattr(config.keyring, path), getattr(other.keyring, path))
    return other


@dataclass
class Case:
    """A workflow that cannot go on, and the configuration with which it can."""

    client: Client
    argument: Any
    repaired: Config


Fault = Callable[[str, Config, MakeConfig], Awaitable[Case]]
ENCRYPTION = '[[codec]]\ntype = "encryption"\n'
LIMIT = '[[codec]]\ntype = "compression"\nmax_size = 10000\n' + ENCRYPTION


async def plaintext(server: str, config: Config, make_config: MakeConfig) -> Case:
    repaired = await same_keys(config, make_config, ENCRYPTION + 'policy = "open"\n', "repaired")
    return Case(await Client.connect(server), TEXT, repaired)


async def other_namespace(server: str, config: Config, make_config: MakeConfig) -> Case:
    there = await connect(server, config, "other")
    (payload,) = await there.data_converter.encode([TEXT])
    text = ENCRYPTION + 'accept_namespaces = ["other"]\n'
    repaired = await same_keys(config, make_config, text, "repaired")
    return Case(await connect(server, config), RawValue(payload), repaired)


async def missing_key(server: str, config: Config, make_config: MakeConfig) -> Case:
    repaired = await make_config(name="repaired")
    return Case(await connect(server, repaired), TEXT, repaired)


async def too_large(server: str, config: Config, make_config: MakeConfig) -> Case:
    repaired = await same_keys(config, make_config, "", "repaired")
    return Case(await connect(server, repaired), TEXT + secrets.token_hex(10_000), repaired)


async def unknown_encoding(server: str, config: Config, make_config: MakeConfig) -> Case:
    """Authentic, but nothing converts it: the repair is a converter that does."""
    client = await connect(server, config)
    payload = Payload(metadata={"encoding": b"binary/rot13"}, data=TEXT.encode())
    text = '[converter]\nfactory = "sealwire_test_rot13:converter"\n'
    repaired = await same_keys(config, make_config, text, "repaired")
    return Case(client, RawValue(payload), repaired)


@pytest.mark.parametrize(
    ("fault", "text", "error"),
    [
        (plaintext, "", "UnencryptedPayloadError"),
        (other_namespace, "", "ContextMismatchError"),
        (missing_key, "", "KeyNotFoundError"),
        (too_large, LIMIT, "PayloadTooLargeError"),
        (unknown_encoding, "", "RuntimeError"),  # the SDK's, around our UnknownEncodingError
    ],
)
async def test_a_workflow_goes_on_after_the_repair(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    fault: Fault,
    text: str,
    error: str,
) -> None:
    """Its task fails, with nothing secret in the history, until a worker can read the payload."""
    config = await make_config(text)
    case = await fault(temporal_server, config, make_config)
    handle = await start(case.client, unique, case.argument)
    async with working(await connect(temporal_server, config), unique):
        failure = await task_failure(handle)
    assert error == failure.application_failure_info.type
    assert set() == secrets_in(failure, config)

    doctor = await connect(temporal_server, case.repaired)
    async with working(doctor, unique):
        repaired = doctor.get_workflow_handle(unique, result_type=list[str])
        await repaired.signal("tell", "better")
        result = await repaired.result()
    assert result[0].startswith(TEXT)
    assert result[1:] == ["better"]


async def test_a_changed_payload_waits_for_a_decision(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A forged argument is never acted on: the workflow stands still until somebody ends it."""
    config = await make_config()
    client = await connect(temporal_server, config)
    (payload,) = await client.data_converter.encode([TEXT])
    payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    handle = await start(client, unique, RawValue(payload))
    async with working(client, unique):
        failure = await task_failure(handle)
        assert failure.application_failure_info.type == "DecryptError"
        with pytest.raises(DecryptError):  # whoever reads the history is warned, too
            await client.data_converter.decode([payload])
    await handle.terminate()


async def test_an_outage_of_the_keys_only_delays(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """With its keys out of reach for longer than they may be cached, a worker fails tasks."""
    keyring = "[keyring]\nrefresh_interval = 0.1\nencrypt_grace = 0.2\ndecrypt_grace = 0.2\n"
    config = await make_config(keyring)
    sender = await connect(temporal_server, await same_keys(config, make_config, "", "sender"))
    client = await connect(temporal_server, config)
    away = config.keyring.key_file.with_name("away")
    async with working(client, unique):
        config.keyring.key_file.rename(away)
        await asyncio.sleep(0.3)  # the grace periods are real ones
        handle = await start(sender, unique, TEXT)
        failure = await task_failure(handle)
        assert "KeyProviderUnavailableError" in str(failure) or "confirmed" in str(failure)
        assert set() == secrets_in(failure, await same_keys_as_away(config, away))
        away.rename(config.keyring.key_file)
        await sender.get_workflow_handle(unique).signal("tell", "better")
        assert [TEXT, "better"] == await handle.result()


async def same_keys_as_away(config: Config, away: Path) -> Config:
    return replace(config, keyring=replace(config.keyring, key_file=away))


KEYRING = "[keyring]\nrefresh_interval = 0.1\nencrypt_grace = 0.2\ndecrypt_grace = 0.2\n"


async def pending(handle: Handle, attempt: int) -> Failure:
    """Wait for an attempt of the activity, and return why the last one failed."""
    async with asyncio.timeout(20):
        while True:
            found = (await handle.describe()).raw_description.pending_activities
            if found and found[0].attempt >= attempt:
                return found[0].last_failure


@pytest.mark.parametrize("activity", ["pass_gate", "beat"])
async def test_what_an_activity_cannot_seal_is_tried_again(
    temporal_server: str, make_config: MakeConfig, unique: str, activity: str
) -> None:
    """A result or a heartbeat that comes while the keys are out of reach ends the attempt only."""
    config = await make_config(KEYRING)
    client = await connect(temporal_server, config)
    away = config.keyring.key_file.with_name("away")
    gate = app.Gate()
    async with working(client, unique, gate):
        handle: Handle = await client.start_workflow(
            "Gated", activity, id=unique, task_queue=unique, task_timeout=timedelta(seconds=1)
        )
        await gate.reached.wait()
        config.keyring.key_file.rename(away)
        await asyncio.sleep(0.3)  # the grace periods are real ones
        gate.open.set()
        failure = await pending(handle, attempt=2)
        assert "Failed building exception result" in failure.message
        assert set() == secrets_in(failure, await same_keys_as_away(config, away))
        away.rename(config.keyring.key_file)
        assert await handle.result() in ("MARKER-passed pass_gate", "MARKER-beaten")
    assert gate.attempts > 1


async def test_a_heartbeat_that_cannot_be_read_is_tried_again(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A worker without the key of the last heartbeat does not give the activity up for good."""
    old = await make_config(KEYRING)
    new = await same_keys(old, make_config, "", "new")
    await new.admin.rotate(delay=0)
    client = await connect(temporal_server, new)
    gate = app.Gate()
    async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS):
        handle: Handle = await client.start_workflow(
            "Gated", "resume", id=unique, task_queue=unique, task_timeout=timedelta(seconds=1)
        )
        async with Worker(client, task_queue=unique, activities=[gate.resume]):
            await gate.reached.wait()
        behind = await connect(temporal_server, old)
        async with Worker(behind, task_queue=unique, activities=[gate.resume]):
            failure = await pending(handle, attempt=3)
            assert "KeyNotFoundError" == failure.cause.application_failure_info.type
            assert not failure.application_failure_info.non_retryable
            shutil.copy(new.keyring.path, old.keyring.path)
            assert ["MARKER-position"] == await handle.result()


async def test_a_query_that_cannot_be_read_fails_alone(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A query in plaintext, of a tool without the codec, is refused and harms nothing."""
    client = await connect(temporal_server, await make_config())
    stranger = await Client.connect(temporal_server)
    async with working(client, unique):
        handle = await start(client, unique, TEXT)
        await handle.query("told", "")  # so that the first task is over
        with pytest.raises(WorkflowQueryFailedError):
            await stranger.get_workflow_handle(unique).query("told", "prefix")
        await handle.signal("tell", "better")
        assert [TEXT, "better"] == await handle.result()


async def reset(server: str, name: str) -> None:
    """Reset a workflow as docs/how-to/temporal-plugin.md says."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "temporal-plugin.md"
    (found,) = re.findall(r"^temporal (workflow reset .*?)^```", page.read_text(), re.DOTALL | re.M)
    arguments = shlex.split(found.replace("\\\n", " ").replace("hello-ada", name))
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *arguments, "--address", server, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def test_a_signal_that_cannot_be_read_is_left_out_by_a_reset(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A signal in plaintext stops the workflow; a reset without signals lets it go on."""
    client = await connect(temporal_server, await make_config())
    stranger = await Client.connect(temporal_server)
    async with working(client, unique):
        handle = await start(client, unique, TEXT)
        await handle.query("told", "")
        await stranger.get_workflow_handle(unique).signal("tell", "in plaintext")
        failure = await task_failure(handle)
        assert failure.application_failure_info.type == "UnencryptedPayloadError"
        await reset(temporal_server, unique)
        again = client.get_workflow_handle(unique, result_type=list[str])
        await again.signal("tell", "better")
        assert [TEXT, "better"] == await again.result()


async def test_an_update_that_cannot_be_read_waits_for_a_worker_that_can(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """An update in plaintext stops the workflow until a worker with another policy takes it."""
    config = await make_config()
    client = await connect(temporal_server, config)
    stranger = await Client.connect(temporal_server)
    async with working(client, unique):
        handle = await start(client, unique, TEXT)
        await handle.query("told", "")
        waiting = asyncio.create_task(
            stranger.get_workflow_handle(unique).execute_update(  # pyright: ignore[reportUnknownMemberType]
                "change", "in plaintext", result_type=RawValue
            )
        )
        await task_failure(handle)
    text = ENCRYPTION + 'policy = "migrate"\n'
    repaired = await same_keys(config, make_config, text, "repaired")
    async with working(await connect(temporal_server, repaired), unique):
        assert [TEXT, "in plaintext"] == await handle.result()
        assert (await waiting).payload.metadata["encoding"] == b"binary/sealed-v1"


async def test_a_client_that_lacks_a_key_can_still_look(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Its calls fail where they decode, and nowhere else; with the key they work."""
    old = await make_config(KEYRING)
    new = await same_keys(old, make_config, "", "new")
    await new.admin.rotate(delay=0)
    client = await connect(temporal_server, new)
    async with working(client, unique):
        await client.execute_workflow(
            "Patient",
            TEXT,
            id=unique,
            task_queue=unique,
            start_signal="tell",
            start_signal_args=["MARKER-told"],
            memo={"note": "MARKER-memo"},
        )
    behind = await connect(temporal_server, old)
    handle: Handle = behind.get_workflow_handle(unique)
    description = await handle.describe()
    listed = [found async for found in behind.list_workflows(f"WorkflowId = '{unique}'")]
    assert [unique] == [found.id for found in listed]
    for call in (handle.result(), description.memo(), listed[0].memo()):
        with pytest.raises(KeyNotFoundError, match="not in the keyring"):
            await call
    shutil.copy(new.keyring.path, old.keyring.path)
    await asyncio.sleep(0.3)  # until the keyring is read again by itself
    assert [TEXT, "MARKER-told"] == await handle.result()
    assert {"note": "MARKER-memo"} == await description.memo()

"""What goes wrong with a payload ends no workflow: it waits, and goes on after the repair."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sealwire_test_patient as app
from repair_secrets import ENCODED, Secrets, forms, opened
from repair_stage import (
    TEXT,
    Handle,
    connect,
    pending,
    reset,
    start,
    start_gated,
    task_failure,
    working,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.errors import DecryptError, KeyNotFoundError
from sealwire.temporal import data_converter

pytestmark = pytest.mark.server

MakeConfig = Callable[..., Awaitable[Config]]


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """What no failure may tell."""
    return Secrets(monkeypatch)


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


CLEAR = '[temporal]\nfailures = "clear"\n'


def telling(text: str) -> list[ApplicationError]:
    """Errors that say something, each in another one of their parts."""
    outer = ApplicationError("message")
    outer.__cause__ = ValueError(text)
    return [
        *(ApplicationError(text), ApplicationError("message", type=text)),
        *(ApplicationError("message", {"detail": text}), outer),
    ]


@pytest.mark.parametrize("failures", ["clear", "encode", "encode-type"])
async def test_a_secret_in_a_failure_would_be_found(
    make_config: MakeConfig, hidden: Secrets, failures: str
) -> None:
    """The search finds each key and plaintext in sealed failures, however it is written there."""
    config = await make_config(f'[temporal]\nfailures = "{failures}"\n')
    await hidden.add_keys(config)
    assert 6 == len(hidden.known)  # plaintext, three keys that were drawn, two derived ones
    converter = data_converter(config, "default")
    for name, secret in hidden.known.items():
        texts = [form.decode() for form in forms(secret) if form != secret]
        errors = [error for text in texts for error in telling(text)]
        for error in (*errors, ApplicationError("message", [secret])):
            assert name in await hidden.found_in(await failure_of(error, converter), converter)
    harmless = await failure_of(ApplicationError("message"), converter)
    assert set() == await hidden.found_in(harmless, converter)


async def failure_of(error: ApplicationError, converter: DataConverter) -> Failure:
    failure = Failure()
    try:
        raise error
    except ApplicationError as err:
        await converter.encode_failure(err, failure)
    assert b"in failure_of" in await opened(failure, converter)  # the stack trace is looked at
    return failure


@pytest.mark.parametrize(
    ("fault", "text", "error"),
    [
        (plaintext, "", "UnencryptedPayloadError"),
        (plaintext, CLEAR, "UnencryptedPayloadError"),
        (other_namespace, "", "ContextMismatchError"),
        (missing_key, CLEAR, "KeyNotFoundError"),
        (too_large, LIMIT, "PayloadTooLargeError"),
        (unknown_encoding, "", "RuntimeError"),  # the SDK's, around our UnknownEncodingError
        (unknown_encoding, CLEAR, "RuntimeError"),
    ],
)
async def test_a_workflow_goes_on_after_the_repair(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    hidden: Secrets,
    fault: Fault,
    text: str,
    error: str,
) -> None:
    """Its task fails, with nothing secret in the history, until a worker can read the payload."""
    config = await make_config(text)
    case = await fault(temporal_server, config, make_config)
    handle = await start(case.client, unique, case.argument)
    client = await connect(temporal_server, config)
    async with working(client, unique):
        failure = await task_failure(handle)
    assert error == failure.application_failure_info.type
    assert (text == CLEAR) is (failure.message != ENCODED)
    for each in (config, case.repaired):
        await hidden.add_keys(each)
    assert set() == await hidden.found_in(failure, client.data_converter)

    doctor = await connect(temporal_server, case.repaired)
    async with working(doctor, unique):
        repaired = doctor.get_workflow_handle(unique, result_type=list[str])
        await repaired.signal("tell", "better")
        result = await repaired.result()
    assert result[0].startswith(TEXT)
    assert result[1:] == ["better"]


async def test_a_changed_payload_waits_for_a_decision(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets
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
        await hidden.add_keys(config)
        assert set() == await hidden.found_in(failure, client.data_converter)
        with pytest.raises(DecryptError):  # whoever reads the history is warned, too
            await client.data_converter.decode([payload])
    await handle.terminate()


async def test_an_outage_of_the_keys_only_delays(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets
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
        away.rename(config.keyring.key_file)
        await hidden.add_keys(config)
        assert set() == await hidden.found_in(failure, client.data_converter)
        await sender.get_workflow_handle(unique).signal("tell", "better")
        assert [TEXT, "better"] == await handle.result()


KEYRING = "[keyring]\nrefresh_interval = 0.1\nencrypt_grace = 0.2\ndecrypt_grace = 0.2\n"


@pytest.mark.parametrize("activity", ["pass_gate", "beat"])
async def test_what_an_activity_cannot_seal_is_tried_again(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets, activity: str
) -> None:
    """A result or a heartbeat that comes while the keys are out of reach ends the attempt only."""
    config = await make_config(KEYRING)
    client = await connect(temporal_server, config)
    away = config.keyring.key_file.with_name("away")
    gate = app.Gate()
    async with working(client, unique, gate):
        handle = await start_gated(client, unique, activity)
        await gate.reached.wait()
        config.keyring.key_file.rename(away)
        await asyncio.sleep(0.3)  # the grace periods are real ones
        gate.open.set()
        failure = await pending(handle, attempt=2)
        assert "Failed building exception result" in failure.message
        away.rename(config.keyring.key_file)
        await hidden.add_keys(config)
        assert set() == await hidden.found_in(failure, client.data_converter)
        assert await handle.result() in ("MARKER-passed pass_gate", "MARKER-beaten")
    assert gate.attempts > 1


async def test_a_heartbeat_that_cannot_be_read_is_tried_again(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets
) -> None:
    """A worker without the key of the last heartbeat does not give the activity up for good."""
    old = await make_config(KEYRING)
    new = await same_keys(old, make_config, "", "new")
    await new.admin.rotate(delay=0)
    client = await connect(temporal_server, new)
    gate = app.Gate()
    async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS):
        handle = await start_gated(client, unique, "resume")
        async with Worker(client, task_queue=unique, activities=[gate.resume]):
            await gate.reached.wait()
        behind = await connect(temporal_server, old)
        async with Worker(behind, task_queue=unique, activities=[gate.resume]):
            failure = await pending(handle, attempt=3)
            assert "KeyNotFoundError" == failure.cause.application_failure_info.type
            assert not failure.application_failure_info.non_retryable
            await hidden.add_keys(new)
            assert set() == await hidden.found_in(failure, client.data_converter)
            shutil.copy(new.keyring.path, old.keyring.path)
            assert ["MARKER-position"] == await handle.result()


@pytest.mark.parametrize("text", ["", CLEAR])
async def test_an_argument_that_an_activity_cannot_read_is_tried_again(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets, text: str
) -> None:
    """A worker without the key of an activity's argument fails attempts until it has it."""
    old = await make_config(KEYRING + text)
    new = await same_keys(old, make_config, text, "new")
    await new.admin.rotate(delay=0)
    client = await connect(temporal_server, new)
    gate = app.Gate()
    gate.open.set()
    async with working(client, unique):
        handle = await start_gated(client, unique, "pass_gate")
        behind = await connect(temporal_server, old)
        async with Worker(behind, task_queue=unique, activities=[gate.pass_gate]):
            failure = await pending(handle, attempt=2)
            assert "KeyNotFoundError" == failure.cause.application_failure_info.type
            assert not failure.application_failure_info.non_retryable
            await hidden.add_keys(new)
            assert set() == await hidden.found_in(failure, client.data_converter)
            assert 0 == gate.attempts
            shutil.copy(new.keyring.path, old.keyring.path)
            assert "MARKER-passed pass_gate" == await handle.result()
    assert 1 == gate.attempts


async def test_a_passphrase_that_was_changed_only_delays(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    hidden: Secrets,
    tmp_path: Path,
) -> None:
    """A worker that looks for a new key fails tasks while its passphrase does not open them."""
    right, wrong = "correct horse battery staple", "wrong horse battery staple"
    hidden.add("the right passphrase", right.encode())
    hidden.add("the wrong passphrase", wrong.encode())
    file = tmp_path / "passphrase"
    file.touch(0o600)
    file.write_text(right)
    passphrase = f'[[keyring.wrapper]]\ntype = "passphrase"\npassphrase = "{file}"\n'
    local = '[[keyring.wrapper]]\ntype = "local"\npath = "keyring.key"\n'
    doctor = await make_config(local + passphrase, "doctor")
    text = f"[keyring]\nrefresh_interval = 0.5\n{passphrase}{CLEAR}"
    config = await same_keys(doctor, make_config, text, "a")
    client = await connect(temporal_server, config)
    async with working(client, unique):
        file.write_text(wrong)
        await doctor.admin.rotate(delay=0)
        shutil.copy(doctor.keyring.path, config.keyring.path)
        doctors = await connect(temporal_server, doctor)
        # To try a passphrase takes long on purpose, and on a busy machine more than a second.
        handle = await start(doctors, unique, TEXT, timedelta(seconds=5))
        failure = await task_failure(handle)
        assert "does not open this keyring" in failure.message
        await hidden.add_keys(doctor)
        assert set() == await hidden.found_in(failure, client.data_converter)
        file.write_text(right)
        await handle.signal("tell", "better")
        assert [TEXT, "better"] == await handle.result()


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


async def test_a_signal_that_cannot_be_read_is_left_out_by_a_reset(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets
) -> None:
    """A signal in plaintext stops the workflow; a reset without signals lets it go on."""
    config = await make_config()
    client = await connect(temporal_server, config)
    stranger = await Client.connect(temporal_server)
    async with working(client, unique):
        handle = await start(client, unique, TEXT)
        await handle.query("told", "")
        await stranger.get_workflow_handle(unique).signal("tell", "in plaintext")
        failure = await task_failure(handle)
        assert failure.application_failure_info.type == "UnencryptedPayloadError"
        await hidden.add_keys(config)
        assert set() == await hidden.found_in(failure, client.data_converter)
        await reset(temporal_server, unique)
        again = client.get_workflow_handle(unique, result_type=list[str])
        await again.signal("tell", "better")
        assert [TEXT, "better"] == await again.result()


async def test_an_update_that_cannot_be_read_waits_for_a_worker_that_can(
    temporal_server: str, make_config: MakeConfig, unique: str, hidden: Secrets
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
        failure = await task_failure(handle)
        await hidden.add_keys(config)
        assert set() == await hidden.found_in(failure, client.data_converter)
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

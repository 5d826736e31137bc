"""When the plugin loads keys, and when it closes what it opened."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
import sealwire_test_patient as app
from temporalio.client import Client, WorkflowHistory
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import Replayer, Worker

from sealwire.codecs import CodecKind
from sealwire.config import Config, EncryptionOptions, KeyringOptions
from sealwire.errors import KeyProviderUnavailableError
from sealwire.keys import Key, KeySet, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.temporal import SealwirePlugin

KEY = Key("k", bytes(range(200, 232)))


class Provider(StaticKeyProvider):
    """Keys that may be out of reach, and the number of times they were closed."""

    def __init__(self, *keys: Key) -> None:
        super().__init__(*keys)
        self.closed = 0
        self.down = False

    async def snapshot(self, tenant: str) -> KeySet:
        if self.down:
            raise KeyProviderUnavailableError("the keys are out of reach")
        return await super().snapshot(tenant)

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class Connected:
    """A codec that has something to close."""

    closed: int = 0
    kind: CodecKind = CodecKind.COMPRESS

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def provider() -> Provider:
    return Provider(KEY)


@pytest.fixture
def codec() -> Connected:
    return Connected()


@pytest.fixture
def plugin(provider: Provider, codec: Connected) -> SealwirePlugin:
    keyring = KeyringOptions(document=False, provider=(provider,))
    return SealwirePlugin(Config(keyring, codecs=(codec, EncryptionOptions())))


class Run:
    """A worker that runs until it is told to end."""

    def __init__(self, plugin: SealwirePlugin) -> None:
        self.began, self.end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(plugin.run_worker(cast("Worker", None), self.run))

    async def run(self, worker: Worker) -> None:
        self.began.set()
        await self.end.wait()

    async def stop(self) -> None:
        self.end.set()
        await self.task


async def test_the_last_worker_closes(
    plugin: SealwirePlugin, provider: Provider, codec: Connected
) -> None:
    """Of several workers, in whatever order they stop, the last one closes keys and codecs."""
    first, second = Run(plugin), Run(plugin)
    await first.began.wait()
    await second.began.wait()
    await first.stop()
    third = Run(plugin)
    await third.began.wait()
    await second.stop()
    assert (0, 0) == (provider.closed, codec.closed)
    await third.stop()
    assert (1, 1) == (provider.closed, codec.closed)


async def test_a_worker_that_fails_closes_too(plugin: SealwirePlugin, provider: Provider) -> None:
    """Whether a worker stops, fails or is cancelled, it does not count any more."""

    async def fail(worker: Worker) -> None:
        raise OSError("the worker failed")

    with pytest.raises(OSError, match="the worker failed"):
        await plugin.run_worker(cast("Worker", None), fail)
    assert provider.closed == 1
    run = Run(plugin)
    await run.began.wait()
    run.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.task
    assert provider.closed == 2


async def test_each_event_loop_closes_its_own(plugin: SealwirePlugin, codec: Connected) -> None:
    """A worker in another thread, with a loop of its own, does not wait for ours to stop."""
    run = Run(plugin)
    await run.began.wait()

    async def at_once(worker: Worker) -> None:
        assert threading.current_thread() is not threading.main_thread()

    await asyncio.to_thread(asyncio.run, plugin.run_worker(cast("Worker", None), at_once))
    assert codec.closed == 1
    await run.stop()
    assert codec.closed == 2


async def test_one_close_that_fails_prevents_no_other(
    plugin: SealwirePlugin, provider: Provider, codec: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is closed, and the failure is told."""

    async def fail() -> None:
        raise OSError("cannot close")

    for broken, other in ((provider, codec), (codec, provider)):
        with monkeypatch.context() as patch:
            patch.setattr(broken, "aclose", fail)
            before = other.closed
            with pytest.raises(OSError, match="cannot close"):
                await plugin.config.aclose()
            assert before + 1 == other.closed


@pytest.mark.server
async def test_a_client_outlives_its_workers(
    temporal_server: str, plugin: SealwirePlugin, provider: Provider, unique: str
) -> None:
    """After the last worker has closed the keys, client and further workers open them again."""
    client = await Client.connect(temporal_server, plugins=[plugin])
    for number in (1, 2):
        async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS):
            name = f"{unique}-{number}"
            handle = await client.start_workflow(
                app.Patient.run, "text", id=name, task_queue=unique
            )
            await handle.signal(app.Patient.tell, "told")
            await handle.result()
        assert number == provider.closed
        assert ["text", "told"] == await handle.result()


@pytest.mark.server
async def test_a_worker_without_keys_does_not_start(
    temporal_server: str, plugin: SealwirePlugin, provider: Provider, unique: str
) -> None:
    """It fails before its first task, and whoever waits for its end does not wait for ever."""
    service = await ServiceClient.connect(ConnectConfig(target_host=temporal_server))
    client = Client(service, plugins=[plugin])  # which loads no keys
    provider.down = True

    def worker() -> Worker:
        return Worker(client, task_queue=unique, workflows=app.WORKFLOWS)

    async def inside() -> None:
        async with worker():
            await asyncio.Event().wait()

    for run in (worker().run(), inside()):
        with pytest.raises(KeyProviderUnavailableError, match="out of reach"):
            await asyncio.wait_for(run, 20)
    assert provider.closed == 2


async def test_a_replayer_loads_keys_and_closes_them(
    plugin: SealwirePlugin, provider: Provider
) -> None:
    """Before the first history the keys are there, and after the last they are closed."""

    async def none() -> AsyncGenerator[WorkflowHistory]:
        return
        yield

    replayer = Replayer(workflows=app.WORKFLOWS, plugins=[plugin])
    async with replayer.workflow_replay_iterator(none()) as results:
        assert plugin.config.loaded_keyring.encryption_key().id == "k"
        assert [] == [result async for result in results]
        assert provider.closed == 0
    assert provider.closed == 1
    unloaded: Any = SealwirePlugin(Config(KeyringOptions(document=False, provider=(provider,))))
    provider.down = True
    with pytest.raises(KeyProviderUnavailableError, match="out of reach"):
        await Replayer(workflows=app.WORKFLOWS, plugins=[unloaded]).replay_workflows(none())

"""Workflows on a real server while the keys cannot be had: for an hour, for longer, at start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import sealwire_test_outage as app
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from sealwire.codecs import EncryptionCodec
from sealwire.config import Config
from sealwire.errors import KeyProviderUnavailableError
from sealwire.keys import Key, Keyring
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider

pytestmark = pytest.mark.server

MINUTE: Final = 60.0
Handle = WorkflowHandle[Any, Any]


@pytest.fixture
def provider() -> ScriptedKeyProvider:
    return ScriptedKeyProvider(Key.generate("first"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def plugin(provider: ScriptedKeyProvider, clock: FakeClock) -> SealwirePlugin:
    """A plugin with a keyring of the default durations, which live by the clock of the test."""
    return SealwirePlugin(Config(codecs=(EncryptionCodec(Keyring(provider, clock=clock)),)))


@asynccontextmanager
async def running(client: Client, queue: str, heart: app.Heart) -> AsyncGenerator[None]:
    async with Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=[heart.work]):
        yield


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in the SDK
        await asyncio.sleep(0.01)


async def one_beat(heart: app.Heart) -> None:
    heart.beaten.clear()
    heart.beat.set()
    await heart.beaten.wait()


async def events(handle: Handle, kind: EventType.ValueType) -> int:
    return sum(event.event_type == kind for event in (await handle.fetch_history()).events)


async def test_an_hour_without_the_provider_disturbs_no_workflow(
    temporal_server: str,
    unique: str,
    plugin: SealwirePlugin,
    provider: ScriptedKeyProvider,
    clock: FakeClock,
) -> None:
    """Heartbeats, signals, queries and the result go on, and no attempt is lost."""
    client = await Client.connect(temporal_server, plugins=[plugin])
    heart = app.Heart()
    async with running(client, unique, heart):
        handle: Handle = await client.start_workflow(
            app.Steady.run, 60, id=unique, task_queue=unique
        )
        await until(lambda: heart.attempts == 1)
        provider.fault = ConnectionError()
        for minute in range(60):
            # The keys were confirmed when the client connected: an hour ago, at the end.
            clock.advance(MINUTE if minute < 59 else MINUTE - 1)
            if minute % 20 == 0:
                await handle.signal(app.Steady.tell, f"minute {minute}")
            await one_beat(heart)
        assert ["minute 0", "minute 20", "minute 40"] == await handle.query(app.Steady.told)
        expected = ["MARKER-result 60", "minute 0", "minute 20", "minute 40"]
        assert expected == await handle.result()
    assert 1 == heart.attempts
    assert provider.calls > 2, "it was asked, and did not answer"
    assert 0 == await events(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


async def test_a_longer_outage_is_waited_out(
    temporal_server: str,
    unique: str,
    plugin: SealwirePlugin,
    provider: ScriptedKeyProvider,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After the hour nothing is encrypted: the activity is tried again until the keys are back."""
    client = await Client.connect(temporal_server, plugins=[plugin])
    heart = app.Heart()
    async with running(client, unique, heart):
        handle: Handle = await client.start_workflow(
            app.Steady.run, 2, id=unique, task_queue=unique
        )
        await until(lambda: heart.attempts == 1)
        provider.fault = ConnectionError()
        clock.advance(2 * 60 * MINUTE)
        heart.beat.set()  # and it is not recorded
        await until(lambda: heart.attempts > 1)
        assert "were last confirmed 7200 s ago" in caplog.text
        provider.fault = None
        clock.advance(2 * MINUTE)
        finished = asyncio.create_task(handle.result())
        while not finished.done():
            heart.beat.set()
            await asyncio.sleep(0.05)
        assert ["MARKER-result 2"] == finished.result()
    plain = await Client.connect(temporal_server)
    history = await plain.get_workflow_handle(unique).fetch_history()
    found = [payload for event in history.events for _, payload in find_payloads(event)]
    assert found
    assert {b"binary/sealed-v1"} == {payload.metadata["encoding"] for payload in found}


async def test_without_the_provider_nothing_starts(
    temporal_server: str, plugin: SealwirePlugin, provider: ScriptedKeyProvider
) -> None:
    """Connecting fails, with the name of the provider and without its words."""
    provider.fault = ConnectionError("password4711")
    with pytest.raises(KeyProviderUnavailableError) as caught:
        await Client.connect(temporal_server, plugins=[plugin])
    assert "ScriptedKeyProvider raised ConnectionError" in str(caught.value)
    assert "password4711" not in str(caught.value)

"""Keys of each tenant in whole workflows on a real server, one tenant shredded on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sealwire_test_tenants as app
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.converter import WorkflowSerializationContext
from temporalio.worker import Worker

from sealwire.config import Config, load_config
from sealwire.errors import ContextMismatchError, KeyDestroyedError
from sealwire.keys import KeyringShredder, LocalKeyWrapper
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads, search

CONFIG = """
[keyring]
key_file = "root.key"

[keyring.store]
type = "folder"
path = "keyrings"

[keyring.tenants]
by = "workflow-id"
pattern = "([^/]+)/"
wrapped_by = "root"
create_missing = true
"""


@pytest.fixture
async def config(tmp_path: Path) -> Config:
    """Keyrings in a folder, all of them opened by one."""
    file = tmp_path / "sealwire.toml"
    file.write_text(CONFIG)
    made = load_config(file)
    LocalKeyWrapper(made.keyring.key_file).create()
    await made.admin_of("root").create()
    return made


@asynccontextmanager
async def running(client: Client, queue: str) -> AsyncGenerator[None]:
    # Without a cache, each workflow task decodes the whole history again.
    async with Worker(
        client,
        task_queue=queue,
        workflows=[app.KeepRecord],
        activities=[app.look_up],
        max_cached_workflows=0,
    ):
        yield


async def wait_for(handle: WorkflowHandle[Any, Any], kind: EventType.ValueType) -> Any:
    """Wait until the history has an event of a kind, and return the last one."""
    while True:
        events = (await handle.fetch_history()).events
        found = [event for event in events if event.event_type == kind]
        if found:
            return found[-1]
        await asyncio.sleep(0.05)


async def refresh(config: Config, tenant: str) -> None:
    """Have the process learn at once what it would learn within two refresh intervals."""
    assert config.tenant_keyrings is not None
    await (await config.tenant_keyrings.ready(tenant)).refresh()


async def test_one_subject_is_forgotten_while_another_goes_on(
    temporal_server: str, config: Config, unique: str
) -> None:
    """The workflow of who was shredded waits with a clear error; the other one completes."""
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    plain = await Client.connect(temporal_server)
    handles: dict[str, WorkflowHandle[Any, Any]] = {
        subject: await client.start_workflow(
            app.KeepRecord.run,
            f"MARKER-{subject}",
            id=f"{subject}/{unique}",
            task_queue=unique,
        )
        for subject in ("kept", "forgotten")
    }
    async with running(client, unique):
        for handle in handles.values():
            await wait_for(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        await KeyringShredder(config.admin_of("forgotten")).shred(immediately=True)
        await refresh(config, "forgotten")
        with pytest.raises(KeyDestroyedError, match="all keys of 'forgotten' were destroyed on"):
            await handles["forgotten"].signal(app.KeepRecord.tell, "MARKER-signal")
        await handles["kept"].signal(app.KeepRecord.tell, "MARKER-signal")
        # Without arguments, a signal needs no key, and wakes the workflow.
        await plain.get_workflow_handle(f"forgotten/{unique}").signal("tell")

        assert "MARKER-record of MARKER-kept, MARKER-signal" == await handles["kept"].result()
        event = await wait_for(handles["forgotten"], EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    failure: Failure = event.workflow_task_failed_event_attributes.failure
    # In clear: there is no key left to seal it with.
    assert "all keys of 'forgotten' were destroyed on" in failure.message
    status = (await handles["forgotten"].describe()).status
    assert status is WorkflowExecutionStatus.RUNNING
    await handles["forgotten"].terminate()

    for subject in handles:
        history = await plain.get_workflow_handle(f"{subject}/{unique}").fetch_history()
        assert set() == set().union(*(search(event, ["MARKER"]) for event in history.events))


async def test_a_tenants_payload_is_refused_in_another_tenants_workflow(
    temporal_server: str, config: Config, unique: str
) -> None:
    """What the server copies from one workflow to another does not open there."""
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    handle: WorkflowHandle[Any, Any] = await client.start_workflow(
        app.KeepRecord.run, "MARKER-a", id=f"a/{unique}", task_queue=unique
    )
    first = (await handle.fetch_history()).events[0]
    (_, payload) = next(iter(find_payloads(first)))
    await handle.terminate()
    codec = config.codec("default")
    own = codec.with_context(WorkflowSerializationContext("default", f"a/{unique}"))
    other = codec.with_context(WorkflowSerializationContext("default", f"b/{unique}"))
    assert 1 == len(await own.decode([payload]))
    with pytest.raises(ContextMismatchError, match=r"belongs to the tenant 'a', .* is 'b'"):
        await other.decode([payload])
    with pytest.raises(ContextMismatchError, match="add it to accept_tenants"):
        await codec.decode([payload])

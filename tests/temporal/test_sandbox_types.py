"""Values in the sandbox that are more than a type hint: raw payloads, transfer and custom types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import sealwire_test_models as models
import sealwire_test_money as money
import sealwire_test_special as app
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from sealwire.config import Config, ConverterOptions
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads

MakeConfig = Callable[..., Awaitable[Config]]


def worker(client: Client, queue: str, *passed: str) -> Worker:
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*passed)
    return Worker(
        client,
        task_queue=queue,
        workflows=[app.Raw, app.Heat, app.Double],
        activities=[app.forward, app.heat, money.double],
        workflow_runner=SandboxedWorkflowRunner(restrictions),
        workflow_failure_exception_types=[Exception],  # else a fault is tried again for ever
    )


async def encodings(server: str, name: str) -> set[bytes]:
    """What somebody without keys sees of a workflow's payloads."""
    plain = await Client.connect(server)
    history = await plain.get_workflow_handle(name).fetch_history()
    found = [payload for event in history.events for _, payload in find_payloads(event)]
    return {payload.metadata["encoding"] for payload in found}


async def test_a_raw_value_keeps_its_payload_and_is_sealed(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A `RawValue` reaches workflow, activity and client as it was, and no server in clear."""
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(await make_config())])
    order = models.make_basket(1).order
    raw = RawValue(client.data_converter.payload_converter.to_payload(order))
    async with worker(client, unique):
        result = await client.execute_workflow(
            app.Raw.run, args=[raw, order], id=unique, task_queue=unique
        )
    assert raw == result
    assert b"json/plain" == result.payload.metadata["encoding"]
    assert {b"binary/sealed-v1"} == await encodings(temporal_server, unique)


async def test_transfer_types_of_the_sdk_pass(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """A class with a `TransferTypeConverter` travels as its transfer type, in the sandbox too."""
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(await make_config())])
    async with worker(client, unique):
        result = await client.execute_workflow(
            app.Heat.run, app.Temperature(300), id=unique, task_queue=unique
        )
    assert type(result) is app.Temperature
    assert 301 == result.kelvin


@pytest.mark.parametrize(
    ("converter", "passed"),
    [
        (money.converters, ["sealwire_test_money"]),
        (ConverterOptions(factory="sealwire_test_money:converters"), []),
        (ConverterOptions(factory="sealwire_test_money:converters"), ["sealwire_test_money"]),
    ],
    ids=["function, passed", "name, not passed", "name, passed"],
)
async def test_a_custom_type_is_the_sandboxs_own(
    temporal_server: str, make_config: MakeConfig, unique: str, converter: Any, passed: list[str]
) -> None:
    """A factory named in the configuration gives each side its own class, passed through or not."""
    config = replace(await make_config(), converter=converter)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with worker(client, unique, *passed):
        handle = await client.start_workflow(
            app.Double.run, money.Money(21), id=unique, task_queue=unique
        )
        result = await handle.result()
        shared = await handle.query(app.Double.has_class, id(money.Money))
    assert money.Money(42) == result
    assert bool(passed) is shared
    assert {b"binary/sealed-v1"} == await encodings(temporal_server, unique)


async def test_a_function_in_code_knows_only_the_class_outside(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """Without pass-through, a factory given as a function fails, with a word on why."""
    config = replace(await make_config(), converter=money.converters)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with worker(client, unique):
        with pytest.raises(WorkflowFailureError) as caught:
            await client.execute_workflow(
                app.Double.run, money.Money(21), id=unique, task_queue=unique
            )
    assert "pass the module through the workflow sandbox" in str(caught.value.cause)

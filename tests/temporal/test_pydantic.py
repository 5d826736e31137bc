"""The converter of `contrib.pydantic` in whole workflows, with everything sealed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import sealwire_test_pydantic as app
from everywhere_places import is_marked
from sealwire_test_pydantic_models import FIRST, SECOND, Receipt
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.payload import encoding_of
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads

MakeConfig = Callable[..., Awaitable[Config]]

pytestmark = pytest.mark.server


def with_pydantic(converter: DataConverter | None) -> DataConverter:
    """What a plugin does that brings pydantic's converter and keeps the rest."""
    return replace(
        converter or DataConverter.default, payload_converter_class=PydanticPayloadConverter
    )


async def connect(server: str, config: Config, how: str) -> Client:
    ours = SealwirePlugin(config)
    if how == "client":
        return await Client.connect(server, data_converter=pydantic_data_converter, plugins=[ours])
    theirs = SimplePlugin(  # pyright: ignore[reportUnknownMemberType]
        "pydantic", data_converter=pydantic_data_converter if how == "whole" else with_pydantic
    )
    plugins: list[Any] = [ours, theirs] if how == "after" else [theirs, ours]
    return await Client.connect(server, plugins=plugins)


@pytest.mark.parametrize("how", ["client", "whole", "before", "after"])
async def test_models_are_sealed_and_arrive(
    temporal_server: str, make_config: MakeConfig, unique: str, how: str
) -> None:
    """The data converter given to the client, or brought by a plugin before or after ours."""
    client = await connect(temporal_server, await make_config(), how)
    assert issubclass(client.data_converter.payload_converter_class, PydanticPayloadConverter)
    async with Worker(client, task_queue=unique, workflows=[app.Selling], activities=[app.receive]):
        handle: WorkflowHandle[Any, list[Receipt]] = await client.start_workflow(
            app.Selling.run, FIRST, id=unique, task_queue=unique
        )
        await handle.signal(app.Selling.tell, SECOND)
        receipts = await handle.result()
    assert [Receipt(order=each, lines=each.lines) for each in (FIRST, SECOND)] == receipts
    assert {Receipt} == {type(receipt) for receipt in receipts}

    events = (await handle.fetch_history()).events
    assert [] == [event.event_type for event in events if is_marked(event.SerializeToString())]
    payloads = [payload for event in events for _, payload in find_payloads(event)]
    # An argument, a signal and a result; an argument and a result of each activity.
    assert ["binary/sealed-v1"] * 7 == [encoding_of(payload) for payload in payloads]


async def test_in_clear_the_same_run_shows_every_marker(temporal_server: str, unique: str) -> None:
    """Without our plugin the search finds each payload, so the test above can fail."""
    client = await Client.connect(temporal_server, data_converter=pydantic_data_converter)
    async with Worker(client, task_queue=unique, workflows=[app.Selling], activities=[app.receive]):
        handle = await client.start_workflow(app.Selling.run, FIRST, id=unique, task_queue=unique)
        await handle.signal(app.Selling.tell, SECOND)
        await handle.result()
    events = (await handle.fetch_history()).events
    assert 7 == sum(is_marked(event.SerializeToString()) for event in events)

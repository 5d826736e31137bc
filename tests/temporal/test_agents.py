"""The plugin for the OpenAI Agents SDK beside ours: its converter, and everything sealed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sealwire_test_agents as app
from temporalio.client import Client
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
from temporalio.openai_agents.testing import ResponseBuilders, TestModel, TestModelProvider
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.payload import encoding_of
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads, search

MakeConfig = Callable[..., Awaitable[Config]]

pytestmark = pytest.mark.server


def agents_plugin() -> OpenAIAgentsPlugin:
    """A model that answers without a network."""
    model = TestModel(lambda: ResponseBuilders.output_message("MARKER-answer"))
    limits = ModelActivityParameters(start_to_close_timeout=timedelta(seconds=20))
    return OpenAIAgentsPlugin(model_params=limits, model_provider=TestModelProvider(model))


@pytest.mark.parametrize("ours_first", [True, False])
async def test_an_agent_is_sealed(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ours_first: bool,
) -> None:
    """Question, instructions, calls of the model and answer: in any order of the plugins."""
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    plugins: list[Any] = [agents_plugin(), SealwirePlugin(await make_config())]
    if ours_first:
        plugins.reverse()
    client = await Client.connect(temporal_server, plugins=plugins)
    async with Worker(client, task_queue=unique, workflows=[app.Asking]):
        handle = await client.start_workflow(
            app.Asking.run, "MARKER-question", id=unique, task_queue=unique
        )
        assert "MARKER-answer" == await handle.result()
    for event in (await handle.fetch_history()).events:
        assert set() == search(event, ["MARKER"])
        for path, payload in find_payloads(event):
            assert "sealed" in encoding_of(payload) or "header" in path, path

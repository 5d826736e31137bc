"""OpenTelemetry's plugin and interceptor beside ours: one trace, and everything sealed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import opentelemetry.trace
import pytest
import sealwire_test_traced as app
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.opentelemetry import (
    OpenTelemetryPlugin,
    TracingInterceptor,
    create_tracer_provider,
)
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.payload import encoding_of
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads, search

MakeConfig = Callable[..., Awaitable[Config]]

pytestmark = pytest.mark.server

HEADER: Final = "_tracer-data"
# Each span, and the one that it is a part of.
SPANS: Final = {
    "order": None,
    "StartWorkflow:Traced": "order",
    "SignalWorkflow:tell": "order",
    "RunWorkflow:Traced": "StartWorkflow:Traced",
    "HandleSignal:tell": "SignalWorkflow:tell",
    "StartActivity:ship": "RunWorkflow:Traced",
    "RunActivity:ship": "StartActivity:ship",
}
# The interceptor of old hangs all that a workflow does on the span of its start.
FLAT: Final = {
    **SPANS,
    **dict.fromkeys(
        ["HandleSignal:tell", "StartActivity:ship", "CompleteWorkflow:Traced"],
        "StartWorkflow:Traced",
    ),
}


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the spans of the test end up in; the plugin asks for the provider of the process."""
    exporter = InMemorySpanExporter()
    provider = create_tracer_provider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    return exporter


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def parents(spans: tuple[ReadableSpan, ...]) -> dict[str, str | None]:
    """Each span, and the one that it is a part of."""
    names = {context_of(span).span_id: span.name for span in spans}
    return {
        span.name: None if span.parent is None else names[span.parent.span_id] for span in spans
    }


def traced(event: HistoryEvent) -> Payload | None:
    """The trace in an event, where there is one."""
    headers = [
        event.workflow_execution_started_event_attributes.header,
        event.activity_task_scheduled_event_attributes.header,
        event.workflow_execution_signaled_event_attributes.header,
    ]
    return next((header.fields[HEADER] for header in headers if HEADER in header.fields), None)


async def connect(server: str, config: Config, how: str) -> Client:
    """Connect with the plugin before ours or after it, or with the interceptor alone."""
    if how == "interceptor":
        return await Client.connect(
            server, plugins=[SealwirePlugin(config)], interceptors=[TracingInterceptor()]
        )
    plugins: list[Any] = [OpenTelemetryPlugin(add_temporal_spans=True), SealwirePlugin(config)]
    return await Client.connect(server, plugins=plugins if how == "before" else plugins[::-1])


@pytest.mark.parametrize("headers", ["none", "all"])
@pytest.mark.parametrize("how", ["before", "after", "interceptor"])
async def test_a_traced_workflow_is_sealed(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    exporter: InMemorySpanExporter,
    how: str,
    headers: str,
) -> None:
    """Client, workflow and activity are one trace, with headers in clear and with sealed ones."""
    config = await make_config(f'[temporal]\nheaders = "{headers}"\n')
    client = await connect(temporal_server, config, how)
    async with Worker(client, task_queue=unique, workflows=[app.Traced], activities=[app.ship]):
        with opentelemetry.trace.get_tracer(__name__).start_as_current_span("order"):
            handle: WorkflowHandle[Any, Any] = await client.start_workflow(
                app.Traced.run, {"item": "MARKER-item"}, id=unique, task_queue=unique
            )
            await handle.signal(app.Traced.tell, "MARKER-told")
            assert ["MARKER-shipped MARKER-item", "MARKER-told"] == await handle.result()

    spans = exporter.get_finished_spans()
    assert (FLAT if how == "interceptor" else SPANS) == parents(spans)
    (trace,) = {f"{context_of(span).trace_id:032x}" for span in spans}

    sealed = headers == "all"
    events = (await handle.fetch_history()).events
    carried = [payload for payload in map(traced, events) if payload is not None]
    codec = client.data_converter.payload_codec
    assert codec is not None
    opened = await codec.decode(carried) if sealed else carried
    assert [trace] * 3 == [json.loads(one.data)["traceparent"].split("-")[1] for one in opened]
    for event in events:
        assert set() == search(event, ["MARKER", trace] if sealed else ["MARKER"])
        for path, payload in find_payloads(event):
            clear = not sealed and path.endswith(f"header.fields[{HEADER}]")
            assert ("json/plain" if clear else "binary/sealed-v1") == encoding_of(payload), path

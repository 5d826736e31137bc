"""The plugin without a server: what it sets, what it keeps, what it refuses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, ClientConfig, WorkflowHistory
from temporalio.common import HeaderCodecBehavior, RawValue
from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor, OpenTelemetryPlugin
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultFailureConverter,
    PayloadCodec,
    WorkflowSerializationContext,
)
from temporalio.openai_agents import OpenAIAgentsPlugin, OpenAIPayloadConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer, ReplayerConfig, UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from sealwire.config import Config
from sealwire.errors import ConfigurationError, ContextMismatchError
from sealwire.temporal import (
    PASSTHROUGH_MODULES,
    EncodedFailureConverter,
    SealwireCodec,
    SealwirePayloadConverter,
    SealwirePlugin,
    data_converter,
    sandbox_runner,
)
from sealwire.temporal.guard import CodecGuard

MakeConfig = Callable[..., Awaitable[Config]]


class Reverse(PayloadCodec):
    """Somebody else's codec."""

    async def encode(self, payloads: Any) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Any) -> list[Payload]:
        return list(payloads)


def client_config(converter: DataConverter, namespace: str = "default") -> ClientConfig:
    # The plugin reads these two only.
    return cast("ClientConfig", {"data_converter": converter, "namespace": namespace})


async def test_defaults_are_replaced(make_config: MakeConfig) -> None:
    """The default payload and failure converters give way, and the codec is set."""
    plugin = SealwirePlugin(await make_config())
    made = plugin.configure_client(client_config(DataConverter.default))["data_converter"]
    assert isinstance(made.payload_codec, SealwireCodec)
    assert issubclass(made.payload_converter_class, SealwirePayloadConverter)
    assert EncodedFailureConverter is made.failure_converter_class


async def test_a_chosen_converter_is_kept(make_config: MakeConfig) -> None:
    """What another plugin has chosen, pydantic's converter for example, stays."""

    class Failures(DefaultFailureConverter):
        pass

    theirs = DataConverter(
        payload_converter_class=PydanticPayloadConverter, failure_converter_class=Failures
    )
    plugin = SealwirePlugin(await make_config())
    made = plugin.configure_client(client_config(theirs))["data_converter"]
    assert issubclass(made.payload_converter_class, PydanticPayloadConverter)
    assert Failures is made.failure_converter_class
    assert isinstance(made.payload_codec, SealwireCodec)


async def test_a_second_codec_is_refused(make_config: MakeConfig) -> None:
    """A client that has a codec already is refused before anything is encrypted twice."""
    plugin = SealwirePlugin(await make_config())
    theirs = replace(DataConverter.default, payload_codec=Reverse())
    with pytest.raises(ConfigurationError, match=r"Reverse.*encrypted twice"):
        plugin.configure_client(client_config(theirs))


async def test_the_same_plugin_twice_changes_nothing(make_config: MakeConfig) -> None:
    """Applied again, as for a copied client, the plugin binds the chain to the new namespace."""
    plugin = SealwirePlugin(await make_config())
    once = plugin.configure_client(client_config(DataConverter.default))["data_converter"]
    twice = plugin.configure_client(client_config(once, "other"))["data_converter"]
    (payload,) = await twice.encode(["x"])
    with pytest.raises(ContextMismatchError):
        await once.decode([payload])


async def test_two_configurations_are_refused(make_config: MakeConfig) -> None:
    """Two sealwire plugins with different configurations do not go together."""
    first = SealwirePlugin(await make_config(name="first"))
    second = SealwirePlugin(await make_config(name="second"))
    made = first.configure_client(client_config(DataConverter.default))
    with pytest.raises(ConfigurationError, match="another configuration"):
        second.configure_client(made)


async def test_the_sandbox_lets_our_modules_pass(make_config: MakeConfig) -> None:
    """A replayer's sandbox passes the modules through; another runner is left alone."""
    plugin = SealwirePlugin(await make_config(), namespace="default")
    made = plugin.configure_replayer(ReplayerConfig())
    runner = made.get("workflow_runner")
    assert isinstance(runner, SandboxedWorkflowRunner)
    assert set(PASSTHROUGH_MODULES) <= runner.restrictions.passthrough_modules

    plain = UnsandboxedWorkflowRunner()
    config = ReplayerConfig()
    config["workflow_runner"] = plain
    assert plain is plugin.configure_replayer(config).get("workflow_runner")


@pytest.mark.parametrize(
    ("text", "chosen", "expected"),
    [
        ("none", HeaderCodecBehavior.NO_CODEC, HeaderCodecBehavior.NO_CODEC),
        ("workflow", HeaderCodecBehavior.NO_CODEC, HeaderCodecBehavior.WORKFLOW_ONLY_CODEC),
        ("all", HeaderCodecBehavior.NO_CODEC, HeaderCodecBehavior.CODEC),
        ("none", HeaderCodecBehavior.CODEC, HeaderCodecBehavior.CODEC),
        ("all", HeaderCodecBehavior.WORKFLOW_ONLY_CODEC, HeaderCodecBehavior.WORKFLOW_ONLY_CODEC),
    ],
)
async def test_headers_are_as_configured(
    make_config: MakeConfig,
    text: str,
    chosen: HeaderCodecBehavior,
    expected: HeaderCodecBehavior,
) -> None:
    """`headers` decides for clients and replayers, unless the code has chosen something."""
    plugin = SealwirePlugin(await make_config(f'[temporal]\nheaders = "{text}"\n'))
    client = client_config(DataConverter.default)
    client["header_codec_behavior"] = chosen
    assert expected is plugin.configure_client(client)["header_codec_behavior"]
    replayer = ReplayerConfig(header_codec_behavior=chosen)
    assert expected is plugin.configure_replayer(replayer).get("header_codec_behavior")


@pytest.mark.server
@pytest.mark.parametrize("ours_first", [True, False])
async def test_plugins_that_choose_a_converter_come_before_or_after(
    temporal_server: str, make_config: MakeConfig, ours_first: bool
) -> None:
    """Their payload converter is used and the codec is ours, in either order."""
    plugins: list[Any] = [OpenAIAgentsPlugin(), SealwirePlugin(await make_config())]
    for other in (OpenTelemetryPlugin(), None):
        plugins = [*plugins, other] if other else plugins[:2]
        order = list(reversed(plugins)) if ours_first else plugins
        client = await Client.connect(temporal_server, plugins=order)
        assert issubclass(client.data_converter.payload_converter_class, OpenAIPayloadConverter)
        assert isinstance(client.data_converter.payload_codec, SealwireCodec)


@pytest.mark.server
@pytest.mark.parametrize("ours_first", [True, False])
async def test_plugins_that_choose_no_converter_leave_ours(
    temporal_server: str, make_config: MakeConfig, ours_first: bool
) -> None:
    """OpenTelemetry's plugin adds interceptors; a function may change something else."""

    class Failures(DefaultFailureConverter):
        pass

    def change(converter: DataConverter | None) -> DataConverter:
        return replace(converter or DataConverter.default, failure_converter_class=Failures)

    other = SimplePlugin("other", data_converter=change)  # pyright: ignore[reportUnknownMemberType]
    plugins: list[Any] = [OpenTelemetryPlugin(), other, SealwirePlugin(await make_config())]
    order = list(reversed(plugins)) if ours_first else plugins
    client = await Client.connect(temporal_server, plugins=order)
    assert issubclass(client.data_converter.payload_converter_class, SealwirePayloadConverter)
    assert Failures is client.data_converter.failure_converter_class
    interceptors = client.config(active_config=True)["interceptors"]
    assert [OpenTelemetryInterceptor] == [
        type(interceptor) for interceptor in interceptors if type(interceptor) is not CodecGuard
    ]


@pytest.mark.server
async def test_a_codec_that_comes_later_is_refused(
    temporal_server: str, make_config: MakeConfig
) -> None:
    """A plugin that takes our codec away, replaces or wraps it, is refused before it is used."""

    def wrap(converter: DataConverter | None) -> DataConverter:
        return replace(converter or DataConverter.default, payload_codec=Reverse())

    whole = replace(DataConverter.default, payload_codec=Reverse())
    ours = SealwirePlugin(await make_config(), namespace="default")
    for theirs, instead in (
        (pydantic_data_converter, "none"),
        (whole, "Reverse"),
        (wrap, "Reverse"),
    ):
        other = SimplePlugin("other", data_converter=theirs)  # pyright: ignore[reportUnknownMemberType]
        with pytest.raises(ConfigurationError, match=f"{instead}; put SealwirePlugin after it"):
            await Client.connect(temporal_server, plugins=[ours, other])
        replayer = Replayer(workflows=[Nothing], plugins=[ours, other])
        with pytest.raises(ConfigurationError, match=f"{instead}; put SealwirePlugin after it"):
            async with replayer.workflow_replay_iterator(no_histories()):
                pass


@workflow.defn
class Nothing:
    @workflow.run
    async def run(self) -> None:
        pass


async def no_histories() -> AsyncGenerator[WorkflowHistory]:
    return
    yield


@pytest.mark.server
async def test_pydantic_s_converter_goes_with_ours(
    temporal_server: str, make_config: MakeConfig
) -> None:
    """The data converter of `contrib.pydantic`, given to the client or by a plugin before ours."""
    before = SimplePlugin("pydantic", data_converter=pydantic_data_converter)  # pyright: ignore[reportUnknownMemberType]
    ours = SealwirePlugin(await make_config())
    for client in (
        await Client.connect(
            temporal_server, data_converter=pydantic_data_converter, plugins=[ours]
        ),
        await Client.connect(temporal_server, plugins=[before, ours]),
    ):
        assert issubclass(client.data_converter.payload_converter_class, PydanticPayloadConverter)
        (payload,) = await client.data_converter.encode([{"a": 1}])
        assert payload.metadata["encoding"] == b"binary/sealed-v1"


async def test_a_replayer_may_state_its_namespace(make_config: MakeConfig) -> None:
    """The namespace of a replayer is the plugin's, its own, or that of the configuration."""
    config = await make_config()
    own = ReplayerConfig(namespace="payments")
    made = SealwirePlugin(config).configure_replayer(own).get("data_converter")
    assert made is not None
    (payload,) = await made.encode(["x"])
    assert b"payments" in payload.metadata["encryption-context"]

    with pytest.raises(ConfigurationError, match="leave one of them out"):
        SealwirePlugin(config, namespace="orders").configure_replayer(
            ReplayerConfig(namespace="payments")
        )
    fixed = SealwirePlugin(await make_config('namespace = "orders"\n', name="fixed"))
    with pytest.raises(ConfigurationError, match=r"orders.*payments"):
        fixed.configure_replayer(ReplayerConfig(namespace="payments"))


def test_the_sandbox_is_there_without_the_plugin() -> None:
    """`sandbox_runner` completes the SDK's sandbox, or makes one."""
    for runner in (None, SandboxedWorkflowRunner()):
        made = sandbox_runner(runner)
        assert isinstance(made, SandboxedWorkflowRunner)
        assert set(PASSTHROUGH_MODULES) <= made.restrictions.passthrough_modules


async def test_a_worker_of_a_plain_client_is_refused(
    temporal_server: str, make_config: MakeConfig
) -> None:
    """The plugin on a worker alone would seal nothing, so it says where it belongs."""
    plugin = SealwirePlugin(await make_config())
    client = await Client.connect(temporal_server)
    with pytest.raises(ConfigurationError, match=r"Client\.connect"):
        plugin.configure_worker({"client": client, "task_queue": "q"})


async def test_raw_values_pass_the_converter(make_config: MakeConfig) -> None:
    """A `RawValue` is sealed as the payload it holds, and given back where the hint asks for it."""
    converter = data_converter(await make_config(), "default")
    raw = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"1"))
    payloads = await converter.encode([raw, 2])
    hints: list[Any] = [None, RawValue]
    first, second = await converter.decode(payloads, hints)
    assert 1 == first
    assert b"2" == second.payload.data


async def test_the_context_of_the_sdk_is_the_namespace(make_config: MakeConfig) -> None:
    """Without a configured namespace, that of the serialization context is bound and compared."""
    converter = data_converter(await make_config())
    with pytest.raises(ContextMismatchError, match="namespace"):
        await converter.encode(["x"])
    here = converter.with_context(WorkflowSerializationContext("a", "wf"))
    there = converter.with_context(WorkflowSerializationContext("b", "wf"))
    payloads = await here.encode(["x"])
    assert ["x"] == await here.decode(payloads)
    with pytest.raises(ContextMismatchError, match="'a'"):
        await there.decode(payloads)


async def test_a_context_costs_nothing_when_it_is_the_same(make_config: MakeConfig) -> None:
    """With the namespace already bound, `with_context` returns the same codec."""
    converter = data_converter(await make_config(), "default")
    codec = converter.payload_codec
    assert isinstance(codec, SealwireCodec)
    contexts = [
        WorkflowSerializationContext("default", "wf"),
        WorkflowSerializationContext("ReplayNamespace", "wf"),
        ActivitySerializationContext("default", None, None, None, "wf", None, is_local=False),
    ]
    assert [codec] * 3 == [codec.with_context(context) for context in contexts]
    with pytest.raises(ConfigurationError, match="other"):
        codec.with_context(WorkflowSerializationContext("other", "wf"))


async def test_the_configured_encodings_are_written(make_config: MakeConfig) -> None:
    """`[converter]` decides what the SDK's converter writes; everything is still read."""
    config = await make_config('[converter]\nvalues = "binary/msgpack"\n')
    converter = data_converter(config, "default").payload_converter
    (payload,) = converter.to_payloads([{"a": 1}])
    assert b"binary/msgpack" == payload.metadata["encoding"]
    json = Payload(metadata={"encoding": b"json/plain"}, data=b'{"a":1}')
    assert [{"a": 1}, {"a": 1}] == converter.from_payloads([payload, json])

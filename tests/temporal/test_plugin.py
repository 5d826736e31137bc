"""The plugin without a server: what it sets, what it keeps, what it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, ClientConfig
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    WorkflowSerializationContext,
)
from temporalio.worker import ReplayerConfig, UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from sealwire.config import Config
from sealwire.errors import ConfigurationError, ContextMismatchError
from sealwire.temporal import (
    PASSTHROUGH_MODULES,
    SealwireCodec,
    SealwirePayloadConverter,
    SealwirePlugin,
    data_converter,
)

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
    assert DefaultFailureConverterWithEncodedAttributes is made.failure_converter_class


async def test_a_chosen_converter_is_kept(make_config: MakeConfig) -> None:
    """What another plugin has chosen, pydantic's converter for example, stays."""

    class Failures(DefaultFailureConverter):
        pass

    theirs = DataConverter(
        payload_converter_class=PydanticPayloadConverter, failure_converter_class=Failures
    )
    plugin = SealwirePlugin(await make_config())
    made = plugin.configure_client(client_config(theirs))["data_converter"]
    assert PydanticPayloadConverter is made.payload_converter_class
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

"""Looks at what passes by sealwire's codec: because of another plugin, or of the SDK itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from google.protobuf.message import Message
from temporalio import client, worker
from temporalio.client import ClientConfig, OutboundInterceptor
from temporalio.converter import DataConverter

from sealwire.errors import ConfigurationError

from .converter import SealwireCodec
from .system import refuse_message, refusing_marked


class CodecGuard(client.Interceptor, worker.Interceptor):
    """Looks at the configuration of a client when all of its plugins have had their say.

    The SDK calls interceptors last. This one intercepts nothing in a client. In a worker, which
    takes it from its client, it looks at the arguments of Nexus operations: the SDK reads those
    with a mark for itself, past the codec and the user's converter.

    Args:
        config: What the other plugins may still change.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002
        """Check the configuration, and intercept nothing.

        A payload converter that another plugin brought refuses what no codec has opened, too.

        Raises:
            ConfigurationError: The client would not use sealwire's codec, or not as it is.
        """
        converter = self._config["data_converter"]
        check_codec(converter)
        chosen = refusing_marked(converter.payload_converter_class)
        if chosen is not converter.payload_converter_class:
            self._config["data_converter"] = dataclasses.replace(
                converter, payload_converter_class=chosen
            )
        return next

    def intercept_nexus_operation(
        self,
        next: worker.NexusOperationInboundInterceptor,  # noqa: A002
    ) -> worker.NexusOperationInboundInterceptor:
        """Refuse arguments that no codec has opened."""
        return _NexusCalls(next)


class _NexusCalls(worker.NexusOperationInboundInterceptor):
    async def execute_nexus_operation_start(
        self,
        input: worker.ExecuteNexusOperationStartInput,  # noqa: A002
    ) -> Any:
        if isinstance(input.input, Message):
            refuse_message(input.input)
        return await super().execute_nexus_operation_start(input)


def check_codec(converter: DataConverter | None) -> None:
    """Check that payloads pass through sealwire's codec and no other.

    Raises:
        ConfigurationError: They do not.
    """
    codec = converter.payload_codec if converter is not None else None
    if isinstance(codec, SealwireCodec):
        return
    instead = f"{type(codec).__name__}" if codec is not None else "none"
    raise ConfigurationError(
        f"another plugin put its own codec in the place of sealwire's: {instead}; put "
        "SealwirePlugin after it in the list, and if it needs its codec, make that one a part "
        "of sealwire's chain"
    )

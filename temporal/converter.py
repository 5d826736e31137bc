"""sealwire's converters and codecs in the shapes that `temporalio` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    PayloadCodec,
    PayloadConverter,
    SerializationContext,
    WithSerializationContext,
)

from sealwire.codecs import CodecChain, ThreadedCodec
from sealwire.config import Config
from sealwire.converter import CompositePayloadConverter
from sealwire.errors import ConfigurationError

from .failures import failure_converter_class
from .storage import configured_storage
from .system import is_answer, marked, refuse_marked, refusing_marked


class SealwirePayloadConverter(PayloadConverter):
    """A `CompositePayloadConverter` as the SDK's payload converter.

    The SDK makes one instance for each run of a workflow, without arguments: a configuration other
    than the default one is a subclass, see `payload_converter_class`.
    """

    refuses_marked: ClassVar[bool] = True  # see `refusing_marked`

    @cached_property
    def _composite(self) -> CompositePayloadConverter:
        # On first use: the SDK makes several instances for each task of a workflow, and uses one.
        return self._build()

    @staticmethod
    def _build() -> CompositePayloadConverter:
        return CompositePayloadConverter()

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Convert values; a `RawValue` already is a payload."""
        for value in values:
            if isinstance(value, RawValue):
                break
        else:
            return self._composite.to_payloads(values)
        return [
            value.payload if isinstance(value, RawValue) else self._composite.to_payload(value)
            for value in values
        ]

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Convert payloads back; where the hint is `RawValue`, the payload itself is wanted."""
        refuse_marked(payloads)
        if type_hints and RawValue in type_hints:
            hints = [*type_hints, *[None] * (len(payloads) - len(type_hints))]
            return [
                RawValue(payload)
                if hint is RawValue
                else self._composite.from_payload(payload, hint)
                for payload, hint in zip(payloads, hints, strict=False)
            ]
        return self._composite.from_payloads(payloads, type_hints)


def payload_converter_class(config: Config) -> type[SealwirePayloadConverter]:
    """Return a class without arguments that builds the converters of `config`.

    Raises:
        ConfigurationError: They cannot be built.
    """
    config.payload_converter()  # a fault is to show at start-up, and not in the first workflow

    class ConfiguredPayloadConverter(SealwirePayloadConverter):
        @staticmethod
        def _build() -> CompositePayloadConverter:
            return config.payload_converter()

    return ConfiguredPayloadConverter


class SealwireCodec(PayloadCodec, WithSerializationContext):
    """A chain of codecs as the SDK's payload codec.

    Args:
        codec: What does the work.
        config: What it was built from.
    """

    def __init__(self, codec: CodecChain | ThreadedCodec, config: Config | None = None) -> None:
        self.codec = codec
        self.config = config

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode with the codec."""
        return await self.codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode with the codec; the server's answer to the SDK itself is never encoded."""
        if len(payloads) == 1 and is_answer(payloads[0]):
            return [marked(payloads[0])]
        return await self.codec.decode(payloads)

    def with_context(self, context: SerializationContext) -> Self:
        """Return the codec for `context`; itself when its namespace is the configured one."""
        codec = self.codec.with_context(context)
        return self if codec is self.codec else type(self)(codec, self.config)


def data_converter(
    config: Config,
    namespace: str | None = None,
    existing: DataConverter | None = None,
    *,
    read_only: bool = False,
) -> DataConverter:
    """Build the SDK's data converter, or complete an existing one.

    What somebody else has chosen is kept: a payload converter (pydantic's, for example), which from
    then on refuses what no codec has opened, or a failure converter that is not the SDK's default.

    Args:
        config: The chain, the keys, the converters, and `[temporal]`.
        namespace: The client's namespace. Without it and without one in `config`, only payloads
            for which the SDK tells the namespace can be sealed.
        existing: What to complete.
        read_only: For a replayer: write nothing to the external storage of `config`.

    Raises:
        ConfigurationError: There is a codec already, or `config` is for another namespace.
    """
    base = existing or DataConverter.default
    if base.payload_codec is not None:
        raise ConfigurationError(
            f"the client has a payload codec already, {type(base.payload_codec).__name__}: with "
            "two, payloads would be encrypted twice; remove it, or make it part of the chain"
        )
    converters = base.payload_converter_class
    failures = base.failure_converter_class
    return replace(
        base,
        payload_codec=SealwireCodec(config.temporal.threaded(config.codec(namespace)), config),
        payload_converter_class=payload_converter_class(config)
        if converters is DefaultPayloadConverter
        else refusing_marked(converters),
        failure_converter_class=failure_converter_class(config)
        if failures is DefaultFailureConverter
        else failures,
        external_storage=configured_storage(
            config, namespace, base.external_storage, read_only=read_only
        ),
    )

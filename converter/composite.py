"""Several converters as one: the first that takes a value wins, the encoding names the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sealwire.errors import (
    ConfigurationError,
    ConversionError,
    SealwireError,
    UnknownEncodingError,
)
from sealwire.payload import ENCODING, Payload, encoding_of

from .base import PayloadConverter
from .binary import BytesConverter, NullConverter
from .json_plain import JsonConverter
from .messagepack import MsgpackConverter
from .protobuf import BinaryProtobufConverter, JsonProtobufConverter
from .typed import type_name


def default_converters(
    values: Literal["json/plain", "binary/msgpack"] = "json/plain",
    protobuf: Literal["json/protobuf", "binary/protobuf"] = "json/protobuf",
) -> tuple[PayloadConverter, ...]:
    """Return new instances of every converter here.

    All of them read; the arguments choose what is written.

    Args:
        values: The encoding of everything but None, bytes and protobuf messages.
        protobuf: The encoding of protobuf messages.
    """
    messages: tuple[PayloadConverter, ...] = (JsonProtobufConverter(), BinaryProtobufConverter())
    others: tuple[PayloadConverter, ...] = (JsonConverter(), MsgpackConverter())
    return (
        NullConverter(),
        BytesConverter(),
        *(messages if protobuf == "json/protobuf" else reversed(messages)),
        *(others if values == "json/plain" else reversed(others)),
    )


@dataclass(frozen=True, init=False)
class CompositePayloadConverter:
    """Converters tried in the order given.

    Args:
        converters: At least one, each with an encoding of its own. With none given, those of
            `default_converters()`.

    Raises:
        ConfigurationError: Two converters have the same encoding.
    """

    converters: tuple[PayloadConverter, ...]
    _readers: dict[bytes, PayloadConverter] = field(repr=False, compare=False)

    def __init__(self, *converters: PayloadConverter) -> None:
        chosen = converters or default_converters()
        readers = {item.encoding.encode(): item for item in chosen}
        if len(readers) < len(chosen):
            names = [item.encoding for item in chosen]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigurationError(f"two converters for the same encoding: {', '.join(twice)}")
        object.__setattr__(self, "converters", chosen)
        object.__setattr__(self, "_readers", readers)

    def to_payload(self, value: Any) -> Payload:
        """Convert one value.

        Raises:
            ConversionError: No converter takes the value.
        """
        for converter in self.converters:
            payload = converter.to_payload(value)
            if payload is not None:
                return payload
        raise ConversionError(f"no converter takes a value of type {type_name(type(value))}")

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Convert one payload back.

        Raises:
            ConversionError: The payload does not fit `type_hint`.
            UnknownEncodingError: No converter has this encoding.
        """
        converter = self._readers.get(payload.metadata.get(ENCODING, b""))
        if converter is None:
            encoding = encoding_of(payload)
            known = ", ".join(item.encoding for item in self.converters)
            raise UnknownEncodingError(
                f"no converter reads the encoding {encoding} (known here: {known})",
                encoding=encoding,
            )
        return converter.from_payload(payload, type_hint)

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Convert values one by one; an error carries the position in `index`."""
        payloads: list[Payload] = []
        for value in values:
            try:
                payloads.append(self.to_payload(value))
            except SealwireError as err:
                err.index = len(payloads)
                raise
        return payloads

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: Sequence[Any] | None = None
    ) -> list[Any]:
        """Convert payloads one by one.

        Args:
            payloads: Any number.
            type_hints: One for each payload; where there are fewer, the rest has none.
        """
        hinted = len(type_hints) if type_hints else 0
        values: list[Any] = []
        for index, payload in enumerate(payloads):
            hint = type_hints[index] if type_hints and index < hinted else None
            try:
                values.append(self.from_payload(payload, hint))
            except SealwireError as err:
                err.index = len(values)
                raise
        return values

"""Several converters as one: the first that takes a value wins, the encoding names the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from google.protobuf.message import DecodeError

from sealwire.errors import (
    ConfigurationError,
    ConversionError,
    PayloadError,
    SealwireError,
    UnknownEncodingError,
)
from sealwire.parts import Parts, head, head_within, payload_of
from sealwire.payload import ENCODING, Payload, encoding_of

from .base import PayloadConverter, data_methods, serialized_metadata
from .binary import BytesConverter, NullConverter
from .custom import CustomType
from .hints import type_name
from .json_plain import JsonConverter
from .messagepack import MsgpackConverter
from .protobuf import BinaryProtobufConverter, JsonProtobufConverter

_MAX_CLASSES: Final = 256
_SMALL: Final = 1024  # bytes of payloads whose beginning is remembered, one for each size

Read = Callable[[Payload, Any], Any]
ReadData = Callable[[bytes, Any], Any]
Write = Callable[[Any], Payload | None]
# The metadata that stands before the data, and what makes the data.
Direct = tuple[bytes, Callable[[Any], bytes]]


def default_converters(
    values: Literal["json/plain", "binary/msgpack"] = "json/plain",
    protobuf: Literal["json/protobuf", "binary/protobuf"] = "json/protobuf",
    *,
    types: Iterable[CustomType[Any]] = (),
    also: Iterable[PayloadConverter] = (),
) -> tuple[PayloadConverter, ...]:
    """Return new instances of every converter that needs no extra.

    All of them read; the arguments choose what is written.

    Args:
        values: The encoding of everything but None, bytes and protobuf messages.
        protobuf: The encoding of protobuf messages.
        types: Classes with functions of their own, for JSON and MessagePack.
        also: Further converters, such as `sealwire.converter.arrow.ArrowConverter()`. They are
            asked before JSON and MessagePack, which take everything, and replace a converter of
            the same encoding.
    """
    messages: tuple[PayloadConverter, ...] = (JsonProtobufConverter(), BinaryProtobufConverter())
    types = tuple(types)
    others: tuple[PayloadConverter, ...] = (JsonConverter(types), MsgpackConverter(types))
    also = tuple(also)
    replaced = {item.encoding: item for item in also}
    usual = (
        NullConverter(),
        BytesConverter(),
        *(messages if protobuf == "json/protobuf" else reversed(messages)),
        *(others if values == "json/plain" else reversed(others)),
    )
    added = [item for item in also if item.encoding not in {own.encoding for own in usual}]
    chosen = [replaced.get(item.encoding, item) for item in usual]
    return (*chosen[:-2], *added, *chosen[-2:])


@dataclass(frozen=True, init=False)
class CompositePayloadConverter:
    """Converters tried in the order given.

    Args:
        converters: At least one, each with an encoding of its own. With none given, those of
            `default_converters()`.
        prefer: The encoding of a class and its subclasses, wherever its converter stands in the
            order: `prefer={Order: "binary/msgpack"}`. It is about whole values, and not about
            values inside of others.

    Raises:
        ConfigurationError: Two converters have the same encoding, or a preferred one has none.
    """

    converters: tuple[PayloadConverter, ...]
    prefer: Mapping[type, str]
    _readers: dict[bytes, Read] = field(repr=False, compare=False)
    _writers: dict[type, tuple[Write, ...]] = field(repr=False, compare=False)
    _direct_readers: dict[bytes, ReadData] = field(repr=False, compare=False)
    _direct_writers: dict[type, Direct] = field(repr=False, compare=False)
    _leads: dict[int, tuple[bytes, ReadData]] = field(repr=False, compare=False)

    def __init__(
        self, *converters: PayloadConverter, prefer: Mapping[type, str] | None = None
    ) -> None:
        chosen = converters or default_converters()
        readers = {item.encoding.encode(): item.from_payload for item in chosen}
        names = [item.encoding for item in chosen]
        if len(readers) < len(chosen):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigurationError(f"two converters for the same encoding: {', '.join(twice)}")
        for cls, encoding in (prefer or {}).items():
            if encoding not in names:
                raise ConfigurationError(
                    f"{type_name(cls)} prefers {encoding}, and no converter writes that; "
                    f"there are: {', '.join(names)}"
                )
        object.__setattr__(self, "converters", chosen)
        object.__setattr__(self, "prefer", dict(prefer or {}))
        object.__setattr__(self, "_readers", readers)
        object.__setattr__(self, "_writers", {})
        direct = ((item, data_methods(item)) for item in chosen)
        direct_readers = {
            serialized_metadata(item.encoding.encode()): methods.from_data
            for item, methods in direct
            if methods is not None
        }
        object.__setattr__(self, "_direct_readers", direct_readers)
        object.__setattr__(self, "_direct_writers", {})
        object.__setattr__(self, "_leads", {})

    def to_payload(self, value: Any) -> Payload:
        """Convert one value.

        Raises:
            ConversionError: No converter takes the value, or not the preferred one.
        """
        cls: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
        writers = self._writers.get(cls) or self._choose(cls)
        for write in writers:
            payload = write(value)
            if payload is not None:
                return payload
        raise ConversionError(f"no converter takes a value of type {type_name(cls)}")

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Convert one payload back.

        Raises:
            ConversionError: The payload does not fit `type_hint`.
            UnknownEncodingError: No converter has this encoding.
        """
        read = self._readers.get(payload.metadata.get(ENCODING, b""))
        if read is None:
            encoding = encoding_of(payload)
            known = ", ".join(item.encoding for item in self.converters)
            raise UnknownEncodingError(
                f"no converter reads the encoding {encoding} (known here: {known})",
                encoding=encoding,
            )
        return read(payload, type_hint)

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Convert values one by one; an error carries the position in `index`."""
        payloads: list[Payload] = []
        try:
            for value in values:
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
        try:
            for index, payload in enumerate(payloads):
                hint = type_hints[index] if type_hints and index < hinted else None
                values.append(self.from_payload(payload, hint))
        except SealwireError as err:
            err.index = len(values)
            raise
        return values

    def to_parts(self, values: Sequence[Any]) -> list[Parts] | None:
        """Convert values as `to_payloads` does, to payloads in parts.

        Returns:
            None where the converter of a value makes whole payloads, or is not known yet.
        """
        parts: list[Parts] = []
        try:
            for value in values:
                cls: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
                direct = self._direct_writers.get(cls)
                if direct is None:
                    return None
                data = direct[1](value)
                parts.append((direct[0] + head(len(data)) if data else direct[0], data))
        except SealwireError as err:
            err.index = len(parts)
            raise
        return parts

    def from_parts(
        self, parts: Sequence[Parts], type_hints: Sequence[Any] | None = None
    ) -> list[Any]:
        """Convert payloads as `from_payloads` does, each split before its data or not at all."""
        hints = type_hints or ()
        hinted = len(hints)
        values: list[Any] = []
        try:
            for before, data in parts:
                hint = hints[len(values)] if len(values) < hinted else None
                # Only of payloads that are whole: one that is split has another length in there.
                known = self._leads.get(len(before))
                if known is not None and before.startswith(known[0]):
                    values.append(known[1](before[len(known[0]) :], hint))
                else:
                    values.append(self._from_parts(before, data, hint))
        except SealwireError as err:
            err.index = len(values)
            raise
        return values

    def _from_parts(self, before: bytes, data: bytes, hint: Any) -> Any:
        """Convert one payload in parts, and remember how the small ones of its size begin."""
        # A first entry of metadata that is the only one, if it is an encoding of ours.
        end = before[1] + 2 if len(before) > 1 else 0
        read = self._direct_readers.get(before[:end])
        lead = head_within(len(before) - end + len(data))
        if read is None or not lead or not before.startswith(lead, end):
            return self.from_payload(_parse((before, data)), hint)
        end += len(lead)
        if len(before) < _SMALL and not data:
            self._leads[len(before)] = before[:end], read
        return read(before[end:] + data, hint)  # to add nothing, on either side, copies nothing

    def _choose(self, cls: type) -> tuple[Write, ...]:
        """Find the converters that may take values of a class, once."""
        preferred = next((self.prefer[base] for base in cls.__mro__ if base in self.prefer), None)
        chosen = [
            item
            for item in self.converters
            if preferred in (None, item.encoding) and _may_take(item, cls)
        ]
        writers = tuple(item.to_payload for item in chosen)
        # In Temporal's sandbox a class is a new object in every workflow run.
        if len(self._writers) >= _MAX_CLASSES:
            self._writers.clear()
            self._direct_writers.clear()
        self._writers[cls] = writers
        direct = data_methods(chosen[0]) if chosen else None
        if direct is not None:
            metadata = serialized_metadata(chosen[0].encoding.encode())
            self._direct_writers[cls] = metadata, direct.to_data
        return writers


def _parse(parts: Parts) -> Payload:
    try:
        return payload_of(parts)
    except DecodeError:
        raise PayloadError("what was encrypted is not a payload") from None


def _may_take(converter: PayloadConverter, cls: type) -> bool:
    # Not by `isinstance`: for a protocol that is slow, and it is asked in every workflow run.
    can_take: Any = getattr(converter, "can_take", None)
    return can_take is None or can_take(cls)

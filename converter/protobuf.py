"""`json/protobuf` and `binary/protobuf` for protobuf messages, named by `messageType`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message

from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import MESSAGE_TYPE, Encoding, Payload

from .base import new_payload


@dataclass(frozen=True, slots=True)
class JsonProtobufConverter:
    """Messages as proto3 JSON, readable in the Web UI and by every SDK.

    Args:
        ignore_unknown_fields: Accept fields that this process' definition of the message lacks.
    """

    ignore_unknown_fields: bool = False
    encoding: str = field(default="json/protobuf", init=False)

    def can_take(self, cls: type) -> bool:
        """Tell whether it is a message class; see `SelectsByClass`."""
        return issubclass(cls, Message)

    def to_payload(self, value: Any) -> Payload | None:
        """Convert a message; see `PayloadConverter`.

        A message with fields that this process does not know is left to `BinaryProtobufConverter`:
        JSON would lose them.

        Raises:
            ConversionError: A well-known type inside, such as a Timestamp, has no JSON form.
        """
        if not isinstance(value, Message) or _has_unknown_fields(value):
            return None
        try:
            data = msgspec.json.encode(json_format.MessageToDict(value), order="sorted")
        except (json_format.Error, ValueError, TypeError, RecursionError):
            data = None  # what was caught may quote the value, and must not become the context
        if data is None:
            raise ConversionError(
                f"the {value.DESCRIPTOR.full_name} has no JSON form: "
                "a value in it is out of range, of an unknown type, or nested too deeply",
                encoding=self.encoding,
            )
        return _named(new_payload(Encoding.JSON_PROTOBUF, data), value)

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Message:
        """Parse the message that `messageType` names; see `PayloadConverter`.

        Raises:
            ConversionError: The message type is not known in this process.
            PayloadError: The data is not that message.
        """
        message = _empty_message(payload, type_hint, self.encoding)
        try:
            return json_format.Parse(
                payload.data, message, ignore_unknown_fields=self.ignore_unknown_fields
            )
        except (json_format.ParseError, UnicodeDecodeError, RecursionError):
            error = _malformed(message, self.encoding)
        # Outside of the handler, whose error quotes the data.
        raise error


@dataclass(frozen=True, slots=True)
class BinaryProtobufConverter:
    """Messages in their own wire format; unknown fields survive the round trip."""

    encoding: str = field(default="binary/protobuf", init=False)

    def can_take(self, cls: type) -> bool:
        """Tell whether it is a message class; see `SelectsByClass`."""
        return issubclass(cls, Message)

    def to_payload(self, value: Any) -> Payload | None:
        """Convert a message; see `PayloadConverter`.

        Raises:
            ConversionError: A required proto2 field is not set.
        """
        if not isinstance(value, Message):
            return None
        if not value.IsInitialized():
            raise ConversionError(
                f"a required field of {value.DESCRIPTOR.full_name} is not set",
                encoding=self.encoding,
            )
        # A map has no order of its own, and would be written in another one by every process.
        data = value.SerializeToString(deterministic=True)
        return _named(new_payload(Encoding.PROTOBUF, data), value)

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Message:
        """Parse the message that `messageType` names; see `PayloadConverter`.

        Raises:
            ConversionError: The message type is not known in this process.
            PayloadError: The data is not that message.
        """
        message = _empty_message(payload, type_hint, self.encoding)
        try:
            message.ParseFromString(payload.data)
        except DecodeError:
            raise _malformed(message, self.encoding) from None
        return message


def _has_unknown_fields(message: Message) -> bool:
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return known.ByteSize() != message.ByteSize()


def _named(payload: Payload, message: Message) -> Payload:
    payload.metadata[MESSAGE_TYPE] = message.DESCRIPTOR.full_name.encode()
    return payload


def _empty_message(payload: Payload, type_hint: Any, encoding: str) -> Message:
    name = payload.metadata.get(MESSAGE_TYPE, b"").decode("utf-8", "replace")
    if isinstance(type_hint, type) and issubclass(type_hint, Message) and type_hint is not Message:
        expected = type_hint.DESCRIPTOR.full_name
        if expected != name:
            raise ConversionError(
                f"expected the message {expected}, got {name[:200]!r}", encoding=encoding
            )
        return type_hint()
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        raise ConversionError(
            f"the protobuf message {name[:200]!r} is not known in this process: "
            "import its generated module (…_pb2), or give the class as the type hint",
            encoding=encoding,
        ) from None
    return message_factory.GetMessageClass(descriptor)()


def _malformed(message: Message, encoding: str) -> PayloadError:
    return PayloadError(
        f"the data is not a valid {message.DESCRIPTOR.full_name}", encoding=encoding
    )

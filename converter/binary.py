"""`binary/null` for None and `binary/plain` for bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import Encoding, Payload

from .base import new_payload


@dataclass(frozen=True, slots=True)
class NullConverter:
    """None, as a payload without data."""

    encoding: str = field(default="binary/null", init=False)

    def can_take(self, cls: type) -> bool:
        """Tell whether it is the class of None; see `SelectsByClass`."""
        return cls is type(None)

    def to_payload(self, value: Any) -> Payload | None:
        """Convert None; see `PayloadConverter`."""
        return new_payload(Encoding.NULL) if value is None else None

    def to_data(self, value: None) -> bytes:  # noqa: ARG002
        """Return no bytes; see `ConvertsData`."""
        return b""

    def from_payload(self, payload: Payload, type_hint: Any = None) -> None:
        """Return None, whatever the hint: Temporal sends None for an absent argument.

        Raises:
            PayloadError: The payload has data.
        """
        self.from_data(payload.data, type_hint)

    def from_data(self, data: bytes, type_hint: Any = None) -> None:  # noqa: ARG002
        """Return None; see `ConvertsData`."""
        if data:
            raise PayloadError("a binary/null payload must have no data", encoding=self.encoding)


@dataclass(frozen=True, slots=True)
class BytesConverter:
    """`bytes`, `bytearray` and `memoryview`, unchanged."""

    encoding: str = field(default="binary/plain", init=False)

    def can_take(self, cls: type) -> bool:
        """Tell whether it is a bytes-like class; see `SelectsByClass`."""
        return issubclass(cls, (bytes, bytearray, memoryview))

    def to_payload(self, value: Any) -> Payload | None:
        """Convert a bytes-like value; see `PayloadConverter`."""
        if not isinstance(value, (bytes, bytearray, memoryview)):
            return None
        return new_payload(Encoding.PLAIN, self.to_data(value))  # pyright: ignore[reportUnknownArgumentType]

    def to_data(self, value: bytes | bytearray | memoryview) -> bytes:
        """Return the bytes; see `ConvertsData`."""
        return value if isinstance(value, bytes) else bytes(value)

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Return the bytes; a `bytearray` where the hint asks for one.

        Raises:
            ConversionError: The hint is a builtin type that cannot hold bytes.
        """
        return self.from_data(payload.data, type_hint)

    def from_data(self, data: bytes, type_hint: Any = None) -> Any:
        """Return the bytes, or a `bytearray`; see `ConvertsData`."""
        if type_hint is bytearray:
            return bytearray(data)
        if type_hint in (str, int, float, bool, list, dict):
            raise ConversionError(
                f"expected {type_hint.__name__}, got bytes: the payload is binary/plain",
                encoding=self.encoding,
            )
        return data

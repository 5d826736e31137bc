"""The interface of a converter: one encoding."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol, cast, runtime_checkable

from sealwire.payload import ENCODING, Payload


@runtime_checkable
class PayloadConverter(Protocol):
    """Convert values of some kind to payloads of one encoding, and back.

    The names and their meaning are those of `temporalio.converter.EncodingPayloadConverter`.
    """

    @property
    def encoding(self) -> str:
        """The value of `metadata["encoding"]` that this converter writes and reads."""
        ...

    def to_payload(self, value: Any) -> Payload | None:
        """Convert `value`, or return None when it is not this converter's business.

        Raises:
            ConversionError: The value is this converter's business, but cannot be represented.
        """
        ...

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Convert a payload of this encoding back; without a hint, to builtin types.

        Raises:
            ConversionError: The payload does not fit `type_hint`.
            PayloadError: The payload is not valid in this encoding.
        """
        ...


@runtime_checkable
class SelectsByClass(Protocol):
    """What a converter may have in addition, so that it is asked about fewer values.

    A composite asks once a class and remembers the answer.
    """

    def can_take(self, cls: type) -> bool:
        """Return False when `to_payload` gives None for every value whose class is `cls`."""
        ...


@runtime_checkable
class ConvertsData(Protocol):
    """What a converter may have in addition whose payloads are their encoding and data.

    Where they are encrypted at once, nobody needs the payload around the data.
    """

    @property
    def to_data(self) -> Callable[[Any], bytes]:
        """Turn a value of a class that this converter can take into the data."""
        ...

    @property
    def from_data(self) -> Callable[[bytes, Any], Any]:
        """Turn data back into a value, with a type hint or None."""
        ...


def data_methods(converter: PayloadConverter) -> ConvertsData | None:
    """Return a converter if it may be asked for data alone.

    Its own class has to say so: a subclass may have changed what a payload is.
    """
    # Not by `isinstance`: for a protocol that is slow, and it is asked in every workflow run.
    own = {"to_data", "from_data"} <= vars(type(converter)).keys()
    return cast("ConvertsData", converter) if own else None


@lru_cache(maxsize=32)
def serialized_metadata(encoding: bytes) -> bytes:
    """Serialize a payload without data, for `parse_payload`.

    Parsing the entry is the fastest way to have it: setting it costs half as much again, and
    keyword arguments three times as much.
    """
    return Payload(metadata={ENCODING: encoding}).SerializeToString()


parse_payload: Final = Payload.FromString


def new_payload(encoding: bytes, data: bytes = b"") -> Payload:
    """Build a payload of one metadata entry."""
    payload = parse_payload(serialized_metadata(encoding))
    payload.data = data
    return payload

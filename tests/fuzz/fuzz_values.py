"""Values with type hints, behind a chain of codecs that lets plaintext through."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple, TypedDict

import zstandard
from fuzz_checks import examine
from fuzz_inputs import (
    HEADER,
    Recipe,
    assemble,
    keyring,
    labelled,
    nested,
    outer,
    padded,
    sealed_for,
)
from google.protobuf import any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PaddingCodec,
    PolicyMode,
)
from sealwire.converter import CompositePayloadConverter, DataConverter
from sealwire.errors import ConversionError, DecryptError, KeyLookupError, PayloadError
from sealwire.payload import Encoding, Payload


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: float


class Address(TypedDict, total=False):
    city: str
    zip: int | None


@dataclass
class Line:
    sku: str
    count: int = 1
    price: Decimal = Decimal(0)


@dataclass
class Order:
    id: uuid.UUID
    lines: list[Line]
    at: dt.datetime | None = None
    address: Address | None = None
    color: Color = Color.RED


HINTS: Final[tuple[Any, ...]] = (
    None,
    Order,
    dict[str, int],
    dict[int, Point],
    list[dt.datetime | None],
    list[dt.timedelta],
    tuple[bytes, Decimal],
    int | str | None,
    set[uuid.UUID],
    dict[dt.date, list[Color]],
    list[dt.time | float],
    bytes,
    complex,
    Line | Address,
)
MESSAGES: Final = (
    Payload,
    any_pb2.Any,
    duration_pb2.Duration,
    field_mask_pb2.FieldMask,
    struct_pb2.Struct,
    struct_pb2.Value,
    timestamp_pb2.Timestamp,
)


def values() -> Callable[[bytes], None]:
    """Decode and convert; after the header comes a byte for the hint."""
    converter = DataConverter(
        codec=CodecChain(
            CompressionCodec(max_size=1024 * 1024),
            PaddingCodec(),
            EncryptionCodec(keyring(), "default", DecodePolicy(PolicyMode.OPEN)),
        )
    )
    recipes = recipes_for_values()
    companion = labelled(Encoding.NULL, b"")

    def run(data: bytes) -> None:
        hint = HINTS[data[HEADER] % len(HINTS)]
        content = data[HEADER + 1 :]
        payloads = assemble(data[:HEADER] + content, recipes, companion)
        hints = [hint, None, hint]
        examine(
            lambda batch: converter.decode_sync(batch, hints),
            payloads,
            (PayloadError, KeyLookupError, ConversionError),
            content,
        )

    return run


class Apart(CompositePayloadConverter):
    """Another class, so that the converter is given payloads."""


def direct() -> Callable[[bytes], None]:
    """Bytes that were encrypted as they are; before them comes a byte for the hint.

    The converter reads them without making a payload of them, and says the same as if it had.
    """
    codec = EncryptionCodec(keyring(), "default")
    converter = DataConverter(codec=codec)
    slow = DataConverter(Apart(), codec)

    def run(data: bytes) -> None:
        hints = [HINTS[data[0] % len(HINTS)]]
        payloads = codec.encode_parts_sync([(data[1:], b"")])
        documented = (PayloadError, ConversionError)
        examine(lambda batch: converter.decode_sync(batch, hints), payloads, documented, data[1:])
        outcomes: list[str] = []
        for reader in (converter, slow):
            try:
                outcomes.append(repr(reader.decode_sync(payloads, hints)))
            except documented as err:
                outcomes.append("malformed" if isinstance(err, DecryptError) else str(err))
        first, second = outcomes
        assert first == second or second == "malformed", "a payload in between made a difference"

    return run


def recipes_for_values() -> tuple[Recipe, ...]:
    """Data under each label that a converter reads, and JSON under three codecs."""
    labels = (Encoding.JSON, Encoding.MSGPACK, Encoding.PLAIN, Encoding.NULL)
    wrapped = nested(
        partial(labelled, Encoding.JSON),
        lambda data: labelled(Encoding.ZSTD, zstandard.compress(data)),
        padded,
        sealed_for(b"sealed-1", namespace="default"),
    )
    return (
        outer,
        *(partial(labelled, label) for label in labels),
        partial(message, Encoding.JSON_PROTOBUF),
        partial(message, Encoding.PROTOBUF),
        wrapped,
    )


def message(encoding: bytes, data: bytes) -> Payload:
    """A protobuf message; the first byte chooses its type, or none that is known."""
    names = [cls.DESCRIPTOR.full_name.encode() for cls in MESSAGES] + [b"no.Such", b"\xff"]
    payload = labelled(encoding, data[1:])
    payload.metadata["messageType"] = names[ord(data[:1] or b"\0") % len(names)]
    return payload

"""Payloads inside the data of other payloads, which no codec has encoded.

The server keeps what a schedule passes on, the result of its last run for example, in the history
of a workflow of its own, in messages that nobody else knows. A workflow that starts and signals
another one in a single step has the whole request in one payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from sealwire.payload import ENCODING, Encoding, Payload

_BYTES: Final = 2  # protobuf's wire type of texts, bytes and messages
_MAX_DEPTH: Final = 100  # protobuf's own limit


def nested_payloads(payload: Payload) -> Iterator[Payload]:
    """Yield the payloads in the data of a payload that is a protobuf message in clear.

    The message may be of any type. Bytes that merely look like a payload are yielded, too.
    """
    if payload.metadata.get(ENCODING) == Encoding.PROTOBUF:
        yield from _inside(payload.data, _MAX_DEPTH)


def _inside(data: bytes, depth: int) -> Iterator[Payload]:
    for part in _parts(data):
        payload = _payload(part)
        if payload is not None:
            yield payload
        if depth:
            yield from _inside(part, depth - 1)


def _parts(data: bytes) -> list[bytes]:
    try:
        # Iterable, which the types of protobuf do not know.
        fields: Any = UnknownFieldSet(Empty.FromString(data))
    except DecodeError:
        return []
    return [field.data for field in fields if field.wire_type == _BYTES and field.data]


def _payload(data: bytes) -> Payload | None:
    try:
        payload = Payload.FromString(data)
    except DecodeError:
        return None
    return payload if ENCODING in payload.metadata else None

"""Payloads as bytes, without the copies that protobuf makes of the large ones.

Protobuf copies the data twice and locks the interpreter while it does, which for a megabyte takes
as long as encrypting it. Joining bytes copies once, and of a megabyte or more without the lock.
"""

from __future__ import annotations

from google.protobuf.unknown_fields import UnknownFieldSet

from sealwire.parts import Parts, head
from sealwire.payload import Payload

from .memory import LARGE


def serialized(payload: Payload, data: bytes) -> bytes:
    """Serialize a payload.

    Args:
        payload: The payload.
        data: Its data, which has been taken out of it already.
    """
    before = opening(payload, data)
    return payload.SerializeToString() if before is None else b"".join((before, data))


def in_parts(payload: Payload) -> Parts:
    """Serialize a payload; a large one into what comes before the data, and the data."""
    data = payload.data
    before = opening(payload, data)
    return (payload.SerializeToString(), b"") if before is None else (before, data)


def opening(payload: Payload, data: bytes) -> bytes | None:
    """Return what comes before the data of a large payload; None where protobuf has to do it all.

    Together they are the serialized payload, with the data as its last field.
    """
    if len(data) < LARGE or len(UnknownFieldSet(payload)):
        return None
    rest = Payload(metadata=payload.metadata, external_payloads=payload.external_payloads)
    return rest.SerializeToString() + head(len(data))

"""Payloads in two parts of bytes: what comes before the data, and the data.

Joined they are the payload as protocol buffers serialize it: the metadata as field 1, the data as
field 2, each after a tag and its length (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from sealwire.payload import Payload

Parts: TypeAlias = tuple[bytes, bytes]

METADATA_TAG: Final = b"\x0a"  # field 1 of a Payload, length-delimited
DATA_TAG: Final = b"\x12"  # field 2, likewise
_SIZES: Final = 2048  # of payloads, whose heads are remembered: most payloads are small
_MAX_ENTRIES: Final = 4  # of metadata that `read_before` looks at; a payload has one to three


def varint(number: int) -> bytes:
    """Encode a number as protocol buffers do: 7 bits a byte, the lowest first."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


@lru_cache(maxsize=_SIZES)
def head(size: int) -> bytes:
    """Return what protocol buffers write before so many bytes of data, 1 at least."""
    return DATA_TAG + varint(size)


@lru_cache(maxsize=_SIZES)
def head_within(size: int) -> bytes:
    """Return what stands before data that takes so many bytes together with it.

    Returns:
        The head; empty where no data takes so many.
    """
    # The length of the data takes a byte for each 7 bits, and the tag one before it.
    width = 2 if size < 0x80 + 2 else 3 if size < 0x4000 + 3 else 4 if size < 0x200000 + 4 else 5
    lead = head(size - width) if size > width else b""
    return lead if len(lead) == width else b""


def read_before(read: Callable[[int], bytes], size: int) -> tuple[bytes, bool]:
    """Read a serialized payload up to its data.

    Args:
        read: Gives the next so many bytes of it.
        size: How many bytes it has.

    Returns:
        What was read, and whether all that follows is the data.
    """
    before = b""
    for _ in range(_MAX_ENTRIES):
        lead = read(2)
        before += lead
        if not lead.startswith(METADATA_TAG) or lead[-1] >= 0x80:
            break
        before += read(lead[-1])
    else:
        return before, False
    expected = head_within(size - len(before) + 2)
    before += read(len(expected) - 2) if expected else b""
    return before, bool(expected) and before.endswith(expected)


def payload_of(parts: Parts) -> Payload:
    """Parse a payload that is in the first part alone, or split before its data.

    Raises:
        google.protobuf.message.DecodeError: It is none.
    """
    before, data = parts
    if not data:
        return Payload.FromString(before)
    payload = Payload.FromString(before.removesuffix(head(len(data))))
    payload.data = data
    return payload

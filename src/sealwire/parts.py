"""Payloads in two parts of bytes: what comes before the data, and the data.

Joined they are the payload as protocol buffers serialize it: the metadata as field 1, the data as
field 2, each after a tag and its length (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from typing import Final, TypeAlias

Parts: TypeAlias = tuple[bytes, bytes]

DATA_TAG: Final = b"\x12"  # field 2 of a Payload, length-delimited


def varint(number: int) -> bytes:
    """Encode a number as protocol buffers do: 7 bits a byte, the lowest first."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


# The tag and the length of data that is small, as most is: looking it up is faster.
HEADS: Final = tuple(DATA_TAG + varint(size) for size in range(1024))


def head(size: int) -> bytes:
    """Return what protocol buffers write before so many bytes of data, 1 at least."""
    return HEADS[size] if size < len(HEADS) else DATA_TAG + varint(size)


def data_start(message: bytes, start: int) -> int:
    """Return where the data of a serialized payload begins.

    Args:
        message: The payload.
        start: Where its metadata ends.

    Returns:
        The place, or 0 where anything else comes than some data and nothing after it.
    """
    rest = len(message) - start
    # The length of the data takes a byte for each 7 bits, and the tag one before it.
    width = 2 if rest < 0x80 + 2 else 3 if rest < 0x4000 + 3 else 4 if rest < 0x200000 + 4 else 5
    if rest <= width:
        return 0
    lead = head(rest - width)
    return start + width if len(lead) == width and message.startswith(lead, start) else 0

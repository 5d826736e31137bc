"""TLV: the one encoding of a map from bytes to bytes, so that it can be authenticated.

::

    TLV(map) = u32be(number of pairs)
             ‖ for each pair (k, v), sorted by the bytes of k:
               u32be(length of k) ‖ k ‖ u32be(length of v) ‖ v
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

_U32: Final = struct.Struct(">I")


def pack(pairs: Mapping[bytes, bytes]) -> bytes:
    """Encode `pairs`."""
    parts = [_U32.pack(len(pairs))]
    for key in sorted(pairs):
        value = pairs[key]
        parts += (_U32.pack(len(key)), key, _U32.pack(len(value)), value)
    return b"".join(parts)


def unpack(data: bytes, max_pairs: int, max_size: int) -> dict[bytes, bytes] | None:
    """Decode a map of at most so many pairs and bytes; None unless it is what `pack` gives."""
    if not _U32.size <= len(data) <= max_size:
        return None
    (count,) = _U32.unpack_from(data)
    if count > max_pairs:
        return None
    items: list[bytes] = []
    position = _U32.size
    for _ in range(2 * count):
        if position + _U32.size > len(data):
            return None
        (size,) = _U32.unpack_from(data, position)
        position += _U32.size
        items.append(data[position : position + size])
        position += size
    pairs = dict(zip(items[::2], items[1::2], strict=True))
    return pairs if pack(pairs) == data else None

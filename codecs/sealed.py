"""The sealed format, `binary/sealed-v1`, byte for byte.

::

    TLV(kv)  = u32be(n) ‖ for each (k, v), sorted by the bytes of k:
               u32be(len k) ‖ k ‖ u32be(len v) ‖ v
    CONTEXT  = "sealwire/sealed-v1" ‖ 00 ‖ TLV(every entry of the outer metadata)
    data     = Cobblestone-256(key = content key, context = CONTEXT, message = inner Payload)
             = salt(24) ‖ commitment(32) ‖ chunks of at most 16,384 bytes, each with a tag(16)

The outer metadata is `encoding`, `encryption-key-id`, and, unless the policy allows none,
`encryption-context`, the TLV of at most 16 pairs. Cobblestone-256 is the C2SP scheme for chunked
encryption, https://c2sp.org/chunked-encryption: it commits to key and context, and derives a fresh
key from the salt, so that the number of messages under one content key has no practical limit.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from google.protobuf.unknown_fields import UnknownFieldSet

from sealwire.errors import ConfigurationError
from sealwire.keys.key import LABEL, Key
from sealwire.payload import CONTENT_ID, ENCODING, ENCRYPTION_CONTEXT, ENCRYPTION_KEY_ID, Payload

from .memory import LARGE, keep_freed_memory

MIN_SIZE: Final = 24 + 32 + 16  # salt, commitment, tag of the last chunk
MAX_PAIRS: Final = 16
MAX_CONTEXT: Final = 4096  # bytes of TLV
_CONTENT_ID_SIZE: Final = 32
_MANDATORY: Final = frozenset({ENCODING, ENCRYPTION_KEY_ID})
_ALLOWED: Final = _MANDATORY | {ENCRYPTION_CONTEXT, CONTENT_ID}
_U32: Final = struct.Struct(">I")
_DATA_TAG: Final = b"\x12"  # field 2 of a Payload, length-delimited


def pack(pairs: Mapping[bytes, bytes]) -> bytes:
    """Encode `pairs` as TLV."""
    parts = [_U32.pack(len(pairs))]
    for key in sorted(pairs):
        value = pairs[key]
        parts += (_U32.pack(len(key)), key, _U32.pack(len(value)), value)
    return b"".join(parts)


def unpack(data: bytes) -> dict[bytes, bytes] | None:
    """Decode a TLV of at most `MAX_PAIRS` pairs; None unless it is exactly what `pack` gives."""
    if not _U32.size <= len(data) <= MAX_CONTEXT:
        return None
    (count,) = _U32.unpack_from(data)
    if count > MAX_PAIRS:
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


def pack_context(pairs: Mapping[str, str]) -> bytes:
    """Encode the context to store with payloads.

    Raises:
        ConfigurationError: There are too many pairs, or they are too long.
    """
    try:
        data = pack({key.encode(): value.encode() for key, value in pairs.items()})
    except UnicodeEncodeError:
        raise ConfigurationError(
            "the namespace and the encryption context must be text that UTF-8 can say"
        ) from None
    if len(pairs) > MAX_PAIRS or len(data) > MAX_CONTEXT:
        raise ConfigurationError(
            f"the encryption context has {len(pairs)} pairs and {len(data)} bytes; "
            f"at most {MAX_PAIRS} pairs and {MAX_CONTEXT} bytes are possible"
        )
    return data


def authenticated_context(metadata: Mapping[str, bytes]) -> bytes:
    """Return CONTEXT for the entries of the outer metadata."""
    return LABEL + pack({name.encode(): value for name, value in metadata.items()})


def has_sealed_form(payload: Payload) -> bool:
    """Tell whether the outer metadata and the size are possible for a sealed payload."""
    names = frozenset(payload.metadata)
    if not _MANDATORY <= names <= _ALLOWED or len(payload.data) < MIN_SIZE:
        return False
    content_id = payload.metadata.get(CONTENT_ID)
    return content_id is None or len(content_id) == _CONTENT_ID_SIZE


def seal(key: Key, context: bytes, message: bytes) -> bytes:
    """Encrypt `message`. The encryptor lives in this call alone: its salt must not cross a fork."""
    encryptor = Cobblestone256Encryptor(key.content_key, context)
    return encryptor.update(message) + encryptor.finalize()


def seal_payload(key: Key, context: bytes, payload: Payload) -> bytes:
    """Encrypt a payload, serialized."""
    data = payload.data
    encryptor = Cobblestone256Encryptor(key.content_key, context)
    if len(data) < LARGE or len(UnknownFieldSet(payload)):
        return encryptor.update(payload.SerializeToString()) + encryptor.finalize()
    # Serialized by hand: protobuf would copy the data twice, which takes as long as encrypting it.
    keep_freed_memory()
    rest = Payload(metadata=payload.metadata, external_payloads=payload.external_payloads)
    opening = rest.SerializeToString() + _DATA_TAG + _varint(len(data))
    parts = [encryptor.update(opening), encryptor.update(data)]
    del data  # a megabyte less while the parts are joined
    parts.append(encryptor.finalize())
    return b"".join(parts)


def unseal(key: Key, context: bytes, data: bytes) -> bytes:
    """Decrypt `data`.

    Raises:
        cryptography.exceptions.InvalidTag: It is not authentic under this key and context.
    """
    if len(data) >= LARGE:
        keep_freed_memory()
    decryptor = Cobblestone256Decryptor(key.content_key, context)
    return decryptor.update(data) + decryptor.finalize()


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)

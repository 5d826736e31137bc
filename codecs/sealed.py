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

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, Protocol

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from google.protobuf.unknown_fields import UnknownFieldSet

from sealwire import tlv
from sealwire.errors import ConfigurationError
from sealwire.keys.key import LABEL, Key
from sealwire.parts import DATA_TAG, Parts, varint
from sealwire.payload import CONTENT_ID, ENCODING, ENCRYPTION_CONTEXT, ENCRYPTION_KEY_ID, Payload
from sealwire.tlv import pack

from .memory import LARGE, keep_freed_memory
from .serialized import opening
from .threads import pieces

_HEAD: Final = 24 + 32  # salt, commitment
_TAG: Final = 16
_CHUNK: Final = 16_384
MIN_SIZE: Final = _HEAD + _TAG  # of the last chunk, which is empty
MAX_PAIRS: Final = 16
MAX_CONTEXT: Final = 4096  # bytes of TLV
CONTENT_ID_SIZE: Final = 32
_MANDATORY: Final = frozenset({ENCODING, ENCRYPTION_KEY_ID})
_ALLOWED: Final = _MANDATORY | {ENCRYPTION_CONTEXT, CONTENT_ID}


class ContentKey(Protocol):
    """What a payload is sealed with; `content_key` are 32 bytes that serve this one purpose."""

    content_key: bytes


def unpack(data: bytes) -> dict[bytes, bytes] | None:
    """Decode a stored context; None unless it is exactly what `pack` gives, within the limits."""
    return tlv.unpack(data, MAX_PAIRS, MAX_CONTEXT)


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


def authenticated_context(metadata: Mapping[str, bytes], label: bytes = LABEL) -> bytes:
    """Return CONTEXT for the entries of the outer metadata."""
    return label + pack({name.encode(): value for name, value in metadata.items()})


def has_sealed_form(payload: Payload) -> bool:
    """Tell whether the outer metadata and the size are possible for a sealed payload."""
    names = frozenset(payload.metadata)
    if not _MANDATORY <= names <= _ALLOWED or len(payload.data) < MIN_SIZE:
        return False
    content_id = payload.metadata.get(CONTENT_ID)
    return content_id is None or len(content_id) == CONTENT_ID_SIZE


def seal(key: ContentKey, context: bytes, message: bytes) -> bytes:
    """Encrypt `message`. The encryptor lives in this call alone: its salt must not cross a fork."""
    encryptor = Cobblestone256Encryptor(key.content_key, context)
    return encryptor.update(message) + encryptor.finalize()


def seal_payload(key: ContentKey, context: bytes, payload: Payload) -> bytes:
    """Encrypt a payload, serialized."""
    data = payload.data
    before = opening(payload, data)
    if before is None:
        return seal(key, context, payload.SerializeToString())
    return _seal_pieces(key, context, before, data)


def seal_parts(key: ContentKey, context: bytes, parts: Parts) -> bytes:
    """Encrypt a payload in parts."""
    before, data = parts
    if len(data) < LARGE:
        return seal(key, context, before + data)
    return _seal_pieces(key, context, before, data)


def _seal_pieces(key: ContentKey, context: bytes, before: bytes, data: bytes) -> bytes:
    keep_freed_memory()
    encryptor = Cobblestone256Encryptor(key.content_key, context)
    parts = [encryptor.update(before), *map(encryptor.update, pieces(data))]
    del data  # a megabyte less while the parts are joined
    parts.append(encryptor.finalize())
    return b"".join(parts)


def size_around(outer: Payload, payload: Payload) -> int:
    """Return how many bytes `outer`, which has no data yet, will have around a sealed payload."""
    size = payload.ByteSize()
    data = size + _HEAD + _TAG * (size // _CHUNK + 1)
    return outer.ByteSize() + len(DATA_TAG) + len(varint(data)) + data


def content_id(key: Key, payload: Payload) -> bytes | None:
    """Return what is equal for equal payloads, and for no others.

    Returns:
        HMAC-SHA-256 of the TLV of the metadata, followed by the data; None where the payload has
        parts that it would not cover.
    """
    if payload.external_payloads or len(UnknownFieldSet(payload)):
        return None
    metadata = {name.encode(): value for name, value in payload.metadata.items()}
    digest = hmac.new(key.content_id_key, pack(metadata), hashlib.sha256)
    for piece in pieces(payload.data):
        digest.update(piece)
    return digest.digest()


def unseal(key: ContentKey, context: bytes, data: bytes) -> bytes:
    """Decrypt `data`.

    Raises:
        cryptography.exceptions.InvalidTag: It is not authentic under this key and context.
    """
    decryptor = Cobblestone256Decryptor(key.content_key, context)
    if len(data) < LARGE:
        return decryptor.update(data) + decryptor.finalize()
    keep_freed_memory()
    parts = list(map(decryptor.update, pieces(data)))
    parts.append(decryptor.finalize())
    return b"".join(parts)

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
import io
from collections.abc import Mapping
from typing import Final, Protocol

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from google.protobuf.unknown_fields import UnknownFieldSet

from sealwire import tlv
from sealwire.errors import ConfigurationError
from sealwire.keys.key import LABEL, Key
from sealwire.parts import Parts, head, read_before
from sealwire.payload import CONTENT_ID, ENCODING, ENCRYPTION_CONTEXT, ENCRYPTION_KEY_ID, Payload
from sealwire.tlv import pack

from .memory import LARGE, keep_freed_memory
from .threads import pieces

_HEAD: Final = 24 + 32  # salt, commitment
_TAG: Final = 16
_CHUNK: Final = 16_384
_FIRST: Final = _HEAD + 2 * (_CHUNK + _TAG)  # the first chunk comes out once the second is there
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


def seal_parts(key: ContentKey, context: bytes, parts: Parts) -> bytes:
    """Encrypt a payload in parts."""
    before, data = parts
    if len(data) < LARGE:
        return seal(key, context, before + data)
    keep_freed_memory()
    encryptor = Cobblestone256Encryptor(key.content_key, context)
    sealed = [encryptor.update(before), *map(encryptor.update, pieces(data))]
    sealed.append(encryptor.finalize())
    del data, parts  # unless the caller needs it, it makes room for what is joined
    return b"".join(sealed)


def _size_inside(size: int) -> int:
    """Return how many bytes were sealed where so many came out."""
    chunks = size - _HEAD
    return chunks - _TAG * -(-chunks // (_CHUNK + _TAG))


def size_around(outer: Payload, payload: Payload) -> int:
    """Return how many bytes `outer`, which has no data yet, will have around a sealed payload."""
    size = payload.ByteSize()
    data = size + _HEAD + _TAG * (size // _CHUNK + 1)
    return outer.ByteSize() + len(head(data)) + data


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


def unseal(key: ContentKey, context: bytes, data: bytes) -> Parts:
    """Decrypt a payload that is in `data`.

    Returns:
        A large one split before its data, any other in the first part alone.

    Raises:
        cryptography.exceptions.InvalidTag: It is not authentic under this key and context.
    """
    if len(data) < MIN_SIZE:
        raise InvalidTag
    decryptor = Cobblestone256Decryptor(key.content_key, context)
    if len(data) < LARGE:
        return decryptor.update(data) + decryptor.finalize(), b""
    keep_freed_memory()
    view = memoryview(data)
    # Where to cut is not authentic yet. Whatever comes out, it is dropped unless the whole is.
    first = io.BytesIO(decryptor.update(view[:_FIRST]))
    before, split = read_before(first.read, _size_inside(len(data)))
    parts = [first.read(), *map(decryptor.update, pieces(view[_FIRST:]))]
    parts.append(decryptor.finalize())
    del data, view  # unless the caller needs it, it makes room for what is joined
    return (before, b"".join(parts)) if split else (b"".join((before, *parts)), b"")

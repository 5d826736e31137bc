"""`binary/sealed-v1` once more, written from its description and apart from the product.

It uses HMAC from the standard library and one AES-GCM call for each chunk. The salt is a parameter,
so that the same inputs give the same bytes: never use this to protect anything.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LABEL: Final = b"sealwire/sealed-v1\x00"
SCHEME: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
KEY: Final = 32
SALT: Final = 24
COMMITMENT: Final = 32
NONCE: Final = 12
TAG: Final = 16
CHUNK: Final = 16384


class NotAuthenticError(Exception):
    """The data was not made with this key and context."""


@dataclass(frozen=True)
class Sealed:
    """An outer payload."""

    metadata: dict[str, bytes]
    data: bytes


def hkdf_expand(prk: bytes, info: bytes, size: int) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-512."""
    if size > 255 * 64:
        raise ValueError("HKDF gives at most 255 blocks")
    output = block = b""
    counter = 1
    while len(output) < size:
        block = hmac.digest(prk, block + info + bytes([counter]), hashlib.sha512)
        output += block
        counter += 1
    return output[:size]


def hkdf(ikm: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF of RFC 5869 with SHA-512, both steps."""
    return hkdf_expand(hmac.digest(salt or bytes(64), ikm, hashlib.sha512), info, size)


def content_key(root: bytes, kid: str) -> bytes:
    """CK."""
    return hkdf_expand(root, LABEL + b"content-key\x00" + kid.encode(), KEY)


def check_value(root: bytes, kid: str) -> bytes:
    """KCV."""
    return hkdf_expand(root, LABEL + b"kcv\x00" + kid.encode(), 8)


def content_id(root: bytes, kid: str, metadata: Mapping[str, bytes], data: bytes) -> bytes:
    """The optional entry that is equal for equal payloads."""
    key = hkdf_expand(root, LABEL + b"content-id\x00" + kid.encode(), KEY)
    entries = tlv({name.encode(): value for name, value in metadata.items()})
    return hmac.digest(key, entries + data, hashlib.sha256)


def tlv(pairs: Mapping[bytes, bytes]) -> bytes:
    """TLV in its one valid order."""
    return tlv_as_given(sorted(pairs.items()))


def tlv_as_given(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """TLV in any order, to make invalid ones."""
    output = u32(len(pairs))
    for name, value in pairs:
        output += u32(len(name)) + name + u32(len(value)) + value
    return output


def u32(number: int) -> bytes:
    """An unsigned 32-bit big-endian integer."""
    return number.to_bytes(4, "big")


def authenticated(metadata: Mapping[str, bytes]) -> bytes:
    """CONTEXT."""
    return LABEL + tlv({name.encode(): value for name, value in metadata.items()})


def encrypt(key: bytes, context: bytes, message: bytes, salt: bytes) -> bytes:
    """Cobblestone-256 with a given salt."""
    aead_key, base_nonce, commitment = _keys(key, context, salt)
    aead = AESGCM(aead_key)
    # A message that fills its chunks is followed by an empty one: the last is always shorter.
    chunks = [message[at : at + CHUNK] for at in range(0, len(message) + 1, CHUNK)]
    sealed = [aead.encrypt(nonce(base_nonce, i), chunk, None) for i, chunk in enumerate(chunks)]
    return salt + commitment + b"".join(sealed)


def decrypt(key: bytes, context: bytes, data: bytes) -> bytes:
    """Undo `encrypt`.

    Raises:
        NotAuthenticError: For every cause.
    """
    salt, stated, body = data[:SALT], data[SALT : SALT + COMMITMENT], data[SALT + COMMITMENT :]
    if len(key) != KEY or len(stated) != COMMITMENT:
        raise NotAuthenticError
    aead_key, base_nonce, commitment = _keys(key, context, salt)
    if not hmac.compare_digest(stated, commitment):
        raise NotAuthenticError
    chunks = [body[at : at + CHUNK + TAG] for at in range(0, len(body), CHUNK + TAG)]
    if not chunks or len(chunks[-1]) == CHUNK + TAG:
        raise NotAuthenticError
    aead = AESGCM(aead_key)
    try:
        return b"".join(
            aead.decrypt(nonce(base_nonce, i), chunk, None) for i, chunk in enumerate(chunks)
        )
    except InvalidTag:
        raise NotAuthenticError from None


def nonce(base_nonce: bytes, index: int) -> bytes:
    """The nonce of a chunk."""
    number = int.from_bytes(base_nonce, "big") ^ index
    return number.to_bytes(NONCE, "big")


def _keys(key: bytes, context: bytes, salt: bytes) -> tuple[bytes, bytes, bytes]:
    derived = hkdf_expand(key, SCHEME + salt + context, KEY + NONCE + COMMITMENT)
    return derived[:KEY], derived[KEY : KEY + NONCE], derived[KEY + NONCE :]


def seal(
    root: bytes,
    kid: str,
    context: Mapping[str, str] | None,
    message: bytes,
    salt: bytes,
    extra: Mapping[str, bytes] | None = None,
) -> Sealed:
    """Build an outer payload around `message`, a serialized inner payload."""
    metadata = {"encoding": b"binary/sealed-v1", "encryption-key-id": kid.encode()}
    if context is not None:
        pairs = {name.encode(): value.encode() for name, value in context.items()}
        metadata["encryption-context"] = tlv(pairs)
    metadata |= extra or {}
    key = content_key(root, kid)
    return Sealed(metadata, encrypt(key, authenticated(metadata), message, salt))


def unseal(root: bytes, metadata: Mapping[str, bytes], data: bytes) -> bytes:
    """Return the message in an outer payload, without any policy.

    Raises:
        NotAuthenticError: For every cause.
    """
    kid = metadata["encryption-key-id"].decode()
    return decrypt(content_key(root, kid), authenticated(metadata), data)


def serialize(
    metadata: Mapping[str, bytes], data: bytes, external: Iterable[int | None] = ()
) -> bytes:
    """Serialize a `temporal.api.common.v1.Payload`, its metadata sorted by name.

    Args:
        metadata: Field 1, a map.
        data: Field 2.
        external: The `size_bytes` of each item of field 3.
    """
    output = b""
    for name, value in sorted(metadata.items()):
        # In an entry of a map both fields are written, even when they are empty.
        output += _bytes_field(1, _bytes_field(1, name.encode()) + _bytes_field(2, value))
    if data:
        output += _bytes_field(2, data)
    for size in external:
        output += _bytes_field(3, b"\x08" + _varint(size) if size else b"")
    return output


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    output = b""
    while number > 127:
        output += bytes([number & 127 | 128])
        number >>= 7
    return output + bytes([number])

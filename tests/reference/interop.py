"""`binary/encrypted` once more, written from its description and apart from the product.

The nonce is a parameter, so that the same inputs give the same bytes: never use this to protect
anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

NONCE: Final = 12
TAG: Final = 16
NAMES: Final = {"encoding", "encryption-key-id"}
# Written by the Java sample alone.
JAVA: Final = {"encryption-cipher": b"AES/GCM/NoPadding"}


class NotAuthenticError(Exception):
    """The payload was not made with a key of this format, or not by this format at all."""


class NoKeyError(Exception):
    """The payload names a key that is not there."""


@dataclass(frozen=True)
class Encrypted:
    """An outer payload."""

    metadata: dict[str, bytes]
    data: bytes


def encrypt(key: bytes, message: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
    """AES-GCM with a given nonce; the format itself has no associated data."""
    encryptor = Cipher(AES(key), GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(associated)
    return nonce + encryptor.update(message) + encryptor.finalize() + encryptor.tag


def decrypt(key: bytes, data: bytes) -> bytes:
    """Undo `encrypt`.

    Raises:
        NotAuthenticError: For every cause.
    """
    if len(data) < NONCE + TAG:
        raise NotAuthenticError
    decryptor = Cipher(AES(key), GCM(data[:NONCE], data[-TAG:])).decryptor()
    try:
        return decryptor.update(data[NONCE:-TAG]) + decryptor.finalize()
    except InvalidTag:
        raise NotAuthenticError from None


def wrap(key: bytes, kid: str, message: bytes, nonce: bytes) -> Encrypted:
    """Build an outer payload around `message`, a serialized inner payload."""
    metadata = {"encoding": b"binary/encrypted", "encryption-key-id": kid.encode()}
    return Encrypted(metadata, encrypt(key, message, nonce))


def unwrap(keys: Mapping[str, bytes | None], metadata: Mapping[str, bytes], data: bytes) -> bytes:
    """Return the message in an outer payload.

    Args:
        keys: By id; None for a key that belongs to another format.
        metadata: Of the outer payload.
        data: Of the outer payload.

    Raises:
        NoKeyError: The id could be that of a key, and there is none.
        NotAuthenticError: For every other cause.
    """
    kid = metadata.get("encryption-key-id", b"").decode("latin-1")
    if metadata.get("encoding") != b"binary/encrypted" or not _is_key_id(kid):
        raise NotAuthenticError
    if kid not in keys:
        raise NoKeyError
    key = keys[kid]
    extra = {name: value for name, value in metadata.items() if name not in NAMES}
    if key is None or extra not in ({}, JAVA):
        raise NotAuthenticError
    return decrypt(key, data)


def _is_key_id(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,199}", text) is not None

"""The interop format, `binary/encrypted`, of Temporal's encryption samples in several languages.

::

    metadata  "encoding" = "binary/encrypted", "encryption-key-id" = key id,
              and, from Java's sample only, "encryption-cipher" = "AES/GCM/NoPadding"
    data      nonce(12, random) ‖ AES-GCM ciphertext ‖ tag(16), of the whole inner Payload,
              without associated data

It binds no context and commits to no key, so it is written only for programs that read nothing
else. A key must not encrypt more than 2**32 messages with random nonces (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import GCM

from sealwire.errors import KeyLookupError
from sealwire.keys import Key
from sealwire.parts import Parts, read_before
from sealwire.payload import ENCRYPTION_KEY_ID

from .memory import LARGE, keep_freed_memory
from .threads import pieces

_log = logging.getLogger("sealwire.codecs")

NONCE: Final = 12  # bytes; NIST SP 800-38D, 8.2
TAG: Final = 16  # bytes
MIN_SIZE: Final = NONCE + TAG  # of nothing
MAX_MESSAGES: Final = 2**32
WARN_AT: Final = 2**31
CIPHER: Final = "encryption-cipher"
_CIPHER_NAME: Final = b"AES/GCM/NoPadding"


class MessageCounter:
    """Counts what this process, and before a fork its parent, encrypted under each interop key.

    Args:
        counted: How many messages of a key are to be counted in.
    """

    def __init__(self, counted: Mapping[str, int] | None = None) -> None:
        self._counts = {
            key_id: itertools.count(number + 1) for key_id, number in (counted or {}).items()
        }

    def add(self, key_id: str) -> None:
        """Count one message.

        Raises:
            KeyLookupError: The key has reached its limit.
        """
        counts = self._counts.get(key_id)
        if counts is None:
            counts = self._counts.setdefault(key_id, itertools.count(1))
        count = next(counts)  # one step: no two threads get the same number
        if count >= WARN_AT:
            _check_volume(key_id, count)


def _check_volume(key_id: str, count: int) -> None:
    if count == WARN_AT:
        _log.warning("the interop key %s has encrypted 2**31 messages here: rotate it", key_id)
    if count > MAX_MESSAGES:
        raise KeyLookupError(
            f"the interop key {key_id!r} has encrypted 2**32 messages, its limit: rotate it",
            key_id=key_id,
        )


def has_interop_form(metadata: Mapping[str, bytes], data: bytes) -> bool:
    """Tell our interop format from the others that share its encoding name."""
    if len(data) < MIN_SIZE or ENCRYPTION_KEY_ID not in metadata:
        return False
    return len(metadata) == 2 or (len(metadata) == 3 and metadata.get(CIPHER) == _CIPHER_NAME)


def encrypt(key: Key, parts: Parts) -> bytes:
    """Encrypt a payload in parts under a fresh random nonce."""
    aead, aes = key.aead, key.aes
    if aead is None or aes is None:  # a key of another suite
        raise InvalidTag
    before, data = parts
    nonce = os.urandom(NONCE)
    if len(data) < LARGE:
        return nonce + aead.encrypt(nonce, before + data, None)
    keep_freed_memory()
    encryptor = Cipher(aes, GCM(nonce)).encryptor()
    encrypted = [encryptor.update(before), *map(encryptor.update, pieces(data))]
    encryptor.finalize()
    return b"".join((nonce, *encrypted, encryptor.tag))  # the only copy


def decrypt(key: Key, data: bytes) -> Parts:
    """Decrypt a payload that is in `data`.

    Returns:
        A large one split before its data, any other in the first part alone.

    Raises:
        cryptography.exceptions.InvalidTag: It is not authentic under this key.
    """
    aead = key.aead
    if aead is not None and len(data) < LARGE:
        return aead.decrypt(data[:NONCE], data[NONCE:], None), b""
    aes = key.aes
    if aes is None:  # a key of another suite
        raise InvalidTag
    keep_freed_memory()
    decryptor = Cipher(aes, GCM(data[:NONCE], data[-TAG:])).decryptor()
    rest = memoryview(data)[NONCE:-TAG]

    def read(size: int) -> bytes:
        nonlocal rest
        plain, rest = decryptor.update(rest[:size]), rest[size:]
        return plain

    # Where to cut is not authentic yet. Whatever comes out, it is dropped unless the whole is.
    before, split = read_before(read, len(rest))
    plain = decryptor.update(rest)
    decryptor.finalize()
    return (before, plain) if split else (before + plain, b"")

"""The interop format, `binary/encrypted`, of Temporal's encryption samples in several languages.

::

    metadata  "encoding" = "binary/encrypted", "encryption-key-id" = key id
    data      nonce(12, random) ‖ AES-GCM ciphertext ‖ tag(16), of the whole inner Payload,
              without associated data

It binds no context and commits to no key, so it is written only for programs that read nothing
else. A key must not encrypt more than 2**32 messages with random nonces (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealwire.errors import KeyLookupError
from sealwire.keys import Key
from sealwire.payload import ENCODING, ENCRYPTION_KEY_ID, Payload

_log = logging.getLogger("sealwire.codecs")

NONCE: Final = 12  # bytes; NIST SP 800-38D, 8.2
TAG: Final = 16  # bytes
MAX_MESSAGES: Final = 2**32
WARN_AT: Final = 2**31


class MessageCounter:
    """Counts what this process encrypted under each interop key."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, key_id: str) -> None:
        """Count one message.

        Raises:
            KeyLookupError: The key has reached its limit.
        """
        if self._pid != os.getpid():  # after a fork: a thread of the parent may hold the lock
            self._pid, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            count = self._counts[key_id] = self._counts.get(key_id, 0) + 1
        if count == WARN_AT:
            _log.warning("the interop key %s has encrypted 2**31 messages here: rotate it", key_id)
        if count > MAX_MESSAGES:
            raise KeyLookupError(
                f"the interop key {key_id!r} has encrypted 2**32 messages, its limit: rotate it",
                key_id=key_id,
            )


def has_interop_form(payload: Payload) -> bool:
    """Tell our interop format from the others that share its encoding name."""
    metadata = payload.metadata
    if len(metadata) != 2 or len(payload.data) < NONCE + TAG:
        return False
    return ENCODING in metadata and ENCRYPTION_KEY_ID in metadata


def encrypt(key: Key, message: bytes) -> bytes:
    """Encrypt `message` under a fresh random nonce."""
    nonce = os.urandom(NONCE)
    return nonce + _cipher(key).encrypt(nonce, message, None)


def decrypt(key: Key, data: bytes) -> bytes:
    """Decrypt `data`.

    Raises:
        cryptography.exceptions.InvalidTag: It is not authentic under this key.
    """
    return _cipher(key).decrypt(data[:NONCE], data[NONCE:], None)


def _cipher(key: Key) -> AESGCM:
    if key.aead is None:  # a key of the other suite
        raise InvalidTag
    return key.aead

"""Who can open a keyring document: holders of a key-encryption key.

The local key file is one line of text, mode 0600::

    sealwire-key-file-v1 <base64 of 32 random bytes>

and wraps as `nonce(12, random) ‖ AES-256-GCM ciphertext ‖ tag(16)`, with the document's tenant as
associated data: `"sealwire/local-wrapper-v1" ‖ 00 ‖ tenant`.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError

from .files import read_private, write_new
from .secret import Secret

_MAGIC: Final = "sealwire-key-file-v1"
LOCAL_PREFIX: Final = "local:"
_LABEL: Final = b"sealwire/local-wrapper-v1\x00"
_NONCE: Final = 12  # bytes; NIST SP 800-38D, 8.2


@runtime_checkable
class KeyWrapper(Protocol):
    """Encrypts a small key under a key-encryption key that this process may use, or only reach."""

    async def name(self) -> str:
        """Name the key-encryption key, as the document notes it; not a secret."""
        ...

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`, bound to `tenant`.

        Raises:
            KeyProviderUnavailableError: The key-encryption key cannot be reached.
        """
        ...

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Undo `wrap`.

        Raises:
            ConfigurationError: It was wrapped by another key, or for another tenant.
            KeyProviderUnavailableError: The key-encryption key cannot be reached.
        """
        ...


@runtime_checkable
class TellsWhoWraps(Protocol):
    """A wrapper whose wrapping key may be a public one: a further ability."""

    @property
    def anyone_can_wrap(self) -> bool:
        """Whether it wraps with a public key, so that what opens is no proof of who made it."""
        ...


@dataclass(frozen=True)
class LocalKeyWrapper:
    """A key-encryption key in a file that only its owner may read.

    Made for a laptop, a test, or a secret mounted into a container: whoever reads this file and
    the keyring reads everything.

    Args:
        path: The key file.
    """

    path: Path

    def create(self) -> None:
        """Write a new key file.

        Raises:
            ConfigurationError: The file exists already.
        """
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        write_new(self.path, f"{_MAGIC} {key}\n".encode())

    async def name(self) -> str:
        """Return `local:` and eight bytes of a hash of the key."""
        digest = Hash(SHA256())
        digest.update(_LABEL + self._load())
        return f"{LOCAL_PREFIX}{digest.finalize()[:8].hex()}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`; see the module's docstring for the bytes."""
        secret = Secret(key)
        del key  # a traceback may show the variables
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._load()).encrypt(nonce, secret(), _LABEL + tenant.encode())

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave.

        Raises:
            ConfigurationError: It was wrapped by another key, or for another tenant.
        """
        aead = AESGCM(self._load())  # a ConfigurationError of this is a ValueError too
        try:
            return aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _LABEL + tenant.encode())
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"{self.path} does not open this keyring: it belongs to another one, or to "
                "another tenant"
            ) from None

    def _load(self) -> bytes:
        try:
            key = _parse(read_private(self.path))
        except FileNotFoundError:
            raise KeyProviderUnavailableError(
                f"the key file {self.path} does not exist: restore it from a backup; the first one "
                "is made by `sealwire keys init` or LocalKeyWrapper.create"
            ) from None
        if key is None:
            raise ConfigurationError(
                f"{self.path} is not a key file of sealwire: restore it from your backup"
            )
        return key


def _parse(text: bytes) -> bytes | None:
    # Raises nothing itself: a traceback may show the variables.
    magic, _, encoded = text.decode("ascii", "replace").strip().partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if magic == _MAGIC and len(key) == 32 else None

"""Keyring documents that a key of another keyring opens.

So a key service is asked for one keyring, and opens the keyrings of thousands of tenants with it.
What is wrapped is, with `‖` for concatenation, and `u8` for one byte::

    u8(length of id) ‖ id ‖ Cobblestone-256(key, context, message)
    key      = HKDF-Expand(SHA-512, prk = content key of the key `id`, info = LABEL, 32 bytes)
    context  = LABEL ‖ id ‖ 00 ‖ tenant of the document
    LABEL    = "sealwire/keyring-wrapper-v1" ‖ 00

Cobblestone-256 is that of `binary/sealed-v1`. The derivation keeps the key that wraps apart from
the one that seals payloads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sealwire.errors import ConfigurationError, KeyLookupError, KeyNotFoundError

from .key import KEY_ID, Key, KeySuite
from .keyring import Keyring
from .secret import Secret

KEYRING_PREFIX: Final = "keyring:"
_LABEL: Final = b"sealwire/keyring-wrapper-v1\x00"


@dataclass(frozen=True)
class KeyringWrapper:
    """The keys of another keyring as a key-encryption key.

    The active key wraps, and every key that is not withdrawn unwraps: after a rotation, documents
    that were wrapped before still open. `KeyringAdmin.rewrap` moves one to the active key. A key
    that wraps documents must not be destroyed before that.

    Args:
        keyring: The keyring, for example one that a key service opens; its tenant is the name.
    """

    keyring: Keyring

    async def name(self) -> str:
        """Return `keyring:` and the tenant of the keyring; which of its keys, `wrap` notes."""
        return f"{KEYRING_PREFIX}{self.keyring.tenant}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key` with the active key; see the module's docstring for the bytes.

        Raises:
            KeyLookupError: There is no key to encrypt with, or the keyring cannot be loaded.
        """
        secret = Secret(key)
        del key  # a traceback may show the variables
        await self.keyring.ready()
        wrapping = self.keyring.encryption_key()
        encryptor = Cobblestone256Encryptor(_key(wrapping), _context(wrapping, tenant))
        sealed = encryptor.update(secret()) + encryptor.finalize()
        return bytes([len(wrapping.id_bytes)]) + wrapping.id_bytes + sealed

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave.

        Raises:
            ConfigurationError: It was wrapped by a key that the keyring does not have, or for
                another tenant, or was changed.
            KeyDisabledError: An administrator has withdrawn the key that wraps.
            KeyDestroyedError: The key that wraps is gone, and with it what it opened.
            KeyProviderUnavailableError: The keyring cannot be loaded.
        """
        key_id = wrapping_key_id(wrapped)
        sealed = wrapped[1 + len(key_id) :]
        wrapping = await self._wrapping_key(key_id.decode("ascii", "replace"), tenant)
        try:
            decryptor = Cobblestone256Decryptor(_key(wrapping), _context(wrapping, tenant))
            return decryptor.update(sealed) + decryptor.finalize()
        except (InvalidTag, ValueError, UnicodeEncodeError):
            raise ConfigurationError(
                f"the key {wrapping.id!r} of the keyring {self.keyring.tenant!r} does not open the "
                "document: it belongs to another tenant, or was changed"
            ) from None

    async def _wrapping_key(self, key_id: str, tenant: str) -> Key:
        if not KEY_ID.fullmatch(key_id):
            raise ConfigurationError("what is wrapped names no key of a keyring: it was changed")
        await self.keyring.ready()
        if not self.keyring.knows(key_id):
            await self.keyring.find([key_id])
        where = f"the keyring {self.keyring.tenant!r}, which opens that of {tenant[:80]!r}"
        try:
            key = self.keyring.decryption_key(key_id)
        except KeyNotFoundError as err:
            raise ConfigurationError(f"{where}: {err}", key_id=key_id) from None
        except KeyLookupError as err:
            raise type(err)(f"{where}: {err}", key_id=key_id) from None
        if key.suite is not KeySuite.SEALED:
            raise ConfigurationError(f"{where}: the key {key_id!r} is not for wrapping")
        return key


def wrapping_key_id(wrapped: bytes) -> bytes:
    """Return the id of the key that wrapped, as it stands in what `KeyringWrapper.wrap` gave."""
    return wrapped[1 : 1 + wrapped[0]] if wrapped else b""


def _key(wrapping: Key) -> bytes:
    return HKDFExpand(SHA512(), 32, _LABEL).derive(wrapping.content_key)


def _context(wrapping: Key, tenant: str) -> bytes:
    return _LABEL + wrapping.id_bytes + b"\x00" + tenant.encode()

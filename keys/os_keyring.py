"""A key-encryption key in the keyring of the operating system: for a developer's machine.

Needs the extra `keyring`: the Keychain of macOS, the Credential Locker of Windows, the Secret
Service or KWallet of Linux. The entry is text, `sealwire-os-key-v1 ` and 32 random bytes in base64.

What is wrapped is `nonce(12, random) ‖ AES-256-GCM ciphertext ‖ tag(16)`, with
`"sealwire/os-keyring-v1" ‖ 00 ‖ tenant` as associated data.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

try:
    import keyring
    from keyring import errors
except ModuleNotFoundError:
    raise ConfigurationError(
        "the keyring of the system needs the package 'keyring'; "
        "fix: pip install 'sealwire[keyring]'"
    ) from None

_MAGIC: Final = "sealwire-os-key-v1"
_LABEL: Final = b"sealwire/os-keyring-v1\x00"
_NONCE: Final = 12  # bytes; NIST SP 800-38D, 8.2
_SIZE: Final = 32  # bytes: AES-256
_TIMEOUT: Final = 10.0  # seconds, in which a user may have to unlock it


@dataclass(frozen=True)
class OsKeyringWrapper:
    """A key-encryption key that the operating system gives to the user who is logged in.

    Args:
        service: What the entry is listed as.
        user: Tells several entries of one service apart.

    Raises:
        ConfigurationError: A name is empty or not printable.
    """

    service: str = "sealwire"
    user: str = "default"

    def __post_init__(self) -> None:
        for name in (self.service, self.user):
            if not name.isprintable() or not 0 < len(name) <= 200:
                raise ConfigurationError(
                    "an entry of the system's keyring has a service and a user, each of 1 to 200 "
                    "printable characters"
                )

    def create(self) -> None:
        """Draw a key and store it.

        Raises:
            ConfigurationError: There is one already, or the keyring does not keep it.
            KeyProviderUnavailableError: The keyring is locked or fails.
        """
        if _given(lambda: keyring.get_password(self.service, self.user)) is not None:
            raise ConfigurationError(f"{self._entry} exists already; it was not changed")
        text = f"{_MAGIC} {base64.b64encode(secrets.token_bytes(_SIZE)).decode()}"
        problem = _stored(self.service, self.user, text)
        del text  # a traceback may show the variables
        if problem is not None:
            raise problem

    async def name(self) -> str:
        """Return `os-keyring:` and eight bytes of a hash of the key."""
        digest = Hash(SHA256())
        digest.update(_LABEL + await self._load())
        return f"os-keyring:{digest.finalize()[:8].hex()}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`; see the module's docstring for the bytes."""
        nonce = os.urandom(_NONCE)
        try:
            aead = AESGCM(await self._load())
        except BaseException:
            del key  # a traceback may show the variables
            raise
        return nonce + aead.encrypt(nonce, key, _LABEL + tenant.encode())

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave.

        Raises:
            ConfigurationError: It was wrapped by another key, or for another tenant.
            KeyProviderUnavailableError: The keyring is locked or fails, or there is no key in it.
        """
        aead = AESGCM(await self._load())  # a ConfigurationError of this is a ValueError too
        try:
            return aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _LABEL + tenant.encode())
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"{self._entry} does not open this keyring: it belongs to another one, or to "
                "another tenant"
            ) from None

    @property
    def _entry(self) -> str:
        return f"the entry {self.service!r} of {self.user!r} in the system's keyring"

    async def _load(self) -> bytes:
        try:
            async with asyncio.timeout(_TIMEOUT):
                text = await asyncio.to_thread(
                    _given, lambda: keyring.get_password(self.service, self.user)
                )
        except TimeoutError:
            raise KeyProviderUnavailableError(
                f"the system's keyring did not answer within {_TIMEOUT:g} seconds: unlock it"
            ) from None
        if text is None:
            raise KeyProviderUnavailableError(f"{self._entry} does not exist; create it first")
        key = _parse(text)
        del text  # a traceback may show the variables
        if key is None:
            raise ConfigurationError(f"{self._entry} is not a key of sealwire")
        return key


def _given(call: Callable[[], str | None]) -> str | None:
    """Ask the keyring; what it raises is not shown, for its frames may hold the key."""
    try:
        return call()
    except Exception as err:  # noqa: BLE001 - a backend raises what its platform does
        error = _explain(err)
    raise error


def _stored(service: str, user: str, text: str) -> SealwireError | None:
    # Raises nothing itself: a traceback may show the variables.
    try:
        keyring.set_password(service, user, text)
        found = keyring.get_password(service, user) or ""
    except Exception as err:  # noqa: BLE001 - a backend raises what its platform does
        return _explain(err)
    if hmac.compare_digest(found.encode(), text.encode()):
        return None
    return ConfigurationError("the system's keyring does not give back what is stored in it")


def _explain(err: Exception) -> SealwireError:
    if isinstance(err, errors.NoKeyringError):
        return ConfigurationError(
            "this system has no keyring that can be used: on a server, use another key wrapper"
        )
    if isinstance(err, errors.KeyringLocked):
        return KeyProviderUnavailableError("the system's keyring is locked: unlock it")
    return KeyProviderUnavailableError(f"the system's keyring fails: {type(err).__name__}")


def _parse(text: str) -> bytes | None:
    # Raises nothing itself: a traceback may show the variables.
    magic, _, encoded = text.partition(" ")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if magic == _MAGIC and len(key) == _SIZE else None

"""A key-encryption key from a passphrase: for a break-glass envelope in a safe, or a laptop.

What is wrapped is::

    01 ‖ log2 N (1) ‖ r (1) ‖ p (1) ‖ salt(16, random) ‖ nonce(12, random) ‖ ciphertext ‖ tag(16)

- the key-encryption key is scrypt(passphrase in UTF-8, salt, N, r, p), 32 bytes, new for each
  wrap, because the salt is;
- the rest is AES-256-GCM, with `"sealwire/passphrase-v1" ‖ 00 ‖ first four bytes ‖ tenant` as
  associated data.

scrypt and not Argon2id: both resist guessing with special hardware, OWASP gives settings of about
the same strength, and scrypt is in every OpenSSL that `cryptography` is built against, which
Argon2id is not before OpenSSL 3.2.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError

from .files import read_private

# OWASP, Password Storage Cheat Sheet, scrypt: N = 2**17 (128 MiB), r = 8 (1024 bytes), p = 1.
_LOG_N: Final = 17
_R: Final = 8
_P: Final = 1
# 1 GiB and a few seconds: a document may raise the cost, but not use up the machine.
_LOG_N_MAX: Final = 20
# NIST SP 800-63B-4, 3.1.1.2: 15 characters where a password is all there is, 8 beside another
# factor. Here an attacker needs the document too, but then may try without a limit.
_SHORTEST: Final = 12
_LONGEST: Final = 1024  # characters

_VERSION: Final = 1
_LABEL: Final = b"sealwire/passphrase-v1\x00"
_HEADER: Final = 4  # bytes
_SALT: Final = 16  # bytes; RFC 7914 and NIST SP 800-132, 5.1: at least 128 bits
_NONCE: Final = 12  # bytes; NIST SP 800-38D, 8.2


@dataclass(frozen=True)
class PassphraseWrapper:
    """A key-encryption key derived from a passphrase.

    Whoever has the document can try passphrases at leisure, each for about a third of a second and
    128 MiB. So take one that a machine drew, such as six words of a list, and not one that somebody
    thought of.

    Args:
        passphrase: A private file whose only line it is; or a function that returns it, such as a
            prompt, called for each wrap and unwrap. Characters are normalized to NFC, so that it
            does not matter how a keyboard composes them.
        label: Tells several passphrases of one document apart; stands in the document in clear.
        log_n: The logarithm to base 2 of scrypt's cost N, for what is wrapped from now on.

    Raises:
        ConfigurationError: The label or the cost is out of range.
    """

    passphrase: Path | Callable[[], str | bytes] = field(repr=False)
    label: str = "default"
    log_n: int = _LOG_N

    def __post_init__(self) -> None:
        if not self.label.isprintable() or not 0 < len(self.label) <= 100:
            raise ConfigurationError(
                "the label of a passphrase must be 1 to 100 printable characters"
            )
        if not _LOG_N <= self.log_n <= _LOG_N_MAX:
            raise ConfigurationError(f"log_n must be {_LOG_N} to {_LOG_N_MAX}, and is {self.log_n}")

    async def name(self) -> str:
        """Return `passphrase:` and the label; nothing that is made of the passphrase."""
        return f"passphrase:{self.label}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`; see the module's docstring for the bytes.

        Raises:
            ConfigurationError: The passphrase is too short, or cannot be read.
            KeyProviderUnavailableError: There is no passphrase.
        """
        header = bytes((_VERSION, self.log_n, _R, _P))
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        try:
            aead = await asyncio.to_thread(self._derive, salt, self.log_n)
        except BaseException:
            del key  # a traceback may show the variables
            raise
        return header + salt + nonce + aead.encrypt(nonce, key, _binding(header, tenant))

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave.

        Raises:
            ConfigurationError: It was wrapped under another passphrase, or for another tenant; or
                the passphrase cannot be read.
            KeyProviderUnavailableError: There is no passphrase.
        """
        header, rest = wrapped[:_HEADER], wrapped[_HEADER:]
        salt, nonce, sealed = rest[:_SALT], rest[_SALT:][:_NONCE], rest[_SALT + _NONCE :]
        aead = await asyncio.to_thread(self._derive, salt, _cost(header))
        try:
            return aead.decrypt(nonce, sealed, _binding(header, tenant))
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"the passphrase {self.label!r} does not open this keyring: it is another one, or "
                "the keyring belongs to another tenant"
            ) from None

    def _derive(self, salt: bytes, log_n: int) -> AESGCM:
        if len(salt) != _SALT:
            raise _damaged()
        problem: str | None = None
        try:
            return AESGCM(Scrypt(salt, 32, n=1 << log_n, r=_R, p=_P).derive(self._read()))
        except MemoryError:
            problem = f"scrypt needs {1 << log_n >> 10} MiB of memory for this passphrase"
        raise KeyProviderUnavailableError(problem)

    def _read(self) -> bytes:
        text = _text(self._source())
        if text is None:
            raise ConfigurationError(f"the passphrase {self.label!r} is not text in UTF-8")
        if not _SHORTEST <= len(text) <= _LONGEST:
            length = len(text)
            del text  # a traceback may show the variables
            raise ConfigurationError(
                f"the passphrase {self.label!r} has {length} characters; it must have "
                f"{_SHORTEST} to {_LONGEST}: take one that a machine drew"
            )
        return text.encode()

    def _source(self) -> str | bytes:
        if not isinstance(self.passphrase, Path):
            return self.passphrase()
        try:
            return read_private(self.passphrase)
        except FileNotFoundError:
            raise KeyProviderUnavailableError(
                f"the passphrase file {self.passphrase} does not exist"
            ) from None


def _text(given: str | bytes) -> str | None:
    # Raises nothing itself: a traceback may show the variables.
    try:
        text = given.decode() if isinstance(given, bytes) else given.encode().decode()
    except UnicodeError:
        return None
    line = text.removesuffix("\n").removesuffix("\r")
    return unicodedata.normalize("NFC", line)  # as RFC 8265, 4.2.2 for OpaqueString


def _cost(header: bytes) -> int:
    """Return log2 N of what was wrapped, before it is authenticated: so it must be in bounds."""
    if len(header) != _HEADER or header[0] != _VERSION or (header[2], header[3]) != (_R, _P):
        raise _damaged()
    if not _LOG_N <= header[1] <= _LOG_N_MAX:
        raise _damaged()
    return header[1]


def _binding(header: bytes, tenant: str) -> bytes:
    return _LABEL + header + tenant.encode()


def _damaged() -> ConfigurationError:
    return ConfigurationError("this was not wrapped by a passphrase, or a newer release wrapped it")

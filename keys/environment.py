"""Keys in an environment variable: for containers and tests.

The variable holds the keys from the oldest to the newest, separated by commas or line breaks. Each
is its id and its material in base64, and for a key that is not for sealing the name of its suite::

    SEALWIRE_KEYS="2026-11 q83…=, test-key-id dGVz…= interop, search AT3…= blind-index"

Whoever may look into the process sees its environment, and child processes inherit it. A keyring
document, wrapped by a key-encryption key, shows less and rotates without a restart.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from typing import Final

from sealwire.errors import ConfigurationError, KeyNotFoundError, KeyProviderUnavailableError

from .key import Key, KeySuite
from .provider import KeySet

_SEPARATOR: Final = re.compile(r"[,\n]")
_OTHERS: Final = (KeySuite.INTEROP, KeySuite.INDEX)


@dataclass(frozen=True)
class EnvironmentKeyProvider:
    """Reads keys from an environment variable, the same for every tenant.

    The last one encrypts. The variable is read anew at each refresh, so that a program that sets
    it itself can also rotate.

    Args:
        variable: Its name.
    """

    variable: str = "SEALWIRE_KEYS"

    async def snapshot(self, tenant: str) -> KeySet:  # noqa: ARG002
        """Return the keys.

        Raises:
            KeyProviderUnavailableError: The variable is not set.
            ConfigurationError: It does not hold keys as the module's docstring describes them.
        """
        return KeySet(self._keys())

    async def get(self, key_id: str, tenant: str) -> Key:  # noqa: ARG002
        """Return one of the keys.

        Raises:
            KeyNotFoundError: The variable has no such key.
        """
        for key in self._keys():
            if key.id == key_id:
                return key
        raise KeyNotFoundError(f"{self.variable} has no key {key_id!r}", key_id=key_id)

    async def aclose(self) -> None:
        """Do nothing."""

    def _keys(self) -> tuple[Key, ...]:
        # No variable here holds material for longer than a line: a traceback may show them.
        if not os.environ.get(self.variable, "").strip():
            raise KeyProviderUnavailableError(
                f"the environment variable {self.variable} is not set; it holds the keys, each as "
                "its id and 32 random bytes in base64"
            )
        keys: list[Key] = []
        for number, entry in enumerate(_SEPARATOR.split(os.environ[self.variable]), 1):
            if not entry.strip():
                continue
            key = _read(entry)
            del entry
            if isinstance(key, str):
                raise ConfigurationError(f"{self.variable}, entry {number}: {key}")
            keys.append(key)
        if len({key.id for key in keys}) < len(keys):
            raise ConfigurationError(f"{self.variable} has two keys with the same id")
        return tuple(keys)


def _read(entry: str) -> Key | str:
    """Return the key, or what is wrong with it, without any of it."""
    words = entry.split()
    if not 2 <= len(words) <= 3 or any(word not in _OTHERS for word in words[2:]):
        return (
            "expected an id, the key in base64 and, for a key of other SDKs, the word interop "
            "(for tokens of search attributes, blind-index)"
        )
    try:
        material = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return "the key is not valid base64"
    suite = KeySuite(words[2]) if words[2:] else KeySuite.SEALED
    try:
        return Key(words[0], material, suite=suite)
    except ConfigurationError as err:
        return str(err)

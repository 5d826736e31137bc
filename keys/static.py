"""Keys given in code: for tests, and for programs that get their keys elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from sealwire.errors import ConfigurationError, KeyNotFoundError

from .key import Key
from .provider import KeySet


@dataclass(frozen=True, init=False)
class StaticKeyProvider:
    """A fixed list of keys, the same for every tenant.

    Args:
        keys: At least one, from the oldest to the newest. The last whose `encrypt_from` has come
            encrypts.

    Raises:
        ConfigurationError: There is no key, or two with the same id.
    """

    keys: tuple[Key, ...]

    def __init__(self, *keys: Key) -> None:
        if not keys:
            raise ConfigurationError("a key provider needs at least one key")
        if len({key.id for key in keys}) < len(keys):
            raise ConfigurationError("two keys have the same id")
        object.__setattr__(self, "keys", keys)

    async def snapshot(self, tenant: str) -> KeySet:  # noqa: ARG002
        """Return the keys."""
        return KeySet(self.keys)

    async def get(self, key_id: str, tenant: str) -> Key:  # noqa: ARG002
        """Return one of the keys.

        Raises:
            KeyNotFoundError: It is not in the list.
        """
        for key in self.keys:
            if key.id == key_id:
                return key
        raise KeyNotFoundError(f"no key {key_id!r} in the static list", key_id=key_id)

    async def aclose(self) -> None:
        """Do nothing."""

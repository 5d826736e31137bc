"""Where keys come from, and which state each of them is in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from .key import Key, KeySuite


class KeyState(StrEnum):
    """The life of a key, in order.

    - `PENDING`: readable everywhere, not yet writing, and newer than the active one;
    - `ACTIVE`: the one key of its suite that encrypts;
    - `DECRYPT_ONLY`: replaced by a newer one;
    - `DISABLED`: withdrawn, reversibly;
    - `DESTROY_SCHEDULED`: withdrawn, and destroyed at a known time;
    - `DESTROYED`: the material is gone.
    """

    PENDING = "pending"
    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt-only"
    DISABLED = "disabled"
    DESTROY_SCHEDULED = "destroy-scheduled"
    DESTROYED = "destroyed"


@dataclass(frozen=True)
class KeySet:
    """All keys of a tenant at one moment.

    Args:
        keys: From the oldest to the newest.
        version: Grows with each change; a smaller one than before is refused as a rollback.
        complete: Every key is listed. If not, the keyring asks `KeyProvider.get` for the others.
    """

    keys: tuple[Key, ...]
    version: int = 0
    complete: bool = True

    def primary(self, suite: KeySuite, now: float) -> Key | None:
        """Return the key that encrypts at `now`: the newest of those that may.

        So a key that replaces another at once also replaces those that were still pending.
        """
        for key in reversed(self.keys):
            if key.suite is suite and key.readable and key.encrypt_from <= now:
                return key
        return None

    def state(self, key: Key, now: float) -> KeyState:
        """Return the state of one of the keys at `now`."""
        if key.destroyed_at is not None:
            gone = now >= key.destroyed_at or not key.check_value
            return KeyState.DESTROYED if gone else KeyState.DESTROY_SCHEDULED
        if key.disabled:
            return KeyState.DISABLED
        primary = self.primary(key.suite, now)
        if key is primary:
            return KeyState.ACTIVE
        replaced = primary is not None and self.keys.index(primary) > self.keys.index(key)
        return KeyState.DECRYPT_ONLY if replaced else KeyState.PENDING

    @property
    def shredded_at(self) -> float | None:
        """When the last of the keys is, or was, destroyed; None while one of them is kept.

        Only `KeyringShredder` brings a keyring into this state.
        """
        moments = [key.destroyed_at for key in self.keys if key.destroyed_at is not None]
        return max(moments) if moments and len(moments) == len(self.keys) else None

    def changes(self) -> Iterable[float]:
        """List the moments at which the state of some key changes by itself."""
        for key in self.keys:
            yield key.encrypt_from
            if key.destroyed_at is not None:
                yield key.destroyed_at


@runtime_checkable
class KeyProvider(Protocol):
    """Where keys come from. Caching, states and policy are the keyring's.

    Each call may come from another thread with another event loop, which ends with the call: keep
    no connection that is bound to a loop.
    """

    async def snapshot(self, tenant: str) -> KeySet:
        """Return the keys of a tenant.

        Raises:
            KeyringNotFoundError: The source answered that it has no keys of this tenant.
            KeyProviderUnavailableError: The source does not answer; trying later may help.
            SealwireError: The source answered, and what it said cannot be used.
        """
        ...

    async def get(self, key_id: str, tenant: str) -> Key:
        """Return one key that an incomplete snapshot did not list.

        Raises:
            KeyNotFoundError: There is no such key.
            KeyProviderUnavailableError: The source does not answer.
        """
        ...

    async def aclose(self) -> None:
        """Release what the provider holds; a later call opens it again.

        It is called when the last worker has stopped, which a client may outlive.
        """
        ...

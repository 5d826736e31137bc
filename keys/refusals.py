"""Why a keyring gives no key, in errors that name the way out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sealwire.errors import (
    KeyDestroyedError,
    KeyDisabledError,
    KeyLookupError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
)

from .key import Key, KeySuite
from .provider import KeySet, KeyState

_NEW_KEY: Final = {
    KeySuite.SEALED: "`sealwire keys rotate` makes a new one",
    KeySuite.INDEX: "`sealwire keys rotate --suite blind-index` makes a new one",
    KeySuite.INTEROP: "`sealwire keys import KEY` adds one of the other programs",
}


def nothing_active(tenant: str, suite: KeySuite, keys: KeySet, now: float) -> KeyLookupError:
    """Return the error that says why no key of a suite encrypts."""
    if keys.shredded_at is not None:
        return shredded(tenant, keys.shredded_at, now)
    return KeyNotFoundError(
        f"the keyring of {tenant!r} has no active {suite} key to encrypt with: "
        + _remedy([key for key in keys.keys if key.suite is suite], suite, now)
    )


def _remedy(peers: Sequence[Key], suite: KeySuite, now: float) -> str:
    """Name what brings a key that encrypts; the newest of the keys of a suite comes first."""
    for key in reversed(peers):
        if key.readable:
            return (
                f"the key {key.id!r} is pending until {_minute(key.encrypt_from)} UTC; wait, "
                f"or `sealwire keys promote {key.id}`"
            )
    for key in reversed(peers):
        if key.destroyed_at is None:
            back = f"`sealwire keys enable {key.id}` brings a disabled one back, after a delay"
            return f"{back}; {_NEW_KEY[suite]}"
    for key in reversed(peers):
        if key.destroyed_at is not None and now < key.destroyed_at and key.check_value:
            back = f"`sealwire keys cancel-destruction {key.id}` brings one back, after a delay"
            return f"{back}; {_NEW_KEY[suite]}"
    return _NEW_KEY[suite]


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def unknown(key_id: str, failure: SealwireError | None) -> KeyLookupError:
    """Return the error for a key that is not in the cache.

    Args:
        key_id: Its id.
        failure: Why the last question to the provider failed.
    """
    if failure is None:
        return KeyNotFoundError(f"the key {key_id!r} is not in the keyring", key_id=key_id)
    # The provider may well know it: only an answer would tell.
    return KeyProviderUnavailableError(
        f"the key {key_id!r} is not in the cache, and asking for it failed: {failure}",
        key_id=key_id,
    )


def withdrawn(key: Key, state: KeyState) -> KeyLookupError:
    """Return the error that says why a key in this state does not decrypt."""
    if state is KeyState.DESTROYED:
        when = time.strftime("%Y-%m-%d", time.gmtime(key.destroyed_at))
        return KeyDestroyedError(
            f"the key {key.id!r} was destroyed on {when}; what it sealed cannot be read again",
            key_id=key.id,
        )
    return KeyDisabledError(
        f"the key {key.id!r} is disabled; an administrator can enable it again", key_id=key.id
    )


def shredded(tenant: str, at: float, now: float) -> KeyLookupError:
    """Return the error that says why nothing is encrypted for a tenant without keys.

    Args:
        tenant: Whose keys.
        at: When all of them are destroyed, in seconds since 1970.
        now: In seconds since 1970.
    """
    when = time.strftime("%Y-%m-%d", time.gmtime(at))
    if now >= at:
        return KeyDestroyedError(
            f"all keys of {tenant!r} were destroyed on {when}; nothing is encrypted for it again"
        )
    return KeyDisabledError(
        f"all keys of {tenant!r} are withdrawn, and are destroyed on {when}: until then, "
        "`sealwire keys cancel-shredding` keeps them"
    )

"""What must not be done to a key, and the way out; each rail is a function that raises."""

from __future__ import annotations

import time

from sealwire.errors import ConfigurationError

from .key import Key, KeySuite
from .provider import KeySet

_FORCE = "even_if_in_use=True (--even-if-in-use)"


def erased(key: Key) -> bool:
    """Tell whether the material of a key is gone."""
    return not key.check_value


def retired_since(keys: KeySet, key: Key, now: float) -> float | None:
    """Return since when a newer key has encrypted in the place of `key`; None where none does."""
    newer = keys.keys[keys.keys.index(key) + 1 :]
    since = [
        other.encrypt_from
        for other in newer
        if other.suite is key.suite and other.readable and other.encrypt_from <= now
    ]
    return min(since, default=None)


def check_promotion(keys: KeySet, key: Key, now: float, wait: float) -> None:
    """Refuse to promote a key that is not pending, or that processes may lack for `wait` seconds.

    Raises:
        ConfigurationError: It is so.
    """
    if not key.readable:
        raise _refused(
            key,
            f"is withdrawn ({keys.state(key, now)}), and cannot encrypt: enable it first, or "
            "`sealwire keys rotate` makes a new one",
        )
    if retired_since(keys, key, now) is not None:
        raise _refused(
            key,
            "was replaced by a newer key, and does not encrypt again: `sealwire keys rotate` "
            "makes a new one",
        )
    if wait > 0:
        raise _refused(
            key,
            f"may not be known to every process yet: promote it in {wait:.0f} s, or "
            "with before_all_know_it=True (--before-all-know-it)",
        )


def check_withdrawal(
    keys: KeySet, key: Key, now: float, spread: float, even_if_in_use: bool
) -> None:
    """Refuse to withdraw a key that encrypts, or without which nothing could be done.

    Args:
        keys: All keys.
        key: One of them.
        now: In seconds since 1970.
        spread: Seconds in which every process learns of a change.
        even_if_in_use: Whether another process may still encrypt with it.

    Raises:
        ConfigurationError: A rail is in the way.
    """
    if key.destroyed_at is not None:
        raise _refused(
            key,
            "was destroyed already"
            if erased(key)
            else f"is to be destroyed on {_day(key.destroyed_at)} already, and does not decrypt; "
            "`sealwire keys cancel-destruction` keeps it",
        )
    others = (item for item in keys.keys if item is not key and item.suite is not KeySuite.INDEX)
    if not any(item.readable for item in others):
        raise _refused(key, "is the last that decrypts: `sealwire keys rotate` first")
    if key is keys.primary(key.suite, now):
        _check_primary(key, even_if_in_use)
    elif not even_if_in_use:
        _check_spread(keys, key, now, spread)


def _check_primary(key: Key, even_if_in_use: bool) -> None:
    if key.suite is KeySuite.SEALED:
        # No way around it: with `rotate(delay=0)` another one is the primary at once.
        raise _refused(
            key,
            "encrypts now: `sealwire keys rotate` first, and wait until the new key is active "
            "(--immediate: it is at once)",
        )
    if not even_if_in_use:
        use = (
            'encrypts where the format is "interop"'
            if key.suite is KeySuite.INTEROP
            else "makes the tokens of search attributes"
        )
        raise _refused(key, f"{use}; if nothing has that: {_FORCE}")


def _check_spread(keys: KeySet, key: Key, now: float, spread: float) -> None:
    since = retired_since(keys, key, now)
    if since is None and not key.disabled and key.encrypt_from - now < spread:
        raise _refused(
            key,
            f"is about to encrypt, in {key.encrypt_from - now:.0f} s, in processes that do not "
            f"learn of this in time: `sealwire keys rotate --immediate` first, or {_FORCE}",
        )
    if since is not None and now - since < spread:
        raise _refused(
            key,
            "was replaced so recently that a process may still encrypt with it: wait "
            f"{since + spread - now:.0f} s, or {_FORCE}",
        )


def check_destruction(
    keys: KeySet, key: Key, now: float, min_retired: float, even_if_in_use: bool
) -> None:
    """Refuse to destroy what workflows and their histories may still need.

    Raises:
        ConfigurationError: The key was replaced less than `min_retired` seconds ago, or never.
    """
    if even_if_in_use:
        return
    since = retired_since(keys, key, now)
    days = f"{min_retired / 86_400:.0f} days (min_retired)"
    if since is None:
        raise _refused(
            key,
            f"was not replaced by a newer one {days} ago; a key that sealed nothing can be "
            f"disabled; if nothing needs it: {_FORCE}",
        )
    if now - since < min_retired:
        raise _refused(
            key,
            f"was replaced on {_day(since)}, less than {days} ago: histories may need it until "
            f"{_day(since + min_retired)}; if none does (`sealwire keys check`): {_FORCE}",
        )


def check_due(key: Key, now: float) -> None:
    """Refuse to erase a key before its time.

    Raises:
        ConfigurationError: Its destruction is not scheduled, or for later.
    """
    if erased(key):
        return
    if key.destroyed_at is None:
        raise _refused(
            key, "is not scheduled for destruction: `sealwire keys schedule-destruction` first"
        )
    if now < key.destroyed_at:
        raise _refused(
            key, f"is kept until {_minute(key.destroyed_at)} UTC; nothing destroys it earlier"
        )


def shredding(keys: KeySet, tenant: str, now: float) -> str | None:
    """Say why a keyring takes no keys, where it is shredded or is to be; else return None."""
    at = keys.shredded_at
    if at is None:
        return None
    if now >= at:
        return (
            f"the keyring of {tenant!r} was shredded on {_day(at)}, and never gets keys again: "
            "use another tenant"
        )
    return (
        f"the keyring of {tenant!r} is to be shredded on {_day(at)}: "
        "`sealwire keys cancel-shredding` first"
    )


def _refused(key: Key, why: str) -> ConfigurationError:
    return ConfigurationError(f"the key {key.id!r} {why}", key_id=key.id)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))

"""In which time payloads may have been sealed with a key."""

from __future__ import annotations

from dataclasses import dataclass

from .key import Key, KeySuite
from .provider import KeySet, KeyState
from .rails import retired_since


@dataclass(frozen=True, slots=True)
class Period:
    """A time, in seconds since 1970.

    Args:
        since: Before it, nobody had the key.
        until: After it, nobody seals with the key. For a key that may seal, the present moment.
    """

    since: float
    until: float


def sealing_period(keys: KeySet, key: Key, now: float, lag: float) -> Period:
    """Return when payloads may have been sealed with a key.

    Other SDKs had an imported key before, and do not heed when it is replaced.

    Args:
        keys: All keys.
        key: One of them.
        now: In seconds since 1970.
        lag: For how many seconds after a key was replaced a process may still encrypt with it: one
            that has not read the keyring since, at most `encrypt_grace`.
    """
    if key.suite is KeySuite.INTEROP:
        return Period(0.0, now)
    replaced = retired_since(keys, key, now)
    return Period(key.created, now if replaced is None else min(now, replaced + lag))


def may_seal(keys: KeySet, key: Key, now: float, lag: float) -> bool:
    """Tell whether payloads may be sealed with a key from `now` on."""
    if keys.state(key, now) in (KeyState.ACTIVE, KeyState.PENDING):
        return True
    replaced = retired_since(keys, key, now)
    return key.readable and replaced is not None and now < replaced + lag

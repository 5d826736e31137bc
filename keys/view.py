"""One answer of a provider, laid out so that using a key is a comparison and a look-up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from sealwire.errors import KeyDestroyedError, KeyDisabledError, KeyLookupError

from .key import Key, KeySuite
from .provider import KeySet, KeyState

_RECHECK: Final = 1.0  # seconds until an overdue view is looked at again


@dataclass(frozen=True, slots=True)
class Window:
    """What may be used from `since` to `until`, when a refresh is due or a state changes.

    Args:
        since: In seconds since 1970.
        until: In seconds since 1970.
        primaries: The keys that encrypt.
        readable: The keys that decrypt, by id.
    """

    since: float
    until: float
    primaries: Mapping[KeySuite, Key]
    readable: Mapping[str, Key]


@dataclass(slots=True)
class View:
    """The keys as a provider gave them at `loaded`, to be asked for again at `refresh_at`.

    Time replaces the window, and only the next answer replaces the view: so a thread that is late
    with the window cannot bring back an old answer.
    """

    keys: KeySet
    loaded: float
    refresh_at: float
    by_id: dict[str, Key]
    window: Window

    @classmethod
    def of(cls, keys: KeySet, loaded: float, refresh_at: float, now: float) -> Self:
        """Lay out `keys` as they are at `now`."""
        return cls(
            keys,
            loaded,
            refresh_at,
            by_id={key.id: key for key in keys.keys},
            window=_window(
                keys, {key.id: key for key in keys.keys if key.readable}, refresh_at, now
            ),
        )

    def move(self, now: float) -> None:
        """Put the window where `now` is."""
        self.window = _window(self.keys, self.window.readable, self.refresh_at, now)


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


def _window(keys: KeySet, readable: Mapping[str, Key], refresh_at: float, now: float) -> Window:
    primaries = ((suite, keys.primary(suite, now)) for suite in KeySuite)
    changes = (moment for moment in keys.changes() if moment > now)
    return Window(
        since=now,
        until=min([refresh_at if refresh_at > now else now + _RECHECK, *changes]),
        primaries={suite: key for suite, key in primaries if key is not None},
        readable=readable,
    )

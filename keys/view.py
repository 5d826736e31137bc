"""One answer of a provider, laid out so that using a key is a comparison and a look-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from sealwire.errors import ConfigurationError

from .key import Key, KeySuite
from .provider import KeySet

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


def check_successor(tenant: str, before: View | None, new: KeySet) -> None:
    """Refuse an older answer than the present one, and an id that stands for two keys.

    Raises:
        ConfigurationError: It is so.
    """
    if len({key.id for key in new.keys}) < len(new.keys):
        raise ConfigurationError(f"the keyring of {tenant!r} has two keys with one id")
    if before is None:
        return
    if new.version < before.keys.version:
        raise ConfigurationError(
            f"the keyring of {tenant!r} went back from version "
            f"{before.keys.version} to {new.version}; was an old copy restored?"
        )
    for key in new.keys:
        old = before.by_id.get(key.id, key)
        other = old.check_value and key.check_value not in (b"", old.check_value)
        if other or key.suite is not old.suite:
            raise ConfigurationError(
                f"the key {key.id!r} has other bytes than before, or another suite; "
                "an id is never used twice",
                key_id=key.id,
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

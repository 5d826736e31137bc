"""One answer of a provider, laid out so that using a key is a comparison and a look-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from sealwire.errors import ConfigurationError

from .key import Key, KeySuite
from .moment import Moment
from .provider import KeySet

_RECHECK: Final = 1.0  # seconds until an overdue view is looked at again


@dataclass(frozen=True, slots=True)
class Window:
    """What may be used from `since` to `until`, when a refresh is due or a state changes.

    Args:
        since: In seconds since 1970.
        until: In seconds since 1970.
        primaries: The keys that encrypt; none when these were confirmed too long ago for that.
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
    loaded: Moment
    refresh_at: float
    by_id: dict[str, Key]
    window: Window

    @classmethod
    def of(cls, keys: KeySet, loaded: Moment, refresh_at: float, now: float) -> Self:
        """Lay out `keys` as they are at `now`."""
        readable = {key.id: key for key in keys.keys if key.readable}
        view = cls(
            keys,
            loaded,
            refresh_at,
            by_id={key.id: key for key in keys.keys},
            window=Window(now, now, {}, readable),
        )
        view.move(now)
        return view

    def is_fresh(self, now: float) -> bool:
        """Tell whether no refresh is due. It is when the clock shows a time before the answer."""
        return self.loaded.wall <= now < self.refresh_at

    def move(self, now: float, *, encrypts: bool = True) -> None:
        """Put the window where `now` is, with or without keys that encrypt."""
        if now < self.loaded.wall:  # the clock was set back: count on from here, and stay overdue
            self.loaded, self.refresh_at = self.loaded.moved(now), now
        until = self.refresh_at if self.is_fresh(now) else now + _RECHECK
        primaries = _primaries(self.keys, now) if encrypts else {}
        changes = (moment for moment in self.keys.changes() if moment > now)
        self.window = Window(now, min([until, *changes]), primaries, self.window.readable)


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


def _primaries(keys: KeySet, now: float) -> dict[KeySuite, Key]:
    primaries = ((suite, keys.primary(suite, now)) for suite in KeySuite)
    return {suite: key for suite, key in primaries if key is not None}

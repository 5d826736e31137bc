"""Data keys that were opened for reading, kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .data_key import DataKey
from .moment import Moment

_RECHECK: Final = 60.0  # seconds until an outage is looked at again


@dataclass(slots=True)
class OpenedKey:
    """A data key, with what is known of it.

    Args:
        key: The key.
        confirmed: When its wrap was opened last.
        since: From when it is used without a question, in seconds since 1970.
        ask_at: When it has to be opened again.
        used: When it was last asked for.
        proven: Whether an authentic payload was read with it. Anybody can put the wrap of a good
            key beside other wraps; only who holds the key can seal.
    """

    key: DataKey
    confirmed: Moment
    since: float
    ask_at: float
    used: float
    proven: bool = False


class OpenedKeys:
    """A cache by the wraps as they stand in payloads. Its readers hold no lock.

    Args:
        lifetime: Seconds for which an opened key is used.
        grace: For how many seconds after it was opened a key is used while nobody can be asked.
        size: How many keys are kept. Those that opened nothing yet are the first to go, then those
            that were not used for the longest time.
        clock: Returns the seconds since 1970.
    """

    def __init__(
        self, lifetime: float, grace: float, size: int, clock: Callable[[], float]
    ) -> None:
        self._lifetime = lifetime
        self._grace = grace
        self._size = size
        self._clock = clock
        self._keys: dict[bytes, OpenedKey] = {}

    def get(self, wraps: bytes) -> OpenedKey | None:
        """Return a key that may be used now."""
        opened = self._keys.get(wraps)
        if opened is None:
            return None
        now = self._clock()
        if not opened.since <= now < opened.ask_at:
            return None
        opened.used = now
        return opened

    def is_proven(self, wraps: bytes) -> bool:
        """Tell whether a key is here, however old, that has read a payload."""
        opened = self._keys.get(wraps)
        return opened is not None and opened.proven

    def outlives_outage(self, wraps: bytes) -> bool:
        """Tell whether a key is here that may be used while nobody can be asked."""
        opened = self._keys.get(wraps)
        return opened is not None and opened.confirmed.age(self._clock()) < self._grace

    def prolong(self, wraps: bytes) -> OpenedKey | None:
        """Go on with an old key for a minute, or until its grace is over."""
        opened = self._keys.get(wraps)
        if opened is None or not self.outlives_outage(wraps):
            return None
        now = self._clock()
        if now < opened.confirmed.wall:  # the clock was set back: count on from here
            opened.confirmed = opened.confirmed.moved(now)
        opened.ask_at = min(now + _RECHECK, opened.confirmed.wall + self._grace)
        opened.since = now
        return opened

    def put(self, wraps: bytes, key: DataKey, *, proven: bool = False) -> None:
        """Keep a key that was opened now."""
        now = self._clock()
        if wraps not in self._keys and len(self._keys) >= self._size:
            self._evict()
        proven = proven or self.is_proven(wraps)
        self._keys[wraps] = OpenedKey(key, Moment.at(now), now, now + self._lifetime, now, proven)

    def drop(self, wraps: bytes) -> None:
        """Forget a key."""
        self._keys.pop(wraps, None)

    def _evict(self) -> None:
        kept = list(self._keys.items())  # a copy: other threads go on
        if kept:
            wraps, _ = min(kept, key=lambda item: (item[1].proven, item[1].used))
            self.drop(wraps)

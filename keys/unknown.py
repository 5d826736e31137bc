"""Limits on asking for keys that may not exist: key ids come from the server, which may lie."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_FIRST_DELAY: Final = 30.0  # seconds before the same unknown id is asked for again; doubles
_LAST_DELAY: Final = 600.0
_RATE: Final = 5.0  # questions a second for all unknown ids together
_BURST: Final = 20.0
_REMEMBERED: Final = 10_000  # ids; the oldest are forgotten first


class UnknownKeys:
    """A negative cache with a doubling delay for each id, and one token bucket for all of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._delays: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._tokens = _BURST
        self._counted = clock()

    def may_ask(self, key_id: str) -> bool:
        """Take a token for `key_id`, if it is not to be left alone for now."""
        now = self._clock()
        until, _ = self._delays.get(key_id, (now, 0.0))
        if now < until:
            return False
        elapsed = max(0.0, now - self._counted)
        self._tokens = min(_BURST, self._tokens + elapsed * _RATE)
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def answered(self, key_id: str, *, found: bool) -> None:
        """Remember the provider's answer."""
        _, delay = self._delays.pop(key_id, (0.0, 0.0))
        if found:
            return
        delay = min(_LAST_DELAY, delay * 2) or _FIRST_DELAY
        self._delays[key_id] = (self._clock() + delay, delay)
        if len(self._delays) > _REMEMBERED:
            self._delays.popitem(last=False)

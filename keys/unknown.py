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


class Budget:
    """A token bucket for all questions about unknown ids together, of one keyring or of many.

    It has no lock, which a fork could leave locked: threads that ask in the same instant may get a
    token too many.

    Args:
        clock: Returns the seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens = _BURST
        self._counted = clock()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        elapsed = max(0.0, now - self._counted)
        self._tokens = min(_BURST, self._tokens + elapsed * _RATE)
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """Give a token back, of a question that was not about something unknown."""
        self._tokens = min(_BURST, self._tokens + 1)


class UnknownKeys:
    """A negative cache with a doubling delay for each id, and a budget for all of them.

    Args:
        clock: Returns the seconds since 1970.
        budget: What the questions come out of; None for one of its own.
    """

    def __init__(self, clock: Callable[[], float], budget: Budget | None = None) -> None:
        self.budget = budget or Budget(clock)
        self._clock = clock
        self._delays: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_left_alone(self, key_id: str) -> bool:
        """Tell whether `key_id` was asked for in vain, too short a time ago."""
        answered, delay = self._delays.get(key_id, (0.0, 0.0))
        # A clock that was set back does not make it longer.
        return 0 <= self._clock() - answered < delay

    def may_ask(self, key_id: str) -> bool:
        """Take a token for `key_id`, if it is not to be left alone for now."""
        return not self.is_left_alone(key_id) and self.budget.take()

    def answered(self, key_id: str, *, found: bool) -> None:
        """Remember the provider's answer."""
        _, delay = self._delays.pop(key_id, (0.0, 0.0))
        if found:
            return
        delay = min(_LAST_DELAY, delay * 2) or _FIRST_DELAY
        self._delays[key_id] = (self._clock(), delay)
        if len(self._delays) > _REMEMBERED:
            self._delays.popitem(last=False)

"""A clock that stands still until it is told to move."""

from __future__ import annotations

import math

from sealwire.errors import ConfigurationError


class FakeClock:
    """A callable that returns seconds, for everything that takes a `clock`.

    Args:
        now: What it shows at first, in seconds since 1970.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = float(now)

    def __call__(self) -> float:
        """Return the seconds since 1970."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock; back, where `seconds` is negative, as a corrected system clock does.

        Raises:
            ConfigurationError: `seconds` is not a finite number.
        """
        if not math.isfinite(seconds):
            raise ConfigurationError("a clock moves by a finite number of seconds")
        self._now += seconds

"""When something was, so that its age is right although somebody sets the system's clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

_steady = time.monotonic  # nobody sets it, but it may stand still while a machine sleeps


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by two clocks.

    Args:
        wall: In seconds since 1970, as the system's clock showed it.
        steady: By a clock that only goes forward.
    """

    wall: float
    steady: float

    @classmethod
    def at(cls, wall: float) -> Self:
        """Return the present moment, which the system's clock shows as `wall`."""
        return cls(wall, _steady())

    def age(self, now: float) -> float:
        """Return the seconds until `now`: what the clock shows that shows more of them."""
        return max(now - self.wall, _steady() - self.steady)

    def moved(self, now: float) -> Self:
        """Return the moment as a clock shows it that was set back to `now`."""
        return type(self)(now - (_steady() - self.steady), self.steady)

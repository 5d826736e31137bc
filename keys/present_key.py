"""The data key that a process writes with: made here, used for a while, replaced in time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from sealwire.errors import KeyProviderUnavailableError, SealwireError

from .data_key import DataKey
from .moment import Moment
from .refresher import Refresher, detached

_AHEAD: Final = (0.8, 0.9)  # of the lifetime; random, so that a fleet does not renew at once
_PATIENCE: Final = 0.5  # seconds to wait for a new key while the old one may still be used


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key and what each key-encryption key made of it, as TLV."""

    key: DataKey
    wraps: bytes


@dataclass(slots=True)
class _Made:
    wrapped: WrappedKey
    when: Moment
    renew_at: float
    messages: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class PresentKey:
    """Gives the data key of the moment, and makes the next one in the background.

    A forked process goes on with its parent's key: each message has a salt of its own from the
    system, so two processes with one key repeat nothing.

    Args:
        make: Draws and wraps a key.
        explain: See `Refresher`.
        lifetime: Seconds after which a key is replaced; the work begins earlier.
        grace: For how many seconds more a key is used while no new one can be wrapped.
        max_messages: After so many messages a key is replaced, too.
        clock: Returns the seconds since 1970.
    """

    def __init__(
        self,
        make: Callable[[], Coroutine[Any, Any, WrappedKey]],
        explain: Callable[[BaseException], SealwireError],
        lifetime: float,
        grace: float,
        max_messages: int,
        clock: Callable[[], float],
    ) -> None:
        self._make = make
        self._lifetime = lifetime
        self._grace = grace
        self._max_messages = max_messages
        self._clock = clock
        self._made: _Made | None = None
        self._refresher = Refresher(self._renew, explain, clock, "make a data key")

    def use(self) -> WrappedKey:
        """Return the key for one message. Neither waits nor does I/O.

        Raises:
            KeyProviderUnavailableError: There is none yet, or it is too old to go on with.
        """
        made = self._made
        if made is None:
            raise KeyProviderUnavailableError(
                "there is no data key yet: call ready() or ready_sync() first"
            )
        now = self._clock()
        used_up = next(made.messages) > self._max_messages
        if used_up or not made.when.wall <= now < made.renew_at:
            self._start_renewal(made, now)
        return made.wrapped

    @property
    def is_ready(self) -> bool:
        """Whether `start` has nothing to do that would be worth waiting for."""
        made = self._made
        if made is None:
            return False
        if 0 <= self._clock() - made.when.wall < self._lifetime:
            return True
        return self._refresher.backing_off

    def start(self) -> tuple[Future[None], float | None]:
        """Begin to make a key unless there is a good one.

        Returns:
            What to wait for, and for how many seconds; None while there is nothing to go on with.
        """
        run, _ = self._refresher.start(lambda: not self.is_ready)
        usable = self._made is not None and not self._is_over(self._made, self._clock())
        return run, _PATIENCE if usable else None

    def check(self) -> None:
        """Say why there is no key.

        Raises:
            SealwireError: As `make` failed.
        """
        if self._made is None and self._refresher.failure is not None:
            raise detached(self._refresher.failure)

    def _start_renewal(self, made: _Made, now: float) -> None:
        if not self._refresher.backing_off:
            self._refresher.start(lambda: self._made is made)
        if now < made.when.wall:  # the clock was set back: count on from here, and stay overdue
            made.when, made.renew_at = made.when.moved(now), now
        if self._is_over(made, now):
            raise KeyProviderUnavailableError(
                f"the data key is {made.when.age(now):.0f} s old, and no new one can be wrapped: "
                f"{self._refresher.failure or 'the key-encryption keys do not answer'}"
            )

    def _is_over(self, made: _Made, now: float) -> bool:
        return made.when.age(now) >= self._lifetime + self._grace

    async def _renew(self) -> None:
        when = Moment.at(self._clock())
        wrapped = await self._make()
        share = random.uniform(*_AHEAD)  # noqa: S311 - not a secret
        self._made = _Made(wrapped, when, when.wall + self._lifetime * share)

"""Questions to a key service about what strangers sent: each once, and only so many of them."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final

from sealwire.errors import KeyProviderUnavailableError, SealwireError

from .refresher import Refresher
from .unknown import UnknownKeys

_HOPE: Final = 0.25  # seconds after an answer in which its token may come back


@dataclass(frozen=True, slots=True)
class Question:
    """A question that is being asked.

    Args:
        run: Ends with the answer, and never fails.
        asker: Knows why there was none.
    """

    run: Future[None]
    asker: Refresher


class Questions:
    """Asks about each subject once at a time, for any number of threads and event loops.

    A question takes a token out of a bucket that all subjects share. Whoever finds out that the
    answer was of use gives it back; so what is good is hardly limited, and what is not is.

    Args:
        ask: Asks about a subject and keeps the answer; raises `KeyProviderUnavailableError` if
            there is none, and another `SealwireError` if it is no.
        explain: See `Refresher`.
        clock: Returns the seconds since 1970.
    """

    def __init__(
        self,
        ask: Callable[[bytes], Coroutine[Any, Any, None]],
        explain: Callable[[BaseException], SealwireError],
        clock: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._explain = explain
        self._clock = clock
        self._unknown = UnknownKeys(clock)
        self._answered = -math.inf  # not by the clock of the keys: threads wait in real time
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[bytes, Question] = {}
        self._pid = os.getpid()  # last: who sees this process here also sees its lock

    def start(
        self, subject: bytes, is_needed: Callable[[], bool], *, free: bool = False
    ) -> Question | None:
        """Ask about a subject, or join those who do.

        Args:
            subject: What it is about.
            is_needed: Tells whether nobody has answered in the meantime.
            free: Whether it takes no token.

        Returns:
            The question; None if it is not needed, or must not be asked now.
        """
        with self._guarded():
            question = self._open.get(subject)
            if question is not None and not question.run.done():
                return question
            if not is_needed() or not (free or self._unknown.may_ask(_name(subject))):
                return None
            asker = Refresher(
                partial(self._answer, subject), self._explain, self._clock, "open a data key"
            )
            question = self._open[subject] = Question(asker.start()[0], asker)
            return question

    def room(self) -> Future[None] | None:
        """Return what to wait for, shortly, until there may be a token again; None for nothing.

        It is the end of a question; or nothing but time, when one has just been answered well, so
        that somebody is about to find out whether that is of use.
        """
        for question in list(self._open.values()):
            if not question.run.done():
                return question.run
        return Future() if time.monotonic() - self._answered < _HOPE else None

    def is_refused(self, subject: bytes) -> bool:
        """Tell whether the answer was no, and too short a time ago to ask again."""
        return self._unknown.is_left_alone(_name(subject))

    def give_back(self) -> None:
        """Put back the token of a question whose answer was of use."""
        with self._guarded():
            self._unknown.budget.give_back()

    async def _answer(self, subject: bytes) -> None:
        found: bool | None = None  # nobody answered: that says nothing about the subject
        try:
            await self._ask(subject)
            found = True
            self._answered = time.monotonic()
        except SealwireError as err:
            found = None if isinstance(err, KeyProviderUnavailableError) else False
            raise
        finally:
            with self._guarded():
                self._open.pop(subject, None)
                if found is not None:
                    self._unknown.answered(_name(subject), found=found)

    def _guarded(self) -> threading.Lock:
        if self._pid != os.getpid():  # after a fork: the lock and the threads are the parent's
            self._reset()
        return self._lock


def _name(subject: bytes) -> str:
    return sha256(subject).hexdigest()  # of one size, however long the subject is

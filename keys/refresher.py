"""One provider call at a time, for any number of threads and event loops.

Each call runs in a short-lived thread with an event loop of its own. So it blocks no caller's
loop, everybody who waits shares it, and a process that forks has no connection, task or loop to
repair. A second thread watches the first, and leaves it behind when it does not end in time: a
provider may block its loop, or have a thread that its loop waits for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final

from sealwire import forks
from sealwire.errors import SealwireError

_log = logging.getLogger("sealwire.keys")

_FIRST_RETRY: Final = 1.0  # seconds before a provider that failed is asked again; doubles
_LAST_RETRY: Final = 60.0
_TIMEOUT: Final = 30.0  # seconds a provider may take to answer
_CLEANUP: Final = 1.0  # seconds more that it may take to end
_NAME: Final = "sealwire-keys"  # of the threads


class Refresher:
    """Runs `refresh` in the background and remembers how it went.

    Args:
        refresh: What to run; it raises when it fails.
        explain: Turns what it raised into an error that holds no secret: neither in its text nor,
            through a traceback, in the variables of the functions that it passed.
        clock: Returns the seconds since 1970.
        what: What it does, for the log.

    Attributes:
        failure: Why the last run failed; None when it went well.
    """

    def __init__(
        self,
        refresh: Callable[[], Coroutine[Any, Any, None]],
        explain: Callable[[BaseException], SealwireError],
        clock: Callable[[], float],
        what: str = "refresh keys",
    ) -> None:
        self._refresh = refresh
        self._explain = explain
        self._clock = clock
        self._what = what
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._running: Future[None] | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._delay = 0.0
        self.failure: SealwireError | None = None
        self._pid = os.getpid()  # last: who sees this process here also sees its lock

    @property
    def backing_off(self) -> bool:
        """Whether the last run failed so recently that another one is not worth it."""
        # A clock that was set back shows nothing of how long ago that was: then one tries again.
        return self.failure is not None and 0 <= self._clock() - self._failed_at < self._delay

    def start(self, may_start: Callable[[], bool] = lambda: True) -> tuple[Future[None], bool]:
        """Return the run that is under way, or start one if `may_start` agrees.

        Returns:
            A future that ends with the run and never fails, and whether that run began only now.
        """
        if self._pid != os.getpid():  # after a fork: the lock and the thread belong to the parent
            self._reset()
        with self._lock:
            if self._running is not None and not self._running.done():
                return self._running, False
            done: Future[None] = Future()
            if not may_start():
                done.set_result(None)
                return done, True
            self._running = done
        try:
            _thread(self._run, done).start()
        except RuntimeError as err:  # no more threads, or the interpreter is winding down
            self._failed(err)
            done.set_result(None)
        return done, True

    def _run(self, done: Future[None]) -> None:
        try:
            failure = _outcome(self._refresh)
            if failure is None:
                self.failure, self._failures = None, 0
            else:
                self._failed(failure)
        finally:
            forks.ending([threading.get_native_id()])
            done.set_result(None)

    def _failed(self, err: BaseException) -> None:
        self._delay = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(self._failures, 10))
        self._failures += 1
        self._failed_at = self._clock()
        self.failure = self._explain(err)
        _log.warning("cannot %s: %s", self._what, self.failure)


def _outcome(refresh: Callable[[], Coroutine[Any, Any, None]]) -> BaseException | None:
    """Run `refresh` in a thread and return what it raised, or None; in time, whatever it does."""
    outcome: Future[BaseException | None] = Future()
    worker = _thread(_work, refresh, outcome)
    try:
        worker.start()
        failure = outcome.result(_TIMEOUT + _CLEANUP)
        worker.join(_CLEANUP)
    except (RuntimeError, TimeoutError) as err:  # no more threads, or it hangs
        return err
    return failure


def _work(
    refresh: Callable[[], Coroutine[Any, Any, None]], outcome: Future[BaseException | None]
) -> None:
    async def attempt() -> None:
        try:
            await asyncio.wait_for(refresh(), _TIMEOUT)
        except BaseException as err:  # noqa: BLE001 - also CancelledError, of a provider's own tasks
            outcome.set_result(err)
        else:
            outcome.set_result(None)

    # The outcome is known before the loop ends: it waits for the threads that the provider left.
    try:
        forks.run(attempt())
    except BaseException as err:  # noqa: BLE001 - what ends a loop, such as SystemExit
        if not outcome.done():
            outcome.set_result(err)
    finally:
        forks.ending([threading.get_native_id()])


def _thread(target: Callable[..., None], *args: object) -> threading.Thread:
    return threading.Thread(target=target, args=args, name=_NAME, daemon=True)


async def wait(run: Future[None], timeout: float | None = None) -> None:  # noqa: ASYNC109
    """Wait for a run, at most `timeout` seconds; giving up does not cancel it for the others."""
    await asyncio.wait([asyncio.wrap_future(run)], timeout=timeout)


def wait_sync(run: Future[None], timeout: float | None = None) -> None:
    """Like `wait`, and blocks the calling thread."""
    concurrent.futures.wait([run], timeout)


def detached(failure: SealwireError) -> SealwireError:
    """Copy an error without its traceback and causes.

    They hold the variables of every function on the way: of the provider that opened keys, and of
    other callers who were given the same failure.
    """
    copy = type(failure).__new__(type(failure))
    copy.args = failure.args
    vars(copy).update(vars(failure))
    return copy

"""Calls from many loops, threads and processes, for the suites about wrappers and stores."""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import asyncio
import base64
import faulthandler
import os
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

from sealwire import forks
from sealwire.errors import ConfigurationError

T = TypeVar("T")

_AWAITS: Final = 4  # the first so many are those at which a call is cancelled


def finish(call: Awaitable[T], patience: float) -> T:
    """Await `call` in an event loop of its own, and fail if that takes over `patience` seconds."""

    async def limited() -> T:
        return await asyncio.wait_for(call, patience)

    try:
        return forks.run(limited())
    except TimeoutError:
        raise AssertionError(f"a call hangs: it was not done after {patience} s") from None


def refusal(call: Awaitable[object], patience: float) -> ConfigurationError | None:
    """Await `call`, and return the error with which it was refused; None if it was not."""
    try:
        finish(call, patience)
    except ConfigurationError as err:
        error = err
    else:
        return None
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert shown is None, f"the error shows what it came from, {type(shown).__name__}"
    return error


def at_once(work: Callable[[int], T], threads: int) -> list[T]:
    """Call `work` with 0, 1, 2, … in so many threads that begin together."""
    start = threading.Barrier(threads)
    ids: list[int] = []

    def begin(number: int) -> T:
        ids.append(threading.get_native_id())
        start.wait()
        return work(number)

    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(begin, range(threads)))
    finally:
        forks.ending(ids)


def cancel_each(call: Callable[[], Awaitable[object]], patience: float) -> None:
    """Cancel the call at each of its first awaits, every time in a loop of its own."""

    async def run(awaits: int) -> None:
        task = asyncio.ensure_future(call())
        for _ in range(awaits):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for awaits in range(1, _AWAITS + 1):
        finish(run(awaits), patience)


def in_a_fork(work: Callable[[], bytes], patience: float) -> bytes:
    """Call `work` in a child process and return what it returned."""
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        # From Python 3.12 on, a fork beside other threads is warned about. Web servers fork so.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _answer(work, sender, patience)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    said = answer.decode(errors="replace")
    assert code != -signal.SIGALRM, f"it hangs after a fork: not done after {patience} s\n{said}"
    assert code == 0, f"it does not work after a fork: {said}"
    return answer


def _answer(work: Callable[[], bytes], sender: int, patience: float) -> NoReturn:
    code = 1
    try:
        # Its default action ends the process, whatever lock the process waits for. Before that the
        # parent is told where it waits: names of functions, and no values.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.register(signal.SIGALRM, file=sender, all_threads=True, chain=True)
        signal.setitimer(signal.ITIMER_REAL, patience)
        with os.fdopen(sender, "wb") as pipe:
            try:
                pipe.write(work())
                code = 0
            except BaseException as err:  # noqa: BLE001 - it must not leave this process
                reason = str(err) if isinstance(err, AssertionError) else type(err).__name__
                pipe.write(reason.encode())
    finally:
        os._exit(code)  # no clean-up: files, threads and test runner are the parent's


def assert_hides(shown: object, secrets: Iterable[bytes]) -> None:
    """Fail if the texts of `shown` hold a secret as it is, in hexadecimal or in base64."""
    text = f"{shown!r} {shown!s}"
    for secret in secrets:
        assert secret, "an empty secret is in every text"
        spellings = (
            secret.decode("latin-1"),
            repr(secret)[2:-1],
            secret.hex(),
            base64.b64encode(secret).decode().rstrip("="),
            base64.urlsafe_b64encode(secret).decode().rstrip("="),
        )
        # Without the secret, which the report of a failure would print.
        found = any(spelling in text for spelling in spellings)
        assert not found, f"a {type(shown).__name__} shows a secret"

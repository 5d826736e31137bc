"""Threads for work on large payloads, which leaves room for the event loop in between."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sealwire.errors import ConfigurationError

# About 0.2 ms of encryption, for which the interpreter is locked.
_PIECE: Final = 256 * 1024
_MOST: Final = 4
# Seconds. Enough for a thread that waits to take over; with 0 the same one mostly goes on.
_PAUSE: Final = 1e-5

_T = TypeVar("_T")


class _Manners(threading.local):
    """Whether the current thread has to make way for others."""

    gives_way = False


_manners = _Manners()


def pieces(data: bytes | memoryview) -> Iterator[memoryview]:
    """Cut `data` for a native function that locks the interpreter for as long as it works.

    In a thread of `Threads`, other threads get their turn between two pieces.

    Yields:
        Views of at most 256 KiB; of empty data, none.
    """
    view = memoryview(data)
    for start in range(0, len(data), _PIECE):
        if _manners.gives_way:
            time.sleep(_PAUSE)
        yield view[start : start + _PIECE]


@dataclass(frozen=True)
class Threads:
    """A few threads, started when they are needed and again after `close` or a fork.

    Args:
        count: How many at most; by default up to 4, and one processor stays free for the event
            loop. Each one that compresses payloads of 1 MiB keeps about 6 MiB.

    Raises:
        ConfigurationError: `count` is less than 1.
    """

    count: int = field(default_factory=lambda: max(1, min(_MOST, (os.cpu_count() or 1) - 1)))
    # By process: after a fork, the parent's executor has no threads any more.
    _executors: dict[int, ThreadPoolExecutor] = field(
        default_factory=dict[int, ThreadPoolExecutor], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigurationError("there must be 1 thread or more")

    async def run(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call `function` in a thread, with the caller's context variables.

        A cancelled call that no thread has begun is never made. One that a thread has begun runs
        to its end, and its result is dropped.
        """
        context = contextvars.copy_context()
        try:
            future = self._executor().submit(context.run, function, *arguments)
        except RuntimeError:
            # Closed by another thread this very moment, no more threads to be had, or the
            # interpreter is winding down.
            return function(*arguments)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the threads end when their work is done; the next call starts new ones."""
        executor = self._executors.pop(os.getpid(), None)
        if executor is not None:
            executor.shutdown(wait=False)

    def _executor(self) -> ThreadPoolExecutor:
        found = self._executors.get(os.getpid())
        if found is None:
            new = ThreadPoolExecutor(self.count, "sealwire-codec", initializer=_make_way)
            found = self._executors.setdefault(os.getpid(), new)
        return found


def _make_way() -> None:
    _manners.gives_way = True

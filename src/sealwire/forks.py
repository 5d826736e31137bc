"""What a process must not be in the middle of when it forks: a thread of ours that ends.

A thread that worked with OpenSSL takes locks of OpenSSL once more when it ends, after Python has
already called it finished. A process that forks in that instant hands its child a lock that nobody
will ever release, and the child's first TLS connection or refused decryption waits for ever. Keys
that are loaded in threads before a server forks its processes are exactly that case.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import get_native_id
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

_PATIENCE: Final = 1.0  # seconds that a fork waits; a thread's end takes some microseconds
_PAUSE: Final = 0.0005  # seconds between two looks
_TASKS: Final = Path("/proc/self/task")  # Linux: a folder for each thread there still is
# Of native ids. What is older has ended, or is another thread by now.
_ending: deque[int] = deque(maxlen=64)


def ending(threads: Iterable[int]) -> None:
    """Say that these threads, by their native ids, have nothing more to do but to end.

    `os.fork()` then waits until they are gone, where the system lists threads: on Linux.
    """
    _ending.extend(threads)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Do as `asyncio.run()`, and let a fork wait for the end of the threads of that loop."""
    threads: list[int] = []

    async def with_threads() -> _T:
        executor = ThreadPoolExecutor(None, "asyncio", lambda: threads.append(get_native_id()))
        asyncio.get_running_loop().set_default_executor(executor)
        return await main

    try:
        return asyncio.run(with_threads())
    finally:
        ending(threads)


def _wait() -> None:
    deadline = time.monotonic() + _PATIENCE
    own = get_native_id()
    for thread in tuple(_ending):
        entry = _TASKS / str(thread)
        while thread != own and entry.exists() and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        with suppress(ValueError):  # another thread forked, too
            _ending.remove(thread)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait, after_in_child=_ending.clear)

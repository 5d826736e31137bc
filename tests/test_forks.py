"""A process that forks waits for threads of ours that are ending."""

from __future__ import annotations

import _thread
import asyncio
import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytest

from sealwire import forks
from sealwire.keys import Key, Keyring, KeySet, StaticKeyProvider
from sealwire.testing.sharing import in_a_fork

TASKS = Path("/proc/self/task")
END = 0.3  # seconds

pytestmark = pytest.mark.skipif(not TASKS.exists(), reason="the system does not list threads")


@pytest.fixture(scope="module")
def ends_slowly() -> Callable[[], int]:
    """Return what makes the calling thread take its time after Python has finished with it."""
    libc = ctypes.CDLL(None)
    key = ctypes.c_uint()
    # The C library calls `usleep` with the thread's value when the thread ends.
    assert 0 == libc.pthread_key_create(ctypes.byref(key), libc.usleep)

    def end_slowly() -> int:
        assert 0 == libc.pthread_setspecific(key, ctypes.c_void_p(int(END * 1e6)))
        return threading.get_native_id()

    return end_slowly


def is_there(thread: int) -> bool:
    return (TASKS / str(thread)).exists()


def fork() -> None:
    assert in_a_fork(lambda: b"child", 10.0) == b"child"


def test_without_it_a_thread_is_still_there(ends_slowly: Callable[[], int]) -> None:
    """So the tests below would see one that nobody waited for."""
    started: Queue[int] = Queue()
    _thread.start_new_thread(lambda: started.put(ends_slowly()), ())
    thread = started.get(timeout=10)
    fork()
    assert is_there(thread)


def test_a_loops_threads_are_gone(ends_slowly: Callable[[], int]) -> None:
    """What was called in a thread of `run` holds nothing any more."""
    thread = forks.run(asyncio.to_thread(ends_slowly))
    fork()
    assert not is_there(thread)


def test_what_is_raised_passes(ends_slowly: Callable[[], int]) -> None:
    """A call that fails does so as it would with `asyncio.run()`, and its threads end too."""
    seen: list[int] = []

    def fail() -> None:
        seen.append(ends_slowly())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        forks.run(asyncio.to_thread(fail))
    fork()
    assert not is_there(seen[0])


def test_keys_that_were_loaded_hold_nothing(ends_slowly: Callable[[], int]) -> None:
    """A server may load its keys and fork its processes at once."""
    threads: list[int] = []

    class Provider(StaticKeyProvider):
        async def snapshot(self, tenant: str) -> KeySet:
            threads.append(ends_slowly())
            threads.append(await asyncio.to_thread(ends_slowly))
            return await super().snapshot(tenant)

    keyring = Keyring(Provider(Key.generate("k")))
    keyring.ready_sync()
    fork()
    assert 2 == len(set(threads))
    assert not any(map(is_there, threads))


def test_a_thread_that_never_ends_is_not_waited_for_twice() -> None:
    """A fork gives up after a second; the next one does not wait again."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        forks.ending([thread.native_id or 0])
        started = time.monotonic()
        fork()
        first = time.monotonic() - started
        fork()
        second = time.monotonic() - started - first
    finally:
        stop.set()
        thread.join()
    assert first >= 1.0 > second


def test_a_thread_may_fork_itself() -> None:
    """It does not wait for its own end."""
    done: list[float] = []

    def work() -> None:
        forks.ending([threading.get_native_id()])
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        done.append(time.monotonic() - started)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done[0] < 1.0

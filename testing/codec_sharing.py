"""What a codec has to stand that many share: tasks, threads, event loops and processes."""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final

from sealwire.codecs import PayloadCodec
from sealwire.payload import Payload, Payloads

from .roundtrip import assert_same, decode, encode, numbered, round_trip, run_in_time, sync_codec
from .sharing import in_a_fork

_TASKS: Final = 32  # batches under way at once
_THREADS: Final = 8
_AWAITS: Final = 4  # the first so many are those at which a call is cancelled


class CodecSharingConformance:
    """The part of `PayloadCodecConformance` in which several use one codec.

    Attributes:
        patience: Seconds after which what takes milliseconds is taken to hang.
    """

    patience: ClassVar[float] = 10.0

    def codec(self) -> PayloadCodec:
        """Return a new codec under test; all that are returned read each other's payloads."""
        raise NotImplementedError

    def samples(self) -> list[Payload]:
        """Return payloads to encode, no two of them equal."""
        raise NotImplementedError

    def test_tasks_may_share_it(self) -> None:
        """Many batches at once in one event loop do not get into each other's way."""
        run_in_time(_many_tasks(self.codec()), self.patience)

    def test_threads_may_share_it(self) -> None:
        """A `SyncPayloadCodec` serves many threads at once."""
        codec = sync_codec(self.codec())
        if codec is None:
            return

        def work(number: int) -> None:
            batch = numbered(number)
            assert_same(batch, codec.decode_sync(codec.encode_sync(batch)))

        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(work, range(_TASKS)):
                pass

    def test_event_loops_may_follow_each_other(self) -> None:
        """A codec that many tasks have used in one event loop is as good in the next one."""
        codec = self.codec()
        for _ in range(3):
            run_in_time(_many_tasks(codec), self.patience)

    def test_event_loops_may_run_at_once(self) -> None:
        """Event loops in several threads share one codec."""
        codec = self.codec()

        def work(number: int) -> None:
            run_in_time(_many_tasks(codec, first=number * _TASKS), self.patience)

        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(work, range(_THREADS)):
                pass

    def test_a_cancelled_encode_harms_nobody(self) -> None:
        """It is cancelled at each of its first awaits; others go on, beside it and afterwards."""
        samples = self.samples()
        for awaits in range(1, _AWAITS + 1):
            self._cancel(lambda codec: codec.encode(samples), awaits)

    def test_a_cancelled_decode_harms_nobody(self) -> None:
        """It is cancelled at each of its first awaits; others go on, beside it and afterwards."""
        outer = encode(self.codec(), self.samples())
        for awaits in range(1, _AWAITS + 1):
            self._cancel(lambda codec: codec.decode(outer), awaits)

    def _cancel(
        self, call: Callable[[PayloadCodec], Awaitable[list[Payload]]], awaits: int
    ) -> None:
        codec = self.codec()  # a new one, which may have to load something first
        samples = self.samples()

        async def victim() -> None:
            await call(codec)

        async def run() -> None:
            cancelled = asyncio.create_task(victim())
            beside = asyncio.create_task(round_trip(codec, samples))
            for _ in range(awaits):
                await asyncio.sleep(0)
            cancelled.cancel()
            _, outcome = await asyncio.gather(cancelled, beside, return_exceptions=True)
            assert not isinstance(outcome, asyncio.CancelledError), "others were cancelled, too"
            if outcome is not None:
                raise outcome
            await round_trip(codec, samples)

        run_in_time(run(), self.patience)
        run_in_time(round_trip(codec, samples), self.patience)

    def test_it_works_on_both_sides_of_a_fork(self) -> None:
        """A codec that was used before `os.fork()` writes and reads the same in both processes."""
        codec = self.codec()
        samples = self.samples()
        outer = encode(codec, samples)
        assert_same(samples, decode(codec, outer))
        if not hasattr(os, "fork"):
            return

        def work() -> list[Payload]:
            assert_same(samples, decode(codec, outer))
            blocking = sync_codec(codec)
            if blocking is not None:
                assert_same(samples, blocking.decode_sync(blocking.encode_sync(samples)))
            return encode(codec, samples)

        assert_same(samples, decode(codec, _in_a_fork(work, self.patience)))
        assert_same(samples, decode(codec, encode(codec, samples)))


async def _many_tasks(codec: PayloadCodec, first: int = 0) -> None:
    batches = (numbered(first + number) for number in range(_TASKS))
    await asyncio.gather(*(round_trip(codec, batch) for batch in batches))


def _in_a_fork(work: Callable[[], Sequence[Payload]], patience: float) -> Sequence[Payload]:
    """Run `work` in a child process and return what it returned."""
    answer = in_a_fork(lambda: Payloads(payloads=work()).SerializeToString(), patience)
    return Payloads.FromString(answer).payloads

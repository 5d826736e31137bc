"""Calls of a codec and the comparison of payloads, for the conformance suite."""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sealwire import forks
from sealwire.codecs import PayloadCodec, SyncPayloadCodec
from sealwire.errors import ConfigurationError
from sealwire.payload import Payload

S = TypeVar("S")
T = TypeVar("T")


def encode(codec: PayloadCodec, payloads: Sequence[Payload]) -> list[Payload]:
    """Encode `payloads` in an event loop of its own."""
    return in_a_loop(codec.encode, payloads)


def decode(codec: PayloadCodec, payloads: Sequence[Payload]) -> list[Payload]:
    """Decode `payloads` in an event loop of its own."""
    return in_a_loop(codec.decode, payloads)


async def round_trip(codec: PayloadCodec, payloads: Sequence[Payload]) -> None:
    """Encode and decode `payloads`, and compare."""
    assert_same(payloads, await codec.decode(await codec.encode(payloads)))


def run_in_time(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Run `work` in an event loop of its own, and fail if it hangs."""

    async def limited() -> None:
        await asyncio.wait_for(work, seconds)

    try:
        forks.run(limited())
    except TimeoutError:
        raise AssertionError(f"the codec hangs: it was not done after {seconds} s") from None


def sync_codec(codec: PayloadCodec) -> SyncPayloadCodec | None:
    """Return `codec` if it works without an event loop.

    A chain always has the methods; if one of its parts lacks them, it says so when called.
    """
    if not isinstance(codec, SyncPayloadCodec):
        return None
    try:
        codec.encode_sync([])
    except ConfigurationError:
        return None
    return codec


def numbered(number: int) -> list[Payload]:
    """Return a batch that differs from those of all other numbers."""
    return [Payload(data=f"{number}/{i} ".encode() * 50) for i in range(5)]


def serialized(payloads: Sequence[Payload]) -> list[bytes]:
    """Return the bytes of each payload, which are those of no other."""
    return [payload.SerializeToString(deterministic=True) for payload in payloads]


def assert_same(expected: Sequence[Payload], actual: Sequence[Payload]) -> None:
    """Fail unless the payloads are equal and in the same order."""
    assert len(expected) == len(actual), f"{len(expected)} payloads became {len(actual)}"
    for index, (old, new) in enumerate(zip(serialized(expected), serialized(actual), strict=True)):
        # The payloads themselves are not shown: those of a broken codec may be large.
        assert old == new, f"the payload at {index} is not what it was"


def in_a_loop(method: Callable[[Sequence[S]], Awaitable[list[T]]], items: Sequence[S]) -> list[T]:
    """Call a method of a codec in an event loop of its own."""
    results: list[list[T]] = []

    async def call() -> None:
        # Not as the result of the task: when `asyncio.run` ends, it makes the text of the task and
        # its result only to throw it away, which for large payloads takes most of the time.
        results.append(await method(items))

    forks.run(call())
    return results[0]

"""A codec whose large payloads are worked on in threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import gzip
import os
import threading
import weakref
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import cramjam
import pytest
import zstandard

from sealwire.codecs import (
    CodecChain,
    CodecEvent,
    CodecKind,
    CompressionCodec,
    EncryptionCodec,
    PayloadCodec,
    RemoteCodec,
    ThreadedCodec,
    Threads,
    decode_only,
    observed,
)
from sealwire.errors import CodecUnavailableError, ConfigurationError, DecryptError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing import PayloadCodecConformance

TENANT = contextvars.ContextVar("TENANT", default="nobody")
LARGE = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(300_000))
SMALL = Payload(metadata={"encoding": b"binary/plain"}, data=b"small")


def chain() -> CodecChain:
    keyring = Keyring(StaticKeyProvider(Key("k", bytes(range(200, 232)))))
    return CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="default"))


class TestThreaded(PayloadCodecConformance):
    """A chain, all of it in threads."""

    def codec(self) -> PayloadCodec:
        return ThreadedCodec(chain(), size=1)


class TestOneThread(PayloadCodecConformance):
    """A chain of which some is in the only thread."""

    def codec(self) -> PayloadCodec:
        return ThreadedCodec(chain(), size=1000, threads=Threads(1))


@dataclass
class Noting:
    """A codec that notes in which thread and context it is called."""

    calls: list[tuple[str, bool, str]] = field(default_factory=list[tuple[str, bool, str]])
    kind: CodecKind = CodecKind.COMPRESS

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return self.encode_sync(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return self.decode_sync(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.note("encode")
        return list(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.note("decode")
        return list(payloads)

    def note(self, name: str) -> None:
        here = threading.current_thread() is threading.main_thread()
        self.calls.append((name, here, TENANT.get()))


async def test_only_large_payloads_leave_the_event_loop() -> None:
    """What is smaller than `size` is worked on where it is, and what is not, in a thread."""
    noting = Noting()
    codec = ThreadedCodec(noting, size=300_000)
    for payload in (SMALL, LARGE):
        assert [payload] == await codec.decode(await codec.encode([payload]))
    assert [True, True, False, False] == [here for _, here, _ in noting.calls]


async def test_the_payloads_of_a_group_count_together() -> None:
    """Many small payloads in one group are as much work as a large one."""
    noting = Noting()
    codec = ThreadedCodec(noting, size=100)
    await codec.encode([SMALL] * 19)
    await codec.encode([SMALL] * 20)
    assert [True, False] == [here for _, here, _ in noting.calls]


async def test_what_is_not_decoded_does_not_count() -> None:
    """A large payload that a codec returns as it is goes to no thread, if the codec tells."""

    @dataclass
    class Telling(Noting):
        encodings: frozenset[bytes] = frozenset({b"binary/squeezed"})

    noting = Telling()
    for codec in (noting, decode_only(noting)):
        threaded = ThreadedCodec(codec, size=300_000)
        squeezed = Payload(metadata={"encoding": b"binary/squeezed"}, data=LARGE.data)
        for payloads in ([LARGE], [squeezed], [LARGE, squeezed], []):
            assert payloads == await threaded.decode(payloads)
    assert [True, False, False, True] * 2 == [here for _, here, _ in noting.calls]


async def test_what_is_not_encoded_does_not_count() -> None:
    """A payload that cannot be compressed is looked at where it is; one that can, in a thread."""
    text = Payload(metadata={"encoding": b"json/plain"}, data=b'"%s"' % (b"text " * 80_000))
    places: list[tuple[bool, bool]] = []

    class Places(Threads):
        async def run(self, function: Any, *arguments: Any) -> Any:
            places.append((LARGE in arguments[0], text in arguments[0]))
            return await super().run(function, *arguments)

    codec = ThreadedCodec(CompressionCodec(), size=300_000, threads=Places())
    for payloads in ([LARGE], [LARGE, text], [LARGE, LARGE, SMALL], [text]):
        encoded = await codec.encode(payloads)
        assert payloads == await codec.decode(encoded)
        assert [LARGE] * payloads.count(LARGE) == [one for one in encoded if one == LARGE]
    assert [(True, True), (False, True)] == [place for place in places if any(place)]


async def test_what_a_small_frame_becomes_counts() -> None:
    """A zstd frame of a few kilobytes that stands for two megabytes is decompressed in a thread."""
    data = os.urandom(3_000) + bytes(2_000_000)
    large = Payload(metadata={"encoding": b"binary/plain"}, data=data)
    compress = CompressionCodec()
    (small,) = await compress.encode([large])
    assert len(small.data) < 4_000
    events: list[str] = []

    class Observer:
        def observe(self, event: CodecEvent) -> None:
            here = threading.current_thread() is threading.main_thread()
            events.append(f"{event.codec} {event.operation} {here}")

    codec = ThreadedCodec(observed(compress, Observer()))
    lie = Payload(metadata={"encoding": b"binary/zstd"}, data=b"(\xb5/\xfd" + bytes(1_500))
    assert [large] == await codec.decode([small])
    with suppress(Exception):
        await codec.decode([lie])  # no frame: nothing to look at, and refused as ever
    assert ["CompressionCodec decode False", "CompressionCodec decode True"] == events


def zstd_without_size(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        (b"binary/zstd", zstd_without_size),
        (b"binary/zlib", zlib.compress),
        (b"binary/gzip", gzip.compress),
        (b"binary/lz4", import_module("lz4.frame").compress),
        (b"binary/brotli", import_module("brotli").compress),
        (b"binary/snappy", snappy),
    ],
)
async def test_what_does_not_tell_its_size_may_be_large(
    encoding: bytes, compress: Callable[[bytes], bytes]
) -> None:
    """Two kilobytes may become two megabytes, and are decompressed in a thread; less is not."""
    places: list[Payload] = []

    class Places(Threads):
        async def run(self, function: Any, *arguments: Any) -> Any:
            places.extend(arguments[0])
            return await super().run(function, *arguments)

    codec = ThreadedCodec(CompressionCodec(), threads=Places())
    plain = [Payload(data=os.urandom(size) + bytes(10_000)) for size in (200, 3_000)]
    little, much = (
        Payload(metadata={"encoding": encoding}, data=compress(item.SerializeToString()))
        for item in plain
    )
    assert plain == [*await codec.decode([little]), *await codec.decode([much])]
    assert [much] == places


async def test_a_thread_has_the_context_of_the_caller() -> None:
    """Context variables, such as a trace, are those of the task that called."""
    noting = Noting()
    codec = ThreadedCodec(noting, size=1)
    token = TENANT.set("acme")
    await codec.encode([LARGE])
    TENANT.reset(token)
    assert [("encode", False, "acme")] == noting.calls


async def test_codecs_that_need_a_loop_stay_there() -> None:
    """A codec without synchronous methods, and a remote one, are not put into a thread."""

    class Asynchronous:
        async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
            asyncio.get_running_loop()
            assert threading.current_thread() is threading.main_thread()
            return list(payloads)

        decode = encode

    codec = ThreadedCodec(CodecChain(Asynchronous()), size=1)
    assert [LARGE] == await codec.decode(await codec.encode([LARGE]))
    with pytest.raises(ConfigurationError, match="no encode_sync"):
        codec.encode_sync([LARGE])

    class NoThreads(Threads):
        async def run(self, function: Any, *arguments: object) -> Any:
            raise AssertionError(f"{function} was put into a thread")

    remote = ThreadedCodec(RemoteCodec("http://127.0.0.1:1", retries=0), 1, NoThreads())
    with pytest.raises(CodecUnavailableError):
        await remote.encode([LARGE])


async def test_errors_arrive_as_they_are() -> None:
    """What the codec raises in a thread reaches the caller, with its data."""
    codec = ThreadedCodec(chain(), size=1)
    sealed = await codec.encode([LARGE, LARGE])
    sealed[1].data = sealed[1].data[:-1] + bytes([sealed[1].data[-1] ^ 1])
    with pytest.raises(DecryptError) as caught:
        await codec.decode(sealed)
    assert (1, "k") == (caught.value.index, caught.value.key_id)


async def test_a_cancelled_call_that_waits_is_never_made() -> None:
    """With its only thread busy, a call that is cancelled leaves no work behind."""
    threads = Threads(1)
    busy, go_on = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go_on.wait(10)

    blocking = asyncio.create_task(threads.run(block))
    await asyncio.to_thread(busy.wait, 10)
    noting = Noting()
    waiting = asyncio.create_task(ThreadedCodec(noting, 1, threads).encode([LARGE]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await blocking
    await threads.run(lambda: None)  # whatever was in the queue before it is done
    assert [] == noting.calls


class Payloads(list[Payload]):
    """A list that can be watched as it goes."""


@dataclass
class Held(Noting):
    """A codec whose first call is held in its thread until a test lets it go."""

    fails: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    results: list[weakref.ref[Payloads]] = field(default_factory=list[weakref.ref[Payloads]])
    workers: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def note(self, name: str) -> None:
        super().note(name)
        self.workers.append(threading.current_thread())

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.begun.set()
        assert self.go_on.wait(10)
        self.note("encode")
        if self.fails:
            raise DecryptError  # which nobody hears
        result = Payloads(payloads)
        self.results.append(weakref.ref(result))
        return result


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_call_that_is_being_made_is_let_go(fails: bool) -> None:
    """Its caller goes at once; the thread ends the work, drops what came of it, and goes on."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    threads, held = Threads(1), Held(fails=fails)
    codec = ThreadedCodec(held, 1, threads)
    calling = asyncio.create_task(codec.encode([LARGE]))
    assert await asyncio.to_thread(held.begun.wait, 10)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert [] == held.calls, "the thread is still at work"

    following = asyncio.create_task(codec.decode([LARGE]))
    await asyncio.sleep(0)
    assert not following.done(), "the only thread is taken"
    held.go_on.set()
    assert [LARGE] == await following
    assert [("encode", False, "nobody"), ("decode", False, "nobody")] == held.calls
    thread = await threads.run(threading.current_thread)
    assert [thread] * 2 == held.workers
    gc.collect()
    assert [None] * (not fails) == [result() for result in held.results]
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert [] == unheard
    threads.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_a_closed_pool_opens_again() -> None:
    """After `close` the threads end, and the next call has new ones."""
    threads = Threads(2)
    old = await threads.run(threading.current_thread)
    threads.close()
    threads.close()
    await asyncio.to_thread(old.join, 10)
    assert not old.is_alive()
    assert await threads.run(threading.get_ident) != threading.get_ident()
    threads.close()


async def test_without_threads_the_work_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the system gives no thread, the caller does the work."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await Threads(1).run(threading.get_ident) == threading.get_ident()


def test_clones_share_threads_and_kind() -> None:
    """A codec for a namespace has the threads of the codec it was made from."""
    keyring = Keyring(StaticKeyProvider(Key("k", bytes(range(200, 232)))))
    codec = ThreadedCodec(EncryptionCodec(keyring))
    context: Any = type("Context", (), {"namespace": "default"})()
    bound = codec.with_context(context)
    assert bound is not codec
    assert bound.threads is codec.threads
    assert bound.with_context(context) is bound
    assert bound.kind is CodecKind.ENCRYPT
    with pytest.raises(ConfigurationError, match="encrypt twice"):
        CodecChain(codec, bound)


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_and_numbers_are_checked(size: int) -> None:
    """Neither a size nor a number of threads may be less than one."""
    with pytest.raises(ConfigurationError):
        ThreadedCodec(chain(), size=size)
    with pytest.raises(ConfigurationError):
        Threads(size)


@pytest.mark.parametrize(
    ("processors", "count"), [(None, 1), (1, 1), (2, 1), (3, 2), (5, 4), (64, 4)]
)
def test_a_processor_is_left_to_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, count: int
) -> None:
    """There is one thread at least, four at most, and one less than there are processors."""
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert Threads().count == count


async def test_the_loop_goes_on_while_a_large_payload_is_sealed() -> None:
    """While eight megabytes are encrypted and decrypted, the event loop gets its turn."""
    large = Payload(metadata={"encoding": b"binary/plain"}, data=os.urandom(8_000_000))
    codec = ThreadedCodec(chain())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    sealed = await codec.encode([large])
    encoding, turns = turns, 0
    assert [large] == await codec.decode(sealed)
    counting.cancel()
    # The pieces are 30; a codec in the event loop leaves it no more than two or three turns.
    assert min(encoding, turns) > 10

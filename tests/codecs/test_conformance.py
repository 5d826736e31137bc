"""The published contract of a codec, run over each of ours and over broken ones."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary, WeakSet

import pytest
import temporalio.converter
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalcodec.encryption import EncryptionCodec as TemporalcodecCodec
from temporalcodec.encryption import Key as TemporalcodecKey

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    CompressionRule,
    DecodePolicy,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    PaddingCodec,
    PayloadCodec,
    PolicyMode,
    ReadAlsoCodec,
)
from sealwire.keys import DataKeys, Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.parts import Parts
from sealwire.payload import Payload
from sealwire.testing import ScriptedKeyWrapper
from sealwire.testing.codecs import PayloadCodecConformance

ROOT = bytes(range(200, 232))
FOREIGN = [
    Payload(),
    Payload(data=b"x"),
    Payload(metadata={"encoding": b"json/plain"}, data=b"1"),
    Payload(metadata={"encoding": b"binary/unheard-of", "note": b"x"}, data=bytes(500)),
]


def keyring() -> Keyring:
    """A new keyring with a key of each suite."""
    interop = Key("i", bytes(range(32)), suite=KeySuite.INTEROP)
    return Keyring(StaticKeyProvider(Key("k", ROOT), interop))


class TestZstd(PayloadCodecConformance):
    """`binary/zstd`."""

    def codec(self) -> PayloadCodec:
        return CompressionCodec()

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestZlib(PayloadCodecConformance):
    """`binary/zlib`."""

    def codec(self) -> PayloadCodec:
        return CompressionCodec("zlib", min_size=0)

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestLz4(PayloadCodecConformance):
    """`binary/lz4`."""

    def codec(self) -> PayloadCodec:
        return CompressionCodec("lz4", min_size=0)

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestBrotli(PayloadCodecConformance):
    """`binary/brotli`."""

    def codec(self) -> PayloadCodec:
        return CompressionCodec("brotli", min_size=0)

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestCompressionRules(PayloadCodecConformance):
    """Several algorithms by rules, of which one is for an activity."""

    def codec(self) -> PayloadCodec:
        return CompressionCodec(
            rules=(
                CompressionRule("none", activity_type="a"),
                CompressionRule("zlib", encoding="binary/plain"),
                CompressionRule("lz4", min_size=30, max_size=50),
            )
        )

    def foreign(self) -> list[Payload]:
        return FOREIGN

    def context(self) -> object:
        return SimpleNamespace(namespace="default", workflow_type="w", activity_type="a")


class TestPadding(PayloadCodecConformance):
    """`binary/padded`."""

    def codec(self) -> PayloadCodec:
        return PaddingCodec()

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestSealed(PayloadCodecConformance):
    """`binary/sealed-v1`."""

    def codec(self) -> PayloadCodec:
        return EncryptionCodec(keyring(), namespace="default")


class TestSealedForTheContext(PayloadCodecConformance):
    """`binary/sealed-v1`, with the namespace that the SDK gives."""

    def codec(self) -> PayloadCodec:
        return EncryptionCodec(keyring(), policy=DecodePolicy(require_context=False))

    def context(self) -> object:
        return SimpleNamespace(namespace="any", workflow_id="w")


class TestInterop(PayloadCodecConformance):
    """`binary/encrypted`, while plaintext is being migrated."""

    def codec(self) -> PayloadCodec:
        policy = DecodePolicy(PolicyMode.MIGRATE)
        return EncryptionCodec(keyring(), "default", policy, format="interop")

    def foreign(self) -> list[Payload]:
        return FOREIGN


# One for all codecs: in production it is a key in a KMS, which all processes share.
KEK = ScriptedKeyWrapper()


class TestEnveloped(PayloadCodecConformance):
    """`binary/enveloped-v1`, each codec with data keys of its own."""

    def codec(self) -> PayloadCodec:
        return EnvelopeEncryptionCodec(DataKeys(KEK), namespace="default")


class TestEnvelopedBesideAKeyring(PayloadCodecConformance):
    """`binary/enveloped-v1`, where the sealed format is read, too."""

    def codec(self) -> PayloadCodec:
        return ReadAlsoCodec(
            EnvelopeEncryptionCodec(DataKeys(KEK), namespace="default"),
            EncryptionCodec(keyring(), namespace="default"),
        )


class TestChain(PayloadCodecConformance):
    """Compression and encryption as one codec."""

    def codec(self) -> PayloadCodec:
        return CodecChain(CompressionCodec(), EncryptionCodec(keyring(), namespace="default"))


class TestEmptyChain(PayloadCodecConformance):
    """A chain of nothing."""

    def codec(self) -> PayloadCodec:
        return CodecChain()

    def foreign(self) -> list[Payload]:
        return FOREIGN


class SdkCodec(temporalio.converter.PayloadCodec):
    """A codec for an event loop only, as the SDK's documentation shows it."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"x"}, data=payload.SerializeToString())
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(payload.data)
            if payload.metadata.get("encoding") == b"x"
            else payload
            for payload in payloads
        ]


class TestCodecOfTheSdk(PayloadCodecConformance):
    """The suite is for third parties' codecs, too."""

    def codec(self) -> PayloadCodec:
        return SdkCodec()

    def foreign(self) -> list[Payload]:
        return FOREIGN


class SampleCodec(temporalio.converter.PayloadCodec):
    """Encryption as Temporal's samples for Python show it."""

    def __init__(self, key_id: str, key: bytes) -> None:
        self.key_id = key_id
        self.cipher = AESGCM(key)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(
                metadata={
                    "encoding": b"binary/encrypted",
                    "encryption-key-id": self.key_id.encode(),
                },
                data=self.encrypt(payload.SerializeToString()),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        decoded: list[Payload] = []
        for payload in payloads:
            if payload.metadata.get("encoding", b"").decode() != "binary/encrypted":
                decoded.append(payload)
                continue
            key_id = payload.metadata.get("encryption-key-id", b"").decode()
            if key_id != self.key_id:
                raise ValueError(f"Unrecognized key ID {key_id}. Current key ID is {self.key_id}.")
            decoded.append(Payload.FromString(self.decrypt(payload.data)))
        return decoded

    def encrypt(self, data: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self.cipher.encrypt(nonce, data, None)

    def decrypt(self, data: bytes) -> bytes:
        return self.cipher.decrypt(data[:12], data[12:], None)


class TestEncryptionOfTheSamples(PayloadCodecConformance):
    """Temporal's sample."""

    def codec(self) -> PayloadCodec:
        return SampleCodec("sample", ROOT)

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestEncryptionOfTemporalcodec(PayloadCodecConformance):
    """The package `temporalcodec`."""

    def codec(self) -> PayloadCodec:
        return TemporalcodecCodec([TemporalcodecKey(id="theirs", key="0123456789abcdef" * 2)])

    def foreign(self) -> list[Payload]:
        return FOREIGN


class TestForeignEncryptionInOurChain(PayloadCodecConformance):
    """Compression before somebody else's encryption."""

    def codec(self) -> PayloadCodec:
        return CodecChain(CompressionCodec(), SampleCodec("sample", ROOT))

    def foreign(self) -> list[Payload]:
        return FOREIGN


class Broken:
    """A codec that does nothing, to break in one way at a time."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return self.encode_sync(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return self.decode_sync(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)


class Mutates(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        for payload in payloads:
            _ = payload.metadata["encoding"]  # inserts the entry
        return list(payloads)


class MutatesOnDecode(Broken):
    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        for payload in payloads:
            payload.metadata.clear()
        return list(payloads)


class Drops(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [payload for payload in payloads if payload.data]


class Merges(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [next(group) for _, group in itertools.groupby(payloads)]


class Deduplicates(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        unique = {payload.SerializeToString(deterministic=True): payload for payload in payloads}
        return list(unique.values())


class Reorders(Broken):
    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return sorted(payloads, key=lambda payload: payload.data)


class LosesMetadata(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=payload.data) for payload in payloads]


class LosesExternalPayloads(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata=dict(payload.metadata), data=payload.data) for payload in payloads]


class NeedsAPayload(Broken):
    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [payloads[0], *payloads[1:]]


class ReturnsItsInput(Broken):
    def decode_sync(self, payloads: Any) -> list[Payload]:
        result: list[Payload] = payloads
        return result


class DiffersInParts(Broken):
    async def encode_parts(self, parts: Sequence[Parts]) -> list[Payload]:
        return self.encode_parts_sync(parts)

    def encode_parts_sync(self, parts: Sequence[Parts]) -> list[Payload]:
        return [Payload(data=data) for _, data in parts]

    async def decode_parts(self, payloads: Sequence[Payload]) -> list[Parts]:
        return self.decode_parts_sync(payloads)

    def decode_parts_sync(self, payloads: Sequence[Payload]) -> list[Parts]:
        return [(payload.SerializeToString(), b"") for payload in payloads]


class DiffersWithoutALoop(Broken):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=b"\0" + payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data[1:]) for payload in payloads]


class SharesAState(Broken):
    """Keeps the batch on the instance, and gives other threads time to replace it."""

    def __init__(self) -> None:
        self.batch: list[Payload] = []
        self.others = threading.Barrier(2)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.batch = list(payloads)
        if threading.current_thread() is not threading.main_thread():
            with suppress(threading.BrokenBarrierError):  # nobody else is left
                self.others.wait(timeout=0.2)
        return self.batch


class ForgetsTheContract(Broken):
    def with_context(self, context: Any) -> Any:
        return None


class SlowContext(Broken):
    def with_context(self, context: Any) -> Any:
        hashlib.pbkdf2_hmac("sha256", b"a key", b"for each context", 5000)
        return self


class KeepsALock(Broken):
    """Its lock belongs to the first event loop in which two tasks wanted it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        async with self.lock:
            await asyncio.sleep(0)
            return list(payloads)


class MixesUpLoops(Broken):
    """Keeps the batch on the instance, and gives the event loops of other threads time."""

    def __init__(self) -> None:
        self.batch: list[Payload] = []
        self.others = threading.Barrier(2)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.batch = list(payloads)
        if threading.current_thread() is not threading.main_thread():
            with suppress(threading.BrokenBarrierError):  # nobody else is left
                self.others.wait(timeout=0.2)
        return self.batch


class StaysLocked(Broken):
    """Has a lock for each event loop, and does not release it when cancelled."""

    def __init__(self) -> None:
        self.locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def work(self, payloads: Sequence[Payload]) -> list[Payload]:
        lock = self.locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        await lock.acquire()
        await asyncio.sleep(0)
        lock.release()
        return list(payloads)


class StaysLockedOnEncode(StaysLocked):
    encode = StaysLocked.work


class StaysLockedOnDecode(StaysLocked):
    decode = StaysLocked.work


class CancelsOthers(Broken):
    """All wait for the same task, and whoever is cancelled cancels it."""

    def __init__(self) -> None:
        self.loading: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = (
            WeakKeyDictionary()
        )

    async def work(self, payloads: Sequence[Payload]) -> list[Payload]:
        loop = asyncio.get_running_loop()
        if loop not in self.loading:
            self.loading[loop] = loop.create_task(asyncio.sleep(0))
        await self.loading[loop]
        return list(payloads)


class CancelsOthersOnEncode(CancelsOthers):
    encode = CancelsOthers.work


class CancelsOthersOnDecode(CancelsOthers):
    decode = CancelsOthers.work


class StaysCancelled(Broken):
    """Refuses to work in an event loop in which a call was cancelled."""

    def __init__(self) -> None:
        self.cancelled: WeakSet[asyncio.AbstractEventLoop] = WeakSet()

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        loop = asyncio.get_running_loop()
        if loop in self.cancelled:
            raise RuntimeError("cancelled before")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.add(loop)
            raise
        return list(payloads)


class KnowsOnlyItsProcess(Broken):
    """Has a secret of each process."""

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        owner = {"encoding": b"x", "owner": str(os.getpid()).encode()}
        return [Payload(metadata=owner, data=item.SerializeToString()) for item in payloads]

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self.open(item) if "owner" in item.metadata else item for item in payloads]

    def open(self, payload: Payload) -> Payload:
        if payload.metadata["owner"] != str(os.getpid()).encode():
            raise ValueError("of another process")
        return Payload.FromString(payload.data)


class ParentCannotRead(KnowsOnlyItsProcess):
    """A child process reads everything, and writes what only that process reads."""

    def __init__(self) -> None:
        self.parent = os.getpid()

    def open(self, payload: Payload) -> Payload:
        if os.getpid() == self.parent:
            return super().open(payload)
        return Payload.FromString(payload.data)


class ChildCannotRead(ParentCannotRead):
    """A child process does not read what was written before it was there."""

    def open(self, payload: Payload) -> Payload:
        if os.getpid() != self.parent:
            return KnowsOnlyItsProcess.open(self, payload)
        return Payload.FromString(payload.data)


class NeedsItsThread(Broken):
    """Works in a thread, which a child process does not have."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return self.pool.submit(list[Payload], payloads).result()


class Wraps(Broken):
    """As it should be, so far."""

    encodings: ClassVar[frozenset[bytes]] = frozenset({b"binary/wrapped"})

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/wrapped"}, data=payload.SerializeToString())
            for payload in payloads
        ]

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(payload.data)
            if payload.metadata.get("encoding") in Wraps.encodings
            else payload
            for payload in payloads
        ]


class HidesAnEncoding(Wraps):
    encodings: ClassVar[frozenset[bytes]] = frozenset({b"binary/other"})


class DoesNotLeaveAlone(Wraps):
    def leaves_alone(self, payload: Payload) -> bool:
        return not payload.data


BROKEN: list[Callable[[], PayloadCodec]] = [
    Mutates,
    MutatesOnDecode,
    Drops,
    Merges,
    Deduplicates,
    Reorders,
    LosesMetadata,
    LosesExternalPayloads,
    NeedsAPayload,
    ReturnsItsInput,
    DiffersInParts,
    DiffersWithoutALoop,
    SharesAState,
    ForgetsTheContract,
]

LOOPS: Final = {"test_event_loops_may_follow_each_other", "test_event_loops_may_run_at_once"}
FORK: Final = {"test_it_works_on_both_sides_of_a_fork"}
# What nothing but these tests finds.
FOUND_BY: list[tuple[Callable[[], PayloadCodec], set[str]]] = [
    (SlowContext, {"test_a_context_costs_next_to_nothing"}),
    (KeepsALock, LOOPS),
    (MixesUpLoops, {"test_event_loops_may_run_at_once"}),
    (StaysLockedOnEncode, {"test_a_cancelled_encode_harms_nobody"}),
    (StaysLockedOnDecode, {"test_a_cancelled_decode_harms_nobody"}),
    (CancelsOthersOnEncode, {"test_a_cancelled_encode_harms_nobody"}),
    (CancelsOthersOnDecode, {"test_a_cancelled_decode_harms_nobody"}),
    (StaysCancelled, {"test_a_cancelled_encode_harms_nobody"}),
    (KnowsOnlyItsProcess, FORK),
    (ParentCannotRead, FORK),
    (ChildCannotRead, FORK),
    (NeedsItsThread, FORK),
    (HidesAnEncoding, {"test_it_does_what_it_says_of_itself"}),
    (DoesNotLeaveAlone, {"test_it_does_what_it_says_of_itself"}),
]


def run(suite: PayloadCodecConformance) -> dict[str, Exception]:
    """The tests of a suite that fail, without a test runner."""
    failed: dict[str, Exception] = {}
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite, name)()
            except Exception as err:  # noqa: BLE001 - a broken codec may raise anything
                failed[name] = err
    return failed


def suite_of(
    make: Callable[[], PayloadCodec], seconds: float = PayloadCodecConformance.patience
) -> PayloadCodecConformance:
    """The suite for one kind of codec."""

    class Suite(PayloadCodecConformance):
        patience = seconds

        def codec(self) -> PayloadCodec:
            return make()

        def samples(self) -> list[Payload]:
            return [payload for payload in super().samples() if len(payload.data) < 1000]

        def foreign(self) -> list[Payload]:
            return FOREIGN

    return Suite()


@pytest.mark.parametrize("make", BROKEN)
def test_suite_finds_what_is_broken(make: Callable[[], PayloadCodec]) -> None:
    """Each of these codecs breaks the contract in one way, and fails at least one test."""
    assert run(suite_of(make))


@pytest.mark.parametrize(("make", "tests"), FOUND_BY)
def test_suite_finds_what_shows_in_use(make: Callable[[], PayloadCodec], tests: set[str]) -> None:
    """Each of these works for one caller in one process, and fails the tests that are about it."""
    assert tests == set(run(suite_of(make, seconds=1.0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (StaysLockedOnEncode, "the codec hangs: it was not done after 0.5 s"),
        (NeedsItsThread, "it hangs after a fork: not done after 0.5 s"),
        (ChildCannotRead, "it does not work after a fork: ValueError"),
    ],
)
def test_suite_says_what_happened(make: Callable[[], PayloadCodec], message: str) -> None:
    """A codec that never comes back, or fails in a child process, is a failure with a message."""
    failed = run(suite_of(make, seconds=0.5))
    assert [message] == [str(err).partition("\n")[0] for err in failed.values()]


def test_suite_accepts_codecs_that_are_right() -> None:
    """So the failures above are due to what was broken."""
    assert {} == run(suite_of(Broken))
    assert {} == run(suite_of(Wraps))


def test_suite_needs_a_codec() -> None:
    """Without an override every test fails rather than passing empty."""
    suite = PayloadCodecConformance()
    tests = [name for name in dir(suite) if name.startswith("test_")]

    assert tests == list(run(suite))

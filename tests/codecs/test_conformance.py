"""The published contract of a codec, run over each of ours and over broken ones."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import temporalio.converter

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PayloadCodec,
    PolicyMode,
)
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import Payload
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
    DiffersWithoutALoop,
    SharesAState,
    ForgetsTheContract,
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


def suite_of(make: Callable[[], PayloadCodec]) -> PayloadCodecConformance:
    """The suite for one kind of codec."""

    class Suite(PayloadCodecConformance):
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


def test_suite_accepts_the_codec_that_does_nothing() -> None:
    """So the failures above are due to what was broken."""
    assert {} == run(suite_of(Broken))


def test_suite_needs_a_codec() -> None:
    """Without an override every test fails rather than passing empty."""
    suite = PayloadCodecConformance()
    tests = [name for name in dir(suite) if name.startswith("test_")]

    assert tests == list(run(suite))

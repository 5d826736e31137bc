"""Observed codecs: what the observer is told, and that nothing else changes."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import traceback
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from sealwire.codecs import (
    CodecChain,
    CodecEvent,
    CodecKind,
    CodecObserver,
    CompressionCodec,
    ContextualCodec,
    DecodePolicy,
    EncryptionCodec,
    ObservedCodec,
    PayloadCodec,
    PolicyMode,
    SyncPayloadCodec,
    observed,
    with_context,
)
from sealwire.config import Config, EncryptionOptions, KeyringOptions
from sealwire.errors import (
    ConfigurationError,
    DecryptError,
    KeyNotFoundError,
    UnencryptedPayloadError,
)
from sealwire.keys import Key, Keyring, KeySuite, LocalKeyWrapper, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing.codecs import PayloadCodecConformance

SECRET = b"attack at dawn, and bring a ladder"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=SECRET)
BATCH = [PLAIN, Payload(metadata={"encoding": b"json/plain"}, data=SECRET * 50)]


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[CodecEvent] = []

    def observe(self, event: CodecEvent) -> None:
        self.events.append(event)

    @property
    def last(self) -> CodecEvent:
        return self.events[-1]


class Loop:
    """Somebody else's codec, for an event loop only and of no kind."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=b"x" + payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data[1:]) for payload in payloads]


def keyring(*key_ids: str) -> Keyring:
    interop = Key("i", bytes(range(32)), suite=KeySuite.INTEROP)
    keys = (Key(key_id, bytes(range(len(key_id), 32 + len(key_id)))) for key_id in key_ids)
    return Keyring(StaticKeyProvider(interop, *keys))


def encryption(mode: PolicyMode = PolicyMode.STRICT, **options: Any) -> EncryptionCodec:
    return EncryptionCodec(keyring("k"), "default", DecodePolicy(mode), **options)


def sync(codec: PayloadCodec) -> SyncPayloadCodec:
    assert isinstance(codec, SyncPayloadCodec)
    return codec


def size(payloads: Sequence[Payload]) -> int:
    return sum(len(payload.SerializeToString()) for payload in payloads)


class TestObservedEncryption(PayloadCodecConformance):
    """An observed codec keeps the contract of the one inside."""

    def codec(self) -> PayloadCodec:
        return observed(encryption(), Recorder())


class TestObservedChain(PayloadCodecConformance):
    """So does a chain of observed codecs, even if the observer fails."""

    def codec(self) -> PayloadCodec:
        return observed(CodecChain(CompressionCodec(), encryption()), Fails())


class TestObservedForeignCodec(PayloadCodecConformance):
    """So does a codec that knows nothing of sealwire."""

    def codec(self) -> PayloadCodec:
        return observed(Loop(), Recorder())


async def test_both_ways_are_reported() -> None:
    """Encoding and decoding give one event each, with sizes, time and keys."""
    recorder = Recorder()
    codec = observed(encryption(), recorder)
    outer = await codec.encode(BATCH)
    encoded = recorder.last
    assert BATCH == await codec.decode(outer)

    assert ("EncryptionCodec", "encode", 2) == (encoded.codec, encoded.operation, encoded.payloads)
    assert (size(BATCH), size(outer)) == (encoded.bytes_in, encoded.bytes_out)
    assert (("k", 2),) == encoded.key_ids
    assert (None, None) == (encoded.error, encoded.error_key_id)
    assert encoded.seconds > 0
    decoded = recorder.last
    expected = dataclasses.replace(
        encoded,
        operation="decode",
        bytes_in=encoded.bytes_out,
        bytes_out=encoded.bytes_in,
        seconds=decoded.seconds,
    )
    assert expected == decoded
    assert 2 == len(recorder.events)


def test_without_an_event_loop_the_same_is_reported() -> None:
    """The synchronous methods give the same events."""
    by_loop, without = Recorder(), Recorder()
    codec = observed(encryption(), by_loop)
    asyncio.run(codec.decode(asyncio.run(codec.encode(BATCH))))
    blocking = sync(observed(encryption(), without))
    assert BATCH == blocking.decode_sync(blocking.encode_sync(BATCH))

    timeless = [
        [dataclasses.replace(event, seconds=0) for event in recorder.events]
        for recorder in (by_loop, without)
    ]
    assert timeless[0] == timeless[1]


def test_the_time_includes_the_wait() -> None:
    """A codec that waits is measured to its end, and not to its first await."""
    recorder = Recorder()

    class Waits(Loop):
        async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
            await asyncio.to_thread(sum, range(1_000_000))
            return await super().encode(payloads)

    asyncio.run(observed(Waits(), recorder).encode([]))
    asyncio.run(observed(Loop(), recorder).encode([]))
    slow, quick = (event.seconds for event in recorder.events)
    assert slow > quick


def test_keys_are_counted_apart() -> None:
    """A batch sealed with two keys names both, and how many payloads each sealed."""
    recorder = Recorder()
    old = EncryptionCodec(keyring("old"), "default").encode_sync(BATCH)
    new = EncryptionCodec(keyring("newer"), "default").encode_sync(BATCH[:1])
    both = EncryptionCodec(keyring("old", "newer"), "default")
    sync(observed(both, recorder)).decode_sync([*old, *new])

    assert {"old": 2, "newer": 1} == dict(recorder.last.key_ids)


def test_what_was_encrypted_before_uses_no_key() -> None:
    """Payloads that the codec leaves alone on encode are not counted for a key."""
    recorder = Recorder()
    codec = encryption()
    outer = codec.encode_sync(BATCH)
    assert outer == sync(observed(codec, recorder)).encode_sync(outer)

    assert () == recorder.last.key_ids
    assert 0 == recorder.last.plaintext


@pytest.mark.parametrize("mode", [PolicyMode.MIGRATE, PolicyMode.OPEN])
def test_accepted_plaintext_is_reported(mode: PolicyMode) -> None:
    """Payloads without encryption that the policy lets pass are counted, and name no key."""
    recorder = Recorder()
    codec = sync(observed(encryption(mode), recorder))
    codec.decode_sync([PLAIN, *codec.encode_sync(BATCH), PLAIN, Payload()])

    assert (3, 0, (("k", 2),)) == (
        recorder.last.plaintext,
        recorder.last.interop,
        recorder.last.key_ids,
    )


def test_accepted_interop_payloads_are_reported() -> None:
    """Payloads in the format that binds no context are counted on decode only."""
    recorder = Recorder()
    codec = sync(observed(encryption(format="interop"), recorder))
    codec.decode_sync([*codec.encode_sync(BATCH), *encryption().encode_sync(BATCH)])
    encoded, decoded = recorder.events

    assert (0, 2) == (encoded.interop, decoded.interop)
    assert {"i": 2, "k": 2} == dict(decoded.key_ids)


def test_a_refusal_is_reported() -> None:
    """Plaintext that a strict policy refuses is an event with the error, which is raised, too."""
    recorder = Recorder()
    codec = sync(observed(encryption(), recorder))
    with pytest.raises(UnencryptedPayloadError):
        codec.decode_sync([PLAIN])

    event = recorder.last
    assert ("decode", 1, size([PLAIN]), 0) == (
        event.operation,
        event.payloads,
        event.bytes_in,
        event.bytes_out,
    )
    assert ("UnencryptedPayloadError", None) == (event.error, event.error_key_id)
    assert (0, ()) == (event.plaintext, event.key_ids)


async def test_a_missing_key_is_named() -> None:
    """The event of a missing key says which one it is."""
    recorder = Recorder()
    outer = await EncryptionCodec(keyring("gone"), "default").encode([PLAIN])
    with pytest.raises(KeyNotFoundError):
        await observed(encryption(), recorder).decode(outer)

    assert ("KeyNotFoundError", "gone") == (recorder.last.error, recorder.last.error_key_id)


def test_only_authentic_payloads_name_keys() -> None:
    """A batch with one forged payload names no key, although the others were authentic."""
    recorder = Recorder()
    codec = sync(observed(encryption(), recorder))
    good, forged = codec.encode_sync(BATCH)
    forged.data = forged.data[:-1] + bytes([forged.data[-1] ^ 1])
    with pytest.raises(DecryptError):
        codec.decode_sync([good, forged])

    assert () == recorder.last.key_ids


class Encrypts(Loop):
    """Somebody else's encryption, which takes any key id."""

    kind = CodecKind.ENCRYPT

    def __init__(self, key_id: bytes) -> None:
        self.key_id = key_id

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encryption-key-id": self.key_id}) for _ in payloads]


@pytest.mark.parametrize(
    ("key_id", "shown"),
    [
        (b"their/key", "their/key"),
        (b"", "invalid"),
        (b"two\nlines", "invalid"),
        (b"\xff", "invalid"),
        (b"a" * 201, "invalid"),
    ],
)
async def test_an_impossible_key_id_is_not_shown(key_id: bytes, shown: str) -> None:
    """A key id that could not be one of a keyring is called invalid."""
    recorder = Recorder()
    await observed(Encrypts(key_id), recorder).encode([PLAIN])

    assert ((shown, 1),) == recorder.last.key_ids


async def test_an_impossible_key_id_of_an_error_is_not_shown() -> None:
    """The same is true of what an error names."""

    class Refuses(Loop):
        async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
            raise KeyNotFoundError("none", key_id="two\nlines")

    recorder = Recorder()
    with pytest.raises(KeyNotFoundError):
        await observed(Refuses(), recorder).decode([PLAIN])

    assert "invalid" == recorder.last.error_key_id


def test_other_kinds_of_codecs_report_no_keys() -> None:
    """Entries that a compressing codec passes on are nobody's statement about keys."""
    recorder = Recorder()
    entry = {"encryption-key-id": b"made-up"}
    codec = sync(observed(CompressionCodec(), recorder))
    codec.decode_sync([*codec.encode_sync(BATCH), Payload(metadata=entry)])

    assert [(), ()] == [event.key_ids for event in recorder.events]
    assert 0 == recorder.last.plaintext


def test_an_event_has_nothing_of_the_content() -> None:
    """Neither the plaintext nor the ciphertext is in any field."""
    recorder = Recorder()
    codec = sync(observed(CodecChain(CompressionCodec(), encryption()), recorder))
    outer = codec.encode_sync(BATCH)
    codec.decode_sync(outer)
    with pytest.raises(UnencryptedPayloadError):
        codec.decode_sync(BATCH)
    shown = repr([dataclasses.asdict(event) for event in recorder.events])

    assert 5 == len(recorder.events)
    assert "dawn" not in shown
    assert repr(outer[0].data)[2:20] not in shown


async def test_cancellation_is_reported() -> None:
    """A call that is cancelled ends with an event, and is cancelled still."""
    recorder = Recorder()

    class Hangs(Loop):
        async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
            await asyncio.Event().wait()
            return []

    task = asyncio.create_task(observed(Hangs(), recorder).encode([PLAIN]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert "CancelledError" == recorder.last.error


class Fails:
    """An observer that is broken."""

    def observe(self, event: CodecEvent) -> None:
        raise RuntimeError("no space left")


def test_an_observer_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Payloads go through, and the failure is logged once for all contexts."""
    codec = observed(EncryptionCodec(keyring("k")), Fails())
    with caplog.at_level(logging.WARNING):
        for namespace in ("a", "b"):
            bound = sync(with_context(codec, SimpleNamespace(namespace=namespace)))
            assert BATCH == bound.decode_sync(bound.encode_sync(BATCH))

    [record] = caplog.records
    assert "Fails failed, which is logged only once" == record.getMessage()
    assert record.exc_info is not None
    frames = [frame for frame, _ in traceback.walk_tb(record.exc_info[2])]
    assert ["_tell", "observe"] == [frame.f_code.co_name for frame in frames]
    assert {"self", "event", "name"} >= {name for frame in frames for name in frame.f_locals}


def test_an_observer_that_fails_hides_no_error() -> None:
    """The codec's own error is the one that is raised."""
    with pytest.raises(UnencryptedPayloadError):
        sync(observed(encryption(), Fails())).decode_sync([PLAIN])


async def test_a_result_that_is_none_is_passed_on() -> None:
    """What a broken codec returns is not made worse by observing it."""

    class Broken(Loop):
        async def encode(self, payloads: Sequence[Payload]) -> Any:
            return None

    recorder = Recorder()
    assert await observed(Broken(), recorder).encode([PLAIN]) is None
    assert [] == recorder.events


def test_synchronous_methods_are_there_only_where_the_codec_has_them() -> None:
    """An observed codec is a `SyncPayloadCodec` exactly when the one inside is."""
    assert isinstance(observed(CompressionCodec(), Recorder()), SyncPayloadCodec)
    assert not isinstance(observed(Loop(), Recorder()), SyncPayloadCodec)
    assert isinstance(observed(Loop(), Recorder()), PayloadCodec)
    assert isinstance(Recorder(), CodecObserver)


def test_a_chain_names_the_codec_without_synchronous_methods() -> None:
    """Without an event loop a chain refuses such a codec as it does unobserved."""
    chain = observed(CodecChain(Loop()), Recorder())
    with pytest.raises(ConfigurationError, match="has no encode_sync"):
        sync(chain).encode_sync([PLAIN])


def test_the_kind_is_kept() -> None:
    """A chain checks the order of observed codecs like that of the codecs themselves."""
    parts = [observed(codec, Recorder()) for codec in (encryption(), CompressionCodec(), Loop())]
    kinds = [part.kind for part in parts if isinstance(part, ObservedCodec)]
    assert [CodecKind.ENCRYPT, CodecKind.COMPRESS, None] == kinds
    with pytest.raises(ConfigurationError, match="right order"):
        CodecChain(*parts)


def test_each_part_of_a_chain_is_observed() -> None:
    """The events come in the order of the calls, each with its codec's name."""
    recorder = Recorder()
    chain = sync(observed(CodecChain(CompressionCodec(), encryption()), recorder))
    chain.decode_sync(chain.encode_sync(BATCH))
    names = ["CompressionCodec", "EncryptionCodec"]

    assert names + names[::-1] == [event.codec for event in recorder.events]


def test_a_context_is_passed_on() -> None:
    """The codec inside gets the context; where it changes nothing, nothing is made."""
    recorder = Recorder()
    codec = observed(EncryptionCodec(keyring("k")), recorder)
    assert isinstance(codec, ContextualCodec)
    bound = sync(codec.with_context(SimpleNamespace(namespace="a")))
    outer = bound.encode_sync([PLAIN])

    assert [PLAIN] == EncryptionCodec(keyring("k"), "a").decode_sync(outer)
    assert 1 == len(recorder.events)
    settled = observed(encryption(), recorder)
    assert settled is with_context(settled, SimpleNamespace(namespace="default"))
    indifferent = observed(Loop(), recorder)
    assert indifferent is with_context(indifferent, SimpleNamespace(namespace="a"))


async def test_the_codecs_of_a_configuration_are_observed(tmp_path: Any) -> None:
    """A configuration with an observer has it told, and still finds its keys and namespaces."""
    recorder = Recorder()
    config = Config(
        KeyringOptions(tmp_path / "k.json", tmp_path / "k.key"),
        namespace="default",
        codecs=(CompressionCodec(), EncryptionOptions(accept_namespaces=frozenset({"old"}))),
        observer=recorder,
    )
    LocalKeyWrapper(config.keyring.key_file).create()
    await config.admin.create()
    assert not config.loaded_keyring.is_ready
    await config.load_keys()
    assert config.loaded_keyring.is_ready
    assert frozenset({"old"}) == config.accept_namespaces
    assert [] == recorder.events
    converter = config.data_converter()
    assert ["a"] == converter.decode_sync(converter.encode_sync(["a"]))
    assert 4 == len(recorder.events)


def test_without_an_observer_nothing_is_wrapped(tmp_path: Any) -> None:
    """The chain of a configuration without an observer holds the codecs themselves."""
    config = Config(KeyringOptions(tmp_path / "k.json", tmp_path / "k.key"))
    assert [CompressionCodec, EncryptionCodec] == [type(codec) for codec in config.codec().codecs]


def test_a_wrong_order_names_the_codecs_inside(tmp_path: Any) -> None:
    """An observer does not change what a configuration says about a chain."""
    codecs = (EncryptionOptions(), CompressionCodec())
    with pytest.raises(ConfigurationError, match="CompressionCodec cannot come after Encryption"):
        Config(KeyringOptions(tmp_path / "k"), codecs=codecs, observer=Recorder())

"""`EnvelopeEncryptionCodec`: what it writes, what it accepts back, and everything it refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodeCounters,
    DecodePolicy,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    PaddingCodec,
    PolicyMode,
    ReadAlsoCodec,
    SyncPayloadCodec,
    sealed,
)
from sealwire.codecs.enveloped import EnvelopedPayloads
from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    DecryptError,
    KeyLookupError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
    UnencryptedPayloadError,
)
from sealwire.keys import DataKeys, Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.keys.data_key import DataKey, pack_wraps, unpack_wraps
from sealwire.keys.document import Wrapping
from sealwire.keys.present_key import WrappedKey
from sealwire.payload import Payload
from sealwire.testing import FakeClock, ScriptedKeyWrapper
from sealwire.testing.strategies import payloads

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"the secret of the house"')
CHUNK = 16384 + 16
KEK = ScriptedKeyWrapper("kek")
FAR = ScriptedKeyWrapper("far")
CODEC = EnvelopeEncryptionCodec(
    DataKeys((KEK, FAR)), namespace="default", context={"team": "billing"}
)
KEYRING = Keyring(
    StaticKeyProvider(
        Key("k1", bytes(range(200, 232))), Key("i1", bytes(32), suite=KeySuite.INTEROP)
    )
)
SEALED_CODEC = EncryptionCodec(KEYRING, namespace="default", context={"team": "billing"})
INTEROP_CODEC = EncryptionCodec(KEYRING, namespace="default", format="interop")
EVERY_MODE = pytest.mark.parametrize("mode", PolicyMode)
WRAPPED = "encryption-wrapped-key"


def codec_of(*wrappers: ScriptedKeyWrapper, **options: Any) -> EnvelopeEncryptionCodec:
    """The codec of another process, for the namespace `default` unless told otherwise."""
    options.setdefault("namespace", "default")
    return EnvelopeEncryptionCodec(DataKeys(wrappers or KEK), **options)


def encoded(codec: Any, payload: Payload = PLAIN) -> Payload:
    """One payload, encoded."""
    [outer] = codec.encode_sync([payload])
    assert isinstance(outer, Payload)
    return outer


def decoded(codec: Any, payload: Payload) -> Payload:
    """One payload, decoded."""
    [inner] = codec.decode_sync([payload])
    assert isinstance(inner, Payload)
    return inner


def changed(payload: Payload, data: bytes | None = None, **entries: bytes | None) -> Payload:
    """A copy with other data, and with entries of the metadata set or, with None, removed."""
    metadata = dict(payload.metadata)
    for name, value in entries.items():
        key = name.replace("_", "-")
        metadata.pop(key, None)
        if value is not None:
            metadata[key] = value
    return Payload(metadata=metadata, data=payload.data if data is None else data)


def refused(
    codec: Any, payload: Payload, error: type[SealwireError] = DecryptError
) -> SealwireError:
    """Check that `payload` is refused with exactly this error, which is returned."""
    with pytest.raises(SealwireError) as caught:
        codec.decode_sync([payload])
    assert error is type(caught.value)
    return caught.value


def flips(data: bytes) -> Iterator[bytes]:
    """`data` with each of its bits flipped in turn."""
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def reader_of(mode: PolicyMode = PolicyMode.STRICT, **options: Any) -> EnvelopeEncryptionCodec:
    """A codec of the process of `CODEC`, whose questions for hostile wraps are not limited."""
    return replace(CODEC, policy=DecodePolicy(mode, **options))


def wraps_of(payload: Payload) -> tuple[Wrapping, ...]:
    """The wraps in a payload."""
    wraps = unpack_wraps(payload.metadata.get(WRAPPED, b""))
    assert wraps is not None
    return wraps


@pytest.fixture(autouse=True)
def _every_wrap_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lift the limit, so that what is refused is refused for what it is; others test the limit."""
    monkeypatch.setattr("sealwire.keys.unknown._BURST", 10**6)
    monkeypatch.setattr("sealwire.keys.unknown._RATE", 10.0**6)


@settings(deadline=None, max_examples=50)
@given(st.lists(payloads(), max_size=3))
def test_decode_undoes_encode(batch: list[Payload]) -> None:
    """Any payloads come back equal and in order, and the inputs stay as they were."""
    before = [payload.SerializeToString(deterministic=True) for payload in batch]

    outer = CODEC.encode_sync(batch)
    stored = [payload.SerializeToString(deterministic=True) for payload in outer]

    assert batch == CODEC.decode_sync(outer)
    assert before == [payload.SerializeToString(deterministic=True) for payload in batch]
    assert stored == [payload.SerializeToString(deterministic=True) for payload in outer]


@pytest.mark.parametrize("size", [0, 1, 16384, 32768, 128 * 1024, 1_000_003])
def test_every_size_is_read_back(size: int) -> None:
    """With its external payloads, which are copied outside, where a change has no effect."""
    inner = Payload(metadata={"encoding": b"binary/plain"}, data=bytes(size))
    inner.external_payloads.add(size_bytes=7)
    outer = encoded(CODEC, inner)
    assert [7] == [item.size_bytes for item in outer.external_payloads]
    outer.external_payloads[0].size_bytes = 8

    assert inner == decoded(codec_of(FAR), outer)


async def test_another_process_reads_async_and_sync() -> None:
    """It shares the key-encryption key and nothing else."""
    outer = await codec_of().encode([PLAIN] * 3)

    assert [PLAIN] * 3 == await codec_of().decode(outer)
    assert [PLAIN] * 3 == codec_of().decode_sync(outer)


def test_the_metadata_is_what_the_format_says() -> None:
    """Nothing of the inner metadata, nor of the plaintext, is seen outside."""
    outer = encoded(CODEC)
    names = {"encoding", "encryption-key-id", WRAPPED, "encryption-context"}

    assert names == set(outer.metadata)
    assert b"binary/enveloped-v1" == outer.metadata.get("encoding")
    assert ["far", "kek"] == [wrap.wrapper for wrap in wraps_of(outer)]
    assert b"secret" not in outer.SerializeToString()
    assert b"json/plain" not in outer.SerializeToString()


def test_equal_payloads_are_sealed_differently() -> None:
    """Under one data key, each has a salt of its own."""
    outer = CODEC.encode_sync([PLAIN] * 50)

    assert 1 == len({payload.metadata.get(WRAPPED) for payload in outer})
    assert 50 == len({payload.data[:24] for payload in outer})


def test_what_is_encrypted_is_never_encrypted_again() -> None:
    """In whatever format of ours, by either codec; and neither compressed nor padded."""
    outer = [encoded(codec) for codec in (CODEC, SEALED_CODEC, INTEROP_CODEC)]
    others: list[SyncPayloadCodec] = [
        codec_of(FAR),
        SEALED_CODEC,
        INTEROP_CODEC,
        CompressionCodec(),
        PaddingCodec(5000),
    ]

    for codec in others:
        assert outer == codec.encode_sync(outer)


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": b"binary/enveloped-v1"}, data=bytes(100)),
        changed(encoded(CODEC), note=b"x"),
        changed(encoded(CODEC), encryption_key_id=b"k1"),
        changed(encoded(CODEC), encryption_wrapped_key=None),
        changed(encoded(CODEC), encryption_wrapped_key=b"x"),
        changed(encoded(CODEC), bytes(71)),
    ],
)
def test_the_label_alone_does_not_pass_for_encryption(payload: Payload) -> None:
    """What only looks like it is sealed like any other payload, by either codec."""
    for codec in (CODEC, SEALED_CODEC):
        outer = encoded(codec, payload)
        assert payload != outer
        assert payload == decoded(codec, outer)


def test_every_flipped_bit_of_the_data_is_refused() -> None:
    """Whichever bit changes, the payload is not authentic."""
    outer = encoded(CODEC, Payload(data=b"ten bytes."))

    for data in flips(outer.data):
        refused(CODEC, changed(outer, data))


@EVERY_MODE
def test_no_flipped_bit_of_the_whole_payload_gives_another_value(mode: PolicyMode) -> None:
    """Also in framing, wraps and context: it is refused, or was not changed in what counts."""
    reader = reader_of(mode, require_context=False)
    parsed = 0

    for stored in flips(encoded(CODEC).SerializeToString()):
        try:
            payload = Payload.FromString(stored)
        except DecodeError:
            continue
        parsed += 1
        with suppress(DecryptError, KeyNotFoundError, UnencryptedPayloadError):
            assert decoded(reader, payload) == PLAIN
    assert parsed > 1500


@pytest.mark.parametrize("name", ["encoding", "encryption-key-id", WRAPPED, "encryption-context"])
def test_every_bit_of_the_metadata_is_authenticated(name: str) -> None:
    """With either key-encryption key, with both, and to a reader that has the data key already."""
    outer = encoded(CODEC)
    lenient = DecodePolicy(PolicyMode.OPEN, require_context=False)
    readers = [CODEC, *(codec_of(kek, policy=lenient) for kek in (KEK, FAR))]

    for value in flips(outer.metadata.get(name, b"")):
        for reader in readers:
            with pytest.raises((DecryptError, KeyNotFoundError)):
                reader.decode_sync([changed(outer, **{name: value})])


def test_every_truncation_is_refused() -> None:
    """Data cut off at any length, or with bytes added, is not authentic."""
    outer = encoded(CODEC, Payload(data=b"ten bytes."))

    for length in range(len(outer.data)):
        refused(CODEC, changed(outer, outer.data[:length]))
        if length:
            refused(CODEC, changed(outer, outer.data[length:]))
    for tail in (b"\0", b"\0" * 16, outer.data):
        refused(CODEC, changed(outer, outer.data + tail))


def test_truncated_wraps_are_refused() -> None:
    """And nobody is asked about them."""
    outer = encoded(CODEC)
    wraps = outer.metadata.get(WRAPPED, b"")
    reader = codec_of()
    KEK.unwraps.clear()

    for length in range(len(wraps)):
        refused(reader, changed(outer, encryption_wrapped_key=wraps[:length]))
    assert [] == KEK.unwraps


def test_chunks_cannot_be_edited() -> None:
    """Dropped, moved, doubled, or taken from another payload under the same key."""
    first, second = CODEC.encode_sync([Payload(data=bytes(50_000))] * 2)
    head, body = first.data[:56], first.data[56:]
    a, b, c, d = (body[at : at + CHUNK] for at in range(0, len(body), CHUNK))
    other = second.data[56 : 56 + CHUNK]

    assert decoded(CODEC, changed(first, head + a + b + c + d)).data == bytes(50_000)
    for chunks in ([b, a, c, d], [a, b, d], [a, b, c], [a, a, b, c, d], [other, b, c, d]):
        refused(CODEC, changed(first, head + b"".join(chunks)))
    refused(CODEC, changed(first, second.data[:56] + body))


METADATA_CHANGES: dict[str, dict[str, bytes | None]] = {
    "key id: of another data key": {"encryption_key_id": b"dk-" + b"0" * 32},
    "key id: removed": {"encryption_key_id": None},
    "key id: empty": {"encryption_key_id": b""},
    "key id: of the keyring": {"encryption_key_id": b"k1"},
    "key id: a path": {"encryption_key_id": b"../k1"},
    "wraps: removed": {"encryption_wrapped_key": None},
    "wraps: empty": {"encryption_wrapped_key": b""},
    "wraps: none": {"encryption_wrapped_key": bytes(4)},
    "wraps: under another name": {WRAPPED: None, "encryption_dek": b"x"},
    "encoding: removed": {"encoding": None},
    "encoding: sealed": {"encoding": b"binary/sealed-v1"},
    "encoding: interop": {"encoding": b"binary/encrypted"},
    "encoding: JSON": {"encoding": b"json/plain"},
    "encoding: a later version": {"encoding": b"binary/enveloped-v2"},
    "context: removed": {"encryption_context": None},
    "context: empty": {"encryption_context": b""},
    "context: no pairs": {"encryption_context": bytes(4)},
    "added: an entry": {"note": b"hello"},
    "added: an encryption entry": {"encryption_dek": b"x"},
    "added: a content id": {"encryption_content_id": bytes(32)},
}


@EVERY_MODE
@pytest.mark.parametrize("entries", METADATA_CHANGES.values(), ids=METADATA_CHANGES.keys())
def test_changed_metadata_is_refused(entries: dict[str, bytes | None], mode: PolicyMode) -> None:
    """Every entry is authenticated, in every policy, and none can be added or removed."""
    reader = reader_of(mode, require_context=False)
    bad = changed(encoded(CODEC), **entries)

    refused(reader, bad)
    assert PLAIN == decoded(reader, encoded(CODEC))
    refused(reader, bad)  # now that the codec has read such metadata, and remembers it


def test_wraps_cannot_be_taken_away_unnoticed() -> None:
    """Else the wrap for an emergency would be missing in the emergency."""
    outer = encoded(CODEC)
    far, kek = wraps_of(outer)

    for wraps in ([kek], [far], [kek, far, Wrapping("third", b"x")], [far, Wrapping("kek", b"x")]):
        for reader in (CODEC, codec_of(KEK, FAR)):
            refused(reader, changed(outer, encryption_wrapped_key=pack_wraps(wraps)))


def test_the_same_data_key_wrapped_again_is_refused() -> None:
    """Even by a key-encryption key of ours: the payload commits to its wraps."""
    outer = encoded(CODEC)
    far, kek = wraps_of(outer)
    secret = asyncio.run(KEK.unwrap(kek.key, "enveloped-v1/default"))
    again = Wrapping("kek", asyncio.run(KEK.wrap(secret, "enveloped-v1/default")))

    refused(CODEC, changed(outer, encryption_wrapped_key=pack_wraps([far, again])))


def test_data_cannot_move_to_another_data_key() -> None:
    """Nor a key's wraps to another id: the id is derived from the key."""
    reader = codec_of()
    one, two = encoded(codec_of()), encoded(codec_of())
    wraps, key_id = two.metadata.get(WRAPPED), two.metadata.get("encryption-key-id")

    assert [PLAIN, PLAIN] == reader.decode_sync([one, two])
    refused(reader, changed(one, two.data))
    refused(reader, changed(one, encryption_wrapped_key=wraps))
    refused(reader, changed(one, encryption_key_id=key_id))
    refused(reader, changed(one, encryption_wrapped_key=wraps, encryption_key_id=key_id))


def test_two_data_keys_in_one_payload_are_refused() -> None:
    """One under each key-encryption key, by somebody who may wrap: only the named one opens."""
    secrets = [bytes(range(start, start + 32)) for start in (100, 150)]
    wraps = [
        Wrapping(name, asyncio.run(kek.wrap(secret, "enveloped-v1/default")))
        for name, kek, secret in zip(("kek", "far"), (KEK, FAR), secrets, strict=True)
    ]
    forged = WrappedKey(DataKey(secrets[0]), pack_wraps(wraps))
    outer = EnvelopedPayloads(DecodePolicy(), {"namespace": "default"}).encrypt(forged, PLAIN)

    assert PLAIN == decoded(codec_of(KEK), outer)
    refused(codec_of(FAR), outer)


def test_a_data_key_has_no_other_id_than_its_own() -> None:
    """Not even where who holds the key has authenticated the other one."""
    outer = encoded(CODEC)
    metadata = {**outer.metadata, "encryption-key-id": DataKey(bytes(range(32))).id_bytes}
    context = sealed.authenticated_context(metadata, b"sealwire/enveloped-v1\x00")
    key = CODEC.data_keys.use().key

    refused(CODEC, Payload(metadata=metadata, data=sealed.seal(key, context, b"")))


def test_payloads_do_not_cross_namespaces() -> None:
    """Not by moving them, and not by adapting their context."""
    a, b = codec_of(namespace="a"), codec_of(namespace="b")
    context = encoded(b).metadata.get("encryption-context")

    error = refused(b, encoded(a), ContextMismatchError)
    assert "'a'" in str(error)
    refused(b, changed(encoded(a), encryption_context=context))
    accepting = codec_of(namespace="b", policy=DecodePolicy(accept_namespaces=frozenset({"a"})))
    assert PLAIN == decoded(accepting, encoded(a))


def test_the_context_is_compared_as_in_the_sealed_format() -> None:
    """The pairs that the decoder states, the namespace always, and what is missing by policy."""
    outer = encoded(codec_of(context={"team": "billing"}))
    lenient = DecodePolicy(require_context=False)
    accepting = DecodePolicy(accept_context={"team": frozenset({"billing"})})
    bare = encoded(codec_of(namespace=None, policy=lenient))

    assert PLAIN == decoded(codec_of(), outer)
    assert PLAIN == decoded(codec_of(context={"team": "x"}, policy=accepting), outer)
    refused(codec_of(context={"team": "x"}), outer, ContextMismatchError)
    refused(codec_of(context={"area": "x"}), outer, ContextMismatchError)
    assert "encryption-context" not in bare.metadata
    refused(codec_of(), bare, ContextMismatchError)
    assert PLAIN == decoded(codec_of(policy=lenient), bare)
    refused(codec_of(namespace=None), outer, ContextMismatchError)
    with pytest.raises(ContextMismatchError, match="set `namespace`"):
        encoded(codec_of(namespace=None))


@EVERY_MODE
def test_formats_cannot_be_relabelled(mode: PolicyMode) -> None:
    """Neither to the enveloped format nor from it, whatever entries are adapted."""
    policy = DecodePolicy(mode, require_context=False)
    envelope, keyring = replace(CODEC, policy=policy), replace(SEALED_CODEC, policy=policy)
    both = [ReadAlsoCodec(envelope, keyring), ReadAlsoCodec(keyring, envelope)]
    enveloped, seal = encoded(CODEC), encoded(SEALED_CODEC)
    wraps, key_id = enveloped.metadata.get(WRAPPED), enveloped.metadata.get("encryption-key-id")
    as_enveloped = changed(seal, encoding=b"binary/enveloped-v1", encryption_wrapped_key=wraps)
    as_sealed = changed(enveloped, encoding=b"binary/sealed-v1", encryption_wrapped_key=None)

    every: list[SyncPayloadCodec] = [envelope, keyring, *both]
    for codec in every:
        refused(codec, as_enveloped)
        refused(codec, changed(enveloped, encoding=b"binary/sealed-v1"))
        with pytest.raises((DecryptError, KeyNotFoundError)):
            codec.decode_sync([changed(enveloped, encoding=b"binary/encrypted")])
    for codec in (every[0], *both):
        refused(codec, changed(as_enveloped, encryption_key_id=key_id))
    for codec in (every[1], *both):
        refused(codec, changed(as_sealed, encryption_key_id=b"k1"))
        refused(codec, as_sealed, KeyNotFoundError)


def test_authentic_data_that_is_no_payload_is_refused() -> None:
    """Whoever holds the data key could write it."""
    present = CODEC.data_keys.use()
    outer = encoded(CODEC)
    metadata = dict(outer.metadata)
    context = sealed.authenticated_context(metadata, b"sealwire/enveloped-v1\x00")

    refused(CODEC, changed(outer, sealed.seal(present.key, context, b"\xff\xff")))


def test_each_policy_treats_plaintext_as_in_the_sealed_format() -> None:
    """Strict refuses it, migrate counts it, and marks of encryption are refused by all."""
    foreign = Payload(metadata={"encoding": b"binary/encrypted", "encryption-dek": b"x"})
    counters = DecodeCounters()
    migrating = codec_of(policy=DecodePolicy(PolicyMode.MIGRATE), counters=counters)

    refused(codec_of(), PLAIN, UnencryptedPayloadError)
    assert PLAIN == decoded(migrating, PLAIN)
    assert {"json/plain": 1} == counters.plaintext
    refused(migrating, foreign)


def test_a_keyring_alone_refuses_enveloped_payloads_and_says_why() -> None:
    """And data keys alone refuse what is under a keyring, in either of its formats."""
    error = refused(SEALED_CODEC, encoded(CODEC), KeyLookupError)
    assert "EnvelopeEncryptionCodec" in str(error)
    assert 0 == error.index
    for codec in (SEALED_CODEC, INTEROP_CODEC):
        assert "ReadAlsoCodec" in str(refused(CODEC, encoded(codec), KeyLookupError))


async def test_a_keyring_is_not_asked_for_data_keys() -> None:
    """Also when another key of the batch is missing there."""
    asked: list[str] = []

    class Listening(StaticKeyProvider):
        async def get(self, key_id: str, tenant: str) -> Key:
            asked.append(key_id)
            return await super().get(key_id, tenant)

    keyring = Keyring(Listening(Key("other", bytes(range(100, 132)))))
    reader = EncryptionCodec(keyring, namespace="default")
    with pytest.raises(KeyNotFoundError):
        await reader.decode([encoded(SEALED_CODEC), encoded(CODEC)])

    assert [name for name in asked if name.startswith("dk-")] == []


async def test_one_codec_reads_what_both_wrote() -> None:
    """In one batch, in either direction, async and sync; it writes with the first."""
    batch = [Payload(data=b"%d" % number) for number in range(6)]
    writers = [CODEC, SEALED_CODEC, INTEROP_CODEC] * 2
    outer = [encoded(codec, item) for codec, item in zip(writers, batch, strict=True)]

    for first, second in ((CODEC, SEALED_CODEC), (SEALED_CODEC, CODEC)):
        both = ReadAlsoCodec(first, second)
        assert batch == await both.decode(outer)
        assert batch == both.decode_sync(outer)
        written = {encoded(both).metadata.get("encoding")}
        assert {item.metadata.get("encoding") for item in await both.encode([PLAIN])} == written
        assert {encoded(first).metadata.get("encoding")} == written
        assert outer == both.encode_sync(outer)
        assert [] == both.decode_sync([])


async def test_an_error_names_the_position_in_the_batch_of_both() -> None:
    """And not the one among the payloads of one codec."""
    both = ReadAlsoCodec(SEALED_CODEC, CODEC)
    enveloped, seal = encoded(CODEC), encoded(SEALED_CODEC)
    for bad in (changed(enveloped, enveloped.data[:-1]), changed(seal, seal.data[:-1])):
        batch = [enveloped, seal, enveloped, seal, bad]
        with pytest.raises(DecryptError) as caught:
            both.decode_sync(batch)
        assert 4 == caught.value.index
        with pytest.raises(DecryptError) as caught:
            await both.decode(batch)
        assert 4 == caught.value.index


def test_one_codec_of_both_takes_the_namespace_of_the_client() -> None:
    """For writing and for reading."""
    free = ReadAlsoCodec(EncryptionCodec(KEYRING), codec_of(namespace=None))
    bound = free.with_context(SimpleNamespace(namespace="a"))

    assert free is free.with_context(SimpleNamespace(namespace=None))
    assert PLAIN == decoded(bound, encoded(bound))
    assert PLAIN == decoded(bound, encoded(codec_of(namespace="a")))
    refused(bound, encoded(codec_of(namespace="b")), ContextMismatchError)


def test_two_codecs_of_the_same_formats_are_no_pair() -> None:
    """Which one reads would be a guess."""
    with pytest.raises(ConfigurationError, match="the same formats"):
        ReadAlsoCodec(CODEC, codec_of())


def test_the_codec_of_a_namespace_is_made_once() -> None:
    """It shares the data keys, and a configured namespace is not changed."""
    free = codec_of(namespace=None)
    bound = free.with_context(SimpleNamespace(namespace="a"))

    assert bound is free.with_context(SimpleNamespace(namespace="a"))
    assert free.data_keys is bound.data_keys
    assert bound is bound.with_context(SimpleNamespace(namespace="ReplayNamespace"))
    with pytest.raises(ConfigurationError, match="works in 'b'"):
        bound.with_context(SimpleNamespace(namespace="b"))
    with pytest.raises(ConfigurationError, match="as `namespace`"):
        codec_of(context={"namespace": "a"})


def test_a_chain_has_one_codec_for_encryption() -> None:
    """Two would encrypt twice; compression comes before it."""
    chain = CodecChain(CompressionCodec(), codec_of())
    large = Payload(data=bytes(5000))

    assert large == decoded(chain, encoded(chain, large))
    assert encoded(chain, large).ByteSize() < 1000
    with pytest.raises(ConfigurationError, match="encrypt twice"):
        CodecChain(codec_of(), SEALED_CODEC)
    with pytest.raises(ConfigurationError, match="cannot come after"):
        CodecChain(codec_of(), CompressionCodec())


def test_a_batch_of_many_keys_is_read() -> None:
    """A hundred processes wrote one history: more keys than may be asked for at once."""
    batch = [Payload(data=b"%d" % number) for number in range(100)]
    outer = [encoded(codec_of(), item) for item in batch]
    KEK.unwraps.clear()

    assert batch == codec_of().decode_sync(outer)
    assert 100 == len(KEK.unwraps)


async def test_what_was_decoded_before_a_missing_key_comes_once() -> None:
    """Keys come one after the other, and no payload is lost or repeated."""
    batch = [Payload(data=b"%d" % number) for number in range(6)]
    writers = [codec_of() for _ in range(3)]
    outer = [encoded(writers[i % 3], item) for i, item in enumerate(batch)]

    assert batch == await codec_of().decode(outer)
    with pytest.raises(DecryptError) as caught:
        await codec_of().decode([*outer, changed(outer[0], outer[0].data[:-1])])
    assert 6 == caught.value.index
    third = encoded(codec_of(FAR))
    with pytest.raises(KeyNotFoundError) as missing:
        await codec_of().decode([*outer, third])
    assert 6 == missing.value.index


def test_an_outage_is_worth_retrying_and_stops_no_heartbeat() -> None:
    """Reading what is not cached fails so; writing, and reading what is, goes on."""
    kek = ScriptedKeyWrapper("kek")
    codec, cold = codec_of(kek), codec_of(kek)
    outer = encoded(codec)
    kek.fault = KeyProviderUnavailableError("the service is down")

    error = refused(cold, outer, KeyProviderUnavailableError)
    assert 0 == error.index
    assert PLAIN == decoded(codec, encoded(codec))
    kek.fault = None
    assert PLAIN == decoded(cold, outer)


def test_hostile_payloads_make_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit in place again; the good ones of one's own process are read all the same."""
    monkeypatch.undo()
    clock, kek = FakeClock(), ScriptedKeyWrapper("kek")
    codec = EnvelopeEncryptionCodec(DataKeys(kek, clock=clock), "default")
    good = encoded(codec)
    kek.unwraps.clear()
    for number in range(10_000):
        wraps = pack_wraps([Wrapping("kek", b"hostile %d" % number)])
        with pytest.raises((DecryptError, KeyProviderUnavailableError)):
            codec.decode_sync([changed(good, encryption_wrapped_key=wraps)])

    assert 20 == len(kek.unwraps)
    assert PLAIN == decoded(codec, good)


def test_many_good_keys_pass_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of each question comes back once a payload was authentic."""
    monkeypatch.undo()
    clock, kek = FakeClock(), ScriptedKeyWrapper("kek")
    outer = [encoded(codec_of(kek)) for _ in range(100)]
    reader = EnvelopeEncryptionCodec(DataKeys(kek, clock=clock), "default")

    assert [PLAIN] * 100 == reader.decode_sync(outer)
    each = EnvelopeEncryptionCodec(DataKeys(kek, clock=clock), "default")
    assert [PLAIN] * 100 == [decoded(each, payload) for payload in outer]


async def test_many_tasks_with_keys_of_their_own_pass_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who finds no token waits for others, who give theirs back."""
    monkeypatch.undo()
    clock, kek = FakeClock(), ScriptedKeyWrapper("kek")
    outer = [encoded(codec_of(kek)) for _ in range(60)]
    reader = EnvelopeEncryptionCodec(DataKeys(kek, clock=clock), "default")
    gate = kek.hold()
    decoding = [asyncio.create_task(reader.decode([payload])) for payload in outer]
    await asyncio.to_thread(kek.asked.wait, 10)
    gate.set()

    assert [[PLAIN]] * 60 == await asyncio.gather(*decoding)


def test_threads_share_one_codec() -> None:
    """Eight threads encode and decode their own payloads and get nobody else's."""
    codec = codec_of()

    def work(number: int) -> bool:
        mine = [Payload(data=f"{number}/{i}".encode()) for i in range(50)]
        return mine == codec.decode_sync(codec.encode_sync(mine))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_headers_are_remembered_within_bounds() -> None:
    """Those of 256 kinds of authentic payloads; the oldest go first."""
    present = CODEC.data_keys.use()
    policy = DecodePolicy(accept_namespaces=frozenset(map(str, range(300))))
    reader = EnvelopedPayloads(policy, {"namespace": "default"})
    outer = [
        EnvelopedPayloads(DecodePolicy(), {"namespace": str(number)}).encrypt(present, PLAIN)
        for number in range(300)
    ]
    for payload in outer:
        assert PLAIN == reader.decrypt(payload, reader.header(payload), present.key)
    bad = changed(outer[-1], encryption_context=sealed.pack_context({"namespace": "0"}))
    with pytest.raises(DecryptError):
        reader.decrypt(bad, reader.header(bad), present.key)

    assert [False] * 44 + [True] * 256 == [reader.header(item).remembered for item in outer]
    assert not reader.header(bad).remembered


def test_errors_and_logs_tell_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither plaintext nor the content key is in a message, a log or the codec's text."""
    caplog.set_level(logging.DEBUG)
    outer = encoded(CODEC)
    key = CODEC.data_keys.use().key.content_key
    errors = [
        refused(CODEC, changed(outer, outer.data[:-1])),
        refused(codec_of(FAR), encoded(codec_of()), KeyNotFoundError),
        refused(codec_of(namespace="b"), encoded(codec_of()), ContextMismatchError),
        refused(CODEC, PLAIN, UnencryptedPayloadError),
    ]
    told = "".join([*(f"{err} {err!r} {vars(err)}" for err in errors), caplog.text, repr(CODEC)])

    assert "secret of the house" not in told
    assert key.hex() not in told
    assert repr(key)[2:-1] not in told
    assert all(err.__cause__ is None for err in errors)

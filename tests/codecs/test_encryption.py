"""`EncryptionCodec`: what it writes, what it accepts back, and everything it refuses."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire import tlv
from sealwire.codecs import (
    DecodeCounters,
    DecodePolicy,
    EncryptionCodec,
    PolicyMode,
    interop,
    sealed,
)
from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    DecryptError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyLookupError,
    KeyNotFoundError,
    SealwireError,
    UnencryptedPayloadError,
)
from sealwire.keys import Key, Keyring, KeySet, KeySuite, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing import FakeClock, ScriptedKeyProvider
from sealwire.testing.strategies import payloads

ROOT = bytes(range(200, 232))
OTHER_ROOT = bytes(range(150, 182))
# The key of the official samples, which is text.
SAMPLE_KEY = b"test-key-test-key-test-key-test!"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"the secret of the house"')
CHUNK = 16384 + 16

KEY = Key("k1", ROOT)
SECOND = Key("k2", OTHER_ROOT, encrypt_from=-1)
INTEROP = Key("i1", SAMPLE_KEY, suite=KeySuite.INTEROP)
KEYRING = Keyring(StaticKeyProvider(SECOND, KEY, INTEROP))

SEALED_CODEC = EncryptionCodec(KEYRING, namespace="default", context={"team": "billing"})
INTEROP_CODEC = EncryptionCodec(KEYRING, namespace="default", format="interop")
BOTH = pytest.mark.parametrize("codec", [SEALED_CODEC, INTEROP_CODEC], ids=["sealed", "interop"])
EVERY_MODE = pytest.mark.parametrize("mode", PolicyMode)


def is_plain(payload: Payload) -> bool:
    """Whether a payload does not claim to be encrypted already."""
    return payload.metadata.get("encoding") not in (b"binary/sealed-v1", b"binary/encrypted")


def keyring_of(*keys: Key) -> Keyring:
    """A keyring of these keys, the last one encrypting."""
    return Keyring(StaticKeyProvider(*keys))


def codec_of(*keys: Key, **options: Any) -> EncryptionCodec:
    """A codec with a keyring of its own, for the namespace `default` unless told otherwise."""
    options.setdefault("namespace", "default")
    return EncryptionCodec(keyring_of(*keys), **options)


def encoded(codec: EncryptionCodec, payload: Payload = PLAIN) -> Payload:
    """One payload, encoded."""
    [outer] = codec.encode_sync([payload])
    return outer


def decoded(codec: EncryptionCodec, payload: Payload) -> Payload:
    """One payload, decoded."""
    [inner] = codec.decode_sync([payload])
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
    codec: EncryptionCodec, payload: Payload, error: type[SealwireError] = DecryptError
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


@settings(deadline=None, max_examples=50)
@given(st.lists(payloads().filter(is_plain), max_size=3))
@BOTH
def test_decode_undoes_encode(codec: EncryptionCodec, batch: list[Payload]) -> None:
    """Any payloads come back equal and in order, and the inputs stay as they were."""
    before = [payload.SerializeToString(deterministic=True) for payload in batch]

    outer = codec.encode_sync(batch)
    sealed = [payload.SerializeToString(deterministic=True) for payload in outer]

    assert batch == codec.decode_sync(outer)
    assert before == [payload.SerializeToString(deterministic=True) for payload in batch]
    assert sealed == [payload.SerializeToString(deterministic=True) for payload in outer]


@pytest.mark.parametrize("size", [0, 1, 16380, 16384, 16385, 32768, 100_000])
@BOTH
def test_every_size_is_read_back(codec: EncryptionCodec, size: int) -> None:
    """Chunks have no edge at which data is lost."""
    payload = Payload(metadata={"encoding": b"binary/plain"}, data=bytes(size))

    assert payload == decoded(codec, encoded(codec, payload))


LARGE = 128 * 1024  # from here a payload is sealed in parts
EDGES = [LARGE - 1, LARGE, LARGE + 1, 1_000_003, 4 * 1024 * 1024, 5 * 1024 * 1024]


@pytest.mark.parametrize("size", EDGES)
@BOTH
def test_large_payloads_are_whole(codec: EncryptionCodec, size: int) -> None:
    """Sealed in parts or at once, metadata, data and sizes of external payloads come back."""
    inner = Payload(metadata={"encoding": b"binary/plain", "": b"\x12"}, data=random_bytes(size))
    inner.external_payloads.add(size_bytes=7)
    plain = Payload(data=inner.data)

    outer = codec.encode_sync([inner, plain])

    assert [inner, plain] == codec.decode_sync(outer)
    assert [7] == [item.size_bytes for item in outer[0].external_payloads]
    field_99 = b"\x9a\x06\x05hello"
    newer = Payload.FromString(inner.SerializeToString() + field_99)
    back = decoded(codec, encoded(codec, newer))
    assert newer == back
    assert field_99 in back.SerializeToString()


@pytest.mark.parametrize("size", [0, 1, *EDGES, 127 << 14, 128 << 14])
def test_the_size_of_a_sealed_payload_follows_from_the_inner_one(size: int) -> None:
    """Sealed in parts or at once, what is inside is serialized as protobuf does it."""
    inner = Payload(metadata=PLAIN.metadata, data=random_bytes(size))
    message = inner.ByteSize()

    assert 72 + message + 16 * (message // 16384) == len(encoded(SEALED_CODEC, inner).data)
    assert inner == decoded(SEALED_CODEC, encoded(SEALED_CODEC, inner))


@BOTH
def test_flipped_bits_of_a_large_payload_are_refused(codec: EncryptionCodec) -> None:
    """Also where they say where the data begins, which is read before anything is authentic."""
    inner = Payload(metadata=PLAIN.metadata, data=bytes(LARGE))
    outer = encoded(codec, inner)
    data = outer.data
    assert inner == decoded(codec, outer)

    for at in (*range(12, 120), len(data) // 2, *range(len(data) - 16, len(data))):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            refused(codec, changed(outer, flipped))


def random_bytes(size: int) -> bytes:
    """Bytes that differ everywhere, the same in every run."""
    return random.Random(size).randbytes(size)  # noqa: S311 - no secret


@BOTH
def test_large_payloads_of_many_threads_do_not_mix(codec: EncryptionCodec) -> None:
    """Each thread has room of its own, and a smaller payload has nothing of a larger one."""

    def work(number: int) -> bool:
        inner = [Payload(data=random_bytes(LARGE + size)) for size in (900_000, number, 40_000)]
        return inner == codec.decode_sync(codec.encode_sync(inner))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(24)))


@BOTH
async def test_async_and_sync_read_each_other(codec: EncryptionCodec) -> None:
    """Both ways of calling write and read the same format."""
    [from_sync] = codec.encode_sync([PLAIN])
    [from_async] = await codec.encode([PLAIN])

    assert dict(from_sync.metadata) == dict(from_async.metadata)
    assert [PLAIN, PLAIN] == await codec.decode([from_sync, from_async])
    assert [PLAIN, PLAIN] == codec.decode_sync([from_sync, from_async])


@BOTH
async def test_async_raises_what_sync_raises(codec: EncryptionCodec) -> None:
    """A changed payload is refused in both ways of calling, with its position."""
    good = encoded(codec)
    bad = changed(good, good.data[:-1])

    with pytest.raises(DecryptError) as caught:
        await codec.decode([good, good, bad])

    assert 2 == caught.value.index


async def test_keys_are_loaded_on_first_use() -> None:
    """A codec whose keyring was never touched encodes and decodes, async too."""
    codec, reader = codec_of(KEY), codec_of(KEY)

    outer = await codec.encode([PLAIN])

    assert [PLAIN] == await reader.decode(outer)


def test_sealed_metadata_is_encoding_key_id_and_context() -> None:
    """Nothing of the inner metadata is seen outside."""
    outer = encoded(SEALED_CODEC)

    assert b"binary/sealed-v1" == outer.metadata.get("encoding")
    assert b"k1" == outer.metadata.get("encryption-key-id")
    assert {"encoding", "encryption-key-id", "encryption-context"} == set(outer.metadata)


@BOTH
def test_equal_payloads_are_encrypted_differently(codec: EncryptionCodec) -> None:
    """No salt and no nonce is used twice, in a batch or between batches."""
    outer = [payload.data for payload in codec.encode_sync([PLAIN] * 50)] + [encoded(codec).data]

    assert 51 == len({data[:12] for data in outer})
    assert 51 == len(set(outer))


@BOTH
def test_ciphertext_shows_no_plaintext(codec: EncryptionCodec) -> None:
    """Neither the data nor the inner metadata is found in what is stored."""
    stored = encoded(codec).SerializeToString()

    assert b"secret" not in stored
    assert b"json/plain" not in stored


@BOTH
def test_encrypted_payload_is_returned_as_it_is(codec: EncryptionCodec) -> None:
    """What is encrypted already, in either format, is not encrypted again."""
    sealed, plain = encoded(SEALED_CODEC), PLAIN
    foreign = encoded(INTEROP_CODEC)

    outer = codec.encode_sync([sealed, plain, foreign])

    assert [sealed, foreign] == [outer[0], outer[2]]
    assert [PLAIN, PLAIN, PLAIN] == SEALED_CODEC.decode_sync(outer)


@BOTH
def test_external_payloads_are_copied_outside(codec: EncryptionCodec) -> None:
    """The server's size accounting sees them, and on decode the inner copy counts."""
    inner = Payload(data=b"x")
    inner.external_payloads.add(size_bytes=5000)
    outer = encoded(codec, inner)
    rewritten = Payload()
    rewritten.CopyFrom(outer)
    rewritten.external_payloads[0].size_bytes = 1
    rewritten.external_payloads.add(size_bytes=2)
    removed = changed(outer)

    assert [5000] == [item.size_bytes for item in outer.external_payloads]
    assert [inner] * 3 == codec.decode_sync([outer, rewritten, removed])


@BOTH
def test_unknown_fields_inside_survive(codec: EncryptionCodec) -> None:
    """A field that a newer server adds to Payload comes back byte for byte."""
    field_99 = b"\x9a\x06\x05hello"
    inner = Payload.FromString(PLAIN.SerializeToString() + field_99)

    back = decoded(codec, encoded(codec, inner))

    assert field_99 in back.SerializeToString()
    assert inner == back


@BOTH
def test_empty_batches_stay_empty(codec: EncryptionCodec) -> None:
    """No payloads in, none out."""
    assert [] == codec.encode_sync([])
    assert [] == codec.decode_sync([])


@BOTH
def test_every_flipped_bit_is_refused(codec: EncryptionCodec) -> None:
    """Whichever bit of the data changes, the payload is not authentic."""
    outer = encoded(codec, Payload(data=b"ten bytes."))

    for data in flips(outer.data):
        refused(codec, changed(outer, data))


@BOTH
def test_no_flipped_bit_of_the_whole_payload_gives_another_value(codec: EncryptionCodec) -> None:
    """Also in the framing: what still parses is refused, or was not changed in what counts."""
    lenient = replace(codec, policy=DecodePolicy(PolicyMode.MIGRATE, require_context=False))
    parsed = 0

    for stored in flips(encoded(codec).SerializeToString()):
        try:
            payload = Payload.FromString(stored)
        except DecodeError:
            continue
        parsed += 1
        with suppress(DecryptError, KeyNotFoundError, UnencryptedPayloadError):
            assert decoded(codec, payload) == PLAIN
        with suppress(DecryptError, KeyNotFoundError):
            assert decoded(lenient, payload) == PLAIN
    assert parsed > 800


@BOTH
def test_every_truncation_is_refused(codec: EncryptionCodec) -> None:
    """Data cut off at any length, or with bytes added, is not authentic."""
    outer = encoded(codec, Payload(data=b"ten bytes."))

    for length in range(len(outer.data)):
        refused(codec, changed(outer, outer.data[:length]))
        if length:
            refused(codec, changed(outer, outer.data[length:]))
    for tail in (b"\0", b"\0" * 16, outer.data):
        refused(codec, changed(outer, outer.data + tail))


def test_truncation_around_chunks_is_refused() -> None:
    """A long payload cannot be cut off at or near the end of a chunk."""
    data = encoded(SEALED_CODEC, Payload(data=bytes(2 * 16384))).data

    for edge in (56, 56 + CHUNK, 56 + 2 * CHUNK):
        for length in range(edge - 20, min(edge + 20, len(data))):
            refused(SEALED_CODEC, changed(encoded(SEALED_CODEC), data[:length]))


SIZES = [0, 1, 16_383, 16_384, 16_385, 32_768, 2 * 1024 * 1024]


def message_of(size: int) -> Payload:
    """A payload whose serialized form, what the chunks are of, has so many bytes."""
    payload = Payload(data=bytes(max(0, size)))
    while payload.ByteSize() > size:
        payload.data = payload.data[:-1]
    return payload


@pytest.mark.parametrize("size", SIZES)
def test_edited_chunks_are_refused(size: int) -> None:
    """Chunks cannot be dropped, moved, doubled, replaced or cut, wherever the message ends."""
    inner = message_of(size)
    outer = encoded(SEALED_CODEC, inner)
    head, body = outer.data[:56], outer.data[56:]
    chunks = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
    last = len(chunks) - 1

    def refuse(*edited: bytes) -> None:
        refused(SEALED_CODEC, changed(outer, head + b"".join(edited)))

    assert inner == decoded(SEALED_CODEC, changed(outer, head + b"".join(chunks)))
    for at in {0, 1, last // 2, last - 1, last} & set(range(len(chunks))):
        refuse(*chunks[:at], *chunks[at + 1 :])
        refuse(*chunks[:at], *chunks[at:][:1], *chunks[at:])
        refuse(*chunks[:at], chunks[at][:-1], *chunks[at + 1 :])
        refuse(*chunks[:at], chunks[at][1:], *chunks[at + 1 :])
        refuse(*chunks[:at])
        other = chunks[at - 1]
        if at and other != chunks[at]:
            refuse(*chunks[: at - 1], chunks[at], other, *chunks[at + 1 :])
            refuse(*chunks[:at], other, *chunks[at + 1 :])
    refuse(*chunks, encoded(SEALED_CODEC, inner).data[56:][:CHUNK])


def test_chunks_of_another_payload_are_refused() -> None:
    """A chunk fits the payload it was made for and no other."""
    first, second = SEALED_CODEC.encode_sync([Payload(data=bytes(20_000))] * 2)
    edge = 56 + CHUNK

    refused(SEALED_CODEC, changed(first, first.data[:edge] + second.data[edge:]))
    refused(SEALED_CODEC, changed(first, first.data[:56] + second.data[56:]))
    refused(SEALED_CODEC, changed(first, first.data[:24] + second.data[24:]))


METADATA_CHANGES: dict[str, dict[str, bytes | None]] = {
    "key id: another key of the keyring": {"encryption_key_id": b"k2"},
    "key id: a key of the other suite": {"encryption_key_id": b"i1"},
    "key id: removed": {"encryption_key_id": None},
    "key id: empty": {"encryption_key_id": b""},
    "key id: with a line break": {"encryption_key_id": b"k1\n"},
    "key id: not ASCII": {"encryption_key_id": b"k1\xff"},
    "key id: too long": {"encryption_key_id": b"k" * 201},
    "key id: a path": {"encryption_key_id": b"../k1"},
    "encoding: removed": {"encoding": None},
    "encoding: empty": {"encoding": b""},
    "encoding: interop": {"encoding": b"binary/encrypted"},
    "encoding: JSON": {"encoding": b"json/plain"},
    "encoding: null": {"encoding": b"binary/null"},
    "encoding: zstd": {"encoding": b"binary/zstd"},
    "encoding: in capitals": {"encoding": b"BINARY/SEALED-V1"},
    "encoding: a later version": {"encoding": b"binary/sealed-v2"},
    "context: removed": {"encryption_context": None},
    "context: empty": {"encryption_context": b""},
    "context: no pairs": {"encryption_context": bytes(4)},
    "added: an entry": {"note": b"hello"},
    "added: messageType": {"messageType": b"x"},
    "added: an encryption entry": {"encryption_dek": b"x"},
    "added: a content id": {"encryption_content_id": bytes(32)},
    "added: a short content id": {"encryption_content_id": b"x"},
}


@EVERY_MODE
@pytest.mark.parametrize("entries", METADATA_CHANGES.values(), ids=METADATA_CHANGES.keys())
def test_changed_metadata_is_refused(entries: dict[str, bytes | None], mode: PolicyMode) -> None:
    """Every entry outside is authenticated, in every policy, and none can be added or removed."""
    codec = EncryptionCodec(
        KEYRING,
        namespace="default",
        policy=DecodePolicy(mode, require_context=False),
        context={"team": "billing"},
    )
    bad = changed(encoded(SEALED_CODEC), **entries)

    refused(codec, bad)
    assert [PLAIN] * 2 == [decoded(codec, encoded(item)) for item in (codec, SEALED_CODEC)]
    refused(codec, bad)  # now that the codec has written and read such metadata, and remembers it


def test_every_bit_of_the_context_is_authenticated() -> None:
    """The stored context cannot be changed, even to a valid one."""
    outer = encoded(SEALED_CODEC)

    for context in flips(outer.metadata.get("encryption-context", b"")):
        refused(SEALED_CODEC, changed(outer, encryption_context=context))


@EVERY_MODE
@pytest.mark.parametrize("name", ["encoding", "encryption-key-id"])
@BOTH
def test_metadata_bits_are_never_ignored(
    codec: EncryptionCodec, name: str, mode: PolicyMode
) -> None:
    """With any bit of encoding or key id flipped the payload is refused, for whatever cause."""
    reader = EncryptionCodec(KEYRING, namespace="default", policy=DecodePolicy(mode))
    outer = encoded(codec)

    for value in flips(outer.metadata.get(name, b"")):
        with pytest.raises((DecryptError, KeyNotFoundError)):
            reader.decode_sync([changed(outer, **{name: value})])


@EVERY_MODE
@BOTH
def test_interop_metadata_is_exact(codec: EncryptionCodec, mode: PolicyMode) -> None:
    """No entry can be added in either format."""
    reader = EncryptionCodec(KEYRING, namespace="default", policy=DecodePolicy(mode))

    refused(reader, changed(encoded(codec), note=b"hello"))
    refused(reader, changed(encoded(codec), encryption_note=b"hello"))


@BOTH
def test_unknown_key_id_is_the_operators_business(codec: EncryptionCodec) -> None:
    """A well-formed id that the keyring lacks is told apart, with the id."""
    error = refused(codec, changed(encoded(codec), encryption_key_id=b"missing"), KeyNotFoundError)

    assert "missing" == error.key_id
    assert 0 == error.index


@BOTH
async def test_unknown_key_id_is_the_operators_business_in_async_use_too(
    codec: EncryptionCodec,
) -> None:
    """The provider is asked for the key, and its answer is final."""
    with pytest.raises(KeyNotFoundError):
        await codec.decode([changed(encoded(codec), encryption_key_id=b"missing-async")])


@BOTH
def test_data_cannot_move_to_another_key(codec: EncryptionCodec) -> None:
    """Data under one key is refused beside the id of another, in both directions."""
    suite = KeySuite.SEALED if codec is SEALED_CODEC else KeySuite.INTEROP
    first, second = Key("a", ROOT, suite=suite), Key("b", OTHER_ROOT, suite=suite)
    reader = codec_of(first, second, format=codec.format)
    one = encoded(codec_of(first, format=codec.format))
    two = encoded(codec_of(second, format=codec.format))

    assert [PLAIN, PLAIN] == reader.decode_sync([one, two])
    refused(reader, changed(one, two.data))
    refused(reader, changed(two, one.data))


def test_same_bytes_under_another_id_are_another_key() -> None:
    """The id is part of the derivation: equal material under two ids opens nothing of the other."""
    one, two = Key("a", ROOT), Key("b", ROOT)
    outer = encoded(codec_of(one))

    refused(codec_of(one, two), changed(outer, encryption_key_id=b"b"))


@EVERY_MODE
def test_sealed_cannot_be_relabelled_as_interop(mode: PolicyMode) -> None:
    """The key decides the algorithm, even when both keys have the same bytes."""
    twin = Key("twin", ROOT, suite=KeySuite.INTEROP)
    reader = EncryptionCodec(keyring_of(KEY, twin), namespace="default", policy=DecodePolicy(mode))
    bare = changed(encoded(SEALED_CODEC), encryption_context=None, encoding=b"binary/encrypted")

    refused(reader, bare)
    refused(reader, changed(bare, encryption_key_id=b"twin"))


@EVERY_MODE
def test_interop_cannot_be_relabelled_as_sealed(mode: PolicyMode) -> None:
    """An interop payload never passes for a sealed one."""
    twin = Key("twin", ROOT, suite=KeySuite.INTEROP)
    reader = EncryptionCodec(
        keyring_of(KEY, twin),
        namespace="default",
        policy=DecodePolicy(mode, require_context=False),
    )
    inner = Payload(data=bytes(100))  # long enough to be the data of a sealed payload
    outer = encoded(codec_of(twin, format="interop"), inner)

    assert inner == decoded(reader, outer)
    refused(reader, changed(outer, encoding=b"binary/sealed-v1"))
    refused(reader, changed(outer, encoding=b"binary/sealed-v1", encryption_key_id=b"k1"))


def test_authentic_message_that_is_no_payload_is_refused() -> None:
    """In the interop format too, where the published vectors do not look."""
    data = bytes(12) + AESGCM(SAMPLE_KEY).encrypt(bytes(12), b"\xff\xff\xff", None)

    refused(INTEROP_CODEC, changed(encoded(INTEROP_CODEC), data))


def test_each_namespace_reads_only_its_own() -> None:
    """Two namespaces in one process, a keyring each, cannot read each other."""
    a = codec_of(Key("a-key", ROOT), namespace="a")
    b = codec_of(Key("b-key", OTHER_ROOT), namespace="b")

    assert PLAIN == decoded(a, encoded(a))
    refused(b, encoded(a), KeyNotFoundError)
    refused(a, encoded(b), KeyNotFoundError)


def test_same_key_id_with_other_bytes_is_no_way_across() -> None:
    """Two keyrings may use one key id, and still read nothing of each other."""
    a = codec_of(Key("shared", ROOT), namespace="a")
    b = codec_of(Key("shared", OTHER_ROOT), namespace="b")

    refused(b, encoded(a))
    refused(a, encoded(b))


def test_same_key_is_no_way_across() -> None:
    """Even one and the same key in both keyrings does not carry a payload across."""
    a = codec_of(Key("shared", ROOT), namespace="a")
    b = codec_of(Key("shared", ROOT), namespace="b")

    error = refused(b, encoded(a), ContextMismatchError)

    assert "'a'" in str(error)
    assert "'b'" in str(error)


def test_stored_namespace_cannot_be_rewritten() -> None:
    """A payload moved to another namespace, its context adapted, is not authentic there."""
    a = codec_of(KEY, namespace="a")
    b = codec_of(KEY, namespace="b")
    context = encoded(b).metadata.get("encryption-context")

    refused(b, changed(encoded(a), encryption_context=context))


def test_accepted_namespace_is_read_beside_the_own() -> None:
    """`accept_namespaces` admits what it names and nothing else."""
    old, third = codec_of(KEY, namespace="old"), codec_of(KEY, namespace="third")
    new = codec_of(KEY, namespace="new", policy=DecodePolicy(accept_namespaces=frozenset({"old"})))

    assert [PLAIN, PLAIN] == new.decode_sync([encoded(old), encoded(new)])
    refused(new, encoded(third), ContextMismatchError)


def test_reader_without_a_namespace_needs_the_list() -> None:
    """A tool that works for no namespace reads only those it was told to accept."""
    outer = encoded(codec_of(KEY, namespace="a"))
    listed = DecodePolicy(accept_namespaces=frozenset({"a"}))

    assert PLAIN == decoded(codec_of(KEY, namespace=None, policy=listed), outer)
    refused(codec_of(KEY, namespace=None), outer, ContextMismatchError)


@pytest.mark.parametrize("pairs", [{}, {"team": "billing"}])
def test_reader_without_a_namespace_refuses_payloads_without_one(pairs: dict[str, str]) -> None:
    """Nothing to compare is no reason to accept: also if all else that is stated is equal."""
    loose = codec_of(KEY, namespace=None, policy=DecodePolicy(require_context=False), context=pairs)

    refused(codec_of(KEY, namespace=None, context=pairs), encoded(loose), ContextMismatchError)


def test_unknown_namespace_is_not_encoded() -> None:
    """With `require_context` nothing is written without a namespace, whatever other pairs exist."""
    codec = codec_of(KEY, namespace=None, context={"team": "billing"})

    with pytest.raises(ContextMismatchError, match="set `namespace`"):
        codec.encode_sync([PLAIN])


@pytest.mark.parametrize("pairs", [{}, {"team": "billing"}])
def test_context_can_be_left_out_for_migration(pairs: dict[str, str]) -> None:
    """Only `require_context = False` writes and reads payloads without a namespace."""
    loose = codec_of(KEY, namespace=None, policy=DecodePolicy(require_context=False), context=pairs)
    outer = encoded(loose)

    assert bool(pairs) == ("encryption-context" in outer.metadata)
    assert PLAIN == decoded(loose, outer)
    refused(codec_of(KEY), outer, ContextMismatchError)


def test_loose_reader_still_compares_namespaces() -> None:
    """`require_context = False` does not admit payloads of other namespaces."""
    loose = codec_of(KEY, namespace="b", policy=DecodePolicy(require_context=False))

    refused(loose, encoded(codec_of(KEY, namespace="a")), ContextMismatchError)


def test_pairs_that_the_decoder_states_are_compared() -> None:
    """Like the namespace: equal, or accepted by the policy, or refused, and the error says how."""
    outer = encoded(codec_of(KEY, context={"team": "billing", "häuser": "drei"}))
    accepting = DecodePolicy(accept_context={"team": frozenset({"audit", "billing"})})

    assert PLAIN == decoded(codec_of(KEY, context={"häuser": "drei", "team": "billing"}), outer)
    assert PLAIN == decoded(codec_of(KEY, context={"team": "x"}, policy=accepting), outer)
    error = refused(codec_of(KEY, context={"team": "x"}), outer, ContextMismatchError)
    assert "the team 'billing', and this decoder's is 'x'" in str(error)
    assert "accept_context, under 'team'" in str(error)


@pytest.mark.parametrize("name", ["area", "team"])
def test_each_pair_has_a_list_of_its_own(name: str) -> None:
    """What is accepted as a namespace is not accepted as anything else, nor the other way round."""
    outer = encoded(codec_of(KEY, context={name: "billing"}))
    elsewhere = encoded(codec_of(KEY, namespace="billing", context={name: "x"}))
    as_namespace = DecodePolicy(accept_namespaces=frozenset({"billing"}))
    as_pair = DecodePolicy(accept_context={name: frozenset({"billing"})})
    reader = codec_of(KEY, context={name: "x"})

    assert PLAIN == decoded(replace(reader, policy=as_pair), outer)
    assert PLAIN == decoded(replace(reader, policy=as_namespace), elsewhere)
    error = refused(replace(reader, policy=as_namespace), outer, ContextMismatchError)
    assert f"accept_context, under {name!r}" in str(error)
    error = refused(replace(reader, policy=as_pair), elsewhere, ContextMismatchError)
    assert "accept_namespaces" in str(error)


def test_pairs_that_the_decoder_does_not_state_are_not_compared() -> None:
    """They are authenticated, and otherwise the writer's own affair."""
    outer = encoded(codec_of(KEY, context={"team": "billing"}))

    assert PLAIN == decoded(codec_of(KEY), outer)


def test_a_pair_that_is_missing_is_refused_unless_the_policy_says_so() -> None:
    """What was sealed before the pair was configured needs `require_context = false`."""
    outer = encoded(codec_of(KEY))
    error = refused(codec_of(KEY, context={"team": "billing"}), outer, ContextMismatchError)
    lenient = DecodePolicy(require_context=False)

    assert "names no team" in str(error)
    assert PLAIN == decoded(codec_of(KEY, context={"team": "billing"}, policy=lenient), outer)
    other = encoded(codec_of(KEY, context={"team": "x"}))
    refused(codec_of(KEY, context={"team": "billing"}, policy=lenient), other, ContextMismatchError)


def test_bytes_that_are_no_text_equal_no_context() -> None:
    """A stored value that is not UTF-8 is never taken for the text that it would be shown as."""
    metadata = {
        "encoding": b"binary/sealed-v1",
        "encryption-key-id": b"k1",
        "encryption-context": tlv.pack({b"namespace": b"default", b"team": b"\xff"}),
    }
    data = sealed.seal(KEY, sealed.authenticated_context(metadata), PLAIN.SerializeToString())
    outer = Payload(metadata=metadata, data=data)

    assert PLAIN == decoded(codec_of(KEY), outer)
    for text in ("\\xff", "ÿ", "\ufffd"):
        error = refused(codec_of(KEY, context={"team": text}), outer, ContextMismatchError)
        assert str(error).isprintable()


@pytest.mark.parametrize(("key_id", "named"), [(b"k1", "k1"), (b"no id!", None)])
def test_a_malformed_payload_names_its_key_if_it_can(key_id: bytes, named: str | None) -> None:
    """What cannot be an id is a stranger's text, and is not repeated."""
    outer = changed(encoded(SEALED_CODEC), encryption_key_id=key_id, encryption_context=b"\xff")

    assert named == refused(SEALED_CODEC, outer).key_id


def test_namespace_among_the_pairs_is_refused() -> None:
    """There is one way to give the namespace."""
    with pytest.raises(ConfigurationError, match="`namespace`"):
        codec_of(KEY, context={"namespace": "a"})


def test_namespace_counts_among_the_pairs() -> None:
    """Sixteen pairs of one's own and the namespace are one too many."""
    pairs = {f"pair-{i}": "" for i in range(16)}

    with pytest.raises(ConfigurationError, match="17 pairs"):
        codec_of(KEY, context=pairs)
    with pytest.raises(ConfigurationError, match="17 pairs"):
        codec_of(KEY, namespace=None, context=pairs).with_context(SimpleNamespace(namespace="a"))


def test_unknown_format_is_refused() -> None:
    """The message lists the formats."""
    with pytest.raises(ConfigurationError, match="sealed-v1, interop"):
        codec_of(KEY, format="rot13")


def test_with_context_takes_the_namespace() -> None:
    """A codec without a namespace gets that of the client, and shares keys and counters."""
    codec = codec_of(KEY, namespace=None)

    bound = codec.with_context(SimpleNamespace(namespace="a", workflow_id="w"))

    assert "a" == bound.namespace
    assert bound is codec.with_context(SimpleNamespace(namespace="a"))  # and its caches
    assert codec.keyring is bound.keyring
    assert codec.counters is bound.counters
    assert PLAIN == decoded(codec_of(KEY, namespace="a"), encoded(bound))
    assert codec.namespace is None


def test_invented_namespaces_do_not_fill_memory() -> None:
    """The codecs of 256 namespaces are kept, and those of more are made anew each time."""
    codec = codec_of(KEY, namespace=None)
    contexts = [SimpleNamespace(namespace=f"made-up-{i}") for i in range(300)]

    kept = [codec.with_context(item) is codec.with_context(item) for item in contexts]

    assert [True] * 256 + [False] * 44 == kept
    assert "made-up-299" == codec.with_context(contexts[-1]).namespace


def test_a_codec_shows_its_configuration_alone() -> None:
    """Neither what it counted nor what it made of the keys stands in a log."""
    codec = codec_of(KEY, context={"team": "billing"}, key_aliases={"alias": "k1"})
    encoded(codec)

    assert (
        f"EncryptionCodec(keyring={codec.keyring!r}, namespace='default', "
        f"policy={codec.policy!r}, format='sealed-v1', context={{'team': 'billing'}}, "
        "content_ids=None)"
    ) == repr(codec)


def test_codecs_of_one_configuration_are_equal() -> None:
    """What a codec has counted and remembered is no difference; every option is one."""
    migrating = DecodePolicy(PolicyMode.MIGRATE)
    used, fresh = (EncryptionCodec(KEYRING, policy=migrating) for _ in range(2))
    used.with_context(SimpleNamespace(namespace="a")).decode_sync([PLAIN])

    assert fresh == used
    for other in (
        replace(used, keyring=keyring_of(KEY)),
        replace(used, namespace="a"),
        replace(used, policy=DecodePolicy()),
        replace(used, format="interop"),
        replace(used, context={"team": "billing"}),
        replace(used, key_aliases={"alias": "i1"}),
        replace(used, content_ids=1024),
    ):
        assert other != used


def test_a_codec_cannot_be_changed() -> None:
    """It is shared between contexts, threads and tasks: nobody may relax it for the others."""
    for name in ("keyring", "namespace", "policy", "format", "context"):
        with pytest.raises(AttributeError, match=name):
            setattr(SEALED_CODEC, name, None)


def test_codecs_of_two_contexts_do_not_mix() -> None:
    """Binding one codec to two namespaces gives two that refuse each other's payloads."""
    codec = codec_of(KEY, namespace=None)
    a, b = (codec.with_context(SimpleNamespace(namespace=name)) for name in "ab")

    assert PLAIN == decoded(a, encoded(a))
    refused(b, encoded(a), ContextMismatchError)


@pytest.mark.parametrize(
    "context",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(namespace=None),
        SimpleNamespace(namespace="default"),
        SimpleNamespace(namespace="ReplayNamespace"),
    ],
    ids=["none", "Nexus", "unknown", "its own", "the replayer's"],
)
def test_with_context_returns_the_codec_itself(context: object) -> None:
    """A context that says nothing new costs nothing."""
    assert SEALED_CODEC is SEALED_CODEC.with_context(context)


def test_replayer_does_not_give_a_namespace() -> None:
    """What the SDK's replayer calls its namespace is never written or compared."""
    codec = codec_of(KEY, namespace=None)

    assert codec is codec.with_context(SimpleNamespace(namespace="ReplayNamespace"))


def test_another_clients_namespace_is_a_mistake() -> None:
    """A codec configured for one namespace refuses to work for another."""
    with pytest.raises(ConfigurationError, match=r"'default'.*'elsewhere'"):
        SEALED_CODEC.with_context(SimpleNamespace(namespace="elsewhere"))


def test_strict_refuses_plaintext() -> None:
    """The error names the encoding, the position and the way out."""
    with pytest.raises(UnencryptedPayloadError, match="'migrate'") as caught:
        SEALED_CODEC.decode_sync([encoded(SEALED_CODEC), PLAIN])

    assert "json/plain" == caught.value.encoding
    assert 1 == caught.value.index


@pytest.mark.parametrize("encoding", [None, b"", b"json/plain", b"binary/zstd", b"\xff"])
def test_strict_refuses_plaintext_of_every_encoding(encoding: bytes | None) -> None:
    """No encoding is an exception, and the payload itself is left alone."""
    payload = Payload(data=b"x") if encoding is None else Payload(metadata={"encoding": encoding})
    before = payload.SerializeToString()

    refused(SEALED_CODEC, payload, UnencryptedPayloadError)
    assert before == payload.SerializeToString()


def test_migrate_counts_plaintext_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each encoding is logged the first time, and all are counted."""
    counters = DecodeCounters()
    codec = codec_of(KEY, policy=DecodePolicy(PolicyMode.MIGRATE), counters=counters)
    bare = Payload(data=b"bare")

    with caplog.at_level(logging.WARNING, "sealwire.codecs"):
        assert [PLAIN, bare, PLAIN] == codec.decode_sync([PLAIN, bare, PLAIN])
        assert [PLAIN] == codec.decode_sync([PLAIN])

    assert {"json/plain": 3, "none": 1} == counters.plaintext
    assert 1 == caplog.text.count("encoding json/plain")
    assert 1 == caplog.text.count("encoding none")
    assert "secret" not in caplog.text


def test_counters_are_shared_between_contexts(caplog: pytest.LogCaptureFixture) -> None:
    """Binding a codec anew for each group of payloads neither resets counts nor logs again."""
    codec = codec_of(KEY, namespace=None, policy=DecodePolicy(PolicyMode.MIGRATE))

    for _ in range(3):
        codec.with_context(SimpleNamespace(namespace="a")).decode_sync([PLAIN])

    assert {"json/plain": 3} == codec.counters.plaintext
    assert 1 == len(caplog.records)


def test_invented_encodings_do_not_fill_memory(caplog: pytest.LogCaptureFixture) -> None:
    """A server that makes up encodings gets a bounded number of counters and log lines."""
    codec = codec_of(KEY, policy=DecodePolicy(PolicyMode.MIGRATE))
    invented = [Payload(metadata={"encoding": f"made/up-{i}".encode()}) for i in range(500)]

    codec.decode_sync(invented)

    assert 500 == sum(codec.counters.plaintext.values())
    assert 400 == codec.counters.plaintext["others"]
    assert 101 == len(caplog.records)


def test_open_returns_plaintext_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """The policy `open` neither counts nor logs."""
    codec = codec_of(KEY, policy=DecodePolicy(PolicyMode.OPEN))

    assert PLAIN is decoded(codec, PLAIN)
    assert {} == codec.counters.plaintext
    assert [] == caplog.records


@EVERY_MODE
def test_interop_payloads_are_counted_while_migrating(
    mode: PolicyMode, caplog: pytest.LogCaptureFixture
) -> None:
    """Every policy reads the interop format under an interop key; `migrate` counts it."""
    codec = EncryptionCodec(KEYRING, namespace="default", policy=DecodePolicy(mode))
    counted = mode is PolicyMode.MIGRATE

    codec.decode_sync([encoded(INTEROP_CODEC)] * 3)

    assert ({"i1": 3} if counted else {}) == codec.counters.interop
    assert counted == ("key i1" in caplog.text)
    assert int(counted) == len(caplog.records)


def test_forged_interop_payloads_are_not_counted() -> None:
    """Only what was accepted counts."""
    codec = EncryptionCodec(KEYRING, policy=DecodePolicy(PolicyMode.MIGRATE))

    refused(codec, changed(encoded(INTEROP_CODEC), bytes(40)))

    assert {} == codec.counters.interop


def test_unknown_policy_is_refused() -> None:
    """The message lists the policies, which may be given as text."""
    assert PolicyMode.OPEN is DecodePolicy("open").mode  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="strict, migrate, open"):
        DecodePolicy("lenient")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_policy_is_a_value() -> None:
    """It cannot be relaxed where it is shared, and can be kept in a set."""
    policy = DecodePolicy(accept_context={"team": frozenset({"audit"})})

    with pytest.raises(AttributeError, match="mode"):
        setattr(policy, "mode", PolicyMode.OPEN)  # noqa: B010 - type checkers know it is frozen
    assert 1 == len({policy, DecodePolicy(accept_context={"team": frozenset({"audit"})})})


def sample_encode(payload: Payload) -> Payload:
    """What `encryption/codec.py` of Temporal's Python samples writes."""
    nonce = bytes(range(12))
    return Payload(
        metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"i1"},
        data=nonce + AESGCM(SAMPLE_KEY).encrypt(nonce, payload.SerializeToString(), None),
    )


def test_payload_of_the_official_sample_is_read() -> None:
    """The interop format is that of the samples, in both directions."""
    ours = encoded(INTEROP_CODEC)
    theirs = AESGCM(SAMPLE_KEY).decrypt(ours.data[:12], ours.data[12:], None)

    assert PLAIN == decoded(SEALED_CODEC, sample_encode(PLAIN))
    assert PLAIN == Payload.FromString(theirs)
    assert {"encoding": b"binary/encrypted", "encryption-key-id": b"i1"} == dict(ours.metadata)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_interop_keys_of_every_size_work(size: int) -> None:
    """AES-128, AES-192 and AES-256 are in use out there."""
    codec = codec_of(Key("i", bytes(range(size)), suite=KeySuite.INTEROP), format="interop")

    assert PLAIN == decoded(codec, encoded(codec))


def test_interop_data_has_at_least_28_bytes() -> None:
    """The empty payload is the shortest message; anything shorter is refused."""
    empty = encoded(INTEROP_CODEC, Payload())

    assert 28 == len(empty.data)
    assert Payload() == decoded(INTEROP_CODEC, empty)
    for size in range(28):
        refused(INTEROP_CODEC, changed(empty, bytes(size)))


@EVERY_MODE
@pytest.mark.parametrize(
    "payload",
    [
        changed(sample_encode(PLAIN), encryption_cipher=b"AES/CBC/PKCS5Padding"),
        changed(sample_encode(PLAIN), encryption_cipher=b"AES/GCM/NoPadding", note=b""),
        changed(sample_encode(PLAIN), encryption_dek=bytes(60)),
        changed(sample_encode(PLAIN), encryption_key_id=None),
        changed(sample_encode(PLAIN), b"gAAAAABl" + base64.b64encode(bytes(90)) + b"="),
        changed(sample_encode(PLAIN), b"vault:v1:" + base64.b64encode(bytes(60))),
    ],
    ids=["other cipher", "other entry", "wrapped key", "no key id", "Fernet", "Vault"],
)
def test_foreign_formats_of_the_same_name_are_refused(payload: Payload, mode: PolicyMode) -> None:
    """`binary/encrypted` means other things elsewhere; none of them is guessed at."""
    codec = EncryptionCodec(KEYRING, namespace="default", policy=DecodePolicy(mode))

    refused(codec, payload)


JAVA_KEY_ID = SAMPLE_KEY.decode()  # Java's sample takes the bytes of the id for the key
ALIASES = {"": "i1", JAVA_KEY_ID: "i1"}
QUIRKS = {
    "Go, without an id": changed(sample_encode(PLAIN), encryption_key_id=b""),
    "Java": changed(
        sample_encode(PLAIN),
        encryption_key_id=SAMPLE_KEY,
        encryption_cipher=b"AES/GCM/NoPadding",
    ),
}


@pytest.mark.parametrize("payload", QUIRKS.values(), ids=QUIRKS.keys())
async def test_ids_of_other_samples_are_read_by_an_alias(payload: Payload) -> None:
    """An id that is none leads to a key; without the alias the payload is refused."""
    refused(INTEROP_CODEC, payload)
    assert PLAIN == decoded(codec_of(INTEROP, key_aliases=ALIASES), payload)
    cold = codec_of(KEY, INTEROP, namespace=None, key_aliases=ALIASES)
    assert [PLAIN] == await cold.with_context(SimpleNamespace(namespace="a")).decode([payload])


def test_an_alias_of_a_key_that_is_missing_names_the_key() -> None:
    """The error is about the key that the operator can provide, and not about the odd id."""
    codec = codec_of(KEY, key_aliases={"": "go-fleet"})
    error = refused(codec, QUIRKS["Go, without an id"], KeyNotFoundError)

    assert "go-fleet" == error.key_id


def test_an_alias_opens_nothing_else() -> None:
    """A sealed payload is not read under an alias, nor an interop one under a sealed key."""
    codec = codec_of(KEY, key_aliases={"": "k1", "other": "k1"})

    refused(codec, changed(encoded(SEALED_CODEC), encryption_key_id=b"other"), KeyNotFoundError)
    refused(codec, QUIRKS["Go, without an id"])


def test_an_alias_of_the_empty_id_opens_nothing_without_an_id() -> None:
    """An id that is missing is not an empty one."""
    codec = codec_of(INTEROP, key_aliases={"": "i1"})
    outer = encoded(INTEROP_CODEC)

    assert PLAIN == decoded(codec, changed(outer, encryption_key_id=b""))
    refused(codec, changed(outer, encryption_key_id=None, other=b"x"))


def test_an_alias_leads_to_an_id() -> None:
    """What can be no key's id is refused when the codec is made, and aliases are not shown."""
    with pytest.raises(ConfigurationError, match="key_aliases"):
        codec_of(INTEROP, key_aliases={"a": "no id!"})
    assert JAVA_KEY_ID not in repr(codec_of(INTEROP, key_aliases=ALIASES))


def test_interop_key_warns_at_half_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    """At 2**31 messages the operator is told once to rotate."""
    counter = counter_at(2**31 - 2)
    codec = codec_of(INTEROP, format="interop", _messages=counter)

    counts: list[int] = []
    for _ in range(4):
        codec.encode_sync([PLAIN])
        counts.append(len(caplog.records))

    assert [0, 1, 1, 1] == counts
    assert "rotate" in caplog.text


def test_interop_key_stops_at_its_limit() -> None:
    """The message number 2**32 is the last, in every context that shares the codec."""
    codec = codec_of(INTEROP, namespace=None, format="interop", _messages=counter_at(2**32 - 1))

    assert PLAIN == decoded(codec, encoded(codec))
    for other in (codec, codec.with_context(SimpleNamespace(namespace="a"))):
        with pytest.raises(KeyLookupError, match="rotate") as caught:
            other.encode_sync([PLAIN])
        assert "i1" == caught.value.key_id


def counter_at(count: int) -> interop.MessageCounter:
    """A counter that has counted so many messages of the key `i1`."""
    return interop.MessageCounter({"i1": count})


def test_messages_are_counted_from_all_threads() -> None:
    """No message goes uncounted or is counted twice, and none is counted for another key."""
    counter = counter_at(2**32 - 200)
    counter.add("other")
    codec = codec_of(INTEROP, format="interop", _messages=counter)

    with ThreadPoolExecutor(8) as pool:
        assert 200 == len(list(pool.map(encoded, [codec] * 200)))
    with pytest.raises(KeyLookupError, match="rotate"):
        encoded(codec)
    counter.add("other")


def test_key_of_the_sealed_suite_has_no_interop_cipher() -> None:
    """The functions below the codec do not serve a key of the other suite either."""
    with pytest.raises(InvalidTag):
        interop.encrypt(KEY, (b"message", b""))
    with pytest.raises(InvalidTag):
        interop.decrypt(KEY, bytes(40))


def test_disabled_key_is_told_apart() -> None:
    """What a withdrawn key sealed is refused, and the operator knows why."""
    disabled = codec_of(Key("k1", ROOT, disabled=True))

    error = refused(disabled, encoded(SEALED_CODEC), KeyDisabledError)

    assert "k1" == error.key_id


@pytest.mark.parametrize("material", [ROOT, None])
def test_destroyed_key_is_told_apart(material: bytes | None) -> None:
    """What a destroyed key sealed is gone, also while its bytes are still around."""
    error = refused(
        codec_of(Key("k1", material, destroyed_at=1.0)), encoded(SEALED_CODEC), KeyDestroyedError
    )

    assert "1970-01-01" in str(error)


@pytest.mark.parametrize(
    "key",
    [Key("k", ROOT, disabled=True), Key("k", ROOT, encrypt_from=2**40), INTEROP],
    ids=["disabled", "pending", "of the other suite"],
)
async def test_nothing_is_written_without_an_active_key(key: Key) -> None:
    """Without a key that may encrypt, plaintext does not slip through."""
    with pytest.raises(KeyNotFoundError):
        codec_of(key).encode_sync([PLAIN])
    with pytest.raises(KeyNotFoundError):
        await codec_of(key).encode([PLAIN])


@pytest.mark.parametrize("encoding", [b"binary/sealed-v1", b"binary/encrypted"])
@BOTH
def test_label_alone_does_not_pass_for_encryption(codec: EncryptionCodec, encoding: bytes) -> None:
    """A payload that only says it is encrypted is encrypted, and comes back as it was."""
    liar = Payload(metadata={"encoding": encoding}, data=PLAIN.data)

    outer = encoded(codec, liar)

    assert PLAIN.data not in outer.SerializeToString()
    assert liar == decoded(codec, outer)


@pytest.mark.parametrize(
    "entries",
    [{"other": b"x"}, {"other": b"x", "encryption_key_id": None}, {"encryption_key_id": None}],
)
@BOTH
def test_other_metadata_does_not_pass_for_encryption(
    codec: EncryptionCodec, entries: dict[str, bytes | None]
) -> None:
    """With an entry too many or too few, what looks encrypted is encrypted like any other."""
    stranger = changed(encoded(codec), **entries)

    outer = encoded(codec, stranger)

    assert stranger != outer
    assert stranger == decoded(codec, outer)


@pytest.mark.parametrize(("codec", "least"), [(SEALED_CODEC, 72), (INTEROP_CODEC, 28)])
def test_what_is_too_short_does_not_pass_for_encryption(codec: EncryptionCodec, least: int) -> None:
    """Data without room for what every encrypted payload has is encrypted like any other."""
    metadata = encoded(codec).metadata
    short, possible = (Payload(metadata=metadata, data=bytes(size)) for size in (least - 1, least))

    assert [short] == codec.decode_sync(codec.encode_sync([short]))
    assert [possible] == codec.encode_sync([possible])


def test_nothing_to_encrypt_needs_no_key() -> None:
    """An empty batch, and one that is encrypted already, pass without an active key."""
    keyless = codec_of(Key("k", ROOT, disabled=True))
    sealed = encoded(SEALED_CODEC)

    assert [] == keyless.encode_sync([])
    assert [sealed] == keyless.encode_sync([sealed])


def test_withdrawn_key_is_refused_although_its_payloads_are_remembered() -> None:
    """The state of the key is looked up at every decode, and not remembered with the header."""
    clock = FakeClock()
    provider = ScriptedKeyProvider(Key("k", ROOT))
    codec = EncryptionCodec(Keyring(provider, clock=clock), namespace="default")
    outer = encoded(codec)
    assert PLAIN == decoded(codec, outer)

    provider.answer = KeySet((Key("k", ROOT, disabled=True),), 2)
    clock.advance(10_000)
    with pytest.raises(KeyDisabledError):
        codec.decode_sync([outer])


def test_old_and_pending_keys_are_read() -> None:
    """A key opens payloads before and after the time in which it encrypts."""
    old, new = Key("old", ROOT), Key("new", OTHER_ROOT, encrypt_from=5.0)
    pending = Key("new", OTHER_ROOT, encrypt_from=2**40)

    assert b"new" == encoded(codec_of(old, new)).metadata.get("encryption-key-id")
    assert PLAIN == decoded(codec_of(old, new), encoded(codec_of(old)))
    assert PLAIN == decoded(codec_of(old, pending), encoded(codec_of(new)))


class GrowingProvider:
    """A source of keys that lists one more each time it is asked."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys
        self.calls = 0

    async def snapshot(self, tenant: str) -> KeySet:
        self.calls += 1
        return KeySet(self.keys[: self.calls], self.calls)

    async def get(self, key_id: str, tenant: str) -> Key:
        raise KeyNotFoundError("every key is listed", key_id=key_id)

    async def aclose(self) -> None:
        pass


async def test_new_key_is_fetched_when_a_payload_names_it() -> None:
    """A reader that lacks a key asks once for the whole batch."""
    outer = encoded(codec_of(KEY))
    provider, sync_provider = GrowingProvider(SECOND, KEY), GrowingProvider(SECOND, KEY)

    codec = EncryptionCodec(Keyring(provider), namespace="default")
    sync_codec = EncryptionCodec(Keyring(sync_provider), namespace="default")

    assert [PLAIN, PLAIN] == await codec.decode([outer, outer])
    assert [PLAIN, PLAIN] == sync_codec.decode_sync([outer, outer])
    assert (2, 2) == (provider.calls, sync_provider.calls)


async def test_payloads_before_a_new_key_come_once() -> None:
    """What was decoded before the key was missed is neither lost nor repeated."""
    inner = [Payload(data=data) for data in (b"1", b"2", b"3")]
    outer = [
        encoded(codec_of(key), item) for key, item in zip((SECOND, KEY, SECOND), inner, strict=True)
    ]
    codec, sync_codec = (
        EncryptionCodec(Keyring(GrowingProvider(SECOND, KEY)), "default") for _ in range(2)
    )

    assert inner == await codec.decode(outer)
    assert inner == sync_codec.decode_sync(outer)


def test_malformed_key_ids_ask_nobody() -> None:
    """Only ids that could exist reach the provider."""
    provider = GrowingProvider(KEY)
    codec = EncryptionCodec(Keyring(provider), namespace="default")
    outer = encoded(codec)

    for key_id in (b"", b"../k1", b"k1\n", b"\xff", b"k" * 201):
        refused(codec, changed(outer, encryption_key_id=key_id))

    assert 1 == provider.calls


def failures() -> Iterator[SealwireError]:
    """One error of each kind that a codec raises on decode."""
    outer = encoded(SEALED_CODEC)
    interop_outer = encoded(INTEROP_CODEC)
    yield refused(SEALED_CODEC, changed(outer, outer.data[:-1]))
    yield refused(SEALED_CODEC, changed(outer, encoding=b"json/plain"))
    yield refused(SEALED_CODEC, changed(outer, encryption_key_id=b"missing"), KeyNotFoundError)
    yield refused(SEALED_CODEC, changed(outer, encryption_key_id=b"k2"))
    yield refused(SEALED_CODEC, changed(interop_outer, interop_outer.data[:-1]))
    yield refused(SEALED_CODEC, PLAIN, UnencryptedPayloadError)
    yield refused(codec_of(KEY, namespace="b"), outer, ContextMismatchError)
    yield refused(codec_of(Key("k1", ROOT, disabled=True)), outer, KeyDisabledError)
    yield refused(codec_of(Key("k1", ROOT, destroyed_at=1.0)), outer, KeyDestroyedError)


def test_errors_tell_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither plaintext nor key material is in a message, an attribute, a traceback or the log."""
    secrets = [b"secret of the house", ROOT, OTHER_ROOT, SAMPLE_KEY, KEY.content_key]
    forms = [
        form
        for secret in secrets
        for form in (
            secret.decode("latin-1"),
            repr(secret)[2:-1],
            secret.hex(),
            base64.b64encode(secret).decode().rstrip("="),
        )
    ]

    errors = list(failures())
    told = [
        *(f"{err} {err!r} {vars(err)}" for err in errors),
        *("".join(traceback.format_exception(err)) for err in errors),
        repr(SEALED_CODEC),
        caplog.text,
    ]

    assert 9 == len(errors)
    assert [] == [(form, text) for form in forms for text in told if form in text]


def test_all_causes_of_forgery_give_one_message() -> None:
    """An attacker learns nothing from the difference between a wrong key and a changed bit."""
    messages = {str(error) for error in failures() if isinstance(error, DecryptError)}

    assert 1 == len(messages)


def test_errors_do_not_carry_their_cause() -> None:
    """The library's own error is not chained: the SDK sends causes to the server."""
    outer = encoded(SEALED_CODEC)

    error = refused(SEALED_CODEC, changed(outer, outer.data[:-1]))

    assert error.__cause__ is None
    assert error.__suppress_context__


@BOTH
def test_threads_share_one_codec(codec: EncryptionCodec) -> None:
    """Eight threads encode and decode their own payloads and get nobody else's."""
    fresh = EncryptionCodec(keyring_of(KEY, INTEROP), namespace="default", format=codec.format)
    barrier = threading.Barrier(8)

    def work(number: int) -> bool:
        barrier.wait()
        mine = [Payload(data=f"{number}/{i}".encode()) for i in range(50)]
        return mine == fresh.decode_sync(fresh.encode_sync(mine))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


@BOTH
async def test_tasks_share_one_codec(codec: EncryptionCodec) -> None:
    """A hundred tasks at once get their own payloads back."""

    async def work(number: int) -> bool:
        mine = [Payload(data=f"{number}".encode())]
        return mine == await codec.decode(await codec.encode(mine))

    assert all(await asyncio.gather(*(work(number) for number in range(100))))


FORK = """
import os, sys, threading
from sealwire.codecs import EncryptionCodec
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import Payload

keys = Key("k", bytes(range(200, 232))), Key("i", bytes(range(32)), suite=KeySuite.INTEROP)
codec = EncryptionCodec(Keyring(StaticKeyProvider(*keys)), namespace="default", format=sys.argv[1])
plain = Payload(data=b"the same in both processes")
codec.encode_sync([plain])

readable, writable = os.pipe()
child = os.fork()
if not child:
    os.write(writable, codec.encode_sync([plain])[0].SerializeToString())
    os._exit(0)
[mine] = codec.encode_sync([plain])
assert os.waitpid(child, 0)[1] == 0
theirs = Payload.FromString(os.read(readable, 65536))
assert dict(mine.metadata) == dict(theirs.metadata)
assert mine.data[:12] != theirs.data[:12], "salt or nonce repeated"
assert codec.decode_sync([mine, theirs]) == [plain, plain]
print("both fresh")
"""


@BOTH
def test_forked_processes_do_not_repeat_randomness(codec: EncryptionCodec) -> None:
    """After a fork, parent and child draw different salts and read each other."""
    # A process of its own, because newer Pythons warn when one with threads forks.
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, codec.format],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ("both fresh\n", "") == (run.stdout, run.stderr)

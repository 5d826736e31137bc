"""`EncryptionCodec.rewrap`: another key, format, namespace or tenant, and no plaintext outside."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from sealwire.codecs import CodecChain, CompressionCodec, DecodePolicy, EncryptionCodec, PolicyMode
from sealwire.errors import (
    ContextMismatchError,
    DecryptError,
    KeyNotFoundError,
    SealwireError,
    UnencryptedPayloadError,
)
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import Payload

OLD = Key.generate("old")
NEW = Key.generate("new")
INTEROP = Key("shared", b"a-key-that-other-programs-share!", suite=KeySuite.INTEROP)
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"the secret of the house"')


def codec_of(*keys: Key, **options: Any) -> EncryptionCodec:
    options.setdefault("namespace", "default")
    return EncryptionCodec(Keyring(StaticKeyProvider(*keys)), **options)


BEFORE = codec_of(OLD, INTEROP)
AFTER = codec_of(OLD, INTEROP, NEW)


async def rewrapped(
    codec: EncryptionCodec, payloads: list[Payload], to: EncryptionCodec | None = None
) -> list[Payload]:
    """What both ways of calling give: equal but for what is random."""
    there, here = await codec.rewrap(payloads, to), codec.rewrap_sync(payloads, to)
    assert [dict(item.metadata) for item in there] == [dict(item.metadata) for item in here]
    return there


async def test_rewrapped_payloads_need_the_old_key_no_longer() -> None:
    """After a rotation, what was sealed before is under the new key, and still the same."""
    sealed = BEFORE.encode_sync([PLAIN, Payload()])

    outer = await rewrapped(AFTER, sealed)

    assert [b"new"] * 2 == [item.metadata.get("encryption-key-id") for item in outer]
    assert [PLAIN, Payload()] == codec_of(NEW).decode_sync(outer)
    assert [PLAIN, Payload()] == AFTER.decode_sync(sealed), "the inputs are as they were"


async def test_what_is_under_the_present_key_is_returned_as_it_is() -> None:
    """Running it twice changes nothing, so that it can be run again after an interruption."""
    once = await rewrapped(AFTER, BEFORE.encode_sync([PLAIN]))
    [twice] = await rewrapped(AFTER, once)

    assert twice is once[0]


async def test_what_is_under_the_present_key_is_authenticated_all_the_same() -> None:
    """A forgery does not pass for done."""
    [outer] = AFTER.encode_sync([PLAIN])
    forged = Payload(metadata=outer.metadata, data=outer.data[:-1] + bytes([outer.data[-1] ^ 1]))

    with pytest.raises(DecryptError) as caught:
        await AFTER.rewrap([outer, forged])
    assert 1 == caught.value.index


async def test_the_other_format_is_rewrapped() -> None:
    """From the interop format to the sealed one, and, where it is asked for, back."""
    interop = codec_of(OLD, INTEROP, NEW, format="interop")

    sealed = await rewrapped(AFTER, interop.encode_sync([PLAIN]))
    back = await rewrapped(AFTER, sealed, interop)

    assert b"binary/sealed-v1" == sealed[0].metadata.get("encoding")
    assert b"binary/encrypted" == back[0].metadata.get("encoding")
    assert [PLAIN] == codec_of(INTEROP).decode_sync(back)
    [unchanged] = await rewrapped(AFTER, back, interop)
    assert unchanged is back[0]


async def test_another_namespace_keyring_and_context() -> None:
    """The second codec decides what is written: for a move to another namespace or tenant."""
    target = codec_of(NEW, namespace="moved", context={"team": "audit"})
    sealed = BEFORE.encode_sync([PLAIN])

    outer = await rewrapped(BEFORE, sealed, target)

    assert [PLAIN] == target.decode_sync(outer)
    with pytest.raises(ContextMismatchError):
        codec_of(NEW).decode_sync(outer)
    same_key = codec_of(OLD, namespace="moved")
    assert [PLAIN] == same_key.decode_sync(await rewrapped(BEFORE, sealed, same_key))


@pytest.mark.parametrize("namespace", ["a", "zzzzzzzz"])
async def test_every_other_context_is_an_old_one(namespace: str) -> None:
    """The key alone does not make it current, whichever of the contexts comes first."""
    target = codec_of(OLD, namespace=namespace)

    outer = await rewrapped(BEFORE, BEFORE.encode_sync([PLAIN]), target)

    assert [PLAIN] == target.decode_sync(outer)


@pytest.mark.parametrize("new", ["a", "z"])
@pytest.mark.parametrize("suite", [KeySuite.SEALED, KeySuite.INTEROP])
async def test_every_other_key_is_an_old_one(suite: KeySuite, new: str) -> None:
    """Ids have no order: what the active key did not encrypt is encrypted anew, in both formats."""
    old_key = Key("m", bytes(range(100, 132)), suite=suite)
    new_key = Key(new, bytes(range(200, 232)), suite=suite)
    old, both = (codec_of(*keys, format=suite) for keys in ((old_key,), (old_key, new_key)))

    outer = await rewrapped(both, old.encode_sync([PLAIN]))

    assert [PLAIN] == codec_of(new_key).decode_sync(outer)


async def test_one_id_in_two_formats_is_two_keys() -> None:
    """What the other format's key of that id encrypted is not current."""
    loose = DecodePolicy(require_context=False)  # so that no context tells the two apart
    sealed = codec_of(Key.generate("shared"), namespace=None, policy=loose)
    interop = codec_of(INTEROP, namespace=None, policy=loose, format="interop")

    for source, target in ((sealed, interop), (interop, sealed)):
        outer = await rewrapped(source, source.encode_sync([PLAIN]), target)
        assert [PLAIN] == target.decode_sync(outer)


async def test_plaintext_is_sealed_where_the_policy_lets_it_in() -> None:
    """While migrating, plaintext is sealed and counted; a strict codec refuses it."""
    migrating = codec_of(NEW, policy=DecodePolicy(PolicyMode.MIGRATE))

    outer = await rewrapped(migrating, [PLAIN])

    assert [PLAIN] == codec_of(NEW).decode_sync(outer)
    assert {"json/plain": 2} == migrating.counters.plaintext
    with pytest.raises(UnencryptedPayloadError):
        await AFTER.rewrap([PLAIN])


async def test_what_a_chain_compressed_stays_compressed() -> None:
    """The inner payload is passed on as it is, whatever its encoding."""
    text = Payload(metadata={"encoding": b"json/plain"}, data=b"[" + b"1, " * 1000 + b"1]")
    chains = [CodecChain(CompressionCodec(), codec) for codec in (BEFORE, AFTER)]
    sealed = await chains[0].encode([text])

    outer = await rewrapped(AFTER, sealed)

    assert len(sealed[0].data) == len(outer[0].data)
    assert [text] == await chains[1].decode(outer)


@pytest.mark.parametrize("payload", BEFORE.encode_sync([PLAIN]))
@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        (codec_of(NEW), codec_of(NEW), KeyNotFoundError),
        (BEFORE, codec_of(INTEROP), KeyNotFoundError),
        (codec_of(OLD, namespace="other"), AFTER, ContextMismatchError),
        (BEFORE, codec_of(NEW, namespace=None), ContextMismatchError),
    ],
    ids=["no key to open", "no key to seal", "opened elsewhere", "sealed nowhere"],
)
async def test_a_failure_shows_no_plaintext(
    payload: Payload, source: EncryptionCodec, target: EncryptionCodec, error: type[SealwireError]
) -> None:
    """Whichever side fails, the error has neither the plaintext nor a key in it."""
    with pytest.raises(error) as caught:
        await source.rewrap([payload], target)
    text = "".join(traceback.format_exception(caught.value))
    assert "secret" not in text
    assert "a-key-that" not in text

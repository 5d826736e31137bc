"""Content ids: what they are made of, who gets one, and what they leave alone."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.codecs import EncryptionCodec, sealed
from sealwire.errors import ConfigurationError
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import CONTENT_ID, Payload
from sealwire.tlv import pack

CHECKOUT: Final = Path(__file__).parents[2]
VECTORS: Final[list[dict[str, Any]]] = [
    vector
    for vector in json.loads((CHECKOUT / "docs" / "vectors" / "sealed-v1.json").read_text())[
        "positives"
    ]
    if CONTENT_ID in vector["metadata"]
]
ROOT: Final = bytes(range(100, 132))
KEY: Final = Key("2026-01-k1", ROOT)


def codec(content_ids: int | None, key: Key = KEY, **options: Any) -> EncryptionCodec:
    return EncryptionCodec(
        Keyring(StaticKeyProvider(key)), "default", content_ids=content_ids, **options
    )


def sealed_with(codec: EncryptionCodec, payload: Payload) -> Payload:
    [outer] = codec.encode_sync([payload])
    assert [payload] == codec.decode_sync([outer])
    return outer


def of(size: int) -> Payload:
    return Payload(metadata={"encoding": b"binary/plain"}, data=bytes(size))


def data_of(vector: dict[str, Any]) -> bytes:
    data = vector["inner"]["data"]
    if isinstance(data, str):
        return bytes.fromhex(data)
    [part] = data
    pattern, length = bytes.fromhex(part["repeat"]), int(part["length"])
    return (pattern * (length // len(pattern) + 1))[:length]


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385, 32_767, 32_768, 32_769])
def test_the_size_is_known_before_it_is_sealed(size: int) -> None:
    """At the ends of chunks, each of which has a tag."""
    inner = of(size - (of(size - 100).ByteSize() - (size - 100)))
    assert size == inner.ByteSize()
    outer = sealed_with(codec(None), inner)
    empty = Payload()
    empty.CopyFrom(outer)
    empty.data = b""
    assert outer.ByteSize() == sealed.size_around(empty, inner)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_ids_are_the_published_ones(vector: dict[str, Any]) -> None:
    """As the reference and JavaScript compute them."""
    metadata = {name: bytes.fromhex(text) for name, text in vector["inner"]["metadata"].items()}
    key = Key(vector["kid"], bytes.fromhex(vector["root"]))
    outer = sealed_with(codec(1, key), Payload(metadata=metadata, data=data_of(vector)))
    assert vector["metadata"][CONTENT_ID] == outer.metadata[CONTENT_ID].hex()


def test_there_are_published_ids() -> None:
    """Else the test above would test nothing."""
    assert 4 == len(VECTORS)


def test_a_large_payload_is_covered_to_its_end() -> None:
    """Also where it is read piece by piece, as in a thread."""
    data = bytes(range(251)) * 5000
    payload = Payload(metadata={"encoding": b"binary/plain"}, data=data)
    entries = pack({b"encoding": b"binary/plain"})
    expected = hmac.digest(KEY.content_id_key, entries + data, hashlib.sha256)
    assert expected == sealed.content_id(KEY, payload)


@given(st.integers(0, 70_000))
def test_who_is_large_enough_gets_one(length: int) -> None:
    """Exactly those payloads whose stored size, the id included, reaches the threshold."""
    payload = of(length)
    size = sealed_with(codec(1), payload).ByteSize()
    found = [
        CONTENT_ID in sealed_with(codec(threshold), payload).metadata
        for threshold in (size, size + 1)
    ]
    assert [True, False] == found


def test_without_the_option_nobody_gets_one() -> None:
    """It shows which payloads are equal."""
    assert CONTENT_ID not in sealed_with(codec(None), of(100_000)).metadata


def test_what_is_not_covered_gets_none() -> None:
    """References to other payloads, and fields that this release does not know."""
    external = of(1000)
    external.external_payloads.add(size_bytes=1)
    unknown = Payload.FromString(of(1000).SerializeToString() + b"\xaa\x06\x01x")
    for payload in (external, unknown):
        assert CONTENT_ID not in sealed_with(codec(1), payload).metadata


def test_the_order_of_entries_does_not_matter() -> None:
    """A protobuf map has none."""
    one, other = of(1), of(1)
    for payload, names in ((one, "ab"), (other, "ba")):
        for name in names:
            payload.metadata[name] = name.encode()
    ids = {sealed_with(codec(1), item).metadata[CONTENT_ID] for item in (one, other)}
    assert 1 == len(ids)


def test_ids_of_one_content_differ_between_keys_only() -> None:
    """Not between sealings, contexts or namespaces."""
    payload = of(10)
    same = [codec(1), codec(1, context={"team": "a"}), codec(1).with_context(None)]
    same.append(EncryptionCodec(codec(1).keyring, "other", content_ids=1))
    assert 1 == len({sealed_with(one, payload).metadata[CONTENT_ID] for one in same})
    others = [Key("k2", ROOT), Key("2026-01-k1", ROOT[::-1])]
    ids = {sealed_with(codec(1, key), payload).metadata[CONTENT_ID] for key in (KEY, *others)}
    assert 3 == len(ids)


def test_a_namespace_from_the_context_keeps_the_option() -> None:
    """The copy of the codec for it gives ids, too."""

    class Context:
        namespace = "default"

    keyring = codec(1).keyring
    clone = EncryptionCodec(keyring, content_ids=1).with_context(Context())
    assert CONTENT_ID in sealed_with(clone, of(1)).metadata


def test_only_the_sealed_format_has_ids() -> None:
    """And a threshold is a number of bytes."""
    with pytest.raises(ConfigurationError, match="only for the sealed format"):
        codec(1, format="interop")
    with pytest.raises(ConfigurationError, match="above 0"):
        codec(0)


def test_only_keys_that_seal_have_a_key_for_ids() -> None:
    """It is derived for this one purpose, and shown nowhere."""
    assert 32 == len(KEY.content_id_key)
    assert KEY.content_id_key not in (KEY.content_key, ROOT)
    assert b"" == Key("k", ROOT, suite=KeySuite.INTEROP).content_id_key
    assert b"" == Key("k", None, destroyed_at=1.0).content_id_key
    assert KEY.content_id_key.hex() not in repr(KEY)

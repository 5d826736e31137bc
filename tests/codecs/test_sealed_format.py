"""`binary/sealed-v1`: the product, the published vectors and the reference agree."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

import sealwire.errors
from sealwire import tlv
from sealwire.codecs import DecodePolicy, EncryptionCodec, PolicyMode, interop, sealed
from sealwire.codecs.header import Header, Headers
from sealwire.errors import ConfigurationError, SealwireError
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.keys.key import derive
from sealwire.payload import Payload

Json = dict[str, Any]

CHECKOUT = Path(__file__).parents[2]
VECTORS: Json = json.loads((CHECKOUT / "docs/vectors/sealed-v1.json").read_text(encoding="utf-8"))
POSITIVES: dict[str, Json] = {vector["name"]: vector for vector in VECTORS["positives"]}
WYCHEPROOF = CHECKOUT.parent / "shared" / "vectors" / "wycheproof"

every_positive = pytest.mark.parametrize("vector", POSITIVES.values(), ids=POSITIVES.keys())


def codec_for(vector: Json, keys: list[Json]) -> EncryptionCodec:
    """The decoder that a vector describes."""
    decoder = vector["decoder"]
    provider = StaticKeyProvider(*(Key(key["kid"], bytes.fromhex(key["root"])) for key in keys))
    policy = DecodePolicy(
        PolicyMode(decoder["policy"]),
        require_context=decoder["require_context"],
        accept_namespaces=frozenset(decoder["accept_namespaces"]),
    )
    return EncryptionCodec(Keyring(provider), namespace=decoder["namespace"], policy=policy)


def writer_for(vector: Json) -> EncryptionCodec:
    """The encoder of a positive."""
    pairs = dict(vector["context"] or [])
    namespace = pairs.pop("namespace", None)
    return EncryptionCodec(
        Keyring(StaticKeyProvider(Key(vector["kid"], bytes.fromhex(vector["root"])))),
        namespace=namespace,
        policy=DecodePolicy(require_context=namespace is not None),
        context=pairs,
    )


def unhexed(metadata: dict[str, str]) -> dict[str, bytes]:
    """Metadata as it stands in a payload."""
    return {name: bytes.fromhex(value) for name, value in metadata.items()}


def sealed_by_reference(vector: Json, make_vectors: ModuleType) -> Payload:
    """The outer payload of a positive, its data computed anew where the file has its digest."""
    data: bytes = make_vectors.reference.encrypt(
        bytes.fromhex(vector["CK"]),
        bytes.fromhex(vector["CONTEXT"]),
        make_vectors.bytes_of(vector["message"]),
        bytes.fromhex(vector["salt"]),
    )
    return Payload(metadata=unhexed(vector["metadata"]), data=data)


def inner_of(vector: Json, make_vectors: ModuleType) -> Payload:
    """The payload inside a positive."""
    inner = Payload(
        metadata=unhexed(vector["inner"]["metadata"]),
        data=make_vectors.bytes_of(vector["inner"]["data"]),
    )
    for size in vector["inner"]["external_payloads"]:
        inner.external_payloads.add(size_bytes=size)
    return inner


def test_the_published_file_is_what_the_script_writes(make_vectors: ModuleType) -> None:
    """The vectors in `docs/` were made by the script as it stands, and stay small."""
    published = make_vectors.PATH.read_text(encoding="utf-8")

    assert published == make_vectors.text()
    assert len(published.encode()) < 200_000


def test_names_of_vectors_are_unique() -> None:
    """No vector hides another one."""
    names = [vector["name"] for vector in VECTORS["positives"] + VECTORS["negatives"]]

    assert sorted(set(names)) == sorted(names)


@every_positive
def test_published_data_is_what_the_reference_gives(vector: Json, make_vectors: ModuleType) -> None:
    """With the published inputs the reference gives the published bytes, or their digest."""
    data = sealed_by_reference(vector, make_vectors).data
    expected = vector["data"]

    if isinstance(expected, dict):
        actual: Any = {"sha256": hashlib.sha256(data).hexdigest(), "length": len(data)}
    else:
        actual = data.hex()
    assert expected == actual


@every_positive
def test_product_derives_the_published_keys(vector: Json) -> None:
    """A key has the published content key and check value."""
    key = Key(vector["kid"], bytes.fromhex(vector["root"]))

    assert vector["CK"] == key.content_key.hex()
    assert vector["KCV"] == key.check_value.hex()


@every_positive
def test_product_authenticates_the_published_context(vector: Json) -> None:
    """CONTEXT is the label and the TLV of the outer metadata."""
    actual = sealed.authenticated_context(unhexed(vector["metadata"]))

    assert vector["CONTEXT"] == actual.hex()


@every_positive
def test_product_reads_what_the_reference_seals(vector: Json, make_vectors: ModuleType) -> None:
    """Each positive decodes to the payload inside, external payloads included."""
    codec = codec_for(vector, [vector])

    decoded = codec.decode_sync([sealed_by_reference(vector, make_vectors)])

    assert [inner_of(vector, make_vectors)] == decoded


@every_positive
def test_reference_reads_what_the_product_seals(vector: Json, make_vectors: ModuleType) -> None:
    """What the product writes has the published metadata, and opens in the reference."""
    inner = inner_of(vector, make_vectors)
    [outer] = writer_for(vector).encode_sync([inner])
    expected = unhexed(vector["metadata"])
    expected.pop("encryption-content-id", None)  # the product reads it and does not write it

    message = make_vectors.reference.unseal(
        bytes.fromhex(vector["root"]), dict(outer.metadata), outer.data
    )

    assert expected == dict(outer.metadata)
    assert inner == Payload.FromString(message)
    assert list(inner.external_payloads) == list(outer.external_payloads)


@every_positive
def test_reference_repeats_the_products_bytes_with_its_salt(
    vector: Json, make_vectors: ModuleType
) -> None:
    """Given the salt that the product drew, the reference gives the very same data."""
    message: bytes = make_vectors.bytes_of(vector["message"])
    key, context = Key(vector["kid"], bytes.fromhex(vector["root"])), b"any context"

    data = sealed.seal(key, context, message)

    assert make_vectors.reference.encrypt(key.content_key, context, message, data[:24]) == data


@every_positive
def test_message_is_the_serialized_inner_payload(vector: Json, make_vectors: ModuleType) -> None:
    """The published message is what protobuf reads as the payload inside."""
    message = make_vectors.bytes_of(vector["message"])

    assert inner_of(vector, make_vectors) == Payload.FromString(message)


@pytest.mark.parametrize("vector", VECTORS["negatives"], ids=lambda vector: vector["name"])
def test_product_refuses_each_negative(vector: Json, make_vectors: ModuleType) -> None:
    """Each negative is refused with exactly the published error."""
    data = make_vectors.bytes_of(vector["data"], POSITIVES)
    payload = Payload(metadata=unhexed(vector["metadata"]), data=data)
    codec = codec_for(vector, vector["keys"])

    with pytest.raises(SealwireError) as caught:
        codec.decode_sync([payload])

    assert getattr(sealwire.errors, vector["error"]) is type(caught.value)


def test_content_id_is_read_by_the_codec_that_writes_none(make_vectors: ModuleType) -> None:
    """A codec that has written with the same key and context does not overlook the entry."""
    vector = POSITIVES["a content id"]
    codec = writer_for(vector)
    codec.encode_sync([Payload()])

    decoded = codec.decode_sync([sealed_by_reference(vector, make_vectors)])

    assert [inner_of(vector, make_vectors)] == decoded


def test_content_id_is_a_keyed_digest_of_the_inner_payload(reference: ModuleType) -> None:
    """The published content id depends on the key and on all of the payload inside."""
    vector = POSITIVES["a content id"]
    root, kid = bytes.fromhex(vector["root"]), vector["kid"]
    metadata, data = unhexed(vector["inner"]["metadata"]), bytes.fromhex(vector["inner"]["data"])
    published = bytes.fromhex(vector["metadata"]["encryption-content-id"])

    assert published == reference.content_id(root, kid, metadata, data)
    assert published != reference.content_id(root[::-1], kid, metadata, data)
    assert published != reference.content_id(root, kid, metadata, data + b"x")
    assert published != reference.content_id(root, kid, {}, data)


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 32767, 32768, 32769])
def test_size_of_the_data_follows_from_the_message(size: int, reference: ModuleType) -> None:
    """Full chunks of 16,384 bytes are always followed by a shorter, perhaps empty, one."""
    key = Key("k", bytes(range(128, 160)))

    data = sealed.seal(key, b"", bytes(size))

    assert 24 + 32 + size + 16 * (size // 16384 + 1) == len(data)
    assert bytes(size) == reference.decrypt(key.content_key, b"", data)


@settings(deadline=None)
@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=20), max_size=16))
def test_pack_and_unpack_are_inverse(pairs: dict[bytes, bytes]) -> None:
    """Reading a TLV gives back the pairs, whatever their bytes."""
    assert pairs == sealed.unpack(tlv.pack(pairs))


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=2), st.binary(max_size=2)), max_size=4), st.data())
def test_unpack_accepts_only_what_pack_gives(
    pairs: list[tuple[bytes, bytes]], draw: st.DataObject
) -> None:
    """Bytes that almost are a TLV are either refused or the one valid form of their pairs."""
    parts = [len(pairs).to_bytes(4, "big")]
    for item in (item for pair in pairs for item in pair):
        parts += (len(item).to_bytes(4, "big"), item)
    data = bytearray(b"".join(parts))
    if draw.draw(st.booleans()):
        data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))

    read = sealed.unpack(bytes(data))

    assert read is None or tlv.pack(read) == data


def test_pack_agrees_with_the_reference(reference: ModuleType) -> None:
    """The order is that of the bytes of the names."""
    pairs = {b"b": b"1", b"a": b"", b"": b"2", b"B": b"3", b"ab": b"4", b"\xff": b"5"}

    assert reference.tlv(pairs) == tlv.pack(pairs)


@pytest.mark.parametrize(
    ("pairs", "size"),
    [({f"{i}": "" for i in range(17)}, "17 pairs"), ({"a": "x" * 4084}, "4097 bytes")],
    ids=["too many", "too long"],
)
def test_context_beyond_its_limits_is_a_configuration_error(
    pairs: dict[str, str], size: str
) -> None:
    """The message says how large the context is."""
    with pytest.raises(ConfigurationError, match=size):
        sealed.pack_context(pairs)


@pytest.mark.parametrize("pairs", [{f"{i}": "" for i in range(16)}, {"a": "x" * 4083}])
def test_context_at_its_limits_is_read_back(pairs: dict[str, str]) -> None:
    """What may be written may be read."""
    expected = {name.encode(): value.encode() for name, value in pairs.items()}

    assert expected == sealed.unpack(sealed.pack_context(pairs))


def test_a_bounded_number_of_headers_is_remembered() -> None:
    """The first 256 that differ are parsed once, further ones and those with a digest each time."""
    headers = Headers()
    outer = [outer_of({"namespace": f"made-up-{i}"}) for i in range(300)]

    def find(payload: Payload) -> Header:
        return headers.find(payload, payload.metadata)

    digest = outer_of({"namespace": "made-up-0"}, {"encryption-content-id": bytes(32)})

    assert not any(find(payload).remembered for payload in outer)
    for payload in (digest, *outer):
        headers.remember(payload, find(payload))

    kept = [find(payload) is find(payload) for payload in outer]
    assert [True] * 256 + [False] * 44 == kept
    assert kept == [find(payload).remembered for payload in outer]
    assert find(digest) is not find(digest)
    assert "made-up-299" == find(outer[299]).pairs["namespace"]


def outer_of(pairs: dict[str, str], entries: dict[str, bytes] | None = None) -> Payload:
    """A payload that has the sealed form, and more entries."""
    metadata = {
        "encoding": b"binary/sealed-v1",
        "encryption-key-id": b"k",
        "encryption-context": sealed.pack_context(pairs),
    }
    return Payload(metadata=metadata | (entries or {}), data=bytes(sealed.MIN_SIZE))


def test_ciphertext_made_for_two_keys_opens_with_one(reference: ModuleType) -> None:
    """AES-GCM commits to no key, so a chunk can be authentic under two; the sealed format does."""
    salt = bytes(24)
    keys = [Key("k", bytes(range(start, start + 32))) for start in (128, 160)]
    derived = [reference.hkdf_expand(key.content_key, reference.SCHEME + salt, 76) for key in keys]
    aead = [(material[:32], material[32:44]) for material in derived]
    chunk = authentic_under_both(aead)
    plain = [AESGCM(key).decrypt(nonce, chunk, None) for key, nonce in aead]
    data = salt + derived[0][44:] + chunk

    assert plain[0] != plain[1]
    assert (plain[0], b"") == sealed.unseal(keys[0], b"", data)
    with pytest.raises(InvalidTag):
        sealed.unseal(keys[1], b"", data)


def authentic_under_both(aead: list[tuple[bytes, bytes]]) -> bytes:
    """Two blocks and a tag that two pairs of key and nonce both accept.

    The tag is E(nonce ‖ 1) + c1·H³ + c2·H² + L·H; equating both tags leaves c2 to be solved for.
    """
    first = b"first block, any"
    lengths = (0).to_bytes(8, "big") + (8 * 32).to_bytes(8, "big")
    c1, length = field_element(first), field_element(lengths)
    h = [field_element(aes_block(key, bytes(16))) for key, _ in aead]
    mask = [field_element(aes_block(key, nonce + b"\0\0\0\1")) for key, nonce in aead]

    def rest(i: int) -> int:
        """The tag without the summand of c2."""
        return mask[i] ^ product(c1, power(h[i], 3)) ^ product(length, h[i])

    squares = power(h[0], 2) ^ power(h[1], 2)
    c2 = product(rest(0) ^ rest(1), power(squares, 2**128 - 2))
    tag = rest(0) ^ product(c2, power(h[0], 2))
    return first + block_of(c2) + block_of(tag)


def aes_block(key: bytes, block: bytes) -> bytes:
    """One block of AES."""
    return Cipher(AES(key), ECB()).encryptor().update(block)  # noqa: S305 - to build GCM by hand


def field_element(block: bytes) -> int:
    """A block as a polynomial over GF(2): in GCM the first bit is the coefficient of 1."""
    return int(f"{int.from_bytes(block, 'big'):0128b}"[::-1], 2)


def block_of(element: int) -> bytes:
    """Undo `field_element`."""
    return int(f"{element:0128b}"[::-1], 2).to_bytes(16, "big")


def product(a: int, b: int) -> int:
    """Multiply in GF(2**128) modulo x**128 + x**7 + x**2 + x + 1."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        b >>= 1
        a <<= 1
        if a >> 128:
            a ^= 1 << 128 | 0b10000111
    return result


def power(base: int, exponent: int) -> int:
    """Raise to a power in GF(2**128)."""
    result = 1
    while exponent:
        if exponent & 1:
            result = product(result, base)
        base = product(base, base)
        exponent >>= 1
    return result


def wycheproof(name: str) -> Iterator[tuple[Json, Json]]:
    """Groups and tests of one of the files; skips the test where they are absent."""
    path = WYCHEPROOF / name
    if not path.exists():
        pytest.skip("the Wycheproof vectors are not in ../shared/vectors/wycheproof")
    for group in json.loads(path.read_text(encoding="utf-8"))["testGroups"]:
        for test in group["tests"]:
            yield group, test


def key_with(content_key: bytes) -> Key:
    """A key that skips derivation, to feed a published content key to the product."""
    key = Key("k", bytes(range(128, 160)))
    object.__setattr__(key, "content_key", content_key)
    return key


def test_wycheproof_chunked_encryption(reference: ModuleType) -> None:
    """Product and reference agree with every Cobblestone-256 vector."""
    count = 0
    for _, test in wycheproof("c2sp_chunked_encryption_aes_256_gcm_test.json"):
        key, context = bytes.fromhex(test["key"]), bytes.fromhex(test["ctx"])
        data = zlib.decompress(bytes.fromhex(test["ct"]))
        count += 1
        if test["result"] == "valid":
            message = b"".join(sealed.unseal(key_with(key), context, data))
            assert test["msgLength"] == len(message), test["comment"]
            assert test["msgSha512"] == hashlib.sha512(message).hexdigest(), test["comment"]
            assert message == reference.decrypt(key, context, data), test["comment"]
            assert data == reference.encrypt(key, context, message, data[:24]), test["comment"]
        else:
            # A key of another size is no tag that fails, and no `Key` has one.
            with pytest.raises(InvalidTag if len(key) == 32 else ValueError):
                sealed.unseal(key_with(key), context, data)
            with pytest.raises(reference.NotAuthenticError):
                reference.decrypt(key, context, data)
    assert count >= 35


def test_wycheproof_aes_gcm() -> None:
    """The cipher of the interop format agrees with every vector that has a 12-byte nonce."""
    count = 0
    for group, test in wycheproof("aes_gcm_test.json"):
        if group["ivSize"] != 96:
            continue  # the format knows no other
        key = Key("k", bytes.fromhex(test["key"]), suite=KeySuite.INTEROP)
        aad, data = bytes.fromhex(test["aad"]), bytes.fromhex(test["iv"] + test["ct"] + test["tag"])
        count += 1
        if test["result"] == "valid" and aad:
            # The format has no associated data; the cipher that it uses does.
            assert key.aead is not None
            assert test["msg"] == key.aead.decrypt(data[:12], data[12:], aad).hex(), test["tcId"]
        elif test["result"] == "valid":
            assert test["msg"] == b"".join(interop.decrypt(key, data)).hex(), test["tcId"]
        else:
            with pytest.raises(InvalidTag):
                interop.decrypt(key, data)
    assert count >= 190


def test_wycheproof_hkdf(reference: ModuleType) -> None:
    """The HKDF of the reference, and its second half as the product uses it, agree with all."""
    count = 0
    for _, test in wycheproof("hkdf_sha512_test.json"):
        ikm, salt, info = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info"))
        size, count = test["size"], count + 1
        if test["result"] == "valid":
            prk = hmac.digest(salt or bytes(64), ikm, hashlib.sha512)
            assert test["okm"] == reference.hkdf(ikm, salt, info, size).hex(), test["tcId"]
            assert test["okm"] == HKDFExpand(SHA512(), size, info).derive(prk).hex(), test["tcId"]
        else:
            with pytest.raises(ValueError, match="255"):
                reference.hkdf(ikm, salt, info, size)
    assert count >= 83


def test_product_derives_with_the_hkdf_of_the_reference(reference: ModuleType) -> None:
    """What the product derives is HKDF-Expand over label, purpose and key id."""
    root = bytes(range(100, 132))

    expected = reference.hkdf_expand(root, reference.LABEL + b"purpose\x00id", 80)

    assert expected == derive(root, "purpose", "id", 80)


@pytest.mark.parametrize("pairs", [{"a": "\ud800"}, {"\ud800": "a"}])
def test_a_context_that_is_no_text_is_refused(pairs: dict[str, str]) -> None:
    """A lone surrogate in a pair is a wrong configuration, told when the codec is built."""
    with pytest.raises(ConfigurationError, match="UTF-8"):
        sealed.pack_context(pairs)

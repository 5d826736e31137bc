"""`binary/encrypted`: the product, the published vectors and the reference agree."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.message import DecodeError

import sealwire.errors
from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PolicyMode,
)
from sealwire.errors import SealwireError
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import Payload

Json = dict[str, Any]

CHECKOUT = Path(__file__).parents[2]
VECTORS: Json = json.loads((CHECKOUT / "docs/vectors/interop.json").read_text(encoding="utf-8"))
POSITIVES: list[Json] = VECTORS["positives"]

every_positive = pytest.mark.parametrize("vector", POSITIVES, ids=lambda vector: vector["name"])
every_negative = pytest.mark.parametrize(
    "vector", VECTORS["negatives"], ids=lambda vector: vector["name"]
)


@pytest.fixture(scope="module")
def scripts() -> ModuleType:
    """The script that writes the published vectors."""
    path = CHECKOUT / "tests" / "reference" / "make_interop_vectors.py"
    spec = importlib.util.spec_from_file_location("make_interop_vectors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def key_of(vector: Json) -> Key:
    """The key of a positive, or one of the keys of a negative."""
    suite = KeySuite(vector.get("suite", "interop"))
    return Key(vector["kid"], bytes.fromhex(vector["key"]), suite=suite)


def codec_for(*keys: Key, mode: PolicyMode = PolicyMode.STRICT) -> EncryptionCodec:
    return EncryptionCodec(
        Keyring(StaticKeyProvider(*keys)),
        namespace="default",
        policy=DecodePolicy(mode),
        format="interop",
    )


def unhexed(metadata: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in metadata.items()}


def inner_of(vector: Json, scripts: ModuleType, name: str = "inner") -> Payload:
    """The payload inside a positive."""
    fields = vector[name]
    inner = Payload(
        metadata=unhexed(fields["metadata"]), data=scripts.common.bytes_of(fields["data"])
    )
    for size in fields.get("external_payloads", []):
        inner.external_payloads.add(size_bytes=size)
    return inner


def encrypted_by_reference(vector: Json, scripts: ModuleType) -> Payload:
    """The outer payload of a positive, its data computed anew."""
    key, nonce = bytes.fromhex(vector["key"]), bytes.fromhex(vector["nonce"])
    message = scripts.common.bytes_of(vector["message"])
    data = scripts.reference.encrypt(key, message, nonce)
    return Payload(metadata=unhexed(vector["metadata"]), data=data)


def written(vector: Json) -> dict[str, bytes]:
    """The outer metadata, without the entry of the Java sample: it is read and never written."""
    metadata = unhexed(vector["metadata"])
    metadata.pop("encryption-cipher", None)
    return metadata


def test_the_published_file_is_what_the_script_writes(scripts: ModuleType) -> None:
    """The vectors in `docs/` were made by the script as it stands."""
    assert scripts.PATH.read_text(encoding="utf-8") == scripts.text()


def test_names_of_vectors_are_unique() -> None:
    """No vector hides another one."""
    names = [vector["name"] for vector in POSITIVES + VECTORS["negatives"]]

    assert sorted(set(names)) == sorted(names)


@every_positive
def test_published_data_is_what_the_reference_gives(vector: Json, scripts: ModuleType) -> None:
    """With the published inputs the reference gives the published bytes, or their digest."""
    outer = encrypted_by_reference(vector, scripts)
    expected = vector["data"]

    if isinstance(expected, dict):
        digest = hashlib.sha256(outer.data).hexdigest()
        assert expected == {"sha256": digest, "length": len(outer.data)}
    else:
        assert expected == outer.data.hex()


@every_positive
def test_product_reads_what_the_reference_encrypts(vector: Json, scripts: ModuleType) -> None:
    """Each positive decodes to the payload inside, external payloads included."""
    codec = codec_for(key_of(vector))

    decoded = codec.decode_sync([encrypted_by_reference(vector, scripts)])

    assert [inner_of(vector, scripts)] == decoded


@every_positive
def test_reference_reads_each_positive(vector: Json, scripts: ModuleType) -> None:
    """The reference accepts the published metadata, and gives back the published message."""
    outer = encrypted_by_reference(vector, scripts)
    keys = {vector["kid"]: bytes.fromhex(vector["key"])}

    message = scripts.reference.unwrap(keys, dict(outer.metadata), outer.data)

    assert scripts.common.bytes_of(vector["message"]) == message


@every_positive
def test_reference_reads_what_the_product_encrypts(vector: Json, scripts: ModuleType) -> None:
    """What the product writes has the published metadata, and opens in the reference."""
    inner = inner_of(vector, scripts)
    [outer] = codec_for(key_of(vector)).encode_sync([inner])
    keys = {vector["kid"]: bytes.fromhex(vector["key"])}

    message = scripts.reference.unwrap(keys, dict(outer.metadata), outer.data)

    assert written(vector) == dict(outer.metadata)
    assert inner == Payload.FromString(message)


@every_positive
def test_reference_repeats_the_products_bytes_with_its_nonce(
    vector: Json, scripts: ModuleType
) -> None:
    """Given the nonce that the product drew, the reference gives the very same data."""
    [outer] = codec_for(key_of(vector)).encode_sync([inner_of(vector, scripts)])
    reference, key, data = scripts.reference, bytes.fromhex(vector["key"]), outer.data

    message = reference.decrypt(key, data)

    assert reference.encrypt(key, message, data[:12]) == data


@every_positive
def test_message_is_a_serialization_of_the_inner_payload(vector: Json, scripts: ModuleType) -> None:
    """The published message is what protobuf reads as the payload inside."""
    message = scripts.common.bytes_of(vector["message"])

    assert inner_of(vector, scripts) == Payload.FromString(message)


def test_zlib_inside_is_decompressed(scripts: ModuleType) -> None:
    """A chain with compression reads what others compressed with zlib and then encrypted."""
    [vector] = [vector for vector in POSITIVES if "decompressed" in vector]
    expected = inner_of(vector, scripts, "decompressed")
    chain = CodecChain(CompressionCodec(), codec_for(key_of(vector)))

    decoded = chain.decode_sync([encrypted_by_reference(vector, scripts)])

    assert [expected] == decoded
    assert expected == Payload.FromString(zlib.decompress(inner_of(vector, scripts).data))


@pytest.mark.parametrize("mode", PolicyMode)
@every_negative
def test_product_refuses_each_negative(vector: Json, mode: PolicyMode) -> None:
    """Each negative is refused with exactly the published error, under every policy."""
    payload = Payload(metadata=unhexed(vector["metadata"]), data=bytes.fromhex(vector["data"]))
    codec = codec_for(*map(key_of, vector["keys"]), mode=mode)

    with pytest.raises(SealwireError) as caught:
        codec.decode_sync([payload])

    assert getattr(sealwire.errors, vector["error"]) is type(caught.value)


@every_negative
def test_reference_refuses_each_negative(vector: Json, scripts: ModuleType) -> None:
    """The reference sees a missing key, or nothing authentic, where the product does."""
    keys = {
        item["kid"]: bytes.fromhex(item["key"]) if item["suite"] == "interop" else None
        for item in vector["keys"]
    }
    reference = scripts.reference
    expected = {
        "DecryptError": (reference.NotAuthenticError, DecodeError),
        "KeyNotFoundError": reference.NoKeyError,
    }

    with pytest.raises(expected[vector["error"]]):
        Payload.FromString(
            reference.unwrap(keys, unhexed(vector["metadata"]), bytes.fromhex(vector["data"]))
        )

"""`binary/enveloped-v1`: the product, the published vectors and the reference agree."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sealwire.errors
from sealwire import tlv
from sealwire.codecs import DecodePolicy, EnvelopeEncryptionCodec, PolicyMode
from sealwire.codecs.enveloped import EnvelopedPayloads, has_enveloped_form
from sealwire.errors import DecryptError, SealwireError
from sealwire.keys import DataKeys, LocalKeyWrapper
from sealwire.keys.data_key import DataKey, pack_wraps
from sealwire.keys.document import Wrapping
from sealwire.keys.present_key import WrappedKey
from sealwire.payload import Payload

Json = dict[str, Any]
MakeCodec = Callable[[Json, list[str], str], EnvelopeEncryptionCodec]

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docs/vectors/enveloped-v1.json"
VECTORS: Json = json.loads(FILE.read_text(encoding="utf-8"))

every_positive = pytest.mark.parametrize(
    "vector", VECTORS["positives"], ids=lambda vector: vector["name"]
)


@pytest.fixture
def codec_for(tmp_path: Path) -> MakeCodec:
    """Makes the codec that a vector describes."""

    def make(decoder: Json, key_files: list[str], tenant: str) -> EnvelopeEncryptionCodec:
        policy = DecodePolicy(
            PolicyMode(decoder["policy"]),
            require_context=decoder["require_context"],
            accept_namespaces=frozenset(decoder["accept_namespaces"]),
        )
        wrappers = [key_file(tmp_path, bytes.fromhex(key)) for key in key_files]
        keys = DataKeys(wrappers, tenant=tenant)
        return EnvelopeEncryptionCodec(keys, decoder["namespace"], policy)

    return make


def key_file(folder: Path, key: bytes) -> LocalKeyWrapper:
    """A local key file with this key."""
    path = folder / hashlib.sha256(key).hexdigest()
    path.write_text(f"sealwire-key-file-v1 {base64.b64encode(key).decode()}\n", encoding="ascii")
    path.chmod(0o600)
    return LocalKeyWrapper(path)


def unhexed(metadata: dict[str, str]) -> dict[str, bytes]:
    """Metadata as it stands in a payload."""
    return {name: bytes.fromhex(value) for name, value in metadata.items()}


def sealed_by_reference(vector: Json, scripts: ModuleType) -> Payload:
    """The outer payload of a positive, its data computed anew where the file has its digest."""
    metadata = unhexed(vector["metadata"])
    message = scripts.common.bytes_of(vector["message"])
    key, salt = bytes.fromhex(vector["data_key"]), bytes.fromhex(vector["salt"])
    return Payload(metadata=metadata, data=scripts.reference.seal(key, metadata, message, salt))


def inner_of(vector: Json, scripts: ModuleType) -> Payload:
    """The payload inside a positive."""
    inner = Payload(
        metadata=unhexed(vector["inner"]["metadata"]),
        data=scripts.common.bytes_of(vector["inner"]["data"]),
    )
    for size in vector["inner"]["external_payloads"]:
        inner.external_payloads.add(size_bytes=size)
    return inner


def test_the_published_file_is_what_the_script_writes(make_enveloped_vectors: ModuleType) -> None:
    """The vectors in `docs/` were made by the script as it stands, and stay small."""
    published = FILE.read_text(encoding="utf-8")

    assert published == make_enveloped_vectors.text()
    assert len(published.encode()) < 100_000


def test_names_of_vectors_are_unique() -> None:
    """No vector hides another one."""
    names = [vector["name"] for vector in VECTORS["positives"] + VECTORS["negatives"]]

    assert sorted(set(names)) == sorted(names)


@every_positive
def test_published_data_is_what_the_reference_gives(
    vector: Json, make_enveloped_vectors: ModuleType
) -> None:
    """With the published inputs the reference gives the published bytes, or their digest."""
    data = sealed_by_reference(vector, make_enveloped_vectors).data
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "length": len(data)}

    assert vector["data"] == (digest if isinstance(vector["data"], dict) else data.hex())


@every_positive
def test_product_derives_the_published_keys(vector: Json) -> None:
    """A data key has the published id and content key."""
    key = DataKey(bytes.fromhex(vector["data_key"]))

    assert (vector["kid"], vector["CK"]) == (key.id, key.content_key.hex())


@every_positive
def test_product_reads_what_the_reference_seals(
    vector: Json, make_enveloped_vectors: ModuleType, codec_for: MakeCodec
) -> None:
    """With any one of its key files, a positive decodes to the payload inside."""
    payload = sealed_by_reference(vector, make_enveloped_vectors)

    for wrap in vector["wraps"]:
        codec = codec_for(vector["decoder"], [wrap["key"]], vector["tenant"])
        assert [inner_of(vector, make_enveloped_vectors)] == codec.decode_sync([payload])


@every_positive
def test_reference_reads_what_the_product_seals(
    vector: Json, make_enveloped_vectors: ModuleType, codec_for: MakeCodec
) -> None:
    """Each key file gives the data key, and what the product writes opens with it."""
    reference = make_enveloped_vectors.reference
    inner, tenant = inner_of(vector, make_enveloped_vectors), vector["tenant"]
    keys = [wrap["key"] for wrap in vector["wraps"]]
    [outer] = codec_for(vector["decoder"], keys, tenant).encode_sync([inner])
    metadata = dict(outer.metadata)
    entry = metadata["encryption-wrapped-key"]
    wraps: dict[bytes, bytes] = tlv.unpack(entry, 4, 4096) or {}

    assert len(keys) == len(wraps)
    for key in map(bytes.fromhex, keys):
        wrapped = wraps[reference.wrapper_name(key).encode()]
        data_key = reference.unwrap(key, wrapped, tenant)
        message = reference.unseal(data_key, metadata, outer.data)
        assert inner == Payload.FromString(message)
    assert list(inner.external_payloads) == list(outer.external_payloads)


@pytest.mark.parametrize("vector", VECTORS["negatives"], ids=lambda vector: vector["name"])
def test_product_refuses_each_negative(vector: Json, codec_for: MakeCodec) -> None:
    """Each negative is refused with exactly the published error, however often it comes."""
    metadata = unhexed(vector["metadata"])
    payload = Payload(metadata=metadata, data=bytes.fromhex(vector["data"]))
    codec = codec_for(vector["decoder"], vector["key_files"], vector["tenant"])

    for _ in range(2):
        with pytest.raises(SealwireError) as caught:
            codec.decode_sync([payload])
        assert getattr(sealwire.errors, vector["error"]) is type(caught.value)


def test_one_codec_writes_with_one_key_after_another() -> None:
    """Each payload is sealed with its own key's metadata, and no other key opens it."""
    written = EnvelopedPayloads(DecodePolicy(), {"namespace": "default"})
    inner = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    keys = [DataKey(bytes(range(first, first + 32))) for first in (50, 150)]
    presents = [WrappedKey(key, pack_wraps([Wrapping("kek", key.id_bytes)])) for key in keys]

    for present in (*presents, *presents):
        outer = written.encrypt(present, inner)
        header = written.header(outer)

        assert present.key.id == header.key_id
        assert inner == written.decrypt(outer, header, present.key)
        for other in keys:
            if other is not present.key:
                with pytest.raises(DecryptError):
                    written.decrypt(outer, header, other)


def written_with(*keys: DataKey) -> tuple[EnvelopedPayloads, list[Payload]]:
    codec = EnvelopedPayloads(DecodePolicy(), {"namespace": "default"})
    inner = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    presents = [WrappedKey(key, pack_wraps([Wrapping("kek", key.id_bytes)])) for key in keys]
    return codec, [codec.encrypt(present, inner) for present in presents]


def test_a_key_of_another_id_is_refused_before_it_is_used() -> None:
    """Whichever id comes first; the error names the one in the payload."""
    first, second = (DataKey(bytes(range(start, start + 32))) for start in (50, 150))
    codec, outers = written_with(first, second)
    for outer, own, other in zip(outers, (first, second), (second, first), strict=True):
        with pytest.raises(DecryptError) as caught:
            codec.decrypt(outer, codec.header(outer), other)
        assert own.id == caught.value.key_id


def test_only_what_the_format_writes_has_its_form() -> None:
    """With an entry less, one more, another encoding, or too little data, it is something else."""
    (outer,) = written_with(DataKey(bytes(range(32))))[1]
    assert has_enveloped_form(outer)
    metadata = dict(outer.metadata)
    others = [
        *({name: metadata[name] for name in metadata if name != left_out} for left_out in metadata),
        *({**metadata, "encoding": other} for other in (b"binary/a", b"binary/sealed-v1")),
        {**metadata, "further": b""},
    ]
    forms = [has_enveloped_form(Payload(metadata=other, data=outer.data)) for other in others]
    # Without a context it may be of the format; the rest may not.
    assert ["encryption-context" not in other for other in others] == forms
    assert not has_enveloped_form(Payload(metadata=metadata, data=outer.data[:71]))

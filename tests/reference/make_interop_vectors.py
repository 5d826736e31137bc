"""Write `docs/vectors/interop.json`: `python tests/reference/make_interop_vectors.py`.

Every input is fixed, so the file changes only if this list does. Published vectors are a promise:
add to them, and never change one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

PATH: Final = Path(__file__).parents[2] / "docs" / "vectors" / "interop.json"
FIELDS: Final = {
    "bytes": 'lower-case hex; or a list of parts to concatenate, each of them hex or {"repeat": '
    'hex, "length": n} for the first n bytes of an endless repetition',
    "digest": '{"sha256": hex, "length": n} instead of the bytes themselves',
    "name": "what the vector is about; unique",
    "key": "bytes: the key, used as it is; of 16, 24 or 32 bytes",
    "kid": "text: the id of the key",
    "nonce": "bytes: the 12 random bytes of the message",
    "inner": (
        "the payload inside: its metadata (names are text, values bytes), its data (bytes), and "
        "the size_bytes of its external_payloads"
    ),
    "message": "bytes: the payload inside, in one of its valid serializations",
    "decompressed": "only where `inner` is binary/zlib: the payload in it, in the same form",
    "metadata": (
        "of the payload outside: names are text, values are bytes; sealwire writes the first two"
    ),
    "data": "bytes or digest: the data of the payload outside",
    "keys": "the keys of the decoder; a key serves its suite alone, interop or sealed-v1",
    "error": (
        "why the decoder refuses, under every policy: DecryptError (not authentic, malformed, or "
        "another format of the same name), KeyNotFoundError"
    ),
}

Json = dict[str, Any]


def _load(name: str) -> ModuleType:
    """Load a module beside this one; they are scripts and in no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


common: Final = _load("make_vectors")
reference: Final = _load("interop")
serialize: Final = common.reference.serialize

KID: Final = "shared-key"
JSON: Final = {"encoding": b"json/plain"}
ORDER: Final = b'{"amount":12.5,"iban":"DE02","note":"long enough to pass for a sealed payload"}'
NOTE: Final = b'"' + b"Private message for Bob. " * 4 + b'"'
# Not computed: zlib libraries compress differently, and all of them decompress this.
NOTE_ZLIB: Final = bytes.fromhex(
    "78dae312e3e248cd4bce4fc9cc4b17e2ca2acecfd32fc849cccc134a530a28ca2c4b2c4955c84d2d2e4e4c4f5548"
    "cb2f5270ca4fd253a0a2841200d5dd2b6f"
)


def build() -> Json:
    """Return the content of the file."""
    positives = [
        positive(
            "the key of Temporal's samples",
            kid="test-key-id",
            key=b"test-key-test-key-test-key-test!",
            data=b'"Alice: Private message for Bob."',
        ),
        positive("an empty payload", data=b"", inner_metadata={}),
        positive("no data", data=b"", inner_metadata={"encoding": b"binary/null"}),
        positive("JSON"),
        positive("text that is not ASCII", data='"Zürich 支付 🔐"'.encode()),
        *(positive(f"a key of {size} bytes", size=size) for size in (16, 24, 32)),
        positive("the longest key id", kid="k" * 200),
        positive("every sign of a key id", kid="0Az._:/@+=-"),
        positive("data of 70000 bytes", length=70_000),
        positive("external payloads", external=[1_048_576, 0, 2**40]),
        positive("a message with its data first", data_first=True),
        positive("the further entry of the Java sample", extra=reference.JAVA),
        positive(
            "several entries inside",
            inner_metadata={"encoding": b"json/protobuf", "messageType": b"a.B", "": b"\x00\xff"},
        ),
        positive(
            "compressed with zlib, then encrypted",
            data=NOTE_ZLIB,
            inner_metadata={"encoding": b"binary/zlib"},
            decompressed={"metadata": common.hexed(JSON), "data": NOTE.hex()},
        ),
    ]
    good = next(vector for vector in positives if vector["name"] == "JSON")
    return {
        "format": "binary/encrypted",
        "fields": FIELDS,
        "positives": positives,
        "negatives": [*_changed_data(good), *_changed_metadata(good), *_other_keys(good)],
    }


def positive(
    name: str,
    *,
    kid: str = KID,
    key: bytes | None = None,
    size: int = 32,
    data: bytes = ORDER,
    length: int | None = None,
    inner_metadata: Mapping[str, bytes] = JSON,
    external: Sequence[int] = (),
    data_first: bool = False,
    extra: Mapping[str, bytes] | None = None,
    decompressed: Json | None = None,
) -> Json:
    """Describe a payload that must be read.

    Args:
        name: See `FIELDS`, as for the rest.
        kid: The key id.
        key: The key; None for one that is made up.
        size: Of a key that is made up, in bytes.
        data: The inner data.
        length: Take so many bytes of a pattern for inner data instead.
        inner_metadata: The inner metadata.
        external: The sizes of the inner external payloads.
        data_first: Serialize the data before the metadata, as a writer may.
        extra: More entries of the outer metadata.
        decompressed: The payload in the inner one.
    """
    secret: bytes = key or common.secret("interop key", name)[:size]
    nonce = common.secret("interop nonce", name)[: reference.NONCE]
    plain = data if length is None else common.repeated(length)
    message: bytes = serialize(inner_metadata, plain, external)
    if data_first:
        message = serialize({}, plain) + serialize(inner_metadata, b"", external)
    outer = reference.wrap(secret, kid, message, nonce)
    return {
        "name": name,
        "key": secret.hex(),
        "kid": kid,
        "nonce": nonce.hex(),
        "inner": {
            "metadata": common.hexed(inner_metadata),
            "data": plain.hex() if length is None else common.pattern(length),
            "external_payloads": list(external),
        },
        "message": message.hex() if length is None else common.message_parts(message, length),
        **({} if decompressed is None else {"decompressed": decompressed}),
        "metadata": common.hexed(outer.metadata | dict(extra or {})),
        "data": outer.data.hex()
        if len(outer.data) <= common.INLINE
        else {"sha256": hashlib.sha256(outer.data).hexdigest(), "length": len(outer.data)},
    }


def _changed_data(good: Json) -> list[Json]:
    data = bytes.fromhex(good["data"])
    key, message = bytes.fromhex(good["key"]), bytes.fromhex(good["message"])
    nonce = common.secret("interop nonce", "again")[: reference.NONCE]
    return [
        *(
            negative(f"a bit of the {place} flipped", good, data=common.flipped(data, at))
            for place, at in {"nonce": 0, "ciphertext": 12, "tag": -1}.items()
        ),
        negative("the last byte missing", good, data=data[:-1]),
        negative("a byte too many", good, data=data + b"\x00"),
        negative("the nonce missing", good, data=data[12:]),
        negative("the tag before the ciphertext", good, data=data[:12] + data[-16:] + data[12:-16]),
        negative("only the first half", good, data=data[: len(data) // 2]),
        *(
            negative(f"data of {size} bytes", good, data=data[:size])
            for size in (0, 11, 12, 27, 28)
        ),
        negative("another nonce", good, data=nonce + data[12:]),
        negative(
            "authentic with associated data",
            good,
            data=reference.encrypt(key, message, nonce, b"namespace"),
        ),
        negative(
            "an authentic message that is no payload",
            good,
            data=reference.encrypt(key, b"\xff\xff\xff", nonce),
        ),
        negative(
            "a message with its length before it, as an early TypeScript sample wrote",
            good,
            data=reference.encrypt(key, bytes([len(message)]) + message, nonce),
        ),
    ]


def _changed_metadata(good: Json) -> list[Json]:
    entries: dict[str, str] = good["metadata"]

    def changed(name: str, value: bytes) -> Json:
        return entries | {name: value.hex()}

    return [
        negative("an entry added", good, metadata=changed("note", b"hello")),
        negative(
            "another cipher named",
            good,
            metadata=changed("encryption-cipher", b"AES/CBC/PKCS5Padding"),
        ),
        negative(
            "the entry of the Java sample and another one",
            good,
            metadata=changed("note", b"hello") | common.hexed(reference.JAVA),
        ),
        negative("a wrapped key added", good, metadata=changed("encryption-dek", bytes(40))),
        negative(
            "a context added: it would look authenticated",
            good,
            metadata=changed(
                "encryption-context", common.reference.tlv({b"namespace": b"default"})
            ),
        ),
        *(
            negative(f"{name} removed", good, metadata=common.without(entries, name))
            for name in ("encoding", "encryption-key-id")
        ),
        negative("relabelled as JSON", good, metadata=changed("encoding", b"json/plain")),
        negative("relabelled as sealed", good, metadata=changed("encoding", b"binary/sealed-v1")),
        *(
            negative(f"a key id {what}", good, metadata=changed("encryption-key-id", kid))
            for what, kid in {
                "that is empty": b"",
                "with a line break": KID.encode() + b"\n",
                "of 201 bytes": b"k" * 201,
                "that is a path": b"../../etc/passwd",
                "that is not ASCII": "schlüssel".encode(),
            }.items()
        ),
    ]


def _other_keys(good: Json) -> list[Json]:
    kid, material, stranger = good["kid"], good["key"], common.secret("interop key", "a stranger")
    return [
        negative("other bytes under the same key id", good, keys=[key(kid, stranger.hex())]),
        negative(
            "the right key under another id only",
            good,
            keys=[key(kid, stranger.hex()), key("other", material)],
        ),
        negative("the id of no key", good, keys=[key("other", material)], error="KeyNotFoundError"),
        negative("the key is one of sealed-v1", good, keys=[key(kid, material, "sealed-v1")]),
        negative("half of the key", good, keys=[key(kid, material[:32])]),
    ]


def key(kid: str, material: str, suite: str = "interop") -> Json:
    """A key of a decoder."""
    return {"kid": kid, "key": material, "suite": suite}


def negative(
    name: str,
    good: Json,
    *,
    data: bytes | None = None,
    metadata: Json | None = None,
    keys: Sequence[Json] | None = None,
    error: str = "DecryptError",
) -> Json:
    """Describe what differs from `good`: in the payload or in the keys."""
    return {
        "name": name,
        "keys": keys or [key(good["kid"], good["key"])],
        "metadata": good["metadata"] if metadata is None else metadata,
        "data": good["data"] if data is None else data.hex(),
        "error": error,
    }


def text() -> str:
    """Return the file."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")

"""Write `docs/vectors/sealed-v1.json`: `python tests/reference/make_vectors.py`.

Every input is fixed, so the file changes only if the format or this list does. Published vectors
are a promise: add to them, and never change one.
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

PATH: Final = Path(__file__).parents[2] / "docs" / "vectors" / "sealed-v1.json"
PATTERN: Final = bytes(range(251))  # a prime number of bytes, so that no two chunks are equal
INLINE: Final = 1000  # longer outputs are given by their digest, unless negatives need them
FIELDS: Final = {
    "bytes": (
        "lower-case hex; or a list of parts to concatenate, each of them hex, or "
        '{"repeat": hex, "length": n} for the first n bytes of an endless repetition, or '
        '{"positive": name, "start": a, "end": b} for the bytes a to b (b not included) of the '
        "`data` of that positive"
    ),
    "digest": '{"sha256": hex, "length": n} instead of the bytes themselves',
    "name": "what the vector is about; unique",
    "root": "bytes: the 32 random bytes of the key",
    "kid": "text: the id of the key",
    "context": "the pairs of encryption-context as [name, value], both text; null for none",
    "salt": "bytes: the 24 random bytes of the message",
    "CK": "bytes: the content key",
    "KCV": "bytes: the key check value",
    "CONTEXT": "bytes: what is authenticated beside the message",
    "inner": (
        "the payload inside: its metadata (names are text, values bytes), its data (bytes), and "
        "the size_bytes of its external_payloads"
    ),
    "message": "bytes: the payload inside, serialized with its metadata sorted by name",
    "metadata": "of the payload outside: names are text, values are bytes",
    "data": "bytes or digest: the data of the payload outside",
    "decoder": (
        "namespace: the decoder's own, or null; accept_namespaces: others that it accepts; "
        "require_context: whether a payload must name one; policy: what happens to plaintext"
    ),
    "keys": "the keys of the decoder, all of them for sealed-v1",
    "error": (
        "why the decoder refuses: DecryptError (not authentic, or malformed), KeyNotFoundError, "
        "ContextMismatchError (authentic, for another namespace), UnencryptedPayloadError"
    ),
}

Json = dict[str, Any]


def _load_reference() -> ModuleType:
    """Load the module beside this one, which is a script and in no package."""
    name = "sealed_v1"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


reference: Final = _load_reference()

KID: Final = "2026-01-k1"
JSON: Final = {"encoding": b"json/plain"}
PLAIN: Final = {"encoding": b"binary/plain"}
DEFAULT: Final = {"namespace": "default"}


def build() -> Json:
    """Return the content of the file."""
    positives = [
        positive("an empty payload", data=b"", inner_metadata={}),
        positive("no data", data=b"", inner_metadata={"encoding": b"binary/null"}),
        positive("one byte", data=b"\x00"),
        positive("JSON", data=b'{"amount":12.5,"iban":"DE02"}', inner_metadata=JSON),
        *(positive(f"data of {size} bytes", length=size) for size in (16383, 16384, 16385, 32768)),
        # The empty last chunk appears where the message, not the data, fills its chunks.
        *(
            positive(f"a message of {size} bytes", length=size - _overhead(size))
            for size in (16383, 16384, 16385, 32768)
        ),
        positive("three chunks, given in full", length=32768, inline=True),
        positive("a namespace that is not ASCII", context={"namespace": "Zürich-支付-🔐"}),
        positive("an empty namespace", context={"namespace": ""}),
        positive(
            "names sorted by their bytes, not by UTF-16 units or letters",
            context={
                "namespace": "default",
                "\U00010000": "sorts last",
                "\uffee": "sorts first by UTF-16 units: no",
                "a": "",
                "B": "before a",
                "ab": "after a",
            },
        ),
        positive(
            "sixteen pairs", context={**DEFAULT, **{f"pair-{i:02}": "x" * i for i in range(15)}}
        ),
        positive("no context", context=None),
        positive("a context without a namespace", context={"team": "billing"}),
        positive(
            "a namespace that the decoder accepts beside its own",
            decoder={"namespace": "new", "accept_namespaces": ["default"]},
        ),
        positive("the longest key id", kid="k" * 200),
        positive("every sign of a key id", kid="0Az._:/@+=-"),
        positive("a content id", data=b"a large document", with_content_id=True),
        positive(
            "a content id over several entries",
            data=b"{}",
            inner_metadata={
                "messageType": b"temporal.api.common.v1.Payload",
                "encoding": b"json/protobuf",
                "": b"\x00\xff",
            },
            with_content_id=True,
        ),
        positive("a content id over several chunks", length=32768, with_content_id=True),
        positive("a content id, and no context", context=None, with_content_id=True),
        positive("external payloads", external=[1_048_576, 0, 2**40], inner_metadata=JSON),
        positive(
            "several entries inside",
            data=b"{}",
            inner_metadata={
                "encoding": b"json/protobuf",
                "messageType": b"temporal.api.common.v1.Payload",
                "": b"\x00\xff",
            },
        ),
    ]
    return {
        "format": "binary/sealed-v1",
        "fields": FIELDS,
        "positives": positives,
        "negatives": negatives(positives),
    }


def positive(
    name: str,
    *,
    kid: str = KID,
    context: Mapping[str, str] | None = DEFAULT,
    data: bytes = b"data",
    length: int | None = None,
    inner_metadata: Mapping[str, bytes] = PLAIN,
    external: Sequence[int] = (),
    decoder: Json | None = None,
    inline: bool = False,
    with_content_id: bool = False,
) -> Json:
    """Describe a payload that must be read.

    Args:
        name: See `FIELDS`, as for the rest.
        kid: The key id.
        context: The pairs.
        data: The inner data.
        length: Take so many bytes of a pattern for inner data instead.
        inner_metadata: The inner metadata.
        external: The sizes of the inner external payloads.
        decoder: What differs from a decoder of the same namespace.
        inline: Give the bytes of the outer data, however many.
        with_content_id: Add a content id.
    """
    root, salt = secret("root", name), secret("salt", name)[:24]
    plain = data if length is None else repeated(length)
    message = reference.serialize(inner_metadata, plain, external)
    extra: dict[str, bytes] = {}
    if with_content_id:
        extra["encryption-content-id"] = reference.content_id(root, kid, inner_metadata, plain)
    sealed = reference.seal(root, kid, context, message, salt, extra)
    namespace = None if context is None else context.get("namespace")
    return {
        "name": name,
        "root": root.hex(),
        "kid": kid,
        "context": None if context is None else [list(pair) for pair in context.items()],
        "salt": salt.hex(),
        "CK": reference.content_key(root, kid).hex(),
        "KCV": reference.check_value(root, kid).hex(),
        "CONTEXT": reference.authenticated(sealed.metadata).hex(),
        "inner": {
            "metadata": hexed(inner_metadata),
            "data": plain.hex() if length is None else pattern(length),
            "external_payloads": list(external),
        },
        "message": message.hex() if length is None else message_parts(message, length),
        "metadata": hexed(sealed.metadata),
        "data": sealed.data.hex()
        if inline or len(sealed.data) <= INLINE
        else {"sha256": hashlib.sha256(sealed.data).hexdigest(), "length": len(sealed.data)},
        "decoder": {
            "namespace": namespace,
            "accept_namespaces": [],
            "require_context": namespace is not None,
            "policy": "strict",
            **(decoder or {}),
        },
    }


def negatives(positives: Sequence[Json]) -> list[Json]:
    """Describe payloads that must be refused."""
    known = {vector["name"]: vector for vector in positives}
    return [
        *_changed_data(known["JSON"]),
        *_changed_chunks(known["three chunks, given in full"]),
        *_changed_metadata(known["JSON"]),
        *_malformed_context(known["JSON"]),
        *_refused_by_policy(known),
    ]


def _changed_data(good: Json) -> list[Json]:
    data = bytes.fromhex(good["data"])
    places = {"salt": 0, "commitment": 24, "ciphertext": 56, "tag": -1}
    stranger = {"kid": good["kid"], "root": secret("root", "a stranger").hex()}
    return [
        *(
            negative(f"a bit of the {place} flipped", good, data=flipped(data, at).hex())
            for place, at in places.items()
        ),
        negative("the last byte missing", good, data=data[:-1].hex()),
        negative("a byte too many", good, data=f"{good['data']}00"),
        negative("only salt and commitment", good, data=data[:56].hex()),
        negative("data of no bytes", good, data=""),
        negative("other bytes under the same key id", good, keys=[stranger]),
        negative(
            "the chunk of another payload with the same key and metadata",
            good,
            data=data[:56].hex() + sealed_again(good)[56:].hex(),
        ),
        negative(
            "an authentic message that is no payload",
            good,
            data=sealed_again(good, message=b"\xff\xff\xff").hex(),
        ),
    ]


def _changed_chunks(good: Json) -> list[Json]:
    size, chunk = len(good["data"]) // 2, reference.CHUNK + reference.TAG
    edges = {"head": (0, 56), "0": (56, 56 + chunk), "1": (56 + chunk, 56 + 2 * chunk)}
    edges["last"] = (56 + 2 * chunk, size)

    def spliced(*parts: str) -> list[Json]:
        ranges = [edges[part] for part in parts]
        return [{"positive": good["name"], "start": a, "end": b} for a, b in ranges]

    return [
        negative("chunks swapped", good, data=spliced("head", "1", "0", "last")),
        negative("a chunk dropped", good, data=spliced("head", "0", "last")),
        negative("a chunk doubled", good, data=spliced("head", "0", "0", "1", "last")),
        negative("a chunk put in another's place", good, data=spliced("head", "0", "0", "last")),
        negative("the last chunk dropped", good, data=spliced("head", "0", "1")),
        negative("the last chunk doubled", good, data=spliced("head", "0", "1", "last", "last")),
        negative("only the last chunk", good, data=spliced("head", "last")),
        _full_last_chunk(good),
    ]


def _full_last_chunk(good: Json) -> Json:
    """A message that fills its chunk, without the empty chunk that must follow.

    All of it is authentic, and a payload: only a reader that asks for the last chunk refuses it.
    Its data is the key stream itself, so that the ciphertext is zeros, which the file says briefly.
    """
    size, head = reference.CHUNK - _overhead(reference.CHUNK), 56 + _overhead(reference.CHUNK)

    def sealed_around(data: bytes) -> bytes:
        return sealed_again(good, message=reference.serialize(PLAIN, data))[: -reference.TAG]

    data = sealed_around(sealed_around(bytes(size))[head : head + size])
    zeros = {"repeat": "00", "length": size}
    return negative(
        "a full last chunk", good, data=[data[:head].hex(), zeros, data[head + size :].hex()]
    )


def _changed_metadata(good: Json) -> list[Json]:
    entries: dict[str, str] = good["metadata"]
    other = {"kid": "other", "root": good["root"]}
    both = [{"kid": good["kid"], "root": good["root"]}, other]
    elsewhere = reference.tlv({b"namespace": b"elsewhere"}).hex()

    def changed(name: str, value: str | bytes) -> Json:
        return entries | {name: value.encode().hex() if isinstance(value, str) else value.hex()}

    return [
        negative("an entry added", good, metadata=changed("note", "hello")),
        negative("an encryption entry added", good, metadata=changed("encryption-dek", b"\x00")),
        negative("the encoding removed", good, metadata=without(entries, "encoding")),
        negative("the key id removed", good, metadata=without(entries, "encryption-key-id")),
        negative("the context removed", good, metadata=without(entries, "encryption-context")),
        negative("relabelled as interop", good, metadata=changed("encoding", "binary/encrypted")),
        negative("relabelled as JSON", good, metadata=changed("encoding", "json/plain")),
        negative(
            "relabelled as JSON, and plaintext is accepted",
            good,
            metadata=changed("encoding", "json/plain"),
            policy="open",
        ),
        negative(
            "the id of another key with the same bytes",
            good,
            metadata=changed("encryption-key-id", "other"),
            keys=both,
        ),
        negative(
            "the id of no key",
            good,
            metadata=changed("encryption-key-id", "missing"),
            error="KeyNotFoundError",
        ),
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
        negative(
            "the namespace changed to the decoder's",
            good,
            metadata=entries | {"encryption-context": elsewhere},
            namespace="elsewhere",
        ),
        negative("a content id added", good, metadata=changed("encryption-content-id", bytes(32))),
    ]


def _malformed_context(good: Json) -> list[Json]:
    pair, other = (b"namespace", b"default"), (b"a", b"b")
    packed: bytes = reference.tlv(dict([pair]))
    malformed = {
        "is empty": b"",
        "is cut off in the number of pairs": packed[:3],
        "is cut off in a length": packed[:6],
        "is cut off in a value": packed[:-1],
        "has a byte too many": packed + b"\x00",
        "announces a pair too many": b"\x00\x00\x00\x02" + packed[4:],
        "announces four billion pairs": b"\xff\xff\xff\xff" + packed[4:],
        "is not sorted": reference.tlv_as_given([pair, other]),
        "has a name twice": reference.tlv_as_given([pair, pair]),
        "has 17 pairs": reference.tlv(dict([pair, *((b"%02d" % i, b"") for i in range(16))])),
        "has more than 4096 bytes": reference.tlv(dict([pair, (b"a", bytes(4096))])),
    }
    return [
        negative(f"an authentic context that {what}", good, **authentic(good, context))
        for what, context in malformed.items()
    ] + [
        negative(
            f"an authentic content id of {size} bytes",
            good,
            **authentic(good, packed, {"encryption-content-id": bytes(size)}),
        )
        for size in (0, 31, 33)
    ]


def _refused_by_policy(known: Mapping[str, Json]) -> list[Json]:
    good, mismatch = known["JSON"], "ContextMismatchError"
    plain = {"encoding": b"json/plain".hex()}
    no_pairs = authentic(good, reference.tlv({}))
    return [
        negative("sealed for another namespace", good, namespace="b", error=mismatch),
        negative("the decoder knows no namespace", good, namespace=None, error=mismatch),
        negative(
            "sealed for a namespace that differs in case", good, namespace="Default", error=mismatch
        ),
        *(
            negative(f"a namespace is required: {name}", known[name], error=mismatch, **required)
            for name in ("no context", "a context without a namespace")
            for required in [{"namespace": "default", "require_context": True}]
        ),
        negative("a namespace is required: no pairs", good, error=mismatch, **no_pairs),
        negative(
            "plaintext", good, metadata=plain, data=b"{}".hex(), error="UnencryptedPayloadError"
        ),
        negative(
            "plaintext without an encoding",
            good,
            metadata={},
            data="",
            error="UnencryptedPayloadError",
        ),
    ]


def negative(name: str, good: Json, error: str = "DecryptError", **changes: Any) -> Json:
    """Describe what differs from `good`: in the payload, the keys or the decoder."""
    decoder = {key: changes.pop(key) for key in good["decoder"] if key in changes}
    return {
        "name": name,
        "keys": [{"kid": good["kid"], "root": good["root"]}],
        "metadata": good["metadata"],
        "data": good["data"],
        "decoder": good["decoder"] | decoder,
        **changes,
        "error": error,
    }


def authentic(good: Json, context: bytes, extra: Mapping[str, bytes] | None = None) -> Json:
    """Metadata that no encoder writes, and data that is authentic with it."""
    metadata = {name: bytes.fromhex(value) for name, value in good["metadata"].items()}
    metadata["encryption-context"] = context
    metadata |= extra or {}
    return {"metadata": hexed(metadata), "data": sealed_again(good, metadata=metadata).hex()}


def sealed_again(
    good: Json, *, metadata: Mapping[str, bytes] | None = None, message: bytes | None = None
) -> bytes:
    """The data of `good` with another salt, and with other metadata or another message."""
    if metadata is None:
        metadata = {name: bytes.fromhex(value) for name, value in good["metadata"].items()}
    data: bytes = reference.encrypt(
        bytes.fromhex(good["CK"]),
        reference.authenticated(metadata),
        bytes.fromhex(good["message"]) if message is None else message,
        secret("salt", "again")[:24],
    )
    return data


def secret(purpose: str, name: str) -> bytes:
    """32 bytes that look random and are the same every time."""
    return hashlib.sha256(f"sealwire vectors: {purpose} of {name}".encode()).digest()


def hexed(metadata: Mapping[str, bytes]) -> dict[str, str]:
    """Metadata as it stands in the file."""
    return {name: value.hex() for name, value in metadata.items()}


def without(entries: Mapping[str, str], name: str) -> dict[str, str]:
    """`entries` but for one."""
    return {key: value for key, value in entries.items() if key != name}


def flipped(data: bytes, at: int) -> bytes:
    """`data` with a bit of one byte flipped."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def repeated(length: int, unit: bytes = PATTERN) -> bytes:
    """The first bytes of an endless repetition."""
    return (unit * (length // len(unit) + 1))[:length]


def pattern(length: int) -> list[Json]:
    """`repeated` as it stands in the file."""
    return [{"repeat": PATTERN.hex(), "length": length}]


def message_parts(message: bytes, length: int) -> list[str | Json]:
    """A message that ends in a pattern, as it stands in the file."""
    return [message[:-length].hex(), *pattern(length)]


def _overhead(size: int) -> int:
    """The bytes of a message of about `size` that are not its data."""
    return len(reference.serialize(PLAIN, bytes(size - 64))) - (size - 64)


def bytes_of(value: Any, positives: Mapping[str, Json] | None = None) -> bytes:
    """Read the bytes of a field; see `FIELDS`."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    output = b""
    for part in value:
        if isinstance(part, str):
            output += bytes.fromhex(part)
        elif "repeat" in part:
            output += repeated(part["length"], bytes.fromhex(part["repeat"]))
        else:
            whole = bytes_of((positives or {})[part["positive"]]["data"])
            output += whole[part["start"] : part["end"]]
    return output


def text() -> str:
    """Return the file."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text(), encoding="utf-8")

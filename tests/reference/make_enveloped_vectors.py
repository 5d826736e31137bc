"""Write `docs/vectors/enveloped-v1.json`: `python tests/reference/make_enveloped_vectors.py`.

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

PATH: Final = Path(__file__).parents[2] / "docs" / "vectors" / "enveloped-v1.json"
FIELDS: Final = {
    "bytes": "lower-case hex",
    "digest": '{"sha256": hex, "length": n} instead of the bytes themselves',
    "name": "what the vector is about; unique",
    "data_key": "bytes: the 32 random bytes of the data key",
    "kid": "text: the id of the data key, which follows from it",
    "tenant": "text: whose data key it is",
    "wraps": (
        "what each local key file makes of the data key: key (bytes: the 32 of the file), name "
        "(text, which follows from it), nonce (bytes: the 12 random ones), wrapped (bytes)"
    ),
    "context": "the pairs of encryption-context as [name, value], both text; null for none",
    "salt": "bytes: the 24 random bytes of the message",
    "CK": "bytes: the content key",
    "CONTEXT": "bytes: what is authenticated beside the message",
    "inner": (
        "the payload inside: its metadata (names are text, values bytes), its data (bytes, or "
        '{"repeat": hex, "length": n} for the first n bytes of an endless repetition), and the '
        "size_bytes of its external_payloads"
    ),
    "message": "bytes, or parts as in `inner`: the payload inside, serialized, metadata sorted",
    "metadata": "of the payload outside: names are text, values are bytes",
    "data": "bytes or digest: the data of the payload outside",
    "decoder": (
        "namespace: the decoder's own, or null; accept_namespaces: others that it accepts; "
        "require_context: whether a payload must name one; policy: what happens to plaintext"
    ),
    "key_files": "bytes: the key files that the decoder of a negative has",
    "error": (
        "why the decoder refuses: DecryptError (not authentic, malformed, or a wrap that does not "
        "open), KeyNotFoundError (wrapped by none of the key files), ContextMismatchError "
        "(authentic, for another namespace), UnencryptedPayloadError"
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
reference: Final = _load("enveloped_v1")
sealed: Final = reference.sealed

NEAR: Final = common.secret("key file", "near")
FAR: Final = common.secret("key file", "far")
STRANGER: Final = common.secret("key file", "stranger")
DEFAULT: Final = {"namespace": "default"}


def build() -> Json:
    """Return the content of the file."""
    positives = [
        positive("an empty payload", data=b"", inner_metadata={}),
        positive("one byte", data=b"\x00"),
        positive("JSON", data=b'{"amount":12.5,"iban":"DE02"}', inner_metadata=common.JSON),
        *(positive(f"data of {size} bytes", length=size) for size in (16384, 32768)),
        positive("two key files", key_files=[NEAR, FAR]),
        positive("four key files", key_files=[NEAR, FAR, *_more_key_files()]),
        positive("a tenant that is not ASCII", tenant="Müller & Söhne"),
        positive("a namespace that is not ASCII", context={"namespace": "Zürich-支付-🔐"}),
        positive("several pairs", context={**DEFAULT, "team": "billing", "B": "", "a": "x"}),
        positive("no context", context=None),
        positive(
            "a namespace that the decoder accepts beside its own",
            decoder={"namespace": "new", "accept_namespaces": ["default"]},
        ),
        positive("external payloads", external=[1_048_576, 0], inner_metadata=common.JSON),
    ]
    return {
        "format": "binary/enveloped-v1",
        "fields": FIELDS,
        "positives": positives,
        "negatives": negatives({vector["name"]: vector for vector in positives}),
    }


def positive(
    name: str,
    *,
    tenant: str = "default",
    key_files: Sequence[bytes] = (NEAR,),
    context: Mapping[str, str] | None = DEFAULT,
    data: bytes = b"data",
    length: int | None = None,
    inner_metadata: Mapping[str, bytes] = common.PLAIN,
    external: Sequence[int] = (),
    decoder: Json | None = None,
) -> Json:
    """Describe a payload that must be read.

    Args:
        name: See `FIELDS`, as for the rest.
        tenant: Whose data key.
        key_files: The keys of the key files.
        context: The pairs.
        data: The inner data.
        length: Take so many bytes of a pattern for inner data instead.
        inner_metadata: The inner metadata.
        external: The sizes of the inner external payloads.
        decoder: What differs from a decoder of the same namespace.
    """
    data_key, salt = common.secret("data key", name), common.secret("envelope salt", name)[:24]
    plain = data if length is None else common.repeated(length)
    message = sealed.serialize(inner_metadata, plain, external)
    wraps = [_wrap(key, data_key, tenant, f"{name} {at}") for at, key in enumerate(key_files)]
    packed = [(wrap["name"], bytes.fromhex(wrap["wrapped"])) for wrap in wraps]
    metadata = reference.metadata_of(data_key, packed, context)
    namespace = None if context is None else context.get("namespace")
    return {
        "name": name,
        "data_key": data_key.hex(),
        "kid": reference.key_id(data_key),
        "tenant": tenant,
        "wraps": wraps,
        "context": None if context is None else [list(pair) for pair in context.items()],
        "salt": salt.hex(),
        "CK": reference.content_key(data_key).hex(),
        "CONTEXT": reference.authenticated(metadata).hex(),
        "inner": {
            "metadata": common.hexed(inner_metadata),
            "data": plain.hex() if length is None else common.pattern(length),
            "external_payloads": list(external),
        },
        "message": message.hex() if length is None else common.message_parts(message, length),
        "metadata": common.hexed(metadata),
        "data": _published(reference.seal(data_key, metadata, message, salt)),
        "decoder": {
            "namespace": namespace,
            "accept_namespaces": [],
            "require_context": namespace is not None,
            "policy": "strict",
            **(decoder or {}),
        },
    }


def negatives(known: Mapping[str, Json]) -> list[Json]:
    """Describe payloads that must be refused."""
    good = known["JSON"]
    return [
        *_changed_data(good),
        *_changed_metadata(good),
        *_changed_wraps(good, known["two key files"]),
        *_malformed_wraps(good),
        *_refused_by_policy(good, known["no context"]),
    ]


def _changed_data(good: Json) -> list[Json]:
    data = bytes.fromhex(good["data"])
    places = {"salt": 0, "commitment": 24, "ciphertext": 56, "tag": -1}
    return [
        *(
            negative(f"a bit of the {place} flipped", good, data=common.flipped(data, at).hex())
            for place, at in places.items()
        ),
        negative("the last byte missing", good, data=data[:-1].hex()),
        negative("a byte too many", good, data=f"{good['data']}00"),
        negative("data of no bytes", good, data=""),
        negative(
            "an authentic message that is no payload",
            good,
            data=_sealed_again(good, message=b"\xff\xff\xff").hex(),
        ),
    ]


def _changed_metadata(good: Json) -> list[Json]:
    entries: dict[str, str] = good["metadata"]
    namespace = sealed.tlv({b"namespace": b"elsewhere"}).hex()
    names = ("encoding", "encryption-key-id", "encryption-wrapped-key", "encryption-context")
    return [
        *(
            negative(f"{name} removed", good, metadata=common.without(entries, name))
            for name in names
        ),
        negative("an entry added", good, metadata=entries | {"note": b"hello".hex()}),
        negative(
            "a content id added", good, metadata=entries | {"encryption-content-id": "00" * 32}
        ),
        *(
            negative(
                f"relabelled as {label}",
                good,
                metadata=entries | {"encoding": label.encode().hex()},
            )
            for label in ("binary/sealed-v1", "json/plain", "binary/enveloped-v2")
        ),
        negative(
            "the id of another data key",
            good,
            metadata=entries | {"encryption-key-id": b"dk-".hex() + "30" * 32},
        ),
        negative(
            "an id that is none of a data key",
            good,
            metadata=entries | {"encryption-key-id": b"2026-01-k1".hex()},
        ),
        negative(
            "the namespace changed to the decoder's",
            good,
            metadata=entries | {"encryption-context": namespace},
            namespace="elsewhere",
        ),
    ]


def _changed_wraps(good: Json, two: Json) -> list[Json]:
    near, far = two["wraps"]
    other = _wrap(NEAR, bytes.fromhex(good["data_key"]), "default", "wrapped again")
    swapped = _wrap(NEAR, common.secret("data key", "another"), "default", "another")

    def rewrapped(name: str, vector: Json, *wraps: Json, **changes: Any) -> Json:
        entry = {"encryption-wrapped-key": _packed(*wraps).hex()}
        return negative(name, vector, metadata=vector["metadata"] | entry, **changes)

    return [
        rewrapped("a wrap taken away", two, near),
        rewrapped("the other wrap taken away", two, far, key_files=[FAR.hex()]),
        rewrapped("a wrap added", good, *good["wraps"], far),
        rewrapped("the same data key wrapped again", good, other),
        rewrapped("another data key", good, swapped),
        rewrapped(
            "the wrap under the name of another key file",
            good,
            {**near, "name": far["name"]},
            key_files=[FAR.hex()],
        ),
        negative("wrapped for another tenant", good, tenant="other"),
        negative(
            "a key file that it is not wrapped by",
            good,
            key_files=[STRANGER.hex()],
            error="KeyNotFoundError",
        ),
    ]


def _malformed_wraps(good: Json) -> list[Json]:
    [wrap] = good["wraps"]
    pair = (wrap["name"].encode(), bytes.fromhex(wrap["wrapped"]))
    packed = _packed(wrap)
    malformed = {
        "are empty": b"",
        "are none": sealed.tlv({}),
        "are cut off": packed[:-1],
        "have a byte too many": packed + b"\x00",
        "are not sorted": sealed.tlv_as_given([pair, (b"a", b"b")]),
        "have a name twice": sealed.tlv_as_given([pair, pair]),
        "are five": sealed.tlv(dict([pair, *((b"%d" % i, b"x") for i in range(4))])),
        "have more than 4096 bytes": sealed.tlv(dict([pair, (b"a", bytes(4096))])),
        "have a name of 513 bytes": sealed.tlv(dict([pair, (b"a" * 513, b"x")])),
        "have a name of no characters": sealed.tlv(dict([pair, (b"", b"x")])),
        "have a name with a line break": sealed.tlv(dict([pair, (b"a\n", b"x")])),
        "have a name that is no UTF-8": sealed.tlv(dict([pair, (b"\xff", b"x")])),
        "have one of no bytes": sealed.tlv(dict([pair, (b"a", b"")])),
    }
    return [
        negative(f"authentic wraps that {what}", good, **_authentic(good, wraps))
        for what, wraps in malformed.items()
    ]


def _refused_by_policy(good: Json, bare: Json) -> list[Json]:
    mismatch = "ContextMismatchError"
    plain = {"encoding": b"json/plain".hex()}
    return [
        negative("sealed for another namespace", good, namespace="b", error=mismatch),
        negative("the decoder knows no namespace", good, namespace=None, error=mismatch),
        negative(
            "a namespace is required",
            bare,
            namespace="default",
            require_context=True,
            error=mismatch,
        ),
        negative(
            "plaintext", good, metadata=plain, data=b"{}".hex(), error="UnencryptedPayloadError"
        ),
    ]


def negative(name: str, good: Json, error: str = "DecryptError", **changes: Any) -> Json:
    """Describe what differs from `good`: in the payload, the key files or the decoder."""
    decoder = {key: changes.pop(key) for key in good["decoder"] if key in changes}
    return {
        "name": name,
        "tenant": good["tenant"],
        "key_files": [wrap["key"] for wrap in good["wraps"]],
        "metadata": good["metadata"],
        "data": good["data"],
        "decoder": good["decoder"] | decoder,
        **changes,
        "error": error,
    }


def _more_key_files() -> list[bytes]:
    return [common.secret("key file", name) for name in ("third", "fourth")]


def _wrap(key: bytes, data_key: bytes, tenant: str, purpose: str) -> Json:
    nonce = common.secret("nonce", purpose)[:12]
    return {
        "key": key.hex(),
        "name": reference.wrapper_name(key),
        "nonce": nonce.hex(),
        "wrapped": reference.wrap(key, data_key, tenant, nonce).hex(),
    }


def _published(data: bytes) -> Any:
    if len(data) <= common.INLINE:
        return data.hex()
    return {"sha256": hashlib.sha256(data).hexdigest(), "length": len(data)}


def _packed(*wraps: Json) -> bytes:
    pairs = {wrap["name"].encode(): bytes.fromhex(wrap["wrapped"]) for wrap in wraps}
    return bytes(sealed.tlv(pairs))


def _authentic(good: Json, wraps: bytes) -> Json:
    """Wraps that no encoder writes, and data that is authentic with them."""
    metadata = {name: bytes.fromhex(value) for name, value in good["metadata"].items()}
    metadata["encryption-wrapped-key"] = wraps
    return {"metadata": common.hexed(metadata), "data": _sealed_again(good, metadata).hex()}


def _sealed_again(
    good: Json, metadata: Mapping[str, bytes] | None = None, message: bytes | None = None
) -> bytes:
    if metadata is None:
        metadata = {name: bytes.fromhex(value) for name, value in good["metadata"].items()}
    return bytes(
        reference.seal(
            bytes.fromhex(good["data_key"]),
            metadata,
            common.bytes_of(good["message"]) if message is None else message,
            common.secret("envelope salt", "again")[:24],
        )
    )


def text() -> str:
    """Return the file's text."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")

"""Where the fuzzer begins: good inputs of every kind, so that it need not find them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from fuzz_documents import DOCUMENT_KEY
from fuzz_inputs import ROOT, SEALED_KEY, compressions, dictionary, order, padded, sealed_for
from google.protobuf import json_format, struct_pb2, timestamp_pb2

from sealwire.codecs import dictionary_document
from sealwire.codecs.dictionary_document import DictionaryRecord
from sealwire.keys import document as keyring_document
from sealwire.payload import ENCODING, Payload
from sealwire.wire import format_payloads

_RECIPES: Final = 40  # more than any target has
_SHAPES: Final = (0x40, 0x80)  # a changed byte, and a batch
_EDIT: Final = b"\x05\x00\x01"
_TEXTS: Final[tuple[Any, ...]] = (
    None,
    {"a": 1, "b": -(2**70)},
    {"1": [1, 2.5]},
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456+02:00", None],
    ["P1DT2H", "-PT0.5S"],
    ["AAEC", "1.50"],
    ["3fa85f64-5717-4562-b3fc-2c963f66afa6"],
    {"2026-01-02": ["red", "blue"]},
    ["03:04:05", 1.5],
    "text",
    7,
    1.5,
    {"sku": "x", "count": 2, "price": "1.20"},
    {
        "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "lines": [{"sku": "x"}],
        "at": "2026-01-02T03:04:05",
        "address": {"city": "Oslo", "zip": None},
        "color": "blue",
    },
)
_CAUSES: Final = (
    {"type": "DecryptError", "keyId": "sealed-1", "index": 0},
    {"type": "KeyNotFoundError", "keyId": "no id!", "index": -1},
    {"type": "ConversionError", "keyId": 7, "index": True},
    {"type": "Other", "detail": "x" * 40},
)


def seeds(target: str) -> list[bytes]:
    """Return inputs for a target."""
    return list(_MAKERS.get(target, _for_codecs)())


def _for_codecs() -> Iterator[bytes]:
    payloads = _payloads()
    recipes = compressions()[7:]  # those that compress
    plain = [payload.SerializeToString() for payload in payloads]
    layered = [
        layer(data)
        for data in plain[:2]
        for layer in (*recipes, padded, sealed_for(b"sealed-1", namespace="default"))
    ]
    contents = [
        *plain,
        *(payload.SerializeToString() for payload in layered),
        *(payload.data for payload in layered),
        b"\x00" + plain[0],
        _own_context() + plain[0],
    ]
    return _inputs(_RECIPES, contents)


def _payloads() -> list[Payload]:
    rich = Payload(metadata={ENCODING: b"json/protobuf", "messageType": b"a.B"}, data=b"{}")
    rich.external_payloads.add(size_bytes=5000)
    zeros = Payload(metadata={ENCODING: b"binary/plain"}, data=bytes(3000))
    return [order(random.Random(1)), zeros, Payload(), rich]  # noqa: S311


def _own_context() -> bytes:
    outer = sealed_for(b"sealed-1", namespace="default", purpose="x")(b"")
    context = outer.metadata["encryption-context"]
    return bytes([len(context)]) + context


def _for_values() -> Iterator[bytes]:
    texts = [json.dumps(text).encode() for text in _TEXTS]
    contents = [*texts, *(msgspec.msgpack.encode(json.loads(text)) for text in texts[2:])]
    for hint, content in itertools.product(range(14), contents):
        yield from _inputs(8, [bytes([hint]) + content])
    struct = struct_pb2.Struct()
    struct.update({"a": [1, None, {"b": "c"}]})
    for message in (struct, timestamp_pb2.Timestamp(seconds=7, nanos=8)):
        text = json_format.MessageToJson(message, indent=None).encode()
        for number, content in itertools.product(range(9), (text, message.SerializeToString())):
            yield from _inputs(8, [bytes([0, number]) + content])


def _for_direct() -> Iterator[bytes]:
    texts = [json.dumps(text).encode() for text in _TEXTS]
    labelled = [
        Payload(metadata={ENCODING: encoding}, data=text)
        for encoding in (b"json/plain", b"binary/msgpack", b"binary/plain", b"binary/null")
        for text in (b"", *texts)
    ]
    for hint, payload in itertools.product(range(0, 14, 3), (*labelled, *_payloads())):
        yield bytes([hint]) + payload.SerializeToString()


def _for_answers() -> Iterator[bytes]:
    bodies = [*_for_wire(), *(json.dumps(cause).encode() for cause in _CAUSES)]
    for status, media, body in itertools.product(range(10), (0, 2), bodies):
        yield bytes([status, media, 2]) + body


def _for_wire() -> Iterator[bytes]:
    yield from (format_payloads(_payloads()[:count]) for count in (0, 1, 2, 4))
    yield b'{"payloads":[{"metadata":null,"data":"_-8","externalPayloads":[{"sizeBytes":7}]},{}]}'


def _for_dictionaries() -> Iterator[bytes]:
    content = dictionary()
    record = DictionaryRecord(content.dict_id(), 1.0, 2.0, retired=False, sealed=b"sealed")
    document = dictionary_document.Document(dictionary_document.FORMAT, 3, (record,))
    header = msgspec.json.encode(record.header)
    inner = Payload(
        metadata={ENCODING: b"binary/zstd-dictionary", "dictionary": header},
        data=content.as_bytes(),
    )
    yield b"\0" + dictionary_document.write(document)
    yield from (bytes([way]) + inner.SerializeToString() for way in (2, 3))
    yield b"\4" + content.as_bytes()
    yield from (bytes([way]) + text for way, text in itertools.product((1, 5), _random_bytes()))


def _for_keys() -> Iterator[bytes]:
    opener = keyring_document.DocumentKey(DOCUMENT_KEY)
    wrapping = keyring_document.Wrapping("local:x", b"wrapped")
    record = opener.wrap(SEALED_KEY, ROOT, "default")
    document = keyring_document.Document(
        keyring_document.FORMAT, "default", 3, (wrapping,), (record,)
    )
    text = opener.sign(document)
    yield from (bytes([way]) + text for way in (0, 1))
    yield from (b"\2" + data for data in _random_bytes())


def _random_bytes() -> Iterable[bytes]:
    numbers = random.Random(5)  # noqa: S311
    return [numbers.randbytes(size) for size in range(6, 66, 3)]


def _inputs(recipes: int, contents: Sequence[bytes]) -> Iterator[bytes]:
    for recipe, content in itertools.product(range(recipes), contents):
        yield bytes([recipe]) + _EDIT + content
    for recipe, shape in itertools.product(range(recipes), _SHAPES):
        yield bytes([recipe | shape]) + _EDIT + contents[0]


_MAKERS: Final[Mapping[str, Any]] = {
    "values": _for_values,
    "direct": _for_direct,
    "answer": _for_answers,
    "wire": _for_wire,
    "dictionaries": _for_dictionaries,
    "keys": _for_keys,
}

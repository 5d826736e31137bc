"""What is read beside payloads: the two documents, and what is said over HTTP.

Most inputs are the text itself. In some the fuzzer chooses the fields, and the text is made, and
signed or sealed with the right key, so that it gets past authentication.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import msgspec
from fuzz_checks import LOGGED, refuse_leak
from fuzz_inputs import ROOT, SEALED_KEY, dictionary, keyring, labelled, outer

from sealwire.codecs import CompressionCodec, dictionary_document, dictionary_sealing
from sealwire.codecs.dictionary_document import DictionaryRecord
from sealwire.codecs.dictionary_training import OneDictionary
from sealwire.codecs.remote_answer import payloads_of, refuse_unencrypted
from sealwire.codecs.remote_http import Answer
from sealwire.errors import (
    ConfigurationError,
    KeyLookupError,
    PayloadError,
    SealwireError,
)
from sealwire.keys import Key, Keyring, KeySet, KeySuite
from sealwire.keys import document as keyring_document
from sealwire.payload import Encoding, Payload
from sealwire.testing.keys import ScriptedKeyProvider
from sealwire.wire import format_payloads, parse_payloads

atheris: Any = import_module("atheris")  # it comes without types

Run = Callable[[bytes], None]

_STATUSES: Final = (200, 200, 400, 401, 403, 404, 413, 422, 500, 302)
_MEDIA_TYPES: Final = ("application/json", "application/json", "text/html", "")
DOCUMENT_KEY: Final = bytes(range(50, 82))
_ID: Final = dictionary().dict_id()
_MISSING: Final = object()
# Values that somebody's code could stumble over.
_ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    -1e308,
    2**53,
    2**63,
    10**400,
    32768,
    2**31 - 1,
    "",
    "default",
    "sealed-v1",
    "interop",
    "key-1",
    "\x00",
    "\U0001f511",
    "=",
    "AAAA",
    "é" * 300,
    [],
    {},
)


def answer() -> Run:
    """What a codec server may answer: status, media type and number of payloads, then the body."""

    def run(data: bytes) -> None:
        status, media_type, count = data[0], data[1], data[2] % 4
        body = data[3:]
        heard = Answer(
            _STATUSES[status % len(_STATUSES)], _MEDIA_TYPES[media_type % len(_MEDIA_TYPES)], body
        )
        try:
            payloads = payloads_of(heard, "http://127.0.0.1:8081", count)
            assert count == len(payloads), "another number of results"
            refuse_unencrypted(payloads, payloads)
        except SealwireError as err:
            named = Payload(metadata={"key": (err.key_id or "").encode()})  # an id may be shown
            refuse_leak(err, [body], [named])

    return run


def wire() -> Run:
    """A request's body; what is read can be written, and is then read as the same."""

    def run(data: bytes) -> None:
        try:
            payloads = parse_payloads(data)
        except PayloadError:
            return
        assert payloads == parse_payloads(format_payloads(payloads)), "it reads as something else"

    return run


def dictionaries() -> Run:
    """The document of dictionaries, what is sealed in it, and the dictionaries themselves."""
    codec = dictionary_sealing.dictionary_codec(keyring())
    loop = asyncio.new_event_loop()
    trained = dictionary().as_bytes()

    def unseal(data: bytes) -> None:
        (sealed,) = codec.encode_sync([outer(data)])
        record(sealed.SerializeToString())

    def text(data: bytes) -> None:
        document = dictionary_document.parse(data)
        assert document == dictionary_document.parse(dictionary_document.write(document))

    def fields(data: bytes) -> None:
        odd = Odd(data)
        record = {"id": _ID, "created": 1.0, "write_from": 2.0, "retired": False, "sealed": "AAAA"}
        document = {"format": dictionary_document.FORMAT, "version": 3}
        records = [odd.changed(record) for _ in range(odd.number(3))]
        text(odd.text(odd.changed({**document, "dictionaries": records})))

    def record(data: bytes) -> None:
        header = DictionaryRecord(_ID, 1.0, 2.0, retired=False, sealed=data)
        found = loop.run_until_complete(dictionary_sealing.unseal(header, codec))
        assert found.content is None or _ID == found.content.dict_id()

    def content(data: bytes) -> None:
        use_dictionary(edited(trained, data))

    return documents((text, fields, record, unseal, use_dictionary, content), [ROOT])


def use_dictionary(content: bytes) -> None:
    """Load a dictionary, and let a hostile frame refer to it."""
    loaded = dictionary_document.load_content(content)
    if isinstance(loaded, str):
        return
    codec = CompressionCodec(max_size=1024 * 1024, min_size=0, dictionaries=OneDictionary(loaded))
    payload = labelled(Encoding.JSON, b'{"order_id": "ord-7", "city": "Oslo"}' * 9)
    assert [payload] == codec.decode_sync(codec.encode_sync([payload]))


def edited(text: bytes, edits: bytes) -> bytes:
    """Change bytes of a good text: an edit is a position in two bytes, and what to change it by."""
    changed = bytearray(text)
    for start in range(0, len(edits) - 2, 3):
        position = int.from_bytes(edits[start : start + 2], "little")
        changed[position % len(changed)] ^= edits[start + 2]
    return bytes(changed)


def keys() -> Run:
    """The keyring document, with a right and a wrong signature, and the keyring made of it."""
    opener = keyring_document.DocumentKey(DOCUMENT_KEY)
    wrapped = [
        msgspec.to_builtins(opener.wrap(key, ROOT, "default"))
        for key in (SEALED_KEY, Key("key-1", ROOT, suite=KeySuite.INTEROP))
    ]

    def text(data: bytes) -> None:
        opener.open(keyring_document.parse(data, "default"))

    def signed(data: bytes) -> None:
        document = keyring_document.parse(data, "default")
        use_keys(opener.open(keyring_document.parse(opener.sign(document), "default")))

    def fields(data: bytes) -> None:
        odd = Odd(data)
        document = {"format": keyring_document.FORMAT, "tenant": "default", "version": 3}
        wrapping = [odd.changed({"wrapper": "local:x", "key": "AAAA"})]
        chosen = [odd.changed(wrapped[odd.number(2)]) for _ in range(odd.number(4))]
        signed(odd.text(odd.changed({**document, "wrapped_by": wrapping, "keys": chosen})))

    return documents((text, signed, fields), [ROOT, DOCUMENT_KEY])


def use_keys(found: KeySet) -> None:
    """Ask a keyring for every key, in every state."""
    ring = Keyring(ScriptedKeyProvider(*found.keys, version=found.version))
    ring.ready_sync()
    for ask in [*(_asks(ring, key) for key in found.keys), ring.encryption_key]:
        try:
            ask()
        except KeyLookupError as err:
            refuse_leak(err, [ROOT], [])


def _asks(ring: Keyring, key: Key) -> Callable[[], Key]:
    return lambda: ring.decryption_key(key.id)


def documents(ways: Sequence[Callable[[bytes], None]], secrets: list[bytes]) -> Run:
    """Read a document in one of several ways, which the first byte chooses."""

    def run(data: bytes) -> None:
        LOGGED.lines.clear()
        try:
            ways[data[0] % len(ways)](data[1:])
        except (ConfigurationError, KeyLookupError) as err:
            refuse_leak(err, secrets, [])

    return run


class Odd:
    """Turns the fuzzer's bytes into a document with a few odd fields."""

    def __init__(self, data: bytes) -> None:
        self._data = atheris.FuzzedDataProvider(data)

    def number(self, count: int) -> int:
        """Choose a number below `count`."""
        return int(self._data.ConsumeIntInRange(0, count - 1))

    def changed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return fields of which up to three have another value, or are missing."""
        changed = dict(fields)
        for _ in range(self.number(4)):
            name = list(fields)[self.number(len(fields))]
            changed[name] = self._value()
        return {name: value for name, value in changed.items() if value is not _MISSING}

    def text(self, document: dict[str, Any]) -> bytes:
        """Return the document as JSON."""
        return json.dumps(document).encode()

    def _value(self) -> Any:
        kind = self.number(5)
        if kind == 0:
            return base64.b64encode(self._data.ConsumeBytes(48)).decode()
        if kind == 1:
            return self._data.ConsumeFloat()
        if kind == 2:
            return self._data.ConsumeInt(9)
        return _ODD[self.number(len(_ODD))] if kind == 3 else _MISSING

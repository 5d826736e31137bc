"""`json/plain`: UTF-8 JSON, readable by every Temporal SDK.

Object keys and sets are written in sorted order, so that the same value gives the same bytes in
every process: workflow code is replayed and must be deterministic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from sealwire.payload import Encoding, Payload

from .base import new_payload
from .typed import DecoderCache, decode_typed, restore
from .values import Refuser, Rewriter, has_non_finite

_refuse: Final = Refuser("json/plain")
_encoder: Final = msgspec.json.Encoder(enc_hook=_refuse.reduce, order="sorted")


def _decoder(type_hint: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_hint, dec_hook=restore)


@dataclass(frozen=True, slots=True)
class JsonConverter:
    """Values that JSON can say: builtin types, dataclasses, dates, UUIDs, enums, named tuples.

    `bytes` inside an object become base64 text, and are read back where the hint says `bytes`.
    What JSON cannot say is refused and never changed: NaN and infinities, lone surrogates, two
    keys that become the same text. A dataclass field with `init=False` is written but not read
    back: it is for `__post_init__` to compute.
    """

    encoding: str = field(default="json/plain", init=False)
    _decoders: DecoderCache = field(
        default_factory=lambda: DecoderCache("json/plain", _decoder),
        init=False,
        repr=False,
        compare=False,
    )

    def to_payload(self, value: Any) -> Payload | None:
        """Convert any JSON-able value; see `PayloadConverter`.

        Raises:
            ConversionError: JSON cannot represent the value.
        """
        return new_payload(Encoding.JSON, _refuse.encode(value, _encode, _encode_text_keys))

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Decode into `type_hint`; see `PayloadConverter`.

        Raises:
            ConversionError: The JSON does not fit the type.
            PayloadError: The data is not JSON.
        """
        return decode_typed(self._decoders, payload.data, type_hint)


def _encode(value: Any) -> bytes:
    data = _encoder.encode(value)
    # msgspec writes NaN and infinities as null, so only an output with a null can hide one.
    if b"null" in data and has_non_finite(value, _refuse.reduce):
        raise _refuse("a float that is NaN or infinite; use None, or the binary/msgpack encoding")
    return data


def _encode_text_keys(value: Any) -> bytes:
    return _encode(_with_text_keys(value))


def _key_text(key: Any) -> str:
    """Write a key as `json.dumps` does."""
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, Enum):
        return _key_text(key.value)
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float) and not math.isfinite(key):
        raise _refuse("a mapping key that is NaN or infinite")
    text = _encoder.encode(key)
    if text[:1] in (b"[", b"{"):
        raise _refuse("a mapping key that is not a single value")
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()


_with_text_keys: Final = Rewriter(_refuse, _encoder.encode, _key_text)

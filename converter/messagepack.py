"""`binary/msgpack`: MessagePack, with timestamps as extension type -1.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md. No SDK reads this encoding without
a converter of its own, so it is written only where the configuration says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from sealwire.payload import Encoding, Payload

from .base import new_payload
from .typed import DecoderCache, decode_typed, restore
from .values import Refuser, Rewriter

_refuse: Final = Refuser("binary/msgpack")
_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_refuse.reduce, order="deterministic")
_unordered: Final = msgspec.msgpack.Encoder(enc_hook=_refuse.reduce)


def _decoder(type_hint: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(type_hint, dec_hook=restore)


@dataclass(frozen=True, slots=True)
class MsgpackConverter:
    """Values in MessagePack: `bytes` stay bytes, NaN stays NaN, integer keys stay integers.

    Integers must fit 64 bits. Unlike in `json/plain`, aware datetimes need no hint to come back.
    """

    encoding: str = field(default="binary/msgpack", init=False)
    _decoders: DecoderCache = field(
        default_factory=lambda: DecoderCache("binary/msgpack", _decoder),
        init=False,
        repr=False,
        compare=False,
    )

    def to_payload(self, value: Any) -> Payload | None:
        """Convert any value that MessagePack can say; see `PayloadConverter`.

        Raises:
            ConversionError: MessagePack cannot represent the value.
        """
        return new_payload(
            Encoding.MSGPACK, _refuse.encode(value, _encoder.encode, _encode_any_keys)
        )

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Decode into `type_hint`; see `PayloadConverter`.

        Raises:
            ConversionError: The data does not fit the type.
            PayloadError: The data is not MessagePack.
        """
        return decode_typed(self._decoders, payload.data, type_hint)


def _encode_any_keys(value: Any) -> bytes:
    return _unordered.encode(_with_any_keys(value))


def _key(key: Any) -> Any:
    return _frozen(_with_any_keys(key))


def _frozen(key: Any) -> Any:
    if isinstance(key, list):
        return tuple(_frozen(item) for item in key)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(key, dict):
        raise _refuse("a mapping key that is a mapping or an object")
    return key


_with_any_keys: Final = Rewriter(_refuse, _unordered.encode, _key)

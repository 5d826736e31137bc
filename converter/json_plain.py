"""`json/plain`: UTF-8 JSON, readable by every Temporal SDK.

Object keys and sets are written in sorted order, so that the same value gives the same bytes in
every process: workflow code is replayed and must be deterministic.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from sealwire.payload import Encoding, Payload

from .base import new_payload
from .custom import CustomType, CustomTypes
from .misfit import Malformed
from .models import ModelWriter
from .typed import Format, TypedReader
from .values import Reducer, Rewriter, Trusted, has_non_finite, leaves

# A date with an offset: msgspec leaves out the seconds that an offset may have.
_OFFSET: Final = re.compile(rb"T\d\d:\d\d:\d\d(?:\.\d+)?[+-]")
_canonical: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class JsonConverter:
    """Values that JSON can say: builtin types, dataclasses, dates, UUIDs, enums, models.

    `bytes` inside an object become base64 text, and are read back where the hint says `bytes`.
    What JSON cannot say is refused and never changed: NaN and infinities, two keys that become the
    same text.

    Args:
        types: Classes with functions of their own.
        sort_keys: Write keys and fields in sorted order, as the SDK's default converter does. Turn
            it off to keep the order of mappings; that costs speed.
        allow_nan: Write NaN and infinities as the default converter does, which Python alone can
            read. They are read in any case.
    """

    types: Iterable[CustomType[Any]] = ()
    sort_keys: bool = True
    allow_nan: bool = False
    encoding: str = field(default="json/plain", init=False)
    _writer: _JsonWriter = field(init=False, repr=False, compare=False)
    _reader: TypedReader = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", tuple(self.types))
        custom = CustomTypes(self.types)
        writer = _JsonWriter(custom, sort_keys=self.sort_keys, allow_nan=self.allow_nan)
        object.__setattr__(self, "_writer", writer)
        object.__setattr__(self, "_reader", TypedReader(_FORMAT, custom))

    def to_payload(self, value: Any) -> Payload | None:
        """Convert any JSON-able value; see `PayloadConverter`.

        Raises:
            ConversionError: JSON cannot represent the value.
        """
        return new_payload(Encoding.JSON, self._writer.write(value))

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Decode into `type_hint`; see `PayloadConverter`.

        Raises:
            ConversionError: The JSON does not fit the type.
            PayloadError: The data is not JSON.
        """
        return self._reader.read(payload.data, type_hint)


class _JsonWriter:
    """Values to JSON: by msgspec alone wherever that is exact, else by way of a copy."""

    __slots__ = ("_allow_nan", "_encode", "_reduce", "_rewrite", "_trusted")

    def __init__(self, custom: CustomTypes, *, sort_keys: bool, allow_nan: bool) -> None:
        self._allow_nan = allow_nan
        self._trusted = Trusted(custom, never=not sort_keys)
        self._reduce = Reducer("json/plain", custom, ModelWriter("json/plain", text=True))
        encoder = msgspec.json.Encoder(enc_hook=self._reduce, order="sorted" if sort_keys else None)
        self._encode = encoder.encode
        self._rewrite = Rewriter(
            self._reduce, self._order, self._key_text, self._leaf, sort=sort_keys
        )

    def write(self, value: Any) -> bytes:
        """Return JSON.

        Raises:
            ConversionError: JSON cannot represent the value.
        """
        data = None
        cls: type[Any] = type(value)
        if self._trusted(cls):
            try:
                data = self._encode(value)
            except Exception:  # noqa: BLE001 - the second way says what is wrong
                data = None
        # What hides a change is looked for where it can be: msgspec writes NaN as null.
        if data is None or (
            (b"null" in data or (b"T" in data and _OFFSET.search(data))) and self._changes(value)
        ):
            return self._write_copy(value)
        return data

    def _changes(self, value: Any) -> bool:
        return any(
            (isinstance(leaf, float) and not math.isfinite(leaf)) or _has_odd_offset(leaf)
            for leaf in leaves(value, self._reduce.plain)
        )

    def _write_copy(self, value: Any) -> bytes:
        try:
            copy = self._rewrite(value)
            if self._allow_nan and has_non_finite(copy):
                return self._write_ascii(copy)
            try:
                return self._encode(copy)
            except UnicodeEncodeError:
                # A lone surrogate: UTF-8 cannot say it, and JSON's escapes can.
                return self._write_ascii(copy)
        except Exception as err:  # noqa: BLE001 - whatever a class' own methods raise
            problem = self._reduce.problem(err)
        # Outside of the handler: the text of what was caught may quote the value.
        raise problem

    def _write_ascii(self, copy: Any) -> bytes:
        text = json.dumps(copy, separators=(",", ":"), default=_builtin)
        return text.encode()

    def _order(self, copy: Any) -> bytes:
        # Text like msgspec sorts it: by its characters, with escapes or without.
        if isinstance(copy, str):
            return b'"' + copy.encode("utf-8", "surrogatepass")
        try:
            return self._encode(copy)
        except UnicodeEncodeError:
            return self._write_ascii(copy)

    def _leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, float) and not self._allow_nan and not math.isfinite(leaf):
            raise self._reduce.refused(
                "a float that is NaN or infinite; use None, JsonConverter(allow_nan=True), "
                "or the binary/msgpack encoding"
            )
        return _iso(leaf) if _has_odd_offset(leaf) else leaf

    def _key_text(self, key: Any) -> str:
        """Write a key as `json.dumps` does."""
        if isinstance(key, str):
            return str.__str__(key)
        if isinstance(key, Enum):
            return self._key_text(key.value)
        if key is None:
            return "null"
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, float) and not math.isfinite(key):
            raise self._reduce.refused("a mapping key that is NaN or infinite")
        text = self._encode(self._leaf(key))
        if text[:1] in (b"[", b"{"):
            raise self._reduce.refused("a mapping key that is not a single value")
        return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()


def _has_odd_offset(leaf: Any) -> bool:
    """Tell whether a time is some seconds off from the whole minutes that msgspec writes."""
    if not isinstance(leaf, (dt.datetime, dt.time)):
        return False
    offset = leaf.utcoffset()
    return offset is not None and offset % dt.timedelta(minutes=1) != dt.timedelta()


def _iso(moment: Any) -> str:
    return str(moment.isoformat())


def _builtin(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    return msgspec.to_builtins(value)


def _number(text: str) -> float | decimal.Decimal:
    """Read a number as a float where that is exact enough to be written as the same digits."""
    number = float(text)
    exact = decimal.Decimal(text)
    return number if exact == decimal.Decimal(repr(number)) else exact


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Malformed
    return number


def _loose(data: bytes) -> Any:
    """Read what Python's own `json` writes beyond JSON: NaN, infinities, lone surrogates."""
    try:
        return json.loads(data.decode(), parse_float=_finite)
    except ValueError:
        problem = Malformed()
    # Outside of the handler, whose error quotes the data.
    raise problem


_FORMAT: Final = Format(
    "json/plain",
    lambda type_hint, hook: msgspec.json.Decoder(type_hint, dec_hook=hook),
    _canonical,
    text=True,
    exact=msgspec.json.Decoder(float_hook=_number).decode,
    loose=_loose,
)

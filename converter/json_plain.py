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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Final, Literal

import msgspec

from sealwire.errors import ConfigurationError
from sealwire.payload import Encoding, Payload

from .base import parse_payload, serialized_metadata
from .custom import CustomType, CustomTypes
from .exactness import Trusted, has_non_finite, leaves
from .misfit import Malformed
from .model_writer import ModelWriter
from .nesting import NestingLimit
from .typed import Format, TypedReader
from .values import Reducer, Rewriter

# msgspec's names; it has none that sorts sets and keeps mappings.
_ORDERS: Final[dict[str, Literal["sorted", "deterministic"] | None]] = {
    "sorted": "sorted",
    "declared": "deterministic",
    "kept": None,
}
_METADATA: Final = serialized_metadata(Encoding.JSON)
_SMALL: Final = 1024  # bytes; has no room for more than `MAX_NESTING` levels
# A date with an offset.
_OFFSET: Final = re.compile(rb"T\d\d:\d\d:\d\d(?:\.\d+)?[+-]")
_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_canonical: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class JsonConverter:
    """Values that JSON can say: builtin types, dataclasses, dates, UUIDs, enums, models.

    `bytes` inside an object become base64 text, and are read back where the hint says `bytes`.
    What JSON cannot say is refused and never changed: NaN and infinities, two keys that become the
    same text.

    Args:
        types: Classes with functions of their own.
        key_order: "sorted" writes keys and fields in sorted order, as the SDK's default converter
            does. "declared" writes the fields of a class in the order of its definition, which is
            faster, and sorts mappings. "kept" keeps the order of mappings too, which is slower.
        allow_nan: Write NaN and infinities as the default converter does, which Python alone can
            read. They are read in any case.

    Raises:
        ConfigurationError: There is no such order, or a class has two custom types.
    """

    types: Iterable[CustomType[Any]] = ()
    key_order: Literal["sorted", "declared", "kept"] = "sorted"
    allow_nan: bool = False
    encoding: str = field(default="json/plain", init=False)
    to_data: Callable[[Any], bytes] = field(init=False, repr=False, compare=False)
    from_data: Callable[[bytes, Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", tuple(self.types))
        custom = CustomTypes(self.types)
        if self.key_order not in _ORDERS:
            raise ConfigurationError(
                f"key_order {self.key_order!r} is not one of {', '.join(_ORDERS)}"
            )
        reader = TypedReader(_FORMAT, custom)
        limit = NestingLimit(reader.shape)
        writer = _JsonWriter(custom, self.key_order, limit, allow_nan=self.allow_nan)
        # Bound methods, because looking them up takes time in every call.
        object.__setattr__(self, "to_data", writer.write)
        object.__setattr__(self, "from_data", reader.read)

    def to_payload(self, value: Any) -> Payload | None:
        """Convert any JSON-able value; see `PayloadConverter`.

        Raises:
            ConversionError: JSON cannot represent the value.
        """
        payload = parse_payload(_METADATA)
        payload.data = self.to_data(value)
        return payload

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Decode into `type_hint`; see `PayloadConverter`.

        Raises:
            ConversionError: The JSON does not fit the type.
            PayloadError: The data is not JSON.
        """
        return self.from_data(payload.data, type_hint)


class _JsonWriter:
    """Values to JSON: by msgspec alone wherever that is exact, else by way of a copy."""

    __slots__ = ("_allow_nan", "_encode", "_limit", "_reduce", "_rewrite", "_trusted")

    def __init__(
        self, custom: CustomTypes, key_order: str, limit: NestingLimit, *, allow_nan: bool
    ) -> None:
        self._allow_nan = allow_nan
        self._limit = limit
        self._trusted = Trusted(custom, never=key_order == "kept")
        self._reduce = Reducer("json/plain", custom, ModelWriter("json/plain", text=True))
        order = _ORDERS[key_order]
        self._encode = msgspec.json.Encoder(enc_hook=self._reduce, order=order).encode
        self._rewrite = Rewriter(
            self._reduce,
            self._order,
            self._key_text,
            self._leaf,
            sort_mappings=key_order != "kept",
            sort_fields=key_order == "sorted",
        )

    def write(self, value: Any) -> bytes:
        """Return JSON.

        Raises:
            ConversionError: JSON cannot represent the value.
        """
        if not self._trusted[type(value)]:  # pyright: ignore[reportUnknownArgumentType]
            return self._write_copy(value)
        try:
            data = self._encode(value)
        except Exception:  # noqa: BLE001 - the second way says what is wrong
            data = None
        if data is None:  # outside of the handler, whose error may quote the value
            return self._write_copy(value)
        # What hides a change is looked for where it can be: msgspec writes NaN as null, and leaves
        # out the seconds of an offset. A single byte is found at the speed of memory, which pays
        # where there is much to look through.
        # Of little, `rfind` is the fastest.
        if len(data) < _SMALL:
            null = data.rfind(b"null") >= 0
        else:
            null = data.find(b"l") >= 0 and data.find(b"null") >= 0
            self._refuse_deep(value, partial(msgspec.json.decode, data))
        suspicious = null or (data.find(b"T") >= 0 and _OFFSET.search(data))
        return self._write_copy(value) if suspicious and self._changes(value) else data

    def _refuse_deep(self, value: Any, written: Callable[[], Any]) -> None:
        if self._limit.is_broken(value, written):
            raise self._reduce.too_deep()

    def _changes(self, value: Any) -> bool:
        try:
            return any(
                (isinstance(leaf, float) and not math.isfinite(leaf)) or _has_odd_offset(leaf)
                for leaf in leaves(value, self._reduce.plain)
            )
        except RecursionError:
            return True  # the copy says what is wrong

    def _write_copy(self, value: Any) -> bytes:
        try:
            copy = self._rewrite(value)
            self._refuse_deep(value, lambda: copy)
            if self._allow_nan and has_non_finite(copy):
                return self._write_ascii(copy)
            return self._encode_any(copy)
        except Exception as err:  # noqa: BLE001 - whatever a class' own methods raise
            problem = self._reduce.problem(err)
        # Outside of the handler: the text of what was caught may quote the value.
        raise problem

    def _encode_any(self, copy: Any) -> bytes:
        try:
            return self._encode(copy)
        except UnicodeEncodeError:
            pass  # a lone surrogate: UTF-8 cannot say it, and JSON's escapes can
        return self._write_ascii(copy)

    def _write_ascii(self, copy: Any) -> bytes:
        text = json.dumps(copy, separators=(",", ":"), default=_builtin, ensure_ascii=False)
        if _PAIR.search(text):
            raise self._reduce.refused("two surrogates in a row, which JSON reads as one character")
        # As the default converter does: Python's own reader is the only one for these values.
        return json.dumps(copy, separators=(",", ":"), default=_builtin).encode()

    def _order(self, copy: Any) -> bytes:
        # Text like msgspec sorts it: by its characters, with escapes or without.
        if isinstance(copy, str):
            return b'"' + copy.encode("utf-8", "surrogatepass")
        return self._encode_any(copy)

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


def _written(value: Any) -> bytes:
    try:
        return _canonical(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=_builtin).encode()


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
    _written,
    text=True,
    exact=msgspec.json.Decoder(float_hook=_number).decode,
    loose=_loose,
)

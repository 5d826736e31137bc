"""What msgspec lacks for both of its formats: subclasses, other keys than text, non-finite floats.

Every function here is off the usual path: msgspec encodes what it knows by itself.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from typing import Any, Final

import msgspec

from sealwire.errors import ConversionError

from .typed import type_name

# Left alone by `Rewriter`: each format has its own way to write them.
_LEAVES: Final[tuple[type, ...]] = (
    bytes,
    bytearray,
    memoryview,
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    decimal.Decimal,
)
_ATOMS: Final = (str, int, float, *_LEAVES)


class Refuser:
    """Builds the errors of one encoding, all of one form."""

    __slots__ = ("encoding",)

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding

    def __call__(self, what: str) -> ConversionError:
        """Return the error that says that the encoding cannot represent `what`."""
        return ConversionError(f"{self.encoding} cannot represent {what}", encoding=self.encoding)

    def reduce(self, value: Any) -> Any:
        """Turn a value that msgspec does not know into one that it does; msgspec's `enc_hook`.

        Raises:
            ConversionError: Nothing is known about the type.
        """
        # The builtin types' own methods: a subclass may have overridden its conversions.
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, deque):
            return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if isinstance(value, Mapping):
            return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        raise self(
            f"a value of type {type_name(type(value))}; "
            "turn it into a dataclass, or use a converter of your own"
        )

    def encode(
        self,
        value: Any,
        encoder: Callable[[Any], bytes],
        rewrite: Callable[[Any], bytes],
    ) -> bytes:
        """Encode `value`, with `rewrite` as the second try where `encoder` refuses a key.

        Raises:
            ConversionError: The encoding cannot represent the value.
        """
        problem = ""
        for attempt in (encoder, rewrite):
            try:
                return attempt(value)
            except ConversionError:
                raise
            except TypeError:
                # With a stable order msgspec takes text keys only. What fails again is an error.
                problem = "this value: encoding it raised TypeError"
                continue
            except UnicodeEncodeError:
                problem = "a str with a lone surrogate, which UTF-8 cannot say"
            except RecursionError:
                problem = "a value that contains itself, or is nested too deeply"
            except OverflowError:
                problem = "an integer beyond 64 bits; use the json/plain encoding"
            except Exception as err:  # noqa: BLE001 - whatever a class' own methods raise
                problem = f"this value: encoding it raised {type(err).__name__}"
            break
        # Outside of the handlers: the text of what was caught may quote the value.
        raise self(problem)


class Rewriter:
    """Copies a value into lists and dicts, its mappings and sets in a stable order.

    Args:
        refuse: Builds the errors.
        encode: Encodes a copy; the order is that of the encoded bytes.
        key: Turns a mapping key into one that `encode` takes.
    """

    __slots__ = ("_encode", "_key", "_refuse")

    def __init__(
        self, refuse: Refuser, encode: Callable[[Any], bytes], key: Callable[[Any], Any]
    ) -> None:
        self._refuse = refuse
        self._encode = encode
        self._key = key

    def __call__(self, value: Any) -> Any:
        """Copy `value`.

        Raises:
            ConversionError: Two keys of one mapping become the same.
        """
        if value is None or isinstance(value, _ATOMS):
            return value  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, Mapping):
            return self._mapping(value)
        if is_dataclass(value) and not isinstance(value, type):
            names = [item.name for item in fields(value) if hasattr(value, item.name)]
            return {name: self(getattr(value, name)) for name in names}
        if isinstance(value, Set):
            return sorted((self(item) for item in _iterate(value)), key=self._encode)
        if isinstance(value, (list, tuple, deque)):
            return [self(item) for item in _iterate(value)]
        # An enum, or an instance of a class that msgspec knows, such as its own `Struct`.
        return self(
            msgspec.to_builtins(
                value, builtin_types=_LEAVES, order="deterministic", enc_hook=self._refuse.reduce
            )
        )

    def _mapping(self, mapping: Any) -> dict[Any, Any]:
        pairs: dict[bytes, tuple[Any, Any]] = {}
        for key, item in _items(mapping):
            new = self._key(key)
            code = self._encode(new)
            if code in pairs:
                raise self._refuse("a mapping in which two keys become the same")
            pairs[code] = (new, self(item))
        return dict(pairs[code] for code in sorted(pairs))


def has_non_finite(value: Any, reduce: Callable[[Any], Any]) -> bool:
    """Tell whether a float that is NaN or infinite is anywhere inside `value`.

    Args:
        value: What msgspec can encode.
        reduce: The `enc_hook` that it needs for that.
    """
    parts = [msgspec.to_builtins(value, enc_hook=reduce)]
    for part in parts:  # grows meanwhile: a recursion would reach its limit before msgspec does
        if isinstance(part, float):
            if not math.isfinite(part):
                return True
        elif isinstance(part, dict):
            parts.extend(part.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        elif isinstance(part, (list, tuple)):
            parts.extend(_iterate(part))
        elif part is not None and not isinstance(part, (str, int)):
            parts.append(msgspec.to_builtins(part, enc_hook=reduce))  # the value of an enum
    return False


def _items(mapping: Any) -> Iterable[tuple[Any, Any]]:
    return mapping.items()  # type: ignore[no-any-return]


def _iterate(values: Any) -> Iterable[Any]:
    return values  # type: ignore[no-any-return]

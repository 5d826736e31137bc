"""What msgspec lacks for both of its formats: subclasses, other keys than text, non-finite floats.

Every function here is off the usual path: msgspec encodes what it knows by itself.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any, Final

import msgspec

from sealwire.errors import ConversionError

from .custom import TWIN, CustomTypes
from .hints import type_name
from .nesting import MAX_NESTING

# Left alone by `Rewriter`: each format has its own way to write them.
LEAVES: Final[tuple[type, ...]] = (
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
_SCALARS: Final = (str, int, float, bytes, bytearray)
_MAX_CLASSES: Final = 256
ATOMS: Final = (str, int, float, *LEAVES, msgspec.Raw, msgspec.msgpack.Ext)


class Reducer:
    """Turns what msgspec does not know into what it does; its `enc_hook`.

    Args:
        encoding: The encoding, which errors name.
        custom: Classes with functions of their own.
        dump_model: Turns a pydantic model into what msgspec knows.
    """

    __slots__ = ("_custom", "_dump_model", "encoding")

    def __init__(
        self,
        encoding: str,
        custom: CustomTypes,
        dump_model: Callable[[Any], Any],
    ) -> None:
        self.encoding = encoding
        self._custom = custom
        self._dump_model = dump_model

    def refused(self, what: str) -> ConversionError:
        """Return the error that says that the encoding cannot represent `what`."""
        return ConversionError(f"{self.encoding} cannot represent {what}", encoding=self.encoding)

    def too_deep(self) -> ConversionError:
        """Return the error that says how deeply a class can be nested in itself."""
        return self.refused(
            f"a value nested more than {MAX_NESTING} levels deep; turn it into a list whose items "
            "name each other"
        )

    def custom(self, value: Any) -> tuple[Any] | None:
        """Return what a custom type makes of `value`, in a tuple; None where there is none.

        Raises:
            ConversionError: Its function raised, or returned a value of the same class.
        """
        item = self._custom.of_value(value) if len(self._custom) else None
        if item is None:
            return None
        try:
            made = item.to(value)
        except Exception as err:  # noqa: BLE001 - whatever somebody else's function raises
            problem = f"raised {type(err).__name__}"
        else:
            if self._custom.of_value(made) is not item:
                return (made,)
            problem = "returned a value of the same class"
        # Outside of the handler: the text of what was caught may quote the value.
        raise self.refused(f"a {type_name(item.cls)}: `to` of its CustomType {problem}")

    def __call__(self, value: Any) -> Any:
        """Return what msgspec can go on with.

        Raises:
            ConversionError: Nothing is known about the type.
        """
        made = self.custom(value)
        if made is not None:
            return made[0]
        if hasattr(value, "__pydantic_validator__"):
            return self._dump_model(value)
        if isinstance(value, _SCALARS):
            self._refuse_attributes(type(value), value)
            return _plain(value)
        if isinstance(value, Mapping):
            return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return self._object(type(value), value)  # pyright: ignore[reportUnknownArgumentType]

    def _refuse_attributes(self, cls: type, value: Any) -> None:
        for name in getattr(value, "__dict__", ()):
            if not isinstance(getattr(cls, name, None), cached_property):
                raise self.refused(
                    f"a {type_name(cls)} with attributes of its own; give the converter a "
                    "CustomType for it"
                )

    def _object(self, cls: Any, value: Any) -> Any:
        if callable(getattr(cls, "dict", None)):  # pydantic before its version 2
            return value.dict()
        if issubclass(cls, Iterator):
            # Encoding may look at a value twice, and the second time an iterator is empty.
            raise self.refused(f"the iterator {type_name(cls)}; turn it into a list")
        if issubclass(cls, Set):
            return set(value)
        if issubclass(cls, Iterable) and not issubclass(cls, type):
            return list(value)
        raise self.refused(
            f"a value of type {type_name(cls)}; "
            + (
                TWIN
                if self._custom.has_twin_of(cls)
                else "turn it into a dataclass, or give the converter a CustomType for it"
            )
        )

    def plain(self, value: Any) -> Any:
        """Do the same for `msgspec.to_builtins`, which takes no JSON that is ready."""
        made = self(value)
        return msgspec.json.decode(made) if isinstance(made, msgspec.Raw) else made

    def problem(self, err: Exception) -> ConversionError:
        """Say what was raised while encoding, without what it quotes."""
        if isinstance(err, ConversionError):
            return err
        if isinstance(err, UnicodeEncodeError):
            return self.refused("a str with a lone surrogate, which UTF-8 cannot say")
        if isinstance(err, RecursionError):
            return self.refused("a value that contains itself, or is nested too deeply")
        if isinstance(err, OverflowError):
            return self.refused(
                "an integer beyond 64 bits; use the json/plain encoding, as for a time whose year "
                "in UTC is not 1 to 9999"
            )
        return self.refused(f"this value: encoding it raised {type(err).__name__}")


class Rewriter:
    """Copies a value into lists and dicts, its mappings and sets in a stable order.

    Args:
        reduce: What msgspec asks about classes that it does not know.
        order: Gives the bytes that the parts of a set, and the keys of a mapping, are sorted by.
        key: Turns a mapping key into one that `encode` takes.
        leaf: Looks at everything that is no container, and may replace it.
        sort_mappings: Whether mappings are sorted; sets always are.
        sort_fields: Whether the fields of classes are.
    """

    __slots__ = ("_key", "_leaf", "_order", "_reduce", "_sort_fields", "_sort_mappings")

    def __init__(
        self,
        reduce: Reducer,
        order: Callable[[Any], bytes],
        key: Callable[[Any], Any],
        leaf: Callable[[Any], Any] | None = None,
        *,
        sort_mappings: bool = True,
        sort_fields: bool = True,
    ) -> None:
        self._reduce = reduce
        self._order = order
        self._key = key
        self._leaf = leaf
        self._sort_mappings = sort_mappings
        self._sort_fields = sort_fields

    def __call__(self, value: Any) -> Any:
        """Copy `value`.

        Raises:
            ConversionError: Two keys of one mapping become the same.
        """
        made = self._reduce.custom(value)
        if made is not None:
            return self(made[0])
        if value is None or isinstance(value, ATOMS):
            return value if self._leaf is None else self._leaf(value)  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, Mapping):
            return self._mapping(value)
        names = _field_names(type(value))
        if names is not None:
            set_ones = [name for name in names if hasattr(value, name)]
            if self._sort_fields:
                set_ones.sort()
            return {name: self(getattr(value, name)) for name in set_ones}
        if isinstance(value, Set):
            return sorted((self(item) for item in iterate(value)), key=self._order)
        if isinstance(value, (list, tuple, deque)):
            return [self(item) for item in iterate(value)]
        # An enum, or an instance of a class that msgspec knows, such as its own `Struct`.
        return self(
            msgspec.to_builtins(
                value,
                builtin_types=LEAVES,
                order="sorted" if self._sort_fields else "deterministic",
                enc_hook=self._reduce.plain,
            )
        )

    def _mapping(self, mapping: Any) -> dict[Any, Any]:
        pairs: dict[bytes, tuple[Any, Any]] = {}
        for key, item in _items(mapping):
            new = self._key(key)
            order = self._order(new)
            if order in pairs:
                raise self._reduce.refused("a mapping in which two keys become the same")
            pairs[order] = (new, self(item))
        return dict(pairs[order] for order in (sorted(pairs) if self._sort_mappings else pairs))


def _field_names(cls: Any) -> list[str] | None:
    if is_dataclass(cls):
        return [item.name for item in fields(cls)]
    attributes = getattr(cls, "__attrs_attrs__", None)
    return None if attributes is None else [item.name for item in attributes]


def _plain(value: Any) -> Any:
    # The builtin types' own methods: a subclass may have overridden its conversions.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return bytes(memoryview(value))


def _items(mapping: Any) -> Iterable[tuple[Any, Any]]:
    return mapping.items()  # type: ignore[no-any-return]


def iterate(values: Any) -> Iterable[Any]:
    """Return a collection of anything as what it is, for the type checkers."""
    return values  # type: ignore[no-any-return]

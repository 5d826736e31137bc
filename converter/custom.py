"""Classes of your own, by a pair of functions that is passed in."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from sealwire.errors import ConfigurationError

T = TypeVar("T")

TWIN: Final = (
    "its CustomType is for another import of the module: pass the module through the workflow "
    "sandbox, or name a factory for the converters in the configuration"
)

# What the encoders write without asking anybody.
_NATIVE: Final = (
    *(str, int, float, bytes, bytearray, memoryview, list, tuple, set, frozenset, dict),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal),
    *(Enum, msgspec.Struct),
)


@dataclass(frozen=True)
class CustomType(Generic[T]):
    """How one class is written and read, at the top level and inside other values.

    ::

        JsonConverter(types=[CustomType(Money, to=str, from_=Money.parse)])

    Args:
        cls: The class. Instances of its subclasses are written in the same way.
        to: Turns an instance into something that the encoding has, such as text or a tuple.
        from_: Turns that back into an instance of the class that the type hint names.
        via: The type of what `to` returns. With it `from_` gets a value of this very type; without
            it, builtin types: a list where `to` gave a tuple, text where it gave a date.
    """

    cls: type[T]
    to: Callable[[T], Any]
    from_: Callable[[Any], T]
    via: Any = None


class CustomTypes:
    """The custom types of one converter.

    Attributes:
        override: Whether one of them replaces what msgspec would write by itself, as for a
            dataclass. msgspec cannot be told to ask, so every value has to be looked through.

    Raises:
        ConfigurationError: A class has two entries, or none of these is a class.
    """

    __slots__ = ("_by_class", "override")

    def __init__(self, types: Iterable[CustomType[Any]] = ()) -> None:
        self._by_class: dict[type, CustomType[Any]] = {}
        for item in types:
            if not isinstance(cast("object", item.cls), type):
                raise ConfigurationError(f"CustomType takes a class, and got {item.cls!r}")
            if item.cls in self._by_class:
                raise ConfigurationError(f"two custom types for {item.cls.__qualname__}")
            self._by_class[item.cls] = item
        self.override = any(map(_is_native, self._by_class))

    def __len__(self) -> int:
        return len(self._by_class)

    def of_value(self, value: Any) -> CustomType[Any] | None:
        """Return the custom type of the value's class, or of the nearest base class."""
        for cls in type(value).__mro__:
            if cls in self._by_class:
                return self._by_class[cls]
        return None

    def has_twin_of(self, cls: Any) -> bool:
        """Tell whether there is a class of the same name that is another object.

        In Temporal's sandbox a module that is not passed through is imported anew.
        """
        names = {(item.__module__, item.__qualname__) for item in self._by_class}
        return (getattr(cls, "__module__", None), getattr(cls, "__qualname__", None)) in names

    def of_hint(self, type_hint: Any) -> CustomType[Any] | None:
        """Return the custom type of a class that is used as a hint."""
        if not self._by_class or not isinstance(type_hint, type):
            return None
        for cls in type_hint.__mro__:
            if cls in self._by_class:
                return self._by_class[cls]
        return None


def _is_native(cls: Any) -> bool:
    fields = ("__dataclass_fields__", "__attrs_attrs__")
    return issubclass(cls, _NATIVE) or any(hasattr(cls, name) for name in fields)

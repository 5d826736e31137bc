"""Where msgspec alone would not be exact, found out without looking at every value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from typing import Any, Final
from weakref import WeakSet

import msgspec

from .custom import CustomTypes
from .hints import class_of, reached
from .values import ATOMS, LEAVES, iterate

_MAX_CLASSES: Final = 256


class Trusted(dict[type, bool]):
    """Tells for which classes msgspec writes all that an instance holds, and in the right order.

    A dict, because nothing else is looked up as fast; it fills itself.

    Args:
        custom: The custom types; msgspec does not ask about all of them.
        never: For an order that msgspec does not have.
    """

    __slots__ = ("_never",)

    def __init__(self, custom: CustomTypes, *, never: bool = False) -> None:
        super().__init__()
        self._never = never or custom.override

    def __missing__(self, cls: type) -> bool:
        if len(self) >= _MAX_CLASSES:
            self.clear()
        self[cls] = known = not self._never and not _has_private_fields(cls)
        return known


# Remembered for all converters; the set keeps no class alive.
_PUBLIC: Final[WeakSet[type]] = WeakSet()


def _has_private_fields(cls: type) -> bool:
    """Tell whether a class of attrs is reached whose names begin with `_`: msgspec drops those."""
    if cls in _PUBLIC:
        return False
    try:
        everything = list(reached(cls))
    except Exception:  # noqa: BLE001 - whatever evaluating a class' annotations raises
        return False
    private = any(
        field.name.startswith("_")
        for hint, fields in everything
        if hasattr(class_of(hint), "__attrs_attrs__")
        for field in fields or ()
    )
    if not private:
        _PUBLIC.add(cls)
    return private


def may_hide_nan(data: bytes) -> bool:
    """Tell whether JSON has a null, or text that may be NaN: the rest cannot have been NaN."""
    # `find` takes half as long as `in`, and a single byte is found at the speed of memory.
    find = data.find
    return (find(b"l") >= 0 and find(b"null") >= 0) or find(b"N") >= 0 or find(b"I") >= 0


def has_non_finite(value: Any, reduce: Callable[[Any], Any] | None = None) -> bool:
    """Tell whether a float that is NaN or infinite is anywhere inside `value`."""
    return any(
        isinstance(leaf, float) and not math.isfinite(leaf) for leaf in leaves(value, reduce)
    )


def leaves(value: Any, reduce: Callable[[Any], Any] | None = None) -> Iterator[Any]:
    """Yield what is inside of `value` and no container; dates stay what they are.

    Args:
        value: What msgspec can encode.
        reduce: The `enc_hook` that it needs for that.
    """
    parts: list[Any] = [value]
    for part in parts:  # grows meanwhile: a recursion would reach its limit before msgspec does
        if part is None or isinstance(part, ATOMS):
            yield part
        elif isinstance(part, dict):
            parts.extend(part.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        elif isinstance(part, (list, tuple, Set)):
            parts.extend(iterate(part))
        else:
            parts.append(msgspec.to_builtins(part, builtin_types=LEAVES, enc_hook=reduce))

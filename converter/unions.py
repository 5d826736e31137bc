"""Which class of a union a value is meant to be: the one that leaves least out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .hints import UNIONS, class_of, element_types, metadata_of, unwrapped
from .misfit import is_array, is_object
from .models import is_model, model_fields
from .nesting import Task, run

if TYPE_CHECKING:
    from .typed import Shape

ShapeOf: TypeAlias = Callable[[Any], "Shape"]
_DATE_LENGTH: Final = len("2024-02-29")


def surplus(shape: ShapeOf, type_hint: Any, value: Any) -> int:
    """Count the keys that a class has too few or too many for a value, here and inside."""
    count: int = run(_surplus(shape, type_hint, value), partial(_surplus, shape))
    return count


def _surplus(shape: ShapeOf, type_hint: Any, value: Any) -> Task:
    hint = unwrapped(type_hint)
    while metadata_of(hint):
        hint = unwrapped(hint.__origin__)
    if class_of(hint) in UNIONS:
        return 0
    if is_array(value):
        return (yield from _surplus_of_items(hint, value))
    if not is_object(value):
        return int(_is_second_choice(hint, value))
    names = _fields(shape, hint, value)
    if names is None:
        # A mapping takes every object: it comes after the classes that do.
        inner = element_types(hint)
        count = len(value) + 1
        names = dict.fromkeys(value, inner[1]) if len(inner) == 2 else {}
    else:
        count = len(names.keys() ^ value.keys())
    for key, item in value.items():
        if key in names:
            count += yield names[key], item
    return count


def _surplus_of_items(hint: Any, value: list[Any]) -> Task:
    inner = element_types(hint)
    if not inner:
        return 0
    if class_of(hint) is not tuple or inner[-1] is ...:
        inner = (inner[0],) * len(value)
    most = 0
    for item_hint, item in zip(inner, value, strict=False):
        most = max(most, (yield item_hint, item))
    return most


def _fields(shape: ShapeOf, hint: Any, value: Any) -> dict[str, Any] | None:
    if is_model(hint):
        return model_fields(hint, value)
    members = shape(hint).members
    return None if members is None else {member.name: member.hint for member in members}


def _is_second_choice(type_hint: Any, value: Any) -> bool:
    """Tell whether a type takes a value that another type would take as it is."""
    if isinstance(value, (int, float)):
        return type_hint in (int, float) and type(value) is not type_hint
    return type_hint is dt.datetime and isinstance(value, str) and len(value) == _DATE_LENGTH

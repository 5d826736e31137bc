"""Classes with fields, mappings and arrays, built from objects and arrays of builtin types."""

from __future__ import annotations

import collections
import collections.abc as abc
import inspect
from collections.abc import Generator
from enum import Enum
from typing import Any

import msgspec

from .hints import Member, element_types, type_name
from .misfit import Misfit, TooDeep, expected, is_array, is_object
from .nesting import Task


def read_members(cls: Any, members: tuple[Member, ...], value: Any) -> Task:
    """Build an instance of a class that has fields.

    Raises:
        Misfit: It is no object or array, or a field is missing or does not fit.
        Exception: Whatever the constructor raises.
    """
    if issubclass(cls, tuple):
        return (yield from _named_tuple(cls, members, value))
    if not is_object(value):
        raise expected("object", value)
    found: dict[str, Any] = {}
    for member in members:
        if member.name in value:
            with _Inside(f".{member.name}"):
                found[member.name] = yield member.hint, value[member.name]
        elif member.required:
            raise Misfit(f"Object missing required field {member.name}")
    given = [item for item in members if item.init and item.name in found]
    made = cls(**{item.argument: found[item.name] for item in given})
    for member in members:
        if not member.init and member.name in found:
            # The constructor does not take it, but it was written. A frozen class has to bear.
            object.__setattr__(made, member.name, found[member.name])
    return made


def _named_tuple(cls: Any, members: tuple[Member, ...], value: Any) -> Task:
    if not is_array(value):
        raise expected("array", value)
    least = sum(member.required for member in members)
    if not least <= len(value) <= len(members):
        raise Misfit(f"Expected array of length {len(members)}, got {len(value)}")
    return cls(*(yield from _each((member.hint for member in members), value)))


def read_mapping(type_hint: Any, cls: Any, value: Any, *, text: bool) -> Task:
    """Build a mapping; with `text`, all keys are text that may stand for something else.

    Raises:
        Misfit: It is no object, or a key or a value does not fit.
    """
    if not is_object(value):
        raise expected("object", value)
    make: Any = cls  # not narrowed by what follows
    inner = element_types(type_hint)
    if issubclass(cls, collections.Counter):
        inner = (*inner[:1], int)
    key_hint, hint = inner if len(inner) == 2 else (Any, Any)
    found: dict[Any, Any] = {}
    for key, item in value.items():
        with _Inside("[...]"):
            new = (yield from _key(key_hint, key)) if text else (yield key_hint, key)
            found[new] = yield hint, item
    if inspect.isabstract(make):
        return found
    return make(None, found) if _is_default_dict(cls) else make(found)


def _key(type_hint: Any, key: Any) -> Task:
    if not isinstance(key, str):
        return (yield type_hint, key)
    # JSON has text keys only: a number, true, false or null is written as its text.
    literal = _literal(key)
    try:
        found = yield type_hint, key
    except Misfit:
        if literal is key:
            raise
        return (yield type_hint, literal)
    if isinstance(found, Enum) and literal is not key:
        yield from _refuse_twin(type_hint, literal)
    return found


def _refuse_twin(type_hint: Any, literal: Any) -> Task:
    try:
        yield type_hint, literal
    except Misfit:
        return
    raise Misfit(f"{type_name(type_hint)} has several values that are the same as keys")


def read_array(type_hint: Any, cls: Any, value: Any) -> Task:
    """Build a list, tuple, set or any other collection.

    Raises:
        Misfit: It is no array, of another length, or an item does not fit.
    """
    if not is_array(value):
        raise expected("array", value)
    make: Any = cls  # not narrowed by what follows
    inner = element_types(type_hint)
    if cls is tuple and inner and inner[-1] is not ...:
        inner = () if inner == ((),) else inner
        if len(inner) != len(value):
            raise Misfit(f"Expected array of length {len(inner)}, got {len(value)}")
        return make((yield from _each(inner, value)))
    if cls is list:
        return (yield from _each((inner[0] if inner else Any for _ in value), value))
    found: Any = (yield list[inner[0]], value) if inner else value  # type: ignore[valid-type]
    if not inspect.isabstract(cls):
        return make(found)
    return set(found) if issubclass(cls, abc.Set) else found


def _each(hints: Any, items: list[Any]) -> Generator[tuple[Any, Any], Any, list[Any]]:
    found: list[Any] = []
    for index, (hint, item) in enumerate(zip(hints, items, strict=False)):
        with _Inside(f"[{index}]"):
            found.append((yield hint, item))
    return found


class _Inside:
    """Adds a place to every misfit that leaves the block."""

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, Misfit) and not isinstance(error, TooDeep):
            raise error.inside(self._place)


def _is_default_dict(cls: Any) -> bool:
    return issubclass(cls, collections.defaultdict)


def _literal(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text

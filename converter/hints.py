"""What a type hint consists of: its members, its type variables, and all that it reaches."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import (
    Any,
    Final,
    Literal,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

UNIONS: Final = (Union, UnionType)
_WRAPPERS: Final = (typing.Final, typing.Required, typing.NotRequired, typing.ClassVar)
_MAX_REACHED: Final = 1000


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a class that has fields.

    Args:
        name: The attribute, and the key in an object.
        argument: The name of the constructor's parameter.
        hint: Its type, with type variables replaced.
        init: Whether the constructor takes it.
        required: Whether it must be there.
    """

    name: str
    argument: str
    hint: Any
    init: bool = True
    required: bool = True


def class_of(type_hint: Any) -> Any:
    """Return `Box` for `Box[int]`, and `type_hint` itself where it is no generic."""
    return get_origin(type_hint) or type_hint


def type_name(type_hint: Any) -> str:
    """Name a type in a message: the bare name of a class, the full text of a generic."""
    if isinstance(type_hint, type) and not hasattr(type_hint, "__origin__"):
        return type_hint.__qualname__
    return str(type_hint)


def unwrapped(type_hint: Any) -> Any:
    """Take off what says something about the place and not about the type, such as `Final`."""
    while True:
        if isinstance(type_hint, NewType):
            type_hint = type_hint.__supertype__
        elif isinstance(type_hint, TypeVar):
            type_hint = type_hint.__bound__ or Any
        elif get_origin(type_hint) in _WRAPPERS:
            type_hint = get_args(type_hint)[0]
        elif hasattr(type_hint, "__value__"):  # `type Name[T] = ...`, from Python 3.12 on
            names = getattr(class_of(type_hint), "__type_params__", ())
            bound = dict(zip(names, get_args(type_hint), strict=False))
            type_hint = _substitute(type_hint.__value__, bound)
        else:
            return type_hint


def metadata_of(type_hint: Any) -> tuple[Any, ...]:
    """Return what `Annotated` adds to a type."""
    return getattr(type_hint, "__metadata__", ())


def members(type_hint: Any) -> tuple[Member, ...] | None:
    """Return the fields of a dataclass, an attrs class, a TypedDict or a NamedTuple, else None.

    Raises:
        Exception: Whatever evaluating the annotations raises, such as NameError.
    """
    cls: Any = class_of(type_hint)
    if not is_class(cls):
        return None
    if dataclasses.is_dataclass(cls):
        hints = member_hints(type_hint)
        return tuple(
            Member(
                item.name, _argument(cls, item), hints[item.name], item.init, _must_be_given(item)
            )
            for item in dataclasses.fields(cls)
        )
    if hasattr(cls, "__attrs_attrs__"):
        return _attributes(cls, member_hints(type_hint))
    if typing.is_typeddict(cls):
        hints = member_hints(type_hint)
        required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
        return tuple(Member(name, name, hints[name], True, name in required) for name in hints)
    if is_named_tuple(cls):
        return _places(cls, member_hints(type_hint))
    return None


def is_class(type_hint: object) -> bool:
    """Tell whether a hint is a class, and neither generic nor special."""
    return isinstance(type_hint, type)


def is_named_tuple(cls: type) -> bool:
    """Tell whether a class is a NamedTuple."""
    return tuple in cls.__mro__ and hasattr(cls, "_fields")


def _attributes(cls: Any, hints: Mapping[str, Any]) -> tuple[Member, ...]:
    members: list[Member] = []
    for item in cls.__attrs_attrs__:
        required = item.init and type(item.default).__name__ == "_Nothing"  # attrs.NOTHING
        hint = hints.get(item.name, Any)
        members.append(Member(item.name, item.alias or item.name, hint, item.init, required))
    return tuple(members)


def _places(cls: Any, hints: Mapping[str, Any]) -> tuple[Member, ...]:
    return tuple(
        Member(name, name, hints.get(name, Any), True, name not in cls._field_defaults)
        for name in cls._fields
    )


def _argument(cls: Any, item: dataclasses.Field[Any]) -> str:
    # The constructor of a pydantic dataclass takes the alias, and only that.
    info = getattr(cls, "__pydantic_fields__", {}).get(item.name)
    alias: object = getattr(info, "validation_alias", None)
    return alias if isinstance(alias, str) else item.name


def _must_be_given(item: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return item.init and item.default is missing and item.default_factory is missing


def element_types(type_hint: Any) -> tuple[Any, ...]:
    """Return the types inside a container: `(int, str)` for `dict[int, str]` and subclasses."""
    cls, given = class_of(type_hint), get_args(type_hint)
    # The bases first: asking an abstract class about one that it has never seen takes long, and in
    # a workflow sandbox all are new.
    if is_class(cls) and "__orig_bases__" in cls.__dict__ and issubclass(cls, Collection):
        return _element_types(cls, given)
    return given


def _element_types(cls: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    bound = dict(zip(getattr(cls, "__parameters__", ()), given, strict=False))
    for base in cls.__dict__["__orig_bases__"]:
        if get_origin(base) is not typing.Generic and get_args(base):
            return tuple(_substitute(item, bound) for item in get_args(base))
    return given


def member_hints(type_hint: Any) -> dict[str, Any]:
    """Return the annotations of a class, with type variables replaced by what they stand for."""
    cls = class_of(type_hint)
    hints = get_type_hints(cls, include_extras=True)
    bindings: dict[type, dict[Any, Any]] = {}
    _bind(cls, get_args(type_hint), bindings)
    if not any(bindings.values()):
        return hints
    for owner in reversed(cls.__mro__):
        for name in _own_annotations(owner):
            if name in hints:
                hints[name] = _substitute(hints[name], bindings.get(owner, {}))
    return hints


def _bind(cls: type, arguments: tuple[Any, ...], bindings: dict[type, dict[Any, Any]]) -> None:
    parameters: tuple[Any, ...] = getattr(cls, "__parameters__", ())
    bound = dict(zip(parameters, arguments, strict=False))
    bindings[cls] = bound
    for base in cls.__dict__.get("__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and origin is not typing.Generic:
            _bind(origin, tuple(_substitute(item, bound) for item in get_args(base)), bindings)


def _substitute(type_hint: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(type_hint, TypeVar):
        return bound.get(type_hint, type_hint)
    parameters = getattr(type_hint, "__parameters__", ())
    if not parameters or isinstance(type_hint, type):
        return type_hint
    return type_hint[tuple(bound.get(item, item) for item in parameters)]


def _own_annotations(cls: type) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        # The values may be names that do not exist at run time; only the keys are of interest.
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def reached(type_hint: Any) -> Iterator[tuple[Any, tuple[Member, ...] | None]]:
    """Yield `type_hint` and every type inside of it and of its members, each once.

    Each comes with its members, which are the expensive part. `Annotated` is yielded as it is, and
    the type in it as well. What there is beyond a thousand types is left out: a generic class can
    contain itself with ever new arguments.
    """
    seen: list[Any] = []
    waiting = [type_hint]
    while waiting and len(seen) < _MAX_REACHED:
        hint = unwrapped(waiting.pop())
        if any(hint is item or hint == item for item in seen):
            continue
        seen.append(hint)
        fields = members(hint)
        yield hint, fields
        waiting += arguments(hint)
        waiting += [member.hint for member in fields or ()]


def arguments(type_hint: Any) -> tuple[Any, ...]:
    """Return the types inside a generic one: none for a `Literal`, one for an `Annotated`."""
    if metadata_of(type_hint):
        return (type_hint.__origin__,)
    return () if get_origin(type_hint) is Literal else element_types(type_hint)


def has_circle(everything: list[tuple[Any, tuple[Member, ...] | None]]) -> bool:
    """Tell whether a type that was `reached` has itself somewhere inside."""
    parts = [(hint, _parts(hint, fields)) for hint, fields in everything]
    parts = [(hint, inside) for hint, inside in parts if inside]
    while parts:  # takes away what has nothing else inside, until only circles are left
        left = [hint for hint, _ in parts]
        kept = [(hint, inside) for hint, inside in parts if any(part in left for part in inside)]
        if len(kept) == len(parts):
            return True
        parts = kept
    return False


def _parts(hint: Any, fields: tuple[Member, ...] | None) -> list[Any]:
    if fields:
        return [unwrapped(member.hint) for member in fields]
    return [unwrapped(part) for part in arguments(hint)]

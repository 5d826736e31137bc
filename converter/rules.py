"""Types that msgspec does not read, or not as the SDK's default converter does.

Unions of several classes, dataclasses with a constructor of their own or with fields that it does
not take, enums of any values, subclasses of builtin types, and what the default converter writes
for bytes and dates. Everything here works on builtin types and is off the usual path.
"""

from __future__ import annotations

import collections.abc as abc
import datetime as dt
import decimal
import math
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec

from .containers import read_array, read_mapping, read_members
from .custom import TWIN
from .hints import (
    UNIONS,
    class_of,
    metadata_of,
    type_name,
    unwrapped,
)
from .misfit import Misfit, TooDeep, expected, is_array, is_object, misfit_of
from .models import ModelReader, has_constraint, is_model, is_pydantic_dataclass
from .nesting import Task, run
from .unions import surplus

if TYPE_CHECKING:
    from .typed import TypedReader

_BASES: Final = (str, int, float, bytes, bytearray)
_DATES: Final[dict[Any, Callable[[str], Any]]] = {
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
    dt.time: dt.time.fromisoformat,
}
# Beyond it a float has no room for every integer, so that 2**53 + 1 would become another number.
_MAX_EXACT: Final = 2**53


class Rules:
    """Reads one value; it remembers what it has tried, so that no value is read without end.

    Args:
        reader: The converter's reader, which knows its encoding, custom types and plans.
        deep: Leave as little as possible to msgspec, which needs the stack for each level.
    """

    __slots__ = ("_deep", "_reader", "_tried")

    def __init__(self, reader: TypedReader, *, deep: bool = False) -> None:
        self._reader = reader
        self._deep = deep
        # Keyed by identity: the entry keeps both alive. Without it, nested unions of recursive
        # classes would take time that doubles with every level.
        self._tried: dict[tuple[int, int], tuple[Any, Any, Any]] = {}

    def read(self, type_hint: Any, value: Any) -> Any:
        """Turn builtin types into `type_hint`.

        Raises:
            Misfit: The value does not fit, or nothing reads this type.
        """
        return run(self._task(type_hint, value), self._task)

    def rule(self, type_hint: Any, value: Any) -> Any:
        """Read by a rule what msgspec does not know; its `dec_hook`.

        Raises:
            Misfit: The value does not fit, or there is no rule.
        """
        return run(self._rule(type_hint, value), self._task)

    def _task(self, type_hint: Any, value: Any) -> Task:
        hint = unwrapped(type_hint)
        inner = is_array(value) or is_object(value)
        return self._read_once(hint, value) if inner else self._read(hint, value)

    def _read_once(self, hint: Any, value: Any) -> Task:
        key = (id(hint), id(value))
        if key not in self._tried:
            try:
                result = yield from self._read(hint, value)
            except Misfit as err:
                result = err
            self._tried[key] = (hint, value, result)
        result = self._tried[key][2]
        if isinstance(result, Misfit):
            raise result
        return result

    def _read(self, hint: Any, value: Any) -> Task:
        if hint is None:
            hint = type(None)
        if hint is Any or hint is object:
            return _without_decimals(value) if self._reader.format.text else value
        shape = self._reader.shape(hint)
        first: Misfit | None = None
        if shape.native and not (self._deep and _has_rule(hint, value)):
            try:
                return msgspec.convert(
                    value,
                    hint,
                    builtin_types=() if self._reader.format.text else (bytes,),
                    str_keys=self._reader.format.text,
                    dec_hook=self.rule,
                )
            except Exception as err:  # noqa: BLE001 - whatever a class' own code raises
                first = misfit_of(err)
            if isinstance(first, TooDeep):
                raise first
        try:
            return (yield from self._rule(hint, value))
        except Exception as err:  # noqa: BLE001 - as above
            second = misfit_of(err)
        # msgspec's misfit knows the place; the rules' one is about what msgspec does not know.
        raise first or second

    def _rule(self, type_hint: Any, value: Any) -> Task:
        cls: Any = class_of(type_hint)
        custom = self._reader.custom.of_hint(cls)
        if type_hint is object:
            return value
        if custom is not None:
            return (yield from self._custom(custom, cls, value))
        if metadata_of(type_hint):
            return (yield from self._annotated(type_hint, value))
        if is_model(type_hint):
            return (yield from self._model(type_hint, value))
        if cls in UNIONS:
            return (yield from self._union(get_args(type_hint), value))
        if cls is Literal:
            return self._one_of(type_hint, value)
        if not isinstance(cls, type):
            raise self._unknown(type_hint)
        members = self._reader.shape(type_hint).members
        if members is not None:
            return (yield from read_members(cls, members, value))
        return (yield from self._class(type_hint, cls, value))

    def _class(self, type_hint: Any, cls: Any, value: Any) -> Task:
        if issubclass(cls, Enum):
            return self._one_of(type_hint, value)
        if issubclass(cls, abc.Mapping):
            text = self._reader.format.text
            return (yield from read_mapping(type_hint, cls, value, text=text))
        if issubclass(cls, _BASES):
            return (yield from self._builtin(cls, value))
        if cls in _DATES and isinstance(value, str):
            return _DATES[cls](value)
        if issubclass(cls, abc.Iterable):
            return (yield from read_array(type_hint, cls, value))
        parse = getattr(cls, "parse_obj", None)  # pydantic before its version 2
        if callable(parse) and isinstance(value, dict):
            return parse(value)
        raise self._unknown(type_hint)

    def _unknown(self, type_hint: Any) -> Misfit:
        fix = TWIN if self._reader.custom.has_twin_of(type_hint) else "give it a CustomType"
        return Misfit(
            self._reader.shape(type_hint).reason
            or f"{type_name(type_hint)} is not a type that can be read; {fix}"
        )

    def _custom(self, custom: Any, cls: Any, value: Any) -> Task:
        if isinstance(value, cls):
            return value  # a MessagePack extension is one already
        if custom.via is not None:
            value = yield custom.via, value
        try:
            made = custom.from_(value)
        except Exception as err:  # noqa: BLE001 - whatever somebody else's function raises
            problem = f"from_ of its CustomType raised {type(err).__name__}"
        else:
            if isinstance(made, cls):
                return made
            problem = f"from_ of its CustomType returned a {type_name(type(made))}"
        raise Misfit(f"{type_name(cls)}: {problem}")

    def _annotated(self, type_hint: Any, value: Any) -> Task:
        if has_constraint(type_hint):
            return (yield from self._constrained(type_hint, value))
        if any(isinstance(item, msgspec.Meta) for item in metadata_of(type_hint)):
            raise self._unknown(type_hint)  # msgspec's to enforce; to leave it out would be worse
        return (yield type_hint.__origin__, value)

    def _constrained(self, type_hint: Any, value: Any) -> Task:
        try:
            value = yield type_hint.__origin__, value
        except TooDeep:
            raise
        except Misfit:  # a type that pydantic alone knows, such as its AnyUrl
            if self._reader.shape(type_hint).binary:
                raise  # pydantic would read the text of bytes as it stands
            return self._by_pydantic(type_hint, value)
        return self._model_reader(type_hint).read_python(value)

    def _model(self, type_hint: Any, value: Any) -> Task:
        shape = self._reader.shape(type_hint)
        if not is_pydantic_dataclass(type_hint) or shape.members is None:
            return self._by_pydantic(type_hint, value)
        # It is written like any dataclass, so it is read like one; its constructor validates.
        try:
            return (yield from read_members(class_of(type_hint), shape.members, value))
        except TooDeep:
            raise
        except Exception:  # whatever a class' own code raises
            if shape.binary:
                raise
        return self._by_pydantic(type_hint, value)

    def _by_pydantic(self, type_hint: Any, value: Any) -> Any:
        model = self._model_reader(type_hint)
        if self._reader.format.text:
            return model.read_json(self._reader.format.encode(value))
        return model.read_python(value)

    def _model_reader(self, type_hint: Any) -> ModelReader:
        model = self._reader.shape(type_hint).model
        if model is None:
            raise Misfit("pydantic cannot read it")
        return model

    def _union(self, arms: tuple[Any, ...], value: Any) -> Task:
        """Read into the arm that leaves least out; the first of equals, as they are written."""
        found: list[tuple[int, Any]] = []
        for arm in arms:
            try:
                result = yield arm, value
            except TooDeep:
                raise
            except Misfit:
                continue
            left_out = surplus(self._reader.shape, arm, value)
            if left_out == 0:
                return result
            found.append((left_out, result))
        if not found:
            raise expected(" | ".join(map(type_name, arms)), value)
        return min(found, key=lambda item: item[0])[1]

    def _one_of(self, type_hint: Any, value: Any) -> Any:
        """Find the choice that is written like `value`."""
        choices = self._reader.shape(type_hint).choices or {}
        fitting = choices.get(self._reader.format.encode(value), ())
        if len(fitting) > 1:
            raise Misfit(f"{type_name(type_hint)} has several values that are written alike")
        if not fitting:
            raise Misfit("the value was refused")
        return fitting[0]

    def _builtin(self, cls: Any, value: Any) -> Task:
        if cls is int and _is_whole(value):
            return int(value)
        if cls is float and _is_finite(value):
            return float(value)
        if cls in (bytes, bytearray) and is_array(value):
            return cls(value)  # the default converter's bytes: an array of numbers
        if cls in _BASES or cls is bool:
            raise expected(cls.__name__, value)
        base: Any = next(base for base in _BASES if issubclass(cls, base))
        plain = yield base, value
        made = cls(plain)
        if not base.__eq__(made, plain) and plain == plain:  # NaN is not
            raise Misfit(f"the constructor of {type_name(cls)} does not keep what it is given")
        return made


def _is_finite(value: object) -> bool:
    return isinstance(value, decimal.Decimal) and math.isfinite(float(value))


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT


def _has_rule(type_hint: Any, value: Any) -> bool:
    """Tell whether there is a rule for a value with others inside, beside msgspec's way."""
    cls = class_of(type_hint)
    struct = isinstance(cls, type) and issubclass(cls, msgspec.Struct)
    return (is_array(value) or is_object(value)) and not struct


def _without_decimals(value: Any) -> Any:
    """Turn numbers of more digits than a float has, kept for a Decimal, into floats after all."""
    return run(_plain(None, value), _plain)


def _plain(_: Any, value: Any) -> Task:
    if isinstance(value, decimal.Decimal):
        return float(value)
    if is_array(value):
        items: list[Any] = []
        for item in value:
            items.append((yield None, item))
        return items
    if is_object(value):
        found: dict[Any, Any] = {}
        for key, item in value.items():
            found[key] = yield None, item
        return found
    return value

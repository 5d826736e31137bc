"""pydantic's models, read by pydantic's own validators.

Nothing here imports pydantic by itself: where there is a model, it has been imported already.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Final

from .branching import TooManyTries, branching_of
from .core_schema import schema_nodes
from .hints import class_of, metadata_of
from .misfit import Misfit, is_array, is_object, kind_of

# Kinds of pydantic's core schema of which one place takes one kind of value.
_DISTINCT: Final = frozenset(
    (
        *("model", "model-fields", "model-field", "typed-dict", "typed-dict-field", "dataclass"),
        *("dataclass-args", "dataclass-field", "str", "int", "float", "bool", "date", "time"),
        *("datetime", "timedelta", "uuid", "decimal", "enum", "none", "nullable", "default"),
        *("list", "tuple", "set", "frozenset", "dict", "definitions", "definition-ref"),
    )
)


def is_model(type_hint: Any) -> bool:
    """Tell whether a hint is a pydantic model or a pydantic dataclass."""
    cls = class_of(type_hint)
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def has_constraint(type_hint: Any) -> bool:
    """Tell whether an `Annotated` says something that pydantic enforces and msgspec ignores."""
    modules = {type(item).__module__.partition(".")[0] for item in metadata_of(type_hint)}
    return not modules.isdisjoint(("pydantic", "annotated_types"))


def is_pydantic_dataclass(type_hint: Any) -> bool:
    """Tell whether a hint is a pydantic dataclass, which msgspec writes like any dataclass."""
    return is_model(type_hint) and is_dataclass(class_of(type_hint))


def model_fields(type_hint: Any, present: Mapping[str, Any]) -> dict[str, Any]:
    """Return the types of a model's fields by the keys that an object has for them."""
    found: dict[str, Any] = {}
    for name, field in getattr(class_of(type_hint), "__pydantic_fields__", {}).items():
        found[field.alias if field.alias in present else name] = field.annotation
    return found


def is_strict(nodes: Iterable[dict[str, Any]]) -> bool:
    """Tell whether a schema somewhere takes nothing but the very types of Python."""
    places: Iterator[dict[str, Any]] = (
        place for node in nodes for place in (node, node.get("config") or {})
    )
    return any(place.get("strict") for place in places)


class ModelReader:
    """Reads one type with pydantic: a model, or a type that contains models."""

    __slots__ = ("_branching", "_distinct", "_json", "_python", "_schema", "_strict")

    def __init__(self, type_hint: Any) -> None:
        owner: Any
        if is_model(type_hint):
            owner = class_of(type_hint).__pydantic_validator__
            self._json: Callable[..., Any] = owner.validate_json  # completes the class, if need be
            self._python: Callable[..., Any] = owner.validate_python
            self._schema = class_of(type_hint).__pydantic_core_schema__
        else:
            from pydantic import TypeAdapter

            owner = TypeAdapter(type_hint)
            self._json = owner.validate_json
            self._python = owner.validate_python
            self._schema = owner.core_schema
        self._branching = branching_of(self._schema)
        nodes = list(schema_nodes(self._schema))
        self._strict = is_strict(nodes)
        # Whether text can be only one thing wherever it is.
        self._distinct = {node["type"] for node in nodes} <= _DISTINCT

    def read_json(self, data: bytes) -> Any:
        """Read JSON.

        Raises:
            Misfit: The data does not fit.
        """
        if self._branching is not None:
            self._branching.check_json(data)
        return self._checked(self._json, data)

    def read_python(self, value: Any) -> Any:
        """Read builtin types.

        Raises:
            Misfit: The value does not fit.
        """
        if self._branching is not None:
            self._branching.check_python(value)
        try:
            return self._checked(self._python, value)
        except Misfit as err:
            if not self._strict:
                raise
            misfit = err
        # A strict model takes no text for a date in Python, but it does in JSON.
        data = _json_of(value, distinct=self._distinct)
        if data is None:
            raise misfit
        return self._checked(self._json, data)

    def is_too_strict_for(self, value: Any) -> bool:
        """Tell whether builtin types fit a model only if it is read in pydantic's lax mode."""
        try:
            self.read_python(value)
        except TooManyTries:
            return False  # and another attempt would take as long
        except Misfit:
            pass
        else:
            return False
        try:
            self._checked(self._python, value, strict=False)
        except Exception:  # noqa: BLE001 - whatever a class' own code raises
            return False
        return True

    def _checked(self, read: Callable[..., Any], data: Any, strict: bool | None = None) -> Any:
        try:
            # By name as well: a field whose alias is for writing alone has to come back.
            return read(data, by_alias=True, by_name=True, strict=strict)
        except ValueError as err:
            errors: Any = getattr(err, "errors", None)
            if errors is None:  # of the class' own code
                raise
            fault: dict[str, Any] = errors(include_url=False)[0]
        # Outside of the handler: pydantic's error quotes the value.
        names = {name for node in schema_nodes(self._schema) for name in _field_names(node)}
        raise Misfit(_explain(fault), _path(fault["loc"], names))


def _json_of(value: Any, *, distinct: bool) -> bytes | None:
    """Write builtin types as JSON; None where something in them would become something else.

    Args:
        value: The builtin types; MessagePack has times, and other keys than text, among them.
        distinct: Whether these may become text, because nothing can mistake it.
    """
    default = _iso if distinct else None
    if not distinct and _has_odd_keys(value):
        return None
    try:
        return json.dumps(value, default=default).encode()  # NaN as well, which pydantic reads
    except (TypeError, ValueError, RecursionError):  # bytes, for one
        return None


def _iso(value: Any) -> str:
    if not isinstance(value, dt.datetime):
        raise TypeError
    return value.isoformat()


def _has_odd_keys(value: Any) -> bool:
    waiting: list[Any] = [value]
    for part in waiting:  # grows meanwhile
        if is_object(part):
            if not all(isinstance(key, str) for key in part):
                return True
            waiting += part.values()
        elif is_array(part):
            waiting += part
    return False


def _explain(fault: dict[str, Any]) -> str:
    if fault["type"] == "missing":
        return "Object missing required field"
    return f"pydantic's {fault['type']}, got {kind_of(fault['input'])}"


def _path(places: tuple[int | str, ...], names: set[str]) -> str:
    # A place may be the key of a mapping, which is a value: only names of fields are shown.
    path = ""
    for place in places:
        path += f".{place}" if place in names else f"[{place if isinstance(place, int) else '...'}]"
    return path


def _field_names(node: dict[str, Any]) -> Iterator[str]:
    fields: Any = node.get("fields", ())
    if is_object(fields):
        yield from fields
    for item in fields.values() if is_object(fields) else fields:
        if is_object(item):  # of a dataclass there are names in a second place
            keys = ("name", "validation_alias")
            yield from (item[key] for key in keys if isinstance(item.get(key), str))

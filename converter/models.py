"""pydantic's models, by pydantic's own validators and serializers.

Nothing here imports pydantic by itself: where there is a model, it has been imported already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from sealwire.errors import ConversionError

from .hints import class_of, metadata_of
from .misfit import Misfit, is_array, is_object, kind_of
from .values import has_non_finite

# Kinds of pydantic's core schema that hold neither a set nor a float by themselves. What is not
# listed may hold both: `any`, a serializer of the class' own, a kind that is yet to be invented.
# Source: https://docs.pydantic.dev/latest/api/pydantic_core_schema/
_PLAIN: Final = frozenset(
    (
        *("model", "model-fields", "model-field", "dataclass", "dataclass-args"),
        *("dataclass-field", "typed-dict", "typed-dict-field", "str", "int", "bool", "bytes"),
        *("date", "time", "datetime", "timedelta", "uuid", "url", "multi-host-url", "enum"),
        *("literal", "none", "list", "tuple", "dict", "nullable", "union", "tagged-union"),
        *("default", "definitions", "definition-ref", "function-before", "function-after"),
        *("function-wrap", "json-or-python", "lax-or-strict", "chain"),
    )
)
_SETS: Final = _PLAIN | {"float", "decimal"}
_FLOATS: Final = _PLAIN | {"set", "frozenset", "decimal"}
_MAX_CLASSES: Final = 256


def is_model(type_hint: Any) -> bool:
    """Tell whether a hint is a pydantic model or a pydantic dataclass."""
    cls = class_of(type_hint)
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def has_constraint(type_hint: Any) -> bool:
    """Tell whether an `Annotated` says something that pydantic enforces and msgspec ignores."""
    modules = {type(item).__module__.partition(".")[0] for item in metadata_of(type_hint)}
    return not modules.isdisjoint(("pydantic", "annotated_types"))


class ModelReader:
    """Reads one type with pydantic: a model, or a type that contains models."""

    __slots__ = ("_json", "_python", "_schema")

    def __init__(self, type_hint: Any) -> None:
        owner: Any
        if is_model(type_hint):
            owner = class_of(type_hint).__pydantic_validator__
            self._schema = class_of(type_hint).__pydantic_core_schema__
        else:
            from pydantic import TypeAdapter

            owner = TypeAdapter(type_hint)
            self._schema = owner.core_schema
        self._json: Callable[[bytes], Any] = owner.validate_json
        self._python: Callable[[Any], Any] = owner.validate_python

    def read_json(self, data: bytes) -> Any:
        """Read JSON.

        Raises:
            Misfit: The data does not fit.
        """
        return self._checked(self._json, data)

    def read_python(self, value: Any) -> Any:
        """Read builtin types.

        Raises:
            Misfit: The value does not fit.
        """
        return self._checked(self._python, value)

    def _checked(self, read: Callable[[Any], Any], data: Any) -> Any:
        try:
            return read(data)
        except ValueError as err:
            errors: Any = getattr(err, "errors", None)
            if errors is None:  # of the class' own code
                raise
            fault: dict[str, Any] = errors(include_url=False)[0]
        # Outside of the handler: pydantic's error quotes the value.
        names = {name for node in _nodes(self._schema) for name in _field_names(node)}
        raise Misfit(_explain(fault), _path(fault["loc"], names))


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


class ModelWriter:
    """Turns models into what msgspec encodes, as pydantic would write them.

    Args:
        encoding: The encoding, which errors name.
        text: Whether it is JSON; else dates and bytes stay what they are.
    """

    __slots__ = ("_encoding", "_kinds", "_text")

    def __init__(self, encoding: str, *, text: bool) -> None:
        self._encoding = encoding
        self._text = text
        self._kinds: dict[type, tuple[bool, bool]] = {}

    def __call__(self, model: Any) -> Any:
        """Return JSON as it is, or builtin types.

        Raises:
            ConversionError: JSON cannot say it, or not in the same order in every process.
        """
        serializer: Any = model.__pydantic_serializer__
        if not self._text:
            return serializer.to_python(model)
        sets, floats = self._holds(type(model))
        data: bytes = serializer.to_json(model)
        if floats and (b"null" in data or b"NaN" in data or b"Infinity" in data):
            self._refuse_non_finite(model, serializer.to_python(model))
        if sets:
            return self._in_order(serializer.to_python(model), msgspec.json.decode(data))
        return msgspec.Raw(data)

    def _holds(self, cls: Any) -> tuple[bool, bool]:
        """Tell whether instances may hold sets, and floats."""
        found = self._kinds.get(cls)
        if found is None:
            kinds = {node["type"] for node in _nodes(cls.__pydantic_core_schema__)}
            found = (not kinds <= _SETS, not kinds <= _FLOATS)
            if len(self._kinds) >= _MAX_CLASSES:
                self._kinds.clear()
            self._kinds[cls] = found
        return found

    def _refuse_non_finite(self, model: Any, dumped: Any) -> None:
        as_text = getattr(model, "model_config", {}).get("ser_json_inf_nan") == "strings"
        if not as_text and has_non_finite(dumped):
            raise self._refused(
                f"a float that is NaN or infinite in {type(model).__qualname__}; use None, or "
                'model_config = ConfigDict(ser_json_inf_nan="strings")'
            )

    def _in_order(self, python: Any, dumped: Any) -> Any:
        """Sort what was a set in Python: its order differs from process to process."""
        if is_object(python) and is_object(dumped) and len(python) == len(dumped):
            pairs = zip(python.values(), dumped.items(), strict=True)
            return {key: self._in_order(item, text) for item, (key, text) in pairs}
        if not is_array(dumped):
            return dumped
        if _is_set(python):
            if any(isinstance(item, (frozenset, tuple)) for item in python):
                raise self._refused("a set of sets or tuples in a pydantic model; use lists")
            return sorted(dumped, key=msgspec.json.encode)
        if not _is_sequence(python) or len(python) != len(dumped):
            return dumped
        return list(map(self._in_order, python, dumped))

    def _refused(self, what: str) -> ConversionError:
        return ConversionError(f"{self._encoding} cannot represent {what}", encoding=self._encoding)


def _is_set(value: object) -> bool:
    return isinstance(value, (set, frozenset))


def _is_sequence(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a core schema that has a type."""
    waiting: list[Any] = [schema]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, (list, tuple)):
            waiting += node
        elif is_object(node) and id(node) not in seen:
            seen.add(id(node))
            if isinstance(node.get("type"), str):
                yield node
            waiting += [item for key, item in node.items() if key != "metadata"]


def _field_names(node: dict[str, Any]) -> Iterator[str]:
    fields: Any = node.get("fields", ())
    if is_object(fields):
        yield from fields
    for item in fields.values() if is_object(fields) else fields:
        yield from (
            item[key] for key in ("name", "validation_alias") if isinstance(item.get(key), str)
        )

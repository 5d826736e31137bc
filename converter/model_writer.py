"""pydantic's models, written by its own serializers, or refused where those would lose data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sealwire.errors import ConversionError

from .core_schema import schema_nodes
from .exactness import may_hide_nan
from .misfit import is_array, is_object
from .models import ModelReader, is_strict
from .nesting import MAX_MODEL_NESTING, is_nested_beyond

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
# Kinds that come out of MessagePack as the very types that a strict model takes.
_CARRIED: Final = frozenset(
    (
        *("model", "model-fields", "model-field", "typed-dict", "typed-dict-field", "default"),
        *("str", "int", "float", "bool", "bytes", "none", "nullable", "list", "dict"),
        *("definitions", "definition-ref"),
    )
)
_CLASSES: Final = ("model", "dataclass", "typed-dict")
# Kinds of keys of which two that differ are never the same text.
_UNLIKE: Final = ("str", "int", "bool", "bytes", "uuid", "date", "time", "datetime", "timedelta")
_MASK: Final = b"**********"  # what pydantic writes for a SecretStr
_MAX_CLASSES: Final = 256


@dataclass(frozen=True, slots=True)
class _Traits:
    """What is known about the instances of a model class.

    Args:
        by_alias: Whether every alias that is written is one that is read.
        aligned: Whether there may be sets, or keys that become the same text: what is written has
            to be compared with what was there.
        floats: Whether there may be a float that JSON cannot say.
        bytes_differ: Whether bytes are written in another way than they are read.
        opaque: Whether there is a serializer of a class' own, such as that of a secret.
        nests: Whether a model may be nested in itself.
        reader: Reads it, where it is strict and may not come back.
    """

    by_alias: bool
    aligned: bool
    floats: bool
    bytes_differ: bool
    opaque: bool
    nests: bool
    reader: ModelReader | None


def _traits(cls: Any) -> _Traits:
    nodes = list(schema_nodes(cls.__pydantic_core_schema__))
    configs: list[dict[str, Any]] = [node.get("config") or {} for node in nodes]
    kinds = {node["type"] for node in nodes}
    as_text = all(
        item.get("ser_json_inf_nan") == "strings"
        for node, item in zip(nodes, configs, strict=True)
        if node["type"] in _CLASSES
    )
    return _Traits(
        by_alias=all(map(_reads_its_alias, nodes)),
        aligned=not kinds <= _SETS or any(map(_has_mixed_keys, nodes)),
        floats=not kinds <= _FLOATS and not as_text,
        opaque=not kinds <= (_SETS | _FLOATS),
        nests="definition-ref" in kinds,
        reader=ModelReader(cls) if is_strict(nodes) and not kinds <= _CARRIED else None,
        bytes_differ="bytes" in kinds
        and any(
            item.get("ser_json_bytes", "utf8") != item.get("val_json_bytes", "utf8")
            for item in configs
        ),
    )


def _reads_its_alias(node: dict[str, Any]) -> bool:
    written = node.get("serialization_alias")
    read = node.get("validation_alias")
    return written is None or written == read or (isinstance(read, list) and [written] in read)


def _has_mixed_keys(node: dict[str, Any]) -> bool:
    keys: dict[str, Any] = node.get("keys_schema") or {}
    return node["type"] == "dict" and keys.get("type") not in _UNLIKE


class ModelWriter:
    """Turns models into what msgspec encodes, as pydantic would write them.

    Args:
        encoding: The encoding, which errors name.
        text: Whether it is JSON; else dates and bytes stay what they are.
    """

    __slots__ = ("_encoding", "_text", "_traits")

    def __init__(self, encoding: str, *, text: bool) -> None:
        self._encoding = encoding
        self._text = text
        self._traits: dict[type, _Traits] = {}

    def __call__(self, model: Any) -> Any:
        """Return JSON as it is, or builtin types.

        Raises:
            ConversionError: JSON cannot say it, or not in the same order in every process.
        """
        serializer: Any = model.__pydantic_serializer__
        traits = self._traits_of(type(model))  # pyright: ignore[reportUnknownArgumentType]
        if not self._text:
            builtin = self._dump(serializer.to_python, model, traits)
            if traits.reader is not None:
                self._refuse_unreadable(model, builtin, traits.reader)
            return builtin
        data: bytes = self._dump(serializer.to_json, model, traits)
        # Two bytes for each level, and most data is shorter.
        if traits.nests and len(data) > 2 * MAX_MODEL_NESTING:
            self._refuse_deep(model, data)
        if traits.bytes_differ:
            raise self._refused(
                f"the bytes in {_name(model)}; let ser_json_bytes and val_json_bytes of its "
                "model_config be the same"
            )
        suspicious = (traits.floats and may_hide_nan(data)) or (traits.opaque and _MASK in data)
        if not suspicious and not traits.aligned:
            return msgspec.Raw(data)
        python = serializer.to_python(model, by_alias=traits.by_alias, warnings=False)
        if suspicious:
            self._refuse_lost(model, python, floats=traits.floats)
        if traits.aligned:
            return self._in_order(python, msgspec.json.decode(data))
        return msgspec.Raw(data)

    def _dump(self, dump: Callable[..., Any], model: Any, traits: _Traits) -> Any:
        try:
            # A warning would quote the value.
            return dump(model, by_alias=traits.by_alias, warnings=False)
        except ValueError as err:
            if not str(err).endswith("Maximum serialization depth exceeded"):
                raise
        raise self._too_deep(model)

    def _refuse_deep(self, model: Any, data: bytes) -> None:
        if is_nested_beyond(msgspec.json.decode(data), MAX_MODEL_NESTING):
            raise self._too_deep(model)

    def _too_deep(self, model: Any) -> ConversionError:
        return self._refused(
            f"{_name(model)} nested too deeply for pydantic, which may have {MAX_MODEL_NESTING} "
            "levels in JSON; turn it into a list whose items name each other"
        )

    def _refuse_unreadable(self, model: Any, builtin: Any, reader: ModelReader) -> None:
        """Refuse what a strict model does not take back, though the same one in lax mode does."""
        try:
            written = msgspec.msgpack.decode(msgspec.msgpack.encode(builtin))
        except Exception:  # noqa: BLE001 - whatever only the converter knows how to write
            return
        if reader.is_too_strict_for(written):
            raise self._refused(
                f"this {_name(model)}: the model is strict, and would not read it back; use the "
                "json/plain encoding for it"
            )

    def _traits_of(self, cls: type) -> _Traits:
        found = self._traits.get(cls)
        if found is None:
            if len(self._traits) >= _MAX_CLASSES:
                self._traits.clear()
            found = self._traits[cls] = _traits(cls)
        return found

    def _refuse_lost(self, model: Any, python: Any, *, floats: bool) -> None:
        for leaf in _leaves(python):
            if floats and isinstance(leaf, float) and not math.isfinite(leaf):
                raise self._refused(
                    f"a float that is NaN or infinite in {_name(model)}; use None, or "
                    'model_config = ConfigDict(ser_json_inf_nan="strings")'
                )
            if hasattr(leaf, "get_secret_value"):
                raise self._refused(
                    f"a secret in {_name(model)}, which pydantic writes as {_MASK.decode()}; give "
                    "the field a serializer that calls get_secret_value"
                )

    def _in_order(self, python: Any, dumped: Any) -> Any:
        """Sort what was a set in Python: its order differs from process to process."""
        if is_object(python) and is_object(dumped):
            if len(python) > len(dumped) and not all(isinstance(key, str) for key in python):
                raise self._refused("a mapping in a pydantic model in which two keys become one")
            if len(python) == len(dumped):
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


def _name(model: object) -> str:
    return type(model).__qualname__


def _leaves(value: Any) -> Iterator[Any]:
    parts = [value]
    for part in parts:  # grows meanwhile
        if is_object(part):
            parts.extend(part.values())
        elif _is_set(part) or _is_sequence(part):
            parts.extend(part)
        else:
            yield part


def _is_set(value: object) -> bool:
    return isinstance(value, (set, frozenset))


def _is_sequence(value: object) -> bool:
    return isinstance(value, (list, tuple))

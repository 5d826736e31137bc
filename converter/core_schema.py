"""pydantic's core schemas: what a model looks like to its validator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from .misfit import is_object

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_SKIPPED: Final = frozenset({"metadata", "serialization"})  # no part of what is validated


def schema_nodes(schema: Any, definitions: Mapping[str, Any] = _NONE) -> Iterator[dict[str, Any]]:
    """Yield every node of a core schema that has a type.

    Args:
        schema: The schema, or a part of one.
        definitions: The nodes to go on with where a part only refers to another.
    """
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
            if node.get("schema_ref") in definitions:
                waiting.append(definitions[node["schema_ref"]])
            waiting += [item for key, item in node.items() if key not in _SKIPPED]

"""What pydantic may spend on a union that contains itself, and where to stop.

Reading `A | B`, pydantic tries both. If both have a field of the same union, it tries both again
in each of them, so that every level of nesting doubles the time: 20 levels, in 200 bytes, take
seconds. Only a document deep enough for that is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from .core_schema import schema_nodes
from .misfit import Misfit, is_array, is_object

# Tries of a class; each takes 1 µs in a document that fits, and up to 7 in one that does not.
_MAX_TRIES: Final = 2**17
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_OBJECTS: Final = frozenset({"model", "dataclass", "typed-dict", "dict", "model-fields"})
_ARRAYS: Final = frozenset({"list", "tuple", "set", "frozenset", "generator"})


class TooManyTries(Misfit):
    """A union that contains itself is nested too deeply."""

    def __init__(self) -> None:
        super().__init__(
            "a union of classes is nested in itself too deeply for pydantic, which tries each of "
            "them at every level; give the union a discriminator"
        )


@dataclass(frozen=True, slots=True)
class Branching:
    """By how much each level of a document multiplies the tries.

    Args:
        objects: The factor of an object in an object.
        arrays: The factor of an array in an array.
    """

    objects: int
    arrays: int

    def check_json(self, data: bytes) -> None:
        """Refuse JSON that would take too long.

        Raises:
            Misfit: It would.
        """
        tries, total = 1, 0
        factors = {b"{": self.objects, b"[": self.arrays, b"}": self.objects, b"]": self.arrays}
        for match in _TOKEN.finditer(data):
            factor = factors.get(match[0])
            if factor is None:
                continue
            if match[0] in b"{[":
                tries *= factor
                total += tries
                if total > _MAX_TRIES:
                    raise TooManyTries
            else:
                tries = max(1, tries // factor)

    def check_python(self, value: Any) -> None:
        """Refuse builtin types that would take too long; see `check_json`."""
        waiting: list[tuple[Any, int]] = [(value, 1)]
        total = 0
        while waiting:
            node, tries = waiting.pop()
            if is_object(node):
                tries *= self.objects
                waiting += [(item, tries) for item in node.values()]
            elif is_array(node):
                tries *= self.arrays
                waiting += [(item, tries) for item in node]
            else:
                continue
            total += tries
            if total > _MAX_TRIES:
                raise TooManyTries


def branching_of(schema: Any) -> Branching | None:
    """Find the factors in a core schema of pydantic; None where no union contains itself."""
    if schema["type"] != "definitions":  # pydantic gathers there whatever is referred to
        return None
    nodes = list(schema_nodes(schema))
    definitions = {node["ref"]: node for node in nodes if isinstance(node.get("ref"), str)}
    found = [_factors(node, definitions) for node in nodes if node["type"] == "union"]
    factors = Branching(
        max((objects for objects, _ in found), default=1),
        max((arrays for _, arrays in found), default=1),
    )
    return None if factors == Branching(1, 1) else factors


def _factors(union: dict[str, Any], definitions: dict[str, Any]) -> tuple[int, int]:
    kinds = [
        _kind(choice, definitions)
        for choice in map(_without_label, union["choices"])
        if any(node is union for node in schema_nodes(choice, definitions))
    ]
    return max(1, kinds.count("object")), max(1, kinds.count("array"))


def _without_label(choice: Any) -> Any:
    return choice if is_object(choice) else choice[0]


def _kind(node: Any, definitions: dict[str, Any]) -> str:
    for _ in range(100):  # wrappers around one choice: more are possible, but nobody writes them
        kind = node.get("type")
        if kind in _ARRAYS:
            return "array"
        if kind in _OBJECTS and not node.get("root_model"):
            return "object"
        if kind == "definition-ref":
            node = definitions.get(node["schema_ref"], {})
        elif is_object(node.get("schema")):
            node = node["schema"]
        else:
            break
    return "object"  # not known: the careful answer for data from a stranger

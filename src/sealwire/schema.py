"""Read TOML tables into dataclasses, and name every fault with its place and what is accepted."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import get_annotations
from pathlib import Path
from typing import (
    Any,
    Final,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from sealwire.errors import ConfigurationError

T = TypeVar("T")

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-]+)\s*\]")
_ENTRY: Final = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")


class Plug(Protocol):
    """Reads tables with a `type`."""

    def read(self, reader: TableReader, table: Mapping[str, Any], place: str) -> Any:
        """Build the object that a table stands for; None when a fault was noted."""
        ...


class TableReader:
    """Reads the tables of one file and collects what is wrong with them.

    Args:
        path: The file; shown in messages, and the base of relative paths in it.
        plugs: What reads a table with a `type` into an object, by the interface of the object.
        root_keys: The keys outside of every table; one that stands below a header is in its table.

    Raises:
        ConfigurationError: The file cannot be read, or is not TOML.
    """

    def __init__(
        self,
        path: Path,
        plugs: Mapping[Any, Plug] | None = None,
        root_keys: Collection[str] = (),
    ) -> None:
        self.path = path
        self.plugs = plugs or {}
        self.root_keys = root_keys
        self.faults: list[str] = []
        self._secret: set[str] = set()  # places whose values no message may show
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigurationError(
                f"there is no {path}; `sealwire keys init` makes one"
            ) from None
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigurationError(f"cannot read {path}: {err}") from None
        try:
            self.root: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as err:
            raise ConfigurationError(f"{path} is not valid TOML: {err}") from None
        self._lines = _line_numbers(text)

    def fault(self, place: str, problem: str) -> None:
        """Note a fault at `place`, such as `keyring.path` or `codec[1].level`."""
        line = self._lines.get(place)
        where = f"{self.path}:{line}" if line else str(self.path)
        self.faults.append(f"{where}: {place}: {problem}")

    def check(self) -> None:
        """Raise all faults noted so far as one `ConfigurationError`."""
        if self.faults:
            raise ConfigurationError("\n".join(self.faults))

    def subtable(self, name: str) -> dict[str, Any]:
        """Return a table of the root, empty where there is none."""
        table: dict[str, Any] = self._of_type(
            self.root.get(name, {}), dict, name, f"a table, [{name}]"
        )
        return table

    def subtables(self, name: str) -> list[dict[str, Any]]:
        """Return an array of tables of the root, empty where there is none."""
        items = self._of_type(self.root.get(name, []), list, name, f"tables, [[{name}]]")
        return [
            self._of_type(item, dict, f"{name}[{index}]", f"a table, [[{name}]]")
            for index, item in enumerate(items)
        ]

    def known_keys(self, table: Mapping[str, Any], accepted: Iterable[str], place: str) -> None:
        """Note every key of `table` that is not accepted."""
        accepted = list(accepted)
        for key in table:
            if key not in accepted:
                hint = self._hint(key, accepted, place)
                self.fault(
                    f"{place}{key}", f"unknown key; {hint}accepted here: {', '.join(accepted)}"
                )

    def _hint(self, key: str, accepted: Iterable[str], place: str) -> str:
        if place and key in self.root_keys:
            return f"{key!r} must stand above the first table of the file; "
        close = difflib.get_close_matches(key, accepted, n=1)
        return f"did you mean {close[0]!r}? " if close else ""

    def read(self, cls: Callable[..., T], table: Mapping[str, Any], place: str) -> T | None:
        """Build a dataclass from `table`.

        Args:
            cls: The dataclass; its public fields are the accepted keys.
            table: The values.
            place: What to put before a key in messages, such as `keyring.`.

        Returns:
            The instance; None when a fault was noted.
        """
        before = len(self.faults)
        hints = _hints(cls)
        options: dict[str, Field[Any]] = {
            item.name: item
            for item in fields(cls)  # type: ignore[arg-type]
            if item.init and not item.name.startswith("_") and item.name in hints
        }
        self.known_keys(table, options, place)
        self._secret |= {f"{place}{key}" for key, item in options.items() if not item.repr}
        arguments = {
            key: self._value(hints[key], table[key], f"{place}{key}")
            for key in options
            if key in table
        }
        for key, item in options.items():
            if key not in table and item.default is MISSING and item.default_factory is MISSING:
                self.fault(f"{place}{key}", "is required")
        if len(self.faults) > before:
            return None
        try:
            return cls(**arguments)
        except ConfigurationError as err:
            self.fault(place.rstrip("."), str(err))
            return None

    def _value(self, hint: Any, value: Any, place: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if hint in self.plugs:
            table = self._of_type(value, dict, place, "a table")
            return self.plugs[hint].read(self, table, place)
        if origin is Literal:
            if value not in arguments:
                close = difflib.get_close_matches(str(value), arguments, n=1)
                guess = f"; did you mean {close[0]!r}?" if close else ""
                accepted = ", ".join(repr(item) for item in arguments)
                self.fault(place, f"{value!r} is not one of {accepted}{guess}")
            return value
        if origin in (Union, types.UnionType):
            # A file can say a text where code may also give a function.
            choices = [
                item
                for item in arguments
                if item is not type(None) and get_origin(item) is not Callable
            ]
            # And a text can be one of a few words where else there is a list.
            words = [item for item in choices if get_origin(item) is Literal]
            inner = words[0] if words and isinstance(value, str) else choices[0]
            return self._value(inner, value, place)
        if origin is tuple and (is_dataclass(arguments[0]) or arguments[0] in self.plugs):
            tables = self._of_type(value, list, place, "a list of tables")
            return tuple(
                self._value(arguments[0], item, f"{place}[{index}]")
                for index, item in enumerate(tables)
            )
        if is_dataclass(hint):
            table = self._of_type(value, dict, place, "a table")
            return self.read(hint, table, f"{place}.")  # type: ignore[arg-type]
        if origin in (tuple, frozenset):
            items = self._of_type(value, list, place, "a list of texts")
            texts = [self._value(arguments[0], item, place) for item in items]
            return tuple(texts) if origin is tuple else frozenset(texts)
        if origin in (dict, Mapping) or hint is dict:
            inner = arguments[1] if arguments else str
            pairs = self._of_type(value, dict, place, "a table")
            return {key: self._value(inner, item, f"{place}.{key}") for key, item in pairs.items()}
        if hint is Path:
            return self.path.parent / Path(self._of_type(value, str, place, "a path")).expanduser()
        return self._scalar(hint, value, place)

    def _scalar(self, hint: Any, value: Any, place: str) -> Any:
        names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        if hint is float and type(value) is int:
            return float(value)
        return self._of_type(value, hint, place, names[hint])

    def _of_type(self, value: Any, expected: type[Any], place: str, described: str) -> Any:
        if type(value) is expected:
            return value
        found = type(value).__name__ if place in self._secret else _describe(value)
        self.fault(place, f"expected {described}, got {found}")
        return expected()


def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of the fields, without those that only type checkers import."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, hint in get_annotations(base).items():
            alone = {"__annotations__": {name: hint}, "__module__": base.__module__}
            with suppress(NameError):
                hints.update(get_type_hints(type(base.__name__, (), alone)))
    return hints


def _describe(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return f"{type(value).__name__} {value!r}"


def _line_numbers(text: str) -> dict[str, int]:
    """Map places to line numbers; what is written in an unusual way is left out."""
    numbers: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            parent, dot, last = header[2].rpartition(".")
            # In `[[codec.rules]]` the parent is the last `[[codec]]` so far.
            name = f"{parent}[{counts[parent]}].{last}" if parent in counts else parent + dot + last
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            numbers.setdefault(name, number)
            prefix = f"{name}."
        elif entry := _ENTRY.match(line):
            numbers.setdefault(f"{prefix}{entry[1]}", number)
    return numbers

"""The tables of docs/reference/what-is-sealed.md, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "what-is-sealed.md"
CLEAR: Final = "## What is stored in clear"
SEALED: Final = "## What is sealed"
UNUSED: Final = "## Places that this SDK leaves empty"

_PLACE: Final = re.compile(r"`((?:\*[._]|(?:[A-Z]\w*\.)+)[a-z_]+(?:\[[^\]]+\])?)`")
_TEST: Final = re.compile(r"`(test_\w+)`")


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        heading: The table's.
        what: Its first cell.
        places: Messages and fields.
        tests: The tests that prove it.
    """

    heading: str
    what: str
    places: tuple[str, ...]
    tests: tuple[str, ...]


@cache
def rows() -> tuple[Row, ...]:
    """Return all rows of all tables."""
    text = PAGE.read_text(encoding="utf-8")
    return tuple(row for heading in (CLEAR, SEALED, UNUSED) for row in _rows(text, heading))


def _rows(text: str, heading: str) -> Iterator[Row]:
    _, _, rest = text.partition(f"\n{heading}\n")
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    for line in section.splitlines():
        if line.startswith("|"):
            what = line.split("|")[1].strip()
            row = Row(heading, what, tuple(_PLACE.findall(line)), tuple(_TEST.findall(line)))
            if row.places:
                yield row


def matching(places: Iterable[str], patterns: Iterable[str]) -> set[str]:
    """Return those of `places` that are among `patterns`, by one of their names."""
    known = set(patterns)
    return {place for place in places if not known.isdisjoint(_names(place))}


def unmatched(patterns: Iterable[str], places: Iterable[str]) -> set[str]:
    """Return those of `patterns` that are no name of any of `places`."""
    return set(patterns) - {name for place in places for name in _names(place)}


def _names(place: str) -> Iterator[str]:
    """Yield the names of a place: itself, and such as `*.worker_identity`, `*_identity`."""
    field = place.partition("[")[0].rpartition(".")[2]
    yield place
    yield f"*.{field}"
    while "_" in field:
        _, _, field = field.partition("_")
        yield f"*_{field}"


def places(heading: str, test: str | None = None) -> frozenset[str]:
    """Return the places under a heading; those that `test` proves, if it is given."""
    return frozenset(
        place
        for row in rows()
        if row.heading == heading and (test is None or test in row.tests)
        for place in row.places
    )

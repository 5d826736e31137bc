"""docs/reference/what-is-sealed.md names every place, and a test for each."""

from __future__ import annotations

import ast
from pathlib import Path

import everywhere_table as table
from everywhere_places import all_fields, all_places, place_of


def played() -> set[str]:
    """The names of the tests that play something on a stage."""
    return {
        node.name
        for file in Path(__file__).parent.glob("test_everywhere_*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AsyncFunctionDef)
        and "stage" in {argument.arg for argument in node.args.args}
        and node.name.startswith("test_")
    }


def test_every_place_of_the_api_is_in_a_table() -> None:
    """A place for payloads that a new version of the SDK brings turns this red."""
    named = {place.partition("[")[0] for row in table.rows() for place in row.places}
    assert set() == all_places() - named


def test_every_place_in_a_table_exists() -> None:
    """A place that a new version takes away, and a misspelt one, turn this red."""
    fields = {place_of(descriptor) for descriptor in all_fields()}
    named = {place.partition("[")[0] for row in table.rows() for place in row.places}
    assert set() == table.unmatched(named, fields | {"Memo.fields", "Header.fields"})


def test_no_place_for_payloads_is_documented_by_its_field_alone() -> None:
    """`*.name` is for texts: it would cover places for payloads that nobody has looked at."""
    wide = {place for row in table.rows() for place in row.places if place.startswith("*")}
    assert set() == table.matching(all_places(), wide)


def test_every_row_names_its_tests() -> None:
    """Each row of what is stored names tests that exist, and each test is named."""
    rows = [row for row in table.rows() if row.heading != table.UNUSED]
    assert [] == [row.what for row in rows if not row.tests]
    assert played() == {test for row in rows for test in row.tests}


def test_nothing_is_both_empty_and_stored() -> None:
    """A place that a test fills is not in the table of empty ones."""
    stored = table.places(table.CLEAR) | table.places(table.SEALED)
    assert set() == stored & table.places(table.UNUSED)

"""Keys that a keyring lacks, under whatever ids a stranger has written."""

from __future__ import annotations

from collections import Counter

import pytest

from sealwire.cli.unknown_keys import UnknownKeys, shown_id
from sealwire.temporal.key_usage import KeyUsage, Place


@pytest.mark.parametrize(
    ("key_id", "shown"),
    [
        ("2026-11-24-53af5980", "2026-11-24-53af5980"),
        ("a" * 65, "a" * 64 + "…"),
        ("", "''"),
        ("a b", "'a b'"),
        ("a\x1b[31m", "'a\\x1b[3' and 2 more characters"),
        ("\u202eabc\n", "'\\u202eabc' and 1 more characters"),
        ("test-key-test-key-test-key-test!", "'test' and 28 more characters"),
        ("0123456789abcdef", "'0123' and 12 more characters"),
        ("0123456789abcdef01234567", "'0123' and 20 more characters"),
        ("0123456789abcdef" * 2, "'0123' and 28 more characters"),
        ("my secret words", "'my s' and 11 more characters"),
    ],
)
def test_an_id_commands_no_terminal_and_shows_no_key(key_id: str, shown: str) -> None:
    """What is no id of a key, or as long as a key, may be the key: its beginning is enough."""
    assert shown == shown_id(key_id)


def test_the_first_ten_are_listed() -> None:
    """Those that most payloads name, and how many there are beside."""
    counted = Counter({f"key-{number}": number for number in range(1, 14)})
    found = UnknownKeys.of(KeyUsage(payloads=counted), frozenset(["key-13"]))
    assert (78, 12) == (found.payloads, found.count)
    assert [f"key-{number}" for number in range(12, 2, -1)] == [key.id for key in found.listed]
    lines = found.told().splitlines()
    assert ["  key-12: 12 payloads", "  and 2 more ids"] == [lines[1], lines[-1]]
    assert 12 == len(lines)


def test_the_place_of_a_payload_is_escaped() -> None:
    """A workflow id is a stranger's, too."""
    place = Place("orders", "workflow", "w\x1b]0;\n" + "x" * 100)
    usage = KeyUsage(payloads=Counter(k=1), examples={"k": place})
    told = UnknownKeys.of(usage, frozenset()).told()
    assert "k: 1 payload, one in the workflow 'w\\x1b]0;\\nxxx" in told
    assert "x…" in told
    assert 2 == len(told.splitlines())

"""Whether a key is needed, out of what was found: every doubt counts for the key."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from sealwire.cli.key_needs import Evidence
from sealwire.keys import Key, KeySet, KeySuite
from sealwire.temporal.key_usage import KeyUsage
from sealwire.temporal.retention import Retention, Runs

ROOT = bytes.fromhex("9f8e7d6c5b4a3928" * 4)
DAY = 86_400.0
NOW = 1000 * DAY
KEPT = Retention("orders", 3 * DAY, archives=False, runs=Runs(1, 2), oldest_open=0.0, others=0)


def evidence(suite: KeySuite = KeySuite.SEALED, **changes: Any) -> Evidence:
    """All histories were read, nothing was found, and runs of the old key's time exist."""
    keys = tuple(
        Key(key_id, ROOT, suite=suite, created=moment, encrypt_from=moment)
        for key_id, moment in (("old", 1.0), ("new", 100.0))
    )
    runs = {"old": Runs(1, 2), "new": Runs(1, 2)}
    found = Evidence(KeySet(keys), NOW, 10.0, [KEPT], runs, KeyUsage(), scanned=True)
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("made", "need", "told"),
    [
        pytest.param(evidence(), "none", "no", id="read and not found"),
        pytest.param(
            evidence(scanned=False), "possible", "maybe: 1 open, 2 closed runs", id="not read"
        ),
        pytest.param(
            evidence(scanned=False, runs={"old": Runs(0, 2), "new": Runs(0, 0)}),
            *("possible", "maybe: 0 open, 2 closed runs, until 1972-09-30 00:00"),
            id="until the retention ends",
        ),
        pytest.param(
            evidence(scanned=False, runs={"old": Runs(0, 0), "new": Runs(0, 0)}),
            *("none", "no"),
            id="no runs of its time",
        ),
        pytest.param(
            evidence(usage=KeyUsage(payloads=Counter(old=2))),
            "found",
            "yes: 2 payloads",
            id="found",
        ),
        pytest.param(
            evidence(dictionaries=Counter(old=1)), "found", "yes: 1 dictionary", id="dictionary"
        ),
        pytest.param(evidence(usage=KeyUsage(unread=1)), "possible", "maybe", id="limit"),
        pytest.param(evidence(usage=KeyUsage(elsewhere=1)), "possible", "maybe", id="elsewhere"),
        pytest.param(
            evidence(usage=KeyUsage(hidden=1), runs={"old": Runs(0, 0), "new": Runs(0, 0)}),
            *("possible", "maybe: a schedule passes on what cannot be seen"),
            id="schedule",
        ),
        pytest.param(
            evidence(kept=[KEPT, replace(KEPT, archives=True)]), "possible", "maybe", id="archive"
        ),
        pytest.param(
            evidence(kept=[replace(KEPT, others=1)]), "possible", "maybe", id="no workflow"
        ),
        pytest.param(evidence(KeySuite.INDEX), "possible", "maybe", id="named by no payload"),
        pytest.param(evidence(opens_keyrings=True), "opens", "keyrings of tenants", id="opens"),
    ],
)
def test_an_old_key_is_not_needed_only_where_nothing_speaks_for_it(
    made: Evidence, need: str, told: str
) -> None:
    """The new one always is."""
    old, new = (made.need(key) for key in made.keys.keys)
    assert (need, need != "none") == (old.need.value, old.is_needed)
    assert told in old.told()
    assert "seals" == new.need.value


@pytest.mark.parametrize(("writes", "need"), [(True, "seals"), (False, "none")])
def test_an_active_interop_key_is_needed_where_the_format_is_written(
    writes: bool, need: str
) -> None:
    """Nothing replaces it, so that it is active does not mean that it encrypts."""
    made = evidence(KeySuite.INTEROP, writes_interop=writes)
    assert need == made.need(made.keys.keys[-1]).need.value

"""`benchmarks/bench_keys.py` runs; only what has a limit by a wide margin is held to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def document(run_benchmark: Callable[..., str]) -> dict[str, Any]:
    """The JSON of one run."""
    loaded: dict[str, Any] = json.loads(run_benchmark("bench_keys.py", "--json"))
    return loaded


def test_a_look_up_takes_as_long_with_many_keys(document: dict[str, Any]) -> None:
    """It is a comparison and a dictionary look-up; 0.15 µs on a quiet machine."""
    best = {(one["name"], one["keys"]): one["best"] for one in document["look_ups"]}
    one, many = (best["window() and a key of it", f"{count} keys"] for count in ("1", "10,000"))
    assert 0 < one < 1.5
    assert 0 < many < 1.5


def test_a_keyring_of_ten_thousand_keys_loads_in_a_second(document: dict[str, Any]) -> None:
    """And while it does, nobody who looks keys up waits for it to end."""
    (load,) = (one for one in document["loads"] if one["keys"] == 10_000)
    assert 0 < load["load"] < 1000
    assert 0 < load["pause"] < load["load"]


def test_every_size_is_measured(document: dict[str, Any]) -> None:
    """Five ways to a key, and a load, for each."""
    assert [1, 100, 10_000] == [one["keys"] for one in document["loads"]]
    assert 15 == len({(one["name"], one["keys"]) for one in document["look_ups"]})
    assert {"python", "sealwire", "cryptography", "msgspec"} <= set(document["versions"])


def test_tables_fit_a_terminal(run_benchmark: Callable[..., str]) -> None:
    """80 columns are enough."""
    lines = run_benchmark("bench_keys.py").splitlines()
    assert any("10,000 keys" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)

"""`benchmarks/bench_converters.py` runs; the times themselves are nobody's promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

CASES = {
    "dict of 167 bytes": "temporalio",
    "dataclass with 3 items": "temporalio",
    "dataclass with 1,000 items": "temporalio",
    "pydantic model with 3 items": "temporalio pydantic",
    "pydantic model with 1,000 items": "temporalio pydantic",
}


@pytest.fixture(scope="module")
def document(run_benchmark: Callable[..., str]) -> dict[str, Any]:
    """The JSON of one run."""
    loaded: dict[str, Any] = json.loads(run_benchmark("bench_converters.py", "--json"))
    return loaded


def test_every_converter_is_measured_beside_its_peer(document: dict[str, Any]) -> None:
    """Both directions of every case have ours, the SDK's converter and the native calls."""
    found = {(one["case"], one["variant"], one["direction"]) for one in document["results"]}
    for case, peer in CASES.items():
        for direction in ("encode", "decode"):
            for variant in (peer, "sealwire json", "sealwire msgpack", "floor: native calls"):
                assert (case, variant, direction) in found


def test_a_result_tells_times_spread_size_and_ratios(document: dict[str, Any]) -> None:
    """Each result has positive times and ratios; the peer is once as fast as itself."""
    for one in document["results"]:
        assert 0 < one["best"] <= one["median"]
        assert one["spread"] >= 0
        assert one["bytes"] > 100
        assert one["times_as_fast"] > 0
        if one["variant"] == one["peer"]:
            assert 1.0 == one["times_as_fast"]
        if one["variant"] == "floor: native calls":
            assert 1.0 == one["over_floor"]


def test_both_write_json_of_the_same_size(document: dict[str, Any]) -> None:
    """The comparison is between equal payloads."""
    sizes = {(one["case"], one["variant"]): one["bytes"] for one in document["results"]}
    for case, peer in CASES.items():
        assert sizes[case, peer] == sizes[case, "sealwire json"]


def test_the_unit_and_the_versions_are_stated(document: dict[str, Any]) -> None:
    """A number without its unit and versions cannot be compared with another one."""
    assert "us" == document["unit"]
    assert {"python", "sealwire", "temporalio", "msgspec", "pydantic"} <= set(document["versions"])


def test_the_tables_fit_a_terminal_of_80_columns(run_benchmark: Callable[..., str]) -> None:
    """People get one table for each case and direction, none wider than 80 columns or cut."""
    lines = run_benchmark("bench_converters.py").splitlines()
    assert 10 == sum(line.startswith(("encode: ", "decode: ")) for line in lines)
    assert [] == [line for line in lines if len(line.rstrip()) > 80 or "…" in line]

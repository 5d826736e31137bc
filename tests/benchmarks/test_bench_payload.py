"""`benchmarks/bench_payload.py` runs; the times themselves are nobody's promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

CASES = {
    "dict of 167 bytes",
    "dataclass with 3 items",
    "dataclass with 1,000 items",
    "1 MiB of random bytes",
}
VARIANTS = {
    "temporalio",
    "temporalio + temporalcodec",
    "temporalio + sealwire",
    "sealwire plain",
    "sealwire interop",
    "sealwire sealed",
    "sealwire sealed + zstd",
    "floor: interop",
    "floor: sealed",
}

pytest.importorskip("temporalcodec.encryption", reason="the group `bench` is not installed")


@pytest.fixture(scope="module")
def document(run_benchmark: Callable[..., str]) -> dict[str, Any]:
    """The JSON of one run."""
    loaded: dict[str, Any] = json.loads(run_benchmark("bench_payload.py", "--json"))
    return loaded


def test_every_variant_is_measured_in_every_case_and_both_directions(
    document: dict[str, Any],
) -> None:
    """There is one result for each combination."""
    expected = sorted(
        (case, variant, direction)
        for case in CASES
        for variant in VARIANTS
        for direction in ("decode", "encode")
    )
    assert expected == sorted(
        (one["case"], one["variant"], one["direction"]) for one in document["results"]
    )


def test_a_result_tells_times_spread_size_and_ratios(document: dict[str, Any]) -> None:
    """Each result has a positive best and median time, a spread, a size and three ratios."""
    for one in document["results"]:
        assert 0 < one["best"] <= one["median"]
        assert one["spread"] >= 0
        assert one["bytes"] > 100
        assert {"plain", "peer", "floor"} == set(one["ratios"])


def test_only_the_variants_with_a_floor_are_compared_with_it(document: dict[str, Any]) -> None:
    """The ratio to the native calls is given for the interop and the sealed format alone."""
    compared = {one["variant"] for one in document["results"] if one["ratios"]["floor"] is not None}
    assert {"sealwire interop", "sealwire sealed"} == compared


def test_a_peer_compared_with_itself_has_the_ratio_one(document: dict[str, Any]) -> None:
    """`temporalio` alone is the base of one ratio, and with `temporalcodec` of the other."""
    for one in document["results"]:
        if one["variant"] == "temporalio":
            assert 1.0 == one["ratios"]["plain"]
        if one["variant"] == "temporalio + temporalcodec":
            assert 1.0 == one["ratios"]["peer"]


def test_the_interop_format_is_as_large_as_the_peers(document: dict[str, Any]) -> None:
    """The stored size depends on the format alone, so equal formats have equal sizes."""
    sizes = {(one["case"], one["variant"]): one["bytes"] for one in document["results"]}
    for case in CASES:
        assert sizes[case, "temporalio + temporalcodec"] == sizes[case, "sealwire interop"]
        assert sizes[case, "floor: sealed"] == sizes[case, "sealwire sealed"]


def test_the_unit_and_the_versions_are_stated(document: dict[str, Any]) -> None:
    """A number without its unit and versions cannot be compared with another one."""
    assert "us" == document["unit"]
    assert {"python", "sealwire", "temporalio", "temporalcodec", "cryptography"} <= set(
        document["versions"]
    )


def test_the_tables_fit_a_terminal_of_80_columns(run_benchmark: Callable[..., str]) -> None:
    """People get one table for each case and direction, none wider than 80 columns or cut."""
    lines = run_benchmark("bench_payload.py").splitlines()
    assert 8 == sum(line.startswith(("encode: ", "decode: ")) for line in lines)
    assert [] == [line for line in lines if len(line.rstrip()) > 80 or "…" in line]

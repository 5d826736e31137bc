"""`benchmarks/bench_large.py` runs; the times themselves are nobody's promise."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

pytest.importorskip("temporalcodec.encryption", reason="the group `bench` is not installed")


def test_each_has_a_process_of_its_own(run_benchmark: Callable[..., str]) -> None:
    """Time, page faults and memory are there for both directions, and memory is bounded."""
    document = json.loads(run_benchmark("bench_large.py", "--json"))
    results = document["results"]

    assert 4 == len({(one["variant"], one["direction"]) for one in results})
    for one in results:
        assert 0 < one["median"]
        assert one["faults"] >= 0
        assert one["peak"] <= 4.5, "three payloads beside the one that the converter makes"
        assert 0 < one["faster"]

"""`benchmarks/bench_event_loop.py` runs; the times themselves are nobody's promise."""

from __future__ import annotations

import json
from collections.abc import Callable


def test_both_places_are_measured(run_benchmark: Callable[..., str]) -> None:
    """Each payload is worked on in the loop and in threads, both ways."""
    document = json.loads(run_benchmark("bench_event_loop.py", "--json"))
    results = document["results"]

    assert 2 * 2 * 2 * 2 == len(results)
    assert {"loop", "threads"} == {one["place"] for one in results}
    for one in results:
        assert 0 < one["seconds"]
        assert 0 <= one["wait"] <= one["worst"]

"""`benchmarks/bench_workflows.py` and `bench_memory.py` run; the times are nobody's promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sealwire.codecs import Threads

pytest.importorskip("temporalcodec.encryption", reason="the group `bench` is not installed")

PLAIN, SEALED = "temporalio", "sealwire sealed + zstd"


def test_workflows_of_every_variant_are_compared(
    run_benchmark: Callable[..., str], tmp_path: Path
) -> None:
    """Throughput, CPU, stored bytes and replay are there, and a plot of them is a picture."""
    plot = tmp_path / "workflows.svg"
    document = json.loads(run_benchmark("bench_workflows.py", "--json", "--plot", str(plot)))
    rows = {(row["size"], row["variant"]): row for row in document["compared"]}

    assert {"2 KiB", "20 KiB"} == {size for size, _ in rows}
    for (size, variant), row in rows.items():
        assert 0 < row["rate"]["value"]
        assert 0 < row["cpu"]["value"]
        assert ("replay" in row) is (size == "2 KiB")
        if variant == PLAIN:
            assert 1 == row["rate"]["ratio"]
    for size in ("2 KiB", "20 KiB"):  # no matter of time: it is the same in each run
        assert rows[size, SEALED]["stored"]["ratio"] < 0.7
    assert "{http://www.w3.org/2000/svg}svg" == ET.parse(plot).getroot().tag  # noqa: S314 - ours


def test_memory_is_measured_while_payloads_pass(run_benchmark: Callable[..., str]) -> None:
    """For each kind and number of tasks there is what the process took, over time."""
    document = json.loads(run_benchmark("bench_memory.py", "--json"))

    measured = [(one["kind"], one["tasks"]) for one in document["results"]]
    assert [(kind, tasks) for kind in ("random", "base64") for tasks in (1, 4, 16, 100)] == measured
    once = 4 + 6 * Threads().count  # what zstd and the C library keep, however many tasks there are
    for one in document["results"]:
        assert 20 == len(one["samples"])
        assert one["tasks"] * one["peak"] <= 4 * one["tasks"] + once, "four payloads for each task"
        assert 0 < one["rate"]
    assert "16 at once" in run_benchmark("bench_memory.py")

"""`benchmarks/bench_compression.py` runs; the times themselves are nobody's promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

CORPORA = {"JSON orders", "JSON documents", "base64 text", "random bytes"}
VARIANTS = {
    *(f"zstd {level}" for level in (-5, 1, 3, 9, 19)),
    *(f"zlib {level}" for level in (1, 6, 9)),
    *(f"lz4 {level}" for level in (0, 9)),
    *(f"brotli {level}" for level in (1, 4, 9)),
    "zstd 3 dictionary",
}


@pytest.fixture(scope="module")
def plot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plot of the run is."""
    return tmp_path_factory.mktemp("plot") / "compression.svg"


@pytest.fixture(scope="module")
def document(run_benchmark: Callable[..., str], plot: Path) -> dict[str, Any]:
    """The JSON of one run."""
    loaded: dict[str, Any] = json.loads(
        run_benchmark("bench_compression.py", "--json", "--plot", str(plot))
    )
    return loaded


def test_every_variant_is_measured_over_every_corpus(document: dict[str, Any]) -> None:
    """There is one result for each combination and direction."""
    expected = sorted(
        (corpus, variant, direction)
        for corpus in CORPORA
        for variant in VARIANTS
        for direction in ("decode", "encode")
    )
    assert expected == sorted(
        (one["corpus"], one["variant"], one["direction"]) for one in document["results"]
    )


def test_a_result_tells_times_spread_and_sizes(document: dict[str, Any]) -> None:
    """Each result has positive times, and sizes of which the stored one is never larger."""
    for one in document["results"]:
        assert 0 < one["best"] <= one["median"]
        assert one["spread"] >= 0
        assert 0 < one["bytes"] <= one["original"]
        assert one["bytes"] / one["original"] == pytest.approx(one["share"])


def test_what_is_random_is_kept_and_what_is_text_shrinks(document: dict[str, Any]) -> None:
    """The sizes are those of the seeded payloads, the same in every run."""
    shares = {(one["corpus"], one["variant"]): one["share"] for one in document["results"]}
    assert {1.0} == {share for (corpus, _), share in shares.items() if corpus == "random bytes"}
    assert 0.3 > max(share for (corpus, _), share in shares.items() if corpus == "JSON documents")
    assert 0.6 > shares["JSON orders", "zstd 3 dictionary"] / shares["JSON orders", "zstd 3"]


def test_the_unit_and_the_versions_are_stated(document: dict[str, Any]) -> None:
    """A number without its unit and versions cannot be compared with another one."""
    assert "us" == document["unit"]
    assert {"python", "sealwire", "zstandard", "lz4", "brotli"} <= set(document["versions"])


def test_the_plot_is_a_small_svg_with_text(document: dict[str, Any], plot: Path) -> None:
    """It names the corpora that shrink and the algorithms, and fits into a repository."""
    assert document
    root = ET.fromstring(plot.read_text(encoding="utf-8"))  # noqa: S314 - our own
    texts = {text for item in root.iter() if (text := (item.text or "").strip())}
    assert "{http://www.w3.org/2000/svg}svg" == root.tag
    assert {"zstd", "zlib", "lz4", "brotli", "zstd with a dictionary"} <= texts
    assert sum(text.startswith("JSON ") for text in texts) == 2
    assert plot.stat().st_size < 100_000


def test_the_tables_fit_a_terminal_of_80_columns(run_benchmark: Callable[..., str]) -> None:
    """People get one table for each corpus, none wider than 80 columns or cut."""
    lines = run_benchmark("bench_compression.py").splitlines()
    assert len(CORPORA) == sum(line.endswith("bytes each") for line in map(str.rstrip, lines))
    assert [] == [line for line in lines if len(line.rstrip()) > 80 or "…" in line]

"""What each algorithm and level saves, and what it costs, over payloads of several kinds.

Run `python benchmarks/bench_compression.py [--json] [--plot PATH] [--quick]`.

A payload goes through `CompressionCodec`, so the times are those of a program that uses it. What
the codec leaves alone counts with the size that it has, and with the time it took to decide that.
"""

import base64
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import zstandard
from common import (
    SEED,
    Benchmark,
    Pace,
    Series,
    calls_a_sample,
    conditions,
    new_table,
    order,
    settle_heap,
    take_turns,
)
from rich.console import Console

from sealwire.codecs import CompressionCodec
from sealwire.codecs.algorithms import Algorithm
from sealwire.payload import ENCODING, Encoding, Payload

PACKAGES: Final = ("sealwire", "zstandard", "lz4", "brotli", "protobuf")
DICTIONARY_SIZE: Final = 16 * 1024
TRAINED_ON: Final = 2000  # payloads; none of them is measured
LEVELS: Final[Mapping[Algorithm, tuple[int, ...]]] = {
    "zstd": (-5, 1, 3, 9, 19),
    "zlib": (1, 6, 9),
    "lz4": (0, 9),
    "brotli": (1, 4, 9),
}
DICTIONARY: Final = "zstd 3 dictionary"
_NOTES: Final = (
    "please leave the parcel with the neighbour",
    "call before the delivery",
    "the customer asked for an invoice to another address",
    "refund was confirmed by the carrier",
    "delayed again",
    "payment returned, customer informed",
)


@dataclass(frozen=True)
class Corpus:
    """Payloads of one kind."""

    name: str
    payloads: tuple[Payload, ...]

    @property
    def size(self) -> int:
        """The mean serialized size in bytes."""
        return sum(payload.ByteSize() for payload in self.payloads) // len(self.payloads)


@dataclass(frozen=True)
class Variant:
    """A way to compress."""

    name: str
    codec: CompressionCodec


@dataclass
class Result(Series):
    """One variant over one corpus, in one direction; times are for one payload."""

    variant: str
    size: int
    original: int
    payloads: int
    call: Callable[[], Any]

    @property
    def share(self) -> float:
        """The stored size as a share of the original."""
        return self.size / self.original

    @property
    def best(self) -> float:
        """The fastest of the samples in µs: on a busy machine it says more than their median."""
        return min(self.times)


class OneDictionary:
    """A source of a single dictionary, which is loaded."""

    is_ready = True

    def __init__(self, dictionary: zstandard.ZstdCompressionDict) -> None:
        self._dictionary = dictionary

    def writer(self) -> zstandard.ZstdCompressionDict:
        """Return the dictionary."""
        return self._dictionary

    def reader(self, dictionary_id: int) -> zstandard.ZstdCompressionDict:
        """Return the dictionary."""
        assert dictionary_id == self._dictionary.dict_id()
        return self._dictionary

    async def ready(self) -> None:
        """Do nothing."""

    def ready_sync(self) -> None:
        """Do nothing."""

    async def find(self, ids: Iterable[int]) -> None:
        """Do nothing."""

    def find_sync(self, ids: Iterable[int]) -> None:
        """Do nothing."""


def small_order(source: random.Random) -> Payload:
    """Return an order of about 300 bytes."""
    value = asdict(order(source, 4)) | {"number": f"2025-{source.randrange(10**6):06}"}
    value["customer"] = f"C-{source.randrange(10**5)}"
    return payload_of(value)


def document(source: random.Random) -> Payload:
    """Return a document of 50 KiB: records with text, numbers and dates."""
    records = [
        {
            "id": f"{source.getrandbits(64):016x}",
            "created": f"2025-{source.randint(1, 12):02}-{source.randint(1, 28):02}T08:30:00Z",
            "amount": round(source.uniform(1, 5000), 2),
            "status": source.choice(("open", "paid", "shipped", "returned")),
            "note": "; ".join(source.sample(_NOTES, source.randint(1, 3))),
        }
        for _ in range(270)
    ]
    return payload_of({"tenant": "acme", "records": records})


def payload_of(value: Any) -> Payload:
    """Return a payload as a converter makes it."""
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return Payload(metadata={ENCODING: Encoding.JSON}, data=data)


def corpora() -> list[Corpus]:
    """Return the payloads to measure, the same in every run."""
    source = random.Random(SEED)  # noqa: S311 - the same data in every run
    text = base64.b64encode(source.randbytes(38_000)).decode()
    noise = Payload(metadata={ENCODING: Encoding.PLAIN}, data=source.randbytes(256 * 1024))
    return [
        Corpus("JSON orders", tuple(small_order(source) for _ in range(50))),
        Corpus("JSON documents", tuple(document(source) for _ in range(2))),
        Corpus("base64 text", (payload_of({"name": "photo.jpg", "content": text}),)),
        Corpus("random bytes", (noise,)),
    ]


def trained_dictionary() -> zstandard.ZstdCompressionDict:
    """Train a dictionary on orders that are not measured."""
    source = random.Random(SEED + 1)  # noqa: S311 - the same data in every run
    samples = [small_order(source).SerializeToString() for _ in range(TRAINED_ON)]
    return zstandard.train_dictionary(
        DICTIONARY_SIZE, cast("list[bytes | bytearray | memoryview]", samples)
    )


def variants() -> list[Variant]:
    """Return everything that is compared."""
    plain = [
        Variant(f"{algorithm} {level}", CompressionCodec(algorithm, level))
        for algorithm, levels in LEVELS.items()
        for level in levels
    ]
    trained = CompressionCodec("zstd", 3, dictionaries=OneDictionary(trained_dictionary()))
    return [*plain, Variant(DICTIONARY, trained)]


def sample(result: Result) -> float:
    """Return the mean time of a payload in µs."""
    call = result.call
    start = time.perf_counter_ns()
    for _ in range(result.calls):
        call()
    return (time.perf_counter_ns() - start) / 1000 / result.calls / result.payloads


def prepare(corpus: Corpus, chosen: Sequence[Variant], pace: Pace) -> list[Result]:
    """Set up both directions of every variant, with no times yet.

    Raises:
        RuntimeError: A payload did not survive.
    """
    results: list[Result] = []
    for variant in chosen:
        outer = variant.codec.encode_sync(corpus.payloads)
        if variant.codec.decode_sync(outer) != list(corpus.payloads):
            raise RuntimeError(f"{variant.name} changed {corpus.name}")
        size = sum(payload.ByteSize() for payload in outer) // len(outer)
        encode = partial(variant.codec.encode_sync, corpus.payloads)
        decode = partial(variant.codec.decode_sync, outer)
        numbers = variant.name, size, corpus.size, len(outer)
        first = Result(corpus.name, "encode", 1, *numbers, encode)
        second = Result(corpus.name, "decode", 1, *numbers, decode)
        for result in (first, second):
            result.calls = calls_a_sample(sample(result) * result.payloads, pace)
            results.append(result)
    return results


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure every corpus, variant and direction."""
    settle_heap()
    chosen = variants()
    results: list[Result] = []
    for corpus in corpora():
        prepared = prepare(corpus, chosen, pace)
        take_turns(prepared, pace, console, sample)
        results += prepared
    return results


def pairs(results: Sequence[Result], corpus: str) -> list[tuple[Result, Result]]:
    """Return both directions of each variant over a corpus."""
    same = [one for one in results if one.case == corpus]
    return list(zip(same[::2], same[1::2], strict=True))


def as_json(results: Sequence[Result], pace: Pace) -> str:
    """Return everything for programs; times are in µs for one payload."""
    document = {
        "unit": "us",
        "seed": SEED,
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "results": [
            {
                "corpus": one.case,
                "variant": one.variant,
                "direction": one.direction,
                "median": one.median,
                "best": one.best,
                "spread": one.spread,
                "bytes": one.size,
                "original": one.original,
                "share": one.share,
            }
            for one in results
        ],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], pace: Pace) -> None:
    """Print a table for each corpus, of 80 columns at most."""
    console = Console()
    for corpus in dict.fromkeys(one.case for one in results):
        rows = pairs(results, corpus)
        table = new_table(f"{corpus}: {rows[0][0].original:,} bytes each")
        for heading in ("bytes", "%", "compress µs", "±", "decompress µs", "±"):
            table.add_column(heading, justify="right", no_wrap=True)
        for encode, decode in rows:
            table.add_row(
                encode.variant,
                f"{encode.size:,}",
                f"{encode.share:.0%}",
                *(text for one in (encode, decode) for text in (shown(one), f"{one.spread:.0%}")),
            )
        console.print(table)
        console.print()
    console.print(
        f"µs: the fastest of {pace.rounds} rounds, ±: their interquartile range over the median. "
        "%: the share of the original size; 100% are payloads that the codec leaves alone."
    )
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


def shown(result: Result) -> str:
    """Return a time with as many digits as are worth it."""
    return f"{result.best:,.{0 if result.best >= 100 else 1}f}"


def plot(results: Sequence[Result], path: Path) -> None:
    """Write an SVG with a field for each corpus that shrinks: the size over the time it takes."""
    import matplotlib as mpl

    mpl.use("svg")
    # Text stays text, which is small; and equal results give equal files.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sealwire", "font.size": 9})
    mpl.rcParams.update({"font.sans-serif": ["DejaVu Sans"], "axes.ymargin": 0.12})
    from matplotlib import pyplot as plt

    shrinking = [one for one in dict.fromkeys(one.case for one in results) if one != "random bytes"]
    figure, fields = plt.subplots(
        1, len(shrinking), figsize=(10, 4), layout="constrained", squeeze=False
    )
    for axes, corpus in zip(fields[0], shrinking, strict=True):
        draw(axes, corpus, [encode for encode, _ in pairs(results, corpus)])
    fields[0][0].set_ylabel("stored size, % of the original")
    handles, labels = fields[0][0].get_legend_handles_labels()
    figure.legend(  # pyright: ignore[reportUnknownMemberType]
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False
    )
    figure.savefig(  # pyright: ignore[reportUnknownMemberType]
        path, metadata={"Date": None, "Creator": None}
    )
    plt.close(figure)


def draw(axes: Any, corpus: str, results: Sequence[Result]) -> None:
    """Draw a line for each algorithm, and a point for each of its levels."""
    for number, algorithm in enumerate((*LEVELS, "dictionary")):
        color = f"C{number}"  # of matplotlib's own cycle
        points = [one for one in results if family(one) == algorithm]
        label = "zstd with a dictionary" if algorithm == "dictionary" else algorithm
        times, shares = [one.best for one in points], [100 * one.share for one in points]
        marker = "*" if algorithm == "dictionary" else "o"
        axes.plot(times, shares, marker=marker, color=color, label=label, linewidth=1)
        for one in points:
            axes.annotate(
                one.variant.split()[1],
                (one.best, 100 * one.share),
                xytext=(0, -9 if algorithm in ("lz4", "brotli") else 5),
                ha="center",
                textcoords="offset points",
                fontsize=7,
                color=color,
            )
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.set_title(f"{corpus}, {results[0].original:,} bytes")
    axes.set_xlabel("time to compress one, µs")
    axes.grid(visible=True, which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def family(result: Result) -> str:
    """Return which line of the plot a result belongs to."""
    return "dictionary" if result.variant == DICTIONARY else result.variant.split()[0]


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables, plot, sample=0.005).main())

"""What a megabyte costs in a process of its own, as in a worker: time, page faults, peak memory.

Run `python benchmarks/bench_large.py [--json] [--quick]`; README.md says what the columns mean.

A process that has not freed a large block before gets fresh memory from the C library for every
buffer of a megabyte, and gives it back. Whether it does depends on what else the process has done,
so that variants that take turns in one process disturb each other. Here each has its own processes.
"""

import json
import random
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Final, TypeAlias

from bench_payload import PACKAGES, PEER, PLAIN, Converter, drive, sample, variants
from common import MEBIBYTE, SEED, Benchmark, Case, Direction, Pace, conditions, new_table
from rich.console import Console
from rich.progress import track

Numbers: TypeAlias = dict[str, float]

DIRECTIONS: Final[tuple[Direction, ...]] = ("encode", "decode")
MEASURED: Final = (
    PLAIN,
    PEER,
    "temporalio + sealwire",
    "sealwire interop",
    "sealwire sealed",
    "sealwire sealed + zstd",
)
PROCESSES: Final = 3  # each with a heap of its own, which differs from run to run


@dataclass(frozen=True)
class Result:
    """One variant in one direction: medians over processes.

    Args:
        variant: Its name.
        direction: Which way.
        median: µs a call.
        faults: Page faults a call.
        peak: By how much the first call lets the memory of the process grow, in payloads.
        faster: How many times as fast as `temporalio + temporalcodec`.
    """

    variant: str
    direction: Direction
    median: float
    faults: float
    peak: float
    faster: float


def measure(converter: Converter, value: bytes, direction: Direction, calls: int) -> Numbers:
    """Measure in this process."""
    payloads = drive(converter.encode([value]))
    call = {
        "encode": partial(converter.encode, [value]),
        "decode": partial(converter.decode, payloads, [bytes]),
    }[direction]
    times: list[float] = []
    faults = page_faults()
    for _ in range(calls):
        times.append(drive(sample(call, 1)))
    return {"median": median(times), "faults": (page_faults() - faults) / calls}


def peak(converter: Converter, value: bytes, direction: Direction) -> Numbers:
    """Measure by how much one call lets the memory of this process grow, in payloads."""
    small = drive(converter.encode([b"small"]))  # whatever is set up once
    drive(converter.decode(small, [bytes]))
    payloads = drive(converter.encode([value])) if direction == "decode" else []
    before = largest()
    if direction == "encode":
        drive(converter.encode([value]))
    else:
        drive(converter.decode(payloads, [bytes]))
    return {"peak": (largest() - before) / MEBIBYTE}


def page_faults() -> int:
    """Return how many pages this process was given so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def largest() -> int:
    """Return the most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def work(name: str, direction: Direction, calls: int) -> None:
    """Measure one variant and print the numbers, in a process for nothing else."""
    # One block, made once: to free another would already change what the C library does.
    case = Case("1 MiB", random.Random(SEED).randbytes(MEBIBYTE), bytes)  # noqa: S311
    converter = next(item.converter for item in variants(case) if item.name == name)
    if calls:
        numbers = measure(converter, case.value, direction, calls)
    else:
        numbers = peak(converter, case.value, direction)
    print(json.dumps(numbers))


def ask(name: str, direction: Direction, calls: int) -> Numbers:
    """Have another process measure."""
    script = f"import bench_large; bench_large.work({name!r}, {direction!r}, {calls})"
    done = subprocess.run(  # noqa: S603 - this script itself
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {sys.path[0]!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure every variant in both directions."""
    calls = max(5, round(pace.rounds * pace.sample * 300))
    quick = pace.rounds <= 5
    names = (PEER, "sealwire sealed") if quick else MEASURED
    pairs: list[tuple[str, Direction]] = [
        (name, direction) for direction in DIRECTIONS for name in names
    ]
    found: dict[tuple[str, Direction], Numbers] = {}
    for pair in track(pairs, "1 MiB", console=console, transient=True):
        asked = [ask(*pair, calls) for _ in range(1 if quick else PROCESSES)]
        found[pair] = {
            "median": median(one["median"] for one in asked),
            "faults": median(one["faults"] for one in asked),
            **ask(*pair, 0),
        }
    return [
        Result(
            name, direction, **numbers, faster=found[PEER, direction]["median"] / numbers["median"]
        )
        for (name, direction), numbers in found.items()
    ]


def as_json(results: Sequence[Result], pace: Pace) -> str:
    """Return everything for programs; times are in µs."""
    document = {
        "unit": "us",
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "results": [asdict(one) for one in results],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], _: Pace) -> None:
    """Print a table for each direction, with bars, of 80 columns at most."""
    console = Console()
    for direction in DIRECTIONS:
        table = new_table(f"{direction}: 1 MiB of random bytes, each in a process of its own")
        for heading in ("µs", "faults", "peak", "faster"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        rows = [one for one in results if one.direction == direction and one.variant != PLAIN]
        widest = max(one.faster for one in rows)
        for one in (item for item in results if item.direction == direction):
            table.add_row(
                one.variant,
                f"{one.median:,.0f}",
                f"{one.faults:,.0f}",
                f"{one.peak:.1f}",
                f"{one.faster:.2f}",
                "█" * min(10, max(1, round(10 * one.faster / widest))),
            )
        console.print(table)
        console.print()
    console.print(
        "faults: page faults a call; peak: growth of the process by the first call, in payloads; "
        f"faster: how many times as fast as `{PEER}`."
    )
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables).main())

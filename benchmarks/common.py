"""What the benchmarks share: the values, the samples that take turns, the conditions.

Annotations are not postponed here: the SDK would evaluate those of the models at every decode.
"""

import argparse
import gc
import os
import platform
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from google.protobuf.internal import api_implementation
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

SEED: Final = 20_250_101
MEBIBYTE: Final = 1024 * 1024

Direction: TypeAlias = Literal["encode", "decode"]


@dataclass
class Item:
    """A line of an order."""

    sku: str
    quantity: int
    price: float


@dataclass
class Order:
    """A typical argument of a workflow."""

    number: str
    customer: str
    paid: bool
    items: list[Item]


@dataclass(frozen=True)
class Case:
    """A value to encode, and the type to decode it into; None for builtin types."""

    name: str
    value: Any
    hint: Any


@dataclass(frozen=True)
class Pace:
    """How long to measure: rounds, and seconds a sample."""

    rounds: int
    sample: float


@dataclass
class Series:
    """The samples of one thing that is measured; `times` are µs a call, one for each sample."""

    case: str
    direction: Direction
    calls: int
    times: list[float] = field(default_factory=list[float], kw_only=True)

    @property
    def median(self) -> float:
        """The median of the samples in µs."""
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """The interquartile range as a share of the median."""
        low, _, high = statistics.quantiles(self.times, n=4)
        return (high - low) / self.median

    def ratio_to(self, other: "Series") -> float:
        """Return the time as a multiple of the other's.

        It is the median of the ratios within a round, in which both had the same conditions.
        """
        return statistics.median(
            own / their for own, their in zip(self.times, other.times, strict=True)
        )


S = TypeVar("S", bound=Series)
R = TypeVar("R")


def small_dict() -> dict[str, Any]:
    """Return a value of 167 bytes of JSON."""
    return {
        "order": "2025-000417",
        "customer": {"id": 90210, "name": "Ada Lovelace", "vip": True},
        "lines": [{"sku": "PEN-04", "quantity": 12}, {"sku": "INK-1108", "quantity": 1}],
        "total": 86.25,
    }


def order(source: random.Random, size: int) -> Order:
    """Return an order with `size` items."""
    items = [
        Item(
            sku=source.randbytes(6).hex(),
            quantity=source.randint(1, 20),
            price=round(source.uniform(1, 500), 2),
        )
        for _ in range(size)
    ]
    return Order("2025-000418", "C-20417", paid=True, items=items)


def take_turns(
    series: Sequence[S], pace: Pace, console: Console, sample: Callable[[S], float]
) -> None:
    """Add a time to each series in every round; within a round the order is a new one."""
    source = random.Random(SEED)  # noqa: S311 - an order of turns
    turns = list(series)
    for _ in track(range(pace.rounds), series[0].case, console=console, transient=True):
        source.shuffle(turns)
        gc.collect()
        gc.disable()  # as `timeit` does: a collection would hit one variant at random
        for one in turns:
            one.times.append(sample(one))
        gc.enable()


def calls_a_sample(once: float, pace: Pace) -> int:
    """Return how many calls of `once` µs fill a sample."""
    return max(1, round(pace.sample * 1e6 / once))


def settle_heap() -> None:
    """Allocate and free a large block, so that the C library keeps freed memory from now on.

    Before that, glibc may return each freed megabyte to the system and fetch it again: 1,000 page
    faults a call and more were seen for the largest payload, with some variants only.
    """
    bytes(16 * MEBIBYTE)


def conditions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of everything that takes part."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version(name) for name in packages},
        "protobuf implementation": api_implementation.Type(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }


def new_table(title: str) -> Table:
    """Return a table with a first column for names."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("", no_wrap=True)
    return table


@dataclass(frozen=True)
class Benchmark(Generic[R]):
    """A script: what it measures, and how it shows that.

    Args:
        description: Its docstring.
        run: Measures everything, and shows its progress on a console.
        as_json: Returns everything for programs.
        print_tables: Prints tables for people.
        plot: Writes a plot; None where there is none.
        sample: Seconds a sample takes.
    """

    description: str | None
    run: Callable[[Pace, Console], Sequence[R]]
    as_json: Callable[[Sequence[R], Pace], str]
    print_tables: Callable[[Sequence[R], Pace], None]
    plot: Callable[[Sequence[R], Path], None] | None = None
    sample: float = 0.015

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Read the options, measure and show; returns the exit code."""
        options = self._options(arguments)
        pace = Pace(rounds=3, sample=0.0005) if options.quick else Pace(40, self.sample)
        results = self.run(pace, Console(stderr=True))
        if self.plot is not None and options.plot:
            self.plot(results, options.plot)
        if options.json:
            print(self.as_json(results, pace))
        else:
            self.print_tables(results, pace)
        return 0

    def _options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(description=(self.description or "").partition("\n")[0])
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
        parser.add_argument(
            "--quick", action="store_true", help="a few seconds; the times mean little"
        )
        if self.plot is not None:
            parser.add_argument("--plot", type=Path, metavar="PATH", help="write a plot, as SVG")
        return parser.parse_args(arguments)

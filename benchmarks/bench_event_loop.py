"""How long a large payload keeps an event loop waiting, in the loop itself and in threads.

Run `python benchmarks/bench_event_loop.py [--json] [--quick]`; README.md explains the columns.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import median
from typing import Final, TypeAlias

from common import MEBIBYTE, SEED, Benchmark, Direction, Pace, conditions, new_table, settle_heap
from rich.console import Console
from rich.progress import track

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec, ThreadedCodec
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import ENCODING, Encoding, Payload

Codec: TypeAlias = CodecChain | ThreadedCodec

PACKAGES: Final = ("sealwire", "cryptography", "zstandard", "protobuf")
SIZES: Final = (0.25, 1, 2, 8, 16, 32)  # MiB
QUICK: Final = (0.25, 1)
KINDS: Final = ("random", "text")
PAUSE: Final = 0.0005  # seconds between two looks at the clock


@dataclass(frozen=True)
class Result:
    """One payload in one direction, worked on in one place.

    Args:
        size: MiB.
        kind: Random bytes, which do not compress, or text, which does.
        place: Where the work is done, `loop` or `threads`.
        direction: Which way.
        seconds: How long it takes, the median.
        wait: The longest wait of the loop in seconds, the median.
        worst: The same, the maximum.
    """

    size: float
    kind: str
    place: str
    direction: Direction
    seconds: float
    wait: float
    worst: float


def data_of(kind: str, size: float) -> bytes:
    """Return the data of a payload."""
    count = round(size * MEBIBYTE)
    source = random.Random(SEED)  # noqa: S311 - a payload
    if kind == "random":
        return source.randbytes(count)
    lines = (f'{{"name":"line","number":{source.randrange(10**6)}}},' for _ in range(count // 20))
    return "".join(lines).encode()[:count]


async def longest_wait(work: Awaitable[list[Payload]]) -> tuple[list[Payload], float, float]:
    """Do the work; return its result, its seconds, and the longest that others had to wait."""
    waits: list[float] = []

    async def look() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(PAUSE)
            waits.append(max(0.0, time.perf_counter() - before - PAUSE))

    looking = asyncio.create_task(look())
    await asyncio.sleep(4 * PAUSE)
    waits.clear()
    start = time.perf_counter()
    result = await work
    seconds = time.perf_counter() - start
    await asyncio.sleep(2 * PAUSE)  # the wait that the end of the work is in
    looking.cancel()
    return result, seconds, max(waits)


async def measure(size: float, kind: str, place: str, codec: Codec, rounds: int) -> list[Result]:
    """Encode and decode one payload, and compare what came back."""
    payload = Payload(metadata={ENCODING: Encoding.PLAIN}, data=data_of(kind, size))
    sealed = await codec.encode([payload])
    directions: dict[Direction, Callable[[], Awaitable[list[Payload]]]] = {
        "encode": lambda: codec.encode([payload]),
        "decode": lambda: codec.decode(sealed),
    }
    results: list[Result] = []
    for direction, work in directions.items():
        taken: list[tuple[float, float]] = []
        for _ in range(rounds):
            result, *numbers = await longest_wait(work())
            taken.append((numbers[0], numbers[1]))
            if direction == "decode" and result != [payload]:
                raise AssertionError("what was decoded differs")
        seconds, waits = zip(*taken, strict=True)
        results.append(
            Result(size, kind, place, direction, median(seconds), median(waits), max(waits))
        )
    return results


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure everything."""
    settle_heap()
    keyring = Keyring(StaticKeyProvider(Key("bench", bytes(range(32)))))
    chain = CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="bench"))
    places: dict[str, Codec] = {"loop": chain, "threads": ThreadedCodec(chain)}
    quick = pace.rounds <= 5
    turns = list(product(QUICK if quick else SIZES, KINDS, places))
    results: list[Result] = []
    for size, kind, place in track(turns, "event loop", console=console, transient=True):
        rounds = pace.rounds if quick else pace.rounds // 2
        results += asyncio.run(measure(size, kind, place, places[place], rounds))
    return results


def as_json(results: Sequence[Result], pace: Pace) -> str:
    """Return everything for programs; times are in seconds."""
    document = {
        "unit": "s",
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "results": [asdict(one) for one in results],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], _: Pace) -> None:
    """Print a table for each direction."""
    console = Console()
    for direction in ("encode", "decode"):
        table = new_table(f"{direction}: milliseconds")
        for heading in ("", "time", "wait", "worst"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in results:
            if one.direction == direction:
                numbers = (f"{1000 * item:.2f}" for item in (one.seconds, one.wait, one.worst))
                table.add_row(f"{one.size:g} MiB {one.kind}", one.place, *numbers)
        console.print(table)
        console.print()
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables).main())

"""What keys cost: a look-up, loading a keyring, and a refresh while others look up.

Run `python benchmarks/bench_keys.py [--json] [--quick]`; README.md says what the numbers mean.

The keyring is a real document, opened by a wrapper that answers at once: the time of a key service
is its own.
"""

import asyncio
import json
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from timeit import Timer
from typing import Final

from common import Benchmark, Pace, Series, calls_a_sample, conditions, new_table, take_turns
from rich.console import Console
from rich.progress import track

from sealwire.keys import Key, Keyring, KeyringStore, StoredDocument, WrappedKeyProvider
from sealwire.keys.document import FORMAT, Document, DocumentKey, KeyRecord, Wrapping

PACKAGES: Final = ("sealwire", "cryptography", "msgspec")
TENANT: Final = "default"
SIZES: Final = (1, 100, 10_000)
LOADS: Final = 10
LOOK_UPS: Final = {
    "time.time(), the floor": "now()",
    "window()": "keyring.window()",
    "window() and a key of it": "keyring.window().readable[key_id]",
    "decryption_key()": "keyring.decryption_key(key_id)",
    "encryption_key()": "keyring.encryption_key()",
}
FLOOR: Final = next(iter(LOOK_UPS))


@dataclass
class LookUp(Series):
    """A way to a key."""

    name: str
    timer: Timer


@dataclass(frozen=True)
class Load:
    """What a keyring of some size takes to load.

    Args:
        keys: How many keys.
        size: Bytes of the document.
        load: Milliseconds from the document to keys that can be used, the median.
        pause: The longest time between two look-ups while another thread loads, in milliseconds;
            the median over loads.
        idle: The same while nothing is loaded: what the machine does by itself.
    """

    keys: int
    size: int
    load: float
    pause: float
    idle: float


@dataclass(frozen=True)
class Results:
    """Everything that was measured."""

    look_ups: Sequence[LookUp]
    loads: Sequence[Load]


@dataclass(frozen=True)
class Memory(KeyringStore):
    """A store with one document."""

    data: bytes

    async def load(self, tenant: str) -> StoredDocument:
        """Return the document."""
        return StoredDocument(self.data, tenant)

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Refuse: nothing is written here."""
        raise NotImplementedError


@dataclass(frozen=True)
class AtOnce:
    """A wrapper that answers at once."""

    secret: bytes

    async def name(self) -> str:
        """Name it."""
        return "at-once"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Refuse: nothing is written here."""
        raise NotImplementedError

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:  # noqa: ARG002
        """Return the document key."""
        return self.secret


def provider(count: int) -> tuple[WrappedKeyProvider, int]:
    """Make a document with so many keys; return what reads it, and its size in bytes."""
    secret = secrets.token_bytes(32)
    document_key = DocumentKey(secret)
    records: list[KeyRecord] = []
    for number in range(count):
        root, moment = secrets.token_bytes(32), float(number)
        key = Key(name(number), root, created=moment, encrypt_from=moment)
        records.append(document_key.wrap(key, root, TENANT))
    wrapped = (Wrapping("at-once", b"-"),)
    text = document_key.sign(Document(FORMAT, TENANT, 1, wrapped, tuple(records)))
    return WrappedKeyProvider(Memory(text), AtOnce(secret)), len(text)


def name(number: int) -> str:
    """Name a key."""
    return f"2026-01-01-{number:08x}"


def look_ups(count: int, keyring: Keyring, pace: Pace) -> list[LookUp]:
    """Return everything that is compared for a keyring with so many keys."""
    names = {"keyring": keyring, "key_id": name(0), "now": time.time}
    found: list[LookUp] = []
    for label, statement in LOOK_UPS.items():
        timer = Timer(statement, globals=names)
        once = timer.timeit(1000) * 1000
        calls = calls_a_sample(once, pace)
        found.append(LookUp(f"{count:,} keys", "decode", calls, label, timer))
    return found


def sample(one: LookUp) -> float:
    """Return the µs of a call."""
    return one.timer.timeit(one.calls) / one.calls * 1e6


def load_time(source: WrappedKeyProvider) -> float:
    """Load a new keyring; returns milliseconds."""
    keyring = Keyring(source)
    begun = time.perf_counter()
    keyring.ready_sync()
    return (time.perf_counter() - begun) * 1000


def longest_pause(keyring: Keyring, work: threading.Thread) -> float:
    """Look keys up while `work` runs; return the longest time from one to the next, in ms."""
    worst, key_id = 0.0, name(0)
    work.start()
    last = time.perf_counter()
    while work.is_alive():
        keyring.decryption_key(key_id)
        now = time.perf_counter()
        worst, last = max(worst, now - last), now
    work.join()
    return worst * 1000


def pauses(keyring: Keyring, loads: int, load: float) -> tuple[float, float]:
    """Return the median of the longest pauses: while keys load, and while nothing is done."""

    def refresh() -> None:
        asyncio.run(keyring.refresh())

    def sleep() -> None:
        time.sleep(load / 1000)

    return (
        statistics.median(
            longest_pause(keyring, threading.Thread(target=refresh)) for _ in range(loads)
        ),
        statistics.median(
            longest_pause(keyring, threading.Thread(target=sleep)) for _ in range(loads)
        ),
    )


def run(pace: Pace, console: Console) -> list[Results]:
    """Measure everything."""
    loads = 2 if pace.rounds <= 5 else LOADS
    found: list[LookUp] = []
    loaded: list[Load] = []
    for count in track(SIZES, "loading", console=console, transient=True):
        source, size = provider(count)
        load = statistics.median(load_time(source) for _ in range(loads))
        keyring = Keyring(source)
        keyring.ready_sync()
        loaded.append(Load(count, size, load, *pauses(keyring, loads, load)))
        series = look_ups(count, keyring, pace)
        take_turns(series, pace, console, sample)
        found += series
    return [Results(found, loaded)]


def as_json(results: Sequence[Results], pace: Pace) -> str:
    """Return everything for programs; look-ups are in µs, loads in ms."""
    (result,) = results
    document = {
        "unit": {"look_ups": "us", "loads": "ms"},
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "look_ups": [
            {
                "keys": one.case,
                "name": one.name,
                "median": one.median,
                "best": min(one.times),
                "spread": one.spread,
            }
            for one in result.look_ups
        ],
        "loads": [asdict(one) for one in result.loads],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Results], _: Pace) -> None:
    """Print a table of look-ups and one of loads, of 80 columns at most."""
    console = Console()
    (result,) = results
    table = new_table("A key, once it is loaded, in µs: median, best, ± the interquartile range")
    for count in SIZES:
        table.add_column(f"{count:,} keys", justify="right", no_wrap=True)
    for label in LOOK_UPS:
        row = [one for one in result.look_ups if one.name == label]
        table.add_row(
            label, *(f"{one.median:.3f} {min(one.times):.3f} ±{one.spread:.0%}" for one in row)
        )
    console.print(table)
    console.print()
    table = new_table("Loading a keyring, and how long a look-up waits meanwhile: ms")
    for heading in ("document", "load", "longest pause", "without a load"):
        table.add_column(heading, justify="right", no_wrap=True)
    for load in result.loads:
        table.add_row(
            f"{load.keys:,} keys",
            f"{load.size / 1024:,.0f} KiB",
            f"{load.load:,.1f}",
            f"{load.pause:,.1f}",
            f"{load.idle:,.1f}",
        )
    console.print(table)
    console.print()
    console.print(*(f"{key} {text}" for key, text in conditions(PACKAGES).items()), sep="; ")


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables).main())

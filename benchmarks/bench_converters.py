"""What it costs to turn one value into a payload and back, beside `temporalio`'s own converters.

Run `python benchmarks/bench_converters.py [--json] [--quick]`.

Nothing is compressed or encrypted here. Every variant is called in the same way, in turns.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import msgspec
from common import (
    SEED,
    Benchmark,
    Case,
    Order,
    Pace,
    Series,
    calls_a_sample,
    conditions,
    new_table,
    order,
    settle_heap,
    small_dict,
    take_turns,
)
from pydantic import BaseModel
from rich.console import Console
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DefaultPayloadConverter

from sealwire.converter import CompositePayloadConverter, JsonConverter, default_converters
from sealwire.payload import ENCODING, Encoding, Payload

PACKAGES: Final = ("sealwire", "temporalio", "msgspec", "pydantic", "protobuf")
OURS: Final = "sealwire json"
FLOOR: Final = "floor: native calls"
DEFAULT: Final = "temporalio"
PYDANTIC: Final = "temporalio pydantic"


class ItemModel(BaseModel):
    """A line of an order."""

    sku: str
    quantity: int
    price: float


class OrderModel(BaseModel):
    """A typical argument of a workflow, as a pydantic model."""

    number: str
    customer: str
    paid: bool
    items: list[ItemModel]


Encode = Callable[[Any], Payload]
Decode = Callable[[Payload, Any], Any]


@dataclass(frozen=True)
class Variant:
    """A way to convert."""

    name: str
    encode: Encode
    decode: Decode


@dataclass
class Result(Series):
    """One variant in one case and direction."""

    variant: str
    peer: str
    size: int
    call: Callable[[], Any]


def native(case: Case) -> Variant:
    """Return the bare native calls for a case, and the building of a payload."""
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]
    if case.hint is OrderModel:
        dump = OrderModel.__pydantic_serializer__.to_json
        load = OrderModel.__pydantic_validator__.validate_json
    else:
        dump = msgspec.json.Encoder(order="sorted").encode
        load = msgspec.json.Decoder(case.hint or Any).decode

    def encode(value: Any) -> Payload:
        payload = Payload()
        payload.metadata[ENCODING] = Encoding.JSON
        payload.data = dump(value)
        return payload

    def decode(payload: Payload, _: Any) -> Any:
        return load(payload.data)

    return Variant(FLOOR, encode, decode)


def cases() -> list[Case]:
    """Return the values to measure, the same in every run."""
    source = random.Random(SEED)  # noqa: S311 - the same data in every run
    small, large = order(source, 3), order(source, 1000)
    return [
        Case("dict of 167 bytes", small_dict(), None),
        Case("dataclass with 3 items", small, Order),
        Case("dataclass with 1,000 items", large, Order),
        Case("pydantic model with 3 items", OrderModel(**asdict(small)), OrderModel),
        Case("pydantic model with 1,000 items", OrderModel(**asdict(large)), OrderModel),
    ]


def variants(case: Case) -> list[Variant]:
    """Return everything that is compared."""
    ours = CompositePayloadConverter()
    declared = CompositePayloadConverter(
        *default_converters(also=[JsonConverter(key_order="declared")])
    )
    msgpack = CompositePayloadConverter(*default_converters("binary/msgpack"))
    theirs = PydanticPayloadConverter() if case.hint is OrderModel else DefaultPayloadConverter()
    name = PYDANTIC if case.hint is OrderModel else DEFAULT
    return [
        Variant(name, theirs.to_payload, theirs.from_payload),
        Variant(OURS, ours.to_payload, ours.from_payload),
        Variant("sealwire declared", declared.to_payload, declared.from_payload),
        Variant("sealwire msgpack", msgpack.to_payload, msgpack.from_payload),
        native(case),
    ]


def sample(result: Result) -> float:
    """Return the mean time of a call in µs."""
    call = result.call
    start = time.perf_counter_ns()
    for _ in range(result.calls):
        call()
    return (time.perf_counter_ns() - start) / 1000 / result.calls


def prepare(case: Case, pace: Pace) -> list[Result]:
    """Set up both directions of every variant of a case, with no times yet.

    Raises:
        RuntimeError: A value did not survive, or the floor cannot read what sealwire wrote.
    """
    chosen = {variant.name: variant for variant in variants(case)}
    if chosen[FLOOR].decode(chosen[OURS].encode(case.value), case.hint) != case.value:
        raise RuntimeError(f"the floor cannot read {case.name}")
    peer = next(iter(chosen))
    results: list[Result] = []
    for variant in chosen.values():
        payload = variant.encode(case.value)
        if variant.decode(payload, case.hint) != case.value:
            raise RuntimeError(f"{variant.name} changed {case.name}")
        encode = partial(variant.encode, case.value)
        decode = partial(variant.decode, payload, case.hint)
        size = len(payload.data)
        first = Result(case.name, "encode", 3, variant.name, peer, size, encode)
        second = Result(case.name, "decode", 3, variant.name, peer, size, decode)
        for result in (first, second):
            result.calls = calls_a_sample(sample(result), pace)
            results.append(result)
    return results


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure every case, variant and direction."""
    settle_heap()
    results: list[Result] = []
    for case in cases():
        prepared = prepare(case, pace)
        take_turns(prepared, pace, console, sample)
        results += prepared
    return results


def speed_up(result: Result, results: Sequence[Result]) -> tuple[float, float]:
    """Return how many times as fast as the peer `result` is, and its time over the floor's."""
    same = {
        other.variant: other
        for other in results
        if (other.case, other.direction) == (result.case, result.direction)
    }
    return 1 / result.ratio_to(same[result.peer]), result.ratio_to(same[FLOOR])


def as_json(results: Sequence[Result], pace: Pace) -> str:
    """Return everything for programs; times are in µs."""
    document: dict[str, Any] = {
        "unit": "us",
        "seed": SEED,
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "results": [],
    }
    for result in results:
        faster, over_floor = speed_up(result, results)
        document["results"].append(
            {
                "case": result.case,
                "variant": result.variant,
                "direction": result.direction,
                "median": result.median,
                "best": min(result.times),
                "spread": result.spread,
                "bytes": result.size,
                "peer": result.peer,
                "times_as_fast": faster,
                "over_floor": over_floor,
            }
        )
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], pace: Pace) -> None:
    """Print a table for each case and direction, with bars, of 80 columns at most."""
    console = Console()
    for case, direction in dict.fromkeys((one.case, one.direction) for one in results):
        rows = [one for one in results if (one.case, one.direction) == (case, direction)]
        table = new_table(f"{direction}: {case}")
        for heading in ("µs", "±", "bytes", "faster", "/floor"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        widest = max(speed_up(one, results)[0] for one in rows)
        for one in rows:
            faster, over_floor = speed_up(one, results)
            table.add_row(
                one.variant,
                f"{one.median:,.{0 if one.median >= 100 else 1}f}",
                f"{one.spread:.0%}",
                f"{one.size:,}",
                f"{faster:.1f}",
                f"{over_floor:.2f}",
                "█" * max(1, round(10 * faster / widest)),
            )
        console.print(table)
        console.print()
    console.print(
        f"Medians of {pace.rounds} rounds, ±: interquartile range. faster: how many times as "
        "fast as the SDK's converter in the first row; /floor: time as a multiple of the native "
        "calls'."
    )
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables).main())

"""What it costs to encode and decode one value, beside `temporalio` and the codec from PyPI.

Run `python benchmarks/bench_payload.py [--json] [--quick]`; README.md says what the columns mean.

Every variant is a data converter: values to the payloads that are stored, and back. All are
awaited in one coroutine that is driven by hand, so no event loop is part of any time. The variants
take turns in a new order each round, so that a busy moment of the machine hits them alike.

Annotations are not postponed here: the SDK would evaluate those of the models at every decode.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar, cast

import msgspec
from common import (
    MEBIBYTE,
    SEED,
    Benchmark,
    Case,
    Direction,
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
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rich.console import Console
from temporalcodec.encryption import EncryptionCodec as PeerCodec
from temporalcodec.encryption import Key as PeerKey
from temporalio.converter import DataConverter as SdkConverter

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
from sealwire.codecs.sealed import authenticated_context
from sealwire.converter import DataConverter
from sealwire.keys import Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import ENCODING, ENCRYPTION_CONTEXT, ENCRYPTION_KEY_ID, Encoding, Payload
from sealwire.temporal import SealwireCodec, SealwirePayloadConverter

INTEROP_KEY: Final = "benchmark-key-benchmark-key-1234"  # text, because the peer takes only that
# The SDK's plain converter, and the same with the codec from PyPI: what the others are compared to.
PLAIN: Final = "temporalio"
PEER: Final = "temporalio + temporalcodec"
FLOOR_INTEROP: Final = "floor: interop"
FLOOR_SEALED: Final = "floor: sealed"
PACKAGES: Final = (
    "sealwire",
    "temporalio",
    "temporalcodec",
    "cryptography",
    "msgspec",
    "protobuf",
    "zstandard",
)

Call: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]
T = TypeVar("T")


class Converter(Protocol):
    """What the data converters of `temporalio` and of `sealwire` have in common."""

    async def encode(self, values: Sequence[Any]) -> list[Payload]:
        """Convert values into the payloads that are stored."""
        ...

    async def decode(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Undo `encode`."""
        ...


@dataclass(frozen=True)
class Variant:
    """A way to encode; `floor` names the variant with the same native calls and nothing else."""

    name: str
    converter: Converter
    floor: str | None = None


@dataclass
class Result(Series):
    """One variant in one case and direction."""

    variant: Variant
    stored: int
    call: Call


@dataclass(frozen=True)
class Native:
    """The native calls from a value to bytes and back, chosen by hand for one case.

    Args:
        encoding: What is written.
        dump: The value to bytes.
        loads: Bytes to the value, by the encoding.
    """

    encoding: bytes
    dump: Callable[[Any], bytes]
    loads: Mapping[bytes, Callable[[bytes], Any]]

    @classmethod
    def of(cls, case: Case) -> Self:
        """Return the native calls for `case`, which write what `sealwire` writes."""
        if case.hint is bytes:
            return cls(Encoding.PLAIN, bytes, {Encoding.PLAIN: bytes})
        encoder = msgspec.json.Encoder(order="sorted")
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(case.hint or Any)
        return cls(Encoding.JSON, encoder.encode, {Encoding.JSON: decoder.decode})


@dataclass(frozen=True)
class InteropFloor:
    """The interop format in bare native calls, without any check.

    The metadata is written, and read for what it is there for: to find the key and the reader of
    the value, here in dictionaries of one entry.
    """

    native: Native
    key_id: bytes
    aead: AESGCM
    keys: Mapping[tuple[bytes, bytes], AESGCM]  # by encoding and key id

    async def encode(self, values: Sequence[Any]) -> list[Payload]:
        """Convert and encrypt the one value."""
        inner = Payload()
        inner.metadata[ENCODING] = self.native.encoding
        inner.data = self.native.dump(values[0])
        nonce = os.urandom(12)
        outer = Payload()
        metadata = outer.metadata
        metadata[ENCODING] = Encoding.ENCRYPTED
        metadata[ENCRYPTION_KEY_ID] = self.key_id
        outer.data = nonce + self.aead.encrypt(nonce, inner.SerializeToString(), None)
        return [outer]

    async def decode(
        self,
        payloads: Sequence[Payload],
        type_hints: list[type] | None = None,  # noqa: ARG002 - `native` is for one type
    ) -> list[Any]:
        """Undo `encode`."""
        metadata = payloads[0].metadata
        aead = self.keys[metadata[ENCODING], metadata[ENCRYPTION_KEY_ID]]
        data = payloads[0].data
        inner = Payload.FromString(aead.decrypt(data[:12], data[12:], None))
        return [self.native.loads[inner.metadata[ENCODING]](inner.data)]


@dataclass(frozen=True)
class SealedFloor:
    """The sealed format in bare native calls, without any check; see `InteropFloor`."""

    native: Native
    key_id: bytes
    context: bytes
    key: tuple[bytes, bytes]  # the content key, and what is authenticated
    keys: Mapping[tuple[bytes, bytes, bytes], tuple[bytes, bytes]]  # by the three entries

    async def encode(self, values: Sequence[Any]) -> list[Payload]:
        """Convert and seal the one value."""
        inner = Payload()
        inner.metadata[ENCODING] = self.native.encoding
        inner.data = self.native.dump(values[0])
        encryptor = Cobblestone256Encryptor(*self.key)
        outer = Payload()
        metadata = outer.metadata
        metadata[ENCODING] = Encoding.SEALED
        metadata[ENCRYPTION_KEY_ID] = self.key_id
        metadata[ENCRYPTION_CONTEXT] = self.context
        outer.data = encryptor.update(inner.SerializeToString()) + encryptor.finalize()
        return [outer]

    async def decode(
        self,
        payloads: Sequence[Payload],
        type_hints: list[type] | None = None,  # noqa: ARG002 - `native` is for one type
    ) -> list[Any]:
        """Undo `encode`."""
        metadata = payloads[0].metadata
        key = self.keys[
            metadata[ENCODING], metadata[ENCRYPTION_KEY_ID], metadata[ENCRYPTION_CONTEXT]
        ]
        decryptor = Cobblestone256Decryptor(*key)
        inner = Payload.FromString(decryptor.update(payloads[0].data) + decryptor.finalize())
        return [self.native.loads[inner.metadata[ENCODING]](inner.data)]


def cases() -> list[Case]:
    """Return the values to measure, the same in every run."""
    source = random.Random(SEED)  # noqa: S311 - the same data in every run
    return [
        Case("dict of 167 bytes", small_dict(), None),
        Case("dataclass with 3 items", order(source, 3), Order),
        Case("dataclass with 1,000 items", order(source, 1000), Order),
        Case("1 MiB of random bytes", source.randbytes(MEBIBYTE), bytes),
    ]


def variants(case: Case) -> list[Variant]:
    """Return everything that is compared, with keys from the seed."""
    # Long, so that no refresh of the keys falls into a measurement.
    keyring = Keyring(
        StaticKeyProvider(
            Key("bench-sealed", random.Random(SEED).randbytes(32)),  # noqa: S311 - not a secret
            Key("bench-interop", INTEROP_KEY.encode(), suite=KeySuite.INTEROP),
        ),
        refresh_interval=3600,
    )
    keyring.ready_sync()
    interop = EncryptionCodec(keyring, "default", format="interop")
    sealed = EncryptionCodec(keyring, "default")
    peer = PeerCodec([PeerKey(id="bench-interop", key=INTEROP_KEY)])
    plugged = SdkConverter(
        payload_converter_class=SealwirePayloadConverter,
        payload_codec=SealwireCodec(CodecChain(sealed)),
    )
    return [
        Variant(PLAIN, SdkConverter()),
        Variant(PEER, SdkConverter(payload_codec=peer)),
        Variant("temporalio + sealwire", plugged),
        Variant("sealwire plain", DataConverter()),
        Variant("sealwire interop", DataConverter(codec=interop), FLOOR_INTEROP),
        Variant("sealwire sealed", DataConverter(codec=sealed), FLOOR_SEALED),
        Variant(
            "sealwire sealed + zstd", DataConverter(codec=CodecChain(CompressionCodec(), sealed))
        ),
        Variant(FLOOR_INTEROP, interop_floor(case)),
        Variant(FLOOR_SEALED, sealed_floor(case, sealed)),
    ]


def interop_floor(case: Case) -> InteropFloor:
    """Return the floor of the interop format."""
    key_id, aead = b"bench-interop", AESGCM(INTEROP_KEY.encode())
    return InteropFloor(Native.of(case), key_id, aead, {(Encoding.ENCRYPTED, key_id): aead})


def sealed_floor(case: Case, codec: EncryptionCodec) -> SealedFloor:
    """Return the floor of the sealed format, under the key and context that `codec` uses."""
    metadata = codec.encode_sync([Payload()])[0].metadata
    key_id, context = metadata[ENCRYPTION_KEY_ID], metadata[ENCRYPTION_CONTEXT]
    key = codec.keyring.encryption_key().content_key, authenticated_context(metadata)
    keys = {(Encoding.SEALED, key_id, context): key}
    return SealedFloor(Native.of(case), key_id, context, key, keys)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without an event loop.

    Raises:
        RuntimeError: It waits for something, which would be part of the time.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError("the coroutine waits for something: it cannot be measured like this")


async def sample(call: Call, calls: int) -> float:
    """Return the mean time of `calls` calls in µs."""
    start = time.perf_counter_ns()
    for _ in range(calls):
        await call()
    return (time.perf_counter_ns() - start) / 1000 / calls


def prepare(case: Case, pace: Pace) -> list[Result]:
    """Set up both directions of every variant of a case, with no times yet.

    Raises:
        RuntimeError: A value did not survive, or a floor cannot read what its variant wrote.
    """
    chosen = {variant.name: variant for variant in variants(case)}
    hints = None if case.hint is None else [case.hint]
    results: list[Result] = []
    for variant in chosen.values():
        payloads = drive(variant.converter.encode([case.value]))
        for reader in (variant, chosen[variant.floor or variant.name]):
            if drive(reader.converter.decode(payloads, hints)) != [case.value]:
                raise RuntimeError(f"{reader.name} cannot read {case.name} of {variant.name}")
        stored = payloads[0].ByteSize()
        calls: tuple[tuple[Direction, Call], ...] = (
            ("encode", partial(variant.converter.encode, [case.value])),
            ("decode", partial(variant.converter.decode, payloads, hints)),
        )
        for direction, call in calls:
            drive(sample(call, 3))
            count = calls_a_sample(drive(sample(call, 3)), pace)
            results.append(Result(case.name, direction, count, variant, stored, call))
    return results


def run(pace: Pace, console: Console) -> list[Result]:
    """Measure every case, variant and direction."""
    settle_heap()
    results: list[Result] = []
    for case in cases():
        prepared = prepare(case, pace)
        take_turns(prepared, pace, console, lambda one: drive(sample(one.call, one.calls)))
        results += prepared
    return results


def ratios(result: Result, results: Sequence[Result]) -> Mapping[str, float | None]:
    """Return the time of `result` as a multiple of the plain SDK's, the peer's and its floor's."""
    same = {
        other.variant.name: other
        for other in results
        if other.case == result.case and other.direction == result.direction
    }
    bases = {"plain": PLAIN, "peer": PEER, "floor": result.variant.floor}
    return {
        name: None if base is None else result.ratio_to(same[base]) for name, base in bases.items()
    }


def as_json(results: Sequence[Result], pace: Pace) -> str:
    """Return everything for programs; times are in µs."""
    document = {
        "unit": "us",
        "seed": SEED,
        "rounds": pace.rounds,
        "versions": conditions(PACKAGES),
        "results": [
            {
                "case": result.case,
                "variant": result.variant.name,
                "direction": result.direction,
                "median": result.median,
                "best": min(result.times),
                "spread": result.spread,
                "bytes": result.stored,
                "ratios": ratios(result, results),
            }
            for result in results
        ],
    }
    return json.dumps(document, indent=2)


def print_tables(results: Sequence[Result], pace: Pace) -> None:
    """Print a table for each case and direction, of 80 columns at most."""
    console = Console()
    for case, direction in dict.fromkeys((one.case, one.direction) for one in results):
        table = new_table(f"{direction}: {case}")
        for heading in ("µs", "±", "bytes", "/plain", "/codec", "/floor"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in results:
            if (one.case, one.direction) == (case, direction):
                table.add_row(
                    one.variant.name,
                    f"{one.median:,.{0 if one.median >= 100 else 1}f}",
                    f"{one.spread:.0%}",
                    f"{one.stored:,}",
                    *(
                        "" if ratio is None else f"{ratio:.{2 if ratio < 10 else 0}f}"
                        for ratio in ratios(one, results).values()
                    ),
                )
        console.print(table)
        console.print()
    console.print(
        f"Medians of {pace.rounds} rounds, ±: interquartile range. /plain: time as a multiple of "
        f"`{PLAIN}`, /codec: of `{PEER}`, /floor: of the bare native calls."
    )
    console.print(*(f"{name} {text}" for name, text in conditions(PACKAGES).items()), sep="; ")


if __name__ == "__main__":
    sys.exit(Benchmark(__doc__, run, as_json, print_tables).main())

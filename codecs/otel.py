"""OpenTelemetry metrics of what codecs do; needs the extra `otel`.

======================== ========= =========== ====================================================
instrument               kind      unit        attributes
======================== ========= =========== ====================================================
sealwire.codec.duration  histogram s           codec, operation, after an error its type
sealwire.codec.payloads  counter   {payload}   codec, operation
sealwire.codec.io        counter   By          codec, operation, direction: `input` or `output`
sealwire.codec.errors    counter   {error}     codec, operation, type of the error
sealwire.codec.plaintext counter   {payload}   codec, operation
sealwire.codec.interop   counter   {payload}   codec, operation
sealwire.codec.key.usage counter   {payload}   codec, operation, key id
======================== ========= =========== ====================================================

The attributes are `sealwire.codec.name`, `sealwire.codec.operation`, `sealwire.io.direction`,
`sealwire.key.id` and `error.type`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from opentelemetry.metrics import Meter, MeterProvider, get_meter_provider

from sealwire import __version__
from sealwire.keys.data_key import DATA_KEY_ID

from .observer import CodecEvent

# Seconds. A small payload takes 20 µs, and the wait for a key provider at most 30 s; the default
# boundaries, made for milliseconds, would put all of that into one bucket.
_BOUNDARIES: Final = (
    1e-5,
    3e-5,
    1e-4,
    3e-4,
    1e-3,
    3e-3,
    1e-2,
    3e-2,
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
    30.0,
)
# Series are for good. A keyring has a handful of keys, but a codec of another package may have one
# for each workflow.
_MAX_KEYS: Final = 100
_OTHERS: Final = "others"
# In envelope mode each process has a new one each hour.
_DATA_KEY: Final = "data-key"

_CODEC: Final = "sealwire.codec.name"
_OPERATION: Final = "sealwire.codec.operation"
_DIRECTION: Final = "sealwire.io.direction"
_KEY_ID: Final = "sealwire.key.id"
_ERROR: Final = "error.type"


def _no_ids() -> set[str]:
    return set()


@dataclass(frozen=True)
class OpenTelemetryObserver:
    """A `CodecObserver` that writes metrics.

    Args:
        meter_provider: Who makes the instruments; None for the global one, which a program may
            also set later.
    """

    meter_provider: MeterProvider | None = None
    _instruments: _Instruments = field(init=False, repr=False, compare=False)
    _key_ids: set[str] = field(default_factory=_no_ids, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        meter = (self.meter_provider or get_meter_provider()).get_meter("sealwire", __version__)
        object.__setattr__(self, "_instruments", _Instruments(meter))

    def observe(self, event: CodecEvent) -> None:
        """Record one call."""
        to = self._instruments
        call = {_CODEC: event.codec, _OPERATION: event.operation}
        failed = {} if event.error is None else {_ERROR: event.error}
        to.duration.record(event.seconds, {**call, **failed})
        to.payloads.add(event.payloads, call)
        to.io.add(event.bytes_in, {**call, _DIRECTION: "input"})
        to.io.add(event.bytes_out, {**call, _DIRECTION: "output"})
        if failed:
            to.errors.add(1, {**call, **failed})
        if event.plaintext:
            to.plaintext.add(event.plaintext, call)
        if event.interop:
            to.interop.add(event.interop, call)
        for key_id, count in event.key_ids:
            to.keys.add(count, {**call, _KEY_ID: self._bounded(key_id)})

    def _bounded(self, key_id: str) -> str:
        if DATA_KEY_ID.fullmatch(key_id.encode()):
            return _DATA_KEY
        if key_id in self._key_ids:
            return key_id
        if len(self._key_ids) >= _MAX_KEYS:
            return _OTHERS
        self._key_ids.add(key_id)
        return key_id


class _Instruments:
    """Every instrument, as the module's docstring lists them."""

    def __init__(self, meter: Meter) -> None:
        self.duration = meter.create_histogram(
            "sealwire.codec.duration",
            "s",
            "Time of a codec's calls",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self.payloads = meter.create_counter(
            "sealwire.codec.payloads", "{payload}", "Payloads given to a codec"
        )
        self.io = meter.create_counter("sealwire.codec.io", "By", "Serialized size of payloads")
        self.errors = meter.create_counter(
            "sealwire.codec.errors", "{error}", "Calls of a codec that failed"
        )
        self.plaintext = meter.create_counter(
            "sealwire.codec.plaintext", "{payload}", "Payloads accepted without encryption"
        )
        self.interop = meter.create_counter(
            "sealwire.codec.interop", "{payload}", "Payloads accepted in the interop format"
        )
        self.keys = meter.create_counter(
            "sealwire.codec.key.usage", "{payload}", "Payloads encrypted or decrypted with a key"
        )

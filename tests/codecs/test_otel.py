"""Metrics in OpenTelemetry, read back from its SDK."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric

from sealwire.codecs import (
    CodecChain,
    CodecEvent,
    CodecObserver,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    PolicyMode,
    SyncPayloadCodec,
    observed,
)
from sealwire.codecs.otel import OpenTelemetryObserver
from sealwire.config import load_config
from sealwire.errors import ConfigurationError, DecryptError
from sealwire.keys import DataKeys, Key, Keyring, KeySuite, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing import ScriptedKeyWrapper

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b"attack at dawn" * 100)


class Metrics:
    """An observer, and what it has recorded so far."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.observer = OpenTelemetryObserver(self.provider)

    def instruments(self) -> dict[str, Metric]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The values of a counter, or the counts of a histogram, by the values of attributes."""
        metric = self.instruments().get(name)
        if metric is None:
            return {}
        return {
            _values(point.attributes or {}): getattr(point, "value", None)
            or getattr(point, "count", None)
            for point in metric.data.data_points
        }


def _values(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(attributes[name] for name in sorted(attributes))


@pytest.fixture
def metrics() -> Generator[Metrics]:
    made = Metrics()
    yield made
    made.provider.shutdown()


def codec(metrics: Metrics, mode: PolicyMode = PolicyMode.STRICT) -> SyncPayloadCodec:
    interop = Key("i", bytes(range(32)), suite=KeySuite.INTEROP)
    keys = Keyring(StaticKeyProvider(Key("k", bytes(range(200, 232))), interop))
    encryption = EncryptionCodec(keys, "default", DecodePolicy(mode))
    made = observed(CodecChain(CompressionCodec(), encryption), metrics.observer)
    assert isinstance(made, SyncPayloadCodec)
    return made


def event(**fields: Any) -> CodecEvent:
    """An event in which only the given fields matter."""
    return CodecEvent(**{**_EVENT, **fields})


_EVENT: dict[str, Any] = {
    "codec": "C",
    "operation": "decode",
    "payloads": 1,
    "bytes_in": 1,
    "bytes_out": 1,
    "seconds": 1.0,
}


def test_it_is_an_observer(metrics: Metrics) -> None:
    """It has the method."""
    assert isinstance(metrics.observer, CodecObserver)


def test_a_round_trip_is_recorded(metrics: Metrics) -> None:
    """Time, payloads, bytes and keys of each codec and direction are there."""
    chain = codec(metrics)
    outer = chain.encode_sync([PLAIN, PLAIN])
    chain.decode_sync(outer)
    calls = {
        (name, operation)
        for name in ("CompressionCodec", "EncryptionCodec")
        for operation in ("encode", "decode")
    }

    assert dict.fromkeys(calls, 1) == metrics.points("sealwire.codec.duration")
    assert dict.fromkeys(calls, 2) == metrics.points("sealwire.codec.payloads")
    sizes = metrics.points("sealwire.codec.io")
    assert 2 * PLAIN.ByteSize() == sizes["CompressionCodec", "encode", "input"]
    stored = sum(payload.ByteSize() for payload in outer)
    assert stored == sizes["EncryptionCodec", "encode", "output"]
    assert stored == sizes["EncryptionCodec", "decode", "input"]
    assert {
        ("EncryptionCodec", "encode", "k"): 2,
        ("EncryptionCodec", "decode", "k"): 2,
    } == metrics.points("sealwire.codec.key.usage")


def test_data_keys_are_one_series(metrics: Metrics) -> None:
    """Each process makes a new one each hour, and series are for good."""
    kek = ScriptedKeyWrapper()
    for _ in range(3):
        envelope = EnvelopeEncryptionCodec(DataKeys(kek), "default")
        observed(envelope, metrics.observer).encode_sync([PLAIN])

    expected = {("EnvelopeEncryptionCodec", "encode", "data-key"): 3}
    assert expected == metrics.points("sealwire.codec.key.usage")


def test_an_error_is_recorded_by_its_class(metrics: Metrics) -> None:
    """A refused payload counts as an error, and its time is kept apart."""
    chain = codec(metrics)
    [forged] = chain.encode_sync([PLAIN])
    forged.data = forged.data[:-1] + bytes([forged.data[-1] ^ 1])
    with pytest.raises(DecryptError):
        chain.decode_sync([forged])
    refused = ("DecryptError", "EncryptionCodec", "decode")

    assert {refused: 1} == metrics.points("sealwire.codec.errors")
    assert 1 == metrics.points("sealwire.codec.duration")[refused]


def test_what_the_policy_lets_pass_is_recorded(metrics: Metrics) -> None:
    """Plaintext and interop payloads each have a counter to raise an alarm on."""
    plain = codec(metrics, PolicyMode.MIGRATE)
    plain.decode_sync([PLAIN, *plain.encode_sync([PLAIN])])
    metrics.observer.observe(event(interop=3))

    assert {("EncryptionCodec", "decode"): 1} == metrics.points("sealwire.codec.plaintext")
    assert {("C", "decode"): 3} == metrics.points("sealwire.codec.interop")


def test_no_news_make_no_series(metrics: Metrics) -> None:
    """What did not happen is not recorded as zero."""
    metrics.observer.observe(event())

    assert {"sealwire.codec.duration", "sealwire.codec.io", "sealwire.codec.payloads"} == set(
        metrics.instruments()
    )


def test_the_number_of_keys_is_bounded(metrics: Metrics) -> None:
    """From the hundred and first key id on, they are counted together; those known stay apart."""
    for number in range(150):
        metrics.observer.observe(event(key_ids=((f"key-{number}", 1),)))
    metrics.observer.observe(event(key_ids=(("key-7", 1),)))
    counts = metrics.points("sealwire.codec.key.usage")

    assert 101 == len(counts)
    assert 50 == counts["C", "decode", "others"]
    assert 2 == counts["C", "decode", "key-7"]


def test_made_up_key_ids_are_no_attribute(metrics: Metrics) -> None:
    """The key of an error, which anybody can invent, makes no series."""
    metrics.observer.observe(event(error="KeyNotFoundError", error_key_id="made-up"))
    shown = {name: metrics.points(name) for name in metrics.instruments()}

    assert "made-up" not in repr(shown)


def test_names_and_units_are_those_documented(metrics: Metrics) -> None:
    """The table of the module lists every instrument with its unit and its attributes."""
    metrics.observer.observe(event(plaintext=1, interop=1, error="E", key_ids=(("k", 1),)))
    text = sys.modules[OpenTelemetryObserver.__module__].__doc__ or ""
    rows = [line.split() for line in text.splitlines() if line.startswith("sealwire.")]
    found = metrics.instruments()

    assert {row[0]: row[2] for row in rows} == {name: found[name].unit for name in found}
    names = {
        name
        for metric in found.values()
        for point in metric.data.data_points
        for name in point.attributes or {}
    }
    assert {name for name in names if f"`{name}`" in text} == names


def test_short_times_are_told_apart(metrics: Metrics) -> None:
    """Twenty microseconds, a millisecond and a second are in three buckets."""
    for seconds in (2e-5, 1e-3, 1.0):
        metrics.observer.observe(event(seconds=seconds))
    [point] = metrics.instruments()["sealwire.codec.duration"].data.data_points

    assert [1, 1, 1] == [count for count in getattr(point, "bucket_counts", ()) if count]


def test_a_configuration_turns_it_on(tmp_path: Path) -> None:
    """`observer = "opentelemetry"` in the file sets this observer, with the global provider."""
    file = tmp_path / "sealwire.toml"
    file.write_text('observer = "opentelemetry"\n')

    assert OpenTelemetryObserver() == load_config(file).observer


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenTelemetry is not installed, the configuration says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    monkeypatch.delitem(sys.modules, "sealwire.codecs.otel")
    file = tmp_path / "sealwire.toml"
    file.write_text('observer = "opentelemetry"\n')
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[otel\]'"):
        load_config(file)


def test_an_unknown_observer_is_told(tmp_path: Path) -> None:
    """A name that nobody has registered is a fault of the file, with its line."""
    file = tmp_path / "sealwire.toml"
    file.write_text("observer = 'opentelemetri'\n")
    with pytest.raises(ConfigurationError, match="1: observer: unknown observer 'opentelemetri'"):
        load_config(file)

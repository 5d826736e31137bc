"""The composite: who takes a value, who reads a payload, and what is said when nobody does."""

import gc
import weakref
from dataclasses import dataclass, make_dataclass
from typing import Any

import pytest
from google.protobuf import struct_pb2
from temporalio.converter import DefaultPayloadConverter, EncodingPayloadConverter

from sealwire.converter import (
    BytesConverter,
    CompositePayloadConverter,
    JsonConverter,
    NullConverter,
    PayloadConverter,
    default_converters,
)
from sealwire.converter.base import new_payload
from sealwire.errors import (
    ConfigurationError,
    ConversionError,
    PayloadError,
    UnknownEncodingError,
)
from sealwire.payload import ENCODING, Payload, encoding_of

DEFAULT = CompositePayloadConverter()


class Upper:
    """A third party's converter: no base class, only the three members."""

    encoding = "test/upper"

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, str) or not value.isupper():
            return None
        return new_payload(b"test/upper", value.encode())

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return (payload.data.decode(), type_hint)


class TemporalUpper(EncodingPayloadConverter):
    """The same for the SDK."""

    @property
    def encoding(self) -> str:
        return "test/upper"

    def to_payload(self, value: Any) -> Payload | None:
        return Upper().to_payload(value)

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return Upper().from_payload(payload, type_hint)


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (None, "binary/null"),
        (b"x", "binary/plain"),
        (struct_pb2.Struct(), "json/protobuf"),
        ("x", "json/plain"),
        ([None], "json/plain"),
    ],
    ids=repr,
)
def test_the_first_that_takes_a_value_writes_it(value: Any, encoding: str) -> None:
    """By default the encodings are those of the SDK's own converters, in the same order."""
    assert encoding == encoding_of(DEFAULT.to_payload(value))
    theirs = DefaultPayloadConverter().to_payloads([value])[0]
    assert encoding == encoding_of(theirs)
    assert value == DEFAULT.from_payload(theirs)


@pytest.mark.parametrize("values", ["json/plain", "binary/msgpack"])
@pytest.mark.parametrize("protobuf", ["json/protobuf", "binary/protobuf"])
def test_the_arguments_choose_what_is_written_and_all_is_read(values: Any, protobuf: Any) -> None:
    """Every default chain reads what every other one writes."""
    chosen = CompositePayloadConverter(*default_converters(values, protobuf))
    message = struct_pb2.Struct()
    written = chosen.to_payloads([None, b"x", message, [1, "a"]])
    assert ["binary/null", "binary/plain", protobuf, values] == [
        encoding_of(payload) for payload in written
    ]
    assert [None, b"x", message, [1, "a"]] == DEFAULT.from_payloads(written)


@pytest.mark.parametrize("third_party", [Upper(), TemporalUpper()], ids=["plain", "temporalio"])
def test_a_third_partys_converter_takes_part(third_party: PayloadConverter) -> None:
    """It takes its values by its place in the order, and gets the hint when reading."""
    composite = CompositePayloadConverter(third_party, *default_converters())
    payloads = composite.to_payloads(["LOUD", "quiet"])
    assert ["test/upper", "json/plain"] == [encoding_of(payload) for payload in payloads]
    assert [("LOUD", str), "quiet"] == composite.from_payloads(payloads, [str, str])
    assert isinstance(third_party, PayloadConverter)


def test_the_order_decides() -> None:
    """After a converter that takes everything, nobody is asked."""
    composite = CompositePayloadConverter(JsonConverter(), Upper())
    assert "json/plain" == encoding_of(composite.to_payload("LOUD"))


def test_ours_take_part_in_the_sdks_composite() -> None:
    """An object of ours stands in for one of the SDK's converters."""

    class Mixed(DefaultPayloadConverter):
        def __init__(self) -> None:
            super().__init__()
            self.converters = {b"json/plain": JsonConverter()}  # type: ignore[dict-item]

    payload = Mixed().to_payloads([{1}])
    assert b"[1]" == payload[0].data
    assert [{1}] == Mixed().from_payloads(payload, [set[int]])


def test_two_converters_of_one_encoding_are_refused() -> None:
    """Which of them would read a payload is not for us to guess."""
    with pytest.raises(ConfigurationError, match=r"two converters for .*: json/plain, test/upper"):
        CompositePayloadConverter(
            Upper(), JsonConverter(), NullConverter(), TemporalUpper(), JsonConverter()
        )


def test_a_value_that_nobody_takes_is_refused() -> None:
    """The error names the value's type, and not the value."""
    with pytest.raises(ConversionError, match=r"^no converter takes a value of type str$"):
        CompositePayloadConverter(NullConverter(), BytesConverter()).to_payload("hunter2")


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (Payload(), "none"),
        (Payload(metadata={ENCODING: b""}), ""),
        (new_payload(b"binary/encrypted"), "binary/encrypted"),
        (new_payload(b"json/plain "), "json/plain "),
        (new_payload(b"\xff\n" + b"x" * 100), "\\xff\\x0a" + "x" * 62),
    ],
    ids=["none", "empty", "encrypted", "almost", "garbage"],
)
def test_an_encoding_that_nobody_reads_is_named(payload: Payload, shown: str) -> None:
    """The error names the encoding and those that are known, and adds nothing to the payload."""
    before = dict(payload.metadata)
    with pytest.raises(UnknownEncodingError) as caught:
        CompositePayloadConverter(NullConverter(), BytesConverter()).from_payload(payload)
    assert (
        f"no converter reads the encoding {shown} (known here: binary/null, binary/plain)"
        == str(caught.value)
    )
    assert shown == caught.value.encoding
    assert before == dict(payload.metadata)


def test_an_error_has_the_position_in_the_batch() -> None:
    """Of several arguments the one that failed is named by its index."""
    with pytest.raises(ConversionError) as refused:
        DEFAULT.to_payloads([1, None, object()])
    assert 2 == refused.value.index
    payloads = [*DEFAULT.to_payloads([1]), new_payload(b"json/plain", b"{")]
    with pytest.raises(PayloadError) as malformed:
        DEFAULT.from_payloads(payloads)
    assert 1 == malformed.value.index


@pytest.mark.parametrize("hints", [None, [], [int], [int, str], [int, None, str, bytes, bytes]])
def test_hints_may_be_fewer_or_more_than_payloads(hints: list[Any] | None) -> None:
    """A payload without a hint is read without one, and a hint without a payload is unused."""
    payloads = DEFAULT.to_payloads([1, "a", "b"])
    assert [1, "a", "b"] == DEFAULT.from_payloads(payloads, hints)


def test_each_payload_is_read_with_its_own_hint() -> None:
    """The hints are in the order of the payloads."""
    payloads = DEFAULT.to_payloads([[1], [1], [1]])
    assert [{1}, [1], (1,)] == DEFAULT.from_payloads(payloads, [set[int], None, tuple[int]])


def test_composites_are_equal_by_their_converters() -> None:
    """A composite is a value: what it is made of is all it is."""
    assert CompositePayloadConverter() == CompositePayloadConverter(*default_converters())
    assert CompositePayloadConverter(NullConverter()) != CompositePayloadConverter()
    assert "NullConverter" in repr(CompositePayloadConverter(NullConverter()))


@dataclass
class Sample:
    raw: bytes


class Reading(Sample):
    pass


def test_a_class_can_prefer_an_encoding() -> None:
    """Instances of the class and of its subclasses get it, and nothing else does."""
    composite = CompositePayloadConverter(*default_converters(), prefer={Sample: "binary/msgpack"})
    for value in (Sample(b"x"), Reading(b"x")):
        payload = composite.to_payload(value)
        assert b"binary/msgpack" == payload.metadata["encoding"]
        assert value == composite.from_payload(payload, type(value))
    assert b"json/plain" == composite.to_payload([Sample(b"x")]).metadata["encoding"]


def test_a_preference_without_a_converter_is_refused() -> None:
    """The error names what there is."""
    with pytest.raises(ConfigurationError, match=r"Sample prefers binary/arrow.*json/plain"):
        CompositePayloadConverter(*default_converters(), prefer={Sample: "binary/arrow"})


def test_a_preferred_converter_that_declines_is_an_error() -> None:
    """A value is not sent somewhere else than it was meant to go."""
    composite = CompositePayloadConverter(*default_converters(), prefer={Sample: "binary/plain"})
    with pytest.raises(ConversionError, match="no converter takes a value of type Sample"):
        composite.to_payload(Sample(b"x"))


def test_a_converter_that_selects_by_class_is_asked_once_a_class() -> None:
    """What cannot be its business costs nothing from the second value on."""
    asked: list[type] = []

    class Selective:
        encoding = "test/selective"

        def can_take(self, cls: type) -> bool:
            asked.append(cls)
            return False

        def to_payload(self, value: Any) -> Payload | None:
            raise AssertionError("it said that it takes nothing")

        def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
            return None

    composite = CompositePayloadConverter(*default_converters(also=[Selective()]))
    for value in (1, 2, "a", 3, "b"):
        composite.to_payload(value)
    assert [int, str] == asked


def test_classes_that_come_and_go_are_not_kept() -> None:
    """Thousands of classes, each written once, are freed, all but as many as are remembered."""
    composite = CompositePayloadConverter()
    alive: list[weakref.ref[type]] = []
    for number in range(1000):
        cls = make_dataclass(f"Model{number}", [("value", int)])
        composite.to_payload(cls(1))
        alive.append(weakref.ref(cls))
        del cls
    gc.collect()
    assert sum(item() is not None for item in alive) <= 300


def test_a_further_converter_replaces_one_of_the_same_encoding() -> None:
    """`also` is how the options of a converter are changed."""
    json = JsonConverter(allow_nan=True)
    composite = CompositePayloadConverter(*default_converters(also=[json]))
    assert json in composite.converters
    assert 6 == len(composite.converters)

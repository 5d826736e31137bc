"""What every payload converter has to fulfil, as tests to inherit from.

::

    class TestMyConverter(PayloadConverterConformance):
        def converter(self) -> PayloadConverter:
            return MyConverter()

        def values(self) -> Iterable[tuple[Any, Any]]:
            return [(Money(1, "EUR"), Money), (Money(0, ""), Money)]

Any test runner that collects `test_*` methods will do; a failure is an `AssertionError`.
"""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sealwire.converter import ConvertsData, PayloadConverter
from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import ENCODING, Payload

_FOREIGN: Final[tuple[Any, ...]] = (None, b"bytes", "text", 1, 1.5, True, [1], {"key": 1}, object())
_MALFORMED: Final = (
    b"",
    b"\x00",
    b"\xff",
    b"\xc1",
    b"\xff" * 12,
    b'"',
    b'"\xff"',
    b"{",
    b'{"":',
    b"[" * 100_000,
    b"\x91" * 100_000,
    b"\xdd\xff\xff\xff\xff",
    b"\x0a\xff\xff\xff\xff\x0f",
)


class PayloadConverterConformance:
    """The contract of `PayloadConverter`; override `converter` and `values`, inherit the tests."""

    def converter(self) -> PayloadConverter:
        """Return a new instance of the converter under test."""
        raise NotImplementedError

    def values(self) -> Iterable[tuple[Any, Any]]:
        """Return at least one pair of a value of this converter and the hint to read it with."""
        raise NotImplementedError

    def malformed(self) -> Iterable[bytes]:
        """Return data that a reader must survive; it need not be invalid."""
        return _MALFORMED

    def same(self, expected: Any, actual: Any) -> bool:
        """Tell whether a value came back as it was: of the same class, and equal."""
        return type(expected) is type(actual) and bool(expected == actual)

    def test_the_encoding_is_stable(self) -> None:
        """Every instance names the same encoding, a text of ASCII characters."""
        encoding = self.converter().encoding
        assert encoding
        assert encoding.isascii()
        assert encoding == self.converter().encoding

    def test_its_own_values_become_payloads_of_its_encoding(self) -> None:
        """A payload says which encoding it has, and that is the converter's."""
        for _, _, payload in self._converted():
            assert self.converter().encoding.encode() == payload.metadata.get(ENCODING)

    def test_other_values_are_left_to_other_converters(self) -> None:
        """A value is converted to the converter's own encoding, declined with None, or refused."""
        converter = self.converter()
        for value in _FOREIGN:
            try:
                payload = converter.to_payload(value)
            except ConversionError:
                continue
            if payload is not None:
                assert converter.encoding.encode() == payload.metadata.get(ENCODING)

    def test_a_value_comes_back_as_it_was(self) -> None:
        """Converting there and back with the type as the hint changes nothing."""
        for value, type_hint, payload in self._converted():
            actual = self.converter().from_payload(payload, type_hint)
            assert self.same(value, actual), f"{value!r} came back as {actual!r}"

    def test_a_payload_can_be_read_without_a_hint(self) -> None:
        """Without a hint there is a value as well, whatever its type."""
        for _, _, payload in self._converted():
            self.converter().from_payload(payload)

    def test_the_same_value_gives_the_same_bytes(self) -> None:
        """Converting twice, also with another instance, gives equal payloads."""
        converter = self.converter()
        for value, _, payload in self._converted():
            assert payload == converter.to_payload(value)
            assert payload == converter.to_payload(value)

    def test_data_alone_makes_no_difference(self) -> None:
        """If it `ConvertsData`, a payload is its encoding and what `to_data` gives."""
        converter = self.converter()
        if not isinstance(converter, ConvertsData):
            return
        for value, type_hint, payload in self._converted():
            data = converter.to_data(value)
            expected = Payload(metadata={ENCODING: converter.encoding.encode()}, data=data)
            assert expected == payload
            back = converter.from_data(data, type_hint)
            assert self.same(converter.from_payload(payload, type_hint), back)

    def test_nothing_given_is_changed(self) -> None:
        """Neither the value nor the payload is different afterwards."""
        converter = self.converter()
        for value, type_hint in self.values():
            before = copy.deepcopy(value)
            payload = _taken(converter, value)
            assert self.same(before, value), "to_payload changed the value"
            kept = Payload.FromString(payload.SerializeToString())
            converter.from_payload(payload, type_hint)
            assert kept == payload, "from_payload changed the payload"

    def test_malformed_data_gives_a_payload_error(self) -> None:
        """Data that cannot be read is a `PayloadError` or `ConversionError`, and nothing else."""
        converter = self.converter()
        for _, type_hint, payload in self._converted():
            for data in self._damaged(payload.data):
                damaged = Payload(metadata=dict(payload.metadata), data=data)
                for hint in (type_hint, None):
                    try:
                        converter.from_payload(damaged, hint)
                    except (PayloadError, ConversionError):
                        continue

    def _converted(self) -> Iterator[tuple[Any, Any, Payload]]:
        converter = self.converter()
        pairs = list(self.values())
        assert pairs, "values() must give at least one pair"
        for value, type_hint in pairs:
            yield value, type_hint, _taken(converter, value)

    def _damaged(self, data: bytes) -> Iterator[bytes]:
        yield from self.malformed()
        yield data + b"\x00"
        for size in range(0, len(data), max(1, len(data) // 20)):
            yield data[:size]
            yield data[:size] + bytes([data[size] ^ 0x80]) + data[size + 1 :]


def _taken(converter: PayloadConverter, value: Any) -> Payload:
    payload = converter.to_payload(value)
    assert payload is not None, f"to_payload declined {value!r}"
    return payload

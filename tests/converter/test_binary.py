"""`binary/null` and `binary/plain`."""

import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.converter import BytesConverter, NullConverter
from sealwire.converter.base import new_payload
from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import ENCODING, Payload

NULL = NullConverter()
PLAIN = BytesConverter()


def test_none_is_a_payload_without_data() -> None:
    """None has an encoding of its own, and nothing else."""
    assert Payload(metadata={ENCODING: b"binary/null"}) == NULL.to_payload(None)


@pytest.mark.parametrize("value", [0, "", b"", False, [], {}])
def test_only_none_is_null(value: Any) -> None:
    """What is merely empty or false is left to other converters."""
    assert NULL.to_payload(value) is None


@pytest.mark.parametrize("hint", [None, type(None), int, str | None, object, "no type"])
def test_null_is_none_whatever_the_hint(hint: Any) -> None:
    """Temporal sends null for an argument that is absent."""
    NULL.from_payload(Payload(metadata={ENCODING: b"binary/null"}), hint)


def test_null_with_data_is_malformed() -> None:
    """A payload that calls itself null and has data is refused."""
    with pytest.raises(PayloadError, match="must have no data") as caught:
        NULL.from_payload(new_payload(b"binary/null", b"hunter2"))
    assert "binary/null" == caught.value.encoding
    assert "hunter2" not in str(caught.value)


@given(st.binary())
def test_bytes_are_the_data_of_the_payload(value: bytes) -> None:
    """Nothing is added to the bytes, and they come back the same."""
    payload = PLAIN.to_payload(value)
    assert Payload(metadata={ENCODING: b"binary/plain"}, data=value) == payload
    assert payload is not None
    assert value == PLAIN.from_payload(payload)
    assert value == PLAIN.from_payload(payload, bytes)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abc"), b"abc"),
        (memoryview(b"abcdef")[::2], b"ace"),
        (memoryview(array.array("H", [1, 2])).cast("B"), array.array("H", [1, 2]).tobytes()),
        (type("Blob", (bytes,), {})(b"abc"), b"abc"),
    ],
    ids=["bytearray", "memoryview", "strided", "cast", "subclass"],
)
def test_other_byte_strings_are_copied(value: Any, data: bytes) -> None:
    """Everything that is bytes in another coat becomes the same payload."""
    payload = PLAIN.to_payload(value)
    assert payload is not None
    assert data == payload.data


def test_a_hint_may_ask_for_a_bytearray() -> None:
    """The mutable type is given where the caller annotates it."""
    value = PLAIN.from_payload(new_payload(b"binary/plain", b"abc"), bytearray)
    assert bytearray(b"abc") == value
    assert type(value) is bytearray


@pytest.mark.parametrize("value", ["abc", None, [1, 2], 3])
def test_what_is_not_bytes_is_left_to_others(value: Any) -> None:
    """Text and lists of numbers are no bytes."""
    assert PLAIN.to_payload(value) is None


@pytest.mark.parametrize("hint", [str, int, float, bool, list, dict])
def test_a_hint_that_cannot_hold_bytes_is_refused(hint: Any) -> None:
    """Bytes where the code expects text or numbers is an error, and not a surprise later."""
    with pytest.raises(ConversionError, match=f"expected {hint.__name__}, got bytes") as caught:
        PLAIN.from_payload(new_payload(b"binary/plain", b"hunter2"), hint)
    assert "hunter2" not in str(caught.value)

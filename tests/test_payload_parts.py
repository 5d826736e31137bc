"""Payloads in two parts: joined they are what protocol buffers write, and nothing else is split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.parts import data_start, head, varint
from sealwire.payload import Payload

METADATA = Payload(metadata={"encoding": b"json/plain"}).SerializeToString()
EDGES = [1, 2, 6, 40, 127, 128, 129, 1023, 1024, 16383, 16384, 16385, 2097151, 2097152]


@pytest.mark.parametrize("size", EDGES)
def test_parts_are_what_protobuf_writes(size: int) -> None:
    """Tag, length and data, at the sizes where the length gets longer; and the way back."""
    data = bytes(size)
    message = Payload(metadata={"encoding": b"json/plain"}, data=data).SerializeToString()
    assert message == METADATA + head(size) + data
    assert data_start(message, len(METADATA)) == len(message) - size
    assert data_start(message[:-1], len(METADATA)) == 0
    assert data_start(message + b"\0", len(METADATA)) == 0


def test_the_largest_length_has_five_bytes() -> None:
    """More than 256 MiB of data: the length that protocol buffers' description gives."""
    assert b"\x80\x80\x80\x80\x01" == varint(1 << 28)
    assert b"\x12\xff\xff\xff\x7f" == head((1 << 28) - 1)


def test_metadata_alone_is_not_split() -> None:
    """A payload without data is left to protobuf."""
    assert data_start(METADATA, len(METADATA)) == 0


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: head(199) + data))
def test_what_is_split_is_what_protobuf_reads(rest: bytes) -> None:
    """Where a place is given, the payload has these metadata and the data from there, exactly."""
    message = METADATA + rest
    start = data_start(message, len(METADATA))
    if start:
        expected = Payload(metadata={"encoding": b"json/plain"}, data=message[start:])
        assert expected == Payload.FromString(message)
        assert expected.SerializeToString() == message

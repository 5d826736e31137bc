"""Payloads in two parts: joined they are what protocol buffers write, and nothing else is split."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.parts import Parts, head, head_within, payload_of, read_before, varint
from sealwire.payload import Payload

METADATA = Payload(metadata={"encoding": b"json/plain"}).SerializeToString()
EDGES = [1, 2, 6, 40, 127, 128, 129, 1023, 1024, 16383, 16384, 16385, 2097151, 2097152]
LONG = Payload(metadata={"a": bytes(130)}).SerializeToString()  # a length of two bytes
# What may follow the metadata: nothing, no field, another one, data twice, and beside the data.
RESTS = [
    *(b"", b"\x12", b"\x12\x00", b"\x12\x01", b"\x1a\x02\x08\x05", b"\x12\x011\x12\x012"),
    *(b"\x12\x02ab", b"\x12\x011\x1a\x02\x08\x05", b"\x12\x82\x00ab"),
    *(b"\x13\x02ab", b"\x12\x03ab", b"ab"),
]


def split(message: bytes) -> tuple[Parts, bool]:
    """What `read_before` reads of a message, and the rest of it; whether that is the data."""
    stream = io.BytesIO(message)
    before, found = read_before(stream.read, len(message))
    return (before, stream.read()), found


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("metadata", [{}, {"encoding": b"x"}, {"encoding": b"x", "a": b"y" * 99}])
def test_parts_are_what_protobuf_writes(metadata: dict[str, bytes], size: int) -> None:
    """Tag, length and data, at the sizes where the length gets longer; and the way back."""
    data = bytes(size)
    before = Payload(metadata=metadata).SerializeToString() + head(size)
    payload = Payload(metadata=metadata, data=data)
    message = payload.SerializeToString()
    assert len(message) == len(before) + size
    assert Payload.FromString(before + data) == payload
    assert head_within(len(head(size)) + size) == head(size)
    parts, found = split(message)
    assert found
    assert parts[1] == data
    assert payload_of(parts) == payload_of((message, b"")) == payload


def test_some_sizes_are_impossible() -> None:
    """Where the length needs a byte more, one total is passed over."""
    passed_over = [size for size in range(20_000) if not head_within(size)]
    assert [0, 1, 2, 0x80 + 2, 0x4000 + 3] == passed_over
    assert b"" == head_within(0x200000 + 4)


def test_the_largest_length_has_five_bytes() -> None:
    """More than 256 MiB of data: the length that protocol buffers' description gives."""
    assert b"\x80\x80\x80\x80\x01" == varint(1 << 28)
    assert b"\x12\xff\xff\xff\x7f" == head((1 << 28) - 1)


@pytest.mark.parametrize("entries", [0, 1, 3, 4, 9])
def test_few_entries_of_metadata_are_read(entries: int) -> None:
    """Each is a step, and who writes a payload chooses how many there are."""
    one = b"\x0a\x00"
    message = one * entries + b"\x12\x03abc"
    parts, found = split(message)
    assert message == b"".join(parts)
    assert found == (entries < 4)
    assert len(parts[0]) <= 4 * len(one) + 2


@pytest.mark.parametrize(("size", "found"), [(127, True), (128, False)])
def test_only_short_entries_of_metadata_are_read(size: int, *, found: bool) -> None:
    """A length of one byte is enough for all that converters write."""
    entry = b"\x0a\x00\x12" + bytes([size - 4]) + bytes(size - 4)
    message = b"\x0a" + varint(len(entry)) + entry + b"\x12\x03abc"
    assert Payload.FromString(message).data == b"abc"
    assert split(message)[1] == found


@pytest.mark.parametrize("first", [0x80, 0x81, 0xFF])
def test_nothing_inside_of_a_long_entry_is_taken_for_the_data(first: int) -> None:
    """Not even what looks like it where the entry would end if its length had one byte."""
    shorter = bytes([first]) + b"\x80\x01"  # the length in three bytes, and its first byte alone
    inside = first - len(shorter) + 1  # bytes of the entry before the false head
    rest = 0x4000 + (first & 0x7F) - inside
    lead = head_within(rest)
    message = b"\x0a" + shorter + bytes(inside) + lead + bytes(rest - len(lead))
    assert lead
    assert not split(message)[1]


def test_a_payload_may_end_anywhere() -> None:
    """What ends within an entry is read as far as it goes."""
    message = METADATA * 2
    for size in range(len(message)):
        assert split(message[:size]) == ((message[:size], b""), False)


def test_what_looks_like_a_head_at_the_end_of_metadata_is_none() -> None:
    """After the last entry that is looked at, nothing is taken for the data."""
    message = b"\x0a\x00" * 3 + b"\x0a\x02\x12\x03" + b"abc"
    assert split(message) == ((message[:-3], b"abc"), False)


@given(
    st.lists(st.sampled_from([METADATA, b"\x0a\x00", b"\x0a\x02\x0a\x00", LONG])),
    st.sampled_from(RESTS) | st.binary(max_size=200),
)
def test_what_is_split_is_what_protobuf_reads(entries: list[bytes], rest: bytes) -> None:
    """Nothing is lost; and where there is data to come, protobuf finds the same."""
    message = b"".join([*entries, rest])
    parts, found = split(message)
    assert message == b"".join(parts)
    if found:
        assert parts[1]
        assert parts[0].endswith(head(len(parts[1])))
        whole = Payload.FromString(parts[0].removesuffix(head(len(parts[1]))))
        assert not whole.data
        assert not whole.external_payloads


@given(
    st.dictionaries(st.text(max_size=9), st.binary(max_size=130), max_size=5),
    st.binary(min_size=1, max_size=200),
)
def test_payloads_survive(metadata: dict[str, bytes], data: bytes) -> None:
    """Split or not, as it may be."""
    payload = Payload(metadata=metadata, data=data)
    parts, found = split(payload.SerializeToString())
    assert payload_of(parts if found else (b"".join(parts), b"")) == payload

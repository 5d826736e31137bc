"""The metadata of Arrow messages, read by hand and with a limit.

Metadata is a flatbuffer, a graph of tables, vectors and texts, which pyarrow copies as a tree: in
250 kB a column of a long name, referred to 50,000 times, becomes 2.5 GB, and the fourfold becomes
40. Here whatever is visited uses up a budget of as many bytes as there are: the tree is no larger.

Sources: https://flatbuffers.dev/internals/ for the layout of tables,
https://github.com/apache/arrow/tree/main/format (`Message.fbs`, `Schema.fbs`) for the fields,
https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format for the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

U8, U16, I16, I32, U32, I64 = (Struct(f"<{code}") for code in "BHhiIq")

_CONTINUATION: Final = 0xFFFFFFFF
_METADATA_V5: Final = 4


class Refused(Exception):  # noqa: N818 - it says what happened, and never gets out of this room
    """What is wrong with a value or a stream, in words that are safe to show."""


def messages(data: bytes) -> Iterator[Message | None]:
    """Yield the messages, which follow each other; None is the end-of-stream marker.

    - 4 bytes: 0xFFFFFFFF
    - 4 bytes: the size of the metadata, 0 at the end of the stream
    - the metadata, a flatbuffer
    - the body, of the size that the metadata gives
    """
    at = 0
    view = memoryview(data)
    while at < len(data):
        if len(data) - at < 8 or U32.unpack_from(data, at)[0] != _CONTINUATION:
            raise Refused("the data is not an Arrow stream")
        body = at + 8 + I32.unpack_from(data, at + 4)[0]
        if not at + 8 <= body <= len(data):
            raise Refused("the Arrow stream is not complete")
        message = Message(view[at + 8 : body], body) if body > at + 8 else None
        at = message.end if message else body
        if not body <= at <= len(data):
            raise Refused("the Arrow stream is not complete")
        yield message


class Message:
    """A flatbuffer `Message` and the tables that it refers to.

    Positions are counted in bytes from the start of the metadata; 0 stands for what is absent.

    Attributes:
        kind: The number of the kind of the header.
        header: The position of the table that describes the body.
        body_size: In bytes.
        end: Where the body ends in the stream, in bytes.
    """

    __slots__ = ("_data", "_unused", "body_size", "end", "header", "kind")

    def __init__(self, data: memoryview, body: int) -> None:
        self._data = data
        self._unused = len(data)
        message = self._enter(0)
        if self.scalar(message, 0, I16) != _METADATA_V5:
            raise Refused("the Arrow data is of another version than 5")
        self.kind = self.scalar(message, 1, U8)
        self.header = self.table(message, 2)
        self.body_size = self.scalar(message, 3, I64)
        self.end = body + self.body_size
        self.pairs(message, 4)
        if not self.header:
            raise Refused("the Arrow metadata is malformed")

    def scalar(self, table: int, index: int, form: Struct, default: int = 0) -> int:
        """Return the number in a field."""
        at = self._field(table, index)
        return self._number(at, form) if at else default

    def table(self, table: int, index: int) -> int:
        """Return the position of the table in a field."""
        at = self._field(table, index)
        return self._enter(at) if at else 0

    def vector(self, table: int, index: int, width: int) -> memoryview:
        """Return the items of a vector, or the bytes of a text, whose width is 1."""
        at = self._field(table, index)
        if not at:
            return self._data[:0]
        start = at + self._number(at, U32) + 4
        size = self._number(start - 4, U32) * width
        self._use(start, size)
        return self._data[start : start + size]

    def tables(self, table: int, index: int) -> Iterator[int]:
        """Yield the positions of the tables in a vector of them."""
        size = len(self.vector(table, index, 4))
        at = self._field(table, index)
        start = at + self._number(at, U32) + 4 if size else 0
        for item in range(start, start + size, 4):
            yield self._enter(item)

    def text(self, table: int, index: int) -> str:
        """Return a text."""
        try:
            return bytes(self.vector(table, index, 1)).decode()
        except UnicodeDecodeError:  # polars panics
            raise Refused("the Arrow metadata is not in UTF-8") from None

    def pairs(self, table: int, index: int) -> list[tuple[bytes, bytes]]:
        """Return a vector of tables `KeyValue`, in which a key may be twice."""
        return [
            (bytes(self.vector(pair, 0, 1)), bytes(self.vector(pair, 1, 1)))
            for pair in self.tables(table, index)
        ]

    def _field(self, table: int, index: int) -> int:
        vtable = table - self._number(table, I32)
        slot = 4 + 2 * index
        if slot + 2 > self._number(vtable, U16):
            return 0
        offset = self._number(vtable + slot, U16)
        return table + offset if offset else 0

    def _enter(self, at: int) -> int:
        table = at + self._number(at, U32)
        self._use(table, self._number(table - self._number(table, I32) + 2, U16))
        return table

    def _use(self, at: int, size: int) -> None:
        self._unused -= size
        if self._unused < 0 or at + size > len(self._data):
            raise Refused("the Arrow metadata is malformed, or uses its bytes more than once")

    def _number(self, at: int, form: Struct) -> int:
        if not 0 <= at <= len(self._data) - form.size:
            raise Refused("the Arrow metadata is malformed")
        number: int = form.unpack_from(self._data, at)[0]
        return number

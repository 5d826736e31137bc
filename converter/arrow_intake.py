"""Bounds on a stranger's Arrow data, checked before pyarrow reads it.

pyarrow verifies that the metadata of a stream is well formed, and `validate(full=True)` that the
arrays are. Neither bounds what they cost. Here every message is read by hand first, so that

- metadata says no more than it has bytes for (see `arrow_message`), and no two buffers overlap,
- no buffer is compressed (a bomb; compression is a codec's work),
- rows without bytes are few (a column of the type `null` claims any number of them),
- only types appear whose size is in proportion to their bytes, and no registered extension type
  but those of pandas: pyarrow would call its constructor with the stranger's text,
- nesting, batches and dictionaries are limited, and nothing follows the end of the stream.

The encoder passes its own output through the same check, so what is written can be read.

Sources: https://arrow.apache.org/docs/format/Columnar.html, and for the numbers of fields and types
https://github.com/apache/arrow/tree/main/format (`Schema.fbs`, `Message.fbs`, `Tensor.fbs`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from struct import Struct
from typing import Any, Final, TypeAlias, TypeVar

from sealwire.errors import ConversionError, PayloadError, SealwireError

from .arrow_message import I16, I32, I64, U8, Message, Refused, messages

# pyarrow says nothing about types, and the stubs of others are of version 20: so it is Any.
pa: Final[Any] = import_module("pyarrow")
Table: TypeAlias = Any

ENCODING: Final = "binary/arrow"

MAX_DEPTH: Final = 16  # of nested types; pyarrow itself goes to 64
MAX_BATCHES: Final = 64  # one is written, and more only beyond 2 GiB of text in a column
MAX_EMPTY_CELLS: Final = 2**20  # what a small payload may claim: 8 MiB of pointers to None

T = TypeVar("T")

_PAIR: Final = Struct("<qq")  # FieldNode: length, nulls; Buffer: offset, length

_LITTLE_ENDIAN: Final = 0
_SCHEMA, _DICTIONARY, _BATCH, _TENSOR = 1, 2, 3, 4

# Left out: views, run-end encoding and unions, which use the same bytes many times, and
# intervals, which neither pandas nor polars has.
_LEAVES: Final = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 18, 19, 20))
_NESTED: Final = frozenset((12, 13, 16, 17, 21))  # list, struct, fixed-size list, map, large list
_DECIMAL, _TIMESTAMP, _FIXED_SIZE_BINARY, _FIXED_SIZE_LIST = 7, 10, 15, 16
# Without bytes of any size: a reader may write out a dictionary's values once a row. Text stays,
# because every reader here keeps it as categories.
_DICTIONARY_VALUES: Final = frozenset((2, 3, 5, 6, 7, 8, 9, 10, 18, 20))
_EXTENSION: Final = b"ARROW:extension:name"
_PANDAS_EXTENSIONS: Final = frozenset((b"pandas.period", b"pandas.interval"))


def attempt(error: type[ConversionError | PayloadError], problem: str, call: Callable[[], T]) -> T:
    """Return what `call` returns; whatever it raises becomes an error that quotes nothing.

    Args:
        error: What to raise.
        problem: Its text, unless a `Refused` has a better one.
        call: Anything that lets a library work on the data or the value.
    """
    try:
        return call()
    except SealwireError:
        raise
    except Refused as err:
        problem = str(err)
    except BaseException as err:
        # A panic of polars is no `Exception`.
        if not isinstance(err, Exception) and type(err).__name__ != "PanicException":
            raise
    # Outside of the handlers, whose errors quote values.
    raise error(problem, encoding=ENCODING)


def check_stream(data: bytes) -> None:
    """Check an IPC stream: a schema, dictionaries and batches, the end-of-stream marker.

    Raises:
        Refused: The stream breaks one of the bounds.
    """
    stream = _Stream()
    ended = False
    for message in messages(data):
        if ended:
            raise Refused("the Arrow stream goes on behind its end")
        if message is None:
            ended = True
        else:
            stream.add(message)
    if not ended or not stream.has_schema:
        raise Refused("the Arrow stream is not complete")
    if stream.cells > 8 * len(data) + MAX_EMPTY_CELLS:
        raise Refused("there are far more cells than bytes: leave out columns without values")


def check_tensor(data: bytes) -> int:
    """Check that `data` begins with a tensor message, and return where its body begins.

    Raises:
        Refused: It is something else, or its metadata says too much.
    """
    message = next(messages(data), None)
    if message is None or message.kind != _TENSOR:
        raise Refused("the Arrow data is not one tensor")
    message.table(message.header, 1)  # the type
    message.vector(message.header, 3, 8)  # the strides
    for dimension in message.tables(message.header, 2):
        message.text(dimension, 1)  # its name
    return message.end - message.body_size


class _Stream:
    """The bounds that span the messages of a stream."""

    __slots__ = ("_batches", "_dictionaries", "cells", "has_schema")

    def __init__(self) -> None:
        self.cells = 0
        self.has_schema = False
        self._batches = 0
        self._dictionaries: dict[int, bool] = {}  # by id, whether it came

    def add(self, message: Message) -> None:
        """Check the next message."""
        if self.has_schema == (message.kind == _SCHEMA):
            raise Refused("the Arrow stream does not begin with its one schema")
        if message.kind == _SCHEMA:
            self.has_schema = True
            self._add_schema(message, message.header)
        elif message.kind == _DICTIONARY:
            self._add_dictionary(message, message.header)
        elif message.kind == _BATCH and self._batches < MAX_BATCHES:
            self._batches += 1
            self._add_batch(message, message.header)
        else:
            raise Refused("the Arrow stream has too many batches, or messages of another kind")

    def _add_schema(self, message: Message, schema: int) -> None:
        if message.scalar(schema, 0, I16) != _LITTLE_ENDIAN:
            raise Refused("the Arrow data is big-endian")
        for field in message.tables(schema, 1):
            self._add_field(message, field, 1)
        message.pairs(schema, 2)
        message.vector(schema, 3, 8)  # features

    def _add_field(self, message: Message, field: int, depth: int) -> None:
        message.text(field, 0)  # the name
        _check_type(message, message.scalar(field, 2, U8), message.table(field, 3))
        if depth > MAX_DEPTH:
            raise Refused("the Arrow types are nested too deeply")
        # All of them: pyarrow builds the first, and a dict would have the last.
        extensions = {value for key, value in message.pairs(field, 6) if key == _EXTENSION}
        if extensions and (depth > 1 or not extensions <= _PANDAS_EXTENSIONS):
            raise Refused("Arrow extension types are not supported: convert the column first")
        encoding = message.table(field, 4)
        if encoding:
            number = message.scalar(encoding, 0, I64)
            values = message.scalar(field, 2, U8)
            if depth > 1 or values not in _DICTIONARY_VALUES or number in self._dictionaries:
                raise Refused("categories are supported in a column of text, numbers or times only")
            self._dictionaries[number] = False
        for child in message.tables(field, 5):
            self._add_field(message, child, depth + 1)

    def _add_dictionary(self, message: Message, dictionary: int) -> None:
        number = message.scalar(dictionary, 0, I64)
        # One that grows or is replaced costs a new table of categories with every batch.
        if self._dictionaries.get(number, True):
            raise Refused("an Arrow dictionary is not in the schema, or comes more than once")
        self._dictionaries[number] = True
        self._add_batch(message, message.table(dictionary, 1))

    def _add_batch(self, message: Message, batch: int) -> None:
        if message.table(batch, 3):
            raise Refused("the Arrow buffers are compressed: use a compression codec instead")
        lengths = [length for length, _ in _PAIR.iter_unpack(message.vector(batch, 1, 16))]
        self.cells += max(sum(lengths), message.scalar(batch, 0, I64))
        end = 0
        for offset, size in _PAIR.iter_unpack(message.vector(batch, 2, 16)):
            if offset < end or size < 0:
                raise Refused("two Arrow buffers overlap")
            end = offset + size
        if end > message.body_size or min(lengths, default=0) < 0:
            raise Refused("the Arrow stream is not complete")


def _check_type(message: Message, number: int, details: int) -> None:
    if not details or number not in _LEAVES | _NESTED:
        raise Refused("there is a column of an Arrow type that is not supported: cast it first")
    if number in (_FIXED_SIZE_BINARY, _FIXED_SIZE_LIST) and message.scalar(details, 0, I32) < 1:
        raise Refused("there is a column of a fixed size of 0")
    if number == _DECIMAL and message.scalar(details, 2, I32, 128) != 128:
        raise Refused("there is a decimal of another size than 128 bits: cast it first")
    if number == _TIMESTAMP:
        message.text(details, 1)  # the time zone

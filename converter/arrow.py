"""`binary/arrow`: numpy arrays, and the tables of pandas, polars and pyarrow.

Needs `pip install sealwire[arrow]`; pandas and polars only where their objects are used. It is
imported from here, and goes in front of the converters that take everything::

    from sealwire.converter.arrow import ArrowConverter

    converter = CompositePayloadConverter(ArrowConverter(), *default_converters())

A payload consists of

- metadata `encoding`: `binary/arrow`,
- metadata `arrow-kind`: the class of the value, such as `pandas.DataFrame`,
- metadata `arrow-dtype`: numpy's name of the dtype, where Arrow has none (see `arrow_numpy`),
- data: for an array one tensor message, otherwise an IPC stream without compression. Both are in
  https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc

What was written comes back as it was, or is refused when it is written. Not part of a value are
the chunks and the gaps that it has in memory, whether pandas labels columns by a `RangeIndex` or by
the same numbers in an `Index`, and the frequency of a level of a `MultiIndex`.

What arrives is checked twice, by `arrow_intake` and by pyarrow, and then by the reader of its kind.
But pyarrow, numpy, pandas and polars are large libraries in C++, C and Rust that trust what they
are given: a valid list of small decimals was enough to end a process with polars 2.1, until
`arrow_polars` refused it, and a time far off ends it with pandas 2.3 as soon as it is looked at. So
this converter belongs behind an encrypting codec, which lets through nothing that it did not seal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, get_args, get_origin

import numpy as np

from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import Payload

from .arrow_intake import ENCODING, Table, attempt, pa
from .arrow_numpy import Array, decode_array, encode_array
from .arrow_pandas import read_pandas, read_pandas_series, write_pandas
from .arrow_polars import read_polars, read_polars_series, write_polars
from .arrow_tables import only_batch, only_column, read_table, write_table
from .base import new_payload
from .hints import UNIONS, class_of, metadata_of, type_name, unwrapped

ARROW_KIND: Final = "arrow-kind"
ARROW_DTYPE: Final = "arrow-dtype"

NUMPY: Final = "numpy.ndarray"
PANDAS_DATAFRAME: Final = "pandas.DataFrame"
PANDAS_SERIES: Final = "pandas.Series"
POLARS_DATAFRAME: Final = "polars.DataFrame"
POLARS_SERIES: Final = "polars.Series"
TABLE: Final = "pyarrow.Table"
RECORD_BATCH: Final = "pyarrow.RecordBatch"
ARRAY: Final = "pyarrow.Array"
CHUNKED_ARRAY: Final = "pyarrow.ChunkedArray"

# Those that a hint turns into each other.
_TABLES: Final = (PANDAS_DATAFRAME, POLARS_DATAFRAME, TABLE, RECORD_BATCH)
_COLUMNS: Final = (PANDAS_SERIES, POLARS_SERIES, ARRAY, CHUNKED_ARRAY)
_KINDS: Final = (NUMPY, *_TABLES, *_COLUMNS)


@dataclass(frozen=True, slots=True)
class ArrowConverter:
    """Arrays and tables as they are in memory: no value is turned into text.

    They are read in place and share the bytes of the payload, which is why numpy arrays are
    read-only. pandas copies what it wants to change.

    A numpy scalar, such as `np.float64(1)`, is no array and left to the other converters.

    Args:
        writable: Copy the numpy arrays that are read, so that they can be changed.
    """

    writable: bool = False
    encoding: str = field(default=ENCODING, init=False)

    def can_take(self, cls: type) -> bool:
        """Tell whether it is the class of an array or a table; see `SelectsByClass`."""
        return _kind_of(cls) is not None

    def to_payload(self, value: Any) -> Payload | None:
        """Convert an array or a table; see `PayloadConverter`.

        Raises:
            ConversionError: The value would not come back as it was.
        """
        kind = _kind_of(type(value))
        if kind is None:
            return None
        problem = f"this {kind} has no Arrow form: turn its items and labels into numbers or text"
        data, dtype = attempt(ConversionError, problem, lambda: _encode(kind, value))
        payload = new_payload(ENCODING.encode(), data)
        payload.metadata[ARROW_KIND] = kind.encode()
        if dtype:
            payload.metadata[ARROW_DTYPE] = dtype
        return payload

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Return an object of the class that was written, or of the one that the hint asks for.

        A table becomes one of another library, and so does a column. An index of pandas becomes a
        column where there is no index.

        Args:
            payload: A payload of this encoding.
            type_hint: None, Any, a class such as `pandas.DataFrame`, `numpy.typing.NDArray[...]`
                for a certain dtype, or a union with one of these in it.

        Raises:
            ConversionError: The hint asks for something else, or pandas or polars is missing.
            PayloadError: The data is malformed, or costs more than its size allows.
        """
        kind = payload.metadata.get(ARROW_KIND, b"").decode("ascii", "replace")
        if kind not in _KINDS:
            raise PayloadError(f"the arrow-kind {kind[:64]!r} is not known", encoding=ENCODING)
        hints = _alternatives(type_hint)
        wanted = _choose(kind, hints)
        if wanted is None:
            raise _unexpected(type_name(type_hint), f"a {kind}")
        if kind == NUMPY:
            return self._array(payload, hints)
        value = _table(payload, kind, wanted)
        if not any(hint is object or _is_instance(value, hint) for hint in hints):
            raise _unexpected(type_name(type_hint), f"a plain {wanted}")
        return value

    def _array(self, payload: Payload, hints: list[Any]) -> Array:
        data = payload.data
        dtype = payload.metadata.get(ARROW_DTYPE, b"")
        problem = "the data is not a valid numpy array"
        array = attempt(PayloadError, problem, lambda: decode_array(data, dtype))
        if not any(hint is object or _has_dtype(array, hint) for hint in hints):
            expected = " or ".join(map(type_name, hints))
            raise _unexpected(expected, f"an array of {array.dtype.name}")
        # A copy where it begins at an odd address, too: compiled code may not cope with that.
        return array.copy(order="K") if self.writable or not array.flags.aligned else array


def _encode(kind: str, value: Any) -> tuple[bytes, bytes]:
    if kind == NUMPY:
        return encode_array(value)
    return write_table(_WRITERS[kind](sys.modules[kind.partition(".")[0]], value)), b""


def _table(payload: Payload, kind: str, wanted: str) -> Any:
    library = _library(wanted.partition(".")[0])
    data = payload.data
    table = attempt(PayloadError, "the data is not a valid Arrow stream", lambda: read_table(data))
    error = PayloadError if wanted == kind else ConversionError
    problem = f"the data is of a {kind}, and not valid as a {wanted}"
    return attempt(error, problem, lambda: _READERS[wanted](library, table))


def _library(name: str) -> Any:
    try:
        library = import_module(name)
    except ImportError as err:
        problem = f"reading this value needs {name}: pip install {name}, or ask for a pyarrow.Table"
        raise ConversionError(problem, encoding=ENCODING) from err
    if name == PANDAS_SERIES.partition(".")[0]:
        # pyarrow learns of the types for periods and intervals when the first is written.
        pa.array(library.array([], dtype="period[D]"))
    return library


# By kind, called with the library's module: an object to a table, and a table to an object.
_WRITERS: Final[dict[str, Callable[[Any, Any], Table]]] = {
    PANDAS_DATAFRAME: write_pandas,
    PANDAS_SERIES: write_pandas,
    POLARS_DATAFRAME: write_polars,
    POLARS_SERIES: write_polars,
    TABLE: lambda _, value: value,
    RECORD_BATCH: lambda _, value: pa.Table.from_batches([value]),
    ARRAY: lambda _, value: pa.Table.from_arrays([value], names=[""]),
    CHUNKED_ARRAY: lambda _, value: pa.Table.from_arrays([value], names=[""]),
}
_READERS: Final[dict[str, Callable[[Any, Table], Any]]] = {
    PANDAS_DATAFRAME: read_pandas,
    PANDAS_SERIES: read_pandas_series,
    POLARS_DATAFRAME: read_polars,
    POLARS_SERIES: read_polars_series,
    TABLE: lambda _, table: table,
    RECORD_BATCH: lambda _, table: only_batch(table),
    ARRAY: lambda _, table: only_column(table).combine_chunks(),
    CHUNKED_ARRAY: lambda _, table: only_column(table),
}


def _kind_of(cls: Any) -> str | None:
    """Name the class that `cls` is or is derived from, without importing a library for that."""
    if not isinstance(cls, type):
        return None
    for kind in _KINDS:
        module, _, name = kind.partition(".")
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and issubclass(cls, known):
            return kind
    return None


def _alternatives(type_hint: Any) -> list[Any]:
    """Return the members of a union, or the hint alone; `object` stands for no hint."""
    hint = unwrapped(type_hint)
    if hint is None or hint is Any:
        return [object]
    if metadata_of(hint):
        return _alternatives(hint.__origin__)
    if get_origin(hint) in UNIONS:
        return [one for member in get_args(hint) for one in _alternatives(member)]
    return [hint]


def _choose(kind: str, hints: list[Any]) -> str | None:
    """Return the kind to read: the one that was written, if the hint allows it."""
    kinds = [_kind_of(class_of(hint)) for hint in hints]
    if kind in kinds or object in hints:
        return kind
    group = _TABLES if kind in _TABLES else _COLUMNS if kind in _COLUMNS else ()
    return next((other for other in kinds if other in group), None)


def _is_instance(value: Any, hint: Any) -> bool:
    cls = class_of(hint)
    return _kind_of(cls) is not None and isinstance(value, cls)


def _has_dtype(array: Array, hint: Any) -> bool:
    # NDArray[X] is ndarray[shape, dtype[X]]; where there is no X, any dtype will do.
    dtypes = [one for argument in get_args(hint)[1:] for one in _alternatives(argument)]
    items = [
        class_of(one)
        for dtype in dtypes
        for argument in get_args(dtype)
        for one in _alternatives(argument)
    ]
    return class_of(hint) is np.ndarray and (
        not items
        or any(isinstance(item, type) and issubclass(array.dtype.type, item) for item in items)
    )


def _unexpected(expected: str, found: str) -> ConversionError:
    return ConversionError(f"expected {expected}, got {found}", encoding=ENCODING)

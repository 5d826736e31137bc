"""Arrow tables as streams that are the same for equal tables, and are checked on both ways."""

from __future__ import annotations

from typing import Any

from .arrow_intake import Table, check_stream, pa
from .arrow_message import Refused


def write_table(table: Table) -> bytes:
    """Write a table, not compressed: that is a codec's work.

    Raises:
        Refused: It would not be read again.
        Exception: Whatever pyarrow says about it.
    """
    batches = _batches(table)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    check_stream(data)
    return data


def read_table(data: bytes) -> Table:
    """Read a checked stream without copying it; the table keeps `data` alive.

    Raises:
        Refused: The stream breaks one of the bounds.
        Exception: Whatever pyarrow says about a stream that is not valid.
    """
    check_stream(data)
    # polars and numpy want aligned buffers: one that is not is copied.
    options = pa.ipc.IpcReadOptions(
        ensure_alignment=pa.ipc.Alignment.DataTypeSpecific, use_threads=False
    )
    table = pa.ipc.open_stream(pa.py_buffer(data), options=options).read_all()
    table.validate(full=True)
    return table


def only_batch(table: Table) -> Any:
    """Return a table as one `RecordBatch`.

    Raises:
        Refused: It is too large for that.
    """
    batches = _batches(table)
    if len(batches) > 1:
        raise Refused("the table is too large for one pyarrow.RecordBatch")
    return batches[0]


def only_column(table: Table) -> Any:
    """Return the one column of a table, a `ChunkedArray`.

    Raises:
        Refused: There are more, or none.
    """
    if table.num_columns != 1:
        raise Refused("the data is not one column, or has an index: ask for a pandas.Series")
    return table.column(0)


def _batches(table: Table) -> list[Any]:
    """Return the one batch of a table; more only where a column has 2 GiB of text.

    Equal tables would otherwise have as many forms as there are ways to cut them. A table without
    rows has a batch as well: with it come the dictionaries.
    """
    table = table.combine_chunks()
    return table.to_batches() or [
        pa.RecordBatch.from_arrays(
            [column.combine_chunks() for column in table.columns], schema=table.schema
        )
    ]

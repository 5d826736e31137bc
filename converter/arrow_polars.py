"""polars objects as Arrow tables.

polars hands its columns to pyarrow with the types of its oldest interface: every reader of Arrow
knows them, while the newer ones (views of text) may use the same bytes many times. polars' own
reader of streams is not used, because it does not check what it reads.
"""

from __future__ import annotations

from typing import Any, Final

from .arrow_intake import Table, pa
from .arrow_message import Refused
from .arrow_tables import only_column

# Metadata of a field. Arrow has one type for what polars calls `Categorical` and `Enum`.
_ENUM: Final = b"polars-enum"

# What polars writes itself. It takes other types too, but converts them at the top of a column
# only: deeper down it then reads 64 bits an item where there are 32. A list of decimals of 64 bits
# ends the process (polars 2.1).
_LEAVES: Final = frozenset(
    (
        *(pa.null(), pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.large_binary()),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.date32(), pa.time64("ns")),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64()),
        *(pa.duration(unit) for unit in ("ms", "us", "ns")),
    )
)


def write_polars(pl: Any, value: Any) -> Table:
    """Convert a `DataFrame` or a `Series` to a table that `read_polars` reads.

    Args:
        pl: The module polars.
        value: The object.

    Raises:
        Refused: It would not come back as it was.
        BaseException: Whatever pyarrow and polars say about it, panics included.
    """
    if type(value) not in (pl.DataFrame, pl.Series):
        raise Refused("a subclass of a polars class would come back as that class: convert it")
    frame = value.to_frame() if isinstance(value, pl.Series) else value
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    marks = [{_ENUM: b""} if isinstance(dtype, pl.Enum) else None for dtype in frame.dtypes]
    table = _described_as(table, marks)
    restored = read_polars(pl, table)
    # An object would be sent as its address in memory, for one.
    for position, dtype in enumerate(frame.dtypes):
        if restored.dtypes[position] != dtype:
            raise Refused(f"column {position} of the polars object would change its type: cast it")
    return table


def read_polars(pl: Any, table: Table) -> Any:
    """Convert a table to a `DataFrame`.

    Raises:
        Refused: It has a type that polars does not write.
        BaseException: Whatever polars says about it, panics included.
    """
    for field in table.schema:
        is_dictionary = pa.types.is_dictionary(field.type)
        _check_type(pl, field.type.value_type if is_dictionary else field.type)
    # Without metadata: polars would make categories of what a stranger says in its own entries.
    frame = pl.from_arrow(_described_as(table, [None] * table.num_columns))
    frame.columns = table.column_names  # polars gives one without a name another one
    enums = [
        frame[field.name].cast(pl.Enum(_categories(table, position)))
        for position, field in enumerate(table.schema)
        if _ENUM in (field.metadata or {})
    ]
    return frame.with_columns(enums)


def read_polars_series(pl: Any, table: Table) -> Any:
    """Convert a table of one column to a `Series`.

    Raises:
        Refused: There are more columns, such as an index.
        BaseException: Whatever polars says about it, panics included.
    """
    only_column(table)
    return read_polars(pl, table).to_series()


def _check_type(pl: Any, column: Any) -> None:
    types = pa.types
    if types.is_list(column) or types.is_large_list(column) or types.is_fixed_size_list(column):
        _check_type(pl, column.value_type)
    elif types.is_struct(column) and len({field.name for field in column}) == column.num_fields:
        for field in column:
            _check_type(pl, field.type)
    elif not (
        column in _LEAVES
        or (types.is_timestamp(column) and column.unit != "s")
        or (types.is_decimal128(column) and 0 <= column.scale <= column.precision)
    ):
        raise Refused("there is a column of a type that polars does not write: cast it first")
    elif types.is_timestamp(column) and column.tz is not None:
        # Raises where polars does not know the zone. Inside of a list it would panic, and later.
        pl.Series([], dtype=pl.Datetime("us", column.tz))


def _described_as(table: Table, marks: list[dict[bytes, bytes] | None]) -> Table:
    if not table.num_columns:
        return table  # a new one would have no rows either
    fields = [
        pa.field(field.name, field.type, field.nullable, metadata=mark)
        for field, mark in zip(table.schema, marks, strict=True)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _categories(table: Table, position: int) -> list[Any]:
    column = table.column(position)
    categories: list[Any] = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    return categories

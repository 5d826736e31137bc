"""pandas objects as Arrow tables.

pyarrow keeps the index, the labels and the dtypes as JSON in the schema. Two things here are
beyond it: what a stranger says in that JSON is restricted before pyarrow reads it, and a table is
read back before it is sent, because pyarrow converts what it cannot hold without a word.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import msgspec

from .arrow_intake import Table, pa
from .arrow_message import Refused

# Entries of the schema's metadata. The first is pyarrow's own, described in
# https://pandas.pydata.org/docs/development/developer.html
_PANDAS: Final = b"pandas"
_FREQUENCIES: Final = {"index": b"pandas-freq", "columns": b"pandas-columns-freq"}
_UNNAMED: Final = b"pandas-unnamed"

_MAX_LEVELS: Final = 32  # of an index: each costs a pass over the columns
_MAX_LABEL: Final = 1_000  # characters of a label with levels, which pyarrow parses as Python
# Rows of an index whose frequency follows a calendar (months, business days): to check it, pandas
# counts through the calendar, at some microseconds a row.
_MAX_CALENDAR: Final = 2**16

_EXACT: Final = (str, bytes, int)  # where no two values that differ are equal

# pyarrow converts to the dtype that it makes of such a text: "U99999999" would take all memory.
_Dtype = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(object|bool|boolean|category|str|string(\[(python|pyarrow)\])?"
        r"|[uU]?[iI]nt(8|16|32|64)|[fF]loat(16|32|64)"
        r"|(datetime|timedelta)64\[(s|ms|us|ns)(, [\w/+:-]{1,64})?\]"
        r"|period\[[\w-]{1,32}\]|interval\[[\w/+:,\[\] -]{1,99}\]"
        r"|\w{1,32}(\[[\w/+:,= -]{1,99}\])?\[pyarrow\])\Z"
    ),
]
_LabelType = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(unicode|string|bytes|empty|mixed(-integer)?(-float)?|bool(ean)?|integer"
        r"|u?int(8|16|32|64)|floating|float(16|32|64)|decimal|date|time|datetimetz"
        r"|(datetime|timedelta)(64(\[(s|ms|us|ns)\])?)?|object)\Z"
    ),
]
_Label = str | bool | int | float | None
_Details = dict[str, _Label] | None


class _Range(msgspec.Struct):
    kind: Annotated[str, msgspec.Meta(pattern=r"\Arange\Z")]
    start: int
    stop: int
    step: int
    name: str | None


class _Labels(msgspec.Struct):
    name: _Label
    field_name: _Label
    pandas_type: _LabelType
    numpy_type: _Dtype
    metadata: _Details


class _Column(msgspec.Struct):
    name: str | None
    field_name: str
    pandas_type: str
    numpy_type: _Dtype
    metadata: _Details


class _Description(msgspec.Struct):
    """What pyarrow says about a data frame, as far as it reads it again."""

    index_columns: list[str | _Range]
    column_indexes: list[_Labels]
    columns: list[_Column]
    attributes: dict[str, Any] = {}


def write_pandas(pd: Any, value: Any) -> Table:
    """Convert a `DataFrame` or a `Series` to a table that `read_pandas` reads.

    Args:
        pd: The module pandas.
        value: The object.

    Raises:
        Refused: It would not come back as it was.
        Exception: Whatever pyarrow and pandas say about it.
    """
    if type(value) not in (pd.DataFrame, pd.Series):
        raise Refused("a subclass of a pandas class would come back as that class: convert it")
    frame = value
    marks: dict[bytes, bytes] = {}
    if isinstance(value, pd.Series):
        frame = value.to_frame("" if value.name is None else value.name)
        if value.name is None:
            marks[_UNNAMED] = b""
    _check_labels(pd, frame)
    for axis, key in _FREQUENCIES.items():
        frequency = _frequency_of(pd, getattr(frame, axis))
        if frequency is not None:
            marks[key] = frequency.freqstr.encode()
    try:
        table = pa.Table.from_pandas(frame, nthreads=1)
    except Exception as err:
        raise Refused(_what_fails(frame)) from err
    table = _described_as(table, {**(table.schema.metadata or {}), **marks})
    _check_restored(pd, frame, read_pandas(pd, table))
    return table


def read_pandas(pd: Any, table: Table) -> Any:
    """Convert a table to a `DataFrame`.

    Raises:
        Refused: pandas has no form for it, or what it says about itself is not acceptable.
        Exception: Whatever pyarrow and pandas say about it.
    """
    for field in table.schema:
        _check_type(field.type)
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    described = _described(metadata.get(_PANDAS))
    if described is not None:
        table = _described_as(table, {_PANDAS: msgspec.json.encode(described)})
    # Whole numbers with gaps become objects; the default is floats, which round large ones.
    frame = table.to_pandas(integer_object_nulls=True, use_threads=False)
    if described is not None:
        _restore_objects(pd, table, frame, described)
    for axis, key in _FREQUENCIES.items():
        if key in metadata:
            _set_frequency(pd, getattr(frame, axis), metadata[key].decode())
    return frame


def read_pandas_series(pd: Any, table: Table) -> Any:
    """Convert a table to the `Series` that is its one column beside the index.

    Raises:
        Refused: See `read_pandas`; or there are more columns.
        Exception: Whatever pyarrow and pandas say about it.
    """
    frame = read_pandas(pd, table)
    if frame.shape[1] != 1:
        raise Refused("the data is not one column")
    series = frame.iloc[:, 0]
    series.attrs = frame.attrs
    if _UNNAMED in (table.schema.metadata or {}):
        series.name = None
    return series


def _check_type(column: Any) -> None:
    while pa.types.is_list(column) or pa.types.is_large_list(column):
        column = column.value_type
    # A row of one bit would become a dict or an array, of some hundred bytes.
    if pa.types.is_nested(column):
        raise Refused("pandas has no dtype for structs: use a table of pyarrow or polars")


def _described_as(table: Table, metadata: dict[bytes, bytes]) -> Table:
    if table.num_columns:
        return table.replace_schema_metadata(metadata)
    # Without columns that forgets how many rows there are.
    return pa.table({"": pa.nulls(table.num_rows)}, metadata=metadata).select([])


def _described(text: bytes | None) -> _Description | None:
    if text is None:
        return None
    described = msgspec.json.decode(text, type=_Description)
    levels = described.index_columns
    names = [column.field_name for column in described.columns]
    labels = [column.name for column in described.columns] if described.column_indexes[1:] else []
    if (
        len(levels) > (1 if any(isinstance(level, _Range) for level in levels) else _MAX_LEVELS)
        or len(set(names)) < len(names)
        or max((len(label) for label in labels if label is not None), default=0) > _MAX_LABEL
    ):
        raise Refused("the description of the pandas object has too many parts")
    return described


def _restore_objects(pd: Any, table: Table, frame: Any, described: _Description) -> None:
    """Make text objects again where it was: pandas 3 has a dtype of its own for text."""
    objects = {item.field_name for item in described.columns if item.numpy_type == "object"}
    levels = [level for level in described.index_columns if isinstance(level, str)]
    data = [name for name in table.column_names if name not in levels]
    for position, (name, dtype) in enumerate(zip(data, list(frame.dtypes), strict=True)):
        if name in objects and isinstance(dtype, pd.StringDtype):
            column = frame.iloc[:, position]
            frame.isetitem(position, column.astype(object).where(column.notna(), None))
    if objects.issuperset(levels) and isinstance(frame.index.dtype, pd.StringDtype):
        frame.index = frame.index.astype(object)
    labels = [item.numpy_type for item in described.column_indexes]
    if labels == ["object"] and isinstance(frame.columns.dtype, pd.StringDtype):
        frame.columns = frame.columns.astype(object)


def _frequency_of(pd: Any, index: Any) -> Any:
    return index.freq if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None


def _set_frequency(pd: Any, index: Any, text: str) -> None:
    frequency = pd.tseries.frequencies.to_offset(text[:32])
    if len(index) > _MAX_CALENDAR and not isinstance(frequency, (pd.offsets.Tick, pd.offsets.Day)):
        raise Refused("the index is too long for a frequency by the calendar: set its freq to None")
    index.freq = frequency


def _check_labels(pd: Any, frame: Any) -> None:
    """Refuse what pyarrow would change with no more than a warning, which quotes it."""
    if not frame.columns.is_unique:
        raise Refused("two columns of the pandas object have the same label")
    for level in _levels(pd, frame.columns):
        if "mixed" in pd.api.types.infer_dtype(level, skipna=False):
            raise Refused("the column labels are of mixed types: use text")
    if not all(name is None or isinstance(name, str) for name in frame.index.names):
        raise Refused("the name of an index must be a str")
    if frame.attrs and json.loads(json.dumps(frame.attrs, allow_nan=False)) != frame.attrs:
        raise Refused("the attrs of the pandas object are not plain JSON")


def _what_fails(frame: Any) -> str:
    for position in range(frame.shape[1]):
        try:
            pa.Array.from_pandas(frame.iloc[:, position])
        except Exception:  # noqa: BLE001 - whatever a library says about a value
            return (
                f"column {position} of the pandas object has no Arrow form: use a dtype of "
                "numbers, times, text or categories, and in one of objects values of one type"
            )
    return "the index of the pandas object has no Arrow form: call reset_index()"


def _check_restored(pd: Any, before: Any, after: Any) -> None:
    if before.attrs != after.attrs or not _same_labels(pd, before.columns, after.columns):
        raise Refused("the column labels would come back changed: use text, numbers or times")
    if not _same_labels(pd, before.index, after.index):
        raise Refused("the index would come back changed: call reset_index(), or change its dtype")
    changed = [
        position
        for position, dtype in enumerate(before.dtypes)
        if pd.api.types.is_object_dtype(dtype)
        and not _same_objects(before.iloc[:, position], after.iloc[:, position])
    ]
    if not changed and not before.equals(after):
        columns = range(before.shape[1])
        changed = [at for at in columns if not before.iloc[:, at].equals(after.iloc[:, at])]
    if changed:
        raise Refused(
            f"column {changed[0]} of the pandas object would come back changed: use astype() for "
            "another dtype, and in one of objects values of one type, such as text"
        )


def _same_labels(pd: Any, before: Any, after: Any) -> bool:
    dtypes = [level.dtype for level in _levels(pd, before)]
    return (
        before.equals(after)
        and dtypes == [level.dtype for level in _levels(pd, after)]
        and list(before.names) == list(after.names)
        and _frequency_of(pd, before) == _frequency_of(pd, after)
        and (object not in dtypes or _same_objects(before, after))
    )


def _levels(pd: Any, labels: Any) -> list[Any]:
    return list(labels.levels) if isinstance(labels, pd.MultiIndex) else [labels]


def _same_objects(before: Any, after: Any) -> bool:
    """Compare cell by cell; `equals` takes None for NaN, and 1 for True."""
    return all(
        type(one) is type(other)
        and (one == other if isinstance(one, _EXACT) else repr(one) == repr(other))
        for one, other in zip(before, after, strict=True)
    )

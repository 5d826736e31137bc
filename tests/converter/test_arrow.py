"""`binary/arrow`: what comes back as it was, what is refused, and what a hint asks for."""

from __future__ import annotations

import datetime as dt
import decimal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from sealwire.converter import CompositePayloadConverter, PayloadConverter, default_converters
from sealwire.converter.arrow import ARROW_DTYPE, ARROW_KIND, ArrowConverter
from sealwire.converter.arrow_numpy import decode_array
from sealwire.converter.arrow_tables import read_table
from sealwire.errors import ConversionError
from sealwire.payload import Payload
from sealwire.testing.converters import PayloadConverterConformance

# None of them has types of its own.
pa: Any = import_module("pyarrow")
pd: Any = import_module("pandas")
pl: Any = import_module("polars")

CONVERTER: Final = ArrowConverter()
DAYS: Final = pd.date_range("2020-01-01", periods=3, freq="D")
ZONED: Final = pd.date_range("2020-01-01", periods=3, freq="h", tz="Europe/Berlin")
MARKER: Final = "m4rk3r"


def _items(dtype: str) -> Any:
    numbers = np.arange(24)
    if np.dtype(dtype).kind in "US":
        return numbers.astype(str).astype(dtype)
    return numbers.astype("i8").astype(dtype)


DTYPES: Final = (
    *("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
    *("M8[D]", "M8[ns]", "M8[25s]", "M8", "m8[us]", "m8", "U1", "U5", "S1", "S7"),
    *(">i4", ">f8", ">c16", ">U3", ">M8[s]"),
)


def _arrays() -> Iterable[tuple[str, Any]]:
    for dtype in DTYPES:
        items = _items(dtype)
        yield f"{dtype} in a row", items
        yield f"{dtype} in rows", items.reshape(4, 6)
        yield f"{dtype} in columns", np.asfortranarray(items.reshape(2, 3, 4))
        yield f"{dtype} of a view with gaps", items.reshape(2, 3, 4)[:, ::2, 1:]
        yield f"{dtype} backwards", items[::-1]
        yield f"{dtype} alone", items[3:4].reshape(())
        yield f"{dtype} none", items[:0].reshape(0, 3)
    yield "numbers that are none", np.array([np.nan, np.inf, -np.inf, -0.0])
    yield "times that are none", np.array(["NaT", "2020-01-01"], "M8[s]")
    yield "a repeated row", np.broadcast_to(np.arange(3), (2, 3))
    yield "one column of a larger array", np.arange(6.0).reshape(2, 3)[:, :1]
    yield "one row of every second", np.arange(12.0).reshape(4, 3)[::2][:1]
    yield "64 dimensions", np.zeros((1,) * 64)
    yield "text beyond the first plane", np.array(["\U0001f600", "\ud800"])


def _frames() -> Iterable[tuple[str, Any]]:
    yield "numbers", {"a": [1, 2, 3], "b": [1.5, np.nan, -0.0], "c": np.array([1, 2, 3], "f2")}
    yield "nothing", {}
    yield "no rows", {"a": pd.Series([], dtype="int8"), "b": pd.Categorical([], ["x", "y"])}
    yield "rows only", pd.DataFrame(index=range(5))
    yield "an index only", pd.DataFrame(index=["a", "b"])
    yield "times", {"a": np.array([1, 2], "M8[s]"), "b": np.array([1, 2], "m8[ms]")}
    yield "time zones", {"a": ZONED, "b": ZONED.tz_convert("UTC")}
    yield "text", {"a": ["x", None, "é"], "b": ["", "y", "z"]}
    yield (
        "categories",
        {
            "a": pd.Categorical(["x", None], categories=["y", "x"], ordered=True),
            "b": pd.Categorical([1, 2]),
            "c": pd.Categorical([dt.date(2020, 1, 1)] * 2),
        },
    )
    yield (
        "nullable dtypes",
        {
            "a": pd.array([1, None], "Int8"),
            "b": pd.array([True, None], "boolean"),
            "c": pd.array(["a", None], "string"),
            "d": pd.array([1.5, None], "Float32"),
            "e": pd.array([1, None], "int64[pyarrow]"),
        },
    )
    yield (
        "periods and intervals",
        {
            "a": pd.period_range("2020", periods=3, freq="M"),
            "b": pd.interval_range(0, 3, closed="left"),
        },
    )
    for name, objects in {
        "text": ["x", None, "z"],
        "numbers with a gap": [1, None, 2**60 + 1],
        "bools": [True, None],
        "dates": [dt.date(2020, 1, 1), None, dt.date(1, 1, 1)],
        "times": [dt.time(1, 2, 3, 4)],
        "decimals": [decimal.Decimal("1.50"), decimal.Decimal("-0.25")],
        "bytes": [b"x", None, b""],
        "arrays": [np.arange(2.0), np.arange(3.0)],
        "nothing": [None, None],
    }.items():
        yield f"objects: {name}", {"a": pd.Series(objects, dtype=object)}


def _indexes() -> Iterable[tuple[str, Any]]:
    yield "a range", pd.RangeIndex(10, 4, -2, name="r")
    yield "numbers", pd.Index([3, 1, 2], dtype="int8", name="n")
    yield "text", pd.Index(["x", "y", "z"])
    yield "text as objects", pd.Index(["x", "y", "z"], dtype=object)
    yield "dates", pd.Index([dt.date(2020, 1, day) for day in (1, 2, 3)])
    yield "days", DAYS
    yield "month ends", pd.date_range("2020", periods=3, freq="ME")
    yield "hours in a zone", ZONED
    yield "times without a pattern", DAYS[[0, 2, 1]]
    yield "differences", pd.timedelta_range(0, periods=3, freq="2s")
    yield "periods", pd.period_range("2020", periods=3, freq="Q")
    yield "intervals", pd.interval_range(0, 3)
    yield "categories", pd.CategoricalIndex(["x", "y", "x"])
    yield "two values alike", pd.Index([1, 1, 1])
    yield (
        "levels",
        pd.MultiIndex.from_arrays(
            [["x", "y", "z"], [1, 2, 3], DAYS[[2, 1, 0]]], names=["l", "", None]
        ),
    )


def _labels() -> Iterable[tuple[str, Any]]:
    yield "text", pd.Index(["a", "b", "c"], name="labels")
    yield "text as objects", pd.Index(["a", "b", "c"], dtype=object)
    yield "numbers", pd.Index([5, 7, -1], name="n")
    yield "fractions", pd.Index([0.5, 0.25, 1e300])
    yield "bytes", pd.Index([b"a", b"b", b"c"])
    yield "days", DAYS
    yield "hours in a zone", ZONED
    yield "levels", pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("b", 3)], names=["p", None])


def _pandas() -> Iterable[tuple[str, Any]]:
    for name, columns in _frames():
        yield f"a frame: {name}", pd.DataFrame(columns)
    for name, index in _indexes():
        yield f"an index: {name}", pd.DataFrame({"a": [1, 2, 3]}, index=index)
    for name, labels in _labels():
        yield f"labels: {name}", pd.DataFrame(np.eye(3), columns=labels, index=pd.Index([7, 8, 9]))
    described = pd.DataFrame({"a": [1]})
    described.attrs = {"source": "a sensor", "parts": [1, None, {"x": True}]}
    yield "a frame: attrs", described
    for label in (None, "", "a", 5, ("a", 1)):
        yield f"a series: {label!r}", pd.Series([1.5, 2.5, 3.5], index=DAYS, name=label)
    yield "a series: objects", pd.Series(["x", None], dtype=object)
    yield "a series: none", pd.Series([], dtype="Int8")


def _polars() -> Iterable[tuple[str, Any]]:
    columns = {
        "numbers": [1, None, 3],
        "uint8": pl.Series([1, 2], dtype=pl.UInt8),
        "float32": pl.Series([1.5, None, float("nan")], dtype=pl.Float32),
        "bools": [True, None],
        "text": ["x", None, "é"],
        "bytes": [b"x", None],
        "dates": [dt.date(2020, 1, 1)],
        "times": pl.Series([0, None], dtype=pl.Datetime("us")),
        "in a zone": pl.Series([0, None], dtype=pl.Datetime("ms", "Europe/Berlin")),
        "differences": [dt.timedelta(1)],
        "times of day": [dt.time(1, 2, 3)],
        "decimals": pl.Series([decimal.Decimal("1.5")], dtype=pl.Decimal(10, 2)),
        "categories": pl.Series(["x", "y", None], dtype=pl.Categorical),
        "an enum": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x", "z"])),
        "lists": [[1], None, []],
        "arrays": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
        "structs": [{"x": 1, "y": ["z"]}, None],
        "nothing": [None, None],
    }
    for name, column in columns.items():
        series = pl.Series(name, column)
        yield f"polars: {name}", series
        yield f"polars: {name} in a frame", series.to_frame()
        yield f"polars: {name} without rows", series.to_frame().clear()
    yield "polars: no name", pl.Series("", [1, 2])
    yield "polars: several columns", pl.DataFrame({"b": [1], "a": ["x"], "": [None]})
    yield "polars: in chunks", pl.concat([pl.DataFrame({"a": ["x"]})] * 3, rechunk=False)
    yield "polars: no columns", pl.DataFrame()


def _pyarrow() -> Iterable[tuple[str, Any]]:
    array = pa.array([1, None, 3])
    table = pa.table(
        {
            "a": array,
            "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "fixed": pa.array([b"abcd", None, b"efgh"], pa.binary(4)),
            "dictionary": pa.array(["x", "y", "x"]).dictionary_encode(),
            "time": pa.array([1, 2, 3], pa.time32("s")),
            "lists": pa.array([[["a"]], [], None], pa.large_list(pa.list_(pa.large_string()))),
            "structs": pa.array([{"x": None}] * 3, pa.struct([("x", pa.null())])),
        }
    )
    yield "a table", table
    yield "a table with metadata", table.replace_schema_metadata({"key": "value"})
    yield "a part of a table", table.slice(1, 1)
    yield "a table in chunks", pa.concat_tables([table, table])
    yield "a table without rows", table.slice(0, 0)
    yield "a table without columns", table.select([])
    yield "two columns of a name", pa.table([[1], [2]], names=["a", "a"])
    yield "a batch", table.to_batches()[0]
    yield "a batch without rows", table.to_batches()[0].slice(0, 0)
    yield "an array", array
    yield "an array of nothing", pa.nulls(3)
    yield "a chunked array", pa.chunked_array([["a"], ["b"]])
    yield "a chunked array without chunks", pa.chunked_array([], pa.int8())


VALUES: Final = dict([*_arrays(), *_pandas(), *_polars(), *_pyarrow()])


def _same_array(expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> bool:
    return (
        expected.dtype.str == actual.dtype.str
        and expected.shape == actual.shape
        and expected.tobytes() == actual.tobytes()
        and (expected.flags.fnc == actual.flags.fnc or not expected.flags.forc)
    )


def same(expected: Any, actual: Any) -> bool:
    """Compare what `==` does not: it compares item by item, and takes 1 for True."""
    if type(expected) is not type(actual):
        return False
    if type(expected) is np.ndarray:
        return _same_array(expected, actual)
    if isinstance(expected, (pd.DataFrame, pd.Series)):
        compare = pd.testing.assert_frame_equal
        if isinstance(expected, pd.Series):
            compare = pd.testing.assert_series_equal
        try:
            compare(expected, actual, check_freq=True, check_exact=True)
        except AssertionError:
            return False
        axes = zip(expected.axes, actual.axes, strict=True)
        return expected.attrs == actual.attrs and all(
            getattr(one, "freq", None) == getattr(other, "freq", None) for one, other in axes
        )
    if isinstance(expected, pl.Series):
        expected, actual = expected.to_frame(), actual.to_frame()
    if isinstance(expected, pl.DataFrame):
        return bool(expected.schema == actual.schema and expected.equals(actual))
    return bool(expected.equals(actual)) and (
        not hasattr(expected, "schema")
        or bool(expected.schema.equals(actual.schema, check_metadata=True))
    )


def _payload(value: Any) -> Payload:
    payload = CONVERTER.to_payload(value)
    assert payload is not None
    return payload


def _run(*lines: str, **environment: str) -> str:
    """Run a program in a process of its own, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        env={"PATH": "", **environment},
    )
    assert not done.returncode, done.stderr
    return done.stdout


class TestArrowConverter(PayloadConverterConformance):
    """`binary/arrow`."""

    def converter(self) -> PayloadConverter:
        return ArrowConverter()

    def values(self) -> Iterable[tuple[Any, Any]]:
        return [
            (np.arange(6.0).reshape(2, 3), npt.NDArray[np.float64]),
            (np.array(["x", "yz"]), np.ndarray),
            (pd.DataFrame({"a": ["x", None], "b": [1, 2]}, index=DAYS[:2]), pd.DataFrame),
            (pd.Series([1.5, 2.5]), pd.Series),
            (pl.DataFrame({"a": ["x", None]}), pl.DataFrame),
            (pl.Series("a", ["x"], dtype=pl.Categorical), pl.Series),
            (pa.table({"a": [1, 2]}), pa.Table),
            (pa.record_batch({"a": [1, 2]}), pa.RecordBatch),
            (pa.array([[1], None]), pa.Array),
            (pa.chunked_array([[1], [2]]), pa.ChunkedArray),
        ]

    def same(self, expected: Any, actual: Any) -> bool:
        return same(expected, actual)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """Its class, dtypes, labels, index and every bit of it."""
    assert same(value, CONVERTER.from_payload(_payload(value)))


REFUSED: Final[dict[str, tuple[Any, str]]] = {
    "objects": (np.array([object()]), "astype"),
    "structured": (np.zeros(2, [("a", "i4")]), "each field"),
    "long double": (np.zeros(2, np.longdouble), "astype"),
    "void": (np.zeros(2, "V4"), "astype"),
    "text of any length": (np.array(["a"], "T"), "astype"),
    "masked": (np.ma.array([1, 2], mask=[False, True]), "the mask"),
    "matrix": (np.ones((2, 2)).view(np.matrix), "numpy.asarray"),
    "records": (np.rec.array([(1,)], dtype=[("a", "i4")]), "numpy.asarray"),
    "a derived frame": (type("Derived", (pd.DataFrame,), {})(), "convert it"),
    "a derived series": (type("Derived", (pd.Series,), {})([1]), "convert it"),
    "a derived polars frame": (type("Derived", (pl.DataFrame,), {})(), "convert it"),
    "labels twice": (pd.DataFrame(np.eye(2), columns=["a", "a"]), "same label"),
    "mixed labels": (pd.DataFrame(np.eye(2), columns=[1, "a"]), "use text"),
    "bools as labels": (pd.DataFrame(np.eye(2), columns=[True, False]), "use text"),
    "categories as labels": (
        pd.DataFrame(np.eye(2), columns=pd.CategoricalIndex(["a", "b"])),
        "labels",
    ),
    "a number as the name of an index": (pd.DataFrame(index=pd.Index([1], name=3)), "a str"),
    "an index name of pyarrow's": (
        pd.DataFrame({"a": [1]}, index=pd.Index([1], name="__index_level_0__")),
        "reset_index",
    ),
    "a nullable index": (
        pd.DataFrame({"a": [1]}, index=pd.Index([1], dtype="Int8")),
        "reset_index",
    ),
    "a mixed index": (pd.DataFrame({"a": [1, 2]}, index=[1, "a"]), "reset_index"),
    "attrs beyond JSON": (pd.Series([1]), "attrs"),
    "mixed objects": (pd.DataFrame({"z": [1, 2], "a": [1, "a"]}), "column 1"),
    "lists": (pd.DataFrame({"a": [[1], [2]]}), "column 0"),
    "tuples": (pd.DataFrame({"a": [(1, 2)]}), "column 0"),
    "dicts": (pd.DataFrame({"a": [{"x": 1}]}), "structs"),
    "two kinds of nothing": (pd.Series(["x", np.nan], dtype=object), "column 0"),
    "decimals of several scales": (
        pd.Series([decimal.Decimal("1.5"), decimal.Decimal("1.25")]),
        "column 0",
    ),
    "floats as objects": (pd.Series([1.5, None], dtype=object), "astype"),
    "uuids": (pd.Series([uuid.UUID(int=1)]), "convert|column 0"),
    "complex numbers": (pd.Series([1j]), "column 0"),
    "sparse": (pd.Series(pd.arrays.SparseArray([0, 1])), "column 0"),
    "categories of intervals": (pd.Series(pd.cut([1, 2], 2)), "no Arrow form"),
    "an Arrow dtype with parameters": (
        pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        "no Arrow form",
    ),
    "polars objects": (pl.Series([object()], dtype=pl.Object), "cast it"),
    "polars 128 bits": (pl.Series([1], dtype=pl.Int128), "no Arrow form"),
    "polars categories in a list": (
        pl.Series([["x"]], dtype=pl.List(pl.Categorical)),
        "cast it",
    ),
    "polars categories of a name": (
        pl.Series(["x"], dtype=pl.Categorical(pl.Categories("name"))),
        "cast it",
    ),
    "views": (pa.array(["x"], pa.string_view()), "cast it"),
    "list views": (pa.array([[1]], pa.list_view(pa.int64())), "cast it"),
    "runs": (pa.RunEndEncodedArray.from_arrays([2], [1]), "cast it"),
    "unions": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), "cast it"),
    "calendar intervals": (pa.nulls(1, pa.month_day_nano_interval()), "cast it"),
    "decimals of 256 bits": (pa.nulls(1, pa.decimal256(50, 2)), "128 bits"),
    "decimals of 64 bits": (pa.nulls(1, pa.decimal64(5, 2)), "128 bits"),
    "a width of nothing": (pa.nulls(1, pa.binary(0)), "size of 0"),
    "lists of nothing": (pa.nulls(1, pa.list_(pa.int8(), 0)), "size of 0"),
    "a dictionary of bytes": (pa.array([b"x"]).dictionary_encode(), "categories"),
    "an extension": (pa.nulls(1, pa.uuid()), "extension"),
    "millions of nothing": (pa.nulls(2**21), "leave out"),
}
REFUSED["attrs beyond JSON"][0].attrs = {"key": (1, 2)}


@pytest.mark.parametrize(("value", "advice"), REFUSED.values(), ids=REFUSED)
def test_what_would_not_come_back_is_refused(value: Any, advice: str) -> None:
    """The error says what to do, and is raised before anything is sent."""
    with pytest.raises(ConversionError, match=advice) as caught:
        CONVERTER.to_payload(value)
    assert "binary/arrow" == caught.value.encoding


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({MARKER: [MARKER, object()]}),
        pd.DataFrame({MARKER: [MARKER, 1]}),
        pd.DataFrame({"a": [1]}, index=pd.Index([MARKER], name=(MARKER, 1))),
        pd.DataFrame([[1, 2]], columns=[MARKER, 1]),
        pd.DataFrame([[1, 2]], columns=[MARKER, MARKER]),
        pd.Series(pd.Categorical([(MARKER, 1)])),
        pd.Series([{MARKER: MARKER}, {MARKER: 1}]),
        pl.Series(MARKER, [[MARKER]], dtype=pl.List(pl.Enum([MARKER]))),
        pl.Series(MARKER, [MARKER], dtype=pl.Object),
        pa.table({MARKER: pa.array([MARKER], pa.string_view())}),
        np.array([MARKER], object),
        np.zeros(1, [(MARKER, "i4")]),
    ],
    ids=range(12),
)
def test_an_error_quotes_nothing(
    value: Any, everything_said: Callable[[BaseException], str]
) -> None:
    """Neither an item nor a label is in the error, nor in what it is chained to."""
    with pytest.raises(ConversionError) as caught:
        CONVERTER.to_payload(value)
    assert MARKER not in everything_said(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "value",
    [None, 1, "x", [np.zeros(1)], np.float64(1), np.int64(1), pl.LazyFrame(), pd.Index([1])],
)
def test_other_values_are_declined(value: Any) -> None:
    """Scalars of numpy too: they are left to the converters for numbers."""
    assert CONVERTER.to_payload(value) is None
    assert not CONVERTER.can_take(value.__class__)


def test_it_takes_part_in_a_composite() -> None:
    """In front of the others it takes arrays, and leaves everything else to them."""
    composite = CompositePayloadConverter(CONVERTER, *default_converters())
    values = [np.arange(3), {"a": 1}, None]
    payloads = composite.to_payloads(values)
    assert [b"binary/arrow", b"json/plain", b"binary/null"] == [
        payload.metadata["encoding"] for payload in payloads
    ]
    assert same(values[0], composite.from_payload(payloads[0]))


def test_the_metadata_says_what_it_was() -> None:
    """The kind is the class; a dtype is there only where Arrow has none."""
    assert {"encoding": b"binary/arrow", ARROW_KIND: b"numpy.ndarray"} == dict(
        _payload(np.zeros(1)).metadata
    )
    assert b"<c16" == _payload(np.zeros(1, complex)).metadata[ARROW_DTYPE]
    assert b"pandas.Series" == _payload(pd.Series([1])).metadata[ARROW_KIND]
    assert b"pyarrow.Array" == _payload(pa.array([1])).metadata[ARROW_KIND]


PANDAS: Final = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
POLARS: Final = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
ARROW: Final = pa.table({"a": [1, 2], "b": ["x", None]})
COLUMN: Final = pa.array([1, 2])


@pytest.mark.parametrize("value", [PANDAS, POLARS, ARROW, ARROW.to_batches()[0]], ids=type)
@pytest.mark.parametrize("expected", [PANDAS, POLARS, ARROW, ARROW.to_batches()[0]], ids=type)
def test_a_table_becomes_one_of_another_library(value: Any, expected: Any) -> None:
    """The hint overrides what it was."""
    actual = CONVERTER.from_payload(_payload(value), type(expected))
    assert type(expected) is type(actual)
    if isinstance(actual, (pa.Table, pa.RecordBatch)):
        assert ARROW.to_pylist() == actual.to_pylist()
    else:
        assert same(expected, actual)


@pytest.mark.parametrize(
    "value", [pd.Series([1, 2]), pl.Series([1, 2]), COLUMN, pa.chunked_array([[1], [2]])], ids=type
)
@pytest.mark.parametrize("hint", [pd.Series, pl.Series, pa.Array, pa.ChunkedArray])
def test_a_column_becomes_one_of_another_library(value: Any, hint: Any) -> None:
    """The hint overrides what it was."""
    actual = CONVERTER.from_payload(_payload(value), hint)
    assert isinstance(actual, hint)
    assert [1, 2] == (actual.to_pylist() if hasattr(actual, "to_pylist") else actual.to_list())


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.zeros(1), None),
        (np.zeros(1), Any),
        (np.zeros(1), object),
        (np.zeros(1), np.ndarray),
        (np.zeros(1), npt.NDArray[Any]),
        (np.zeros(1), npt.NDArray[np.float64]),
        (np.zeros(1), npt.NDArray[np.floating[Any]]),
        (np.zeros(1), npt.NDArray[np.int8] | npt.NDArray[np.float64]),
        (np.zeros(1), np.ndarray[Any, np.dtype[np.int8 | np.float64]]),
        (np.zeros(1), Annotated[list[float] | np.ndarray | None, "note"]),
        (np.zeros(1, ">f8"), npt.NDArray[np.float64]),
        (PANDAS, pd.DataFrame | None),
        (PANDAS, pl.DataFrame | pd.DataFrame),
        (PANDAS, dict[str, int] | Any),
        (COLUMN, pa.Int64Array),
    ],
    ids=str,
)
def test_a_hint_that_allows_the_value_changes_nothing(value: Any, hint: Any) -> None:
    """So does one that says nothing, and a union in which the class is one of several."""
    assert same(value, CONVERTER.from_payload(_payload(value), hint))


def test_a_union_without_the_class_takes_the_first_that_fits() -> None:
    """What cannot be made of it is passed over."""
    actual = CONVERTER.from_payload(_payload(PANDAS), pl.Series | pl.DataFrame | pa.Table)
    assert isinstance(actual, pl.DataFrame)


@pytest.mark.parametrize(
    ("value", "hint", "expected", "found"),
    [
        (np.zeros(1, "i1"), npt.NDArray[np.float64], "numpy.float64", "int8"),
        (np.zeros(1, "i1"), npt.NDArray[np.floating[Any]], "numpy.floating", "int8"),
        (np.zeros(1), list[float], "list[float]", "numpy.ndarray"),
        (np.zeros(1), pd.DataFrame, "DataFrame", "numpy.ndarray"),
        (np.zeros(1), np.ma.MaskedArray, "MaskedArray", "array of float64"),
        (PANDAS, pd.Series, "Series", "pandas.DataFrame"),
        (PANDAS, np.ndarray, "ndarray", "pandas.DataFrame"),
        (PANDAS, type("Derived", (pd.DataFrame,), {}), "Derived", "a plain pandas.DataFrame"),
        (pd.Series([1]), pa.Table, "Table", "pandas.Series"),
        (COLUMN, pa.StringArray, "StringArray", "pyarrow.Array"),
        (COLUMN, int | None, "int | None", "pyarrow.Array"),
    ],
    ids=str,
)
def test_a_hint_for_something_else_is_an_error(
    value: Any, hint: Any, expected: str, found: str
) -> None:
    """It states what was expected and what there is."""
    with pytest.raises(ConversionError, match=r"^expected ") as caught:
        CONVERTER.from_payload(_payload(value), hint)
    assert expected in str(caught.value)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("value", "hint", "advice"),
    [
        (pd.Series([1], index=["x"]), pa.Array, "has an index"),
        (pd.Series([1], index=["x"]), pl.Series, "has an index"),
        (pl.DataFrame({"a": [{"x": 1}]}), pd.DataFrame, "structs"),
        (pa.table([[1], [2]], names=["a", "a"]), pl.DataFrame, "not valid as a polars.DataFrame"),
    ],
    ids=str,
)
def test_a_table_that_does_not_fit_another_library_is_an_error(
    value: Any, hint: Any, advice: str
) -> None:
    """It is refused, and nothing is left out."""
    with pytest.raises(ConversionError, match=advice):
        CONVERTER.from_payload(_payload(value), hint)


def test_numbers_with_gaps_are_not_rounded() -> None:
    """As floats, which pandas would make of them, this number could not be said."""
    frame = CONVERTER.from_payload(_payload(pl.DataFrame({"a": [2**60 + 1, None]})), pd.DataFrame)
    assert [2**60 + 1, None] == frame["a"].to_list()


def test_an_index_becomes_columns_elsewhere() -> None:
    """There is none in polars and pyarrow."""
    payload = _payload(pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="key")))
    frame = CONVERTER.from_payload(payload, pl.DataFrame)
    assert {"a": [1], "key": ["x"]} == frame.to_dict(as_series=False)


def test_an_array_is_read_in_place() -> None:
    """No item is copied, whatever the dtype; so the array cannot be written to."""
    for array in (np.arange(3.0), np.array([1j]), np.array(["x", "yz"]), np.zeros((2, 3), "M8[s]")):
        payload = _payload(array)
        data = payload.data
        read = decode_array(data, payload.metadata.get(ARROW_DTYPE, b""))
        assert np.shares_memory(read, np.frombuffer(data, np.uint8))
        assert not read.flags.writeable


def test_a_writable_array_is_a_copy() -> None:
    """With the option, an array can be changed."""
    array = ArrowConverter(writable=True).from_payload(_payload(np.zeros((2, 3), order="F")))
    array[0, 0] = 1
    assert array.flags.owndata
    assert array.flags.f_contiguous


def test_a_table_is_read_in_place() -> None:
    """Its buffers lie inside the data."""
    data = _payload(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})).data
    begin = pa.py_buffer(data).address
    for column in read_table(data).columns:
        for buffer in column.chunk(0).buffers()[1:]:
            assert begin <= buffer.address < begin + len(data)


def test_a_frame_can_be_changed() -> None:
    """A copy is made of what is changed, and the payload stays as it was."""
    payload = _payload(pd.DataFrame({"a": [1, 2]}))
    frame = CONVERTER.from_payload(payload)
    frame.loc[0, "a"] = 5
    assert [5, 2] == frame["a"].to_list()
    assert [1, 2] == CONVERTER.from_payload(payload)["a"].to_list()


def test_nothing_is_compressed() -> None:
    """That is a codec's work, and the reader refuses it."""
    assert len(_payload(np.zeros(10_000)).data) > 80_000
    assert len(_payload(pa.array([0] * 10_000)).data) > 80_000


def test_equal_tables_give_the_same_bytes() -> None:
    """However they are cut into chunks, and wherever they begin."""
    whole = pa.table({"a": ["x", "y", "x"], "b": pa.array(["x", "y", "x"]).dictionary_encode()})
    longer = pa.concat_tables([whole, whole])
    for other in (pa.concat_tables([whole.slice(0, 1), whole.slice(1)]), longer.slice(3)):
        assert whole.equals(other)
        assert _payload(whole) == _payload(other)
    array = np.arange(12.0).reshape(3, 4)
    assert _payload(array[:, :1]) == _payload(array[:, :1].copy())


def test_every_process_writes_the_same_bytes() -> None:
    """Nothing depends on the seed of the hashes."""
    program = """
import hashlib, pandas as pd, polars as pl, pyarrow as pa, numpy as np
from sealwire.converter.arrow import ArrowConverter
names = sorted({"one", "two", "three"})
for value in (
    pd.DataFrame({"a": pd.Categorical(names), "b": names}, index=pd.Index(names, name="key")),
    pl.DataFrame({"a": pl.Series(names, dtype=pl.Categorical), "b": [{"x": n} for n in names]}),
    pa.table({"a": names}).replace_schema_metadata({"k": "v", "l": "w"}),
    np.array(names),
):
    payload = ArrowConverter().to_payload(value)
    print(hashlib.sha256(payload.data).hexdigest(), sorted(payload.metadata.items()))
"""
    assert 1 == len({_run(program, PYTHONHASHSEED=seed) for seed in ("0", "1", "4711")})


BLOCK: Final = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pandas", "polars"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
from sealwire.converter.arrow import ArrowConverter
from sealwire.errors import ConversionError
from sealwire.payload import Payload
converter = ArrowConverter()
"""


@pytest.mark.parametrize("value", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_a_missing_library_is_named(value: Any) -> None:
    """The error says what to install, and without it the table of pyarrow can be had."""
    library = type(value).__module__.partition(".")[0]
    program = f"""
payload = Payload.FromString({_payload(value).SerializeToString()!r})
try:
    converter.from_payload(payload)
except ConversionError as err:
    print(err)
import pyarrow
print(converter.from_payload(payload, pyarrow.Table).column_names)
"""
    message, columns = _run(BLOCK, program).splitlines()
    assert f"pip install {library}" in message
    assert "['a', 'b']" == columns


def test_pandas_and_polars_are_not_needed_for_arrays() -> None:
    """Without them arrays go and come."""
    program = """
import numpy
print(converter.from_payload(converter.to_payload(numpy.arange(3))).tolist())
print(converter.to_payload("text"))
"""
    assert "[0, 1, 2]\nNone\n" == _run(BLOCK, program)


def test_the_types_of_pandas_are_known_before_one_is_written() -> None:
    """A process that only reads gets periods and intervals, and not what they are made of."""
    frame = pd.DataFrame(
        {"a": pd.interval_range(0, 2)}, index=pd.period_range("2020", periods=2, freq="M")
    )
    program = f"""
from sealwire.converter.arrow import ArrowConverter
from sealwire.payload import Payload
frame = ArrowConverter().from_payload(Payload.FromString({_payload(frame).SerializeToString()!r}))
print(frame["a"].dtype, frame.index.dtype)
"""
    assert "interval[int64, right] period[M]\n" == _run(program)


def test_importing_the_converters_imports_no_library() -> None:
    """The extra is imported by name, and brings neither pandas nor polars."""
    program = """
import sys
import sealwire.converter
print([name for name in ("numpy", "pyarrow") if name in sys.modules])
import sealwire.converter.arrow, numpy
sealwire.converter.arrow.ArrowConverter().to_payload(numpy.zeros(1))
print([name for name in ("pandas", "polars") if name in sys.modules])
"""
    assert "[]\n[]\n" == _run(program)

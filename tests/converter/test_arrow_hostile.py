"""Arrow data from a stranger: nothing but our errors, and no more work than its size allows."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import struct
from importlib import import_module
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire.converter.arrow import ARROW_DTYPE, ARROW_KIND, ArrowConverter
from sealwire.converter.arrow_intake import MAX_BATCHES, MAX_DEPTH, attempt, check_stream
from sealwire.converter.arrow_message import Refused
from sealwire.errors import ConversionError, PayloadError
from sealwire.payload import ENCODING, Payload

# None of them has types of its own.
pa: Any = import_module("pyarrow")
pd: Any = import_module("pandas")
pl: Any = import_module("polars")

CONVERTER: Final = ArrowConverter()
END: Final = struct.pack("<Ii", 0xFFFFFFFF, 0)

VALUES: Final = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([True, False]),
    np.array([1j, 2j]),
    np.array(["x", "yz"]),
    pd.DataFrame(
        {
            "a": [1, 2],
            "b": ["x", None],
            "c": pd.Categorical(["p", "q"]),
            "d": [dt.date(2020, 1, 1), None],
            "e": pd.array([1, None], "Int8"),
            "f": [None, None],
        },
        index=pd.date_range("2020", periods=2, tz="Europe/Berlin"),
    ),
    pd.DataFrame(
        {"a": pd.period_range("2020", periods=2, freq="M"), "b": pd.interval_range(0, 2)},
        index=pd.MultiIndex.from_arrays([["x", "y"], [1, 2]], names=["l", None]),
    ),
    pd.DataFrame(np.eye(2), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    pd.DataFrame(np.eye(2), columns=pd.date_range("2020", periods=2)),
    pd.Series(["x", None], dtype=object),
    pl.DataFrame(
        {
            "a": ["x", None],
            "b": pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])),
            "c": [[1], None],
            "d": [{"x": 1}, None],
            "e": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2)),
            "f": [decimal.Decimal("1.5"), None],
        }
    ),
    pl.Series("a", ["x", "y"], dtype=pl.Categorical),
    pa.table({"a": [1, 2], "b": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64()))}),
    pa.record_batch({"a": [b"x", None], "b": pa.array([1, 2], pa.time32("s"))}),
    pa.array([["x"], None]),
    pa.chunked_array([[1.5], [None]]),
]
HINTS: Final = [None, pd.DataFrame, pd.Series, pl.DataFrame, pl.Series, pa.Table, pa.Array]


def _payload(value: Any) -> Payload:
    payload = CONVERTER.to_payload(value)
    assert payload is not None
    return payload


def _with(payload: Payload, data: bytes, **metadata: bytes) -> Payload:
    return Payload(metadata={**payload.metadata, **metadata}, data=data)


def _of(kind: str, data: bytes, dtype: bytes = b"") -> Payload:
    metadata = {ENCODING: b"binary/arrow", ARROW_KIND: kind.encode()}
    return Payload(metadata={**metadata, ARROW_DTYPE: dtype} if dtype else metadata, data=data)


def _stream(*batches: Any, schema: Any = None, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    how = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, schema or batches[0].schema, options=how) as stream:
        for batch in batches:
            stream.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _messages(data: bytes) -> list[bytes]:
    """Cut a stream into its messages; the last is the marker of the end."""
    parts: list[bytes] = []
    reader = pa.ipc.MessageReader.open_stream(data)
    for message in reader:
        parts.append(message.serialize().to_pybytes())
    return [*parts, END]


def _batch(*columns: Any) -> Any:
    return pa.RecordBatch.from_arrays(list(columns), names=[f"c{at}" for at in range(len(columns))])


def _refused(payload: Payload, hint: Any = None) -> str:
    with pytest.raises((PayloadError, ConversionError)) as caught:
        CONVERTER.from_payload(payload, hint)
    assert caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@settings(deadline=None, max_examples=60)
@given(data=st.data(), hint=st.sampled_from(HINTS))
def test_damaged_data_gives_a_value_or_one_of_our_errors(
    value: Any, data: st.DataObject, hint: Any
) -> None:
    """Bits flipped, numbers replaced, ends cut off: nothing else is raised, and nothing crashes."""
    payload = _payload(value)
    damaged = bytearray(payload.data)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        if data.draw(st.booleans()):
            damaged[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            number = data.draw(st.sampled_from([0, 1, -1, 2**31 - 1, 2**31, 2**62, -(2**63)]))
            damaged[at : at + 8] = struct.pack("<q", number)
    end = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    with contextlib.suppress(PayloadError, ConversionError):
        CONVERTER.from_payload(_with(payload, bytes(damaged[:end])), hint)


@settings(deadline=None)
@given(data=st.binary(max_size=80), kind=st.sampled_from([_payload(value) for value in VALUES]))
def test_any_bytes_give_one_of_our_errors(data: bytes, kind: Payload) -> None:
    """What is no Arrow stream at all is refused."""
    for raw in (data, END[:4] + data, END[:4] + struct.pack("<i", len(data)) + data):
        with pytest.raises(PayloadError):
            CONVERTER.from_payload(_with(kind, raw))


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_shorter_or_longer_stream_is_refused(value: Any) -> None:
    """Every byte counts: none may be missing at the end, and none may follow."""
    payload = _payload(value)
    data = payload.data
    for damaged in (*(data[:size] for size in range(0, len(data), 8)), data + END, data + b"\0"):
        _refused(_with(payload, damaged))


@pytest.mark.parametrize("kind", [b"", b"numpy", b"pandas.Index", b"\xff\x00", b"os.system"])
def test_an_unknown_kind_is_refused(kind: bytes) -> None:
    """Only the kinds that are written are read, and nothing is imported by name."""
    payload = _payload(pa.table({"a": [1]}))
    assert "arrow-kind" in _refused(_with(payload, payload.data, **{ARROW_KIND: kind}))


def test_a_stream_under_the_kind_of_an_array_is_refused() -> None:
    """So is the other way round."""
    array, table = _payload(np.zeros(1)), _payload(pa.table({"a": [1]}))
    assert "tensor" in _refused(_with(array, table.data))
    _refused(_with(table, array.data))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_compressed_buffer_is_refused(compression: str) -> None:
    """A few bytes would become as many as they say."""
    data = _stream(_batch(pa.array([0] * 10_000)), compression=compression)
    assert "compressed" in _refused(_of("pyarrow.Table", data))


def test_a_compressed_dictionary_is_refused() -> None:
    """A dictionary is a batch as well."""
    column = pa.array(["x" * 1000] * 2).dictionary_encode()
    schema, dictionary, batch, end = _messages(_stream(_batch(column), compression="zstd"))
    plain = _messages(_stream(_batch(column)))
    assert "compressed" in _refused(_of("pyarrow.Table", schema + dictionary + plain[2] + end))
    assert "compressed" in _refused(_of("pyarrow.Table", schema + plain[1] + batch + end))


def _numbers_replaced(data: bytes, old: int, new: int) -> bytes:
    packed = struct.pack("<q", old)
    assert packed in data
    return data.replace(packed, struct.pack("<q", new))


@pytest.mark.parametrize("rows", [2**24, 2**40, 2**62])
@pytest.mark.parametrize("kind", ["pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"])
@pytest.mark.parametrize(
    "column",
    [pa.nulls(77), pa.array([{}] * 77), pa.array([[None] * 77])],
    ids=["null", "struct of nothing", "list of null"],
)
def test_rows_without_bytes_are_refused(column: Any, kind: str, rows: int) -> None:
    """A hundred bytes may not claim any number of cells."""
    data = _numbers_replaced(_stream(_batch(column)), 77, rows)
    assert "far more cells" in _refused(_of(kind, data))


def test_rows_without_columns_are_refused() -> None:
    """An index can be a range: its rows are counted, too."""
    payload = _payload(pd.DataFrame(index=range(77)))
    assert "far more cells" in _refused(_with(payload, _numbers_replaced(payload.data, 77, 2**62)))


def test_a_negative_number_of_rows_is_refused() -> None:
    """It would pay for others."""
    data = _numbers_replaced(_stream(_batch(pa.nulls(77), pa.nulls(77))), 77, -1)
    assert "not complete" in _refused(_of("pyarrow.Table", data))


def test_a_stream_of_nothing_is_refused() -> None:
    """An end alone is not a stream."""
    assert "not complete" in _refused(_of("pyarrow.Table", END))


def _nested(depth: int) -> Any:
    column = pa.array([1])
    for _ in range(depth - 1):
        column = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), column)
    return column


FOREIGN: Final = {
    "string view": pa.array(["x"], pa.string_view()),
    "binary view": pa.array([b"x"], pa.binary_view()),
    "list view": pa.array([[1]], pa.list_view(pa.int64())),
    "runs": pa.RunEndEncodedArray.from_arrays([2**30], [1]),
    "a union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    "a calendar interval": pa.nulls(1, pa.month_day_nano_interval()),
    "256 bits": pa.nulls(1, pa.decimal256(50, 2)),
    "64 bits": pa.nulls(1, pa.list_(pa.decimal64(5, 2))),
    "a width of 0": pa.nulls(1, pa.binary(0)),
    "lists of 0": pa.nulls(1, pa.list_(pa.int8(), 0)),
    "a dictionary in a list": pa.ListArray.from_arrays([0, 1], pa.array(["x"]).dictionary_encode()),
    "a dictionary of bytes": pa.array([b"x"]).dictionary_encode(),
    "a dictionary of lists": pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([[1]])),
    "an extension": pa.nulls(1, pa.uuid()),
    "views in a list": pa.ListArray.from_arrays([0, 1], pa.array(["x"], pa.string_view())),
    "a depth of 17": _nested(MAX_DEPTH + 1),
}


@pytest.mark.parametrize("kind", ["pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"])
@pytest.mark.parametrize("column", FOREIGN.values(), ids=FOREIGN)
def test_a_type_that_is_not_on_the_list_is_refused(column: Any, kind: str) -> None:
    """Its size is out of proportion to its bytes, or a reader does not know it."""
    with pytest.raises(Refused):
        check_stream(_stream(_batch(column)))
    _refused(_of(kind, _stream(_batch(column))))


def test_nesting_up_to_the_limit_is_read() -> None:
    """The limit is where it says."""
    assert MAX_DEPTH - 1 == str(CONVERTER.from_payload(_payload(_nested(MAX_DEPTH))).type).count(
        "<"
    )


def test_an_extension_is_not_built() -> None:
    """Its class would get the stranger's text, whatever it does with it."""
    built: list[bytes] = []

    class Spy(pa.ExtensionType):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(pa.int64(), "test.spy")  # pyright: ignore[reportUnknownMemberType]

        def __arrow_ext_serialize__(self) -> bytes:
            return b"text"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Any:
            built.append(serialized)
            return cls()

    name, harmless = ("ARROW:extension:name", "test.spy"), ("ARROW:extension:name", "pandas.period")
    text = ("ARROW:extension:metadata", "text")
    pa.register_extension_type(Spy())
    try:
        for entries in ([name, text], [name, harmless, text], [harmless, name, text]):
            metadata = pa.KeyValueMetadata(entries)
            field = pa.field("a", pa.int64(), metadata=metadata)
            batch = pa.RecordBatch.from_arrays([pa.array([1])], schema=pa.schema([field]))
            assert "extension" in _refused(_of("pyarrow.Table", _stream(batch)))
            assert not built
            if entries[0] == name:
                pa.ipc.open_stream(_stream(batch))  # so pyarrow builds it
                assert [b"text"] == built
                built.clear()
    finally:
        pa.unregister_extension_type("test.spy")


class _Flatbuffer:
    """Writes a message by hand, so that it can refer to the same thing twice."""

    def __init__(self) -> None:
        self.data = bytearray(4)

    def table(self, *sizes: int) -> list[int]:
        """Append a table; return where it is, and where its fields of these sizes are."""
        vtable = self._aligned()
        offsets: list[int] = []
        end = 4
        for size in sizes:
            end += -end % min(size, 8) if size else 0
            offsets.append(end if size else 0)
            end += size
        self.data += struct.pack(f"<HH{len(sizes)}H", 4 + 2 * len(sizes), end, *offsets)
        at = self._aligned()
        self.data += struct.pack("<i", at - vtable) + bytes(end - 4)
        return [at, *(at + offset for offset in offsets)]

    def vector(self, count: int, content: bytes) -> int:
        at = self._aligned()
        self.data += struct.pack("<I", count) + content + b"\0"
        return at

    def refer(self, field: int, target: int) -> None:
        struct.pack_into("<I", self.data, field, target - field)

    def put(self, form: str, field: int, number: int) -> None:
        struct.pack_into(form, self.data, field, number)

    def message(self, kind: int) -> int:
        """Begin a message without a body; return the field of its header."""
        message, version, header_kind, header, _ = self.table(2, 1, 4, 8)
        self.refer(0, message)
        self.put("<h", version, 4)
        self.put("<B", header_kind, kind)
        return header

    def frame(self) -> bytes:
        self._aligned()
        return struct.pack("<Ii", 0xFFFFFFFF, len(self.data)) + bytes(self.data)

    def _aligned(self) -> int:
        self.data += bytes(-len(self.data) % 8)
        return len(self.data)


def _schema_of_one_field(repeated: int, name: bytes) -> bytes:
    flat = _Flatbuffer()
    header = flat.message(1)
    schema, _, fields = flat.table(2, 4)
    flat.refer(header, schema)
    vector = flat.vector(repeated, bytes(4 * repeated))
    flat.refer(fields, vector)
    field, label, _, kind, details, _, children = flat.table(4, 1, 1, 4, 0, 4)
    for at in range(repeated):
        flat.refer(vector + 4 + 4 * at, field)
    flat.put("<B", kind, 1)
    flat.refer(details, flat.table()[0])
    flat.refer(children, flat.vector(0, b""))
    flat.refer(label, flat.vector(len(name), name))
    return flat.frame() + END


def _schema_of_nested_fields(depth: int) -> bytes:
    """Write a schema in which every field has the next one twice: 2**depth of them in all."""
    flat = _Flatbuffer()
    header = flat.message(1)
    schema, _, fields = flat.table(2, 4)
    flat.refer(header, schema)
    for _ in range(depth):
        vector = flat.vector(2, bytes(8))
        flat.refer(fields, vector)
        field, label, _, kind, details, _, fields = flat.table(4, 1, 1, 4, 0, 4)
        flat.refer(vector + 4, field)
        flat.refer(vector + 8, field)
        flat.put("<B", kind, 13)
        flat.refer(details, flat.table()[0])
        flat.refer(label, flat.vector(1, b"x"))
    flat.refer(fields, flat.vector(0, b""))
    return flat.frame() + END


def _tensor_of_one_name(dimensions: int, name: bytes) -> bytes:
    flat = _Flatbuffer()
    header = flat.message(4)
    tensor, kind, details, shape, *_ = flat.table(1, 4, 4, 0, 16)
    flat.refer(header, tensor)
    flat.put("<B", kind, 3)
    flat.refer(details, flat.table(2)[0])
    vector = flat.vector(dimensions, bytes(4 * dimensions))
    flat.refer(shape, vector)
    labels: list[int] = []
    for at in range(dimensions):
        dimension, _, label = flat.table(8, 4)
        flat.refer(vector + 4 + 4 * at, dimension)
        labels.append(label)
    text = flat.vector(len(name), name)
    for label in labels:
        flat.refer(label, text)
    return flat.frame()


def test_a_field_used_twice_is_refused() -> None:
    """Metadata is a graph: a kilobyte in a thousand columns is a megabyte."""
    names = pa.ipc.open_stream(_schema_of_one_field(1000, b"x" * 1000)).schema.names
    assert ["x" * 1000] * 1000 == names  # so pyarrow reads it
    assert "more than once" in _refused(
        _of("pyarrow.Table", _schema_of_one_field(1000, b"x" * 1000))
    )
    assert (
        "x"
        == CONVERTER.from_payload(_of("pyarrow.Table", _schema_of_one_field(1, b"x"))).schema.names[
            0
        ]
    )


@pytest.mark.parametrize("depth", [5, 10, MAX_DEPTH - 1])
def test_fields_that_double_are_refused(depth: int) -> None:
    """Two to the power of the depth, in a few kilobytes."""
    assert "more than once" in _refused(_of("pyarrow.Table", _schema_of_nested_fields(depth)))


def test_a_name_used_twice_is_refused() -> None:
    """A tensor has metadata as well, and a text can be as long as the rest."""
    data = _tensor_of_one_name(100, b"x" * 10_000)
    assert (0,) * 100 == pa.ipc.read_tensor(pa.BufferReader(data)).shape  # so pyarrow reads it
    assert "more than once" in _refused(_of("numpy.ndarray", data))


def test_big_endian_data_is_refused() -> None:
    """The bytes of every item would be swapped, and so copied."""
    flat = _Flatbuffer()
    header = flat.message(1)
    schema, endianness, fields = flat.table(2, 4)
    flat.refer(header, schema)
    flat.put("<h", endianness, 1)
    flat.refer(fields, flat.vector(0, b""))
    assert [] == pa.ipc.open_stream(flat.frame() + END).schema.names
    assert "big-endian" in _refused(_of("pyarrow.Table", flat.frame() + END))


def test_a_dictionary_used_twice_is_refused() -> None:
    """Every column would make categories of it."""
    column = pa.array(["x" * 77, "y"]).dictionary_encode()
    other = pa.array(["z", "y"]).dictionary_encode()
    messages = _messages(_stream(_batch(column, other)))
    one = struct.pack("<q", 1)
    places = [at for at in range(8, len(messages[0]) - 8, 4) if messages[0][at : at + 8] == one]
    shared = [
        messages[0][:at] + bytes(8) + messages[0][at + 8 :] + messages[1] + messages[3] + END
        for at in places
    ]
    assert any("categories" in _refused(_of("pyarrow.Table", data)) for data in shared)


def test_metadata_that_refers_to_itself_is_refused() -> None:
    """Wherever a reference is bent to, reading comes to an end."""
    data = _schema_of_nested_fields(1)
    for at in range(8, len(data) - 12, 4):
        for target in range(0, len(data) - 16, 4):
            bent = data[:at] + struct.pack("<I", (target - at + 8) % 2**32) + data[at + 4 :]
            try:
                check_stream(bent)
            except Refused:
                continue


def test_a_buffer_used_twice_is_refused() -> None:
    """A megabyte in a thousand columns would be a gigabyte as soon as one copies them."""
    data = _stream(_batch(pa.array([1] * 77), pa.array([2] * 77)))
    first, second = struct.pack("<qq", 0, 616), struct.pack("<qq", 640, 616)
    if second not in data:  # one that aligns to 8 bytes
        second = struct.pack("<qq", 616, 616)
    payload = _of("pyarrow.Table", data.replace(second, first))
    assert payload.data != data
    read = pa.ipc.open_stream(payload.data).read_all()
    assert [1] * 77 == read.column(1).to_pylist()  # so pyarrow reads it
    assert "overlap" in _refused(payload)


@pytest.mark.parametrize(
    "order",
    [
        *("", "B", "DB", "SB", "SSDB", "SDDB", "SDBDB", "SDBE", "SDT", "SDA"),
        "SD" + "B" * (MAX_BATCHES + 1),
    ],
)
def test_messages_in_another_order_are_refused(order: str) -> None:
    """One schema, every dictionary once, then a limited number of batches, then the end."""
    column = pa.array(["x", "y"]).dictionary_encode()
    messages = dict(zip("SDBE", _messages(_stream(_batch(column))), strict=True))
    messages["T"] = _payload(np.zeros(1)).data
    messages["A"] = messages["B"][4:]  # from before a message began with 0xFFFFFFFF
    kind = "pyarrow.Table"
    data = b"".join(map(messages.__getitem__, "SDBBE"))
    assert 4 == CONVERTER.from_payload(_of(kind, data)).num_rows
    _refused(_of(kind, b"".join(map(messages.__getitem__, order + "E"))))


def test_a_dictionary_that_grows_is_refused() -> None:
    """With every batch a new table of categories would have to be made."""
    one = pa.array(["x"]).dictionary_encode()
    two = pa.DictionaryArray.from_arrays(pa.array([1], pa.int32()), pa.array(["x", "y"]))
    data = _stream(_batch(one), _batch(two), emit_dictionary_deltas=True)
    assert "more than once" in _refused(_of("pyarrow.Table", data))


@pytest.mark.parametrize("options", [{"use_legacy_format": True}, {"metadata_version": 3}])
def test_older_forms_are_refused(options: dict[str, Any]) -> None:
    """Nothing here has written them."""
    if "metadata_version" in options:
        options = {"metadata_version": pa.ipc.MetadataVersion.V4}
    _refused(_of("pyarrow.Table", _stream(_batch(pa.array([1])), **options)))


TEXTS: Final = pa.array(["x" * 77, "y" * 11])
INDICES: Final = pa.array([1, 0, 1, 1, 0], pa.int16())
INVALID: Final = {
    "an offset beyond the end": (TEXTS, "<3i", (0, 77, 88), (0, 77, 99)),
    "a negative offset": (TEXTS, "<3i", (0, 77, 88), (-9, 77, 88)),
    "an offset that falls": (TEXTS, "<3i", (0, 77, 88), (0, 77, 11)),
    "text that is none": (TEXTS, "<3B", b"xxx", b"\xff\xff\xff"),
    "too few items": (pa.array([1] * 77), "<q", (77,), (1000,)),
    "too few bits": (pa.array([True] * 77), "<q", (77,), (10_000,)),
    "fewer nulls than it says": (pa.array([1, None, *[1] * 75]), "<2q", (77, 1), (77, 2)),
    "a list beyond its items": (
        pa.array([[1] * 77, [2] * 11]),
        "<3i",
        (0, 77, 88),
        (0, 77, 99),
    ),
    "a time of no day": (pa.array([77_000], pa.time64("ns")), "<q", (77_000,), (2**60,)),
    "too many digits": (
        pa.array([decimal.Decimal(77)], pa.decimal128(2, 0)),
        "<2q",
        (77, 0),
        (10**9, 0),
    ),
    "a category that is none": (
        pa.DictionaryArray.from_arrays(INDICES, pa.array(["x", "y"])),
        "<5h",
        (1, 0, 1, 1, 0),
        (1, 0, 1, 2, 0),
    ),
}


@pytest.mark.parametrize("kind", ["pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"])
@pytest.mark.parametrize(("column", "form", "old", "new"), INVALID.values(), ids=INVALID)
def test_an_array_that_is_not_valid_is_refused(
    column: Any, form: str, old: Any, new: Any, kind: str
) -> None:
    """It is looked at in full before anything is made of it: it would be read beyond its end."""
    data = _stream(_batch(column))
    assert 1 == CONVERTER.from_payload(_of(kind, data)).shape[1]
    assert struct.pack(form, *old) in data
    data = data.replace(struct.pack(form, *old), struct.pack(form, *new))
    assert "not a valid Arrow stream" in _refused(_of(kind, data))


def _tensor(shape: tuple[int, int], strides: tuple[int, int] | None = None) -> bytes:
    """Write a tensor of 21 by 34 float64 that says to have another shape."""
    data = _payload(np.zeros((21, 34))).data
    dimensions = [struct.pack("<q", size) for size in (21, 34)]
    places = [data.index(dimension) for dimension in dimensions]
    assert [1, 1] == [data.count(dimension) for dimension in dimensions]
    patched = bytearray(data)
    for place, size in zip(places, shape, strict=True):
        struct.pack_into("<q", patched, place, size)
    new = strides or ((8 * shape[1] + 2**63) % 2**64 - 2**63, 8)
    assert 1 == data.count(struct.pack("<qq", 272, 8))
    struct.pack_into("<qq", patched, data.index(struct.pack("<qq", 272, 8)), *new)
    return bytes(patched)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((21, 35), None),
        ((21, 33), None),
        ((2**40, 34), None),
        ((2**32, 2**32), None),
        ((2**61, 8), None),
        ((2**62, 2**62), None),
        ((-21, -34), None),
        ((-1, 34), None),
        ((0, 2**62), None),
        ((21, 34), (0, 0)),
        ((21, 34), (0, 8)),
        ((21, 34), (272, -8)),
        ((21, 34), (-272, 8)),
        ((21, 34), (2**40, 8)),
        ((21, 34), (272, 4)),
        ((2**40, 2**20), (0, 0)),
    ],
    ids=str,
)
def test_a_tensor_larger_than_its_bytes_is_refused(
    shape: tuple[int, int], strides: tuple[int, int] | None
) -> None:
    """Whatever shape and strides say, no item is outside of the data or in it twice."""
    _refused(_of("numpy.ndarray", _tensor(shape, strides)))


def test_a_tensor_of_its_own_shape_is_read() -> None:
    """Patching is what the test before thinks it is."""
    array = CONVERTER.from_payload(_of("numpy.ndarray", _tensor((34, 21))))
    assert (34, 21) == array.shape


@pytest.mark.parametrize(
    "dtype",
    [
        *("O", "|O", "|V8", "<f16", "f8,f8", "(1000000,)<f8", "<i4", "<f8x", "<U0", "|S0", "\0"),
        *("<M8[xx]", "<M8[9999999999s]", "datetime64", "object", "<U999999999", "|S999999999"),
        *("<U1000000000", "<f8", "<c16", ">f4", "<U3", "|S2", "x" * 10_000),
    ],
)
def test_a_dtype_that_does_not_fit_is_refused(dtype: str) -> None:
    """The name of a dtype is text from a stranger: numpy would make objects of it."""
    data = _payload(np.zeros((2, 8), np.uint8)).data
    _refused(_of("numpy.ndarray", data, dtype.encode()))


def test_items_that_numpy_never_writes_are_refused() -> None:
    """A bool of 2 is neither true nor false; a character beyond Unicode ends in a SystemError."""
    assert "bool" in _refused(_of("numpy.ndarray", _payload(np.array([2], "u1")).data, b"|b1"))
    character = np.array([[0, 0, 0x11, 0]], "u1")
    assert "no text" in _refused(_of("numpy.ndarray", _payload(character).data, b"<U1"))
    assert "no text" in _refused(_of("numpy.ndarray", _payload(character[:, ::-1]).data, b">U1"))


def test_an_array_at_an_odd_address_is_aligned() -> None:
    """The size of the metadata is the stranger's choice; compiled code wants aligned items."""
    payload = _payload(np.arange(3.0))
    size = struct.unpack_from("<i", payload.data, 4)[0]
    data = payload.data[:4] + struct.pack("<i", size + 1) + payload.data[8 : 8 + size]
    array = CONVERTER.from_payload(_with(payload, data + b"\0" + payload.data[8 + size :]))
    assert [0, 1, 2] == array.tolist()
    assert array.flags.aligned


def _described(**changes: Any) -> Payload:
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=pd.Index([5, 6])))
    described = {**json.loads(table.schema.metadata[b"pandas"]), **changes}
    return _of("pandas.DataFrame", _saying(table, json.dumps(described).encode()))


def _saying(table: Any, text: bytes, **more: bytes) -> bytes:
    keys = {name.replace("_", "-"): value for name, value in more.items()}
    table = table.replace_schema_metadata({"pandas": text, **keys})
    return _stream(*table.to_batches())


def _label(**changes: Any) -> list[dict[str, Any]]:
    usual = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "str"}
    return [{**usual, "metadata": None, **changes}]


def _column(field: str, **changes: Any) -> dict[str, Any]:
    usual = {"name": field, "field_name": field, "pandas_type": "int64", "numpy_type": "int64"}
    return {**usual, "metadata": None, **changes}


USUAL: Final = [_column("a"), _column("b"), _column("__index_level_0__", name=None)]
RANGE: Final = {"kind": "range", "name": None, "start": 0, "stop": 2, "step": 1}
DESCRIPTIONS: Final[dict[str, dict[str, Any]]] = {
    "a label of a gigabyte": {"column_indexes": _label(numpy_type="<U250000000")},
    "a label type of a gigabyte": {"column_indexes": _label(pandas_type="<U250000000")},
    "labels of an unknown type": {"column_indexes": _label(numpy_type="Sparse[object]")},
    "labels in an unknown zone": {
        "column_indexes": _label(pandas_type="datetimetz", metadata={"timezone": "../../etc/x"})
    },
    "labels that are no numbers": {
        "column_indexes": _label(pandas_type="int64", numpy_type="int64")
    },
    "more labels than there are": {"column_indexes": _label() * 33},
    "levels of labels that are none": {"column_indexes": _label() * 2},
    "a dtype that is code": {"columns": [*USUAL[1:], _column("a", numpy_type="__import__('os')")]},
    "a dtype of a gigabyte": {"columns": [*USUAL[1:], _column("a", numpy_type="V1000000000")]},
    "a column described twice": {"columns": [*USUAL, _column("a")]},
    "a column that is an object": {"columns": [*USUAL, "a"]},
    "a name that is a list": {"columns": [*USUAL[1:], _column("a", name=[])]},
    "an index column that is not there": {"index_columns": ["z"]},
    "an index column used twice": {"index_columns": ["a", "a"]},
    "an index of many levels": {"index_columns": ["a"] * 33},
    "a range beside a column": {"index_columns": [RANGE, "a"]},
    "a range of another kind": {"index_columns": [{**RANGE, "kind": "code"}]},
    "a range without an end": {"index_columns": [{**RANGE, "stop": 1e999}]},
    "a step of 0": {"index_columns": [{**RANGE, "step": 0}]},
    "attributes that are a list": {"attributes": []},
    "no columns": {"columns": None},
}


@pytest.mark.parametrize("changes", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_what_pandas_metadata_says_is_checked(changes: dict[str, Any]) -> None:
    """It is believed by pyarrow, which converts to whatever dtype it names."""
    assert _described().data != _described(**changes).data
    assert 2 == len(CONVERTER.from_payload(_described(columns=USUAL)))
    _refused(_described(**changes))


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"null", b"[]", b"{}", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000],
    ids=range(9),
)
def test_pandas_metadata_that_is_none_is_refused(text: bytes) -> None:
    """It is JSON from a stranger."""
    table = pa.table({"a": [1]})
    _refused(_of("pandas.DataFrame", _saying(table, text)))
    _refused(_of("pyarrow.Table", _saying(table, text)), pd.DataFrame)


@pytest.mark.parametrize("label", ["(" * 900, "-" * 900 + "1", "9" * 5000, "[" * 100_000, "f()"])
def test_a_label_with_levels_is_not_any_expression(label: str) -> None:
    """Such labels are parsed as Python, and that parser has limits of its own."""
    _refused(_described(columns=[_column("a", name=label)], column_indexes=_label() * 2))


def test_a_long_label_with_levels_is_refused() -> None:
    """However well formed it is."""
    levels = {"column_indexes": _label() * 2}
    for size in (900, 1000):
        names = [repr(("x" * size, name)) for name in "ab"]
        columns = [_column(field, name=name) for field, name in zip("ab", names, strict=True)]
        payload = _described(columns=[*columns, USUAL[2]], **levels)
        if size == 900:
            assert (2, 2) == CONVERTER.from_payload(payload).shape
        else:
            assert "too many parts" in _refused(payload)


@pytest.mark.parametrize("frequency", [b"x", b"\xff", b"W", b"9" * 40 + b"s", b"-1D", b"2D", b"ME"])
def test_a_frequency_that_is_not_that_of_the_index_is_refused(frequency: bytes) -> None:
    """It is text from a stranger, too."""
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1] * 3}, pd.date_range("2020", periods=3)))
    text = table.schema.metadata[b"pandas"]
    assert (
        "D"
        == CONVERTER.from_payload(
            _of("pandas.DataFrame", _saying(table, text, pandas_freq=b"D"))
        ).index.freqstr
    )
    _refused(_of("pandas.DataFrame", _saying(table, text, pandas_freq=frequency)))


def test_a_long_calendar_is_refused() -> None:
    """Counting through it takes microseconds a row."""
    frame = pd.DataFrame(index=pd.date_range("1700", periods=2**16 + 1, freq="B", unit="s"))
    with pytest.raises(ConversionError, match="freq to None"):
        CONVERTER.to_payload(frame)
    frame.index.freq = None
    assert 2**16 + 1 == len(CONVERTER.from_payload(_payload(frame)))


def test_metadata_of_polars_is_not_believed() -> None:
    """It says by itself what the categories are; nothing is made of them but the dictionary's."""
    column = pa.array(["x", "y"]).dictionary_encode()
    for key in ("_PL_CATEGORICAL2", "_PL_CATEGORICAL", "_PL_ENUM_VALUES2", "_PL_ENUM_VALUES"):
        field = pa.field("a", column.type, metadata={key: "999999999;y"})
        batch = pa.RecordBatch.from_arrays([column], schema=pa.schema([field]))
        frame = CONVERTER.from_payload(_of("polars.DataFrame", _stream(batch)))
        assert ["x", "y"] == frame["a"].to_list()


def test_a_name_that_is_no_text_is_refused() -> None:
    """A panic of polars is what came of it before."""
    data = _stream(pa.record_batch({"name": [1]})).replace(b"name", b"n\xffme")
    assert "UTF-8" in _refused(_of("polars.DataFrame", data))


def test_a_panic_of_polars_is_an_error() -> None:
    """A panic is no `Exception`, and would end a worker's task in a way that nothing expects."""

    class PanicException(BaseException):
        """The name is all that the classes of this kind have in common."""

    def fail(error: BaseException) -> None:
        raise error

    with pytest.raises(PayloadError, match="in words"):
        attempt(PayloadError, "in words", lambda: fail(PanicException()))
    with pytest.raises(KeyboardInterrupt):
        attempt(PayloadError, "in words", lambda: fail(KeyboardInterrupt()))


def test_a_time_zone_that_polars_does_not_know_is_refused() -> None:
    """It would be found out by a panic, long after: inside of a list nobody looks at it."""
    zoned = pa.timestamp("us", "no/where")
    for kind in (zoned, pa.list_(zoned), pa.struct([("x", zoned)])):
        _refused(_of("polars.DataFrame", _stream(_batch(pa.nulls(2, kind)))))


@pytest.mark.parametrize(
    "kind",
    [
        pa.time32("s"),
        pa.time64("us"),
        pa.date64(),
        pa.timestamp("s"),
        pa.duration("s"),
        pa.decimal128(5, -2),
        pa.binary(4),
        pa.map_(pa.string(), pa.int8()),
        pa.struct([("x", pa.int8()), ("x", pa.int8())]),
    ],
    ids=str,
)
def test_a_type_that_polars_does_not_write_is_not_given_to_it(kind: Any) -> None:
    """It reads some of them beyond their end, inside of a list."""
    for column in (pa.nulls(2, kind), pa.nulls(2, pa.list_(kind)), pa.nulls(2, pa.list_(kind, 2))):
        data = _stream(_batch(column))
        assert "cast it" in _refused(_of("polars.DataFrame", data))
        assert 2 == CONVERTER.from_payload(_of("pyarrow.Table", data)).num_rows


@pytest.mark.parametrize(
    "column",
    [
        pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["x", "x"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["x", None])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array([1, 2])),
        pa.array(["x", "y"]),
        pa.array([1, 2]),
    ],
    ids=["twice", "null", "numbers", "text", "no dictionary"],
)
def test_an_enum_of_no_categories_is_refused(column: Any) -> None:
    """The mark that makes an enum of a column is the stranger's, as the column is."""
    field = pa.field("a", column.type, metadata={"polars-enum": ""})
    data = _stream(pa.RecordBatch.from_arrays([column], schema=pa.schema([field])))
    _refused(_of("polars.DataFrame", data))


def test_categories_used_twice_are_refused() -> None:
    """A categorical of pandas has every category once."""
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["x", "x"]))
    _refused(_of("pandas.DataFrame", _stream(_batch(column))))

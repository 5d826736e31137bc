"""numpy arrays as Arrow tensors, which know numbers only.

Other items travel as numbers, their dtype beside the data:

- bool as uint8, datetime64 and timedelta64 as int64: one number an item;
- complex as two floats, text and bytes as uint8, and so are numbers of the other byte order: the
  numbers of an item are one more dimension, the innermost.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from .arrow_intake import check_tensor, pa
from .arrow_message import Refused

Array = npt.NDArray[Any]

# What `dtype.str` says: byte order, kind, size in bytes (of `U` in characters), unit of time.
# A size of 0 would claim any number of items.
_DTYPE: Final = re.compile(
    r"[<>|](b1|[iu][1248]|f[248]|c(8|16)|[SU][1-9]\d{0,8}"
    r"|[Mm]8(\[\d{0,9}(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)"
)
# What the items of a tensor can be.
_ITEMS: Final = {
    pa.from_numpy_dtype(name): np.dtype(name)
    for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}
_NATIVE: Final = ("|", "<" if sys.byteorder == "little" else ">")
_LAST_CHARACTER: Final = 0x10FFFF


def encode_array(array: Array) -> tuple[bytes, bytes]:
    """Write an array; of a view that is not contiguous, a copy.

    Returns:
        The tensor message; and the dtype, or nothing where the tensor says it.

    Raises:
        Refused: The array would not come back as it was.
    """
    if type(array) is not np.ndarray:
        raise Refused(
            "a subclass of numpy.ndarray would come back as a plain array: give "
            "numpy.asarray(value), and of a masked array the mask as well"
        )
    dtype = array.dtype
    if not _DTYPE.fullmatch(dtype.str):
        raise Refused(
            f"a numpy array of {dtype.name} has no Arrow form: use astype() for numbers, times or "
            "text of a fixed length, and give each field of a structured array for itself"
        )
    by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    rows = np.asarray(array.T if by_columns else array, order="C")
    item = _numbers(dtype)
    numbers = rows.view(item) if item.itemsize == dtype.itemsize else rows[..., None].view(item)
    # Flattened first: numpy leaves the stride of a dimension of size 1 to chance.
    numbers = numbers.reshape(-1).reshape(numbers.shape)
    sink = pa.BufferOutputStream()
    pa.ipc.write_tensor(pa.Tensor.from_numpy(numbers.T if by_columns else numbers), sink)
    return sink.getvalue().to_pybytes(), b"" if item == dtype else dtype.str.encode()


def decode_array(data: bytes, dtype_name: bytes) -> Array:
    """Read an array in place: it is read-only, and keeps `data` alive.

    Args:
        data: A tensor message.
        dtype_name: The dtype of the items; empty for that of the tensor.

    Raises:
        Refused: The data, its shape and the dtype do not fit together.
        Exception: Whatever pyarrow and numpy say about it.
    """
    start = check_tensor(data)
    tensor = pa.ipc.read_tensor(pa.BufferReader(data))
    item = _ITEMS[tensor.type]
    # Not every pyarrow compares the shape with the size (apache/arrow#50063); numpy does.
    numbers, order = _laid_out(tensor, item, data, start)
    if numbers.nbytes != len(data) - start:
        raise Refused("the Arrow tensor has another size than its shape says")
    if not dtype_name:
        return numbers
    text = dtype_name.decode()
    if not _DTYPE.fullmatch(text) or _numbers(np.dtype(text)) != item:
        raise Refused("the numpy dtype does not fit the Arrow tensor")
    dtype = np.dtype(text)
    shape = tensor.shape
    if dtype.itemsize != item.itemsize:
        size, shape = (shape[0], shape[1:]) if order == "F" else (shape[-1], shape[:-1])
        if size * item.itemsize != dtype.itemsize:
            raise Refused("the numpy dtype does not fit the Arrow tensor")
    _check_items(numbers, dtype, data, start)
    return np.ndarray(shape, dtype, data, start, order=order)


def _numbers(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the numbers that items of `dtype` are seen as."""
    if dtype.str[0] not in _NATIVE or dtype.kind in "bSU":
        return np.dtype(np.uint8)
    if dtype.kind in "mM":
        return np.dtype(np.int64)
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    return dtype


def _laid_out(
    tensor: Any, item: np.dtype[Any], data: bytes, start: int
) -> tuple[Array, Literal["C", "F"]]:
    orders: tuple[Literal["C"], Literal["F"]] = ("C", "F")
    for order in orders:
        numbers = np.ndarray(tensor.shape, item, data, start, order=order)
        if numbers.size == 0 or numbers.strides == tensor.strides:
            return numbers, order
    raise Refused("the strides of the Arrow tensor are those of no whole array")


def _check_items(numbers: Array, dtype: np.dtype[Any], data: bytes, start: int) -> None:
    """Refuse bits that numpy itself never writes, and computes nonsense from."""
    if dtype.kind == "b" and numbers.max(initial=0) > 1:
        raise Refused("the data is not of the numpy dtype bool")
    if dtype.kind == "U":
        codes = np.ndarray(numbers.nbytes // 4, f"{dtype.str[0]}u4", data, start)
        if codes.max(initial=0) > _LAST_CHARACTER:
            raise Refused("the data is no text")

"""Why data does not fit a type, in words that never quote the data."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from sealwire.errors import ConversionError

from .hints import type_name

# msgspec's messages that state types and places only. Every other one may quote the value (enum
# members, literals, what a `__post_init__` raised), and a value must not reach an exception text.
_SAFE: Final = re.compile(
    r"^(Expected `.*"
    r"|Object missing required field `[^`]*`"
    r"|Invalid (UUID|RFC3339 encoded (datetime|date|time)|ISO8601 duration|decimal string"
    r"|base64 encoded string|MessagePack timestamp(: nanoseconds out of range)?)"
    r"|(Integer value|Number|Timestamp|Duration) (is )?out of range)"
    r"( - at .*)?$"
)
_PLACE: Final = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")

_KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    list: "array",
    tuple: "array",
    dict: "object",
}


class Misfit(ValueError):  # noqa: N818 - it never leaves this package as an error
    """Data does not fit a type; internal, and turned into a `ConversionError` at the border.

    Args:
        problem: What is wrong, without any value.
        path: Where, relative to what was read: `.price`, `[3].price` or nothing.
    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path

    def inside(self, place: str) -> Misfit:
        """Return the same misfit, as seen from one level further out."""
        return Misfit(self.problem, place + self.path)

    @property
    def text(self) -> str:
        """The problem and the place."""
        return f"{self.problem} at {self.path.removeprefix('.')}" if self.path else self.problem


class TooDeep(Misfit):
    """Data is nested too deeply."""

    def __init__(self) -> None:
        super().__init__("the data is nested too deeply")


class Malformed(Misfit):
    """Data is not of its encoding at all."""

    def __init__(self) -> None:
        super().__init__("the data is malformed")


def is_array(value: object) -> bool:
    """Tell whether a value came from an array."""
    return type(value) is list


def is_object(value: object) -> bool:
    """Tell whether a value came from an object or a map."""
    return type(value) is dict


def kind_of(value: object) -> str:
    """Name what a document has instead of what was expected."""
    return _KINDS.get(type(value), type(value).__name__)


def expected(what: str, value: Any) -> Misfit:
    """Return the misfit of a value of another kind."""
    return Misfit(f"Expected {what}, got {kind_of(value)}")


def misfit_of(err: Exception) -> Misfit:
    """Turn what reading raised into a misfit, without anything that may quote the value."""
    if isinstance(err, Misfit):
        return err
    if isinstance(err, RecursionError):
        return TooDeep()
    if isinstance(err, (msgspec.DecodeError, UnicodeDecodeError)) and not isinstance(
        err, msgspec.ValidationError
    ):
        return Malformed()
    if not isinstance(err, msgspec.ValidationError):
        # Whatever a class' own code raises.
        return Misfit(f"its constructor raised {type(err).__name__}")
    if err.__traceback__ is None or err.__traceback__.tb_next is not None:
        return Misfit(
            "the value was refused"
        )  # raised by a class' own code, whatever it looks like
    text, cause = str(err), err.__cause__
    # With a cause the text begins with what a `__post_init__` said; only the place is msgspec's.
    place = _PLACE.search(text, 0 if cause is None else len(str(cause)))
    path = place[1] if place else ""
    if path and not path.startswith("["):
        path = f".{path}"
    if isinstance(cause, Misfit):
        return cause if isinstance(cause, (TooDeep, Malformed)) else cause.inside(path)
    if cause is None and _SAFE.match(text):
        return Misfit((text[: place.start()] if place else text).replace("`", ""), path)
    return Misfit("the value was refused", path)


def unfit(encoding: str, type_hint: Any, problem: str) -> ConversionError:
    """Return the error for data that does not fit, or for a hint that cannot be read into."""
    into = "" if type_hint is None else f" into {type_name(type_hint)}"
    return ConversionError(f"cannot decode {encoding}{into}: {problem}", encoding=encoding)

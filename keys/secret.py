"""A text or bytes that nothing shows: no `repr`, no `vars`, no traceback, no serializer."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from .key import Opaque

T = TypeVar("T", str, bytes)


class Secret(Opaque, Generic[T]):
    """Gives the value to whoever calls it, and shows it to nobody else.

    So it takes the place of a function that returns the value.

    Args:
        value: The secret.
    """

    __slots__ = ("_value",)

    _value: T

    def __init__(self, value: T) -> None:
        self._set("_value", value)

    def __call__(self) -> T:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return "Secret()"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._value), _bytes(other()))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled: give a file or a function instead")


def hidden(value: T | Callable[[], T] | None) -> Callable[[], T] | None:
    """Return what gives a value that may be given as it is, or by a function, or not at all."""
    return value if value is None or callable(value) else Secret(value)


def _bytes(value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)

"""Where in a batch of payloads an error happened."""

from __future__ import annotations

from collections.abc import Sequence

from sealwire.errors import SealwireError


class Position:
    """A block that works on the payload, or the part of a batch, after those that are done.

    Args:
        done: What is done, also while the block runs; an error gets its index by their number.
    """

    __slots__ = ("_done",)

    def __init__(self, done: Sequence[object]) -> None:
        self._done = done

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, SealwireError):
            error.index = len(self._done) + (error.index or 0)

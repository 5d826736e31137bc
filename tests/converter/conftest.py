"""What the tests of several converters share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)


@pytest.fixture
def everything_said() -> Callable[[BaseException], str]:
    """Collect all that an error and what it is chained to say, `from None` or not."""

    def collect(error: BaseException) -> str:
        return "\n".join(
            f"{link!s} {link!r} {link.args!r} {vars(link)!r}" for link in _chain(error)
        )

    return collect

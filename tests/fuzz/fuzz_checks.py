"""What holds for every input, whatever else happens."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from google.protobuf.message import DecodeError

from sealwire.errors import SealwireError
from sealwire.payload import Payload

_WINDOW: Final = 16  # bytes; shorter ones are in a message by chance


class Logged(logging.Handler):
    """Keeps what the package logs during one input."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())


LOGGED: Final = Logged()


def examine(
    decode: Callable[[Sequence[Payload]], list[Any]],
    payloads: Sequence[Payload],
    documented: tuple[type[SealwireError], ...],
    secret: bytes,
) -> None:
    """Decode, and check all that is promised of it.

    Args:
        decode: What is fuzzed.
        payloads: A batch.
        documented: The errors that it may raise.
        secret: What the fuzzer put inside.
    """
    LOGGED.lines.clear()
    before = _serialized(payloads)
    try:
        decoded = decode(payloads)
    except documented as err:
        refuse_leak(err, secrets_of(payloads, secret), payloads)
    else:
        assert len(payloads) == len(decoded), "another number of results"
        assert _shown(decoded) == _shown(decode(payloads)), "another result the second time"
    assert before == _serialized(payloads), "the input was changed"


def secrets_of(payloads: Iterable[Payload], secret: bytes) -> list[bytes]:
    """Return what no error may show: data, and not metadata."""
    with suppress(DecodeError):
        secret = Payload.FromString(secret).data
    return [secret, *(payload.data for payload in payloads)]


def refuse_leak(err: SealwireError, secrets: Iterable[bytes], public: Iterable[Payload]) -> None:
    """Fail if an error or the log shows a secret.

    Args:
        err: The error.
        secrets: Bytes that nobody may see.
        public: Payloads whose metadata may be seen.
    """
    shown = "\n".join((str(err), repr(vars(err)), *LOGGED.lines))
    assert len(shown) < 4096, "an error that fills the log"
    known = [
        text
        for payload in public
        for name, value in payload.metadata.items()
        # The fuzzer finds out how they are shown, quotes and all.
        for text in (name.encode(), value, repr(value)[1:].encode())
    ]
    for secret in secrets:
        for window in _windows(secret):
            if not any(window in text for text in known):
                assert not any(text in shown for text in _spellings(window)), "a secret is shown"


def _windows(data: bytes) -> set[bytes]:
    if len(data) < _WINDOW:
        return set()
    last = len(data) - _WINDOW
    return {data[start : start + _WINDOW] for start in (0, last // 2, last)}


def _spellings(data: bytes) -> Iterator[str]:
    yield data.decode("latin-1")
    yield repr(data)[2:-1]
    yield data.hex()
    yield base64.b64encode(data).decode()[:-3]  # the end depends on what follows


def _shown(values: list[Any]) -> str:
    # Not the values themselves: NaN is not equal to NaN. Some objects show only where they are.
    return re.sub(r" at 0x[0-9a-f]+", "", repr(values))


def _serialized(payloads: Sequence[Payload]) -> list[bytes]:
    return [payload.SerializeToString(deterministic=True) for payload in payloads]

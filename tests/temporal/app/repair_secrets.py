"""Looks for keys, passphrases and plaintext in what a history says about a failure."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, Final

import pytest
from everywhere_places import MARKER, base64_of
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import FailureError

from sealwire.config import Config

KEY_SIZE: Final = 32
ENCODED: Final = "Encoded failure"


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield a secret as it is, and as programs write bytes: in hexadecimal, base64 and Python."""
    yield secret
    yield secret.decode("latin-1").encode()
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield repr(secret)[2:-1].encode()
    for text in base64_of(secret):
        yield text
        yield text.replace(b"+", b"-").replace(b"/", b"_")


class Secrets:
    """What must not be in any failure: all that was drawn to be a key, and what else is named.

    Key-encryption keys, document keys and the roots of keys are made with `secrets.token_bytes`,
    and nothing else of their size is.

    Attributes:
        known: The secrets, by what they are.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, bytes] = {"plaintext": MARKER.encode()}
        draw = secrets.token_bytes

        def drawn(size: int | None = None) -> bytes:
            made = draw(size)
            if size == KEY_SIZE:
                self.add(f"key {len(self.known)}", made)
            return made

        monkeypatch.setattr(secrets, "token_bytes", drawn)

    def add(self, name: str, secret: bytes) -> None:
        """Look for one more from now on."""
        self.known[name] = secret

    async def add_keys(self, config: Config) -> None:
        """Look for the keys that are derived from those of a keyring, too."""
        for key in (await config.admin.keys()).keys:
            self.add(f"content key {key.id}", key.content_key)
            self.add(f"content-id key {key.id}", key.content_id_key)

    async def found_in(self, failure: Failure, converter: DataConverter) -> set[str]:
        """Return which secrets a failure tells, as it is stored and after it was opened."""
        text = failure.SerializeToString() + await opened(failure, converter)
        return {
            name
            for name, secret in self.known.items()
            if any(form in text for form in forms(secret))
        }


async def opened(failure: Failure, converter: DataConverter) -> bytes:
    """Return all that a failure and its causes say to who has the keys."""
    copy = Failure()
    copy.CopyFrom(failure)
    error: BaseException | None = await converter.decode_failure(copy)
    parts = [copy.SerializeToString()]
    while error is not None:
        assert isinstance(error, FailureError)
        assert error.failure is not None
        assert error.message not in ("", ENCODED), "it was not opened"
        parts += leaves([error.message, error.failure.stack_trace, getattr(error, "type", "")])
        parts += leaves(list(getattr(error, "details", ())))
        error = error.__cause__
    return b"\n".join(parts)


def leaves(value: Any) -> Iterator[bytes]:
    """Yield the texts and bytes in a value."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:  # pyright: ignore[reportUnknownVariableType]
            yield from leaves(item)
    elif value is not None:
        yield str(value).encode()

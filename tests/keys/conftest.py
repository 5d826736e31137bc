"""What the tests of keys share: a clock, a keyring in a folder, and a search for leaks."""

from __future__ import annotations

import base64
import io
import secrets
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.traceback import Traceback

from sealwire.keys import FileKeyringStore, KeyringAdmin, LocalKeyWrapper
from sealwire.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> FileKeyringStore:
    """A store without a document."""
    return FileKeyringStore(tmp_path / "keyring.json")


@pytest.fixture
def wrapper(tmp_path: Path) -> LocalKeyWrapper:
    """A wrapper with its key file."""
    made = LocalKeyWrapper(tmp_path / "keyring.key")
    made.create()
    return made


@pytest.fixture
def admin(store: FileKeyringStore, wrapper: LocalKeyWrapper, clock: FakeClock) -> KeyringAdmin:
    """An administrator of that store, before the first key is made."""
    return KeyringAdmin(store, wrapper, clock=clock)


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All keys that are drawn from here on; not the few random bytes in a key's id."""
    drawn: list[bytes] = []
    draw = secrets.token_bytes

    def token_bytes(size: int) -> bytes:
        data = draw(size)
        if size == 32:
            drawn.append(data)
        return data

    monkeypatch.setattr(secrets, "token_bytes", token_bytes)
    return drawn


@pytest.fixture
def leaks() -> Callable[..., list[str]]:
    """The search for secrets in a text, or in all that can be seen of an error."""
    return find_leaks


@pytest.fixture
def seen() -> Callable[[str | BaseException], str]:
    """All that can be seen of an error: its texts, its chain, the variables of each frame."""
    return all_of


def find_leaks(shown: str | BaseException, *secrets: bytes) -> list[str]:
    assert all(secrets), "an empty secret is in no text"
    text = all_of(shown).casefold()
    return [word for secret in secrets for word in spellings(secret) if word.casefold() in text]


def spellings(secret: bytes) -> Iterator[str]:
    """Every way in which bytes are usually written down, whole or the first eight of them."""
    yield repr(list(secret))[1:-1]
    yield str(int.from_bytes(secret))
    for part in (secret, secret[:8]):
        yield repr(part)[2:-1]
        for separator in (":", " "):
            yield part.hex(separator)
        yield part.hex()
        # At any place in a longer text, without the characters that depend on what is around.
        for before in range(3):
            first, last = (before * 8 + 5) // 6, (before + len(part)) * 8 // 6
            yield base64.b64encode(bytes(before) + part).decode()[first:last]
            yield base64.urlsafe_b64encode(bytes(before) + part).decode()[first:last]


def all_of(shown: str | BaseException) -> str:
    if isinstance(shown, str):
        return shown
    plain = traceback.TracebackException.from_exception(shown, capture_locals=True)
    console = Console(file=io.StringIO(), width=250, record=True)
    console.print(
        Traceback.from_exception(
            type(shown),
            shown,
            shown.__traceback__,
            show_locals=True,
            locals_max_length=1000,
            locals_max_string=10_000,
            locals_hide_dunder=False,
        )
    )
    return "".join((repr(shown), repr(vars(shown)), *plain.format(), console.export_text()))

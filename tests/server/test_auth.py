from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path

import pytest

from sealwire.errors import ConfigurationError
from sealwire.server import BearerToken

VALUE = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    "header", [f"Bearer {VALUE}", f"bearer {VALUE}", f"BEARER {VALUE}", f"Bearer  {VALUE} "]
)
def test_accepts_the_token_under_every_spelling_of_the_scheme(header: str) -> None:
    """The scheme is compared without regard to case."""
    assert BearerToken(VALUE).accepts(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        VALUE,
        f"Basic {VALUE}",
        f"Bearer{VALUE}",
        f"Bearer {VALUE[:-1]}",
        f"Bearer {VALUE}x",
        f"Bearer {VALUE.upper()}",
        f"Bearer {VALUE} {VALUE}",
        f"Bearer {VALUE[:-1]}\xe9",
    ],
)
def test_refuses_everything_else(header: str | None) -> None:
    """Anything but the scheme and the whole token is refused."""
    assert not BearerToken(VALUE).accepts(header)


@pytest.mark.parametrize(
    "value",
    ["", "short", "x" * 15, "a token with some blanks", "tökentökentökentöken", "x" * 20 + "\n"],
)
def test_refuses_a_weak_or_unsendable_token(value: str) -> None:
    """A token has at least 16 characters, all of which may stand in a header."""
    with pytest.raises(ConfigurationError) as caught:
        BearerToken(value)
    assert not value or value not in str(caught.value)


def test_shows_the_token_nowhere() -> None:
    """Neither repr, fields nor pickles of a token hold its value."""
    token = BearerToken(VALUE)
    assert "BearerToken()" == repr(token)
    assert VALUE not in str(asdict(token))
    assert VALUE.encode() not in pickle.dumps(token)


def test_reads_a_private_file(tmp_path: Path) -> None:
    """The token may stand in a file, with a newline at the end."""
    path = tmp_path / "token"
    path.write_text(f"{VALUE}\n")
    path.chmod(0o600)
    assert BearerToken(VALUE) == BearerToken.from_file(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_refuses_a_file_that_others_can_access(tmp_path: Path, mode: int) -> None:
    """A token in a file that others can read or write is no secret."""
    path = tmp_path / "token"
    path.write_text(VALUE)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        BearerToken.from_file(path)


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 20])
def test_refuses_a_file_without_a_token(tmp_path: Path, content: bytes | None) -> None:
    """A file that is absent, empty or binary is a configuration error."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        BearerToken.from_file(path)


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token may stand in an environment variable; an absent one is named."""
    monkeypatch.setenv("CODEC_TOKEN", VALUE)
    assert BearerToken(VALUE) == BearerToken.from_environment("CODEC_TOKEN")
    monkeypatch.delenv("CODEC_TOKEN")
    with pytest.raises(ConfigurationError, match="CODEC_TOKEN"):
        BearerToken.from_environment("CODEC_TOKEN")

"""The connection of commands: in which namespace they work."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sealwire.config import Config
from sealwire.temporal.connection import connect

pytestmark = pytest.mark.server

PROFILES: Final = """\
[profile.default]
namespace = "of-the-file"

[profile.other]
namespace = "of-the-profile"
"""


@pytest.mark.parametrize(
    ("named", "configured", "variable", "profile", "expected"),
    [
        ("named", "configured", "variable", "other", "named"),
        (None, "configured", "variable", "other", "configured"),
        (None, None, "variable", "other", "variable"),
        (None, None, None, "other", "of-the-profile"),
        (None, None, None, None, "of-the-file"),
    ],
)
async def test_the_nearest_name_is_taken(
    named: str | None,
    configured: str | None,
    variable: str | None,
    profile: str | None,
    expected: str,
    temporal_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command line's, sealwire's, the environment's, then that of Temporal's own file."""
    file = tmp_path / "temporal.toml"
    file.write_text(PROFILES)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    monkeypatch.delenv("TEMPORAL_NAMESPACE", raising=False)
    if variable is not None:
        monkeypatch.setenv("TEMPORAL_NAMESPACE", variable)
    config = Config(namespace=configured)
    client = await connect(config, named, address=temporal_server, profile=profile)
    assert expected == client.namespace


async def test_nobody_names_one(
    temporal_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is that of the server's own default."""
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    monkeypatch.delenv("TEMPORAL_NAMESPACE", raising=False)
    assert "default" == (await connect(Config(), address=temporal_server)).namespace

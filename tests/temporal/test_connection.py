"""The connection of commands: in which namespace they work."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sealwire.config import Config
from sealwire.errors import ConfigurationError
from sealwire.temporal.connection import connect
from sealwire.testing.devserver import free_port

pytestmark = pytest.mark.server
SECRET: Final = "hunter2-hunter2"

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


@pytest.mark.parametrize(
    ("text", "by_variable", "told"),
    [
        ('[profile.default]\napi_key = "{}"\n', False, "has no profile 'staging': add it to"),
        ('[profile.default]\napi_key = "{}"\n', True, "has no profile 'staging': add it to"),
        ('[profile.staging]\napi_key = "{}\n', False, "look at the variables TEMPORAL_*"),
        ('[profile.staging.tls]\nclient_cert_data = ["{}"]\n', False, "look at the variables"),
    ],
)
async def test_a_profile_that_is_missing_is_told_from_a_file_that_is_wrong(
    text: str, by_variable: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the file is quoted, which may hold an API key."""
    file = tmp_path / "temporal.toml"
    file.write_text(text.format(SECRET))
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    if by_variable:
        monkeypatch.setenv("TEMPORAL_PROFILE", "staging")
    with pytest.raises(ConfigurationError) as caught:
        await connect(Config(), profile=None if by_variable else "staging")
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1", "Connection refused"), ("nobody.invalid", "lookup")]
)
async def test_a_server_that_is_not_there_is_told_in_a_line(host: str, reason: str) -> None:
    """What to do comes first, and of the SDK's words only what happened."""
    address = f"{host}:{free_port()}"
    with pytest.raises(ConfigurationError) as caught:
        await connect(Config(), address=address)
    hint = "start it, or name another one with --address or TEMPORAL_ADDRESS ("
    begin = f"cannot connect to the Temporal server at {address}: {hint}"
    assert str(caught.value).startswith(begin)
    assert reason in str(caught.value)
    assert len(str(caught.value)) - len(begin) < 125
    assert "tonic" not in str(caught.value)

"""A keyring, a configuration and an application for each test."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sealwire.config import Config, load_config
from sealwire.keys import LocalKeyWrapper

# So that Temporal's sandbox can import the application again, as it does with a user's modules.
sys.path.insert(0, str(Path(__file__).parent / "app"))

MakeConfig = Callable[..., Awaitable[Config]]


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """Makes a configuration file with a fresh keyring, and reads it."""

    async def make(text: str = "", name: str = "a") -> Config:
        folder = tmp_path / name
        folder.mkdir()
        file = folder / "sealwire.toml"
        file.write_text(text)
        config = load_config(file)
        LocalKeyWrapper(config.keyring.key_file).create()
        await config.admin.create()
        return config

    return make


@pytest.fixture
def unique() -> str:
    """A workflow id and task queue that no other test uses."""
    return f"test-{uuid.uuid4()}"

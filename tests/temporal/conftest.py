"""A keyring, a configuration and an application for each test."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from sealwire.config import Config, load_config
from sealwire.keys import LocalKeyWrapper
from sealwire.testing.devserver import DevServer

if TYPE_CHECKING:
    from everywhere_stage import Application, Stage

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


@pytest.fixture(scope="session")
def full_server() -> Generator[str]:
    """The address of a server that does what a server of this version can, if it is asked to."""
    enabled = (
        *("activity.enableStandalone", "nexusoperation.enableStandalone", "history.enableChasm"),
        "history.enableSignalWithStartFromWorkflow",
    )
    options = [item for key in enabled for item in ("--dynamic-config-value", f"{key}=true")]
    options += ["--search-attribute", "Ticket=Keyword"]
    with DevServer(("default", "other"), options=options) as server:
        yield server.address


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sealed", "clear"])
async def module_stage(
    request: pytest.FixtureRequest,
    full_server: str,
    tmp_path_factory: pytest.TempPathFactory,
    application: Application,
) -> AsyncGenerator[Stage]:
    """A worker for the module's application: sealed, and in clear as the control."""
    from everywhere_stage import staged

    file = tmp_path_factory.mktemp("stage") / "sealwire.toml"
    encryption = '[[codec]]\ntype = "encryption"\naccept_namespaces = ["default", "other"]\n'
    file.write_text(f"{application.configuration}{encryption}")
    config = load_config(file)
    LocalKeyWrapper(config.keyring.key_file).create()
    await config.admin.create()
    async with staged(request.param, config, full_server, application) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(request: pytest.FixtureRequest, module_stage: Stage) -> AsyncGenerator[Stage]:
    """The stage; after the test, what passed is compared with docs/reference/what-is-sealed.md."""
    module_stage.wire.forget()
    yield module_stage
    await module_stage.histories()
    assert {} == module_stage.differences(request.node.originalname)


@pytest_asyncio.fixture(loop_scope="module")
async def searched_stage(module_stage: Stage) -> AsyncGenerator[Stage]:
    """The stage for tests that the documentation does not name: whatever they store is sealed."""
    module_stage.wire.forget()
    yield module_stage
    await module_stage.histories()
    found = module_stage.undocumented()
    if module_stage.sealed:
        assert set() == found
    else:
        assert found, "the search finds what is in clear"

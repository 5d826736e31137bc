"""What the README's first screen promises, run as it is printed there."""

from __future__ import annotations

import ast
import asyncio
import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import search

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = 50  # lines


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = (text for text in blocks if containing in text)
    return str(found)


@workflow.defn(name="Greet")
class Greet:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"Hello, {name} MARKER!"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """What `sealwire keys init` makes, as the README says."""
    file = tmp_path / "sealwire.toml"
    subprocess.run(
        [sys.executable, "-m", "sealwire", "keys", "init", "--config", str(file)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return file


async def test_five_lines_encrypt_a_workflow(
    temporal_server: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The five lines of the README run as printed, and the server stores nothing in clear."""
    lines = block("python", "SealwirePlugin")
    assert 5 >= len([line for line in lines.splitlines() if line])
    assert README[: README.index(lines)].count("\n") < FIRST_SCREEN
    # Only the addresses are this test's own.
    lines = lines.replace("localhost:7233", temporal_server).replace("sealwire.toml", str(config))

    worker_client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with Worker(
        worker_client,
        task_queue="greetings",
        workflows=[Greet],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        program = compile(lines, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await asyncio.ensure_future(eval(program, {}))  # noqa: S307 - our own text
    assert "Hello, Ada MARKER!\n" == capsys.readouterr().out

    plain = await Client.connect(temporal_server)
    history = await plain.get_workflow_handle("greet-1").fetch_history()
    assert set() == {text for event in history.events for text in search(event, ["MARKER", "Ada"])}


def test_the_example_runs_as_printed() -> None:
    """The doctest of the README passes, its refusal included."""
    text = block("python", ">>>")
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    example = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    result = doctest.DocTestRunner(optionflags=flags).run(example)
    assert (0, 7) == (result.failed, result.attempted)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(name: str) -> None:
    """Each program in examples/ ends well and says something."""
    command = [sys.executable, str(ROOT / "examples" / name)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout

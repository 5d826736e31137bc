"""The program of the page about the Temporal plugin, run on a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "how-to" / "temporal-plugin.md"
TYPED: Final = Path(__file__).with_name("temporal_plugin_program.py")
_BLOCK: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    return _BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def test_the_program_is_the_one_that_is_type_checked() -> None:
    """What mypy and pyright check is what the page says, line by line."""
    _, _, program = TYPED.read_text(encoding="utf-8").partition("\n\n")
    assert "\n\n".join(blocks()).split() == program.split()


@pytest.mark.server
def test_the_program_runs(temporal_server: str, tmp_path: Path) -> None:
    """Client, worker and replayer work as the page says, with the plugin and without."""
    program = tmp_path / "program.py"
    text = "\n".join(blocks()).replace("localhost:7233", temporal_server)
    program.write_text(text, encoding="utf-8")
    init = (sys.executable, "-m", "sealwire", "keys", "init")
    subprocess.run(init, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    # The SDK's native part may crash while the interpreter winds down, so the code does not count.
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Hello, Ada!\nHello, Grace!\n" == done.stdout, done.stderr

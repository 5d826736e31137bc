"""What a run of the tests says where a part that they need is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NEEDS_NODE = "converter/test_typescript.py::test_a_uint8array_is_bytes"


def run_without_commands(folder: Path, **environment: str) -> tuple[int, str]:
    """Run a test that needs Node.js where no command is found."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(TESTS / NEEDS_NODE)],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
        env={**os.environ, "PATH": str(folder), **environment},
    )
    return run.returncode, run.stdout


def test_a_missing_part_fails_in_ci(tmp_path: Path) -> None:
    """Where `CI` is set, nothing goes untested."""
    code, report = run_without_commands(tmp_path, CI="true")
    assert pytest.ExitCode.TESTS_FAILED == code
    assert "the part `node` is missing; to have it: install Node.js" in report


def test_a_missing_part_is_announced_elsewhere(tmp_path: Path) -> None:
    """On a developer's machine the test is skipped, and the report's last words say so."""
    code, report = run_without_commands(tmp_path, CI="")
    assert pytest.ExitCode.OK == code
    _, _, last_words = report.partition("= NOT RUN =")
    assert "1 test without `node`: " in last_words
    assert "to run it: install Node.js" in last_words

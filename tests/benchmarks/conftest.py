"""Runs a benchmark as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "benchmarks"

Run = Callable[..., str]


@pytest.fixture(scope="session")
def run_benchmark() -> Run:
    """Runs a script of `benchmarks/` once, quickly, in a terminal of 80 columns."""

    def run(name: str, *options: str) -> str:
        done = subprocess.run(
            [sys.executable, FOLDER / name, "--quick", *options],
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        )
        assert (0, "") == (done.returncode, done.stderr if done.returncode else "")
        return done.stdout

    return run

"""A short run of the fuzzer over everything that it has learned; `make fuzz` is the long one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
TARGETS: Final = sorted(folder.name for folder in (HERE / "corpus").iterdir())
RUNS: Final = 2000  # of each target, after its corpus
MAX_CORPUS: Final = 300 * 1024  # bytes; it is in the repository

# The harness with targets that fail in every way that it is there for.
PROGRAM: Final = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
from fuzz_checks import examine
from fuzz_decode import main
from sealwire.errors import PayloadError
from sealwire.payload import Payload

def refuse(text):
    raise PayloadError(text)

def change(payload):
    payload.data = b""
    return [payload]

def decoded_by(decode):
    return lambda data: examine(decode, [Payload(data=data)], (PayloadError,), data)

TARGETS = {
    "documented": decoded_by(lambda batch: refuse("no")),
    "undocumented": decoded_by(lambda batch: batch[1000]),
    "leak": decoded_by(lambda batch: refuse(batch[0].data.hex())),
    "changed": decoded_by(lambda batch: change(batch[0])),
    "lost": decoded_by(lambda batch: []),
    "memory": lambda data: bytearray(2**30),
    "slow": lambda data: all(True for _ in iter(int, 1)),
    "warning": lambda data: warnings.warn("careful", stacklevel=1),
}

def ready(run):
    return lambda: run

main(["each", "-timeout=1", sys.argv[2]], {name: ready(run) for name, run in TARGETS.items()})
"""
SIGNS: Final = {
    "undocumented": "IndexError",
    "leak": "a secret is shown",
    "changed": "the input was changed",
    "lost": "another number of results",
    "memory": "MemoryError",
    "slow": "timeout",
    "warning": "UserWarning: careful",
}


@pytest.fixture(scope="session", autouse=True)
def _atheris(require_part: Callable[[str], Path]) -> None:
    require_part("atheris")


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run of each target printed, by target."""
    folder = tmp_path_factory.mktemp("found")
    for target in TARGETS:
        (folder / target).mkdir()
    harness = str(HERE / "fuzz_decode.py")
    return run_each(
        folder, harness, "each", f"-runs={RUNS}", "-seed=1", str(folder), str(HERE / "corpus")
    )


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one input to each target of `PROGRAM` printed, by target."""
    folder = tmp_path_factory.mktemp("inputs")
    for target in ("documented", *SIGNS):
        (folder / target).write_bytes(b"attack at dawn, with all that we have")
    return run_each(folder, "-c", PROGRAM, str(HERE), str(folder))


def run_each(folder: Path, *arguments: str) -> dict[str, str]:
    """Run the harness, which writes what crashes into a folder."""
    run = subprocess.run(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        cwd=folder,
    )
    parts = re.split(r"^== (\w+)\n", run.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("target", TARGETS)
def test_only_documented_errors_escape(target: str, reports: dict[str, str]) -> None:
    """Neither an input that was found before nor a few thousand new ones crash a target."""
    report = reports[target]
    assert f"== {target} ended with 0" in report, report[-4000:]
    runs = re.search(r"Done (\d+) runs", report)
    assert runs is not None
    assert RUNS <= int(runs[1])


def test_every_target_has_a_corpus(reports: dict[str, str]) -> None:
    """What was found is kept for each target that there is."""
    assert TARGETS == sorted(reports)


def test_the_corpus_is_small() -> None:
    """What `make fuzz` keeps is a minimum, and named as libFuzzer names it."""
    files = [path for path in (HERE / "corpus").rglob("*") if path.is_file()]
    assert MAX_CORPUS > sum(path.stat().st_size for path in files)
    assert all(re.fullmatch("[0-9a-f]{40}", path.name) for path in files)


def test_a_documented_error_is_no_crash(failures: dict[str, str]) -> None:
    """What the contract names may be raised."""
    assert "== documented ended with 0" in failures["documented"]


@pytest.mark.parametrize("failure", SIGNS)
def test_whatever_else_happens_is_a_crash(failure: str, failures: dict[str, str]) -> None:
    """The harness sees each kind of failure that it is there for."""
    report = failures[failure]
    assert SIGNS[failure] in report
    assert f"== {failure} ended with 0" not in report

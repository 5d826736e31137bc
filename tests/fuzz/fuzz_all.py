"""Fuzz every target in turn, and keep what was learned: `fuzz_all.py SECONDS [TARGET …]`.

The inputs in `corpus/` are replaced by the fewest that reach as much as all that was found. What
crashes is kept in `build/fuzz/`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from fuzz_seeds import seeds
from fuzz_targets import TARGETS

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
BUILD: Final = HERE.parents[1] / "build" / "fuzz"


def main(seconds: int, targets: list[str]) -> int:
    """Fuzz for so many seconds in total."""
    failures = 0
    for target in targets:
        share = seconds // len(targets)
        say(f"{target}: {share} s …")
        folder = BUILD / target
        output = fuzz(target, share, folder)
        failures += output is None
        if output is not None:
            kept = keep(target, folder)
            say(f"    {summary(output)}, {kept} inputs kept")
    return min(failures, 1)


def fuzz(target: str, seconds: int, folder: Path) -> str | None:
    """Run the fuzzer on a target from its seeds, its corpus and what the last run left.

    Returns:
        What it printed; None if it found a crash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (folder / name_of(seed)).write_bytes(seed)
    run = call(
        target,
        f"-max_total_time={seconds}",
        "-print_final_stats=1",
        f"-artifact_prefix={BUILD}/{target}-",
        str(folder),
        str(made(CORPUS / target)),
    )
    if run.returncode == 0:
        return run.stderr
    say(f"CRASH; see {BUILD}/{target}-*\n{run.stderr[-6000:]}")
    return None


def keep(target: str, folder: Path) -> int:
    """Replace the corpus by a smallest one; return how many inputs it has."""
    smallest = BUILD / f"{target}.kept"
    shutil.rmtree(smallest, ignore_errors=True)
    corpus = made(CORPUS / target)
    run = call(target, "-set_cover_merge=1", str(made(smallest)), str(corpus), str(folder))
    kept = [path.read_bytes() for path in smallest.iterdir()]
    if run.returncode or not kept:
        sys.exit(f"the inputs for {target} cannot be merged:\n{run.stderr[-6000:]}")
    shutil.rmtree(corpus)
    for data in kept:
        (made(corpus) / name_of(data)).write_bytes(data)
    return len(kept)


def call(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness."""
    return subprocess.run(
        [sys.executable, str(HERE / "fuzz_decode.py"), target, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=BUILD,
    )


def summary(output: str) -> str:
    """Return the number of runs and what they reached."""
    runs = re.search(r"number_of_executed_units: (\d+)", output)
    reached = re.findall(r"cov: (\d+) ft: (\d+)", output)
    cov, features = reached[-1] if reached else ("0", "0")
    return f"{runs[1] if runs else 0} runs, {cov} edges, {features} features"


def name_of(data: bytes) -> str:
    """Return the name that libFuzzer gives an input."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def say(line: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def made(folder: Path) -> Path:
    """Return a folder that exists."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:] or list(TARGETS)))

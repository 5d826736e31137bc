"""Mutation testing of the encryption: `make mutants`, or `python tests/mutation/run.py [MODULE …]`.

Cosmic Ray (https://cosmic-ray.readthedocs.io) changes one operator, number, condition, loop,
exception or decorator at a time. What survives the tests stands in `survivors.md` with the reason,
and a survivor that does not is an error. At least 95 % must be noticed of what is not equivalent,
that is, of the changes after which the code does something else.

Nothing is mutated in this checkout: each module has a copy of it under `--work`. A run that was
stopped goes on where it was if it is given the same `--work`. All of it takes about an hour.

Left out are annotations, which no module evaluates. The texts of messages are not changed at all.
"""

import argparse
import ast
import json
import os
import resource
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
CHECKOUT: Final = HERE.parents[1]
CONFIG: Final[dict[str, Any]] = tomllib.loads((HERE / "cosmic-ray.toml").read_text("utf-8"))
NEEDED: Final = 95.0  # percent
MEMORY: Final = 4 * 2**30  # bytes; some mutants would take all there is
LEFT_OUT: Final = (".git", ".venv*", "node_modules", "__pycache__", ".*_cache", ".hypothesis")
PYTEST: Final = "-m pytest -x -q -p no:cacheprovider -p quick"


@dataclass(frozen=True)
class Outcome:
    """What became of the mutants of one module.

    Args:
        module: Its path.
        counts: How many were `killed`, ran into the `timeout`, or survived and are `equivalent`,
            `accepted` or `unknown`.
        unknown: The difference that each survivor makes which `survivors.md` does not have.
    """

    module: str
    counts: Counter[str]
    unknown: list[str]

    @property
    def noticed(self) -> int:
        """How many made a test fail."""
        return self.counts["killed"] + self.counts["timeout"]

    @property
    def percent(self) -> float:
        """How many that is of the mutants that are not equivalent."""
        return 100 * self.noticed / max(self.counts.total() - self.counts["equivalent"], 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sessions, print the table and the survivors; 1 if the promise is broken."""
    modules: list[str] = CONFIG["cosmic-ray"]["module-path"]
    parser = argparse.ArgumentParser(description="Mutation testing of the encryption.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(modules))
    parser.add_argument("--work", type=Path, help="folder of copies and sessions")
    parser.add_argument("--jobs", type=int, default=1, help="modules at a time")
    options = parser.parse_args(arguments)
    work: Path = options.work or Path(tempfile.mkdtemp(prefix="mutants-"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with ThreadPoolExecutor(options.jobs) as pool:
        chosen: list[str] = options.modules or modules
        outcomes = list(pool.map(partial(run, work=work.absolute()), chosen))
    for line in report(outcomes):
        sys.stdout.write(line + "\n")
    good = all(outcome.percent >= NEEDED and not outcome.unknown for outcome in outcomes)
    return 0 if good else 1


def run(module: str, work: Path) -> Outcome:
    """Mutate one module in a copy of the checkout, or go on with it."""
    folder = work / module.replace("/", "-").removesuffix(".py")
    session = folder / "session.sqlite"
    config = folder / "cosmic-ray.toml"
    copy = folder / "checkout"
    original = folder / "original.py"
    if not session.exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        shutil.copy2(copy / module, original)
        config.write_text(config_of(module), "utf-8")
        call(copy, "sh", "-c", steps_of(module))  # must pass; compiles what the mutants import
        call(copy, "cosmic-ray", "init", str(config), str(session))
        skip_annotations(original, session)
    shutil.copy2(original, copy / module)  # a run that was stopped has left its mutant there
    call(copy, "cosmic-ray", "exec", str(config), str(session))
    return outcome_of(module, call(copy, "cosmic-ray", "dump", str(session)))


def steps_of(module: str) -> str:
    """The shell command that runs a module's tests, first those that know it best."""
    stages = (CONFIG["first"][module], CONFIG["then"][module])
    return " && ".join(f"{sys.executable} {PYTEST} {tests}" for tests in stages)


def config_of(module: str) -> str:
    """The configuration of Cosmic Ray for one module."""
    command = shlex.join(["sh", "-c", steps_of(module)])
    return "\n".join(
        [
            "[cosmic-ray]",
            f"module-path = [{json.dumps(module)}]",
            f"timeout = {CONFIG['cosmic-ray']['timeout']}",
            "excluded-modules = []",
            f"test-command = {json.dumps(command)}",
            "[cosmic-ray.distributor]",
            'name = "local"',
        ]
    )


def call(copy: Path, *command: str) -> str:
    """Run a command in the copy, with the copy's packages before any that are installed."""
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        command,
        cwd=copy,
        env={
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "",  # what is compiled once serves every mutant
            "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{HERE}",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def skip_annotations(module: Path, session: Path) -> None:
    """Mark the mutants of annotations as skipped."""
    spans = list(annotations_of(module))
    with closing(sqlite3.connect(session)) as database, database:
        rows = database.execute("SELECT job_id, start_pos_row, start_pos_col FROM mutation_specs")
        for job, row, column in rows.fetchall():
            if any(start <= (row, column) < end for start, end in spans):
                database.execute(
                    "INSERT INTO work_results (job_id, worker_outcome) VALUES (?, 'SKIPPED')", [job]
                )


def annotations_of(module: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where each annotation of a module starts and ends, as line and column."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                yield (
                    (found.lineno, found.col_offset),
                    (found.end_lineno or 0, found.end_col_offset or 0),
                )


def outcome_of(module: str, dump: str) -> Outcome:
    """Count what Cosmic Ray wrote down, one line of JSON a mutant."""
    known = survivors_of(module)
    counts: Counter[str] = Counter()
    unknown: list[str] = []
    for line in dump.splitlines():
        _, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        outcome = "timeout" if result["output"] == "timeout" else result["test_outcome"]
        if outcome == "survived":
            diff = lines_of(result["diff"])
            outcome = known.get(diff[-1], "unknown")
            if outcome == "unknown":
                unknown.append("\n".join(diff))
        counts[outcome] += 1
    return Outcome(module, counts, sorted(unknown))


def survivors_of(module: str) -> dict[str, str]:
    """What `survivors.md` says of a module: whether each new line is equivalent or accepted."""
    known: dict[str, str] = {}
    kind = heading = ""
    for line in (HERE / "survivors.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            kind = line.removeprefix("## ").casefold()
        elif line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("+ ") and heading == module:
            known[line] = kind
    return known


def lines_of(diff: str) -> list[str]:
    """The line that a mutant takes out and the one it puts in; `no …` where it puts in none."""
    lines = [
        f"{line[0]} {line[1:].strip()}"
        for line in diff.splitlines()
        if line.startswith(("-", "+")) and not line.startswith(("---", "+++")) and line[1:].strip()
    ]
    return lines if lines[-1].startswith("+") else [*lines, f"+ no {lines[-1][2:]}"]


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The table by module, and the survivors that are not listed."""
    names = ("killed", "timeout", "equivalent", "accepted", "unknown")
    yield f"| module | mutants | {' | '.join(names)} | of all | not equivalent |"
    yield f"|---|{'---:|' * 8}"
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts += outcome.counts
    for outcome in (*outcomes, Outcome("all", counts, [])):
        numbers = [outcome.counts[name] for name in names]
        total = outcome.counts.total()
        shares = [f"{100 * outcome.noticed / max(total, 1):.1f} %", f"{outcome.percent:.1f} %"]
        cells = [outcome.module, total, *numbers, *shares]
        yield f"| {' | '.join(map(str, cells))} |"
    for outcome in outcomes:
        for survivor in outcome.unknown:
            yield f"\n{outcome.module}, not in survivors.md:\n{survivor}"


if __name__ == "__main__":
    sys.exit(main())

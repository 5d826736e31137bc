"""Real parts that several rooms' tests share, and what happens where one is missing."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from sealwire.testing.devserver import DevServer

TESTS: Final = Path(__file__).parent
# As GitHub, GitLab and most others set it.
IN_CI: Final = os.environ.get("CI", "").lower() not in ("", "0", "false")


@dataclass(frozen=True)
class Part:
    """Something real that tests use and that Python's packages do not bring.

    Args:
        find: Returns where it is, or None.
        tests: What is not tested without it.
        get: What to do to have it.
    """

    find: Callable[[], Path | None]
    tests: str
    get: str


def find_node() -> Path | None:
    """The `node` command, where the packages of `tests/node` are installed too."""
    command = shutil.which("node")
    installed = (TESTS / "node" / "node_modules" / ".package-lock.json").exists()
    return Path(command).absolute() if command and installed else None


def find_atheris() -> Path | None:
    """The fuzzer, for which there are wheels on some platforms only."""
    spec = importlib.util.find_spec("atheris")
    return None if spec is None or spec.origin is None else Path(spec.origin)


def find_postgresql() -> Path | None:
    """The folder with `initdb` and `postgres`, which Debian does not put into PATH."""
    command = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = Path(command).resolve() if command else next(reversed(installed), None)
    return found.parent if found and (found.parent / "postgres").exists() else None


def find_softhsm() -> Path | None:
    """The library of SoftHSM, where its command is installed too."""
    folders = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")
    libraries = (Path(folder, "softhsm", "libsofthsm2.so") for folder in folders)
    found = next((library for library in libraries if library.exists()), None)
    return found if shutil.which("softhsm2-util") else None


PARTS: Final = {
    "atheris": Part(
        find=find_atheris,
        tests="what is decoded, against the inputs that the fuzzer found and a few thousand more",
        get="run them on Linux with an x86-64 processor and a Python that atheris has a wheel for",
    ),
    "node": Part(
        find=find_node,
        tests="payloads and workflows beside Temporal's TypeScript SDK, the vectors in JavaScript",
        get="install Node.js 20.3 or later with npm, then run `make test`",
    ),
    "postgresql": Part(
        find=find_postgresql,
        tests="keyrings in a PostgreSQL server",
        get="install PostgreSQL (on Debian the package `postgresql`)",
    ),
    "softhsm": Part(
        find=find_softhsm,
        tests="a key-encryption key in a PKCS#11 token",
        get="install SoftHSM 2 (on Debian the package `softhsm2`)",
    ),
}


def pytest_configure() -> None:
    """Gives the processes that share the tests one hash seed: names of tests show sets."""
    os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(2**32)))  # noqa: S311


@pytest.fixture(scope="session")
def require_part() -> Callable[[str], Path]:
    """Returns where the named part is; without it, fails in CI and skips elsewhere."""

    def require(name: str) -> Path:
        found = PARTS[name].find()
        if found is not None:
            return found
        if IN_CI:
            pytest.fail(f"{missing(name)}; to have it: {PARTS[name].get}", pytrace=False)
        pytest.skip(missing(name))

    return require


def missing(name: str) -> str:
    return f"the part `{name}` is missing"


@pytest.hookimpl(wrapper=True, tryfirst=True)  # the last words of the report
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Says which tests did not run for want of a part, and how to get it."""
    yield
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    counts = {name: sum(missing(name) in reason for reason in reasons) for name in PARTS}
    if not any(counts.values()):
        return
    terminalreporter.section("NOT RUN", red=True, bold=True)
    for name, count in counts.items():
        if count:
            tests, them = ("test", "it") if count == 1 else ("tests", "them")
            terminalreporter.line(f"{count} {tests} without `{name}`: {PARTS[name].tests}")
            terminalreporter.line(f"    to run {them}: {PARTS[name].get}")


@pytest.fixture(scope="session")
def temporal_server() -> Generator[str]:
    """The address of a real server with the namespaces `default` and `other`."""
    with DevServer(("default", "other")) as server:
        yield server.address

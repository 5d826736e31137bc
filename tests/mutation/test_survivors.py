"""What `survivors.md` says of the code is about the code as it is."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


def survivors() -> Iterator[tuple[str, str]]:
    """Each module with a line of it that a mutant takes out."""
    module = ""
    for line in (HERE / "survivors.md").read_text("utf-8").splitlines():
        if line.startswith("### "):
            module = line.removeprefix("### ")
        elif module and line.startswith("- "):
            yield module, line.removeprefix("- ")


def test_each_survivor_is_a_mutant_of_a_line_that_exists() -> None:
    """A reason for a line that is gone would excuse nothing, or the wrong thing."""
    lines = {
        module: {line.strip() for line in (CHECKOUT / module).read_text("utf-8").splitlines()}
        for module, _ in survivors()
    }

    assert {} != lines
    assert [] == [(module, line) for module, line in survivors() if line not in lines[module]]


def test_each_module_has_tests() -> None:
    """One that is mutated, and no other one, stands in all three places."""
    config = tomllib.loads((HERE / "cosmic-ray.toml").read_text("utf-8"))
    modules = set(config["cosmic-ray"]["module-path"])

    assert modules == config["first"].keys() == config["then"].keys()
    assert modules == {module for module in modules if (CHECKOUT / module).is_file()}

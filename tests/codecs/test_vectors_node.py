"""The published vectors in another language: Node.js, with nothing but its own `crypto`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

CHECKOUT: Final = Path(__file__).parents[2]
SCRIPT: Final = CHECKOUT / "tests" / "node" / "vectors.mjs"
FILES: Final = sorted((CHECKOUT / "docs" / "vectors").glob("*.json"))
JSON: Final = "JSON"  # a positive that both files have

Json = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """What the script said about one file.

    Attributes:
        names: The vectors that it has checked.
        wrong: The fields that it finds wrong, by vector; vectors without any are left out.
        code: Its exit code.
    """

    names: list[str]
    wrong: dict[str, list[str]]
    code: int


@pytest.fixture(scope="module")
def check(require_part: Callable[[str], Path]) -> Callable[[Path], Checked]:
    """Runs the script on one file."""
    node = require_part("node")

    def run(file: Path) -> Checked:
        done = subprocess.run(
            [node, SCRIPT, file], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
        assert "" == done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        wrong = {line["name"]: line["wrong"] for line in lines if line["wrong"]}
        return Checked([line["name"] for line in lines], wrong, done.returncode)

    return run


def read(file: Path) -> Json:
    content: Json = json.loads(file.read_text(encoding="utf-8"))
    return content


def changed(value: Any) -> Any:
    """Another value of the same form."""
    if isinstance(value, str):
        return value[:-1] + ("1" if value.endswith("0") else "0")
    return value | {name: changed(item) for name, item in list(value.items())[:1]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_vector_holds(check: Callable[[Path], Checked], file: Path) -> None:
    """Each positive is written and read as published, each negative refused as published."""
    content = read(file)
    names = [vector["name"] for vector in content["positives"] + content["negatives"]]

    assert Checked(names, {}, 0) == check(file)


@pytest.mark.parametrize(
    ("stem", "field", "wrong"),
    [
        ("sealed-v1", "root", "CK KCV data"),
        ("sealed-v1", "kid", "CK KCV CONTEXT metadata data inner"),
        ("sealed-v1", "salt", "data"),
        ("sealed-v1", "inner", "message data"),
        ("sealed-v1", "CK", "CK"),
        ("sealed-v1", "KCV", "KCV"),
        ("sealed-v1", "CONTEXT", "CONTEXT"),
        ("sealed-v1", "message", "message"),
        ("sealed-v1", "metadata", "metadata inner"),
        ("sealed-v1", "data", "data"),
        ("interop", "key", "data"),
        ("interop", "kid", "metadata inner"),
        ("interop", "nonce", "data"),
        ("interop", "inner", "message inner"),
        ("interop", "message", "message data inner"),
        ("interop", "metadata", "metadata inner"),
        ("interop", "data", "data"),
        ("enveloped-v1", "data_key", "kid CK CONTEXT wraps metadata data inner"),
        ("enveloped-v1", "kid", "kid"),
        ("enveloped-v1", "tenant", "CONTEXT wraps metadata data inner"),
        ("enveloped-v1", "salt", "data"),
        ("enveloped-v1", "inner", "message data"),
        ("enveloped-v1", "CK", "CK"),
        ("enveloped-v1", "CONTEXT", "CONTEXT"),
        ("enveloped-v1", "message", "message"),
        ("enveloped-v1", "metadata", "metadata inner"),
        ("enveloped-v1", "data", "data"),
    ],
)
def test_a_wrong_positive_is_noticed(
    check: Callable[[Path], Checked], tmp_path: Path, stem: str, field: str, wrong: str
) -> None:
    """Each field of a positive is compared with what the script computes from the others."""
    content = read(CHECKOUT / "docs" / "vectors" / f"{stem}.json")
    vector = next(item for item in content["positives"] if item["name"] == JSON)
    vector[field] = changed(vector[field])
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(content), encoding="utf-8")

    checked = check(file)

    assert {JSON: wrong.split()} == checked.wrong
    assert 1 == checked.code


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_negative_is_noticed(
    check: Callable[[Path], Checked], tmp_path: Path, file: Path
) -> None:
    """A negative that is authentic, or is refused for another reason is found wrong."""
    content = read(file)
    good = next(item for item in content["positives"] if item["name"] == JSON)
    first, second, *_ = content["negatives"]
    first["data"] = good["data"]
    second["error"] = "KeyNotFoundError"
    copy = tmp_path / "changed.json"
    copy.write_text(json.dumps(content), encoding="utf-8")

    checked = check(copy)

    assert {first["name"]: ["error"], second["name"]: ["error"]} == checked.wrong
    assert 1 == checked.code

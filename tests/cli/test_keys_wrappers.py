"""Other key-encryption keys on the command line: `rewrap`, and bundles for any wrapper."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from sealwire.config import load_config
from sealwire.keys import Key, KeySuite, LocalKeyWrapper

PASSPHRASE: Final = "six words that a machine has drawn"
LOCAL: Final = """\
[[keyring.wrapper]]
type = "local"
path = "{}.key"
"""
SAFE: Final = """\
[[keyring.wrapper]]
type = "passphrase"
passphrase = "passphrase.txt"
label = "safe"
"""


def sealwire(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealwire", "keys", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        timeout=120,
    )


def succeed(folder: Path, *arguments: str) -> str:
    run = sealwire(folder, *arguments)
    assert (0, "") == (run.returncode, run.stderr)
    assert all(len(line) <= 80 for line in run.stdout.splitlines())
    return run.stdout


def succeed_json(folder: Path, *arguments: str) -> Any:
    return json.loads(succeed(folder, *arguments, "--json"))


def fail(folder: Path, *arguments: str, code: int = 1) -> str:
    run = sealwire(folder, *arguments)
    assert (code, "") == (run.returncode, run.stdout)
    assert "Traceback" not in run.stderr
    return " ".join(run.stderr.replace("│", " ").split())


def opens(file: Path) -> list[str]:
    """The keys that this configuration opens."""
    return [key.id for key in asyncio.run(load_config(file).admin.keys()).keys]


def configure(folder: Path, *tables: str, name: str = "sealwire.toml") -> Path:
    file = folder / name
    file.write_text("\n".join(tables))
    return file


@pytest.fixture
def made(tmp_path: Path) -> list[str]:
    """The keys of a keyring that `a.key` opens; `passphrase.txt` lies beside it."""
    (tmp_path / "passphrase.txt").write_text(PASSPHRASE)
    (tmp_path / "passphrase.txt").chmod(0o600)
    file = configure(tmp_path, LOCAL.format("a"))
    LocalKeyWrapper(tmp_path / "a.key").create()
    asyncio.run(load_config(file).admin.create())
    return opens(file)


def test_a_wrapper_is_added_and_another_removed(tmp_path: Path, made: list[str]) -> None:
    """What opens the document is what the configuration names; before and after are shown."""
    both = configure(tmp_path, LOCAL.format("a"), SAFE)
    added = succeed_json(tmp_path, "rewrap")
    (local,) = added["before"]
    assert [local, "passphrase:safe"] == added["after"]
    assert 2 == added["version"]
    alone = configure(tmp_path, SAFE, name="safe.toml")
    assert made == opens(both) == opens(alone)
    shown = succeed(tmp_path, "rewrap", "--config", "safe.toml")
    assert {local, "no, removed", "passphrase:safe", "yes"} <= {
        cell.strip() for cell in shown.replace("┃", "│").split("│") if cell.strip()
    }
    first = configure(tmp_path, LOCAL.format("a"), name="first.toml")
    assert made == opens(alone)
    told = fail(tmp_path, "list", "--config", first.name)
    assert "is wrapped by passphrase:safe" in told
    assert "check [[keyring.wrapper]], or key_file" in told
    assert "backup" not in told, "no key file would open it"


def test_all_wrappers_are_exchanged_at_once(tmp_path: Path, made: list[str]) -> None:
    """Where the new ones open nothing yet, the configuration that does is named beside them."""
    configure(tmp_path, LOCAL.format("a"), name="old.toml")
    new = configure(tmp_path, LOCAL.format("b"))
    before = (tmp_path / "keyring.json").read_bytes()
    assert "name that with --opened-by" in fail(tmp_path, "rewrap")
    arguments = ("rewrap", "--opened-by", "old.toml")
    assert "b.key does not exist" in fail(tmp_path, *arguments)
    assert before == (tmp_path / "keyring.json").read_bytes()
    changed = succeed_json(tmp_path, *arguments, "--make-key-file")
    assert set(changed["before"]).isdisjoint(changed["after"])
    assert made == opens(new)


@pytest.mark.parametrize("name", ["keyring.json", "keyring.json.bak"])
def test_a_removed_wrapper_opens_no_file_that_is_left(
    name: str, tmp_path: Path, made: list[str]
) -> None:
    """Neither the document, nor the version before it beside it."""
    configure(tmp_path, LOCAL.format("a"), SAFE)
    succeed(tmp_path, "rewrap")
    configure(tmp_path, SAFE)
    succeed(tmp_path, "rewrap")
    shutil.copyfile(tmp_path / name, tmp_path / "left.json")
    (tmp_path / "left.json").chmod(0o600)
    configure(tmp_path, '[keyring]\npath = "left.json"', LOCAL.format("a"), name="left.toml")
    assert "is wrapped by passphrase:safe" in fail(tmp_path, "list", "--config", "left.toml")


def test_a_bundle_travels_between_any_wrappers(tmp_path: Path, made: list[str]) -> None:
    """Another configuration says who opens it, on the way out and on the way in."""
    configure(tmp_path, SAFE, name="safe.toml")
    exported = succeed_json(tmp_path, "export", "--out", "bundle.json", "--opened-by", "safe.toml")
    assert (["passphrase:safe"], None) == (exported["wrapped_by"], exported["key_file"])
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy(tmp_path / "bundle.json", there)
    new = configure(there, LOCAL.format("new"))
    arguments = ("import-bundle", "bundle.json", "--opened-by", str(tmp_path / "safe.toml"))
    assert "let a new one be made with --make-key-file" in fail(there, *arguments)
    assert made == succeed_json(there, *arguments, "--make-key-file")["added"]
    assert made == opens(new)
    shown = succeed(tmp_path, "export", "--out", "again.json", "--opened-by", "safe.toml")
    assert "passphrase:safe" in shown


@pytest.mark.parametrize("options", [(), ("--key-file", "b.key", "--opened-by", "safe.toml")])
@pytest.mark.parametrize("command", ["export", "import-bundle"])
def test_one_way_to_open_a_bundle_is_given(
    command: str, options: tuple[str, ...], tmp_path: Path, made: list[str]
) -> None:
    """With none or two, the call is wrong, and no key file is made."""
    (tmp_path / "bundle.json").write_text("{}")
    (tmp_path / "bundle.json").chmod(0o600)
    rest = ("--out", "new.json") if command == "export" else ("bundle.json",)
    told = fail(tmp_path, command, *rest, *options, code=2)
    assert "either --key-file or --opened-by" in told
    assert not (tmp_path / "b.key").exists()


def test_init_beside_a_keyring_makes_no_key_file(tmp_path: Path, made: list[str]) -> None:
    """A second key file in the place of a lost one would open nothing, and look as if it did."""
    (tmp_path / "a.key").rename(tmp_path / "lost.key")
    assert "there is a keyring" in fail(tmp_path, "init")
    assert not (tmp_path / "a.key").exists()


def test_the_configuration_names_the_audit_log(tmp_path: Path, made: list[str]) -> None:
    """`audit` is beside the configuration, and an option of the command wins over it."""
    configure(tmp_path, '[keyring]\naudit = "audit.jsonl"\n', LOCAL.format("a"))
    succeed(tmp_path, "rotate")
    succeed(tmp_path, "rotate", "--audit-log", "other.jsonl")
    logs = [tmp_path / name for name in ("audit.jsonl", "other.jsonl")]
    assert [["rotate"]] * 2 == [
        [json.loads(line)["action"] for line in log.read_text().splitlines()] for log in logs
    ]
    assert 0o600 == logs[0].stat().st_mode & 0o777


def test_the_configuration_says_how_long_a_key_is_kept(tmp_path: Path, made: list[str]) -> None:
    """`min_retired` is the rail of `schedule-destruction`, and an option of it wins."""
    succeed(tmp_path, "rotate", "--immediate")
    (old,) = made
    arguments = ("schedule-destruction", old)
    configure(tmp_path, "[keyring]\nrefresh_interval = 0.001\n", LOCAL.format("a"))
    assert "120 days (min_retired)" in fail(tmp_path, *arguments)
    short = "[keyring]\nrefresh_interval = 0.001\nmin_retired = 0\n"
    configure(tmp_path, short, LOCAL.format("a"))
    assert "400 days (min_retired)" in fail(tmp_path, *arguments, "--min-retired", "400d")
    (shown,) = succeed_json(tmp_path, *arguments)["keys"]
    assert "destroy-scheduled" == shown["state"]
    assert shown["destroyed_at"][:10] in succeed(tmp_path, "list")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A message, and no traceback."""
    assert "cannot write none/sealwire.toml" in fail(
        tmp_path, "init", "--config", "none/sealwire.toml"
    )


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf8", "x" * 32), ("hex", "78" * 32), ("base64", "eHh4" * 10 + "eHg=")]
)
def test_a_key_of_other_sdks_is_imported_as_it_is_written(
    encoding: str, text: str, tmp_path: Path, made: list[str]
) -> None:
    """Text, hexadecimal or base64 of the same bytes give the same key."""
    (tmp_path / "key.txt").write_text(f"{text}\n")
    (tmp_path / "key.txt").chmod(0o600)
    succeed(tmp_path, "import", "theirs", "--file", "key.txt", "--encoding", encoding)
    document = json.loads((tmp_path / "keyring.json").read_text())
    expected = Key("theirs", b"x" * 32, suite=KeySuite.INTEROP)
    assert expected.check_value.hex() == document["keys"][-1]["check"]

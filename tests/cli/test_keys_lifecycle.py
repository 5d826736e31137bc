"""The states of keys on the command line, run as a user runs it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sealwire.config import load_config
from sealwire.keys import Key, KeyLifecycle, KeyringAdmin, KeySuite, LocalKeyWrapper

DAY = 86_400.0


def sealwire(
    folder: Path, *arguments: str, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealwire", "keys", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", **environment},
        timeout=120,
    )


def succeed(folder: Path, *arguments: str, **environment: str) -> str:
    run = sealwire(folder, *arguments, **environment)
    assert (0, "") == (run.returncode, run.stderr)
    assert all(len(line) <= 80 for line in run.stdout.splitlines())
    return run.stdout


def succeed_json(folder: Path, *arguments: str) -> Any:
    return json.loads(succeed(folder, *arguments, "--json"))


def fail(folder: Path, *arguments: str, typed: str = "") -> str:
    run = sealwire(folder, *arguments, typed=typed)
    assert (1, "") == (run.returncode, run.stdout)
    assert "Traceback" not in run.stderr
    return " ".join(run.stderr.split())


def states(folder: Path) -> dict[str, str]:
    found = asyncio.run(load_config(folder / "sealwire.toml").admin.keys())
    return {key.id: found.state(key, time.time()).value for key in found.keys}


def clocked(folder: Path, days_ago: float) -> KeyringAdmin:
    """An administrator who acted so many days ago."""
    config = load_config(folder / "sealwire.toml")
    then = time.time() - days_ago * DAY
    return dataclasses.replace(config.admin, clock=lambda: then)


@pytest.fixture
async def old(tmp_path: Path) -> Key:
    """A key that was replaced 200 days ago."""
    (tmp_path / "sealwire.toml").write_text("")
    LocalKeyWrapper(tmp_path / "keyring.key").create()
    made = await clocked(tmp_path, 201).create()
    await clocked(tmp_path, 200).rotate(delay=0.0)
    return made


def test_a_key_is_disabled_and_enabled(tmp_path: Path, old: Key) -> None:
    """Each command shows the key and its new state, in a table or as JSON."""
    assert "disabled" in succeed(tmp_path, "disable", old.id, "--reason", "compromised")
    assert "disabled" == states(tmp_path)[old.id]
    (shown,) = succeed_json(tmp_path, "enable", old.id)["keys"]
    assert (old.id, "decrypt-only", None) == (shown["id"], shown["state"], shown["destroyed_at"])


def test_a_key_that_was_replaced_shows_no_time_from_which_it_encrypts(
    tmp_path: Path, old: Key
) -> None:
    """It will not encrypt again, so the delay of `enable` would be taken for a warning."""

    def begins(shown: str) -> list[str]:
        rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines()]
        return [row[4] for row in rows if old.id in row]

    succeed(tmp_path, "disable", old.id)
    assert ["-"] == begins(succeed(tmp_path, "enable", old.id))
    assert ["-"] == begins(succeed(tmp_path, "list"))
    listed = {key["id"]: key["encrypt_from"] for key in succeed_json(tmp_path, "list")["keys"]}
    assert listed.pop(old.id) is None
    assert all(listed.values())
    new = succeed_json(tmp_path, "rotate")
    (pending,) = (key for key in succeed_json(tmp_path, "list")["keys"] if key["id"] == new["key"])
    assert new["encrypt_from"] == pending["encrypt_from"]


def test_a_pending_key_is_promoted(tmp_path: Path, old: Key) -> None:
    """Not before every process knows it, unless that is asked for."""
    new = succeed_json(tmp_path, "rotate")["key"]
    assert "--before-all-know-it" in fail(tmp_path, "promote", new)
    assert "active" in succeed(tmp_path, "promote", new, "--before-all-know-it")
    assert "active" == states(tmp_path)[new]


def test_destruction_is_scheduled_and_cancelled(tmp_path: Path, old: Key) -> None:
    """The date is shown, by `list` with `--json` too, and the key can be kept."""
    (shown,) = succeed_json(tmp_path, "schedule-destruction", old.id, "--after", "7d")["keys"]
    assert "destroy-scheduled" == shown["state"]
    assert shown["destroyed_at"] in json.dumps(succeed_json(tmp_path, "list"))
    assert "decrypt-only" in succeed(tmp_path, "cancel-destruction", old.id)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("disable", "ACTIVE"), "`sealwire keys rotate` first"),
        (("schedule-destruction", "OLD", "--after", "6d"), "7 days or more"),
        (("schedule-destruction", "OLD", "--min-retired", "400d"), "--even-if-in-use"),
        (("destroy", "OLD"), "`sealwire keys schedule-destruction` first"),
        (("enable", "nobody"), "`sealwire keys list`"),
        (("export", "--out", "sealwire.toml", "--key-file", "b.key"), "exists already"),
        (("import-bundle", "none.json", "--key-file", "b.key"), "there is no none.json"),
    ],
)
def test_a_refusal_names_the_next_step(
    tmp_path: Path, old: Key, arguments: tuple[str, ...], told: str
) -> None:
    """The message is on stderr, the exit code is 1, and nothing was changed."""
    before = states(tmp_path)
    (active,) = [key_id for key_id, state in before.items() if state == "active"]
    names = {"OLD": old.id, "ACTIVE": active}
    assert told in fail(tmp_path, *(names.get(word, word) for word in arguments))
    assert before == states(tmp_path)


@pytest.fixture
async def due(tmp_path: Path, old: Key) -> Key:
    """The old key, whose time has come."""
    await KeyLifecycle(clocked(tmp_path, 31), 0.0).schedule_destruction(old.id)
    return old


@pytest.mark.parametrize("typed", ["", "yes\n", "y\n"])
def test_a_key_is_not_destroyed_without_its_name(tmp_path: Path, due: Key, typed: str) -> None:
    """Whoever does not type the whole id is asked to, and told what sealwire cannot see."""
    told = fail(tmp_path, "destroy", typed=typed)
    assert "cannot see which histories" in told
    assert "nothing was destroyed: type the whole key id, or pass --yes" in told
    succeed(tmp_path, "cancel-destruction", due.id)
    assert "decrypt-only" == states(tmp_path)[due.id]


@pytest.mark.parametrize("by_id", [True, False])
def test_a_key_is_destroyed_by_its_name(tmp_path: Path, due: Key, by_id: bool) -> None:
    """With the id typed, the material is gone; a second time there is nothing to do."""
    arguments = ("destroy", due.id) if by_id else ("destroy",)
    run = sealwire(tmp_path, *arguments, "--json", typed=f"{due.id}\n")
    assert 0 == run.returncode, run.stderr
    assert "destroyed" == json.loads(run.stdout)["keys"][0]["state"]
    document = json.loads((tmp_path / "keyring.json").read_text())
    assert document["keys"][0]["material"] is None
    assert "nothing to do" in succeed(tmp_path, *arguments)


def test_cron_destroys_without_a_question(tmp_path: Path, due: Key) -> None:
    """`--yes` erases what is due, and lists it."""
    (shown,) = succeed_json(tmp_path, "destroy", "--yes")["keys"]
    assert (due.id, "destroyed") == (shown["id"], shown["state"])
    assert [] == succeed_json(tmp_path, "destroy", "--yes")["keys"]


def test_keys_travel_in_a_bundle(tmp_path: Path, old: Key) -> None:
    """What was exported comes back where the keyring is lost, opened by another key file."""
    shown = succeed(tmp_path, "export", "--out", "bundle.json", "--key-file", "backup.key")
    assert all(name in shown for name in ("bundle.json", "backup.key"))
    assert all((tmp_path / name).stat().st_mode & 0o077 == 0 for name in ("bundle.json",))
    before = states(tmp_path)
    for name in ("keyring.json", "keyring.json.bak"):
        (tmp_path / name).unlink()
    arguments = ("import-bundle", "bundle.json", "--key-file", "backup.key")
    assert list(before) == succeed_json(tmp_path, *arguments)["added"]
    assert before == states(tmp_path)
    assert "was here already" in succeed(tmp_path, *arguments)


def test_every_change_is_written_to_the_audit_log(tmp_path: Path, old: Key) -> None:
    """With a log, each command appends a line, and a refusal does, too."""
    log = {"SEALWIRE_AUDIT_LOG": str(tmp_path / "audit.jsonl")}
    succeed(tmp_path, "rotate", **log)
    succeed(tmp_path, "disable", old.id, "--reason", "ticket 7", **log)
    assert 1 == sealwire(tmp_path, "promote", "nobody", **log).returncode
    succeed(tmp_path, "list", **log)
    events = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [("rotate", "done"), ("disable", "done"), ("promote", "failed")] == [
        (event["action"], event["outcome"]) for event in events
    ]
    assert ("ticket 7", [old.id]) == (events[1]["reason"], events[1]["key_ids"])


async def test_imported_keys_have_states_too(tmp_path: Path, old: Key) -> None:
    """The only interop key is withdrawn when that is asked for by name."""
    key = await clocked(tmp_path, 1).import_interop("other-sdk", b"\xa5" * 32)
    assert KeySuite.INTEROP is key.suite
    assert "--even-if-in-use" in fail(tmp_path, "disable", key.id)
    assert "disabled" in succeed(tmp_path, "disable", key.id, "--even-if-in-use")


def test_an_index_key_is_made_apart(tmp_path: Path) -> None:
    """The first key for tokens works at once; interop keys are not made, but imported."""
    sealing = succeed_json(tmp_path, "init")["key"]
    made = succeed_json(tmp_path, "rotate", "--suite", "blind-index")
    listed = {key["id"]: key for key in succeed_json(tmp_path, "list")["keys"]}
    assert {sealing: "sealed-v1", made["key"]: "blind-index"} == {
        key_id: key["suite"] for key_id, key in listed.items()
    }
    assert {"active"} == {key["state"] for key in listed.values()}
    again = succeed_json(tmp_path, "rotate", "--suite", "blind-index", "--if-older-than", "365d")
    assert (made["key"], False) == (again["key"], again["rotated"])


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        ("interop", "`sealwire keys import` adds one"),
        ("sealed-v2", "is not one of 'sealed-v1', 'blind-index'"),
    ],
)
def test_a_suite_whose_keys_are_not_made_is_no_choice(
    tmp_path: Path, suite: str, told: str
) -> None:
    """Keys of other programs are imported, and the help does not offer to make one."""
    succeed_json(tmp_path, "init")
    run = sealwire(tmp_path, "rotate", "--suite", suite)
    assert (2, "") == (run.returncode, run.stdout)
    assert told in " ".join(run.stderr.replace("│", " ").split())
    shown = succeed(tmp_path, "rotate", "--help")
    assert "interop" not in shown
    assert "[sealed-v1|blind-index]" in shown

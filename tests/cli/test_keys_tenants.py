"""Keyrings of several tenants on the command line, run as a user runs it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sealwire.config import load_config
from sealwire.keys import KeyringShredder

CONFIG = """
[keyring]
key_file = "root.key"

[keyring.store]
type = "folder"
path = "keyrings"

[keyring.tenants]
by = "workflow-id"
pattern = "([^/]+)/"
wrapped_by = "root"
"""


def keys(folder: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealwire", "keys", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        timeout=120,
    )


def succeed(folder: Path, *arguments: str) -> Any:
    run = keys(folder, *arguments, "--json")
    assert (0, "") == (run.returncode, run.stderr)
    return json.loads(run.stdout)


def fail(folder: Path, *arguments: str, typed: str = "") -> str:
    run = keys(folder, *arguments, typed=typed)
    assert (1, "") == (run.returncode, run.stdout)
    return " ".join(run.stderr.split())


def states(folder: Path, tenant: str) -> list[str]:
    return [key["state"] for key in succeed(folder, "list", "--tenant", tenant)["keys"]]


def days_left(folder: Path, tenant: str) -> float:
    [key] = succeed(folder, "list", "--tenant", tenant)["keys"]
    at = dt.datetime.fromisoformat(key["destroyed_at"]).timestamp()
    return (at - time.time()) / 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with the keyrings `root` and `c-1`."""
    (tmp_path / "sealwire.toml").write_text(CONFIG)
    for tenant in ("root", "c-1"):
        succeed(tmp_path, "init", "--tenant", tenant)
    return tmp_path


def test_every_command_takes_a_tenant(folder: Path) -> None:
    """The option comes after the command, and each tenant has its own keys."""
    succeed(folder, "rotate", "--tenant", "c-1", "--immediate")
    assert ["decrypt-only", "active"] == states(folder, "c-1")
    assert ["active"] == states(folder, "root")
    assert "there is no keyring for 'default'" in fail(folder, "list")
    help_texts = {name: keys(folder, name, "--help").stdout for name in ("export", "shred")}
    assert {"export": True, "shred": False} == {
        name: "--tenant" in text for name, text in help_texts.items()
    }


def test_a_tenant_is_shredded_in_two_steps(folder: Path) -> None:
    """The first call withdraws, `cancel-shredding` takes it back, and a call later erases.

    A call before the date, from cron for example, changes nothing.
    """
    assert not succeed(folder, "shred", "c-1", "--reason", "request 7")["erased"]
    assert ["destroy-scheduled"] == states(folder, "c-1")
    assert not succeed(folder, "shred", "c-1", "--after", "9d")["erased"]
    assert 29 < days_left(folder, "c-1") <= 30
    succeed(folder, "cancel-shredding", "c-1")
    assert ["active"] == states(folder, "c-1")

    admin = load_config(folder / "sealwire.toml").admin_of("c-1")
    then = time.time() - 31 * 86_400
    asyncio.run(KeyringShredder(dataclasses.replace(admin, clock=lambda: then)).schedule())
    assert "not confirmed" in fail(folder, "shred", "c-1", typed="c-2\n")
    assert succeed(folder, "shred", "c-1", "--yes")["erased"]
    assert "null" in (folder / "keyrings" / "c-1.json.bak").read_text()
    assert "was shredded on" in fail(folder, "init", "--tenant", "c-1")
    assert "was shredded on" in fail(folder, "rotate", "--tenant", "c-1")
    assert "was shredded, for good" in fail(folder, "cancel-shredding", "c-1")


def test_a_tenant_is_shredded_at_once_on_demand(folder: Path) -> None:
    """Only if the name is typed; other tenants, and the keyring that opens all, are not touched."""
    assert "7 days or more" in fail(folder, "shred", "c-1", "--after", "1d")
    run = keys(folder, "shred", "c-1", "--immediately", typed="c-1\n")
    assert 0 == run.returncode
    assert "the keys of c-1 are erased: 1" in run.stdout
    assert "cannot be undone" in run.stderr
    assert ["destroyed"] == states(folder, "c-1")
    assert ["active"] == states(folder, "root")


@pytest.mark.parametrize("options", [(), ("--immediately", "--yes")])
def test_the_keyring_that_opens_all_others_is_not_shredded(
    folder: Path, options: tuple[str, ...]
) -> None:
    """With its keys gone, no tenant's payload could be read any more."""
    assert "wrapped_by" in fail(folder, "shred", "root", *options)
    assert ["active"] == states(folder, "root")


def test_tables_name_the_tenant(folder: Path) -> None:
    """Where each tenant has a keyring, `list` and `init` say whose it is."""
    assert "c-1 in keyrings, version 1" in keys(folder, "list", "--tenant", "c-1").stdout
    assert "the keyring of c-2" in keys(folder, "init", "--tenant", "c-2").stdout

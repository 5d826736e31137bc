"""What the commands that change keys share: who acts, where it is recorded, and what is shown."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sealwire.config import Config
from sealwire.keys import FileAuditSink, Key, KeyringAdmin, KeySet

from . import console

AuditLog = Annotated[
    Path | None,
    typer.Option(
        "--audit-log",
        envvar="SEALWIRE_AUDIT_LOG",
        help="A file to which each action is appended, as a line of JSON.",
    ),
]


def administrator(loaded: Config, audit_log: Path | None) -> KeyringAdmin:
    """Return who may change the keyring, and records it in the file, where there is one."""
    admin = loaded.admin
    return admin if audit_log is None else replace(admin, audit=FileAuditSink(audit_log))


def show(admin: KeyringAdmin, *key_ids: str, as_json: bool) -> None:
    """Print what these keys have become."""
    found = asyncio.run(admin.keys())
    rows = [row(found, key) for key in found.keys if key.id in key_ids]
    if as_json:
        console.print_json({"version": found.version, "keys": rows})
        return
    table = console.table("Key", "State", "Encrypts from", "Destroyed", title="Times in UTC")
    for key in found.keys:
        if key.id in key_ids:
            table.add_row(
                key.id,
                found.state(key, time.time()).value,
                minute(key.encrypt_from),
                "" if key.destroyed_at is None else minute(key.destroyed_at),
            )
    console.out.print(table)


def row(found: KeySet, key: Key) -> dict[str, Any]:
    """Describe a key for programs."""
    return {
        "id": key.id,
        "state": found.state(key, time.time()).value,
        "suite": key.suite.value,
        "created": iso(key.created),
        "encrypt_from": iso(key.encrypt_from),
        "destroyed_at": None if key.destroyed_at is None else iso(key.destroyed_at),
    }


def minute(seconds: float) -> str:
    """Write a time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def iso(seconds: float) -> str:
    """Write a time for programs, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

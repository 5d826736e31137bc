"""What the commands that change keys share: who acts, where it is recorded, and what is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sealwire.config import Config
from sealwire.keys import FileAuditSink, Key, KeyringAdmin, KeySet, KeyState

from . import console
from .tenant import chosen_tenant

AuditLog = Annotated[
    Path | None,
    typer.Option(
        "--audit-log",
        envvar="SEALWIRE_AUDIT_LOG",
        help="A file to which each action is appended, as a line of JSON; in place of `audit` in "
        "the configuration.",
    ),
]


def administrator(
    loaded: Config, audit_log: Path | None, tenant: str | None = None
) -> KeyringAdmin:
    """Return who may change a keyring, and records it in the file, where there is one."""
    admin = loaded.admin_of(tenant or chosen_tenant() or loaded.keyring.tenant)
    return admin if audit_log is None else replace(admin, audit=FileAuditSink(audit_log))


def show(
    admin: KeyringAdmin, key_ids: Collection[str] | None, *, as_json: bool, place: str = ""
) -> None:
    """Print what these keys, or all, have become; `place` begins the title."""
    found = asyncio.run(admin.keys())
    chosen = [key for key in found.keys if key_ids is None or key.id in key_ids]
    if as_json:
        rows = [_row(found, key) for key in chosen]
        console.print_json({"version": found.version, "keys": rows})
        return
    title = f"{place}version {found.version}; times in UTC"
    table = console.table("Key", "Suite", "State", "Encrypts from", title=title)
    for key in chosen:
        state = found.state(key, time.time()).value
        if key.destroyed_at is not None:
            state += f"\n{minute(key.destroyed_at)}"  # a column of its own would not fit
        begins = encrypts_from(found, key, time.time())
        shown = "-" if begins is None else minute(begins)
        table.add_row(key.id, key.suite.value, state, shown)
    console.out.print(table)


def encrypts_from(found: KeySet, key: Key, now: float) -> float | None:
    """Return since when, or from when on, a key encrypts; None for one that does not.

    What a key that was replaced or withdrawn has noted is no time at which it will encrypt.
    """
    encrypts = found.state(key, now) in (KeyState.PENDING, KeyState.ACTIVE)
    return key.encrypt_from if encrypts else None


def _row(found: KeySet, key: Key) -> dict[str, Any]:
    begins = encrypts_from(found, key, time.time())
    return {
        "id": key.id,
        "state": found.state(key, time.time()).value,
        "suite": key.suite.value,
        "created": iso(key.created),
        "encrypt_from": None if begins is None else iso(begins),
        "destroyed_at": None if key.destroyed_at is None else iso(key.destroyed_at),
    }


def minute(seconds: float) -> str:
    """Write a time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def iso(seconds: float) -> str:
    """Write a time for programs, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

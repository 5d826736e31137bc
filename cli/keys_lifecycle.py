"""`sealwire keys promote | disable | enable | … | destroy`: the states of keys."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from typing import Annotated

import typer

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import KeyLifecycle, KeyringAdmin
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.lifecycle import due_keys

from . import console
from .keys_admin import AuditLog, administrator, show
from .options import DEFAULT_CONFIG, AsJson, ConfigPath, duration

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key id.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit event.")]


def promote(
    key_id: KeyId,
    config: ConfigPath = DEFAULT_CONFIG,
    before_all_know_it: Annotated[
        bool,
        typer.Option("--before-all-know-it", help="Dangerous: also if processes may lack the key."),
    ] = False,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Let a pending key encrypt from now on."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    asyncio.run(_lifecycle(loaded, admin).promote(key_id, before_all_know_it=before_all_know_it))
    show(admin, [key_id], as_json=as_json)


def disable(
    key_id: KeyId,
    config: ConfigPath = DEFAULT_CONFIG,
    reason: Reason = "",
    even_if_in_use: Annotated[
        bool,
        typer.Option(
            "--even-if-in-use", help="Dangerous: also if a process may still encrypt with it."
        ),
    ] = False,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw a key: what it sealed cannot be read until the key is enabled again."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    lifecycle = _lifecycle(loaded, admin)
    asyncio.run(lifecycle.disable(key_id, reason=reason, even_if_in_use=even_if_in_use))
    show(admin, [key_id], as_json=as_json)


def enable(
    key_id: KeyId,
    config: ConfigPath = DEFAULT_CONFIG,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Let a disabled key decrypt again."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    asyncio.run(_lifecycle(loaded, admin).enable(key_id))
    show(admin, [key_id], as_json=as_json)


def schedule_destruction(
    key_id: KeyId,
    config: ConfigPath = DEFAULT_CONFIG,
    after: Annotated[str, typer.Option(help="When to destroy it; at least 7d.")] = "30d",
    min_retired: Annotated[
        str | None,
        typer.Option(
            help="How long ago it must have been replaced: the age of your oldest workflows "
            "and the retention of the namespace, together. By default the configuration's."
        ),
    ] = None,
    reason: Reason = "",
    even_if_in_use: Annotated[
        bool,
        typer.Option("--even-if-in-use", help="Dangerous: also if it was replaced later."),
    ] = False,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw a key now, and let `destroy` erase it later."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    lifecycle = _lifecycle(loaded, admin)
    if min_retired is not None:
        lifecycle = replace(lifecycle, min_retired=duration(min_retired))
    asyncio.run(
        lifecycle.schedule_destruction(
            key_id, after=duration(after), reason=reason, even_if_in_use=even_if_in_use
        )
    )
    show(admin, [key_id], as_json=as_json)


def cancel_destruction(
    key_id: KeyId,
    config: ConfigPath = DEFAULT_CONFIG,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Keep a key that was to be destroyed."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    asyncio.run(_lifecycle(loaded, admin).cancel_destruction(key_id))
    show(admin, [key_id], as_json=as_json)


def destroy(
    key_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="The key ids; all whose time has come if none."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for cron.")] = False,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Erase keys whose scheduled time has come. Nothing brings them back."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    due = [key.id for key in due_keys(asyncio.run(admin.keys()), time.time())]
    chosen = key_ids or due
    if not yes:
        _confirm([key_id for key_id in chosen if key_id in due])
    erased = asyncio.run(_lifecycle(loaded, admin).destroy(*chosen)) if chosen else ()
    if not erased and not as_json:
        console.out.print("nothing to do: no key is due, `sealwire keys list` shows the dates")
        return
    show(admin, [key.id for key in erased], as_json=as_json)


def _confirm(key_ids: list[str]) -> None:
    if key_ids:
        console.print_note(
            "This cannot be undone. `sealwire keys check KEY --scan` asks the server whether it\n"
            "needs a key; sealwire cannot see which histories were exported or archived."
        )
    for key_id in key_ids:
        console.err.print(f"Type {key_id} to destroy it:", end=" ", markup=False)
        if sys.stdin.readline().strip() != key_id:
            raise ConfigurationError(
                "not confirmed, nothing was destroyed: type the whole key id, or pass --yes"
            )


def _lifecycle(loaded: Config, admin: KeyringAdmin) -> KeyLifecycle:
    spread = 2 * loaded.keyring.refresh_interval
    return KeyLifecycle(admin, loaded.keyring.min_retired, spread, max(PROPAGATION, spread))

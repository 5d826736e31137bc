"""`sealwire keys shred` and `cancel-shredding`: all keys of a tenant at once."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Annotated

import typer

from sealwire.config import load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import KeyringAdmin, KeyringShredder, KeySet

from . import console
from .keys_admin import AuditLog, administrator, iso, minute
from .options import DEFAULT_CONFIG, AsJson, ConfigPath, duration

_Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Whose keys.")]


def add_tenant_commands(keys: typer.Typer) -> None:
    """Add the commands of this module to `sealwire keys`."""
    keys.command()(shred)
    keys.command("cancel-shredding")(cancel_shredding)


def shred(
    tenant: _Tenant,
    config: ConfigPath = DEFAULT_CONFIG,
    after: Annotated[str, typer.Option(help="When to erase the keys; at least 7d.")] = "30d",
    immediately: Annotated[
        bool, typer.Option("--immediately", help="Dangerous: erase the keys now, for good.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit event.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for cron.")] = False,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw all keys of a tenant; later, when their time has come, erase them for good.

    The first call withdraws them. A call after the date erases them, as --immediately does at once;
    one before it changes nothing, and tells the date.
    """
    admin = _admin(tenant, config, audit_log)
    shredder = KeyringShredder(admin)
    keys = asyncio.run(admin.keys())
    due = keys.shredded_at
    if not immediately and (due is None or due > time.time()):
        if due is None:
            keys = asyncio.run(shredder.schedule(after=duration(after), reason=reason))
        _show(tenant, keys, erased=False, as_json=as_json)
        return
    if not yes:
        _confirm(tenant)
    result = asyncio.run(shredder.shred(immediately=immediately, reason=reason))
    _show(tenant, result.keys, erased=True, as_json=as_json)
    if not result.versions_erased:
        console.print_note(
            "The place of the keyring keeps older versions, which still hold the keys: delete them."
        )


def cancel_shredding(
    tenant: _Tenant,
    config: ConfigPath = DEFAULT_CONFIG,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Keep the keys of a tenant that was to be shredded."""
    keys = asyncio.run(KeyringShredder(_admin(tenant, config, audit_log)).cancel())
    if as_json:
        console.print_json({"tenant": tenant, "keys": [key.id for key in keys.keys]})
    else:
        console.out.print(f"the keys of {tenant} are kept", markup=False)


def _admin(tenant: str, config: ConfigPath, audit_log: AuditLog) -> KeyringAdmin:
    loaded = load_config(config)
    tenants = loaded.keyring.tenants
    if tenants is not None and tenants.wrapped_by == tenant:
        raise ConfigurationError(
            f"the keyring of {tenant!r} opens those of all other tenants (wrapped_by), and is not "
            "shredded: name a tenant that payloads belong to"
        )
    return administrator(loaded, audit_log, tenant)


def _confirm(tenant: str) -> None:
    console.print_note(
        f"All that was sealed for {tenant} becomes unreadable, in every history and archive.\n"
        "This cannot be undone."
    )
    console.err.print(f"Type {tenant} to shred it:", end=" ", markup=False)
    if sys.stdin.readline().strip() != tenant:
        raise ConfigurationError(
            "not confirmed, nothing was destroyed: type the whole tenant, or pass --yes"
        )


def _show(tenant: str, keys: KeySet, *, erased: bool, as_json: bool) -> None:
    at = keys.shredded_at or 0.0
    if as_json:
        console.print_json(
            {
                "tenant": tenant,
                "keys": [key.id for key in keys.keys],
                "destroyed_at": iso(at),
                "erased": erased,
            }
        )
    elif erased:
        console.out.print(f"the keys of {tenant} are erased: {len(keys.keys)}", markup=False)
    else:
        console.out.print(
            f"the keys of {tenant} are withdrawn: {len(keys.keys)}\n"
            f"run the command again after {minute(at)} UTC, to erase them",
            markup=False,
        )

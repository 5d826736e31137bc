"""`sealwire keys rewrap`: other key-encryption keys for the same keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import KeyringAdmin, KeyWrapper

from . import console
from .keys_admin import AuditLog, administrator
from .options import DEFAULT_CONFIG, AsJson, ConfigPath

MakeKeyFile = Annotated[
    bool, typer.Option("--make-key-file", help="Make local key files that are not there yet.")
]


def rewrap(
    config: ConfigPath = DEFAULT_CONFIG,
    opened_by: Annotated[
        Path | None,
        typer.Option(
            help="A configuration whose wrappers open the keyring now, where those of the "
            "present one do not yet."
        ),
    ] = None,
    make_key_file: MakeKeyFile = False,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Let the wrappers that the configuration names open the keyring, and no others."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    present = admin
    if opened_by is not None:
        present = replace(admin, wrapper=wrappers_of(opened_by, admin.tenant))
    before = _before(present, explain=opened_by is None)
    check_key_files(loaded, make=make_key_file)
    version = asyncio.run(present.rewrap(admin.wrapper)).version
    after = asyncio.run(admin.wrapped_by())
    if as_json:
        console.print_json({"version": version, "before": list(before), "after": list(after)})
        return
    table = console.table("Key-encryption key", "Opens the keyring", title=f"Version {version}")
    for name, told in _changes(before, after):
        table.add_row(name, told)
    console.out.print(table)


def wrappers_of(config: Path, tenant: str) -> tuple[KeyWrapper, ...]:
    """Return who can open a tenant's document, as another configuration describes it."""
    return load_config(config).keyring.wrappers_of(tenant)


def check_key_files(loaded: Config, *, make: bool) -> None:
    """See that the local key files of a configuration exist.

    One that is missing is not made unasked: it may lie in a safe, and another one in its place
    would open nothing that is older.

    Raises:
        ConfigurationError: One does not exist, and is not to be made.
    """
    for wrapper in loaded.keyring.local_wrappers:
        if wrapper.path.exists():
            continue
        if not make:
            raise ConfigurationError(
                f"the key file {wrapper.path} does not exist: put it there, or let a new one be "
                "made with --make-key-file; nothing was changed"
            )
        wrapper.create()


def _before(present: KeyringAdmin, *, explain: bool) -> tuple[str, ...]:
    try:
        return asyncio.run(present.wrapped_by())
    except (ConfigurationError, KeyProviderUnavailableError) as err:
        if not explain:
            raise
        raise type(err)(
            f"{err}; nothing was changed. If another configuration opens the keyring, name that "
            "with --opened-by"
        ) from None


def _changes(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    changes = [(name, "yes" if name in before else "yes, new") for name in after]
    return changes + [(name, "no, removed") for name in before if name not in after]

"""`sealwire keys export` and `import-bundle`: keys for a backup, or for another region."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from sealwire.config import load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import LocalKeyWrapper, export_bundle, import_bundle
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.files import read_private, write_new

from . import console
from .keys_admin import AuditLog, administrator
from .options import DEFAULT_CONFIG, AsJson, ConfigPath


def export(
    out: Annotated[Path, typer.Option(help="The bundle, a new file.")],
    key_file: Annotated[
        Path, typer.Option(help="What will open the bundle; made where there is none.")
    ],
    key_ids: Annotated[list[str] | None, typer.Argument(help="The key ids; all if none.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Wrap keys in a bundle that another key file opens."""
    admin = administrator(load_config(config), audit_log)
    if out.exists():
        raise ConfigurationError(f"{out} exists already; it was not changed")
    wrapper = LocalKeyWrapper(key_file)
    if not key_file.exists():
        wrapper.create()
    write_new(out, asyncio.run(export_bundle(admin, wrapper, *(key_ids or ()))))
    if as_json:
        console.print_json({"bundle": str(out), "key_file": str(key_file)})
        return
    table = console.table("File", "What it is")
    table.add_row(str(out), "the keys, wrapped")
    table.add_row(str(key_file), "what opens them: secret; keep it in another place")
    console.out.print(table)


def import_keys(
    bundle: Annotated[Path, typer.Argument(help="What `keys export` wrote.")],
    key_file: Annotated[Path, typer.Option(help="What opens it.")],
    config: ConfigPath = DEFAULT_CONFIG,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Add the keys of a bundle; without a keyring, make one of them."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    try:
        data = read_private(bundle)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {bundle}") from None
    delay = max(PROPAGATION, 2 * loaded.keyring.refresh_interval)
    result = asyncio.run(import_bundle(admin, data, LocalKeyWrapper(key_file), delay=delay))
    added = [key.id for key in result.added]
    if as_json:
        console.print_json({"added": added, "present": list(result.present)})
        return
    table = console.table("Key", "What was done")
    for key_id in added:
        table.add_row(key_id, "added")
    for key_id in result.present:
        table.add_row(key_id, "was here already")
    console.out.print(table)

"""`sealwire keys export` and `import-bundle`: keys for a backup, or for another region."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from sealwire.config import load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import KeyWrapper, LocalKeyWrapper, export_bundle, import_bundle
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.document import parse
from sealwire.keys.files import read_private, write_new

from . import console
from .keys_admin import AuditLog, administrator
from .keys_wrappers import MakeKeyFile, check_key_files, wrappers_of
from .options import DEFAULT_CONFIG, AsJson, ConfigPath

OpenedBy = Annotated[
    Path | None,
    typer.Option(help="In place of a key file: a configuration whose wrappers open the bundle."),
]


def export(
    out: Annotated[Path, typer.Option(help="The bundle, a new file.")],
    key_ids: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="The key ids; all if none.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="What will open the bundle; made where there is none.")
    ] = None,
    opened_by: OpenedBy = None,
    config: ConfigPath = DEFAULT_CONFIG,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Wrap keys in a bundle that another key file, or another configuration's wrappers, open."""
    admin = administrator(load_config(config), audit_log)
    if out.exists():
        raise ConfigurationError(f"{out} exists already; it was not changed")
    wrappers = _wrappers(key_file, opened_by, admin.tenant)
    if key_file is not None and not key_file.exists():
        LocalKeyWrapper(key_file).create()
    data = asyncio.run(export_bundle(admin, wrappers, *(key_ids or ())))
    write_new(out, data)
    names = [item.wrapper for item in parse(data, admin.tenant).wrapped_by]
    if as_json:
        opener = None if key_file is None else str(key_file)
        console.print_json({"bundle": str(out), "key_file": opener, "wrapped_by": names})
        return
    table = console.table("Where", "What it is")
    table.add_row(str(out), "the keys, wrapped")
    for place in names if key_file is None else [str(key_file)]:
        table.add_row(place, "what opens them" + (": secret; keep it apart" if key_file else ""))
    console.out.print(table)


def import_keys(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `keys export` wrote.")],
    key_file: Annotated[Path | None, typer.Option(help="What opens it.")] = None,
    opened_by: OpenedBy = None,
    make_key_file: MakeKeyFile = False,
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
    wrappers = _wrappers(key_file, opened_by, admin.tenant)
    if asyncio.run(admin.store.load(admin.tenant)) is None:
        check_key_files(loaded, make=make_key_file)
    result = asyncio.run(import_bundle(admin, data, wrappers, delay=delay))
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


def _wrappers(key_file: Path | None, opened_by: Path | None, tenant: str) -> tuple[KeyWrapper, ...]:
    match key_file, opened_by:
        case Path(), None:
            return (LocalKeyWrapper(key_file),)
        case None, Path():
            return wrappers_of(opened_by, tenant)
        case _:
            raise typer.BadParameter("give either --key-file or --opened-by")

"""`sealwire storage`: what is kept outside of the server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from sealwire.config import load_config
from sealwire.errors import ConfigurationError, SealwireError

from . import console
from .options import DEFAULT_CONFIG, Address, AsJson, ConfigPath, Profile, duration

if TYPE_CHECKING:
    from .storage_collection import Collection, Collector

storage = typer.Typer(help="Look after payloads in external storage.", no_args_is_help=True)


@storage.callback()
def group() -> None:
    """Look after payloads in external storage."""


@storage.command()
def gc(
    config: ConfigPath = DEFAULT_CONFIG,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete what is found; without it, only look.")
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(help="How old garbage must be; by default 24h and the namespace's retention."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="Whose payloads; by default the configuration's, else TEMPORAL_NAMESPACE."
        ),
    ] = None,
    also_namespace: Annotated[
        list[str] | None,
        typer.Option(help="Another namespace whose histories refer to them; may be repeated."),
    ] = None,
    address: Address = None,
    profile: Profile = None,
    even_if_archived: Annotated[
        bool,
        typer.Option(
            "--even-if-archived", help="Dangerous: also if archived histories refer to them."
        ),
    ] = False,
    even_if_unreferenced: Annotated[
        bool,
        typer.Option(
            "--even-if-unreferenced", help="Dangerous: also if nothing refers to any of them."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find stored payloads that no history within retention refers to, and delete them."""
    try:
        loaded = load_config(config)
        age = None if older_than is None else duration(older_than)
        names = (namespace, *(also_namespace or ()))
        collector = _collector()(
            loaded, names, address, profile, age, delete, even_if_archived, even_if_unreferenced
        )
        found = asyncio.run(_collect(collector))
        _print(found, delete=delete, as_json=as_json)
        code = 0
    except SealwireError as err:
        console.print_error(str(err))
        code = 1
    console.leave(code)


def _collector() -> type[Collector]:
    try:
        from .storage_collection import Collector
    except ModuleNotFoundError as err:
        raise ConfigurationError(
            f"asking a server needs the package {err.name!r}; fix: pip install 'sealwire[temporal]'"
        ) from None
    return Collector


async def _collect(collector: Collector) -> Collection:
    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:.0f}"))
    hidden = not console.err.is_terminal
    with Progress(*columns, console=console.err, transient=True, disable=hidden) as bar:
        task = bar.add_task("histories read", total=None)
        return await collector.collect(lambda: bar.advance(task))


def _print(found: Collection, *, delete: bool, as_json: bool) -> None:
    if as_json:
        console.print_json(_document(found, delete=delete))
        return
    sweep = found.sweep
    table = console.table(
        *("Objects", "How many", "Bytes"),
        title=f"{found.namespace}: {found.runs} histories, {found.references} references",
    )
    garbage = "deleted" if delete else "would be deleted"
    for name, pile in (
        ("referred to", sweep.referenced),
        (f"too young, since {_minute(found.before)} UTC", sweep.young),
        ("with an unknown name", sweep.unknown),
        (garbage, sweep.garbage),
        (f"unfinished uploads, {garbage}", sweep.unfinished),
    ):
        table.add_row(name, str(pile.objects), str(pile.size))
    console.out.print(table)
    for name in sweep.examples:
        console.print_note(name)
    if sweep.deletable and not delete:
        console.print_note("nothing was deleted: --delete does it")


def _document(found: Collection, *, delete: bool) -> dict[str, Any]:
    sweep = found.sweep
    piles = {
        "referenced": sweep.referenced,
        "young": sweep.young,
        "unknown": sweep.unknown,
        "unfinished": sweep.unfinished,
        "garbage": sweep.garbage,
    }
    return {
        "namespace": found.namespace,
        "dry_run": not delete,
        "histories": found.runs,
        "others": found.others,
        "references": found.references,
        "before": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.before)),
        "objects": {
            name: {"count": pile.objects, "bytes": pile.size} for name, pile in piles.items()
        },
        "deleted": sweep.deleted,
        "examples": sweep.examples,
    }


def _minute(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))

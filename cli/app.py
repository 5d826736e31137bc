"""The commands, and what an error looks like."""

from __future__ import annotations

import typer

from sealwire.errors import SealwireError

from . import console
from .demo import demo
from .dictionaries import dictionaries
from .keys import keys
from .serve import serve
from .storage import storage

app = typer.Typer(
    name="sealwire",
    help="Sealed payloads for durable workflows.",
    no_args_is_help=True,
    # Tracebacks with local variables would show secrets.
    pretty_exceptions_enable=False,
)
app.add_typer(keys, name="keys")
app.add_typer(dictionaries, name="dict")
app.add_typer(storage, name="storage")
app.command()(serve)
app.command()(demo)


def _version(show: bool) -> None:
    if show:
        from sealwire import __version__

        console.out.print(f"sealwire {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Sealed payloads for durable workflows."""


def run_app() -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 1 for an error that the message explains, 2 for a wrong call.
    """
    try:
        app(prog_name="sealwire")
    except SealwireError as err:
        console.print_error(str(err))
        return 1
    except SystemExit as end:  # how typer ends, also after a wrong call, which it has explained
        return end.code if isinstance(end.code, int) else 1
    return 0

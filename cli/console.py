"""What the commands print: tables and JSON to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH: Final = 80

out: Final = Console(highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table that fits a terminal of 80 columns."""
    result = Table(title=title, title_justify="left", width=min(WIDTH, max(out.width, WIDTH)))
    for column in columns:
        result.add_column(column, overflow="fold")
    return result


def print_json(value: Any) -> None:
    """Print `value` for programs."""
    out.print(json.dumps(value, indent=2), markup=False)


def print_error(problem: str) -> None:
    """Say what went wrong; the text names the next step."""
    err.print(Text.assemble(("sealwire: ", "bold red"), _visible(problem)))


def print_note(text: str) -> None:
    """Say something that is not a result."""
    err.print(_visible(text), markup=False)


def _visible(text: str) -> str:
    # A server's words may be in it, and must not command the terminal.
    return "".join(
        char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text
    )


def leave(code: int) -> NoReturn:
    """End this process at once: the SDK's native part may crash in the orderly way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

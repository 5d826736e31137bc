"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from sealwire.config import DEFAULT_NAME, ENVIRONMENT_VARIABLE

ConfigPath = Annotated[
    Path,
    typer.Option("--config", "-c", envvar=ENVIRONMENT_VARIABLE, help="The configuration file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Address = Annotated[
    str | None, typer.Option(help="The server's host and port; by default TEMPORAL_ADDRESS.")
]
Profile = Annotated[
    str | None, typer.Option(help="A profile of Temporal's own configuration file.")
]
DEFAULT_CONFIG: Final = Path(DEFAULT_NAME)

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Read a duration such as `90d`, `12h`, `30m` or `45s`, in seconds.

    Raises:
        typer.BadParameter: It is not written like that.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; write it like 90d, 12h, 30m or 45s")
    return float(match[1]) * _UNITS[match[2]]

"""The `sealwire` command; also `python -m sealwire`."""

from __future__ import annotations

import sys
from typing import Final

_EXTRAS: Final = {
    "numpy": "arrow",
    "pyarrow": "arrow",
    "rich": "cli",
    "starlette": "server",
    "temporalio": "temporal",
    "typer": "cli",
    "uvicorn": "server",
}


def main() -> int:
    """Run the command line, or say how to install what it lacks.

    Returns:
        The exit code.
    """
    from sealwire.cli import run

    try:
        return run()
    except ModuleNotFoundError as err:
        extra = _EXTRAS.get((err.name or "").partition(".")[0])
        if extra is None:
            raise
        sys.stderr.write(
            f"sealwire: this needs the package {err.name!r}\n"
            f"  fix: pip install 'sealwire[{extra}]'\n"
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())

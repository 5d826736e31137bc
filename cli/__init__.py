"""The `sealwire` command.

- `sealwire keys init | rotate | list | check | …`: the keyring, and what still needs its keys,
- `sealwire serve`: the codec server for the Web UI and the `temporal` command,
- `sealwire demo`: sealed workflows on a real server, to look at.

Every command reads `sealwire.toml`, or the file that `--config` or `SEALWIRE_CONFIG` names.
"""

from __future__ import annotations

__all__ = ["run"]


def run() -> int:
    """Run the command line and return its exit code; imports what that needs only now."""
    from .app import run_app

    return run_app()

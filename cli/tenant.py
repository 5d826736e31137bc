"""The option `--tenant`, which every command of `sealwire keys` has."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

_chosen: Final[ContextVar[str | None]] = ContextVar("tenant", default=None)


class TenantGroup(TyperGroup):
    """A group whose commands take `--tenant`; what it names, `chosen_tenant` returns."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with the option."""
        command: Any = super().get_command(ctx, cmd_name)
        if command is not None and not any(item.name == "tenant" for item in command.params):
            command.params.append(_option())
        return command


def chosen_tenant() -> str | None:
    """Return the tenant that the command line names, if it names one."""
    return _chosen.get()


def _choose(tenant: str | None) -> None:
    _chosen.set(tenant)


def _option() -> Any:
    # Made by typer, whose own classes for options are not the same in all of its releases.
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(  # pyright: ignore[reportUnusedFunction]
        tenant: Annotated[
            str | None,
            typer.Option(
                "--tenant",
                help="Whose keys; by default those of `tenant` in the configuration.",
                callback=_choose,
                expose_value=False,
            ),
        ] = None,
    ) -> None: ...

    return get_command(app).params[0]

"""`sealwire serve`: the codec server."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealwire.config import load_config
from sealwire.errors import ConfigurationError
from sealwire.tenant_options import serving

from . import console
from .options import DEFAULT_CONFIG, ConfigPath

if TYPE_CHECKING:
    from sealwire.server import BearerToken

TOKEN_VARIABLE = "SEALWIRE_TOKEN"  # noqa: S105 - the name of a variable


def serve(
    config: ConfigPath = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 for any free one.")] = None,
    origin: Annotated[str | None, typer.Option(help="The Web UI's address.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="A private file with the bearer token.")
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no token; on a loopback address only.")
    ] = False,
) -> None:
    """Answer the Web UI and the temporal command, so that they show what is sealed."""
    from sealwire.server import codec_app
    from sealwire.server import serve as serve_app

    loaded = serving(load_config(config))
    options = loaded.server
    token = None if no_auth else _token(token_file or options.token_file)
    asyncio.run(loaded.load_keys())
    _log_requests()
    app = codec_app(
        loaded.codec(),
        token=token,
        origins=[origin or options.origin],
        namespace=loaded.namespace,
        accept_namespaces=loaded.accept_namespaces,
        storage=loaded.payload_storage,
    )
    serve_app(
        app,
        host or options.host,
        options.port if port is None else port,
        on_ready=lambda url: console.print_note(
            f"codec server on {url} for {origin or options.origin} (Ctrl-C stops it)"
        ),
    )


def _log_requests() -> None:
    """Write a line for each request to stderr, and the warnings of other packages."""
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("sealwire").setLevel(logging.INFO)


def _token(file: Path | None) -> BearerToken:
    from sealwire.server import BearerToken

    if file is not None:
        return BearerToken.from_file(file)
    if os.environ.get(TOKEN_VARIABLE):
        return BearerToken.from_environment(TOKEN_VARIABLE)
    raise ConfigurationError(
        "the codec server decrypts for whoever may ask it, so it needs a token: "
        f"set `token_file` in [server], or {TOKEN_VARIABLE}, or pass --no-auth on a laptop"
    )

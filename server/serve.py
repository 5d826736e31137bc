"""Running the application, for itself or inside another program."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import uvicorn
from starlette.applications import Starlette

from sealwire.errors import ConfigurationError
from sealwire.loopback import is_loopback

from .connection import BoundedProtocol

DEFAULT_PORT: Final = 8081
_CONNECTIONS: Final = 512  # a browser opens 6, and a command one
_IDLE: Final = 30  # seconds until an idle connection is closed
_LAST_REQUESTS: Final = 3  # seconds; a little more than the deadline of a request


def serve(
    app: Starlette,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve `app` until the process gets SIGINT or SIGTERM; requests under way are finished.

    Args:
        app: What `codec_app` returns.
        host: The address to listen on.
        port: The port; 0 for any that is free.
        on_ready: Called with the URL as soon as clients can connect.

    Raises:
        ConfigurationError: The address cannot be used, or others could reach a server that asks
            for no token.
    """
    with listen(app, host, port) as listener:
        if on_ready is not None:
            on_ready(_url(listener))
        with suppress(KeyboardInterrupt):  # how uvicorn passes SIGINT on, once all is done
            uvicorn.Server(_config(app)).run(sockets=[listener])


@asynccontextmanager
async def running(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve `app` inside an asyncio program.

    Leaves signals alone, and is certain to be stopped when the block ends.

    Args:
        app: What `codec_app` returns.
        host: The address to listen on.
        port: The port; 0 for any that is free.

    Yields:
        The URL, for example `http://127.0.0.1:34567`.

    Raises:
        ConfigurationError: As for `serve`.
    """
    with listen(app, host, port) as listener:
        server = _EmbeddedServer(_config(app))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield _url(listener)  # connections wait in the socket's queue until it runs
        finally:
            server.should_exit = True
            await task


class _EmbeddedServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        log_config=None,
        access_log=False,  # its lines hold the query; the application writes its own
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_LAST_REQUESTS,
    )


@contextmanager
def listen(app: Starlette, host: str, port: int) -> Generator[socket.socket]:
    """Open the socket that `app` is served on, if that is safe.

    Raises:
        ConfigurationError: As for `serve`.
    """
    if not is_loopback(host) and not getattr(app.state, "has_token", False):
        raise ConfigurationError(
            f"on {host!r} others can reach this codec server, and it asks for no token: "
            "set one, or listen on 127.0.0.1"
        )
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"there is no port {port}; a port is a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as err:
        raise ConfigurationError(f"cannot listen on {host} port {port}: {err.strerror}") from None
    with listener:
        # Inherited by each connection. asyncio sets it only on sockets that name their protocol,
        # and without it an answer waits 40 ms for the client's acknowledgement of its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"

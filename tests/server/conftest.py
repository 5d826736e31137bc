from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest
import pytest_asyncio

from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.server import BearerToken, codec_app, running


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring(StaticKeyProvider(Key.generate("k1")))


@pytest.fixture(scope="session")
def codec(keyring: Keyring) -> CodecChain:
    return CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="default"))


@pytest.fixture(scope="session")
def token() -> str:
    return "correct-horse-battery-staple"


@pytest.fixture(scope="session")
def page() -> str:
    """The origin of the web UI that may ask."""
    return "http://127.0.0.1:8233"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def url(codec: CodecChain, token: str, page: str) -> AsyncGenerator[str]:
    """A server with a token, one origin and the namespace `default`."""
    app = codec_app(codec, token=BearerToken(token), origins=[page], namespace="default")
    async with running(app) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(url: str, token: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of that server, with all the headers that the command line sends."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "X-Namespace": "default",
    }
    async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield client

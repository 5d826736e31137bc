"""A codec that asks somebody's codec server, for processes that must not hold keys.

::

    POST {url}/encode, {url}/decode
    Content-Type: application/json          Payloads as proto3 JSON, there and back
    X-Namespace: <namespace>                where it is known
    Authorization: Bearer <token>           where there is one
    Prefer: handling=strict                 RFC 7240: no errors in the place of payloads
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

from sealwire.errors import CodecUnavailableError, ConfigurationError, SealwireError
from sealwire.keys.secret import hidden
from sealwire.payload import Payload
from sealwire.wire import format_payloads

from .protocol import REPLAY_NAMESPACE, CodecKind
from .remote_answer import payloads_of, refuse_unencrypted
from .remote_http import Connections
from .remote_request import (
    address,
    authorization,
    check_headers,
    check_url,
    groups,
    header_lines,
    namespace_line,
    tls_context,
)


def _no_headers() -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class RemoteCodec:
    """Let a codec server encode and decode.

    The server sees every plaintext, and what it answers is believed: it takes the place of the
    keys. Whoever has the token can decode whatever the server can.

    An asyncio program keeps its connections until its event loop ends, or until `aclose`. The
    methods without an event loop open a connection for each call.

    Args:
        url: Where the server is; `/encode` and `/decode` are appended. `{namespace}` in it stands
            for the namespace.
        namespace: The namespace of the payloads. None: taken from the context that the SDK gives.
        token: The bearer token, or a function that returns the current one. It is called for each
            request, in the event loop.
        headers: Further headers for each request, such as another kind of `Authorization`.
        ca_file: The authorities, PEM, that the server's certificate may come from, in place of
            those of the system.
        client_certificate: PEM, to identify this client by.
        client_key: Its private key, PEM, not encrypted; None if it is in the same file.
        allow_insecure: Dangerous: send plaintext and token over plain HTTP to another machine.
        allow_unencrypted: Dangerous: let the server give plaintext back unchanged when it encodes.
        connect_timeout: Seconds until a connection must be there.
        timeout: Seconds for one try.
        total_timeout: Seconds for one call, with all its requests and tries. By default a little
            less than the 10 s after which Temporal gives a workflow task to another worker.
        retries: How often to try again where no connection or no answer comes, and after the
            statuses 429, 502, 503 and 504.
        backoff: Seconds of the longest pause before the first retry; it doubles with each.
        max_payloads: How many payloads to send in one request.
        max_bytes: Bytes of payloads to send in one request; a larger payload goes alone. By default
            half of what sealwire's server takes, which counts the base64.
        max_answer: Bytes of one answer. By default enough for the largest of sealwire's server,
            64 MiB in base64.
        max_connections: How many requests may be under way in one event loop.

    Raises:
        ConfigurationError: A parameter is not possible, a file cannot be used, or the package
            `httpx2` is missing.
    """

    url: str
    namespace: str | None = None
    token: str | Callable[[], str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=_no_headers, repr=False)
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    allow_insecure: bool = False
    allow_unencrypted: bool = False
    connect_timeout: float = 2.0
    timeout: float = 5.0
    total_timeout: float = 9.0
    retries: int = 3
    backoff: float = 0.1
    max_payloads: int = 100
    max_bytes: int = 8 * 1024 * 1024
    max_answer: int = 96 * 1024 * 1024
    max_connections: int = 16
    _connections: Connections = field(init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT

    def __post_init__(self) -> None:
        secure = check_url(self.url, allow_insecure=self.allow_insecure)
        check_headers(self.headers)
        if isinstance(self.token, str):
            authorization(self.token)
            object.__setattr__(self, "token", hidden(self.token))
        if self.namespace is not None:
            namespace_line(self.namespace)
        self._check_numbers()
        if find_spec("httpx2") is None:
            raise ConfigurationError(
                "a remote codec needs the package 'httpx2'; fix: pip install 'sealwire[remote]'"
            )
        connections = Connections(
            tls=self._tls() if secure else None,
            connect_timeout=self.connect_timeout,
            timeout=self.timeout,
            retries=self.retries,
            backoff=self.backoff,
            max_answer=self.max_answer,
            max_connections=self.max_connections,
        )
        object.__setattr__(self, "_connections", connections)

    def with_context(self, context: Any) -> Self:
        """Return the codec for the namespace of an SDK's serialization context.

        Raises:
            ConfigurationError: The codec is configured for another namespace.
        """
        namespace = getattr(context, "namespace", None)
        if namespace in (None, self.namespace, REPLAY_NAMESPACE):
            return self
        if self.namespace is not None:
            raise ConfigurationError(
                f"this codec is configured for the namespace {self.namespace!r}, "
                f"and the client works in {namespace!r}"
            )
        namespace_line(namespace)
        clone = copy(self)  # with the same connections
        object.__setattr__(clone, "namespace", namespace)
        return clone

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Have each payload encoded.

        Raises:
            CodecUnavailableError: The server did not answer; trying later may help.
            ConfigurationError: It does not let us in, or is no codec server.
            KeyLookupError: It has no key to encrypt with.
            PayloadError: It refused a payload, gave plaintext back, or its answer is malformed.
        """
        encoded = await self._convert("encode", payloads)
        if not self.allow_unencrypted:
            refuse_unencrypted(payloads, encoded)
        return encoded

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Have each payload decoded; all or nothing.

        Raises:
            CodecUnavailableError: The server did not answer; trying later may help.
            ConfigurationError: It does not let us in, or is no codec server.
            KeyLookupError: It has no key for a payload.
            PayloadError: It refused a payload, or its answer is malformed.
        """
        return await self._convert("decode", payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`; blocks the calling thread."""
        return _run(self.encode, payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`; blocks the calling thread."""
        return _run(self.decode, payloads)

    async def aclose(self) -> None:
        """Close the connections of the running event loop, once no call is under way there.

        The next call opens new ones.
        """
        await self._connections.aclose()

    async def _convert(self, route: str, payloads: Sequence[Payload]) -> list[Payload]:
        url = address(self.url, route, self.namespace)
        deadline = asyncio.get_running_loop().time() + self.total_timeout
        converted: list[Payload] = []
        try:
            async with asyncio.timeout_at(deadline):
                for group in groups(payloads, self.max_payloads, self.max_bytes):
                    converted += await self._ask(url, group, deadline)
        except SealwireError as err:
            if err.index is not None:
                err.index += len(converted)
            raise
        except TimeoutError:
            raise CodecUnavailableError(
                f"the codec server at {url} did not do all within {self.total_timeout:g} s: "
                "try again, or raise total_timeout"
            ) from None
        return converted

    async def _ask(self, url: str, group: Sequence[Payload], deadline: float) -> list[Payload]:
        headers = header_lines(self.headers, self.token, self.namespace)
        answer = await self._connections.post(url, headers, format_payloads(group), deadline)
        return payloads_of(answer, url, len(group))

    def _tls(self) -> ssl.SSLContext:
        return tls_context(self.ca_file, self.client_certificate, self.client_key)

    def _check_numbers(self) -> None:
        for name in ("connect_timeout", "timeout", "total_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f"{name} must be a number of seconds above 0")
        for name in ("max_payloads", "max_bytes", "max_answer", "max_connections"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be 1 or more")
        if self.retries < 0 or not 0 <= self.backoff < math.inf:
            raise ConfigurationError("retries and backoff must be 0 or more")


def _run(
    method: Callable[[Sequence[Payload]], Coroutine[Any, Any, list[Payload]]],
    payloads: Sequence[Payload],
) -> list[Payload]:
    # In a thread: the caller's own may have an event loop that runs.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, method(payloads)).result()

"""HTTP to a codec server: connections for each event loop, time and size bounded, tried again."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NoReturn

from sealwire.errors import CodecUnavailableError, ConfigurationError, PayloadTooLargeError

if TYPE_CHECKING:
    import httpx2

# RFC 9110, 15.5 and 15.6, RFC 6585: too many requests, bad gateway, unavailable, gateway timeout.
_WORTH_RETRYING: Final = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE: Final = 2.0  # seconds between two tries, unless the server asks for more
_MAX_EXPLANATION: Final = 64 * 1024  # bytes of an answer that is no success
# Seconds. Uvicorn and Node.js close idle connections after 5: a request must not cross that.
_IDLE: Final = 4.0


@dataclass(frozen=True)
class Answer:
    """What a server said: the status, the media type in lower case, and the body."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True)
class _Failure:
    """A try that may be repeated, and the seconds for which the server asks to wait."""

    reason: str
    retry_after: float = 0.0


@dataclass(frozen=True)
class _Pool:
    """The connections of one event loop.

    Attributes:
        transport: Opens and keeps connections; used without a client around it, which would also
            remember the server's cookies.
        slots: How many requests may be under way. Here and not in the transport, so that nothing
            ever waits inside it and is cancelled there.
        keeper: Closes the transport when the loop's asynchronous generators are shut down.
    """

    transport: httpx2.AsyncHTTPTransport
    slots: asyncio.Semaphore
    keeper: AsyncGenerator[None]


@dataclass(frozen=True)
class Connections:
    """Posts to a codec server; one for all codecs that were made from one.

    Args:
        tls: How to check the server and to identify ourselves; None for plain HTTP.
        connect_timeout: Seconds until a connection must be there.
        timeout: Seconds for one try, from the connection to the last byte.
        retries: How often to try again.
        backoff: Seconds of the longest first pause; each further one may be twice as long.
        max_answer: The largest answer in bytes.
        max_connections: How many requests may be under way in one event loop.
    """

    tls: ssl.SSLContext | None
    connect_timeout: float
    timeout: float
    retries: int
    backoff: float
    max_answer: int
    max_connections: int
    _pools: dict[tuple[int, asyncio.AbstractEventLoop], _Pool] = field(
        default_factory=dict[tuple[int, asyncio.AbstractEventLoop], _Pool], repr=False
    )

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # Whoever has them is not pickled either, whose headers may hold a secret.
        raise TypeError("the connections of a remote codec cannot be pickled: make another codec")

    async def post(
        self, url: str, headers: Mapping[bytes, bytes], body: bytes, deadline: float
    ) -> Answer:
        """Send `body`, as often as need be, until there is an answer.

        Args:
            url: Where to.
            headers: All headers but `Host` and `Content-Length`.
            body: What to send.
            deadline: The time of the event loop after which no pause may end.

        Raises:
            CodecUnavailableError: There was none.
            ConfigurationError: The server's certificate is not valid.
            PayloadTooLargeError: The answer is too large.
        """
        now = asyncio.get_running_loop().time
        pauses = list(_pauses(self.retries, self.backoff))
        while True:
            outcome = await self._try(url, headers, body)
            if isinstance(outcome, Answer):
                return outcome
            pause = max(pauses.pop(0), outcome.retry_after) if pauses else float("inf")
            if now() + pause >= deadline:
                raise CodecUnavailableError(
                    f"the codec server at {url} {outcome.reason}; "
                    "check that it runs and can be reached, then try again"
                )
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        pool = self._pools.get(_here())
        if pool is not None:
            await pool.keeper.aclose()

    async def _try(
        self, url: str, headers: Mapping[bytes, bytes], body: bytes
    ) -> Answer | _Failure:
        from httpx2 import ConnectError, ConnectTimeout, Request, TimeoutException, TransportError

        limits = {"connect": self.connect_timeout, "read": self.timeout, "write": self.timeout}
        request = Request(
            "POST", url, headers=headers, content=body, extensions={"timeout": limits}
        )
        pool = await self._pool()
        try:
            async with pool.slots, asyncio.timeout(self.timeout):
                response = await pool.transport.handle_async_request(request)
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except ConnectTimeout:
            return _Failure(f"cannot be reached within {self.connect_timeout:g} s")
        except (TimeoutError, TimeoutException):
            return _Failure(f"did not answer within {self.timeout:g} s")
        except ConnectError as err:
            _refuse_bad_certificate(err, url)
            return _Failure("cannot be reached")
        except TransportError:
            return _Failure("closed the connection or did not speak HTTP")

    async def _read(self, response: httpx2.Response) -> Answer | _Failure:
        status = response.status_code
        if status in _WORTH_RETRYING:
            after = _retry_after(response.headers.get("retry-after"))
            return _Failure(f"answered with status {status}", after)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            # A few compressed bytes may stand for any number, and we asked for none.
            return Answer(status, "compressed", b"")
        limit = self.max_answer if status == 200 else _MAX_EXPLANATION
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                if status != 200:
                    break
                raise PayloadTooLargeError(
                    f"the answer of the codec server exceeds max_answer ({limit} bytes)"
                )
        return Answer(status, media_type, bytes(body))

    async def _pool(self) -> _Pool:
        key = _here()
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._new_pool(key)
            # Up to its `yield`; waits for nothing, so no other task comes between.
            await anext(pool.keeper)
        return pool

    def _new_pool(self, key: tuple[int, asyncio.AbstractEventLoop]) -> _Pool:
        from httpx2 import AsyncHTTPTransport, Limits

        # Those of a parent process stay, never used and never closed: to close a TLS connection
        # sends a good-bye, which would end the parent's session.
        for pid, loop in list(self._pools):
            if pid == key[0] and loop.is_closed():
                self._pools.pop((pid, loop), None)
        transport = AsyncHTTPTransport(
            verify=self.tls or False,
            limits=Limits(
                max_connections=None,
                max_keepalive_connections=self.max_connections,
                keepalive_expiry=_IDLE,
            ),
        )
        keeper = self._keep(key, transport)
        return _Pool(transport, asyncio.Semaphore(self.max_connections), keeper)

    async def _keep(
        self,
        key: tuple[int, asyncio.AbstractEventLoop],
        transport: httpx2.AsyncHTTPTransport,
    ) -> AsyncGenerator[None]:
        # `asyncio.run` closes generators before it closes the loop; nothing else tells us in time.
        try:
            yield
        finally:
            self._pools.pop(key, None)
            await transport.aclose()


def _here() -> tuple[int, asyncio.AbstractEventLoop]:
    return os.getpid(), asyncio.get_running_loop()


def _pauses(retries: int, backoff: float) -> Iterator[float]:
    """Full jitter: any time up to a bound that doubles, so that clients do not come in waves."""
    for attempt in range(retries):
        yield random.uniform(0, min(_LONGEST_PAUSE, backoff * 2**attempt))  # noqa: S311 - no secret


def _retry_after(header: str | None) -> float:
    """Return the seconds that the server asks for: a number, or a date (RFC 9110, 10.2.3)."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        wanted = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    return max(0.0, (wanted - datetime.now(UTC)).total_seconds())


def _refuse_bad_certificate(err: BaseException, url: str) -> None:
    cause: BaseException | None = err
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise ConfigurationError(
                f"the certificate of the codec server at {url} is not valid here "
                f"({cause.verify_message}): name its authority as ca_file, or repair it"
            ) from None
        cause = cause.__cause__ or cause.__context__

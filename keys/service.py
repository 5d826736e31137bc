"""Asking a key service: away from the event loop, in time, and with nothing to see when it fails.

The frames of a client that fails hold the key or the ciphertext, and a traceback may show them.
So a `Question` shows nothing of itself and returns its error; what is raised begins here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final
from urllib.parse import quote, urlsplit

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError
from sealwire.loopback import is_loopback

from .secret import Secret

_MAX_TIMEOUT: Final = 10.0  # seconds; a refresh of a keyring may take 30 in all
_MAX_RETRIES: Final = 10
_FIRST_PAUSE: Final = 0.2  # seconds of the longest pause before the first retry; it doubles
_TENANT_SAFE: Final = "/:@"  # beside letters, digits and `_.-~`

_asking: Final = ContextVar("sealwire-asking", default=False)


class Question:
    """One call to a service, to be asked in a thread; its `repr` shows no argument.

    Args:
        ask: Sends bytes on behalf of a tenant, and returns the answer.
        explain: Returns what an exception of the client means; must not quote it.
        data: The key to wrap, or what was wrapped.
        tenant: Whose it is.
    """

    __slots__ = ("_ask", "_data", "_explain", "_tenant")

    def __init__(
        self,
        ask: Callable[[bytes, str], bytes],
        explain: Callable[[Exception], SealwireError],
        data: bytes,
        tenant: str,
    ) -> None:
        self._ask = ask
        self._explain = explain
        self._data = Secret(data)
        self._tenant = tenant

    def __call__(self) -> bytes | SealwireError:
        """Ask, and return the answer or the error; raise nothing."""
        before = _asking.set(True)
        try:
            return self._ask(self._data(), self._tenant)
        except SealwireError as err:
            err.__cause__ = err.__context__ = None
            return err.with_traceback(None)
        except Exception as err:  # noqa: BLE001 - whatever it is, its frames hold secrets
            return self._explain(err)
        finally:
            _asking.reset(before)


def hush(*loggers: str) -> None:
    """Keep what a client logs for debugging out of the log while a `Question` is asked.

    Args:
        loggers: The names of those loggers that are given what is sent or received.
    """
    for name in loggers:
        logging.getLogger(name).addFilter(_is_harmless)  # once, however often it is added


def _is_harmless(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG or not _asking.get()


@dataclass(frozen=True)
class Patience:
    """How long to wait for a service.

    Args:
        service: What to call it in messages.
        seconds: For all tries together.
        retries: How often to ask again what was not answered.
    """

    service: str
    seconds: float
    retries: int

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= _MAX_TIMEOUT:
            raise ConfigurationError(
                f"timeout must be above 0 and at most {_MAX_TIMEOUT:g} seconds"
            )
        if not 0 <= self.retries <= _MAX_RETRIES:
            raise ConfigurationError(f"retries must be from 0 to {_MAX_RETRIES}")

    async def ask(self, question: Question) -> bytes:
        """Ask in a thread, again after a pause while the service is unavailable.

        Raises:
            KeyProviderUnavailableError: There was no answer in time.
            SealwireError: As the question explains it.
        """
        try:
            async with asyncio.timeout(self.seconds):
                outcome = await self._outcome(question)
        except TimeoutError:
            raise KeyProviderUnavailableError(
                f"{self.service} did not answer within {self.seconds:g} seconds; "
                "check that it can be reached from here"
            ) from None
        if isinstance(outcome, SealwireError):
            raise outcome
        return outcome

    async def _outcome(self, question: Question) -> bytes | SealwireError:
        for attempt in range(self.retries):
            outcome = await asyncio.to_thread(question)
            if not isinstance(outcome, KeyProviderUnavailableError):
                return outcome
            # Full jitter, so that a fleet that met the same outage does not come back in waves.
            pause = random.uniform(0, _FIRST_PAUSE * 2**attempt)  # noqa: S311 - no secret
            await asyncio.sleep(pause)
        return await asyncio.to_thread(question)


def require(extra: str, *modules: str) -> None:
    """Refuse to go on without the packages of an extra.

    Raises:
        ConfigurationError: One of the modules is not installed.
    """
    for module in modules:
        if not _installed(module):
            raise ConfigurationError(
                f"this key wrapper needs the package of the module {module!r}; "
                f"fix: pip install 'sealwire[{extra}]'"
            )


def check_endpoint(url: str) -> None:
    """Refuse an address to which keys and credentials must not be sent.

    Raises:
        ConfigurationError: It is no URL of a host, has credentials in it, or would be used
            without TLS and leave this machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise ConfigurationError("the endpoint must be a URL such as https://kms.example.com")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError("the endpoint must have no credentials, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError("the endpoint must begin with https://, except on this machine")


def spelled(tenant: str) -> str:
    """Return a tenant in printable ASCII: percent-encoded, and as it is where it is plain."""
    return quote(tenant, safe=_TENANT_SAFE, errors="surrogatepass")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent
        return False

"""Which web pages may ask, and by which names a server without a token may be called.

A browser lets any page send requests to `localhost`, and with DNS rebinding to any address under a
name of the page's own. So a foreign `Origin` is refused, and a server that asks for no token
answers only when it is addressed by a loopback name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sealwire.errors import ConfigurationError

_MAX_AGE: Final = "600"  # seconds; saves a preflight for each payload that a page shows
_PREFLIGHT: Final = {
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": (
        "content-type, x-namespace, authorization, authorization-extras"
    ),
    "access-control-max-age": _MAX_AGE,
}
_TWINS: Final = {"localhost": "127.0.0.1", "127.0.0.1": "localhost"}
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?")


@dataclass(frozen=True, init=False)
class Origins:
    """The pages that may use the server from a browser.

    Args:
        origins: Like `http://127.0.0.1:8233`, without a path. To a browser `127.0.0.1` and
            `localhost` are different origins; naming one of them means both.

    Raises:
        ConfigurationError: One of them is no origin. `*` is none: with it any page could read.
    """

    allowed: frozenset[str]

    def __init__(self, origins: Iterable[str] = ()) -> None:
        allowed = frozenset(form for origin in origins for form in _forms(origin))
        object.__setattr__(self, "allowed", allowed)

    def admits(self, origin: str | None) -> bool:
        """Tell whether a request with this `Origin` header may go on; None is no browser."""
        return origin is None or origin in self.allowed

    def headers(self, origin: str | None, *, preflight: bool = False) -> Mapping[str, str]:
        """Return what to add to an answer, of whatever status."""
        vary = {"vary": "Origin"}
        if origin is None or origin not in self.allowed:
            return vary
        cors = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
        return {**vary, **cors, **(_PREFLIGHT if preflight else {})}


def host_of(header: str | None) -> str:
    """Return the host of a `Host` header, without its port; empty when there is none."""
    try:
        return urlsplit(f"//{header or ''}").hostname or ""
    except ValueError:
        return ""


def _forms(origin: str) -> Iterable[str]:
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        raise ConfigurationError(
            f"{origin!r} is not the origin of a web page; expected scheme, host and port only, "
            "for example http://127.0.0.1:8233"
        )
    scheme, host, port = found.groups()
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"  # as browsers write it
    return {f"{scheme}://{name}{suffix}" for name in (host, _TWINS.get(host, host))}

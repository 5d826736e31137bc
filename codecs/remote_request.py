"""What a request to a codec server consists of, checked before anything is sent."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from sealwire.errors import ConfigurationError
from sealwire.loopback import is_loopback
from sealwire.payload import Payload
from sealwire.wire import STRICT

_NAMESPACE: Final = "{namespace}"  # as in the codec endpoint of the `temporal` command
_MAX_NAMESPACE: Final = 1000  # characters; Temporal's limit for names
_VISIBLE: Final = re.compile(r"[!-~]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1: b64token
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2: token
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # RFC 9110, 5.5, without obs-text
_OWN_HEADERS: Final = {
    b"accept": b"application/json",
    b"accept-encoding": b"identity",
    b"content-type": b"application/json",
    b"prefer": STRICT.encode(),
    b"user-agent": b"sealwire",
}
_NOT_YOURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-namespace",
        *(name.decode() for name in _OWN_HEADERS),
    }
)


def check_url(url: str, *, allow_insecure: bool) -> bool:
    """Refuse an address that is none, or to which nothing should be sent.

    Returns:
        Whether TLS protects it.

    Raises:
        ConfigurationError: It is not of the form of a URL of a codec server, or is insecure.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no number of a port
    except ValueError:
        parts = urlsplit("")
    # No user information: it would show in every message that names the URL.
    if (
        not _VISIBLE.fullmatch(url)
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or set("?#@\\") & set(url)
        or _NAMESPACE in parts.netloc
    ):
        raise ConfigurationError(
            "the url of a codec server consists of scheme, host, port and path only, "
            "for example https://codec.example.com/orders; a token goes into `token`"
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not allow_insecure:
        raise ConfigurationError(
            f"{url} would send plaintext and token without TLS: use https, "
            "or allow_insecure = true where something else protects the connection"
        )
    return parts.scheme == "https"


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that cannot be sent, or that this codec sets itself.

    Raises:
        ConfigurationError: The message names the header, and not its value.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"the header {name!r} cannot be sent: expected a name and visible ASCII characters"
            )
        if name.lower() in _NOT_YOURS:
            raise ConfigurationError(f"the header {name!r} is set by the codec: remove it")


def tls_context(ca_file: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return how to check the server and to identify ourselves.

    Raises:
        ConfigurationError: A file cannot be used.
    """
    if key is not None and certificate is None:
        raise ConfigurationError("client_key needs client_certificate beside it")
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as err:  # among them ssl.SSLError
        raise ConfigurationError(f"cannot use ca_file {ca_file}: {_reason(err)}") from None
    if certificate is not None:
        try:
            # Without the password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except OSError as err:
            raise ConfigurationError(
                f"cannot use client_certificate {certificate} with its key: {_reason(err)}"
            ) from None
    return context


def _reason(err: OSError) -> str:
    return err.strerror or "it is no valid PEM"


def address(url: str, route: str, namespace: str | None) -> str:
    """Return the URL of a route.

    Raises:
        ConfigurationError: It depends on the namespace, which is not known.
    """
    if _NAMESPACE in url:
        if namespace is None:
            raise ConfigurationError(
                f"the url has a {_NAMESPACE} in it, and the namespace is not known: set `namespace`"
            )
        url = url.replace(_NAMESPACE, quote(namespace, safe=""))
    return f"{url.rstrip('/')}/{route}"


def header_lines(
    headers: Mapping[str, str], token: str | Callable[[], str] | None, namespace: str | None
) -> dict[bytes, bytes]:
    """Return all headers of a request.

    Raises:
        ConfigurationError: The token is none.
    """
    lines = {name.lower().encode(): value.encode() for name, value in headers.items()}
    if token is not None:
        lines[b"authorization"] = authorization(token if isinstance(token, str) else token())
    if namespace is not None:
        lines[b"x-namespace"] = namespace_line(namespace)
    return lines | _OWN_HEADERS


def authorization(token: str) -> bytes:
    """Return the value of `Authorization` for a bearer token.

    Raises:
        ConfigurationError: It cannot be sent.
    """
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            "a bearer token consists of A-Z a-z 0-9 - . _ ~ + / and may end in ="
        )
    return b"Bearer " + token.encode()


def namespace_line(namespace: str) -> bytes:
    """Return the value of `X-Namespace`, in UTF-8 as Temporal's other clients send it.

    Raises:
        ConfigurationError: It cannot be sent.
    """
    if not namespace.isprintable() or not 0 < len(namespace.strip()) == len(namespace):
        raise ConfigurationError(
            "the namespace must be printable, not empty, and without spaces at its ends"
        )
    if len(namespace) > _MAX_NAMESPACE:
        raise ConfigurationError(f"the namespace has more than {_MAX_NAMESPACE} characters")
    return namespace.encode()


def groups(
    payloads: Sequence[Payload], max_payloads: int, max_bytes: int
) -> Iterator[list[Payload]]:
    """Split `payloads` into what goes into one request; a larger one goes alone."""
    group: list[Payload] = []
    size = 0
    for payload in payloads:
        added = payload.ByteSize()
        if group and (len(group) == max_payloads or size + added > max_bytes):
            yield group
            group, size = [], 0
        group.append(payload)
        size += added
    if group:
        yield group

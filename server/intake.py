"""Reading a request, and refusing one that no client of Temporal sends."""

from __future__ import annotations

from typing import Final

from starlette.requests import ClientDisconnect, Request

from sealwire.wire import STRICT

from .problems import RequestError

_MAX_NAMESPACE: Final = 1000  # characters; Temporal's limit for names


def check_content_type(request: Request) -> None:
    """Refuse all but JSON.

    A form on a foreign page can send other types without a preflight, but not this one.

    Raises:
        RequestError: The body is declared as something else.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise RequestError(415, "send the payloads with 'Content-Type: application/json'")


def namespace_of(request: Request) -> str | None:
    """Return the namespace that the client names.

    Raises:
        RequestError: It cannot be the name of one.
    """
    header = request.headers.get("x-namespace")
    if not header:
        return None
    try:
        name = header.encode("latin-1").decode()
    except UnicodeDecodeError:
        name = "\0"
    if len(name) > _MAX_NAMESPACE or not name.isprintable():
        raise RequestError(
            400, "X-Namespace is not the name of a namespace: send its name in UTF-8"
        )
    return name


def wants_strict(request: Request) -> bool:
    """Tell whether the client wants no answer at all rather than one with errors in it."""
    preferences = ",".join(request.headers.getlist("prefer")).lower().split(",")
    return any(item.partition(";")[0].strip() == STRICT for item in preferences)


def is_set(request: Request, parameter: str) -> bool:
    """Tell whether a parameter of the query is `true`."""
    return request.query_params.get(parameter, "").lower() == "true"


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, and count it: the length that a client declares may be wrong or absent.

    Raises:
        RequestError: It has more than `limit` bytes, or ends too early.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise RequestError(413, f"the body exceeds {limit} bytes: send fewer payloads")
    except ClientDisconnect:
        raise RequestError(400, "the body is incomplete: send it again") from None
    return bytes(body)

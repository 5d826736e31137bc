"""The web application: who may ask, what is asked, and the answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sealwire.codecs import PayloadCodec
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.errors import ConfigurationError, PayloadError
from sealwire.loopback import is_loopback
from sealwire.wire import STRICT, format_payloads, parse_payloads

from .auth import BearerToken
from .intake import check_content_type, is_set, namespace_of, read_body, wants_strict
from .origins import Origins, host_of
from .problems import RequestError, explain
from .transcoder import Transcoder

_log = logging.getLogger("sealwire.server")

MAX_BODY: Final = 16 * 1024 * 1024  # bytes; four gRPC messages, the largest that Temporal accepts
# Seconds. Temporal's command line gives up after 10 s of tries and hides why; so does the web UI.
DEADLINE: Final = 2.0
DOWNLOAD_DEADLINE: Final = 30.0  # seconds; for this the web UI waits, and shows that it does
_FETCH: Final = 0.5  # of the deadline, for reading from the storage what `/decode` shows
_KEEP_REFERENCES: Final = "preserveStorageRefs"  # the parameter of Temporal's protocol
_METHODS: Final = {"encode": "POST", "decode": "POST", "download": "POST", "healthz": "GET"}
_ALWAYS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def codec_app(
    codec: PayloadCodec,
    *,
    token: BearerToken | None,
    origins: Sequence[str] = (),
    namespace: str | None = None,
    accept_namespaces: Collection[str] = (),
    max_body: int = MAX_BODY,
    deadline: float = DEADLINE,
    storage: PayloadStorage | None = None,
    download_deadline: float = DOWNLOAD_DEADLINE,
) -> Starlette:
    """Return a codec server for `codec`.

    Args:
        codec: The chain that the workers use.
        token: What clients must show. None only for a server that this machine alone can reach.
        origins: The web UIs that may ask, like `http://127.0.0.1:8233`.
        namespace: The namespace it works for. None: whichever the client names.
        accept_namespaces: Other namespaces that a client may name.
        max_body: The largest request in bytes.
        deadline: Seconds until a request that has no answer yet is given up.
        storage: Where the workers keep large payloads, so that these are shown, too.
        download_deadline: The same as `deadline`, for downloads from there.

    Raises:
        ConfigurationError: An origin is none, a limit is not positive, or the codec belongs to
            another namespace.
    """
    if min(max_body, deadline, download_deadline) <= 0:
        raise ConfigurationError("max_body and the deadlines must be positive")
    transcoder = Transcoder(codec, namespace, frozenset(accept_namespaces), storage=storage)
    service = _Service(transcoder, token, Origins(origins), max_body, deadline, download_deadline)
    app = Starlette(routes=[Route("/{path:path}", endpoint=service)])
    app.state.has_token = token is not None
    return app


@dataclass(slots=True)
class _Entry:
    """What the access log says about a request, as far as it is known."""

    route: str = "other"
    namespace: str | None = None
    count: int = 0


@dataclass(frozen=True)
class _Service:
    transcoder: Transcoder
    token: BearerToken | None
    origins: Origins
    max_body: int
    deadline: float
    download_deadline: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = time.perf_counter()
        entry = _Entry()
        try:
            response = await self._answer(request, entry)
        except RequestError as err:
            details = err.details if wants_strict(request) else {}
            response = _json(err.status, {"error": err.message, **details}, err.headers)
        except Exception as err:  # noqa: BLE001 - an answer without CORS headers would be lost
            response = _json(500, {"error": explain(err)})
        # Here and not in the branches: a browser shows no status without these headers.
        origin = request.headers.get("origin")
        preflight = request.method == "OPTIONS"
        response.headers.update({**_ALWAYS, **self.origins.headers(origin, preflight=preflight)})
        try:
            await response(scope, receive, send)
        finally:
            _log.info(
                "%s %s namespace=%s payloads=%d status=%d ms=%.1f",
                request.method,
                entry.route,
                entry.namespace,
                entry.count,
                response.status_code,
                1000 * (time.perf_counter() - started),
            )

    async def _answer(self, request: Request, entry: _Entry) -> Response:
        self._check_caller(request)
        segment = request.scope["path"].rpartition("/")[2]
        if request.method == "OPTIONS":
            return Response(status_code=204)
        _check_route(segment, request.method)
        entry.route = segment
        if segment == "healthz":
            return _json(200, {"status": "ok"})
        if segment == "download" and self.transcoder.storage is None:
            raise RequestError(404, "this codec server has no payload storage to download from")
        self._check_token(request)
        check_content_type(request)
        entry.namespace = self.transcoder.select(namespace_of(request))
        deadline = self.download_deadline if segment == "download" else self.deadline
        try:
            async with asyncio.timeout(deadline):
                return await self._transcode(request, entry)
        except TimeoutError:
            raise RequestError(
                504,
                f"no result within {deadline:g} s: try again, and if that does not help, "
                "check that key provider and payload storage answer",
            ) from None

    async def _transcode(self, request: Request, entry: _Entry) -> Response:
        try:
            payloads = parse_payloads(await read_body(request, self.max_body))
        except PayloadError as err:
            raise RequestError(400, f"{err}; send what the Temporal SDKs send") from None
        entry.count = len(payloads)
        strict = wants_strict(request)
        match entry.route:
            case "encode":
                result = await self.transcoder.encode(payloads, entry.namespace)
            case "download":
                result = await self.transcoder.download(payloads, entry.namespace)
            case _:
                seconds = 0 if is_set(request, _KEEP_REFERENCES) else _FETCH * self.deadline
                result = await self.transcoder.decode(
                    payloads, entry.namespace, strict=strict, fetch_for=seconds
                )
        headers = {"preference-applied": STRICT} if strict and entry.route == "decode" else {}
        return Response(format_payloads(result), headers=headers, media_type="application/json")

    def _check_caller(self, request: Request) -> None:
        if not self.origins.admits(request.headers.get("origin")):
            raise RequestError(
                403,
                "web pages of this origin may not use this codec server: if it is the web UI, set "
                "its address as `origin` in [server]",
            )
        if self.token is None and not is_loopback(host_of(request.headers.get("host"))):
            raise RequestError(
                403,
                "a codec server without a token answers only to localhost and 127.0.0.1: use one "
                "of them in the address, or set a token",
            )

    def _check_token(self, request: Request) -> None:
        if self.token and not self.token.accepts(request.headers.get("authorization")):
            raise RequestError(
                401,
                "the bearer token is missing or wrong: send 'Authorization: Bearer <token>'; with "
                "the temporal command, --codec-auth 'Bearer <token>'",
                {"www-authenticate": 'Bearer realm="sealwire"'},
            )


def _check_route(segment: str, method: str) -> None:
    expected = _METHODS.get(segment)
    if expected is None:
        raise RequestError(404, "there is nothing here: the address must end in /encode or /decode")
    if method != expected and (method, expected) != ("HEAD", "GET"):
        raise RequestError(405, f"use {expected} for /{segment}", {"allow": f"{expected}, OPTIONS"})


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode(content)
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")

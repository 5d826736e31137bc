"""A Google Cloud Storage in memory: the part of its XML API that obstore's client speaks.

The emulators that package indexes offer serve the JSON API, and no conditions on the XML one. This
one answers as Google documents it, https://cloud.google.com/storage/docs/xml-api/overview::

    PUT    /bucket                     make a bucket
    PUT    /bucket/object              write; only if the header `x-goog-if-generation-match`
                                       is its generation, where 0 stands for no object
    GET    /bucket/object              read, with the generation and the hash of the content
    DELETE /bucket/object              remove
    GET    /bucket?list-type=2         list below `prefix`, in small pages
    GET    /computeMetadata/v1/…       give a token, as on Google's machines

`OWNER` may do everything, `READER` may read, and other tokens are not known.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

OWNER: Final = "token-of-the-owner"
READER: Final = "token-of-a-reader"
PAGE: Final = 10  # objects; Google has 1,000, and may always give fewer
TOKEN: Final = f'{{"access_token": "{OWNER}", "expires_in": 3600, "token_type": "Bearer"}}'


@dataclass(frozen=True)
class Object:
    """An object as it was written, under a generation that no other one has."""

    data: bytes
    generation: int
    modified: float = field(default_factory=time.time)

    @property
    def headers(self) -> dict[str, str]:
        """What every answer about it says; equal contents have equal ETags."""
        return {
            "ETag": f'"{hashlib.md5(self.data).hexdigest()}"',  # noqa: S324 - what Google uses
            "Last-Modified": formatdate(self.modified, usegmt=True),
            "x-goog-generation": str(self.generation),
        }


@dataclass
class Service:
    """Buckets with their objects."""

    buckets: dict[str, dict[str, Object]] = field(default_factory=dict[str, dict[str, Object]])
    lock: threading.Lock = field(default_factory=threading.Lock)
    generations: itertools.count[int] = field(
        default_factory=lambda: itertools.count(time.time_ns() // 1000)
    )


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: HTTPStatus
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for the client's acknowledgement
    wbufsize = -1
    service: Service

    def do_GET(self) -> None:
        """Read or list."""
        self.reply(self.answer(b""))

    def do_DELETE(self) -> None:
        """Remove."""
        self.reply(self.answer(b""))

    def do_PUT(self) -> None:
        """Write."""
        self.reply(self.answer(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, data: bytes) -> Answer:
        parts = urlsplit(self.path)
        if parts.path.startswith("/computeMetadata/"):
            return Answer(HTTPStatus.OK, TOKEN.encode())
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if token not in (OWNER, READER):
            return error(HTTPStatus.UNAUTHORIZED, "AuthenticationRequired")
        if token == READER and self.command != "GET":
            return error(HTTPStatus.FORBIDDEN, "AccessDenied")
        bucket, _, name = (unquote(part) for part in parts.path.removeprefix("/").partition("/"))
        with self.service.lock:
            if not name and self.command == "PUT":
                self.service.buckets[bucket] = {}
                return Answer(HTTPStatus.OK)
            objects = self.service.buckets.get(bucket)
            if objects is None:
                return error(HTTPStatus.NOT_FOUND, "NoSuchBucket")
            if not name:
                return listing(objects, {k: v[0] for k, v in parse_qs(parts.query).items()})
            return self.use(objects, name, data)

    def use(self, objects: dict[str, Object], name: str, data: bytes) -> Answer:
        found = objects.get(name)
        if self.command == "PUT":
            expected = self.headers["x-goog-if-generation-match"]
            if expected is not None and int(expected) != (found.generation if found else 0):
                return error(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed")
            objects[name] = Object(data, next(self.service.generations))
            return Answer(HTTPStatus.OK, headers=objects[name].headers)
        if found is None:
            return error(HTTPStatus.NOT_FOUND, "NoSuchKey")
        if self.command == "DELETE":
            del objects[name]
            return Answer(HTTPStatus.NO_CONTENT)
        return Answer(HTTPStatus.OK, found.data, found.headers)

    def reply(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def error(status: HTTPStatus, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


def listing(objects: dict[str, Object], query: dict[str, str]) -> Answer:
    """One page: the names are in order, and the token is the last one of the page before."""
    prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
    names = sorted(name for name in objects if name.startswith(prefix) and name > after)
    page = names[:PAGE]
    last = escape("".join(page[-1:]))
    more = f"<NextContinuationToken>{last}</NextContinuationToken>"
    entries = "".join(entry(name, objects[name]) for name in page)
    count = f"<KeyCount>{len(page)}</KeyCount>"
    body = (
        f"<ListBucketResult>{count}{entries}{more if len(names) > PAGE else ''}</ListBucketResult>"
    )
    return Answer(HTTPStatus.OK, body.encode())


def entry(name: str, item: Object) -> str:
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(item.modified))
    return (
        f"<Contents><Key>{escape(name)}</Key><Size>{len(item.data)}</Size>"
        f"<Generation>{item.generation}</Generation><ETag>{escape(item.headers['ETag'])}</ETag>"
        f"<LastModified>{modified}</LastModified></Contents>"
    )


if __name__ == "__main__":
    Handler.service = Service()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)  # noqa: T201 - to who started it
        server.serve_forever()

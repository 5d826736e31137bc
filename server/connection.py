"""One connection, before anybody knows who is at its other end."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_TIME: Final = 5.0  # seconds
_MAX_FRAMING: Final = 256 * 1024  # bytes


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the limits that its parser does not have.

    A connection is closed when the head of a request, from the first byte that may come to the end
    of the headers, takes more than 5 seconds; and when all of a request that is not its body
    (request line, headers, the sizes of chunks, trailers) has more than 256 KiB. The body is the
    application's to limit.
    """

    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _framing = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless there is too much of it."""
        self._framing += len(data)
        if self._in_head:  # also for empty lines, before which no message begins
            self._expect_head()
        super().data_received(data)
        if self._framing > _MAX_FRAMING:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Wait for the rest of the head, perhaps behind another request."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """Take the request; from here on, the application has its own time limit."""
        self._in_head = False
        self._forget_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count for the body what is the body's."""
        self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next request."""
        self._in_head, self._framing = True, 0
        super().on_message_complete()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_TIME, self.transport.close)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

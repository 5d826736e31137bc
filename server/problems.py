"""What goes wrong with a request, as a status and one sentence that says the next step."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Final

from sealwire.errors import (
    CodecUnavailableError,
    ConversionError,
    KeyProviderUnavailableError,
    PayloadError,
    PayloadTooLargeError,
    SealwireError,
    StorageUnavailableError,
)

_log = logging.getLogger("sealwire.server")

UNKNOWN: Final = "the codec failed for a reason that is not shown; see the log of the codec server"


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: The HTTP status.
        message: What is wrong and what to do about it, without any content of payloads.
        headers: Further headers of the answer.
        details: What a program can tell the cause by; sent if it asked for strict answers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.details = details or {}


def request_error(err: Exception, first: int = 0) -> RequestError:
    """Return the problem that an exception of a codec is to the client.

    Args:
        err: The exception.
        first: The position in the request of the first payload that the codec was given.
    """
    message = explain(err)
    details = _details(err, first)
    if isinstance(
        err, (KeyProviderUnavailableError, CodecUnavailableError, StorageUnavailableError)
    ):
        return RequestError(503, message, {"retry-after": "1"}, details)
    if isinstance(err, PayloadTooLargeError):
        return RequestError(413, message, details=details)
    if isinstance(err, (PayloadError, ConversionError)):
        return RequestError(400, message, details=details)
    return RequestError(500, message, details=details)


def _details(err: Exception, first: int) -> dict[str, str | int]:
    details: dict[str, str | int] = {"type": type(err).__name__}
    if isinstance(err, SealwireError):
        if err.key_id is not None:
            details["keyId"] = err.key_id
        if err.index is not None:
            details["index"] = first + err.index
    return details


def explain(err: Exception) -> str:
    """Return the text of an error if it is one of ours, which are known to hold no secret.

    The text of any other may hold what the codec was working on. So it is neither shown nor
    logged: the log gets its class and its place in the source.
    """
    if isinstance(err, SealwireError):
        return str(err)
    frames = traceback.extract_tb(err.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
    _log.error("%s raised at %s", type(err).__name__, place)
    return UNKNOWN

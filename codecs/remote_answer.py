"""What the answer of a codec server means; none of its free text is ever shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sealwire.errors import (
    CodecUnavailableError,
    ConfigurationError,
    ContextMismatchError,
    ConversionError,
    DecryptError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyLookupError,
    KeyNotFoundError,
    PayloadError,
    PayloadTooLargeError,
    SealwireError,
    UnencryptedPayloadError,
    UnknownEncodingError,
)
from sealwire.keys.key import KEY_ID
from sealwire.payload import ENCODING, Encoding, Payload, encoding_of
from sealwire.wire import parse_payloads

from .remote_http import Answer

# What another sealwire names as the cause. `DecryptError` has its own message.
_CAUSES: Final[dict[str, tuple[type[SealwireError], str]]] = {
    cls.__name__: (cls, message)
    for cls, message in (
        (
            ContextMismatchError,
            "the namespace of a payload is not the codec server's, or not known: set `namespace`",
        ),
        (
            UnencryptedPayloadError,
            "a payload is not encrypted, and the policy of the codec server does not accept that",
        ),
        (PayloadTooLargeError, "a payload exceeds the limits of the codec server: raise them"),
        (UnknownEncodingError, "the codec server does not read the encoding of a payload"),
        (PayloadError, "the codec server refused a payload: it is malformed"),
        (ConversionError, "the codec server cannot encode a payload"),
        (KeyNotFoundError, "the codec server does not have the key: check its keyring"),
        (KeyDisabledError, "the key is disabled on the codec server"),
        (KeyDestroyedError, "the key was destroyed"),
        (KeyLookupError, "the codec server cannot use its key: see its log"),
    )
}
# What a codec server must change when it encodes.
_UNENCRYPTED: Final = {None, *(v for v in vars(Encoding).values() if isinstance(v, bytes))} - {
    Encoding.SEALED,
    Encoding.ENVELOPED,
    Encoding.ENCRYPTED,
}


class _Explanation(msgspec.Struct):
    type: str = ""
    keyId: Any = None  # noqa: N815 - the name on the wire
    index: Any = None


_decoder: Final = msgspec.json.Decoder(_Explanation)


def payloads_of(answer: Answer, url: str, count: int) -> list[Payload]:
    """Return the payloads of an answer to `count` payloads.

    Raises:
        ConfigurationError: The server does not let us in, or is no codec server.
        CodecUnavailableError: It failed.
        KeyLookupError: It has no key for this.
        PayloadError: It refused a payload, or its answer is malformed.
    """
    if answer.status != 200:
        raise _refusal(answer, url, count)
    if answer.media_type != "application/json":
        raise ConfigurationError(
            f"what answers at {url} is no codec server: it sends something else than plain "
            "application/json; check the URL"
        )
    try:
        payloads = parse_payloads(answer.body)
    except PayloadError:
        # Its text quotes names out of the answer.
        raise PayloadError(
            f"the answer of the codec server at {url} is not a Payloads message in JSON: "
            "check the codec server"
        ) from None
    if len(payloads) != count:
        raise PayloadError(
            f"the codec server at {url} answered {count} payloads with {len(payloads)}: "
            "check the codec server"
        )
    return payloads


def refuse_unencrypted(payloads: Sequence[Payload], encoded: Sequence[Payload]) -> None:
    """Refuse plaintext that was to be encoded and came back unchanged: it would be stored so.

    Raises:
        PayloadError: The message names the encoding only.
    """
    for index, (payload, result) in enumerate(zip(payloads, encoded, strict=True)):
        if payload.metadata.get(ENCODING) in _UNENCRYPTED and payload == result:
            encoding = encoding_of(payload)
            raise PayloadError(
                f"the codec server gave back a payload with the encoding {encoding} unchanged when "
                "it was to encode it: check its codec, or set allow_unencrypted = true if that is "
                "meant",
                encoding=encoding,
                index=index,
            )


def _refusal(answer: Answer, url: str, count: int) -> SealwireError:
    status = answer.status
    named = _named_cause(answer, count)
    if named is not None:
        return named
    where = f"the codec server at {url}"
    if 300 <= status < 400:
        return ConfigurationError(
            f"{where} redirects (status {status}), which is not followed: "
            "set the URL that it leads to, if that is to be trusted"
        )
    if status == 401:
        return ConfigurationError(f"{where} refuses the token (status 401): check it")
    if status == 403:
        return ConfigurationError(
            f"{where} refuses this client or its namespace (status 403): check both"
        )
    if status == 413:
        return PayloadTooLargeError(
            f"{where} refuses so many bytes (status 413): lower max_bytes, or raise its limit"
        )
    if status in (400, 422):
        return PayloadError(f"{where} refused a payload (status {status}): see its log")
    if status < 500:
        return ConfigurationError(
            f"what answers at {url} does not work as a codec server (status {status}): check the "
            "URL, which must not end in /encode or /decode"
        )
    return CodecUnavailableError(f"{where} failed (status {status}): see its log")


def _named_cause(answer: Answer, count: int) -> SealwireError | None:
    """Return the error that the server names, if it is one of those that we know."""
    if answer.media_type != "application/json":
        return None
    try:
        told = _decoder.decode(answer.body)
    except ValueError:
        return None
    key_id = told.keyId if isinstance(told.keyId, str) and KEY_ID.fullmatch(told.keyId) else None
    index = told.index if type(told.index) is int and 0 <= told.index < count else None
    if told.type == DecryptError.__name__:
        return DecryptError(key_id=key_id, index=index)
    if told.type not in _CAUSES:
        return None
    cls, message = _CAUSES[told.type]
    return cls(message, key_id=key_id, index=index)

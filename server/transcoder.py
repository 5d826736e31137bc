"""A codec as a server uses it: for the namespace a client names, and never without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from sealwire.codecs import PayloadCodec, with_context
from sealwire.errors import ConfigurationError, SealwireError
from sealwire.payload import ENCODING, Encoding, Payload

from .problems import RequestError, explain, request_error

# Payloads between two moments at which other requests get their turn and the size of the answer is
# looked at: a small compressed payload may stand for a very large one.
_GROUP: Final = 16
_CACHED: Final = 64  # namespaces; the name is the client's choice, so their number is bounded


@dataclass(frozen=True)
class NamespaceContext:
    """What `with_context` of a codec is given."""

    namespace: str


def _no_codecs() -> dict[str, PayloadCodec]:
    return {}


@dataclass(frozen=True)
class Transcoder:
    """Encode all or nothing; decode what can be decoded.

    Args:
        codec: The chain to run.
        namespace: The server's own namespace; None to take the one that the client names.
        accept_namespaces: Other namespaces that a client may name.
        max_answer: Bytes of payload data in one answer.

    Raises:
        ConfigurationError: The codec belongs to another namespace than the server.
    """

    codec: PayloadCodec
    namespace: str | None = None
    accept_namespaces: frozenset[str] = frozenset()
    max_answer: int = 64 * 1024 * 1024
    _codecs: dict[str, PayloadCodec] = field(default_factory=_no_codecs, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.namespace is not None:
            self._codec(self.namespace)

    def select(self, named: str | None) -> str | None:
        """Return the namespace to work in, given the one that the client names.

        Raises:
            RequestError: The server does not work for that namespace.
        """
        if named is None or named == self.namespace or named in self.accept_namespaces:
            return named or self.namespace
        if self.namespace is None and not self.accept_namespaces:
            return named
        raise RequestError(
            403,
            f"this codec server does not work for the namespace {named!r}: use the one that does, "
            "or have this namespace added to its accept_namespaces",
        )

    async def encode(self, payloads: Sequence[Payload], namespace: str | None) -> list[Payload]:
        """Encode `payloads`, all of them or none.

        Raises:
            RequestError: The codec failed.
        """
        encoded: list[Payload] = []
        try:
            codec = self._codec(namespace)
        except ConfigurationError as err:
            raise RequestError(
                403, f"cannot encode for the namespace {namespace!r}: {err}"
            ) from None
        for group in _groups(payloads):
            if encoded:
                await asyncio.sleep(0)
            try:
                encoded += await _same_count(codec.encode, group)
            except Exception as err:  # noqa: BLE001 - a codec may be anybody's
                raise request_error(err, len(encoded)) from None
        return encoded

    async def decode(
        self, payloads: Sequence[Payload], namespace: str | None, *, strict: bool = False
    ) -> list[Payload]:
        """Decode `payloads`, with an error in the place of each that cannot be decoded.

        Args:
            payloads: What to decode.
            namespace: The namespace to work in.
            strict: Decode all or nothing instead.

        Raises:
            RequestError: The result is too large; or, if strict, the codec failed.
        """
        decoded: list[Payload] = []
        size = 0
        try:
            codec = self._codec(namespace)
        except ConfigurationError:
            codec = self.codec  # its policy decides about payloads from elsewhere
        for group in _groups(payloads):
            if decoded:
                await asyncio.sleep(0)
            decoded += await (
                _decode_strictly(codec, group, len(decoded))
                if strict
                else _decode_group(codec, group)
            )
            size += sum(len(payload.data) for payload in decoded[-len(group) :])
            if size > self.max_answer:
                raise RequestError(
                    413, f"the decoded payloads exceed {self.max_answer} bytes: ask for fewer"
                )
        return decoded

    def _codec(self, namespace: str | None) -> PayloadCodec:
        if namespace is None:
            return self.codec
        codec = self._codecs.get(namespace)
        if codec is None:
            codec = with_context(self.codec, NamespaceContext(namespace))
            if len(self._codecs) >= _CACHED:
                self._codecs.clear()
            self._codecs[namespace] = codec
        return codec


async def _decode_group(codec: PayloadCodec, group: Sequence[Payload]) -> list[Payload]:
    try:
        return await _same_count(codec.decode, group)
    except Exception as err:  # noqa: BLE001 - a codec may be anybody's
        if len(group) == 1:
            return [_error_payload(err)]
    return [(await _decode_group(codec, [payload]))[0] for payload in group]


async def _decode_strictly(
    codec: PayloadCodec, group: Sequence[Payload], first: int
) -> list[Payload]:
    try:
        return await _same_count(codec.decode, group)
    except Exception as err:  # noqa: BLE001 - a codec may be anybody's
        raise request_error(err, first) from None


async def _same_count(
    convert: Callable[[Sequence[Payload]], Awaitable[list[Payload]]], group: Sequence[Payload]
) -> list[Payload]:
    """Convert `group`; the web UI shows nothing at all for answers of another length."""
    result = await convert(group)
    if len(result) != len(group):
        raise SealwireError(
            f"the codec made {len(result)} payloads out of {len(group)}: it needs to be repaired"
        )
    return result


def _groups(payloads: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
    return (payloads[start : start + _GROUP] for start in range(0, len(payloads), _GROUP))


def _error_payload(err: Exception) -> Payload:
    shown = {"error": explain(err), "type": type(err).__name__}
    key_id = err.key_id if isinstance(err, SealwireError) else None
    if key_id is not None:
        shown["keyId"] = key_id
    return Payload(metadata={ENCODING: Encoding.JSON}, data=msgspec.json.encode(shown))

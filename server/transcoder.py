"""A codec as a server uses it: for the namespace a client names, and never without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from sealwire.codecs import PayloadCodec, with_context
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.errors import ConfigurationError, SealwireError
from sealwire.payload import ENCODING, Encoding, Payload

from .problems import RequestError, explain, request_error
from .references import Along, fetch, is_reference, opened

# Payloads and bytes between two moments at which other requests get their turn and the size of the
# answer is looked at: a compressed payload may stand for one that is a thousand times as large.
_GROUP: Final = 16
_GROUP_SIZE: Final = 64 * 1024
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
        storage: What references to external storage lead to.

    Raises:
        ConfigurationError: The codec belongs to another namespace than the server.
    """

    codec: PayloadCodec
    namespace: str | None = None
    accept_namespaces: frozenset[str] = frozenset()
    max_answer: int = 64 * 1024 * 1024
    storage: PayloadStorage | None = None
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
        self,
        payloads: Sequence[Payload],
        namespace: str | None,
        *,
        strict: bool = False,
        fetch_for: float = 0,
    ) -> list[Payload]:
        """Decode `payloads`, with an error in the place of each that cannot be decoded.

        A reference to external storage becomes what it leads to, or stays as it is.

        Args:
            payloads: What to decode.
            namespace: The namespace to work in.
            strict: Decode all or nothing instead, and refuse references as any other plaintext.
            fetch_for: Seconds for reading from the storage; 0 to keep all references.

        Raises:
            RequestError: The result is too large; or, if strict, the codec failed.
        """
        decoded: list[Payload] = []
        size = 0
        codec = self._decoder(namespace)
        along = self._along(fetch_for)
        for group in _groups(payloads):
            if decoded:
                await asyncio.sleep(0)
            decoded += await (
                _decode_strictly(codec, group, len(decoded))
                if strict
                else _decode_around(codec, group, along)
            )
            size += sum(len(payload.data) for payload in decoded[-len(group) :])
            self._check_size(size)
        return decoded

    async def download(self, payloads: Sequence[Payload], namespace: str | None) -> list[Payload]:
        """Return what references to external storage lead to, decoded; all or nothing.

        They are read one after the other, so that no more than one answer is in memory.

        Raises:
            RequestError: There is no storage, a payload is no reference or cannot be had, or the
                result is too large.
        """
        if self.storage is None:
            raise RequestError(404, "this codec server has no payload storage to download from")
        storage = replace(self.storage, max_size=min(self.storage.max_size, self.max_answer))
        codec = self._decoder(namespace)
        fetched: list[Payload] = []
        size = 0
        for payload in payloads:
            try:
                fetched.append(await fetch(payload, codec, storage))
            except Exception as err:  # noqa: BLE001 - a codec may be anybody's
                raise request_error(err, len(fetched)) from None
            size += len(fetched[-1].data)
            self._check_size(size)
        return fetched

    def _check_size(self, size: int) -> None:
        if size > self.max_answer:
            raise RequestError(
                413, f"the decoded payloads exceed {self.max_answer} bytes: ask for fewer"
            )

    def _along(self, seconds: float) -> Along | None:
        if self.storage is None or not seconds:
            return None
        return Along(self.storage, asyncio.get_running_loop().time() + seconds)

    def _decoder(self, namespace: str | None) -> PayloadCodec:
        try:
            return self._codec(namespace)
        except ConfigurationError:
            return self.codec  # its policy decides about payloads from elsewhere

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


async def _decode_around(
    codec: PayloadCodec, group: Sequence[Payload], along: Along | None
) -> list[Payload]:
    """Decode `group`, and show each reference for itself: no codec has made it."""
    references = [is_reference(payload) for payload in group]
    others = [payload for payload, found in zip(group, references, strict=True) if not found]
    decoded = iter(await _decode_group(codec, others) if others else ())
    return [
        await _show(codec, payload, along) if found else next(decoded)
        for payload, found in zip(group, references, strict=True)
    ]


async def _show(codec: PayloadCodec, reference: Payload, along: Along | None) -> Payload:
    try:
        if along is None:
            return await opened(reference, codec)
        return await along.fetch(reference, codec)
    except Exception as err:  # noqa: BLE001 - a codec may be anybody's
        return _error_payload(err)


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
    start = size = 0
    for end, payload in enumerate(payloads):
        size += len(payload.data)
        if end > start and (end - start == _GROUP or size > _GROUP_SIZE):
            yield payloads[start:end]
            start, size = end, len(payload.data)
    if payloads:
        yield payloads[start:]


def _error_payload(err: Exception) -> Payload:
    shown = {"error": explain(err), "type": type(err).__name__}
    key_id = err.key_id if isinstance(err, SealwireError) else None
    if key_id is not None:
        shown["keyId"] = key_id
    return Payload(metadata={ENCODING: Encoding.JSON}, data=msgspec.json.encode(shown))

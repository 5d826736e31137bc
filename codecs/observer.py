"""What codecs did: how many payloads and bytes, how long, with which keys, and what went wrong.

An `ObservedCodec` stands in for the codec that it wraps and tells a `CodecObserver` of each call.
Where nobody observes there is no such wrapper, so that it costs nothing.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, Self, overload, runtime_checkable

from sealwire.errors import SealwireError
from sealwire.keys.key import KEY_ID
from sealwire.payload import ENCODING, ENCRYPTION_KEY_ID, Encoding, Payload

from .chain import CodecChain
from .protocol import CodecKind, PayloadCodec, SyncPayloadCodec, with_context

_log = logging.getLogger("sealwire.codecs")

_INVALID: Final = "invalid"  # instead of a key id that no key can have

_Operation = Literal["encode", "decode"]


@dataclass(frozen=True, slots=True)
class CodecEvent:
    """One call of a codec. It holds nothing of a payload's content.

    Args:
        codec: The name of the codec's class.
        operation: Which way the payloads went.
        payloads: How many were given.
        bytes_in: The serialized size of those given, in bytes.
        bytes_out: The serialized size of those returned, in bytes; 0 after an error.
        seconds: How long the call took, waiting for keys included.
        key_ids: Of a codec that encrypts, the keys used and for how many payloads each. On decode
            they are those of payloads that were authentic.
        plaintext: How many payloads without encryption were let through on decode.
        interop: How many payloads in the interop format, which binds no context, were accepted on
            decode.
        error: The name of the error's class; None when the call went well. Then the codec returned
            nothing at all.
        error_key_id: The key the error is about, where there is one. Whoever writes to the
            database may have made it up: log it, but never make it the label of a metric.
    """

    codec: str
    operation: _Operation
    payloads: int
    bytes_in: int
    bytes_out: int
    seconds: float
    key_ids: tuple[tuple[str, int], ...] = ()
    plaintext: int = 0
    interop: int = 0
    error: str | None = None
    error_key_id: str | None = None


@runtime_checkable
class CodecObserver(Protocol):
    """Someone who wants to know what codecs do."""

    def observe(self, event: CodecEvent) -> None:
        """Take note of `event`.

        Called at the end of each call of a codec, in its thread or event loop and by several at
        once, so it is quick and does no I/O. What it raises is logged once and breaks nothing.
        """
        ...


@dataclass(slots=True)
class _Failures:
    """Whether the observer's first failure was logged."""

    logged: bool = False


@dataclass(frozen=True)
class ObservedCodec:
    """A codec that does what `codec` does, and tells `observer` of it.

    `observed` picks the right class: this one is for codecs without synchronous methods.

    Args:
        codec: The codec; of a chain, `observed` wraps each part.
        observer: Who is told.
    """

    codec: PayloadCodec
    observer: CodecObserver
    _failures: _Failures = field(default_factory=_Failures, repr=False, compare=False)

    @property
    def kind(self) -> CodecKind | None:
        """The kind of the codec inside, which decides its place in a chain."""
        kind = getattr(self.codec, "kind", None)
        return kind if isinstance(kind, CodecKind) else None

    def with_context(self, context: Any) -> Self:
        """Return the codec for `context`; itself when the codec inside does not change."""
        inner = with_context(self.codec, context)
        return self if inner is self.codec else type(self)(inner, self.observer, self._failures)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode with the codec inside, which raises what it raises."""
        with _Call(self._report, "encode", payloads) as call:
            call.result = await self.codec.encode(payloads)
        return call.result

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode with the codec inside, which raises what it raises."""
        with _Call(self._report, "decode", payloads) as call:
            call.result = await self.codec.decode(payloads)
        return call.result

    def _report(self, call: _Call, seconds: float, error: BaseException | None) -> None:
        try:
            event = _event(self, call, seconds, error)
        except Exception:  # noqa: BLE001 - what somebody else's codec returned may be no payloads
            return
        self._tell(event)

    def _tell(self, event: CodecEvent) -> None:
        """Tell the observer. This frame has no payload: the traceback of a failure is logged."""
        try:
            self.observer.observe(event)
        except Exception:  # noqa: BLE001 - an observer is anybody's
            if not self._failures.logged:
                self._failures.logged = True
                name = type(self.observer).__name__
                _log.warning("%s failed, which is logged only once", name, exc_info=True)


@dataclass(frozen=True)
class ObservedSyncCodec(ObservedCodec):
    """An `ObservedCodec` for a codec that works without an event loop, too."""

    codec: SyncPayloadCodec

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`."""
        with _Call(self._report, "encode", payloads) as call:
            call.result = self.codec.encode_sync(payloads)
        return call.result

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`."""
        with _Call(self._report, "decode", payloads) as call:
            call.result = self.codec.decode_sync(payloads)
        return call.result


@overload
def observed(codec: SyncPayloadCodec, observer: CodecObserver) -> SyncPayloadCodec: ...
@overload
def observed(codec: PayloadCodec, observer: CodecObserver) -> PayloadCodec: ...
def observed(codec: PayloadCodec, observer: CodecObserver) -> PayloadCodec:
    """Return a codec that does what `codec` does, and tells `observer` of it.

    Args:
        codec: The codec. Of a `CodecChain` each part is observed, and the result is a chain.
        observer: Who is told.
    """
    if isinstance(codec, CodecChain):
        return CodecChain(*(observed(part, observer) for part in codec.codecs))
    if isinstance(codec, SyncPayloadCodec):
        return ObservedSyncCodec(codec, observer)
    return ObservedCodec(codec, observer)


class _Call:
    """One call that is under way."""

    __slots__ = ("operation", "payloads", "report", "result", "start")

    def __init__(
        self,
        report: Callable[[_Call, float, BaseException | None], None],
        operation: _Operation,
        payloads: Sequence[Payload],
    ) -> None:
        self.report = report
        self.operation: _Operation = operation
        self.payloads = payloads
        self.result: list[Payload] = []
        self.start = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.report(self, time.perf_counter() - self.start, error)


def _event(
    codec: ObservedCodec, call: _Call, seconds: float, error: BaseException | None
) -> CodecEvent:
    pairs = _encryption_layers(call) if codec.kind is CodecKind.ENCRYPT else []
    encrypted = [outer for outer, inner in pairs if outer is not inner]
    decoding = call.operation == "decode"
    return CodecEvent(
        codec=type(codec.codec).__name__,
        operation=call.operation,
        payloads=len(call.payloads),
        bytes_in=sum(payload.ByteSize() for payload in call.payloads),
        bytes_out=sum(payload.ByteSize() for payload in call.result),
        seconds=seconds,
        key_ids=tuple(Counter(map(_key_id, encrypted)).items()),
        plaintext=len(pairs) - len(encrypted) if decoding else 0,
        interop=sum(map(_is_interop, encrypted)) if decoding else 0,
        error=None if error is None else type(error).__name__,
        error_key_id=_error_key_id(error),
    )


def _encryption_layers(call: _Call) -> list[tuple[Payload, Payload]]:
    """Pair what is outside with what is inside; nothing after an error, when there is no result.

    A codec returns a payload in which it has no part as it is, so that the two are one object.
    """
    outer, inner = call.payloads, call.result
    if call.operation == "encode":
        outer, inner = inner, outer
    return list(zip(outer, inner, strict=False))


def _is_interop(outer: Payload) -> bool:
    return outer.metadata.get(ENCODING) == Encoding.ENCRYPTED


def _key_id(outer: Payload) -> str:
    return _valid(outer.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace"))


def _error_key_id(error: BaseException | None) -> str | None:
    key_id = error.key_id if isinstance(error, SealwireError) else None
    return None if key_id is None else _valid(key_id)


def _valid(key_id: str) -> str:
    return key_id if KEY_ID.fullmatch(key_id) else _INVALID

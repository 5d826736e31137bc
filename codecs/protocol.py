"""The interfaces of a codec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, Protocol, Self, TypeVar, runtime_checkable

from sealwire.parts import Parts
from sealwire.payload import Payload

# What the SDK's replayer calls its namespace. It is no place where a payload could be stored.
REPLAY_NAMESPACE: Final = "ReplayNamespace"


class CodecKind(IntEnum):
    """What a codec does; in a chain the numbers never go down from left to right."""

    COMPRESS = 1
    PAD = 2
    ENCRYPT = 3
    OFFLOAD = 4


@runtime_checkable
class PayloadCodec(Protocol):
    """Payloads in, as many payloads out, in the same order.

    The inputs are never changed. A payload that is not this codec's business is returned as it is.
    A codec may state its `kind`, a `CodecKind`; without one its place in a chain is not checked.
    It may state its `encodings`, a frozenset of bytes: those of the payloads that it decodes; and
    have a method `leaves_alone`, which tells of a payload that `encode` returns it as it is.
    """

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode `payloads` for storage."""
        ...

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Undo `encode`."""
        ...


@runtime_checkable
class SyncPayloadCodec(PayloadCodec, Protocol):
    """A codec that needs no I/O once its keys are loaded: for clients without an event loop."""

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode `payloads` for storage."""
        ...

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Undo `encode_sync`."""
        ...


@runtime_checkable
class PartsCodec(SyncPayloadCodec, Protocol):
    """A codec that encodes payloads in parts: nobody has to make payloads of them before.

    What the methods do is what `encode` and `decode` do.
    """

    async def encode_parts(self, parts: Sequence[Parts]) -> list[Payload]:
        """Encode payloads that are in no codec's format, and refer to nothing outside of them."""
        ...

    async def decode_parts(self, payloads: Sequence[Payload]) -> list[Parts]:
        """Undo it.

        Returns:
            Each payload split before its data, or all of it in the first part.
        """
        ...

    def encode_parts_sync(self, parts: Sequence[Parts]) -> list[Payload]:
        """See `encode_parts`."""
        ...

    def decode_parts_sync(self, payloads: Sequence[Payload]) -> list[Parts]:
        """See `decode_parts`."""
        ...


@runtime_checkable
class ContextualCodec(Protocol):
    """A codec that wants to know for which namespace it works."""

    def with_context(self, context: Any) -> Self:
        """Return this codec for `context`, an object with a `namespace`.

        Called once for every group of payloads, so it is cheap and shares all caches.
        """
        ...


CodecT = TypeVar("CodecT")


def with_context(codec: CodecT, context: Any) -> CodecT:
    """Return `codec` for `context`, or `codec` itself when it does not care."""
    # Like a check for `ContextualCodec`, which takes as long as encrypting a small payload.
    bind: Callable[[Any], CodecT] | None = getattr(codec, "with_context", None)
    return codec if bind is None else bind(context)

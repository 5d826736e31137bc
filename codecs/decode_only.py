"""The same codec, which does not encode: for programs that are to read before anything writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

from sealwire.payload import Payload

from .chain import CodecChain
from .protocol import CodecKind, PayloadCodec, SyncPayloadCodec, with_context


@dataclass(frozen=True)
class DecodeOnlyCodec:
    """A codec that decodes what `codec` decodes, and returns what it is to encode as it is.

    So everything is stored in clear. `decode_only` picks the right class: this one is for codecs
    without synchronous methods.

    Args:
        codec: The codec; of a chain, `decode_only` wraps each part.
    """

    codec: PayloadCodec

    @property
    def kind(self) -> CodecKind | None:
        """The kind of the codec inside, which decides its place in a chain."""
        kind = getattr(self.codec, "kind", None)
        return kind if isinstance(kind, CodecKind) else None

    def with_context(self, context: Any) -> Self:
        """Return the codec for `context`; itself when the codec inside does not change."""
        inner = with_context(self.codec, context)
        return self if inner is self.codec else type(self)(inner)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads."""
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode with the codec inside, which raises what it raises."""
        return await self.codec.decode(payloads)


@dataclass(frozen=True)
class DecodeOnlySyncCodec(DecodeOnlyCodec):
    """A `DecodeOnlyCodec` for a codec that works without an event loop, too."""

    codec: SyncPayloadCodec

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`."""
        return list(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`."""
        return self.codec.decode_sync(payloads)


@overload
def decode_only(codec: CodecChain) -> CodecChain: ...
@overload
def decode_only(codec: PayloadCodec) -> PayloadCodec: ...
def decode_only(codec: PayloadCodec) -> PayloadCodec:
    """Return a codec that decodes what `codec` decodes, and encodes nothing.

    Args:
        codec: The codec. Of a `CodecChain` each part is wrapped, and the result is a chain.
    """
    if isinstance(codec, CodecChain):
        return CodecChain(*map(decode_only, codec.codecs))
    if isinstance(codec, SyncPayloadCodec):
        return DecodeOnlySyncCodec(codec)
    return DecodeOnlyCodec(codec)

"""Several codecs as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import is_
from typing import Any, Self, cast

from sealwire.errors import ConfigurationError
from sealwire.payload import Payload

from .protocol import CodecKind, PartsCodec, PayloadCodec, SyncPayloadCodec, with_context


@dataclass(frozen=True, init=False)
class CodecChain:
    """Encode from left to right, decode from right to left.

    Args:
        codecs: For example a `CompressionCodec`, then an `EncryptionCodec`. A chain inside a chain
            is flattened.

    Raises:
        ConfigurationError: The order cannot work: encrypted data does not compress, and to
            encrypt twice is never meant.
    """

    codecs: tuple[PayloadCodec, ...]

    def __init__(self, *codecs: PayloadCodec) -> None:
        flat = tuple(
            item
            for codec in codecs
            for item in (codec.codecs if isinstance(codec, CodecChain) else (codec,))
        )
        _check_order(flat)
        object.__setattr__(self, "codecs", flat)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode with each codec in the order written."""
        for codec in self.codecs:
            payloads = await codec.encode(payloads)
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode with each codec in the reverse order."""
        for codec in reversed(self.codecs):
            payloads = await codec.decode(payloads)
        return list(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Like `encode`; every codec must be a `SyncPayloadCodec`."""
        for codec in self.codecs:
            payloads = as_sync(codec).encode_sync(payloads)
        return list(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Like `decode`; every codec must be a `SyncPayloadCodec`."""
        for codec in reversed(self.codecs):
            payloads = as_sync(codec).decode_sync(payloads)
        return list(payloads)

    def with_context(self, context: Any) -> Self:
        """Return a chain of the codecs for `context`; itself when none of them changes."""
        codecs = tuple([with_context(codec, context) for codec in self.codecs])
        if all(map(is_, codecs, self.codecs)):
            return self
        clone = object.__new__(type(self))  # the order is known to be good
        object.__setattr__(clone, "codecs", codecs)
        return clone


def _check_order(codecs: Sequence[PayloadCodec]) -> None:
    known = [(_kind(codec), type(codec).__name__) for codec in codecs]
    kinds = [(kind, name) for kind, name in known if kind is not None]
    for (kind, name), (next_kind, next_name) in pairwise(kinds):
        if next_kind < kind:
            right = ", ".join(name for _, name in sorted(kinds, key=lambda pair: pair[0]))
            raise ConfigurationError(
                f"{next_name} cannot come after {name} in a chain; the right order is: {right}"
            )
        if kind is next_kind is CodecKind.ENCRYPT:
            raise ConfigurationError(
                f"{name} and {next_name} would encrypt twice; keep one of them"
            )


def _kind(codec: PayloadCodec) -> CodecKind | None:
    kind = getattr(codec, "kind", None)
    return kind if isinstance(kind, CodecKind) else None


def as_sync(codec: PayloadCodec) -> SyncPayloadCodec:
    """Return `codec` as one that works without an event loop.

    Raises:
        ConfigurationError: It is none.
    """
    # `isinstance` of a protocol takes several microseconds, and each call of a chain asks.
    if hasattr(codec, "encode_sync") and hasattr(codec, "decode_sync"):
        return cast("SyncPayloadCodec", codec)
    raise ConfigurationError(
        f"{type(codec).__name__} has no encode_sync and decode_sync: "
        "call encode and decode from an event loop instead"
    )


def as_parts_codec(codec: PayloadCodec | None) -> PartsCodec | None:
    """Return `codec` as one that encodes payloads in parts, or None.

    Its own class has to say that it does: a subclass may have changed `encode` and `decode`.
    """
    inner: object = codec
    if type(codec) is CodecChain and len(codec.codecs) == 1:
        inner = codec.codecs[0]
    own = "encode_parts" in vars(type(inner))
    return inner if own and isinstance(inner, PartsCodec) else None

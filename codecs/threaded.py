"""A codec that does what is large in threads, so that an event loop never waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypeAlias

from sealwire.errors import ConfigurationError
from sealwire.payload import ENCODING, Encoding, Payload

from .chain import CodecChain, as_sync
from .decode_only import DecodeOnlyCodec
from .observer import ObservedCodec
from .protocol import CodecKind, PayloadCodec, SyncPayloadCodec, with_context
from .remote import RemoteCodec
from .threads import Threads
from .zstd import content_size_of

# Bytes. Compressing so much text takes one or two milliseconds, the way to a thread and back 0.1.
DEFAULT_SIZE: Final = 512 * 1024
# How much larger a payload has to be where nothing is compressed: encryption is that much faster.
_FAST: Final = 8
# Bytes. What is smaller decompresses to a megabyte at most, which takes half a millisecond.
_WORTH_A_LOOK: Final = 1024

# A codec of the chain, once more if it may work in a thread, and from how many bytes on it does.
_Stage: TypeAlias = tuple[PayloadCodec, SyncPayloadCodec | None, int]


@dataclass(frozen=True)
class ThreadedCodec:
    """Encode and decode small payloads where they are, and large ones in a thread.

    Each codec of a chain is asked to do its part in a thread or not: by the size of what it gets,
    or, for a zstd frame, of what comes out. Codecs that need an event loop stay there: those
    without synchronous methods, and a `RemoteCodec`.

    Args:
        codec: What does the work, a chain as a rule.
        size: From how many bytes on a group of payloads is compressed in a thread; a codec that
            encrypts or pads, which is faster, goes there from eight times as many on.
        threads: The threads, which several codecs may share.

    Raises:
        ConfigurationError: `size` is less than 1.
    """

    codec: PayloadCodec
    size: int = DEFAULT_SIZE
    threads: Threads = field(default_factory=Threads, repr=False, compare=False)
    _stages: tuple[_Stage, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigurationError("the size for threads must be 1 or more")
        parts = self.codec.codecs if isinstance(self.codec, CodecChain) else (self.codec,)
        stages = tuple((part, _movable(part), self.size * _factor(part)) for part in parts)
        object.__setattr__(self, "_stages", stages)

    @property
    def kind(self) -> CodecKind | None:
        """The kind of the codec inside, which decides its place in a chain."""
        kind = getattr(self.codec, "kind", None)
        return kind if isinstance(kind, CodecKind) else None

    def with_context(self, context: Any) -> Self:
        """Return the codec for `context`; itself when the codec inside does not change."""
        codec = with_context(self.codec, context)
        return self if codec is self.codec else replace(self, codec=codec)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode with the codec inside, which raises what it raises."""
        for codec, movable, size in self._stages:
            if movable and sum([len(payload.data) for payload in payloads]) >= size:
                payloads = await self.threads.run(movable.encode_sync, list(payloads))
            else:
                payloads = await codec.encode(payloads)
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode with the codec inside, which raises what it raises."""
        for codec, movable, size in reversed(self._stages):
            if movable and sum([_decoded_size(payload) for payload in payloads]) >= size:
                payloads = await self.threads.run(movable.decode_sync, list(payloads))
            else:
                payloads = await codec.decode(payloads)
        return list(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode in the calling thread; the codec inside must be a `SyncPayloadCodec`."""
        return as_sync(self.codec).encode_sync(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode in the calling thread; the codec inside must be a `SyncPayloadCodec`."""
        return as_sync(self.codec).decode_sync(payloads)


def _movable(codec: PayloadCodec) -> SyncPayloadCodec | None:
    """Return `codec` if it can work without an event loop."""
    inner = codec
    while isinstance(inner, ObservedCodec | DecodeOnlyCodec):
        inner = inner.codec
    if isinstance(inner, RemoteCodec) or not isinstance(codec, SyncPayloadCodec):
        return None
    return codec


def _factor(codec: PayloadCodec) -> int:
    fast = getattr(codec, "kind", None) in (CodecKind.ENCRYPT, CodecKind.PAD)
    return _FAST if fast else 1


def _decoded_size(payload: Payload) -> int:
    data = payload.data
    size = len(data)
    if size < _WORTH_A_LOOK or payload.metadata.get(ENCODING) != Encoding.ZSTD:
        return size
    return max(size, content_size_of(data))

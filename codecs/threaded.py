"""A codec that does what is large in threads, so that an event loop never waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self, cast

from sealwire.errors import ConfigurationError
from sealwire.payload import ENCODING, Encoding, Payload

from .algorithms import COMPRESSED
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
# What becomes of a byte where nothing tells: usual is less than 10, possible is a thousand. With
# this, at most two megabytes come out in the event loop, whoever made the payload.
_GROWTH: Final = 256


class _Stage(NamedTuple):
    """A codec of the chain.

    Args:
        codec: The codec.
        movable: Once more, if it may work in a thread.
        size: From how many bytes on it does.
        encodings: Which payloads it decodes, if it tells: the others it returns as they are.
        leaves_alone: Tells which payloads it does not encode either, if it does.
    """

    codec: PayloadCodec
    movable: SyncPayloadCodec | None
    size: int
    encodings: frozenset[bytes] | None
    leaves_alone: Callable[[Payload], bool] | None

    @classmethod
    def of(cls, codec: PayloadCodec, size: int) -> Self:
        """Look at a codec; `size` is for compression."""
        inner = codec
        while isinstance(inner, ObservedCodec | DecodeOnlyCodec):
            inner = inner.codec
        sync = isinstance(codec, SyncPayloadCodec) and not isinstance(inner, RemoteCodec)
        fast = getattr(codec, "kind", None) in (CodecKind.ENCRYPT, CodecKind.PAD)
        encodings = getattr(inner, "encodings", None)
        return cls(
            codec,
            cast("SyncPayloadCodec", codec) if sync else None,
            size * _FAST if fast else size,
            encodings if isinstance(encodings, frozenset) else None,
            getattr(inner, "leaves_alone", None),
        )

    def to_encode(self, payloads: Sequence[Payload]) -> SyncPayloadCodec | None:
        """Return what encodes in a thread; None if that is not worth it."""
        large = self.movable and sum([len(item.data) for item in payloads]) >= self.size
        if large and self.leaves_alone is not None:  # a look at each, now that it may pay
            payloads = [item for item in payloads if not self.leaves_alone(item)]
            large = sum([len(item.data) for item in payloads]) >= self.size
        return self.movable if large else None

    def to_decode(self, payloads: Sequence[Payload]) -> SyncPayloadCodec | None:
        """Return what decodes in a thread; None if that is not worth it."""
        large = self.movable and sum(map(self._work, payloads)) >= self.size
        return self.movable if large else None

    def _work(self, payload: Payload) -> int:
        """Return how many bytes go in or come out, whichever are more."""
        encoding = payload.metadata.get(ENCODING, b"")
        if self.encodings is not None and encoding not in self.encodings:
            return 0
        data = payload.data
        if encoding not in COMPRESSED or len(data) < _WORTH_A_LOOK:
            return len(data)
        stated = content_size_of(data) if encoding == Encoding.ZSTD else 0
        return max(len(data), stated) if stated else len(data) * _GROWTH


@dataclass(frozen=True)
class ThreadedCodec:
    """Encode and decode small payloads where they are, and large ones in a thread.

    Each codec of a chain is asked to do its part in a thread or not: by the size of what it gets,
    or of what may come out of a compressed payload. Only zstd tells how much that is; of other
    algorithms, two kilobytes count as large. Payloads that it says it returns as they are do not
    count. Codecs that need an event loop stay there: those without synchronous methods, and a
    `RemoteCodec`.

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
        stages = tuple(_Stage.of(part, self.size) for part in parts)
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
        for stage in self._stages:
            if movable := stage.to_encode(payloads):
                payloads = await self.threads.run(movable.encode_sync, list(payloads))
            else:
                payloads = await stage.codec.encode(payloads)
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode with the codec inside, which raises what it raises."""
        for stage in reversed(self._stages):
            if movable := stage.to_decode(payloads):
                payloads = await self.threads.run(movable.decode_sync, list(payloads))
            else:
                payloads = await stage.codec.decode(payloads)
        return list(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encode in the calling thread; the codec inside must be a `SyncPayloadCodec`."""
        return as_sync(self.codec).encode_sync(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode in the calling thread; the codec inside must be a `SyncPayloadCodec`."""
        return as_sync(self.codec).decode_sync(payloads)

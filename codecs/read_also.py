"""Reading what two codecs for encryption wrote, while one of them takes over from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

from sealwire.errors import ConfigurationError, SealwireError
from sealwire.payload import ENCODING, Payload

from .encryption import EncryptionCodec
from .envelope_encryption import EnvelopeEncryptionCodec
from .protocol import CodecKind, PayloadCodec
from .tenants import TenantEncryptionCodec

AnyEncryptionCodec: TypeAlias = EncryptionCodec | TenantEncryptionCodec | EnvelopeEncryptionCodec


@dataclass(frozen=True)
class ReadAlsoCodec:
    """Encrypt with one codec, and decode also what another one wrote, of another format.

    Args:
        codec: Writes, and reads all but what `also` reads. Its policy decides about plaintext.
        also: Reads the payloads with its own encodings, under its own policy.

    Raises:
        ConfigurationError: Both codecs read the same formats.
    """

    codec: AnyEncryptionCodec
    also: AnyEncryptionCodec

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT

    def __post_init__(self) -> None:
        if self.codec.encodings & self.also.encodings:
            raise ConfigurationError(
                f"{type(self.codec).__name__} and {type(self.also).__name__} read the same "
                "formats; keep one of them"
            )

    def with_context(self, context: Any) -> Self:
        """Return the codec for the namespace of an SDK's serialization context."""
        codec, also = self.codec.with_context(context), self.also.with_context(context)
        if codec is self.codec and also is self.also:
            return self
        return type(self)(codec, also)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload that is not encrypted already."""
        return await self.codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decode each payload with the codec of its format, or refuse it."""
        decoded = list(payloads)
        for codec, positions in self._split(payloads):
            with _Place(decoded, positions) as place:
                place.fill(await codec.decode(place.taken))
        return decoded

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`."""
        return self.codec.encode_sync(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`."""
        decoded = list(payloads)
        for codec, positions in self._split(payloads):
            with _Place(decoded, positions) as place:
                place.fill(codec.decode_sync(place.taken))
        return decoded

    def _split(self, payloads: Sequence[Payload]) -> list[tuple[AnyEncryptionCodec, list[int]]]:
        encodings = self.also.encodings
        also = [
            index
            for index, payload in enumerate(payloads)
            if payload.metadata.get(ENCODING) in encodings
        ]
        theirs = set(also)
        own = [index for index in range(len(payloads)) if index not in theirs]
        return [(codec, found) for codec, found in ((self.codec, own), (self.also, also)) if found]


def encryption_parts(codec: PayloadCodec) -> tuple[AnyEncryptionCodec, ...]:
    """Return what encrypts in `codec` with keys of this process; nothing of any other codec."""
    if isinstance(codec, ReadAlsoCodec):
        return codec.codec, codec.also
    return (codec,) if isinstance(codec, AnyEncryptionCodec) else ()


class _Place:
    """The payloads of one codec in a batch of both."""

    __slots__ = ("_batch", "_positions", "taken")

    def __init__(self, batch: list[Payload], positions: Sequence[int]) -> None:
        self._batch = batch
        self._positions = positions
        self.taken = [batch[position] for position in positions]

    def fill(self, payloads: Sequence[Payload]) -> None:
        """Put what became of the payloads where they were."""
        for position, payload in zip(self._positions, payloads, strict=True):
            self._batch[position] = payload

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, SealwireError) and error.index is not None:
            error.index = self._positions[error.index]

"""Values to sealed payloads in one step: converters, then a codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sealwire.codecs.chain import as_parts_codec, as_sync
from sealwire.codecs.protocol import PartsCodec, PayloadCodec
from sealwire.payload import Payload

from .composite import CompositePayloadConverter


@dataclass(frozen=True)
class DataConverter:
    """A composite of converters and, optionally, a codec.

    Args:
        converter: Values into payloads.
        codec: Payloads into the payloads that are stored; a `CodecChain` for several.
    """

    converter: CompositePayloadConverter = field(default_factory=CompositePayloadConverter)
    codec: PayloadCodec | None = None
    _direct: PartsCodec | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A codec that encrypts at once spares the payload around the data, and its copies.
        usual = type(self.converter) is CompositePayloadConverter
        object.__setattr__(self, "_direct", as_parts_codec(self.codec) if usual else None)

    async def encode(self, values: Sequence[Any]) -> list[Payload]:
        """Convert and encode; as many payloads as values, in their order."""
        if self._direct is not None and (parts := self.converter.to_parts(values)):
            return await self._direct.encode_parts(parts)
        payloads = self.converter.to_payloads(values)
        return payloads if self.codec is None else await self.codec.encode(payloads)

    async def decode(
        self, payloads: Sequence[Payload], type_hints: Sequence[Any] | None = None
    ) -> list[Any]:
        """Decode and convert back; `type_hints` are those of `from_payloads`."""
        if self._direct is not None:
            parts = await self._direct.decode_parts(payloads)
            return self.converter.from_parts(parts, type_hints)
        if self.codec is not None:
            payloads = await self.codec.decode(payloads)
        return self.converter.from_payloads(payloads, type_hints)

    def encode_sync(self, values: Sequence[Any]) -> list[Payload]:
        """Like `encode`, for a caller that has no event loop.

        Raises:
            ConfigurationError: The codec has no synchronous methods.
        """
        if self._direct is not None and (parts := self.converter.to_parts(values)):
            return self._direct.encode_parts_sync(parts)
        payloads = self.converter.to_payloads(values)
        return payloads if self.codec is None else as_sync(self.codec).encode_sync(payloads)

    def decode_sync(
        self, payloads: Sequence[Payload], type_hints: Sequence[Any] | None = None
    ) -> list[Any]:
        """Like `decode`, for a caller that has no event loop.

        Raises:
            ConfigurationError: The codec has no synchronous methods.
        """
        if self._direct is not None:
            parts = self._direct.decode_parts_sync(payloads)
            return self.converter.from_parts(parts, type_hints)
        if self.codec is not None:
            payloads = as_sync(self.codec).decode_sync(payloads)
        return self.converter.from_payloads(payloads, type_hints)

"""Padding: hides the exact size of payloads, between compression and encryption.

Format: `binary/padded` is the serialized inner Payload, the byte 80 (hexadecimal), and as many zero
bytes as it takes, as in ISO/IEC 7816-4. The size of the whole follows PADMÉ (Nikitin and others,
"Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019, algorithm 1):
of a size of L bits in binary only the first few digits remain, so that at most 12 % is added, and
less to what is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from google.protobuf.message import DecodeError

from sealwire.errors import ConfigurationError, PayloadError
from sealwire.payload import ENCODING, Encoding, Payload

from .protocol import CodecKind

_END: Final = b"\x80"
# Padding what is encrypted would hide nothing, and what is padded is padded already.
_LEFT_ALONE: Final = frozenset(
    {Encoding.SEALED, Encoding.ENVELOPED, Encoding.ENCRYPTED, Encoding.PADDED}
)


@dataclass(frozen=True)
class PaddingCodec:
    """Pad each payload, so that its size tells less about it.

    Args:
        min_size: Bytes to which smaller payloads are padded: all of them look the same.

    Raises:
        ConfigurationError: `min_size` is negative.
    """

    min_size: int = 64

    kind: ClassVar[CodecKind] = CodecKind.PAD

    def __post_init__(self) -> None:
        if self.min_size < 0:
            raise ConfigurationError("min_size must be 0 or more")

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Pad each payload that is not encrypted."""
        return self.encode_sync(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Take the padding off each padded payload.

        Raises:
            PayloadError: The padding is damaged.
        """
        return self.decode_sync(payloads)

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`."""
        return [self._pad(payload) for payload in payloads]

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`."""
        return [
            _unpad(payload) if payload.metadata.get(ENCODING) == Encoding.PADDED else payload
            for payload in payloads
        ]

    def _pad(self, payload: Payload) -> Payload:
        if payload.metadata.get(ENCODING) in _LEFT_ALONE:
            return payload
        plain = payload.SerializeToString() + _END
        padded = Payload()
        padded.metadata[ENCODING] = Encoding.PADDED
        padded.data = plain.ljust(padme(max(len(plain), self.min_size)), b"\0")
        if payload.external_payloads:
            # The server accounts for external storage by the outer payload's copy.
            padded.external_payloads.extend(payload.external_payloads)
        return padded


def padme(size: int) -> int:
    """Return the size to which `size` bytes are padded."""
    exponent = max(size, 1).bit_length() - 1
    zeros = exponent - exponent.bit_length()  # how many of the last binary digits are to be zero
    mask = (1 << zeros) - 1
    return (size + mask) & ~mask


def _unpad(payload: Payload) -> Payload:
    end = payload.data.rstrip(b"\0")
    if end.endswith(_END):
        try:
            return Payload.FromString(end[: -len(_END)])
        except DecodeError:
            pass
    raise PayloadError("the binary/padded data is damaged", encoding="binary/padded")

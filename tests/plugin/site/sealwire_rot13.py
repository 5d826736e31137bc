"""What somebody else's package might offer: a codec that rotates bytes, and observers.

The codec is no more than the documentation asks for: two methods, no base class, no kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sealwire.codecs import CodecEvent
from sealwire.payload import Payload

_ENCODING = b"binary/rot13"


class Rot13Codec:
    """Adds `shift` to every byte of the serialized payload."""

    def __init__(self, shift: int = 13) -> None:
        self._there = bytes((byte + shift) % 256 for byte in range(256))
        self._back = bytes((byte - shift) % 256 for byte in range(256))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._rotate(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._rotate_back(payload) for payload in payloads]

    def _rotate(self, payload: Payload) -> Payload:
        data = payload.SerializeToString().translate(self._there)
        return Payload(metadata={"encoding": _ENCODING}, data=data)

    def _rotate_back(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != _ENCODING:
            return payload
        return Payload.FromString(payload.data.translate(self._back))


class Rot13SyncCodec(Rot13Codec):
    """The same for programs without an event loop, too."""

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._rotate(payload) for payload in payloads]

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._rotate_back(payload) for payload in payloads]


class CountingObserver:
    """Counts calls by codec and operation."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    def observe(self, event: CodecEvent) -> None:
        self.calls[event.codec, event.operation] += 1


class FailingObserver:
    """Cannot be made."""

    def __init__(self) -> None:
        raise OSError("no collector")

"""What a configuration has open, wherever in its codecs and keyrings that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodeOnlyCodec,
    Dictionaries,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    ObservedCodec,
    ReadAlsoCodec,
    TenantEncryptionCodec,
    ThreadedCodec,
)
from sealwire.keys import (
    CompositeKeyProvider,
    Keyring,
    KeyringWrapper,
    TenantKeyrings,
    WrappedKeyProvider,
)


@runtime_checkable
class Closable(Protocol):
    """Something that can be closed, such as a key provider, and opens again when it is used."""

    async def aclose(self) -> None:
        """Release what is held."""
        ...


def closable(*parts: object) -> list[Closable]:
    """Return what can be closed in codecs and keyrings, each once however many of them share it."""
    found: dict[int, Closable] = {}
    seen = list(parts)
    for part in seen:
        held = _held(part)
        seen += held
        if not held and isinstance(part, Closable):
            found[id(part)] = part
    return [*found.values()]


def _held(part: object) -> Sequence[object]:
    """Return what is inside of a part that has nothing open itself."""
    match part:
        case CodecChain():
            return part.codecs
        case ReadAlsoCodec():
            return part.codec, part.also
        case ObservedCodec() | DecodeOnlyCodec() | ThreadedCodec():
            return (part.codec,)
        case CompressionCodec():
            return (part.dictionaries,)
        case EncryptionCodec() | Dictionaries() | KeyringWrapper():
            return (part.keyring,)
        case TenantEncryptionCodec():
            return (part.keyrings,)
        case EnvelopeEncryptionCodec():
            return part.data_keys.wrappers
        case Keyring() | TenantKeyrings():
            return (part.provider,)
        case CompositeKeyProvider():
            return part.providers
        case WrappedKeyProvider():
            return part.wrapper if isinstance(part.wrapper, Sequence) else (part.wrapper,)
        case _:
            return ()

"""References to payloads in external storage, which the web UI shows and downloads.

A reference is in clear and nothing proves who wrote it. So it is returned as it is, with its mark
that it stands for another payload, and never as a value; and what it leads to is believed only
after the codec has opened it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from sealwire.codecs import PayloadCodec
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.codecs.reference_form import (
    EARLY_REFERENCE,
    REFERENCE_MARKER,
    REFERENCE_MESSAGE,
    unmarked,
)
from sealwire.errors import PayloadError, PayloadTooLargeError
from sealwire.payload import ENCODING, MESSAGE_TYPE, Encoding, Payload

_MARKED: Final = b"true"
_MAX_DATA: Final = 16 * 1024  # bytes; a name in a bucket has at most 1024
# Bytes of all payloads that one answer of `/decode` brings from the storage.
_MAX_ALONG: Final = 8 * 1024 * 1024


class _Reference(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    driver_name: str
    claim_data: dict[str, str]


class _EarlyClaim(msgspec.Struct, forbid_unknown_fields=True):
    claim_data: dict[str, str]


class _EarlyReference(msgspec.Struct, forbid_unknown_fields=True):
    driver_name: str
    driver_claim: _EarlyClaim


_decoder: Final = msgspec.json.Decoder(_Reference)
_early_decoder: Final = msgspec.json.Decoder(_EarlyReference)


def is_reference(payload: Payload) -> bool:
    """Tell whether a payload is a reference in clear, or is marked as one that a codec encoded."""
    return _is_encoded(payload) or _claim_of(payload) is not None


async def opened(reference: Payload, codec: PayloadCodec) -> Payload:
    """Return a reference in clear; `codec` decodes one that was encoded.

    Raises:
        PayloadError: It is none.
        SealwireError: It cannot be decoded.
    """
    if not _is_encoded(reference):
        return reference
    [decoded] = await codec.decode([unmarked(reference)])
    if not decoded.external_payloads:
        decoded.external_payloads.extend(reference.external_payloads)
    if _claim_of(decoded) is None:
        raise PayloadError("a payload is marked as a reference to external storage, and is none")
    return decoded


async def fetch(reference: Payload, codec: PayloadCodec, storage: PayloadStorage) -> Payload:
    """Read the payload that a reference leads to, and decode it.

    Raises:
        PayloadError: It is no reference, or leads to nothing that can be decoded.
        StorageUnavailableError: The storage does not answer.
        SealwireError: The codec failed.
    """
    claim = _claim_of(await opened(reference, codec))
    if claim is None:
        raise PayloadError(
            "a payload is no reference to external storage: /decode is for all others"
        )
    [decoded] = await codec.decode(await storage.retrieve([claim]))
    return decoded


@dataclass
class Along:
    """Brings what references lead to, for one answer and as far as its limits allow.

    Args:
        storage: Where to read.
        until: The time of the event loop at which it stops.
        rest: How many bytes it may still bring.
    """

    storage: PayloadStorage
    until: float
    rest: int = _MAX_ALONG

    async def fetch(self, reference: Payload, codec: PayloadCodec) -> Payload:
        """See `fetch`; returns the reference itself where time or size do not suffice."""
        storage = replace(self.storage, max_size=max(1, min(self.rest, self.storage.max_size)))
        try:
            async with asyncio.timeout_at(self.until):
                payload = await fetch(reference, codec, storage)
        except (TimeoutError, PayloadTooLargeError):
            return await opened(reference, codec)
        if len(payload.data) > self.rest:
            return await opened(reference, codec)
        self.rest -= len(payload.data)
        return payload


def _is_encoded(payload: Payload) -> bool:
    return payload.metadata.get(REFERENCE_MARKER) == _MARKED and not _is_plain(payload)


def _is_plain(payload: Payload) -> bool:
    metadata = payload.metadata
    if metadata.get(ENCODING) == EARLY_REFERENCE:
        return True
    return (
        metadata.get(ENCODING) == Encoding.JSON_PROTOBUF
        and metadata.get(MESSAGE_TYPE) == REFERENCE_MESSAGE
    )


def _claim_of(payload: Payload) -> Mapping[str, str] | None:
    """Return what the storage is asked for; None for what no SDK writes as a reference."""
    # By `external_payloads` the web UI knows that this is no value.
    if not payload.external_payloads or not _is_plain(payload) or len(payload.data) > _MAX_DATA:
        return None
    if set(payload.metadata) - {ENCODING, MESSAGE_TYPE, REFERENCE_MARKER}:
        return None
    try:
        if payload.metadata.get(ENCODING) == EARLY_REFERENCE:
            return _early_decoder.decode(payload.data).driver_claim.claim_data
        return _decoder.decode(payload.data).claim_data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

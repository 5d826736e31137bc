"""The outer metadata of sealed payloads, parsed once for the many payloads that share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sealwire.errors import DecryptError
from sealwire.keys import Key
from sealwire.keys.key import KEY_ID
from sealwire.payload import (
    CONTENT_ID,
    ENCODING,
    ENCRYPTION_CONTEXT,
    ENCRYPTION_KEY_ID,
    Encoding,
    Payload,
)

from . import sealed

_REMEMBERED: Final = 256  # headers of one codec; more are parsed anew


@dataclass(slots=True)
class Header:
    """What the outer metadata says.

    Args:
        key_id: The key the payload was sealed with.
        context: The stored context, as TLV.
        pairs: The stored context.
        entries: How many metadata entries there are.
        authenticated: CONTEXT of the format, made of every entry.
        remembered: Whether `Headers` gives it for every payload like this one.
    """

    key_id: str
    context: bytes | None
    pairs: Mapping[str, str]
    entries: int
    authenticated: bytes
    remembered: bool = False


class Headers:
    """The headers that one codec has written or read.

    What is found here is a function of bytes alone; keys and policy are asked at every use.
    """

    __slots__ = ("own", "seen")

    def __init__(self) -> None:
        self.own: dict[str, Header] = {}
        self.seen: dict[tuple[bytes, bytes | None], Header] = {}

    def find(self, payload: Payload, metadata: Mapping[str, bytes]) -> Header:
        """Return the header of a sealed payload.

        Args:
            payload: The payload.
            metadata: Its metadata, which takes time to ask for.

        Raises:
            DecryptError: Such metadata is never written by this format.
        """
        find = metadata.get
        header = self.seen.get((find(ENCRYPTION_KEY_ID, b""), find(ENCRYPTION_CONTEXT)))
        if header is None or header.entries != len(metadata):
            return _parse(payload)
        return header

    def remember(self, payload: Payload, header: Header) -> None:
        """Keep the header of a payload that was authentic: others must not fill the memory."""
        metadata = payload.metadata
        if CONTENT_ID not in metadata and len(self.seen) < _REMEMBERED:
            header.remembered = True
            find = metadata.get
            self.seen[find(ENCRYPTION_KEY_ID, b""), find(ENCRYPTION_CONTEXT)] = header


def build(key: Key, pairs: Mapping[str, str]) -> Header:
    """Make the header of the payloads that a codec seals with `key`."""
    metadata = {ENCODING: Encoding.SEALED, ENCRYPTION_KEY_ID: key.id_bytes}
    context = sealed.pack_context(pairs) if pairs else None
    if context is not None:
        metadata[ENCRYPTION_CONTEXT] = context
    authenticated = sealed.authenticated_context(metadata)
    return Header(key.id, context, pairs, len(metadata), authenticated)


def _parse(payload: Payload) -> Header:
    metadata = payload.metadata
    key_id = metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
    context = metadata.get(ENCRYPTION_CONTEXT)
    pairs = {} if context is None else sealed.unpack(context)
    if pairs is None or not sealed.has_sealed_form(payload):
        known = key_id if KEY_ID.fullmatch(key_id) else None
        raise DecryptError(key_id=known, encoding="binary/sealed-v1")
    return Header(
        key_id,
        context,
        {text_of(name): text_of(value) for name, value in pairs.items()},
        len(metadata),
        sealed.authenticated_context(metadata),
    )


def text_of(data: bytes) -> str:
    """Return a stored name or value, to be compared with what a codec states."""
    # Surrogates are in no text that a codec can state: different bytes never become equal.
    return data.decode("utf-8", "surrogateescape")

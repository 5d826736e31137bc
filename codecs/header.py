"""The outer metadata of sealed payloads, parsed once for the many payloads that share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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

REMEMBERED: Final = 256  # headers and contexts of one codec; more are parsed anew


@dataclass(slots=True)
class Header:
    """What the outer metadata says.

    Args:
        key_id: The key the payload was sealed with.
        context: The stored context, as TLV.
        namespace: The namespace in the context.
        entries: How many metadata entries there are.
        authenticated: CONTEXT of the format, made of every entry.
        remembered: Whether `Headers` gives it for every payload like this one.
    """

    key_id: str
    context: bytes | None
    namespace: str | None
    entries: int
    authenticated: bytes
    remembered: bool = False


class Headers:
    """The headers that one codec has written or read, and its copies for other contexts.

    What is found here is a function of bytes alone; keys and policy are asked at every use.
    """

    __slots__ = ("clones", "own", "seen")

    def __init__(self) -> None:
        self.own: dict[str, Header] = {}
        self.seen: dict[tuple[bytes, bytes | None], Header] = {}
        self.clones: dict[str, Any] = {}

    def find(self, payload: Payload) -> Header:
        """Return the header of a sealed payload.

        Raises:
            DecryptError: Such metadata is never written by this format.
        """
        metadata = payload.metadata
        header = self.seen.get(_identity(metadata))
        if header is None or header.entries != len(metadata):
            return _parse(payload)
        return header

    def remember(self, payload: Payload, header: Header) -> None:
        """Keep the header of a payload that was authentic: others must not fill the memory."""
        metadata = payload.metadata
        if CONTENT_ID not in metadata and len(self.seen) < REMEMBERED:
            header.remembered = True
            self.seen[_identity(metadata)] = header


def build(key: Key, pairs: Mapping[str, str], namespace: str | None) -> Header:
    """Make the header of the payloads that a codec seals with `key`."""
    metadata = {ENCODING: Encoding.SEALED, ENCRYPTION_KEY_ID: key.id_bytes}
    context = sealed.pack_context(pairs) if pairs else None
    if context is not None:
        metadata[ENCRYPTION_CONTEXT] = context
    authenticated = sealed.authenticated_context(metadata)
    return Header(key.id, context, namespace, len(metadata), authenticated)


def _identity(metadata: Mapping[str, bytes]) -> tuple[bytes, bytes | None]:
    return metadata.get(ENCRYPTION_KEY_ID, b""), metadata.get(ENCRYPTION_CONTEXT)


def _parse(payload: Payload) -> Header:
    metadata = payload.metadata
    key_id = metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
    context = metadata.get(ENCRYPTION_CONTEXT)
    pairs = {} if context is None else sealed.unpack(context)
    if pairs is None or not sealed.has_sealed_form(payload):
        known = key_id if KEY_ID.fullmatch(key_id) else None
        raise DecryptError(key_id=known, encoding="binary/sealed-v1")
    namespace = pairs.get(sealed.NAMESPACE)
    return Header(
        key_id,
        context,
        None if namespace is None else namespace.decode("utf-8", "backslashreplace"),
        len(metadata),
        sealed.authenticated_context(metadata),
    )

"""Payloads in `binary/encrypted` as one codec writes and reads them; the bytes are in `interop`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag

from sealwire.errors import DecryptError
from sealwire.keys import Key, KeySuite
from sealwire.parts import Parts
from sealwire.payload import (
    ENCODING,
    ENCRYPTION_KEY_ID,
    Encoding,
    Payload,
)

from . import interop
from .policy import DecodeCounters, DecodePolicy
from .serialized import in_parts

# A member as a plain name: an attribute of an enum is slow to look up.
_INTEROP: Final = KeySuite.INTEROP


class InteropEnvelopes:
    """`binary/encrypted`.

    Args:
        policy: Whether payloads are counted.
        aliases: Keys for ids that are no ids of keys here.
        counters: Where they are counted.
        messages: Counts what each key encrypted.
    """

    __slots__ = ("_aliases", "_counted", "_messages")

    suite: ClassVar[KeySuite] = _INTEROP

    def __init__(
        self,
        policy: DecodePolicy,
        aliases: Mapping[str, str],
        counters: DecodeCounters,
        messages: interop.MessageCounter,
    ) -> None:
        self._aliases = aliases
        self._counted = counters if policy.counts_interop else None
        self._messages = messages

    def has_form(self, payload: Payload) -> bool:
        """See `Envelopes`."""
        return interop.has_interop_form(payload.metadata, payload.data)

    def encrypt(self, key: Key, payload: Payload) -> Payload:
        """Encrypt a payload.

        Raises:
            KeyLookupError: The key has encrypted as many messages as it may.
        """
        outer = self.encrypt_parts(key, in_parts(payload))
        if payload.external_payloads:
            outer.external_payloads.extend(payload.external_payloads)
        return outer

    def encrypt_parts(self, key: Key, parts: Parts) -> Payload:
        """See `encrypt`."""
        self._messages.add(key.id)
        outer = Payload()
        metadata = outer.metadata
        metadata[ENCODING] = Encoding.ENCRYPTED
        metadata[ENCRYPTION_KEY_ID] = key.id_bytes
        outer.data = interop.encrypt(key, parts)
        return outer

    def decrypt(
        self,
        payload: Payload,
        metadata: Mapping[str, bytes],
        keys: Mapping[str, Key],
        find: Callable[[str], Key],
    ) -> Parts:
        """See `Envelopes`."""
        data = payload.data
        stored = metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
        key_id = self._aliases.get(stored, stored)
        key = keys.get(key_id) or find(key_id)
        # The usual form without a call: the id stands there, and nothing else beside the encoding.
        usual = stored and len(metadata) == 2 and len(data) >= interop.MIN_SIZE
        if key.suite is not _INTEROP or not (usual or interop.has_interop_form(metadata, data)):
            raise DecryptError(key_id=key.id, encoding="binary/encrypted")
        try:
            inner = interop.decrypt(key, data)
        except InvalidTag:
            raise DecryptError(key_id=key.id, encoding="binary/encrypted") from None
        if self._counted is not None:
            self._counted.add_interop(key.id)
        return inner

    def key_id(self, payload: Payload) -> str:
        """See `Envelopes`."""
        stored = payload.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
        return self._aliases.get(stored, stored)

    def is_current(self, payload: Payload, key: Key) -> bool:
        """See `Envelopes`."""
        return payload.metadata.get(ENCRYPTION_KEY_ID) == key.id_bytes

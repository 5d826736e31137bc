"""Payloads in `binary/sealed-v1` as one codec writes and reads them; the bytes are in `sealed`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag

from sealwire.errors import ContextMismatchError, DecryptError
from sealwire.keys import Key, KeySuite
from sealwire.parts import Parts
from sealwire.payload import (
    CONTENT_ID,
    ENCODING,
    ENCRYPTION_CONTEXT,
    ENCRYPTION_KEY_ID,
    Encoding,
    Payload,
)

from . import sealed
from .header import Header, Headers, build
from .policy import NAMESPACE, DecodePolicy
from .serialized import in_parts

# A member as a plain name: an attribute of an enum is slow to look up.
_SEALED: Final = KeySuite.SEALED


class SealedEnvelopes:
    """`binary/sealed-v1`.

    Args:
        policy: Which contexts are accepted.
        pairs: The codec's own context, its namespace among them if it is known.
        content_ids: From how many bytes on a payload gets a content id; None for never.
    """

    __slots__ = ("_content_ids", "_headers", "_own", "_pairs", "_policy")

    suite: ClassVar[KeySuite] = _SEALED

    def __init__(
        self, policy: DecodePolicy, pairs: Mapping[str, str], content_ids: int | None = None
    ) -> None:
        self._policy = policy
        self._pairs = pairs
        self._content_ids = content_ids
        self._headers = Headers()
        # Without a namespace that the policy requires, no context is the codec's own.
        complete = NAMESPACE in pairs or not policy.require_context
        self._own = sealed.pack_context(pairs) if complete and pairs else None

    def has_form(self, payload: Payload) -> bool:
        """See `Envelopes`."""
        return sealed.has_sealed_form(payload)

    def encrypt(self, key: Key, payload: Payload) -> Payload:
        """Seal a payload.

        Raises:
            ContextMismatchError: The namespace is not known, and the policy requires one.
        """
        header = self._headers.own.get(key.id) or self._header(key)
        outer = _around(key, header)
        authenticated = header.authenticated
        if self._content_ids is not None:
            authenticated = self._identify(key, payload, outer) or authenticated
        outer.data = sealed.seal_parts(key, authenticated, in_parts(payload))
        if payload.external_payloads:
            # The server accounts for external storage by the outer copy; decoding ignores it.
            outer.external_payloads.extend(payload.external_payloads)
        return outer

    def encrypt_parts(self, key: Key, parts: Parts) -> Payload:
        """See `encrypt`."""
        if self._content_ids is not None:
            return self.encrypt(key, Payload.FromString(b"".join(parts)))
        header = self._headers.own.get(key.id) or self._header(key)
        outer = _around(key, header)
        outer.data = sealed.seal_parts(key, header.authenticated, parts)
        return outer

    def _identify(self, key: Key, payload: Payload, outer: Payload) -> bytes | None:
        """Give `outer` a content id if it will be large, and return CONTEXT with it."""
        metadata = outer.metadata
        metadata[CONTENT_ID] = bytes(sealed.CONTENT_ID_SIZE)  # so that its size is counted
        large = sealed.size_around(outer, payload) >= (self._content_ids or 0)
        content_id = sealed.content_id(key, payload) if large else None
        if content_id is None:
            del metadata[CONTENT_ID]
            return None
        metadata[CONTENT_ID] = content_id
        return sealed.authenticated_context(metadata)

    def decrypt(
        self,
        payload: Payload,
        metadata: Mapping[str, bytes],
        keys: Mapping[str, Key],
        find: Callable[[str], Key],
    ) -> Parts:
        """See `Envelopes`; a payload of another context is refused once it is authentic."""
        header = self._headers.find(payload, metadata)
        key = keys.get(header.key_id) or find(header.key_id)
        # The key decides the algorithm: a relabelled payload is refused before any cryptography.
        if key.suite is not _SEALED:
            raise DecryptError(key_id=key.id, encoding="binary/sealed-v1")
        try:
            inner = sealed.unseal(key, header.authenticated, payload.data)
        except InvalidTag:
            raise DecryptError(key_id=key.id, encoding="binary/sealed-v1") from None
        if self._own is None or header.context != self._own:
            self._policy.check_context(header.pairs, self._pairs)
        if not header.remembered:
            self._headers.remember(payload, header)
        return inner

    def key_id(self, payload: Payload) -> str:
        """See `Envelopes`."""
        return payload.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")

    def is_current(self, payload: Payload, key: Key) -> bool:
        """See `Envelopes`."""
        metadata = payload.metadata
        named = metadata.get(ENCRYPTION_KEY_ID) == key.id_bytes
        return named and metadata.get(ENCRYPTION_CONTEXT) == self._header(key).context

    def _header(self, key: Key) -> Header:
        if self._policy.require_context and NAMESPACE not in self._pairs:
            raise ContextMismatchError(
                "the namespace to seal for is not known: set `namespace` in the configuration"
            )
        header = self._headers.own[key.id] = build(key, self._pairs)
        return header


def _around(key: Key, header: Header) -> Payload:
    outer = Payload()
    metadata = outer.metadata
    metadata[ENCODING] = Encoding.SEALED
    metadata[ENCRYPTION_KEY_ID] = key.id_bytes
    if header.context is not None:
        metadata[ENCRYPTION_CONTEXT] = header.context
    return outer

"""Payloads inside encrypted payloads: what the outer one looks like, and what it must look like.

The bytes of the formats are in `sealed` and `interop`, which key and what else is accepted in
`encryption`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Protocol, TypeVar

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError

from sealwire.errors import ContextMismatchError, DecryptError, KeyLookupError
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

from . import enveloped, interop, sealed
from .header import Header, Headers, build
from .policy import NAMESPACE, DecodeCounters, DecodePolicy

# Members as plain names: an attribute of an enum is slow to look up.
_SEALED: Final = KeySuite.SEALED
_INTEROP: Final = KeySuite.INTEROP

T = TypeVar("T")


class Envelopes(Protocol):
    """One format of encrypted payloads, as one codec reads it."""

    def has_form(self, payload: Payload) -> bool:
        """Tell whether a payload with the format's encoding can be of this format at all."""
        ...

    def decrypt(
        self,
        payload: Payload,
        metadata: Mapping[str, bytes],
        keys: Mapping[str, Key],
        find: Callable[[str], Key],
        parse: Callable[[bytes], T],
    ) -> T:
        """Decrypt a payload with the key that it names, out of `keys`, else from `find`.

        Args:
            payload: What is encrypted.
            metadata: Its metadata, which takes time to ask for.
            keys: Keys by id.
            find: Gives a key or refuses.
            parse: Makes something of the serialized payload inside.

        Raises:
            PayloadError: It is refused.
            KeyLookupError: Its key is missing or withdrawn.
        """
        ...

    def key_id(self, payload: Payload) -> str:
        """Return the id of the key that a payload names, as the keyring has it."""
        ...


class WritableEnvelopes(Envelopes, Protocol):
    """One format of encrypted payloads, as one codec writes and reads it."""

    suite: ClassVar[KeySuite]

    def encrypt(self, key: Key, payload: Payload) -> Payload:
        """Encrypt a payload with a key of the format's suite."""
        ...

    def encrypt_parts(self, key: Key, parts: Parts) -> Payload:
        """Encrypt a payload in parts, which refers to nothing outside of it."""
        ...

    def is_current(self, payload: Payload, key: Key) -> bool:
        """Tell whether `encrypt` with `key` would put the same around the payload inside."""
        ...


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
        outer.data = sealed.seal_payload(key, authenticated, payload)
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
        parse: Callable[[bytes], T],
    ) -> T:
        """See `Envelopes`; a payload of another context is refused once it is authentic."""
        header = self._headers.find(payload, metadata)
        key = keys.get(header.key_id) or find(header.key_id)
        data = payload.data
        # The key decides the algorithm: a relabelled payload is refused before any cryptography.
        if key.suite is not _SEALED or len(data) < sealed.MIN_SIZE:
            raise DecryptError(key_id=key.id, encoding="binary/sealed-v1")
        try:
            inner = parse(sealed.unseal(key, header.authenticated, data))
        except (InvalidTag, DecodeError):
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


class InteropEnvelopes:
    """`binary/encrypted`.

    Args:
        policy: Whether payloads are counted.
        aliases: Keys for ids that are no ids of keys here.
        counters: Counts what a stricter policy would refuse.
        messages: Counts what each key encrypted.
    """

    __slots__ = ("_aliases", "_counters", "_messages", "_policy")

    suite: ClassVar[KeySuite] = _INTEROP

    def __init__(
        self,
        policy: DecodePolicy,
        aliases: Mapping[str, str],
        counters: DecodeCounters,
        messages: interop.MessageCounter,
    ) -> None:
        self._policy = policy
        self._aliases = aliases
        self._counters = counters
        self._messages = messages

    def has_form(self, payload: Payload) -> bool:
        """See `Envelopes`."""
        return interop.has_interop_form(payload.metadata, payload.data)

    def encrypt(self, key: Key, payload: Payload) -> Payload:
        """Encrypt a payload.

        Raises:
            KeyLookupError: The key has encrypted as many messages as it may.
        """
        outer = self.encrypt_parts(key, (payload.SerializeToString(), b""))
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
        outer.data = interop.encrypt(key, parts[0] + parts[1])
        return outer

    def decrypt(
        self,
        payload: Payload,
        metadata: Mapping[str, bytes],
        keys: Mapping[str, Key],
        find: Callable[[str], Key],
        parse: Callable[[bytes], T],
    ) -> T:
        """See `Envelopes`."""
        data = payload.data
        key_id = self._key_id(metadata)
        key = keys.get(key_id) or find(key_id)
        if key.suite is not _INTEROP or not interop.has_interop_form(metadata, data):
            raise DecryptError(key_id=key.id, encoding="binary/encrypted")
        try:
            inner = parse(interop.decrypt(key, data))
        except (InvalidTag, DecodeError):
            raise DecryptError(key_id=key.id, encoding="binary/encrypted") from None
        self._policy.admit_interop(key.id, self._counters)
        return inner

    def key_id(self, payload: Payload) -> str:
        """See `Envelopes`."""
        return self._key_id(payload.metadata)

    def _key_id(self, metadata: Mapping[str, bytes]) -> str:
        stored = metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
        return self._aliases.get(stored, stored) if self._aliases else stored

    def is_current(self, payload: Payload, key: Key) -> bool:
        """See `Envelopes`."""
        return payload.metadata.get(ENCRYPTION_KEY_ID) == key.id_bytes


class UnopenedEnvelopes:
    """`binary/enveloped-v1`, to a codec that has a keyring and no key-encryption keys."""

    __slots__ = ()

    def has_form(self, payload: Payload) -> bool:
        """See `Envelopes`."""
        return enveloped.has_enveloped_form(payload)

    def decrypt(
        self,
        payload: Payload,
        metadata: Mapping[str, bytes],
        keys: Mapping[str, Key],
        find: Callable[[str], Key],
        parse: Callable[[bytes], T],
    ) -> T:
        """Refuse a payload.

        Raises:
            KeyLookupError: It carries its own key.
            DecryptError: It only says so.
        """
        del metadata, keys, find, parse
        if not self.has_form(payload):
            raise DecryptError(encoding="binary/enveloped-v1")
        raise KeyLookupError(
            "the payload carries its own key, wrapped, and this codec has a keyring only: read it "
            'with an EnvelopeEncryptionCodec, in sealwire.toml a [[codec]] with type = "envelope"',
            encoding="binary/enveloped-v1",
        )

    def key_id(self, payload: Payload) -> str:
        """Return no id: no keyring has the key."""
        del payload
        return ""

"""The enveloped format, `binary/enveloped-v1`: sealed payloads that carry their own, wrapped key.

::

    CONTEXT  = "sealwire/enveloped-v1" ‖ 00 ‖ TLV(every entry of the outer metadata)
    data     = as in the sealed format, under the content key of the data key

The outer metadata is `encoding`, `encryption-key-id`, the id of the data key;
`encryption-wrapped-key`, the TLV of what each key-encryption key made of the data key; and, unless
the policy allows none, `encryption-context`. `sealwire.keys.data_key` has the bytes of the keys.

The wraps are authenticated like the rest. If they were not, somebody who writes to the database
could take away the wrap of the second region, and nobody would notice before it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError

from sealwire.errors import ContextMismatchError, DecryptError
from sealwire.keys.data_key import DATA_KEY_ID, LABEL, DataKey, unpack_wraps
from sealwire.keys.present_key import WrappedKey
from sealwire.parts import payload_of
from sealwire.payload import (
    ENCODING,
    ENCRYPTION_CONTEXT,
    ENCRYPTION_KEY_ID,
    ENCRYPTION_WRAPPED_KEY,
    Encoding,
    Payload,
)

from . import sealed
from .header import Header, text_of
from .policy import NAMESPACE, DecodePolicy
from .serialized import in_parts

_NAME: Final = "binary/enveloped-v1"
_MANDATORY: Final = frozenset({ENCODING, ENCRYPTION_KEY_ID, ENCRYPTION_WRAPPED_KEY})
_ALLOWED: Final = _MANDATORY | {ENCRYPTION_CONTEXT}
_REMEMBERED: Final = 256  # headers of one codec; the oldest are forgotten first

_Identity = tuple[bytes, bytes, bytes | None]


def has_enveloped_form(payload: Payload) -> bool:
    """Tell whether the outer metadata and the size are possible for an enveloped payload."""
    metadata = payload.metadata
    return (
        metadata.get(ENCODING) == Encoding.ENVELOPED
        and _MANDATORY <= frozenset(metadata) <= _ALLOWED
        and len(payload.data) >= sealed.MIN_SIZE
        and DATA_KEY_ID.fullmatch(metadata.get(ENCRYPTION_KEY_ID, b"")) is not None
        and unpack_wraps(metadata.get(ENCRYPTION_WRAPPED_KEY, b"")) is not None
    )


class EnvelopedPayloads:
    """`binary/enveloped-v1`, as one codec writes and reads it.

    Args:
        policy: Which contexts are accepted.
        pairs: The codec's own context, its namespace among them if it is known.
    """

    __slots__ = ("_complete", "_own", "_pairs", "_policy", "_seen", "_writing")

    def __init__(self, policy: DecodePolicy, pairs: Mapping[str, str]) -> None:
        self._policy = policy
        self._pairs = pairs
        # Without a namespace that the policy requires, no context is the codec's own.
        self._complete = NAMESPACE in pairs or not policy.require_context
        self._own = sealed.pack_context(pairs) if self._complete and pairs else None
        self._seen: dict[_Identity, Header] = {}
        self._writing: tuple[bytes, Header] | None = None

    def encrypt(self, present: WrappedKey, payload: Payload) -> Payload:
        """Seal a payload.

        Raises:
            ContextMismatchError: The namespace is not known, and the policy requires one.
        """
        writing = self._writing
        if writing is None or writing[0] is not present.wraps:
            writing = self._writing = present.wraps, self._header(present)
        outer = Payload()
        metadata = outer.metadata
        metadata[ENCODING] = Encoding.ENVELOPED
        metadata[ENCRYPTION_KEY_ID] = present.key.id_bytes
        metadata[ENCRYPTION_WRAPPED_KEY] = present.wraps
        if self._own is not None:
            metadata[ENCRYPTION_CONTEXT] = self._own
        outer.data = sealed.seal_parts(present.key, writing[1].authenticated, in_parts(payload))
        if payload.external_payloads:
            outer.external_payloads.extend(payload.external_payloads)
        return outer

    def header(self, payload: Payload) -> Header:
        """Return the header of a payload with the format's encoding.

        Raises:
            DecryptError: Such a payload is never written by this format.
        """
        header = self._seen.get(_identity(payload))
        if header is None or header.entries != len(payload.metadata):
            return _parse(payload)
        return header

    def decrypt(self, payload: Payload, header: Header, key: DataKey) -> Payload:
        """Open a payload with the data key that its wraps hold.

        Raises:
            DecryptError: It is not authentic.
            ContextMismatchError: It is, and belongs elsewhere.
        """
        # The id is derived from the key: wraps of another key are refused before any decryption.
        if key.id != header.key_id:
            raise DecryptError(key_id=header.key_id, encoding=_NAME)
        try:
            inner = payload_of(sealed.unseal(key, header.authenticated, payload.data))
        except (InvalidTag, DecodeError):
            raise DecryptError(key_id=key.id, encoding=_NAME) from None
        if self._own is None or header.context != self._own:
            self._policy.check_context(header.pairs, self._pairs)
        if not header.remembered:
            self._remember(payload, header)
        return inner

    def _header(self, present: WrappedKey) -> Header:
        if not self._complete:
            raise ContextMismatchError(
                "the namespace to seal for is not known: set `namespace` in the configuration"
            )
        metadata = {
            ENCODING: Encoding.ENVELOPED,
            ENCRYPTION_KEY_ID: present.key.id_bytes,
            ENCRYPTION_WRAPPED_KEY: present.wraps,
        }
        if self._own is not None:
            metadata[ENCRYPTION_CONTEXT] = self._own
        authenticated = sealed.authenticated_context(metadata, LABEL)
        return Header(present.key.id, self._own, self._pairs, len(metadata), authenticated)

    def _remember(self, payload: Payload, header: Header) -> None:
        header.remembered = True
        if len(self._seen) >= _REMEMBERED:
            for oldest in list(self._seen)[:1]:  # a copy: other threads go on
                self._seen.pop(oldest, None)
        self._seen[_identity(payload)] = header


def _identity(payload: Payload) -> _Identity:
    metadata = payload.metadata
    return (
        metadata.get(ENCRYPTION_WRAPPED_KEY, b""),
        metadata.get(ENCRYPTION_KEY_ID, b""),
        metadata.get(ENCRYPTION_CONTEXT),
    )


def _parse(payload: Payload) -> Header:
    metadata = payload.metadata
    context = metadata.get(ENCRYPTION_CONTEXT)
    pairs = {} if context is None else sealed.unpack(context)
    if pairs is None or not has_enveloped_form(payload):
        raise DecryptError(encoding=_NAME)
    return Header(
        metadata.get(ENCRYPTION_KEY_ID, b"").decode(),
        context,
        {text_of(name): text_of(value) for name, value in pairs.items()},
        len(metadata),
        sealed.authenticated_context(metadata, LABEL),
    )

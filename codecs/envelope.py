"""Payloads inside encrypted payloads: what the outer one looks like, and what it must look like.

The formats that a codec writes are in `sealed_envelopes` and `interop_envelopes`, which key and
what else is accepted in `encryption`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from sealwire.errors import DecryptError, KeyLookupError
from sealwire.keys import Key, KeySuite
from sealwire.parts import Parts
from sealwire.payload import Payload

from . import enveloped


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
    ) -> Parts:
        """Decrypt a payload with the key that it names, out of `keys`, else from `find`.

        Args:
            payload: What is encrypted.
            metadata: Its metadata, which takes time to ask for.
            keys: Keys by id.
            find: Gives a key or refuses.

        Returns:
            The payload inside; a large one split before its data, others in the first part alone.

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
    ) -> Parts:
        """Refuse a payload.

        Raises:
            KeyLookupError: It carries its own key.
            DecryptError: It only says so.
        """
        del metadata, keys, find
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

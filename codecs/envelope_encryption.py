"""Encryption without a keyring: each payload carries its own key, wrapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from sealwire.errors import KeyLookupError
from sealwire.keys.data_keys import DataKeys
from sealwire.keys.opened_keys import OpenedKey
from sealwire.payload import (
    ENCODING,
    ENCRYPTION_WRAPPED_KEY,
    Encoding,
    Payload,
    encoding_of,
)

from .enveloped import EnvelopedPayloads, has_enveloped_form
from .forms import is_encrypted
from .namespaces import for_context, pairs_of
from .policy import DecodeCounters, DecodePolicy
from .position import Position
from .protocol import CodecKind

_ENVELOPED: Final = Encoding.ENVELOPED
_AT_ONCE: Final = 16  # wraps of one batch that are asked for together


@dataclass(frozen=True)
class EnvelopeEncryptionCodec:
    """Seal each payload with a data key that goes with it, wrapped by key-encryption keys.

    For processes that share a key-encryption key and cannot share a keyring document. A payload
    that has the form of an encrypted one is returned as it is: nothing is encrypted twice.

    Args:
        data_keys: The data keys, with the key-encryption keys that wrap them.
        namespace: Where the payloads are stored: written into each of them, authenticated, and
            compared when it is read. None: taken from the context that the SDK gives.
        policy: What is accepted on decode.
        context: Further pairs to store in clear, to authenticate, and to compare like the
            namespace.
        counters: Counts what a stricter policy would have refused.

    Raises:
        ConfigurationError: The context is not possible.
    """

    data_keys: DataKeys
    namespace: str | None = None
    policy: DecodePolicy = field(default_factory=DecodePolicy)
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    counters: DecodeCounters = field(default_factory=DecodeCounters, repr=False, compare=False)
    _format: EnvelopedPayloads = field(init=False, repr=False, compare=False)
    _clones: dict[str, Self] = field(init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT
    encodings: ClassVar[frozenset[bytes]] = frozenset({_ENVELOPED})

    def __post_init__(self) -> None:
        pairs = pairs_of(self.namespace, self.context)
        object.__setattr__(self, "_format", EnvelopedPayloads(self.policy, pairs))
        object.__setattr__(self, "_clones", {})

    def with_context(self, context: Any) -> Self:
        """Return the codec for the namespace of an SDK's serialization context.

        Raises:
            ConfigurationError: The codec is configured for another namespace.
        """
        return for_context(self, context, self._clones)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Seal each payload with the data key of the moment.

        Raises:
            KeyProviderUnavailableError: There is no data key, and none can be wrapped.
            ContextMismatchError: The namespace is not known, and the policy requires one.
        """
        if not self.data_keys.is_ready:
            await self.data_keys.ready()
        return self._encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Open each payload, or refuse it.

        Raises:
            DecryptError: It is not authentic, or its wrapped key does not open.
            ContextMismatchError: It was sealed for another namespace.
            UnencryptedPayloadError: It is plaintext, and the policy is strict.
            KeyLookupError: It is sealed by a key that this codec does not have.
            KeyProviderUnavailableError: Who can open its key does not answer.
        """
        decoded: list[Payload] = []
        found: OpenedKey | None = None
        while wanted := self._decode(payloads, decoded, found):
            with Position(decoded):
                found = await self.data_keys.find(wanted)
        return decoded

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`; blocks while a data key is made."""
        self.data_keys.ready_sync()
        return self._encode(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`; blocks while keys are opened."""
        decoded: list[Payload] = []
        found: OpenedKey | None = None
        while wanted := self._decode(payloads, decoded, found):
            with Position(decoded):
                found = self.data_keys.find_sync(wanted)
        return decoded

    def _encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            payload
            if is_encrypted(payload)
            else self._format.encrypt(self.data_keys.use(), payload)
            for payload in payloads
        ]

    def _decode(
        self, payloads: Sequence[Payload], decoded: list[Payload], found: OpenedKey | None
    ) -> list[bytes]:
        """Append to `decoded` what it lacks, up to the first payload whose key is not at hand.

        Args:
            payloads: All of them.
            decoded: What came before.
            found: The key of the next payload, if it was asked for.

        Returns:
            The wraps to ask for; none when all is decoded.
        """
        with Position(decoded):
            for payload in payloads[len(decoded) :]:
                if payload.metadata.get(ENCODING) != _ENVELOPED:
                    decoded.append(self._admit(payload))
                    continue
                header = self._format.header(payload)
                wraps = payload.metadata.get(ENCRYPTION_WRAPPED_KEY, b"")
                opened, found = found or self.data_keys.opened(wraps), None
                if opened is None:
                    return self._missing(wraps, payloads[len(decoded) + 1 :])
                decoded.append(self._format.decrypt(payload, header, opened.key))
                if not opened.proven:
                    self.data_keys.prove(opened)
        return []

    def _missing(self, first: bytes, payloads: Sequence[Payload]) -> list[bytes]:
        """Return the wraps to ask for: `first`, and others that are not at hand either."""
        wanted = {first: None}
        for payload in payloads:
            if len(wanted) == _AT_ONCE:
                break
            wraps = payload.metadata.get(ENCRYPTION_WRAPPED_KEY, b"")
            if has_enveloped_form(payload) and self.data_keys.opened(wraps) is None:
                wanted[wraps] = None
        return list(wanted)

    def _admit(self, payload: Payload) -> Payload:
        if is_encrypted(payload):
            encoding = encoding_of(payload)
            raise KeyLookupError(
                f"the payload has the encoding {encoding}, whose keys are in a keyring, and this "
                'codec has none: read it, too, with keyring = "read" in sealwire.toml, or with a '
                "ReadAlsoCodec",
                encoding=encoding,
            )
        return self.policy.admit_plaintext(payload, self.counters)

"""Encryption: which key, which format, and what is accepted back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Self

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError

from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    DecryptError,
    KeyNotFoundError,
    SealwireError,
)
from sealwire.keys import Key, Keyring, KeySuite
from sealwire.keys.key import KEY_ID
from sealwire.payload import (
    ENCODING,
    ENCRYPTION_CONTEXT,
    ENCRYPTION_KEY_ID,
    Encoding,
    Payload,
)

from . import interop, sealed
from .header import REMEMBERED, Header, Headers, build
from .policy import DecodeCounters, DecodePolicy
from .protocol import CodecKind

_ENCRYPTED: Final = frozenset({Encoding.SEALED, Encoding.ENCRYPTED})
_FORMATS: Final = ("sealed-v1", "interop")
# Members as plain names: an attribute of an enum is slow to look up.
_SEALED: Final = KeySuite.SEALED
_INTEROP: Final = KeySuite.INTEROP
# What the SDK's replayer calls its namespace. It is no place where a payload could be stored.
_REPLAY_NAMESPACE: Final = "ReplayNamespace"


def _no_pairs() -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class EncryptionCodec:
    """Seal each payload, and accept back what the policy allows.

    A payload that has the form of an encrypted one is returned as it is: nothing is encrypted
    twice, and what was read raw can be written raw.

    Args:
        keyring: The keys.
        namespace: Where the payloads are stored: written into each of them, authenticated, and
            compared when it is read. None: taken from the context that the SDK gives.
        policy: What is accepted on decode.
        format: What is written. `"interop"` only if programs that read nothing else need it.
        context: Further pairs to store in clear and authenticate; sealed format only.
        counters: Counts what a stricter policy would have refused.

    Raises:
        ConfigurationError: The context or the format is not possible.
    """

    keyring: Keyring
    namespace: str | None = None
    policy: DecodePolicy = field(default_factory=DecodePolicy)
    format: Literal["sealed-v1", "interop"] = "sealed-v1"
    context: Mapping[str, str] = field(default_factory=_no_pairs)
    counters: DecodeCounters = field(default_factory=DecodeCounters, repr=False, compare=False)
    _messages: interop.MessageCounter = field(
        default_factory=interop.MessageCounter, repr=False, compare=False
    )
    _headers: Headers = field(default_factory=Headers, init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT

    def __post_init__(self) -> None:
        if self.format not in _FORMATS:
            raise ConfigurationError(
                f"unknown format {self.format!r}: expected one of {', '.join(_FORMATS)}"
            )
        if sealed.NAMESPACE.decode() in self.context:
            raise ConfigurationError("give the namespace as `namespace`, not in `context`")
        sealed.pack_context(self._pairs())

    def with_context(self, context: Any) -> Self:
        """Return the codec for the namespace of an SDK's serialization context.

        Raises:
            ConfigurationError: The codec is configured for another namespace.
        """
        namespace = getattr(context, "namespace", None)
        if namespace in (None, self.namespace, _REPLAY_NAMESPACE):
            return self
        if self.namespace is not None:
            raise ConfigurationError(
                f"this codec is configured for the namespace {self.namespace!r}, "
                f"and the client works in {namespace!r}"
            )
        clone: Self | None = self._headers.clones.get(namespace)
        if clone is None:
            clone = replace(self, namespace=namespace)
            if len(self._headers.clones) < REMEMBERED:
                self._headers.clones[namespace] = clone
        return clone

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload with the active key.

        Raises:
            KeyLookupError: There is no key to encrypt with.
            ContextMismatchError: The namespace is not known, and the policy requires one.
        """
        if not self.keyring.is_ready:
            await self.keyring.ready()
        return self._encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt each payload, or refuse it.

        Raises:
            DecryptError: It is not authentic.
            ContextMismatchError: It was sealed for another namespace.
            UnencryptedPayloadError: It is plaintext, and the policy is strict.
            KeyLookupError: Its key is missing or withdrawn.
        """
        if not self.keyring.is_ready:
            await self.keyring.ready()
        decoded: list[Payload] = []
        try:
            self._decode(payloads, decoded)
        except KeyNotFoundError:
            await self.keyring.find(self._missing_keys(payloads))
            self._decode(payloads, decoded)
        return decoded

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`; blocks while keys are loaded."""
        self.keyring.ready_sync()
        return self._encode(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`; blocks while keys are loaded."""
        self.keyring.ready_sync()
        decoded: list[Payload] = []
        try:
            self._decode(payloads, decoded)
        except KeyNotFoundError:
            self.keyring.find_sync(self._missing_keys(payloads))
            self._decode(payloads, decoded)
        return decoded

    def _encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        encrypt = self._seal if self.format == "sealed-v1" else self._encrypt_interop
        return [payload if _is_encrypted(payload) else encrypt(payload) for payload in payloads]

    def _decode(self, payloads: Sequence[Payload], decoded: list[Payload]) -> None:
        """Append to `decoded` what it lacks; after an error it can be called again."""
        for payload in payloads[len(decoded) :]:
            try:
                decoded.append(self._open(payload))
            except SealwireError as err:
                err.index = len(decoded)
                raise

    def _open(self, payload: Payload) -> Payload:
        encoding = payload.metadata.get(ENCODING)
        if encoding == Encoding.SEALED:
            return self._unseal(payload)
        if encoding == Encoding.ENCRYPTED:
            return self._decrypt_interop(payload)
        return self.policy.admit_plaintext(payload, self.counters)

    def _seal(self, payload: Payload) -> Payload:
        key = self.keyring.encryption_key(_SEALED)
        header = self._headers.own.get(key.id) or self._new_header(key)
        outer = Payload()
        metadata = outer.metadata
        metadata[ENCODING] = Encoding.SEALED
        metadata[ENCRYPTION_KEY_ID] = key.id_bytes
        if header.context is not None:
            metadata[ENCRYPTION_CONTEXT] = header.context
        outer.data = sealed.seal(key, header.authenticated, payload.SerializeToString())
        return _with_sizes(outer, payload)

    def _unseal(self, payload: Payload) -> Payload:
        headers = self._headers
        header = headers.find(payload)
        key = self._key(header.key_id, "binary/sealed-v1")
        data = payload.data
        # The key decides the algorithm: a relabelled payload is refused before any cryptography.
        if key.suite is not _SEALED or len(data) < sealed.MIN_SIZE:
            raise DecryptError(key_id=key.id, encoding="binary/sealed-v1")
        try:
            inner = Payload.FromString(sealed.unseal(key, header.authenticated, data))
        except (InvalidTag, DecodeError):
            raise DecryptError(key_id=key.id, encoding="binary/sealed-v1") from None
        self.policy.check_namespace(header.namespace, self.namespace)
        if not header.remembered:
            headers.remember(payload, header)
        return inner

    def _encrypt_interop(self, payload: Payload) -> Payload:
        key = self.keyring.encryption_key(_INTEROP)
        self._messages.add(key.id)
        outer = Payload()
        metadata = outer.metadata
        metadata[ENCODING] = Encoding.ENCRYPTED
        metadata[ENCRYPTION_KEY_ID] = key.id_bytes
        outer.data = interop.encrypt(key, payload.SerializeToString())
        return _with_sizes(outer, payload)

    def _decrypt_interop(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
        key = self._key(key_id, "binary/encrypted")
        if key.suite is not _INTEROP or not interop.has_interop_form(payload):
            raise DecryptError(key_id=key_id, encoding="binary/encrypted")
        try:
            inner = Payload.FromString(interop.decrypt(key, payload.data))
        except (InvalidTag, DecodeError):
            raise DecryptError(key_id=key_id, encoding="binary/encrypted") from None
        self.policy.admit_interop(key_id, self.counters)
        return inner

    def _key(self, key_id: str, encoding: str) -> Key:
        try:
            return self.keyring.decryption_key(key_id)
        except KeyNotFoundError:
            if KEY_ID.fullmatch(key_id):
                raise
        # No id that anybody could ever have written: not a missing key, but a forgery.
        raise DecryptError(encoding=encoding)

    def _new_header(self, key: Key) -> Header:
        if self.policy.require_context and self.namespace is None:
            raise ContextMismatchError(
                "the namespace to seal for is not known: set `namespace` in the configuration"
            )
        header = self._headers.own[key.id] = build(key, self._pairs(), self.namespace)
        return header

    def _pairs(self) -> dict[str, str]:
        own = {} if self.namespace is None else {sealed.NAMESPACE.decode(): self.namespace}
        return {**self.context, **own}

    def _missing_keys(self, payloads: Sequence[Payload]) -> set[str]:
        ids = {
            payload.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
            for payload in payloads
            if payload.metadata.get(ENCODING) in _ENCRYPTED
        }
        return {key_id for key_id in ids if not self.keyring.knows(key_id)}


def _is_encrypted(payload: Payload) -> bool:
    """Tell whether a payload has the whole form of an encrypted one, not only its label."""
    encoding = payload.metadata.get(ENCODING)
    if encoding not in _ENCRYPTED:
        return False
    return (
        sealed.has_sealed_form(payload)
        if encoding == Encoding.SEALED
        else interop.has_interop_form(payload)
    )


def _with_sizes(outer: Payload, inner: Payload) -> Payload:
    """Copy the sizes of external payloads: the server accounts by them; decoding ignores them."""
    if inner.external_payloads:
        outer.external_payloads.extend(inner.external_payloads)
    return outer

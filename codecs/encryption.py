"""Encryption: which key, which format, and what is accepted back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, Self, TypeVar, cast

from google.protobuf.message import DecodeError

from sealwire.errors import ConfigurationError, DecryptError, KeyNotFoundError, SealwireError
from sealwire.keys import Key, Keyring
from sealwire.keys.key import KEY_ID
from sealwire.keys.view import Window
from sealwire.parts import Parts, payload_of
from sealwire.payload import ENCODING, Encoding, Payload, encoding_of

from .envelope import Envelopes, UnopenedEnvelopes, WritableEnvelopes
from .interop import MessageCounter
from .interop_envelopes import InteropEnvelopes
from .namespaces import for_context, pairs_of
from .policy import DecodeCounters, DecodePolicy
from .protocol import CodecKind
from .sealed_envelopes import SealedEnvelopes
from .serialized import in_parts

T = TypeVar("T")

_ENCODINGS: Final = {"sealed-v1": Encoding.SEALED, "interop": Encoding.ENCRYPTED}


class _Form(NamedTuple, Generic[T]):
    """What decoded payloads are returned as.

    Args:
        take: Makes it of what was encrypted.
        admit: Makes it of a payload that was not.
    """

    take: Callable[[Parts], T]
    admit: Callable[[Payload], T]


def _same(payload: Payload) -> Payload:
    return payload


_WHOLE: Final = _Form(payload_of, _same)
# A tuple that is made of a tuple is the same one, and faster than a function that returns it.
_PARTS: Final = _Form(cast("Callable[[Parts], Parts]", tuple), in_parts)


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
        context: Further pairs to store in clear, to authenticate, and to compare like the
            namespace; sealed format only.
        key_aliases: For the interop format: the key for an id that stands in payloads and is no id
            of a key here, such as the empty one of Go's sample. Java's sample writes the key
            itself as the id: give such a key another id, and the alias leads to it.
        content_ids: Give each payload that is stored in this many bytes or more an id that is equal
            for equal contents, so that external storage keeps one copy; sealed format only. It
            shows everybody who sees the payloads which of them are equal. None: never.
        counters: Counts what a stricter policy would have refused.

    Raises:
        ConfigurationError: The context, the format or an alias is not possible.
    """

    keyring: Keyring
    namespace: str | None = None
    policy: DecodePolicy = field(default_factory=DecodePolicy)
    format: Literal["sealed-v1", "interop"] = "sealed-v1"
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    key_aliases: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    content_ids: int | None = None
    counters: DecodeCounters = field(default_factory=DecodeCounters, repr=False, compare=False)
    _messages: MessageCounter = field(default_factory=MessageCounter, repr=False, compare=False)
    _envelopes: Mapping[bytes, Envelopes] = field(init=False, repr=False, compare=False)
    _writer: WritableEnvelopes = field(init=False, repr=False, compare=False)
    _clones: dict[str, Self] = field(init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT
    encodings: ClassVar[frozenset[bytes]] = frozenset({Encoding.SEALED, Encoding.ENCRYPTED})

    def __post_init__(self) -> None:
        if self.format not in _ENCODINGS:
            raise ConfigurationError(
                f"unknown format {self.format!r}: expected one of {', '.join(_ENCODINGS)}"
            )
        pairs = pairs_of(self.namespace, self.context)
        for key_id in self.key_aliases.values():
            if not KEY_ID.fullmatch(key_id):
                raise ConfigurationError(f"key_aliases: {key_id!r} is not the id of a key")
        if self.content_ids is not None and (self.format != "sealed-v1" or self.content_ids < 1):
            raise ConfigurationError(
                "content_ids is a number of bytes above 0, and only for the sealed format"
            )
        writable: dict[bytes, WritableEnvelopes] = {
            Encoding.SEALED: SealedEnvelopes(self.policy, pairs, self.content_ids),
            Encoding.ENCRYPTED: InteropEnvelopes(
                self.policy, self.key_aliases, self.counters, self._messages
            ),
        }
        envelopes = {**writable, Encoding.ENVELOPED: UnopenedEnvelopes()}
        object.__setattr__(self, "_envelopes", envelopes)
        object.__setattr__(self, "_writer", writable[_ENCODINGS[self.format]])
        object.__setattr__(self, "_clones", {})

    def with_context(self, context: Any) -> Self:
        """Return the codec for the namespace of an SDK's serialization context.

        Raises:
            ConfigurationError: The codec is configured for another namespace.
        """
        return for_context(self, context, self._clones)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload with the active key.

        Raises:
            KeyLookupError: There is no key to encrypt with.
            ContextMismatchError: The namespace is not known, and the policy requires one.
        """
        window = self.keyring.window()
        if window is None:
            await self.keyring.ready()
        return self._encode(payloads, window)

    # No coroutine around the coroutine, which would take a tenth of a microsecond.
    def decode(self, payloads: Sequence[Payload]) -> CoroutineType[Any, Any, list[Payload]]:
        """Decrypt each payload, or refuse it.

        Raises:
            DecryptError: It is not authentic.
            ContextMismatchError: It was sealed for another namespace.
            UnencryptedPayloadError: It is plaintext, and the policy is strict.
            KeyLookupError: Its key is missing or withdrawn.
        """
        return self._decode(payloads, _WHOLE)  # type: ignore[return-value] # mypy says Coroutine

    async def encode_parts(self, parts: Sequence[Parts]) -> list[Payload]:
        """See `encode` and `PartsCodec`."""
        window = self.keyring.window()
        if window is None:
            await self.keyring.ready()
        return self._encode_parts(parts, window)

    def decode_parts(self, payloads: Sequence[Payload]) -> CoroutineType[Any, Any, list[Parts]]:
        """See `decode` and `PartsCodec`."""
        return self._decode(payloads, _PARTS)  # type: ignore[return-value] # as above

    async def rewrap(
        self, payloads: Sequence[Payload], to: EncryptionCodec | None = None
    ) -> list[Payload]:
        """Encrypt payloads anew, for another key, format, namespace or tenant.

        The plaintext stays inside. What is under the present key already is authenticated and
        returned as it is.

        Args:
            payloads: What this codec decodes.
            to: The codec that encrypts; this one if None.

        Raises:
            SealwireError: See `decode` and `encode`.
        """
        target = to or self
        opened = await self.decode(payloads)
        await target.keyring.ready()
        return target._renew(payloads, opened)

    async def _decode(self, payloads: Sequence[Payload], form: _Form[T]) -> list[T]:
        window = self.keyring.window()
        if window is None:
            await self.keyring.ready()
        decoded: list[T] = []
        try:
            self._open(payloads, form, decoded, window)
        except KeyNotFoundError:
            await self.keyring.find(self._missing_keys(payloads))
            self._open(payloads, form, decoded, None)
        return decoded

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`; blocks while keys are loaded."""
        self.keyring.ready_sync()
        return self._encode(payloads, None)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`; blocks while keys are loaded."""
        return self._decode_sync(payloads, _WHOLE)

    def encode_parts_sync(self, parts: Sequence[Parts]) -> list[Payload]:
        """See `encode_parts`; blocks while keys are loaded."""
        self.keyring.ready_sync()
        return self._encode_parts(parts, None)

    def decode_parts_sync(self, payloads: Sequence[Payload]) -> list[Parts]:
        """See `decode_parts`; blocks while keys are loaded."""
        return self._decode_sync(payloads, _PARTS)

    def _decode_sync(self, payloads: Sequence[Payload], form: _Form[T]) -> list[T]:
        self.keyring.ready_sync()
        decoded: list[T] = []
        try:
            self._open(payloads, form, decoded, None)
        except KeyNotFoundError:
            self.keyring.find_sync(self._missing_keys(payloads))
            self._open(payloads, form, decoded, None)
        return decoded

    def rewrap_sync(
        self, payloads: Sequence[Payload], to: EncryptionCodec | None = None
    ) -> list[Payload]:
        """See `rewrap`; blocks while keys are loaded."""
        target = to or self
        opened = self.decode_sync(payloads)
        target.keyring.ready_sync()
        return target._renew(payloads, opened)

    def _encode(self, payloads: Sequence[Payload], window: Window | None) -> list[Payload]:
        writer = self._writer
        key = window.primaries.get(writer.suite) if window else None
        encoded: list[Payload] = []
        for payload in payloads:
            # The whole form of an encrypted payload counts, and not its label alone.
            found = self._envelopes.get(payload.metadata.get(ENCODING, b""))
            if found is not None and found.has_form(payload):
                encoded.append(payload)
                continue
            if key is None:  # only now: raw payloads pass through without any key
                key = self.keyring.encryption_key(writer.suite)
            encoded.append(writer.encrypt(key, payload))
        return encoded

    def _encode_parts(self, parts: Sequence[Parts], window: Window | None) -> list[Payload]:
        if not parts:
            return []
        writer = self._writer
        key = window.primaries.get(writer.suite) if window else None
        if key is None:
            key = self.keyring.encryption_key(writer.suite)
        return [writer.encrypt_parts(key, item) for item in parts]

    def _open(
        self,
        payloads: Sequence[Payload],
        form: _Form[T],
        decoded: list[T],
        window: Window | None,
    ) -> None:
        """Append to `decoded` what it lacks; after an error it can be called again."""
        keys: Mapping[str, Key] = window.readable if window else {}
        take = form.take
        try:
            for payload in payloads[len(decoded) :] if decoded else payloads:
                metadata = payload.metadata
                reader = self._envelopes.get(metadata.get(ENCODING, b""))
                if reader is not None:
                    decoded.append(take(reader.decrypt(payload, metadata, keys, self._key)))
                else:
                    admitted = self.policy.admit_plaintext(payload, self.counters)
                    decoded.append(form.admit(admitted))
        except DecodeError:  # by somebody who has the key, and seals what is no payload
            raise self._not_a_payload(payloads[len(decoded)], len(decoded)) from None
        except SealwireError as err:
            err.index = len(decoded)
            raise

    def _not_a_payload(self, outer: Payload, index: int) -> DecryptError:
        found = self._envelopes[outer.metadata[ENCODING]]
        error = DecryptError(key_id=found.key_id(outer), encoding=encoding_of(outer))
        error.index = index
        return error

    def _renew(self, payloads: Sequence[Payload], opened: Sequence[Payload]) -> list[Payload]:
        writer, encoding = self._writer, _ENCODINGS[self.format]
        key = self.keyring.encryption_key(writer.suite)
        return [
            outer
            if outer.metadata.get(ENCODING) == encoding and writer.is_current(outer, key)
            else self._encode([inner], None)[0]
            for outer, inner in zip(payloads, opened, strict=True)
        ]

    def _key(self, key_id: str) -> Key:
        try:
            return self.keyring.decryption_key(key_id)
        except KeyNotFoundError:
            if KEY_ID.fullmatch(key_id):
                raise
        # No id that anybody could ever have written: not a missing key, but a forgery.
        raise DecryptError

    def _missing_keys(self, payloads: Sequence[Payload]) -> set[str]:
        named = (
            (self._envelopes.get(payload.metadata.get(ENCODING, b"")), payload)
            for payload in payloads
        )
        ids = {found.key_id(payload) for found, payload in named if found is not None}
        return {key_id for key_id in ids if not self.keyring.knows(key_id)}

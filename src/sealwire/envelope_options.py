"""A `[[codec]]` with `type = "envelope"`: payloads that carry their own key, wrapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sealwire.codecs import (
    CodecKind,
    DecodeCounters,
    DecodePolicy,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    PolicyMode,
    ReadAlsoCodec,
)
from sealwire.errors import ConfigurationError
from sealwire.key_options import KeyringOptions
from sealwire.keys import DataKeys, Keyring, KeyWrapper


@dataclass(frozen=True)
class EnvelopeOptions:
    """See `EnvelopeEncryptionCodec`, `DataKeys` and `DecodePolicy`; durations are in seconds.

    Args:
        wrapper: The key-encryption keys; none for those of `[keyring]`.
        keyring: What the keyring is for: nothing, reading what was sealed with its keys, or
            writing, too, so that enveloped payloads are only read.
        read_only: See `DataKeys`.
        policy: See `DecodePolicy`, as for the three below.
        require_context: See there.
        accept_namespaces: See there.
        context: See `EnvelopeEncryptionCodec`.
        accept_context: See `DecodePolicy`.
        lifetime: See `DataKeys`, as for the rest.
        encrypt_grace: See there.
        decrypt_grace: See there.
        max_messages: See there.
        max_cached: See there.

    Raises:
        ConfigurationError: A value is not possible.
    """

    wrapper: tuple[KeyWrapper, ...] = ()
    keyring: Literal["none", "read", "write"] = "none"
    read_only: bool = False
    policy: Literal["strict", "migrate", "open"] = "strict"
    require_context: bool = True
    accept_namespaces: frozenset[str] = frozenset()
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    accept_context: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    lifetime: float = 3600.0
    encrypt_grace: float = 3600.0
    decrypt_grace: float = 24 * 3600.0
    max_messages: int = 2**20
    max_cached: int = 1000
    _counters: DecodeCounters = field(
        default_factory=DecodeCounters, init=False, repr=False, compare=False
    )

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT

    def __post_init__(self) -> None:
        if self.keyring not in ("none", "read", "write"):
            raise ConfigurationError(
                f"keyring is {self.keyring!r}: expected one of none, read, write"
            )
        self.data_keys(KeyringOptions())  # refuses numbers out of range, and does no I/O

    def data_keys(self, keyring: KeyringOptions) -> DataKeys:
        """Build the data keys, to be shared by all codecs of one configuration."""
        return DataKeys(
            self.wrapper or keyring.document_wrappers,
            tenant=keyring.tenant,
            read_only=self.read_only or self.keyring == "write",
            lifetime=self.lifetime,
            encrypt_grace=self.encrypt_grace,
            decrypt_grace=self.decrypt_grace,
            max_messages=self.max_messages,
            max_cached=self.max_cached,
        )

    def bound(self, options: KeyringOptions, keyring: Keyring) -> BoundEnvelopeOptions:
        """Return what builds the codecs of one configuration."""
        return BoundEnvelopeOptions(self, self.data_keys(options), keyring)


@dataclass(frozen=True)
class BoundEnvelopeOptions:
    """The options with the keys that all codecs of one configuration share."""

    options: EnvelopeOptions
    data_keys: DataKeys
    keyring: Keyring

    def codec(self, namespace: str | None) -> EnvelopeEncryptionCodec | ReadAlsoCodec:
        """Build the codec."""
        options = self.options
        policy = DecodePolicy(
            PolicyMode(options.policy),
            options.require_context,
            options.accept_namespaces,
            options.accept_context,
        )
        counters = options._counters  # pyright: ignore[reportPrivateUsage]
        envelope = EnvelopeEncryptionCodec(
            self.data_keys, namespace, policy, options.context, counters
        )
        if options.keyring == "none":
            return envelope
        sealed = EncryptionCodec(
            self.keyring, namespace, policy, context=options.context, counters=counters
        )
        write = options.keyring == "write"
        return ReadAlsoCodec(sealed, envelope) if write else ReadAlsoCodec(envelope, sealed)

"""`sealwire.toml`: one description of keys, chain and policy for everything that handles payloads.

::

    namespace = "default"          # compared with what each payload was sealed for

    [keyring]
    path = "keyring.json"          # relative to this file
    key_file = "keyring.key"

    [[codec]]                      # in the order of encoding; this chain is the default
    type = "compression"
    algorithm = "zstd"

    [[codec]]
    type = "encryption"
    policy = "strict"

docs/configuration.md lists every key. A codec of another package is named by its entry point in
the group `sealwire.codecs`; its other keys become keyword arguments.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from sealwire.closing import closable
from sealwire.codecs import (
    CodecChain,
    CodecObserver,
    CompressionCodec,
    DecodeCounters,
    EncryptionCodec,
    PayloadCodec,
    PolicyMode,
    TenantEncryptionCodec,
    decode_only,
    observed,
)
from sealwire.codecs.payload_storage import PayloadStorage
from sealwire.codecs.read_also import AnyEncryptionCodec, encryption_parts
from sealwire.config_file import read_sections
from sealwire.converter import CompositePayloadConverter, DataConverter
from sealwire.envelope_options import BoundEnvelopeOptions, EnvelopeOptions
from sealwire.errors import ConfigurationError
from sealwire.key_options import KeyringOptions
from sealwire.keys import (
    BlindIndex,
    DataKeys,
    Keyring,
    KeyringAdmin,
    TenantKeyrings,
)
from sealwire.options import (
    CompressionOptions,
    ConverterOptions,
    EncryptionOptions,
    RemoteOptions,
    ServerOptions,
)
from sealwire.storage_options import StorageOptions
from sealwire.temporal_options import TemporalOptions
from sealwire.tenant_options import TenantOptions

__all__ = [
    "DEFAULT_NAME",
    "ENVIRONMENT_VARIABLE",
    "CompressionOptions",
    "Config",
    "ConverterOptions",
    "EncryptionOptions",
    "EnvelopeOptions",
    "KeyringOptions",
    "RemoteOptions",
    "ServerOptions",
    "StorageOptions",
    "TemporalOptions",
    "TenantOptions",
    "load_config",
]

_log = logging.getLogger("sealwire.config")

DEFAULT_NAME: Final = "sealwire.toml"
ENVIRONMENT_VARIABLE: Final = "SEALWIRE_CONFIG"
_CodecOptions: TypeAlias = CompressionOptions | EncryptionOptions | EnvelopeOptions | RemoteOptions
_Shared: TypeAlias = EncryptionOptions | BoundEnvelopeOptions | RemoteOptions | PayloadCodec


@dataclass(frozen=True)
class Config:
    """A configuration, read from a file with `load_config` or built in code.

    Args:
        keyring: Where the keys are.
        namespace: The namespace of the payloads; None to take it from the client.
        converter: Which encodings are written; options, or a function that builds the converters,
            for custom types and preferences.
        codecs: The chain, in the order of encoding; options, or codecs built in code.
        server: The codec server.
        observer: Who is told what each codec of the chain does.
        storage: Where payloads go that are too large for the server; None for nowhere.
        temporal: What the plugin for Temporal does beside sealing payloads.
        write_plaintext: Dangerous: decode only, and store everything in clear. For the first step
            of a migration, in which every program learns to read before any writes.
    """

    keyring: KeyringOptions = field(default_factory=KeyringOptions)
    namespace: str | None = None
    converter: ConverterOptions | Callable[[], CompositePayloadConverter] = field(
        default_factory=ConverterOptions
    )
    codecs: tuple[_CodecOptions | PayloadCodec, ...] = field(
        default_factory=lambda: (CompressionCodec(), EncryptionOptions())
    )
    server: ServerOptions = field(default_factory=ServerOptions)
    observer: CodecObserver | None = None
    storage: StorageOptions | None = None
    temporal: TemporalOptions = field(default_factory=TemporalOptions)
    write_plaintext: bool = False

    def __post_init__(self) -> None:
        self.codec()  # refuses a chain that cannot work
        if self.write_plaintext:
            _check_plaintext(self._unobserved(self.namespace))

    @cached_property
    def loaded_keyring(self) -> Keyring:
        """The keyring that all codecs of this configuration share."""
        return self.keyring.keyring()

    @cached_property
    def tenant_keyrings(self) -> TenantKeyrings | None:
        """The keyrings of all tenants, where each has its own."""
        return self.keyring.tenant_keyrings()

    @property
    def admin(self) -> KeyringAdmin:
        """What creates and rotates the keys."""
        return self.admin_of(self.keyring.tenant)

    def admin_of(self, tenant: str) -> KeyringAdmin:
        """Return what creates and rotates the keys of a tenant."""
        keyring = self.keyring
        wrappers = keyring.wrappers_of(tenant)
        return KeyringAdmin(keyring.document_store, wrappers, tenant, audit=keyring.audit_sink)

    def codec(self, namespace: str | None = None) -> CodecChain:
        """Build the chain.

        Args:
            namespace: The client's namespace, where it is known.

        Raises:
            ConfigurationError: The configuration names another namespace.
        """
        if None not in (namespace, self.namespace) and namespace != self.namespace:
            raise ConfigurationError(
                f"the configuration is for the namespace {self.namespace!r}, "
                f"and the client works in {namespace!r}: use one configuration a namespace, "
                "or leave `namespace` out"
            )
        chain = self._unobserved(self.namespace or namespace)
        if self.observer is not None:
            chain = CodecChain(observed(chain, self.observer))
        return decode_only(chain) if self.write_plaintext else chain

    def _unobserved(self, namespace: str | None) -> CodecChain:
        return CodecChain(*(self._built(item, namespace) for item in self._shared))

    @cached_property
    def _shared(self) -> tuple[_Shared, ...]:
        """The chain with what all that is made of it shares: dictionaries and data keys."""
        return tuple(map(self._with_shared_parts, self.codecs))

    def _with_shared_parts(self, item: _CodecOptions | PayloadCodec) -> _Shared:
        if isinstance(item, CompressionOptions):
            return item.codec(item.source(self.loaded_keyring))
        if isinstance(item, EnvelopeOptions):
            return item.bound(self.keyring, self.loaded_keyring)
        return item

    def _built(self, item: _Shared, namespace: str | None) -> PayloadCodec:
        if isinstance(item, EncryptionOptions):
            codec = self._sealing(item, namespace)
            return codec if self.storage is None else self.storage.identifying(codec)
        if isinstance(item, BoundEnvelopeOptions | RemoteOptions):
            return item.codec(namespace)
        return item

    def _sealing(
        self, item: EncryptionOptions, namespace: str | None
    ) -> EncryptionCodec | TenantEncryptionCodec:
        tenants, keyrings = self.keyring.tenants, self.tenant_keyrings
        if tenants is None or keyrings is None:
            return item.codec(self.loaded_keyring, namespace)
        return tenants.codec(item, keyrings, namespace)

    async def load_keys(self) -> None:
        """Load the keys and dictionaries of the chain, to fail at start-up and not at a payload.

        Raises:
            KeyLookupError: Keys cannot be loaded.
            ConfigurationError: Dictionaries cannot be loaded.
        """
        if self.keyring.wrapping_keyring is not None:
            await self.keyring.wrapping_keyring.ready()
        for codec in self._unobserved(self.namespace).codecs:
            for part in encryption_parts(codec):
                await _keys_of(part).ready()
            if isinstance(codec, CompressionCodec) and codec.dictionaries is not None:
                await codec.dictionaries.ready()

    async def aclose(self) -> None:
        """Close key providers, and what the codecs have open in the running event loop.

        Whatever is used afterwards opens again.
        """
        self.temporal.close()
        if self.payload_storage is not None:
            self.payload_storage.threads.close()
        async with AsyncExitStack() as stack:  # which goes on when one of them fails
            chain = self._unobserved(self.namespace)
            for part in closable(chain, self.loaded_keyring, self.tenant_keyrings):
                stack.push_async_callback(part.aclose)

    @property
    def counters(self) -> DecodeCounters:
        """What a stricter policy would have refused, in all that is made of this configuration.

        Raises:
            ConfigurationError: The chain has no `EncryptionCodec`, so nothing counts here.
        """
        for codec in self._unobserved(self.namespace).codecs:
            for part in encryption_parts(codec):
                return part.counters
        raise ConfigurationError("no codec of the chain counts: keys and policy are elsewhere")

    def blind_index(self) -> BlindIndex:
        """Build what makes tokens for search attributes; `load_keys` comes before its use."""
        return BlindIndex(self.loaded_keyring, self.temporal.fold_case)

    @property
    def accept_namespaces(self) -> frozenset[str]:
        """The namespaces that the chain reads beside its own."""
        return frozenset(
            name
            for codec in self._unobserved(self.namespace).codecs
            for part in encryption_parts(codec)
            for name in part.policy.accept_namespaces
        )

    @cached_property
    def payload_storage(self) -> PayloadStorage | None:
        """Where large payloads go; all that is made of this configuration shares its cache."""
        if self.storage is None:
            return None
        return self.storage.storage(require_sealed=not self.write_plaintext)

    def payload_converter(self) -> CompositePayloadConverter:
        """Build the converters.

        Raises:
            ConfigurationError: The factory that the configuration names cannot be used.
        """
        make = self.converter
        return make.build() if isinstance(make, ConverterOptions) else make()

    def data_converter(self, namespace: str | None = None) -> DataConverter:
        """Build converters and chain as one, for use without Temporal; see `codec`."""
        return DataConverter(self.payload_converter(), self.codec(namespace))


def load_config(path: str | os.PathLike[str] | None = None) -> Config:
    """Read a configuration file.

    Args:
        path: The file; if None, what the environment variable `SEALWIRE_CONFIG` names, else
            `sealwire.toml` in the working directory.

    Raises:
        ConfigurationError: The file cannot be used; the message lists every wrong key and value.
    """
    file = Path(path or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_NAME)
    sections = read_sections(file)
    try:
        return Config(**sections)
    except ConfigurationError as err:
        raise ConfigurationError(f"{file}: {err}") from None


def _check_plaintext(chain: CodecChain) -> None:
    """Say loudly that nothing is encrypted, and refuse it where plaintext is refused."""
    for codec in chain.codecs:
        if any(part.policy.mode is PolicyMode.STRICT for part in encryption_parts(codec)):
            raise ConfigurationError(
                "with write_plaintext = true everything is stored in clear, and the policy "
                "'strict' refuses to read that: set the policy to 'migrate'"
            )
    _log.warning("write_plaintext = true: payloads are decoded, and everything is stored in clear")


def _keys_of(part: AnyEncryptionCodec) -> Keyring | DataKeys | TenantEncryptionCodec:
    if isinstance(part, TenantEncryptionCodec):
        return part  # whose keys it needs first, it knows
    return part.keyring if isinstance(part, EncryptionCodec) else part.data_keys

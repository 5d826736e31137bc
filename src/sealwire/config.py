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

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

from sealwire.codecs import (
    CodecChain,
    CodecKind,
    CodecObserver,
    CompressionCodec,
    EncryptionCodec,
    PayloadCodec,
    observed,
)
from sealwire.converter import CompositePayloadConverter, DataConverter
from sealwire.errors import ConfigurationError
from sealwire.key_options import PROVIDERS, STORES, WRAPPERS, KeyringOptions
from sealwire.keys import KeyProvider, Keyring, KeyringAdmin, KeyringStore, KeyWrapper
from sealwire.options import (
    CompressionOptions,
    ConverterOptions,
    EncryptionOptions,
    RemoteOptions,
    ServerOptions,
    observer_named,
)
from sealwire.plugs import Plugs
from sealwire.schema import TableReader

__all__ = [
    "DEFAULT_NAME",
    "ENVIRONMENT_VARIABLE",
    "CompressionOptions",
    "Config",
    "ConverterOptions",
    "EncryptionOptions",
    "KeyringOptions",
    "RemoteOptions",
    "ServerOptions",
    "load_config",
]

DEFAULT_NAME: Final = "sealwire.toml"
ENVIRONMENT_VARIABLE: Final = "SEALWIRE_CONFIG"
_DEFAULT_CHAIN: Final[list[dict[str, Any]]] = [{"type": "compression"}, {"type": "encryption"}]
_SECTIONS: Final = ("namespace", "observer", "keyring", "converter", "codec", "server")

_CodecOptions: TypeAlias = CompressionOptions | EncryptionOptions | RemoteOptions
_CODECS: Final = Plugs(
    what="codec",
    group="sealwire.codecs",
    own={
        "compression": "sealwire.options:CompressionOptions",
        "padding": "sealwire.codecs:PaddingCodec",
        "encryption": "sealwire.options:EncryptionOptions",
        "remote": "sealwire.options:RemoteOptions",
    },
    protocol=PayloadCodec,
    methods="encode and decode",
    extras={},
)
_PLUGS: Final[Mapping[Any, Plugs]] = {
    KeyringStore: STORES,
    KeyWrapper: WRAPPERS,
    KeyProvider: PROVIDERS,
}


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

    def __post_init__(self) -> None:
        self.codec()  # refuses a chain that cannot work

    @cached_property
    def loaded_keyring(self) -> Keyring:
        """The keyring that all codecs of this configuration share."""
        return self.keyring.keyring()

    @property
    def admin(self) -> KeyringAdmin:
        """What creates and rotates the keys."""
        keyring = self.keyring
        return KeyringAdmin(keyring.document_store, keyring.document_wrappers, keyring.tenant)

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
        return chain if self.observer is None else CodecChain(observed(chain, self.observer))

    def _unobserved(self, namespace: str | None) -> CodecChain:
        return CodecChain(*(self._built(item, namespace) for item in self._shared))

    @cached_property
    def _shared(self) -> tuple[EncryptionOptions | RemoteOptions | PayloadCodec, ...]:
        """The chain with its compression built: all that is made of it shares the dictionaries."""
        return tuple(
            item.codec(item.source(self.loaded_keyring))
            if isinstance(item, CompressionOptions)
            else item
            for item in self.codecs
        )

    def _built(
        self, item: EncryptionOptions | RemoteOptions | PayloadCodec, namespace: str | None
    ) -> PayloadCodec:
        if isinstance(item, EncryptionOptions):
            return item.codec(self.loaded_keyring, namespace)
        return item.codec(namespace) if isinstance(item, RemoteOptions) else item

    async def load_keys(self) -> None:
        """Load the keys and dictionaries of the chain, to fail at start-up and not at a payload.

        Raises:
            KeyLookupError: Keys cannot be loaded.
            ConfigurationError: Dictionaries cannot be loaded.
        """
        for codec in self._unobserved(self.namespace).codecs:
            if isinstance(codec, EncryptionCodec):
                await codec.keyring.ready()
            if isinstance(codec, CompressionCodec) and codec.dictionaries is not None:
                await codec.dictionaries.ready()

    @property
    def accept_namespaces(self) -> frozenset[str]:
        """The namespaces that the chain reads beside its own."""
        return frozenset(
            name
            for codec in self._unobserved(self.namespace).codecs
            if isinstance(codec, EncryptionCodec)
            for name in codec.policy.accept_namespaces
        )

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
        ConfigurationError: The file cannot be used; the message lists every fault in it.
    """
    file = Path(path or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_NAME)
    reader = TableReader(file, _PLUGS)
    reader.known_keys(reader.root, _SECTIONS, "")
    namespace = reader.root.get("namespace")
    if namespace is not None and (not isinstance(namespace, str) or not namespace):
        reader.fault("namespace", "expected a text that is not empty")
    # The default paths are beside the file, too, and not in the working directory.
    paths = {"path": "keyring.json", "key_file": "keyring.key"}
    sections: dict[str, Any] = {
        "observer": _read_observer(reader),
        "keyring": reader.read(KeyringOptions, {**paths, **reader.subtable("keyring")}, "keyring."),
        "converter": reader.read(ConverterOptions, reader.subtable("converter"), "converter."),
        "server": reader.read(ServerOptions, reader.subtable("server"), "server."),
        "codecs": _read_chain(reader, reader.subtables("codec") or _DEFAULT_CHAIN),
    }
    if not reader.faults and not any(map(_may_encrypt, sections["codecs"])):
        reader.fault("codec", 'nothing encrypts; add a [[codec]] with type = "encryption"')
    reader.check()
    try:
        return Config(namespace=namespace, **sections)
    except ConfigurationError as err:
        raise ConfigurationError(f"{file}: {err}") from None


def _read_observer(reader: TableReader) -> CodecObserver | None:
    name = reader.root.get("observer")
    try:
        return None if name is None else observer_named(name)
    except ConfigurationError as err:
        reader.fault("observer", str(err))
        return None


def _read_chain(
    reader: TableReader, tables: list[dict[str, Any]]
) -> tuple[_CodecOptions | PayloadCodec, ...]:
    chain = [_CODECS.read(reader, table, f"codec[{index}]") for index, table in enumerate(tables)]
    return tuple(item for item in chain if item is not None)


def _may_encrypt(codec: object) -> bool:
    # Somebody else's codec without a kind may do anything.
    kind = getattr(codec, "kind", CodecKind.ENCRYPT)
    return isinstance(codec, EncryptionOptions) or kind is CodecKind.ENCRYPT

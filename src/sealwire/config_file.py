"""Reads `sealwire.toml` into the sections of a `Config`; every fault is named with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sealwire.codecs import CodecKind, CodecObserver, PayloadCodec
from sealwire.errors import ConfigurationError
from sealwire.key_options import PROVIDERS, STORES, WRAPPERS, KeyringOptions
from sealwire.keys import KeyProvider, KeyringStore, KeyWrapper
from sealwire.options import ConverterOptions, EncryptionOptions, ServerOptions, observer_named
from sealwire.plugs import Plugs
from sealwire.schema import TableReader
from sealwire.storage_options import StorageOptions
from sealwire.temporal_options import TemporalOptions

_DEFAULT_CHAIN: Final[list[dict[str, Any]]] = [{"type": "compression"}, {"type": "encryption"}]
_ROOT_KEYS: Final = ("namespace", "write_plaintext", "observer")
_SECTIONS: Final = (
    *_ROOT_KEYS,
    *("keyring", "converter", "codec", "server", "storage", "temporal"),
)

_CODECS: Final = Plugs(
    what="codec",
    group="sealwire.codecs",
    own={
        "compression": "sealwire.options:CompressionOptions",
        "padding": "sealwire.codecs:PaddingCodec",
        "encryption": "sealwire.options:EncryptionOptions",
        "envelope": "sealwire.envelope_options:EnvelopeOptions",
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


def read_sections(file: Path) -> dict[str, Any]:
    """Read a file into the arguments of `Config`.

    Raises:
        ConfigurationError: The file cannot be used; the message lists every wrong key and value.
    """
    reader = TableReader(file, _PLUGS, _ROOT_KEYS)
    reader.known_keys(reader.root, _SECTIONS, "")
    namespace = reader.root.get("namespace")
    if namespace is not None and (not isinstance(namespace, str) or not namespace):
        reader.fault("namespace", "expected a text that is not empty")
    plaintext = reader.root.get("write_plaintext", False)
    if not isinstance(plaintext, bool):
        reader.fault("write_plaintext", "expected true or false")
    # The default paths are beside the file, too, and not in the working directory.
    paths = {"path": "keyring.json", "key_file": "keyring.key"}
    sections: dict[str, Any] = {
        "observer": _read_observer(reader),
        "keyring": reader.read(KeyringOptions, {**paths, **reader.subtable("keyring")}, "keyring."),
        "converter": reader.read(ConverterOptions, reader.subtable("converter"), "converter."),
        "server": reader.read(ServerOptions, reader.subtable("server"), "server."),
        "storage": _read_storage(reader),
        "temporal": reader.read(TemporalOptions, reader.subtable("temporal"), "temporal."),
        "codecs": _read_chain(reader, reader.subtables("codec") or _DEFAULT_CHAIN),
    }
    if not reader.faults and not any(map(_may_encrypt, sections["codecs"])):
        reader.fault("codec", 'nothing encrypts; add a [[codec]] with type = "encryption"')
    reader.check()
    return {"namespace": namespace, "write_plaintext": plaintext, **sections}


def _read_observer(reader: TableReader) -> CodecObserver | None:
    name = reader.root.get("observer")
    try:
        return None if name is None else observer_named(name)
    except ConfigurationError as err:
        reader.fault("observer", str(err))
        return None


def _read_storage(reader: TableReader) -> StorageOptions | None:
    if "storage" not in reader.root:
        return None
    return reader.read(StorageOptions, reader.subtable("storage"), "storage.")


def _read_chain(reader: TableReader, tables: list[dict[str, Any]]) -> tuple[Any, ...]:
    chain = [_CODECS.read(reader, table, f"codec[{index}]") for index, table in enumerate(tables)]
    return tuple(item for item in chain if item is not None)


def _may_encrypt(codec: object) -> bool:
    # Somebody else's codec without a kind may do anything.
    kind = getattr(codec, "kind", CodecKind.ENCRYPT)
    return isinstance(codec, EncryptionOptions) or kind is CodecKind.ENCRYPT

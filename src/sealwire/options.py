"""The sections of `sealwire.toml` as dataclasses, which build the parts that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Literal

from sealwire.codecs import DecodePolicy, EncryptionCodec, PolicyMode
from sealwire.converter import (
    CompositePayloadConverter,
    JsonConverter,
    PayloadConverter,
    default_converters,
)
from sealwire.errors import ConfigurationError
from sealwire.keys import FileKeyringStore, Keyring, LocalKeyWrapper, WrappedKeyProvider

_CONVERTER_GROUP: Final = "sealwire.converters"
_ARROW: Final = EntryPoint("arrow", "sealwire.converter.arrow:ArrowConverter", _CONVERTER_GROUP)
_FACTORY: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class KeyringOptions:
    """The section `[keyring]`; durations are in seconds, see `Keyring`."""

    path: Path = Path("keyring.json")
    key_file: Path = Path("keyring.key")
    tenant: str = "default"
    refresh_interval: float = 300.0
    encrypt_grace: float = 3600.0
    decrypt_grace: float = 24 * 3600.0

    def __post_init__(self) -> None:
        self.keyring()  # refuses durations out of range, and does no I/O

    def keyring(self) -> Keyring:
        """Build the keyring; it reads its files on first use."""
        return Keyring(
            WrappedKeyProvider(self.store, self.wrapper),
            tenant=self.tenant,
            refresh_interval=self.refresh_interval,
            encrypt_grace=self.encrypt_grace,
            decrypt_grace=self.decrypt_grace,
        )

    @property
    def store(self) -> FileKeyringStore:
        """Where the keyring lives."""
        return FileKeyringStore(self.path)

    @property
    def wrapper(self) -> LocalKeyWrapper:
        """What opens the keyring."""
        return LocalKeyWrapper(self.key_file)


@dataclass(frozen=True)
class ConverterOptions:
    """The section `[converter]`; see `default_converters` and `JsonConverter`.

    Args:
        values: The encoding of everything but None, bytes and protobuf messages.
        protobuf: The encoding of protobuf messages.
        key_order: The order of keys and fields in JSON.
        allow_nan: Whether NaN and infinities are written into JSON, which Python alone reads.
        also: Further converters: `arrow`, or the name of an entry point of the group
            `sealwire.converters`, a class that is called without arguments.
        factory: `module:function`, which returns the `CompositePayloadConverter` to use instead of
            all this. It is imported where the converter is used, inside the workflow sandbox too,
            so that classes in it are those that the workflow has.

    Raises:
        ConfigurationError: A further converter is not installed, or `factory` has another form.
    """

    values: Literal["json/plain", "binary/msgpack"] = "json/plain"
    protobuf: Literal["json/protobuf", "binary/protobuf"] = "json/protobuf"
    key_order: Literal["sorted", "declared", "kept"] = "sorted"
    allow_nan: bool = False
    also: tuple[str, ...] = ()
    factory: str | None = None
    _also: tuple[Callable[[], PayloadConverter], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Now, and not when a converter is built: the workflow sandbox allows no look at files.
        object.__setattr__(self, "_also", tuple(_converter_class(name) for name in self.also))
        if self.factory is not None and not _FACTORY.fullmatch(self.factory):
            raise ConfigurationError(
                f"factory = {self.factory!r} is not of the form 'module:function'"
            )

    def build(self) -> CompositePayloadConverter:
        """Build the converters.

        Raises:
            ConfigurationError: The factory cannot be imported, or returns something else.
        """
        if self.factory is not None:
            return _made_by(self.factory)
        json = JsonConverter(key_order=self.key_order, allow_nan=self.allow_nan)
        also = (json, *(new() for new in self._also))
        return CompositePayloadConverter(*default_converters(self.values, self.protobuf, also=also))


def _converter_class(name: str) -> Callable[[], PayloadConverter]:
    points = {"arrow": _ARROW, **{item.name: item for item in entry_points(group=_CONVERTER_GROUP)}}
    if name not in points:
        raise ConfigurationError(
            f"unknown converter {name!r}; accepted: {', '.join(sorted(points))}"
        )
    try:
        loaded: Callable[[], PayloadConverter] = points[name].load()
    except ModuleNotFoundError as err:
        extra = f"; fix: pip install 'sealwire[{name}]'" if name == "arrow" else ""
        raise ConfigurationError(
            f"the converter {name!r} needs the package {err.name!r}{extra}"
        ) from None
    return loaded


def _made_by(factory: str) -> CompositePayloadConverter:
    module, _, name = factory.partition(":")
    try:
        make: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError) as err:
        raise ConfigurationError(f"[converter] factory = {factory!r}: {err}") from None
    made = make()
    if not isinstance(made, CompositePayloadConverter):
        raise ConfigurationError(
            f"{factory} returned a {type(made).__name__}, and no CompositePayloadConverter"
        )
    return made


@dataclass(frozen=True)
class EncryptionOptions:
    """A `[[codec]]` with `type = "encryption"`; see `EncryptionCodec` and `DecodePolicy`."""

    format: Literal["sealed-v1", "interop"] = "sealed-v1"
    policy: Literal["strict", "migrate", "open"] = "strict"
    require_context: bool = True
    accept_namespaces: frozenset[str] = frozenset()
    context: Mapping[str, str] = field(default_factory=dict[str, str])

    def codec(self, keyring: Keyring, namespace: str | None) -> EncryptionCodec:
        """Build the codec."""
        policy = DecodePolicy(PolicyMode(self.policy), self.require_context, self.accept_namespaces)
        return EncryptionCodec(keyring, namespace, policy, self.format, self.context)


@dataclass(frozen=True)
class ServerOptions:
    """The section `[server]`: the codec server's address, and who may ask it.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free one.
        origin: The one web page that may ask from a browser: the Web UI's address.
        token_file: A private file with the bearer token.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    origin: str = "http://127.0.0.1:8233"
    token_file: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"port {self.port} is not in 0 to 65535")

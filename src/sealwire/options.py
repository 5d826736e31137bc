"""The sections of `sealwire.toml` as dataclasses, which build the parts that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Literal

from sealwire.codecs import (
    CodecKind,
    CodecObserver,
    CompressionCodec,
    CompressionRule,
    DecodeCounters,
    DecodePolicy,
    Dictionaries,
    DictionarySource,
    EncryptionCodec,
    PolicyMode,
    RemoteCodec,
)
from sealwire.converter import (
    CompositePayloadConverter,
    JsonConverter,
    PayloadConverter,
    default_converters,
)
from sealwire.errors import ConfigurationError
from sealwire.keys import FileKeyringStore, Keyring
from sealwire.keys.files import read_private

_CONVERTER_GROUP: Final = "sealwire.converters"
_ARROW: Final = EntryPoint("arrow", "sealwire.converter.arrow:ArrowConverter", _CONVERTER_GROUP)
_OBSERVER_GROUP: Final = "sealwire.observers"
_OPENTELEMETRY: Final = EntryPoint(
    "opentelemetry", "sealwire.codecs.otel:OpenTelemetryObserver", _OBSERVER_GROUP
)
_FACTORY: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


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
class CompressionOptions:
    """A `[[codec]]` with `type = "compression"`; see `CompressionCodec`.

    `dictionaries` is the document of trained dictionaries; None for none.
    """

    algorithm: Literal["zstd", "zlib", "lz4", "brotli", "none"] = "zstd"
    level: int | None = None
    min_size: int | None = None
    max_size: int = 64 * 1024 * 1024
    max_ratio: int = 1000
    threads: int = 0
    probe: bool = True
    rules: tuple[CompressionRule, ...] = ()
    dictionaries: Path | None = None
    _codec: CompressionCodec = field(init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.COMPRESS

    def __post_init__(self) -> None:
        codec = CompressionCodec(
            self.algorithm,
            self.level,
            self.min_size,
            self.max_size,
            self.max_ratio,
            self.threads,
            self.probe,
            self.rules,
        )
        object.__setattr__(self, "_codec", codec)

    def codec(self, dictionaries: DictionarySource | None = None) -> CompressionCodec:
        """Return the codec; without dictionaries it is the same one each time."""
        return (
            self._codec if dictionaries is None else replace(self._codec, dictionaries=dictionaries)
        )

    def source(self, keyring: Keyring) -> Dictionaries | None:
        """Build the dictionaries, if there is a document; it is read on first use."""
        if self.dictionaries is None:
            return None
        return Dictionaries(FileKeyringStore(self.dictionaries), keyring)


@dataclass(frozen=True)
class EncryptionOptions:
    """A `[[codec]]` with `type = "encryption"`; see `EncryptionCodec` and `DecodePolicy`."""

    format: Literal["sealed-v1", "interop"] = "sealed-v1"
    policy: Literal["strict", "migrate", "open"] = "strict"
    require_context: bool = True
    accept_namespaces: frozenset[str] = frozenset()
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    accept_context: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    key_aliases: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    _counters: DecodeCounters = field(
        default_factory=DecodeCounters, init=False, repr=False, compare=False
    )

    def codec(self, keyring: Keyring, namespace: str | None) -> EncryptionCodec:
        """Build the codec."""
        policy = DecodePolicy(
            PolicyMode(self.policy),
            self.require_context,
            self.accept_namespaces,
            self.accept_context,
        )
        return EncryptionCodec(
            keyring,
            namespace,
            policy,
            self.format,
            self.context,
            self.key_aliases,
            counters=self._counters,
        )


@dataclass(frozen=True)
class RemoteOptions:
    """A `[[codec]]` with `type = "remote"`; see `RemoteCodec`.

    Args:
        url: Where the codec server is.
        token_file: A private file with the bearer token, read again for each request.
        ca_file: The authorities that the server's certificate may come from, PEM.
        client_certificate: The certificate to show, PEM.
        client_key: Its private key, PEM.
        allow_insecure: Dangerous: plain HTTP to another machine.
        timeout: Seconds for one try.
        total_timeout: Seconds for one batch of payloads, with all tries.
        retries: How often to try again.

    Raises:
        ConfigurationError: A value is not possible, or a file cannot be used.
    """

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    allow_insecure: bool = False
    timeout: float = 5.0
    total_timeout: float = 9.0
    retries: int = 3
    _codec: RemoteCodec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codec = RemoteCodec(
            self.url,
            token=None if self.token_file is None else self._token,
            ca_file=self.ca_file,
            client_certificate=self.client_certificate,
            client_key=self.client_key,
            allow_insecure=self.allow_insecure,
            timeout=self.timeout,
            total_timeout=self.total_timeout,
            retries=self.retries,
        )
        if self.token_file is not None:
            self._token()  # a missing file is to show at start-up, and not at the first payload
        object.__setattr__(self, "_codec", codec)

    def codec(self, namespace: str | None) -> RemoteCodec:
        """Return the codec; all that are returned share their connections."""
        return self._codec.with_context(SimpleNamespace(namespace=namespace))

    def _token(self) -> str:
        path = self.token_file
        try:
            data = b"" if path is None else read_private(path)
        except FileNotFoundError:
            raise ConfigurationError(f"the token file {path} does not exist") from None
        return data.decode("ascii", "replace").strip()


@dataclass(frozen=True)
class ServerOptions:
    """The section `[server]`: the codec server's address, and who may ask it.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free one.
        origin: The one web page that may ask from a browser: the Web UI's address.
        token_file: A private file with the bearer token.
        accept_tenants: Where each tenant has a keyring, whose payloads it decodes; empty for those
            of `accept_tenants` in `[keyring.tenants]`.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    origin: str = "http://127.0.0.1:8233"
    token_file: Path | None = None
    accept_tenants: frozenset[str] | Literal["any"] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"port {self.port} is not in 0 to 65535")


def observer_named(name: object) -> CodecObserver:
    """Make the observer that the key `observer` names.

    Raises:
        ConfigurationError: There is none of this name, or it cannot be used.
    """
    points = {point.name: point for point in entry_points(group=_OBSERVER_GROUP)}
    points[_OPENTELEMETRY.name] = _OPENTELEMETRY
    point = points.get(name) if isinstance(name, str) else None
    if point is None:
        accepted = ", ".join(sorted(points))
        raise ConfigurationError(f"unknown observer {name!r}; accepted: {accepted}")
    try:
        observer = point.load()()
    except ModuleNotFoundError as err:
        extra = "; fix: pip install 'sealwire[otel]'" if point is _OPENTELEMETRY else ""
        raise ConfigurationError(
            f"the observer {name!r} needs the package {err.name!r}{extra}"
        ) from None
    except Exception as err:  # noqa: BLE001 - whatever somebody else's package raises
        raise ConfigurationError(f"cannot create the observer {name!r}: {err}") from None
    if not isinstance(observer, CodecObserver):
        raise ConfigurationError(f"{point.value} is no observer: it has no method observe")
    return observer

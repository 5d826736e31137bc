"""`binary/msgpack`: MessagePack, with timestamps as extension type -1.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md. No SDK reads this encoding without
a converter of its own, so it is written only where the configuration says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from sealwire.errors import ConfigurationError
from sealwire.payload import Encoding, Payload

from .base import parse_payload, serialized_metadata
from .custom import CustomType, CustomTypes
from .exactness import Trusted
from .misfit import Misfit, is_array, is_object
from .model_writer import ModelWriter
from .nesting import MAX_NESTING, NestingLimit
from .typed import Format, TypedReader
from .values import Reducer, Rewriter

T = TypeVar("T")

_METADATA: Final = serialized_metadata(Encoding.MSGPACK)
_canonical: Final = msgspec.msgpack.Encoder(order="deterministic").encode


@dataclass(frozen=True)
class MsgpackExtension(Generic[T]):
    """A class as an extension type, which comes back without a type hint.

    Args:
        code: 0 to 127; the negative ones are for MessagePack itself.
        cls: The class. Instances of its subclasses are written in the same way.
        to: Turns an instance into bytes.
        from_: Turns the bytes back.

    Raises:
        ConfigurationError: The code is out of range.
    """

    code: int
    cls: type[T]
    to: Callable[[T], bytes]
    from_: Callable[[bytes], T]

    def __post_init__(self) -> None:
        if not 0 <= self.code <= 127:
            raise ConfigurationError(f"extension code {self.code} is not in 0 to 127")


@dataclass(frozen=True, slots=True)
class MsgpackConverter:
    """Values in MessagePack: `bytes` stay bytes, NaN stays NaN, integer keys stay integers.

    Integers must fit 64 bits. Unlike in `json/plain`, aware datetimes need no hint to come back.

    Args:
        types: Classes with functions of their own.
        extensions: Classes with an extension type of their own.
    """

    types: Iterable[CustomType[Any]] = ()
    extensions: Iterable[MsgpackExtension[Any]] = ()
    encoding: str = field(default="binary/msgpack", init=False)
    to_data: Callable[[Any], bytes] = field(init=False, repr=False, compare=False)
    from_data: Callable[[bytes, Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", tuple(self.types))
        object.__setattr__(self, "extensions", tuple(self.extensions))
        extensions = tuple(self.extensions)
        codes = {item.code: item for item in extensions}
        if len(codes) < len(extensions):
            raise ConfigurationError("two extensions have the same code")
        # An extension is a custom type as well: a hint names its class.
        as_types = [CustomType(item.cls, _writes(item), _only_instances) for item in extensions]
        custom = CustomTypes((*self.types, *as_types))
        reader = TypedReader(_format(codes) if codes else _FORMAT, custom)
        writer = _MsgpackWriter(custom, NestingLimit(reader.shape))
        object.__setattr__(self, "to_data", writer.write)
        object.__setattr__(self, "from_data", reader.read)

    def to_payload(self, value: Any) -> Payload | None:
        """Convert any value that MessagePack can say; see `PayloadConverter`.

        Raises:
            ConversionError: MessagePack cannot represent the value.
        """
        payload = parse_payload(_METADATA)
        payload.data = self.to_data(value)
        return payload

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        """Decode into `type_hint`; see `PayloadConverter`.

        Raises:
            ConversionError: The data does not fit the type.
            PayloadError: The data is not MessagePack.
        """
        return self.from_data(payload.data, type_hint)


class _MsgpackWriter:
    """Values to MessagePack: by msgspec alone wherever that is exact, else by way of a copy."""

    __slots__ = ("_encode", "_encode_copy", "_limit", "_reduce", "_rewrite", "_trusted")

    def __init__(self, custom: CustomTypes, limit: NestingLimit) -> None:
        self._limit = limit
        self._trusted = Trusted(custom)
        self._reduce = Reducer("binary/msgpack", custom, ModelWriter("binary/msgpack", text=False))
        self._encode = msgspec.msgpack.Encoder(enc_hook=self._reduce, order="deterministic").encode
        # With an order, msgspec takes text keys only.
        self._encode_copy = msgspec.msgpack.Encoder(enc_hook=self._reduce).encode
        self._rewrite = Rewriter(self._reduce, self._encode_copy, self._key)

    def write(self, value: Any) -> bytes:
        """Return MessagePack.

        Raises:
            ConversionError: MessagePack cannot represent the value.
        """
        if self._trusted[type(value)]:  # pyright: ignore[reportUnknownArgumentType]
            try:
                data = self._encode(value)
            except Exception:  # noqa: BLE001, S110 - the second way says what is wrong
                pass
            else:
                if len(data) > MAX_NESTING:
                    self._refuse_deep(value, partial(msgspec.msgpack.decode, data))
                return data
        try:
            copy = self._rewrite(value)
            self._refuse_deep(value, lambda: copy)
            return self._encode_copy(copy)
        except Exception as err:  # noqa: BLE001 - whatever a class' own methods raise
            problem = self._reduce.problem(err)
        # Outside of the handler: the text of what was caught may quote the value.
        raise problem

    def _refuse_deep(self, value: Any, written: Callable[[], Any]) -> None:
        if self._limit.is_broken(value, written):
            raise self._reduce.too_deep()

    def _key(self, key: Any) -> Any:
        return self._frozen(self._rewrite(key))

    def _frozen(self, key: Any) -> Any:
        if is_array(key):
            return tuple(map(self._frozen, key))
        if is_object(key):
            raise self._reduce.refused("a mapping key that is a mapping or an object")
        return key


def _writes(extension: MsgpackExtension[Any]) -> Callable[[Any], msgspec.msgpack.Ext]:
    return lambda value: msgspec.msgpack.Ext(extension.code, extension.to(value))


def _only_instances(_: object) -> Any:
    raise TypeError  # an instance never comes here


def _format(codes: dict[int, MsgpackExtension[Any]]) -> Format:
    def read_extension(code: int, data: memoryview) -> Any:
        extension = codes.get(code)
        if extension is None:
            return msgspec.msgpack.Ext(code, bytes(data))
        try:
            return extension.from_(bytes(data))
        except Exception as err:  # noqa: BLE001 - whatever somebody else's function raises
            problem = f"from_ of the MsgpackExtension {code} raised {type(err).__name__}"
        raise Misfit(problem)

    return Format(
        "binary/msgpack",
        lambda type_hint, hook: msgspec.msgpack.Decoder(
            type_hint, dec_hook=hook, ext_hook=read_extension
        ),
        _canonical,
    )


_FORMAT: Final = _format({})

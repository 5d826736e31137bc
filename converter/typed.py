"""Typed decoding with msgspec: one decoder a type, and errors without values.

Shared by the JSON and the MessagePack converter, whose decoders differ in the byte format alone.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final, Protocol, get_args, get_origin

import msgspec

from sealwire.errors import ConversionError, PayloadError

_MAX_DECODERS: Final = 256

# msgspec's messages that state types and places only. Every other one may quote the value (enum
# members, literals, what a `__post_init__` raised), and a value must not reach an exception text.
_SAFE: Final = re.compile(
    r"^(Expected `.*"
    r"|Object missing required field `[^`]*`"
    r"|Invalid (UUID|RFC3339 encoded (datetime|date|time)|ISO8601 duration|decimal string"
    r"|base64 encoded string|MessagePack timestamp(: nanoseconds out of range)?)"
    r"|(Integer value|Number|Timestamp|Duration) (is )?out of range)"
    r"( - at .*)?$"
)
_PLACE: Final = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")


class Decoder(Protocol):
    """What `msgspec.json.Decoder` and `msgspec.msgpack.Decoder` have in common."""

    def decode(self, data: bytes, /) -> Any:
        """Decode and validate `data`."""
        ...


class DecoderCache:
    """Decoders by type; beyond a limit the oldest is dropped.

    It belongs to one converter instance. Inside Temporal's sandbox a model class is a new object
    in every workflow run: a cache of the module's would never hit and would keep dead classes.
    """

    __slots__ = ("_build", "_decoders", "_untyped", "encoding")

    def __init__(self, encoding: str, build: Callable[[Any], Decoder]) -> None:
        self.encoding = encoding
        self._build = build
        self._decoders: OrderedDict[Any, Decoder] = OrderedDict()
        self._untyped = build(Any)

    def get(self, type_hint: Any) -> Decoder:
        """Return the decoder for `type_hint`; None means builtin types.

        Raises:
            ConversionError: msgspec cannot decode into this type.
        """
        if type_hint is None or type_hint is Any or type_hint is object:
            return self._untyped
        try:
            decoder = self._decoders.get(type_hint)
            hashable = True
        except TypeError:
            decoder = None
            hashable = False  # such as Annotated[int, []]
        if decoder is None:
            decoder = self._new(type_hint)
            if hashable:
                self._decoders[type_hint] = decoder
            if len(self._decoders) > _MAX_DECODERS:
                self._decoders.popitem(last=False)
        return decoder

    def _new(self, type_hint: Any) -> Decoder:
        try:
            return self._build(type_hint)
        except Exception as err:  # noqa: BLE001 - whatever evaluating a class' annotations raises
            problem = str(err)
        raise _unfit(self.encoding, type_hint, problem)


def decode_typed(cache: DecoderCache, data: bytes, type_hint: Any) -> Any:
    """Decode `data` into `type_hint`.

    Raises:
        ConversionError: The data is well formed but does not fit the type.
        PayloadError: The data is malformed.
    """
    decoder = cache.get(type_hint)
    encoding = cache.encoding
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as err:
        error: Exception = _unfit(encoding, type_hint, _explain(err))
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = PayloadError(f"the data is not valid {encoding}", encoding=encoding)
    except RecursionError:
        error = PayloadError(f"the {encoding} data is nested too deeply", encoding=encoding)
    except Exception as err:  # noqa: BLE001 - whatever a class' own `__post_init__` raises
        problem = f"its constructor raised {type(err).__name__}"
        error = _unfit(encoding, type_hint, problem)
    # Outside of the handlers, so that the cause, which may quote the value, is not kept.
    raise error


def restore(type_hint: Any, value: Any) -> Any:
    """Build what the encoders write but msgspec does not read; msgspec's `dec_hook`."""
    if (get_origin(type_hint) or type_hint) is not deque:
        return value
    args = get_args(type_hint) or (Any,)
    return deque(msgspec.convert(value, list[args[0]], str_keys=True))  # type: ignore[valid-type]


def type_name(type_hint: Any) -> str:
    """Name a type in a message: the bare name of a class, the full text of a generic."""
    if isinstance(type_hint, type) and not hasattr(type_hint, "__origin__"):
        return type_hint.__qualname__
    return str(type_hint)


def _unfit(encoding: str, type_hint: Any, problem: str) -> ConversionError:
    into = "" if type_hint is None else f" into {type_name(type_hint)}"
    return ConversionError(f"cannot decode {encoding}{into}: {problem}", encoding=encoding)


def _explain(err: msgspec.ValidationError) -> str:
    text = str(err)
    if err.__traceback__ is None or err.__traceback__.tb_next is not None:
        return "the value was refused"  # raised by a class' own code, whatever it looks like
    # With a cause the text begins with what a `__post_init__` said; only the place is msgspec's.
    quoted = "" if err.__cause__ is None else str(err.__cause__)
    place = _PLACE.search(text, len(quoted))
    where = f" at {place[1]}" if place and place[1] else ""
    if err.__cause__ is None and _SAFE.match(text):
        what = text[: place.start()] if place else text
        return what.replace("`", "") + where
    return f"the value was refused{where}"

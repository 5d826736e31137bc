"""Plain data into types: by msgspec where it is exact, else by pydantic or by our own rules.

Shared by the JSON and the MessagePack converter, which differ in a `Format` alone.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args
from weakref import WeakSet

import msgspec

from sealwire.errors import PayloadError

from .custom import CustomTypes
from .hints import Member, class_of, element_types, metadata_of, reached, unwrapped
from .misfit import Malformed, Misfit, TooDeep, misfit_of, unfit
from .models import ModelReader, has_constraint, is_model, is_pydantic_dataclass
from .rules import Rules

# What msgspec makes of a key by itself.
_KEYS: Final = (
    *(object, type(None), bool, int, float, str, bytes, tuple, frozenset),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal),
)
_MAX_PLANS: Final = 256
_MAX_SHAPES: Final = 1024

Read = Callable[[bytes], Any]
Fields: TypeAlias = tuple[Member, ...] | None


class Decoder(Protocol):
    """What `msgspec.json.Decoder` and `msgspec.msgpack.Decoder` have in common."""

    def decode(self, data: bytes, /) -> Any:
        """Decode and validate `data`."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """What distinguishes one encoding from the other when data becomes values.

    Args:
        encoding: Its name.
        decoder: Builds a decoder for a type, with a `dec_hook`.
        encode: Writes builtin types, always in the same way.
        text: Whether it is JSON: only text can be a key, and bytes are base64.
        exact: Reads builtin types with all digits of a number, as a Decimal where need be.
        loose: Reads what the SDK's default converter has written and the decoder refuses; raises
            `Malformed`.
        native: Classes that msgspec is known to read as they should be read, where there are no
            custom types. All converters share it; it keeps no class alive.
    """

    encoding: str
    decoder: Callable[[Any, Callable[[Any, Any], Any]], Decoder]
    encode: Callable[[Any], bytes]
    text: bool = False
    exact: Read | None = None
    loose: Read | None = None
    native: WeakSet[type] = field(default_factory=WeakSet[type])


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known about a type hint.

    Args:
        native: Whether msgspec reads it as it should be read.
        pydantic: Whether pydantic should read it as a whole.
        decimals: Whether it has a Decimal somewhere.
        binary: Whether it has bytes somewhere, which pydantic reads otherwise than we do.
        members: Its fields, where it is a class that has fields.
        choices: What an enum or a Literal can be, by what is written for it.
        model: Reads it, where pydantic has to have a say.
        reason: Why msgspec cannot read it.
    """

    native: bool = False
    pydantic: bool = False
    decimals: bool = False
    binary: bool = False
    members: tuple[Member, ...] | None = None
    choices: Mapping[bytes, tuple[Any, ...]] | None = None
    model: ModelReader | None = None
    reason: str = ""


class TypedReader:
    """Reads one encoding, with one plan a type; beyond a limit the oldest plan is dropped.

    It belongs to one converter instance. Inside Temporal's sandbox a model class is a new object
    in every workflow run: a cache of the module's would never hit and would keep dead classes.

    Args:
        format: The encoding.
        custom: Classes with functions of their own.
    """

    __slots__ = ("_plans", "_shapes", "_untyped", "custom", "format")

    def __init__(self, format: Format, custom: CustomTypes) -> None:  # noqa: A002 - the word for it
        self.format = format
        self.custom = custom
        self._plans: OrderedDict[Any, Read] = OrderedDict()
        self._shapes: OrderedDict[Any, Shape] = OrderedDict()
        self._untyped: Read = format.decoder(Any, self._hook).decode

    def read(self, data: bytes, type_hint: Any = None) -> Any:
        """Decode `data` into `type_hint`; None means builtin types.

        Raises:
            ConversionError: The data is well formed but does not fit the type, or nothing can
                read this type.
            PayloadError: The data is malformed.
        """
        if type_hint is None:
            read = self._untyped
        else:
            try:
                read = self._plans[type_hint]
            except (KeyError, TypeError):  # TypeError: unhashable, such as Annotated[int, []]
                read = self._plan(type_hint)
        try:
            return read(data)
        except Exception as err:  # noqa: BLE001 - whatever a class' own code raises
            # A misfit that is not msgspec's has been through the rules already.
            final = isinstance(err, Misfit)
            misfit = misfit_of(err)
        # Outside of the handler, so that what was caught, which may quote the value, is not kept.
        deep = isinstance(misfit, TooDeep)
        if deep or not final:
            try:
                return self._by_rules(
                    data, type_hint, loose=isinstance(misfit, Malformed), deep=deep
                )
            except Exception as err:  # noqa: BLE001 - as above
                second = misfit_of(err)
            if isinstance(misfit, (Malformed, TooDeep)) or isinstance(second, TooDeep):
                misfit = second
        raise self._error(misfit, type_hint)

    def shape(self, type_hint: Any) -> Shape:
        """Return what is known about `type_hint`; looked up once a type."""
        try:
            found = self._shapes.get(type_hint)
        except TypeError:
            return self._survey(type_hint)
        if found is None:
            found = self._shapes[type_hint] = self._survey(type_hint)
            if len(self._shapes) > _MAX_SHAPES:
                self._shapes.popitem(last=False)
        return found

    def _plan(self, type_hint: Any) -> Read:
        read = self._new_plan(type_hint)
        try:
            self._plans[type_hint] = read
        except TypeError:
            return read
        if len(self._plans) > _MAX_PLANS:
            self._plans.popitem(last=False)
        return read

    def _new_plan(self, type_hint: Any) -> Read:
        if type_hint is Any or type_hint is object:
            return self._untyped
        shareable = isinstance(type_hint, type) and not len(self.custom)
        if shareable and type_hint in self.format.native:
            return self.format.decoder(type_hint, self._hook).decode
        shape = self.shape(type_hint)
        if shape.native:
            if shareable:
                self.format.native.add(type_hint)
            return self.format.decoder(type_hint, self._hook).decode
        if not shape.pydantic:
            return lambda data: self._by_rules(data, type_hint)
        try:
            return self._by_pydantic(ModelReader(unwrapped(type_hint)))
        except Exception as err:  # noqa: BLE001 - whatever pydantic says of a type
            problem = f"pydantic cannot read it: {type(err).__name__}"
        raise unfit(self.format.encoding, type_hint, problem)

    def _by_pydantic(self, model: ModelReader) -> Read:
        if self.format.text:
            return model.read_json
        return lambda data: model.read_python(self._untyped(data))

    def _by_rules(
        self, data: bytes, type_hint: Any, *, loose: bool = False, deep: bool = False
    ) -> Any:
        read = self._untyped
        if loose and self.format.loose is not None:
            read = self.format.loose
        elif self.format.exact is not None and self.shape(type_hint).decimals:
            read = self.format.exact
        value = read(data)
        return value if type_hint is None else Rules(self, deep=deep).read(type_hint, value)

    def _hook(self, type_hint: Any, value: Any) -> Any:
        return Rules(self).rule(type_hint, value)

    def _survey(self, type_hint: Any) -> Shape:
        try:
            everything = list(reached(type_hint))
        except Exception as err:  # noqa: BLE001 - whatever evaluating a class' annotations raises
            return Shape(reason=str(err))
        hint, fields = everything[0]
        inside = [item for item, _ in everything]
        found = Shape(
            pydantic=self._suits_pydantic(everything),
            decimals=decimal.Decimal in inside,
            binary=bytes in inside or bytearray in inside,
            members=fields,
            choices=self._choices(hint),
            model=_model_reader(hint),
        )
        try:
            self.format.decoder(type_hint, self._hook)
        except Exception as err:  # noqa: BLE001 - as above
            return replace(found, reason=str(err))
        native = not found.pydantic and not any(self._needs_rule(*item) for item in everything)
        return replace(found, native=native)

    def _suits_pydantic(self, everything: list[tuple[Any, Fields]]) -> bool:
        """Tell whether pydantic reads a whole type as our writers write it."""
        hint, _ = everything[0]
        if is_model(hint):
            return not is_pydantic_dataclass(hint)
        return any(_is_pydantic(item) for item, _ in everything) and not any(
            self._is_ours(*item) for item in everything
        )

    def _is_ours(self, type_hint: Any, fields: Fields) -> bool:
        cls = class_of(type_hint)
        return (
            cls in (bytes, bytearray)
            or fields is not None
            or (isinstance(cls, type) and issubclass(cls, (Enum, msgspec.Struct)))
            or self.custom.of_hint(cls) is not None
        )

    def _choices(self, type_hint: Any) -> Mapping[bytes, tuple[Any, ...]] | None:
        cls: Any = class_of(type_hint)
        if cls is Literal:
            everything = get_args(type_hint)
        elif isinstance(cls, type) and issubclass(cls, Enum):
            everything = tuple(cls)
        else:
            return None
        found: dict[bytes, tuple[Any, ...]] = {}
        for choice in everything:
            try:
                written = self.format.encode(choice)
            except Exception:  # noqa: BLE001, S112 - what cannot be written does not come back
                continue
            found[written] = (*found.get(written, ()), choice)
        return found

    def _needs_rule(self, type_hint: Any, fields: Fields) -> bool:
        """Tell whether msgspec would read a class, but not as its author meant it."""
        cls = class_of(type_hint)
        if _is_pydantic(type_hint) and (is_pydantic_dataclass(cls) or metadata_of(type_hint)):
            return True
        if self.custom.override and self.custom.of_hint(cls) is not None:
            return True
        if _has_odd_keys(type_hint):
            return True
        if not _is_record(cls):
            return False
        # msgspec sets the attributes and calls no constructor: a written one would be left out.
        code = getattr(cls.__init__, "__code__", None)
        generated = code is not None and code.co_filename.startswith(("<string>", "<attrs"))
        return not generated or any(not item.init for item in fields or ())

    def _error(self, misfit: Misfit, type_hint: Any) -> Exception:
        encoding = self.format.encoding
        if isinstance(misfit, TooDeep):
            return PayloadError(f"the {encoding} data is nested too deeply", encoding=encoding)
        if isinstance(misfit, Malformed):
            return PayloadError(f"the data is not valid {encoding}", encoding=encoding)
        return unfit(encoding, type_hint, misfit.text)


def _is_pydantic(type_hint: Any) -> bool:
    return is_model(type_hint) or has_constraint(type_hint)


def _model_reader(type_hint: Any) -> ModelReader | None:
    if not _is_pydantic(type_hint):
        return None
    try:
        return ModelReader(type_hint)
    except Exception:  # noqa: BLE001 - whatever pydantic says of a type
        return None


def _has_odd_keys(type_hint: Any) -> bool:
    """Tell whether a mapping has keys that msgspec leaves as they are, without asking its hook."""
    cls, inner = class_of(type_hint), element_types(type_hint)
    if not (isinstance(cls, type) and issubclass(cls, Mapping) and len(inner) == 2):
        return False
    keys = [class_of(hint) for hint, _ in reached(inner[0])]
    return any(
        isinstance(key, type) and key not in _KEYS and not issubclass(key, Enum) for key in keys
    )


def _is_record(type_hint: Any) -> bool:
    """Tell whether a hint is a class whose fields are data: a dataclass or one of attrs."""
    cls: Any = class_of(type_hint)
    fields = ("__dataclass_fields__", "__attrs_attrs__")
    return (
        isinstance(cls, type) and not is_model(cls) and any(hasattr(cls, name) for name in fields)
    )

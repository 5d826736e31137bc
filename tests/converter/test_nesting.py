"""Nested values: whatever is written is read back, and what would be too deep is not written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from sealwire.converter import CustomType, JsonConverter, MsgpackConverter
from sealwire.converter.nesting import MAX_MODEL_NESTING, MAX_NESTING
from sealwire.errors import ConversionError


@dataclass
class Num:
    v: int = 0


@dataclass
class Add:
    left: "Add | Num"
    right: "Add | Num"


@dataclass
class Own:
    v: int
    next: "Own | None" = None

    def __init__(self, v: int, next: "Own | None" = None) -> None:  # noqa: A002 - as the field
        self.v = v
        self.next = next


@dataclass
class Uncounted:
    v: int
    next: "Uncounted | None" = None
    count: int = field(init=False, default=0)


@attrs.define
class Attrs:
    v: int
    next: "Attrs | None" = None
    count: int = attrs.field(init=False, default=0)


@dataclass
class Keyed:
    inner: "dict[str, Keyed | Num]"


@dataclass
class Listed:
    inner: "list[Listed | Num]"


@dataclass
class Node:
    v: int
    next: "Node | None" = None


@dataclass
class Anything:
    value: Any
    other: "Num | Other"


@dataclass
class Other:
    w: int = 0


class Struct(msgspec.Struct):
    v: int
    next: "Struct | None" = None


class Model(pydantic.BaseModel):
    v: int = 0
    next: "Model | None" = None


class Boxed:
    def __init__(self, inner: "Boxed | None") -> None:
        self.inner = inner


@dataclass
class _Box:
    inner: Boxed | None


BOXED = CustomType(
    Boxed, to=lambda box: _Box(box.inner), from_=lambda box: Boxed(box.inner), via=_Box
)
CONVERTERS = [JsonConverter(types=[BOXED]), MsgpackConverter(types=[BOXED])]
both = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda item: item.encoding)

# What wraps a value in another level, the innermost one, the hint, and the levels that one takes.
CHAINS: dict[str, tuple[Callable[[Any], Any], Any, Any, int]] = {
    "union": (lambda inner: Add(Num(1), inner), Num(1), Add | Num, 1),
    "constructor": (lambda inner: Own(1, inner), None, Own | None, 1),
    "init=False": (lambda inner: Uncounted(1, inner), None, Uncounted | None, 1),
    "attrs": (lambda inner: Attrs(1, inner), None, Attrs | None, 1),
    "dict": (lambda inner: Keyed({"a": inner}), Num(1), Keyed | Num, 2),
    "list": (lambda inner: Listed([inner]), Num(1), Listed | Num, 2),
}
chains = pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
NATIVE: dict[str, tuple[Callable[[Any], Any], Any, Any, int]] = {
    "dataclass": (lambda inner: Node(1, inner), None, Node | None, 1),
    "Struct": (lambda inner: Struct(1, inner), None, Struct | None, 1),
    "builtin": (lambda inner: [inner], None, Any, 1),
    "no hint": (lambda inner: {"a": inner}, None, None, 1),
}


def _nested(wrap: Callable[[Any], Any], levels: int, innermost: Any) -> Any:
    value = innermost
    for _ in range(levels):
        value = wrap(value)
    return value


def _from_below(frames: int, call: Callable[[], Any]) -> Any:
    return call() if frames == 0 else _from_below(frames - 1, call)


def _inner(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        parts: list[Any] = list(value.values() if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        return parts[0]
    names = ("next", "right", "inner")
    return next((getattr(value, name) for name in names if hasattr(value, name)), None)


def _levels(value: Any) -> int:
    """Count by a loop: comparing what is nested would take the stack."""
    count = 0
    while value is not None:
        count += 1
        value = _inner(value)
    return count


def _comes_back(converter: Any, value: Any, hint: Any, frames: int = 300) -> bool:
    data = converter.to_data(value)
    found = _from_below(frames, lambda: converter.from_data(data, hint))
    return type(found) is type(value) and _levels(value) == _levels(found)


@both
@chains
def test_what_is_written_is_read_from_far_down_the_stack(converter: Any, chain: Any) -> None:
    """At every depth up to the limit, with most of a worker's stack in use."""
    wrap, innermost, hint, size = chain
    most = (MAX_NESTING - (innermost is not None)) // size
    for levels in (1, 2, 60, 125, 200, most // 2, most - 1, most):
        assert _comes_back(converter, _nested(wrap, levels, innermost), hint)


@both
@chains
def test_what_is_nested_beyond_the_limit_is_not_written(converter: Any, chain: Any) -> None:
    """The error names the limit and what to do instead, also in a list or a dict."""
    wrap, innermost, _, size = chain
    value = _nested(wrap, MAX_NESTING // size + 1, innermost)
    for around in (value, [value], {"k": (value,)}):
        with pytest.raises(ConversionError, match="more than 512 levels deep; turn it into a list"):
            converter.to_data(around)


@pytest.mark.parametrize("key_order", ["sorted", "kept"])
def test_copies_have_the_same_limit(key_order: Any) -> None:
    """A value that is copied before it is written is refused, too, or comes back."""
    converter = JsonConverter(key_order=key_order, allow_nan=True)
    assert _comes_back(converter, _nested(lambda inner: Own(1, inner), 300, None), Own)
    with pytest.raises(ConversionError, match="nested"):
        converter.to_data(_nested(lambda inner: Own(1, inner), 600, None))


@both
def test_width_is_no_depth(converter: Any) -> None:
    """Thousands of items beside each other are written."""
    value = Listed([Listed([Num(1)] * 10)] * 600)
    assert value == converter.from_data(converter.to_data(value), Listed)


@both
@pytest.mark.parametrize("chain", NATIVE.values(), ids=NATIVE)
def test_what_msgspec_reads_has_its_limit_alone(converter: Any, chain: Any) -> None:
    """It is written far beyond ours, and read wherever as much of the stack is left."""
    wrap, innermost, hint, _ = chain
    assert _comes_back(converter, _nested(wrap, 512, innermost), hint)
    assert _comes_back(converter, _nested(wrap, 800, innermost), hint, frames=0)


@both
def test_anything_in_a_class_with_rules_may_be_deep(converter: Any) -> None:
    """What no class contains itself for is limited by the stack alone, also if it is only kept."""
    holder = Anything(_nested(lambda inner: [inner], 700, 1.5), Num())
    found = converter.from_data(converter.to_data(holder), Anything)
    assert converter.to_data(holder) == converter.to_data(found)


@both
def test_what_is_too_deep_for_both_is_a_conversion_error(converter: Any) -> None:
    """Nothing but that comes out, whichever way of writing fails first."""
    for levels in range(850, 1010):
        try:
            converter.to_data(_nested(lambda inner: Node(1, inner), levels, None))
        except ConversionError as err:
            assert "nested too deeply" in str(err)  # noqa: PT017 - or it is written


@both
@pytest.mark.parametrize("levels", [50, 150, 250])
def test_custom_types_come_back_from_deep_inside(converter: Any, levels: int) -> None:
    """The rules read them alone where msgspec, which asks for each of them, comes to its end."""
    assert _comes_back(converter, _nested(Boxed, levels, None), Boxed)


@both
def test_models_come_back_up_to_their_limit(converter: Any) -> None:
    """By itself pydantic writes deeper JSON than it reads."""
    for levels in (1, 100, MAX_MODEL_NESTING):
        value = _nested(lambda inner: Model.model_construct(next=inner), levels, None)
        assert _comes_back(converter, value, Model)
        assert [levels] == list(
            map(_levels, converter.from_data(converter.to_data([value]), list[Model]))
        )


@pytest.mark.parametrize("levels", [MAX_MODEL_NESTING + 1, 205, 300])
def test_models_beyond_their_limit_are_not_written_as_json(levels: int) -> None:
    """They could not be read."""
    value = _nested(lambda inner: Model.model_construct(next=inner), levels, None)
    with pytest.raises(ConversionError, match=r"Model nested too deeply for pydantic, .* 150"):
        JsonConverter().to_data(value)


def test_models_beyond_what_pydantic_writes_are_named() -> None:
    """In MessagePack its own limit is the only one."""
    value = _nested(lambda inner: Model.model_construct(next=inner), 240, None)
    assert _comes_back(MsgpackConverter(), value, Model)
    value = _nested(lambda inner: Model.model_construct(next=inner), 300, None)
    with pytest.raises(ConversionError, match="Model nested too deeply for pydantic"):
        MsgpackConverter().to_data(value)

"""How deeply values may be nested, and work on them that needs no call for each level."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakSet

from .hints import has_circle, reached
from .misfit import is_array, is_object

if TYPE_CHECKING:
    from .typed import Shape

# Arrays and objects in each other, where a class contains itself and our rules read it. The
# rest of Python's recursion limit is for whoever calls the reader.
MAX_NESTING: Final = 512
# pydantic reads JSON of 200 levels; some of them may be around a model.
MAX_MODEL_NESTING: Final = 150

_MAX_CLASSES: Final = 256
# Classes that contain themselves nowhere, for all converters; the set keeps none alive.
_FLAT: Final[WeakSet[type]] = WeakSet()

# Asks for the parts of a value, each with what it should become, and returns what it is.
Task: TypeAlias = Generator[tuple[Any, Any], Any, Any]


def run(task: Task, begin: Callable[[Any, Any], Task]) -> Any:
    """Do a task and all that it asks for; those that wait are kept in a list, not on the stack.

    Args:
        task: The first one.
        begin: Makes a task of what one asks for.

    Raises:
        Exception: Whatever the task raises; what a part raises is raised in the task that asked.
    """
    waiting: list[Task] = []
    result: Any = None
    error: Exception | None = None
    while True:
        try:
            asked = task.send(result) if error is None else task.throw(error)
        except StopIteration as end:
            result, error = end.value, None
        except Exception as err:  # noqa: BLE001 - for the task that asked
            result, error = None, err
        else:
            waiting.append(task)
            task, result, error = begin(*asked), None, None
            continue
        if not waiting:
            break
        task = waiting.pop()
    if error is not None:
        raise error
    return result


def is_nested_beyond(value: Any, limit: int) -> bool:
    """Tell whether builtin types have more than `limit` arrays and objects in each other."""
    level: list[Any] = [value]
    for _ in range(limit + 1):
        level = [item for item in level if is_object(item) or is_array(item)]
        if not level:
            return False
        level = [part for item in level for part in parts_of(item)]
    return True


def parts_of(container: Any) -> Iterable[Any]:
    """Return what an array or an object has in it, without the keys."""
    return container.values() if is_object(container) else container  # type: ignore[no-any-return]


class NestingLimit(dict[type, bool]):
    """Tells for which classes the nesting is limited; fills itself.

    msgspec needs as much of the stack to read as to write, and does not write what is too deep.
    Our rules read what it does not, so that a limit must be set when it writes.

    Args:
        shape: What the reader knows about a class.
    """

    __slots__ = ("_shape",)

    def __init__(self, shape: Callable[[Any], Shape]) -> None:
        super().__init__()
        self._shape = shape

    def __missing__(self, cls: type) -> bool:
        if len(self) >= _MAX_CLASSES:
            self.clear()
        shape = self._shape(cls) if _contains_itself(cls) else None
        self[cls] = limited = shape is not None and not (shape.native or shape.pydantic)
        return limited

    def is_broken(self, value: Any, written: Callable[[], Any]) -> bool:
        """Tell whether a value is nested too deeply.

        Args:
            value: The value. Of lists and dicts, the first item stands for all.
            written: Returns it in builtin types.
        """
        while type(value) in (list, tuple, dict) and value:
            value = next(iter(parts_of(value)))
        if not self[type(value)]:
            return False
        try:
            return is_nested_beyond(written(), MAX_NESTING)
        except RecursionError:
            return True


def _contains_itself(cls: type) -> bool:
    if cls in _FLAT:
        return False
    try:
        circle = has_circle(list(reached(cls)))
    except Exception:  # noqa: BLE001 - whatever evaluating a class' annotations raises
        return False
    if not circle:
        _FLAT.add(cls)
    return circle

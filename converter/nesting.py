"""How deeply values may be nested, and work on them that needs no call for each level."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, TypeAlias

from .misfit import is_array, is_object

# Arrays and objects in each other, where a class contains itself and our rules read it. The
# rest of Python's recursion limit is for whoever calls the reader.
MAX_NESTING: Final = 512
# pydantic reads JSON of 200 levels; some of them may be around a model.
MAX_MODEL_NESTING: Final = 150

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

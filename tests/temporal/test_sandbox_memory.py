"""Models of every kind over many runs in the sandbox, with and without a copy for each run."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import sealwire_test_models as models
from sealwire_test_typed import Typed, Untyped
from sealwire_test_typed_passed import TypedPassed
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from sealwire.config import Config
from sealwire.temporal import PASSTHROUGH_MODULES, SealwirePlugin

MakeConfig = Callable[..., Awaitable[Config]]
RunOne = Callable[[int], Awaitable[None]]

RUNS: Final = 200
AT_ONCE: Final = 10
# Blocks of memory that a run may leave behind. A plan that is kept is more than ten, a copy of the
# models' module more than five hundred. Measured are two at most, with the SDK's converter too.
BLOCKS: Final = 6


@pytest.fixture(autouse=True)
def only_new_objects() -> Generator[None]:
    """Leaves out what earlier tests have made: to look at all of it would take minutes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@dataclass(frozen=True)
class Usage:
    """What a process holds while nothing runs.

    Args:
        models: How many classes of each name there are: the one of this process, and one for each
            run whose copy of the module is still there.
        parts: How many of our objects there are: converters, what their caches hold, headers, keys.
        blocks: The blocks of memory that Python has given out.
    """

    models: Counter[str]
    parts: Counter[str]
    blocks: int


def usage() -> Usage:
    gc.collect()
    objects = gc.get_objects()
    classes = [item for item in objects if isinstance(item, type)]
    kinds: list[Any] = [type(item) for item in objects]
    del objects
    return Usage(
        Counter(cls.__name__ for cls in classes if cls.__module__ == models.__name__),
        Counter(cls.__name__ for cls in kinds if str(cls.__module__).startswith("sealwire.")),
        sys.getallocatedblocks(),
    )


async def settled(before: Usage) -> Usage:
    """Waits for the worker to let go of its last runs; without an end, returns what it holds."""
    name = "CompositePayloadConverter"
    now = usage()
    for _ in range(60):
        if now.models <= before.models and now.parts[name] <= before.parts[name]:
            break
        await asyncio.sleep(0.05)
        now = usage()
    return now


async def use_twice(run_one: RunOne) -> tuple[Usage, Usage, Usage]:
    """Returns what is held before the runs, after half of them, and after all."""
    found = [usage()]
    for half in (range(RUNS // 2), range(RUNS // 2, RUNS)):
        for start in half[::AT_ONCE]:
            await asyncio.gather(*map(run_one, range(start, start + AT_ONCE)))
        found.append(await settled(found[0]))
    return found[0], found[1], found[2]


@pytest.mark.parametrize("workflow", [Typed, TypedPassed])
async def test_typed_arguments_leave_nothing_behind(
    temporal_server: str, make_config: MakeConfig, unique: str, workflow: Any
) -> None:
    """Over 200 runs, values arrive as their own classes, and no class, cache or memory grows."""
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(await make_config())])

    async def run_one(seed: int) -> None:
        basket = models.make_basket(seed)
        result = await client.execute_workflow(
            workflow.run,
            args=[basket.order, basket.payment, basket.customer, basket.parcel, basket.note],
            id=f"{unique}-{seed}",
            task_queue=unique,
        )
        models.check_types(result)
        assert basket == result

    async with Worker(
        client,
        task_queue=unique,
        workflows=[workflow],
        activities=[models.pack],
        max_concurrent_workflow_tasks=AT_ONCE,  # else new threads come for a long time
        workflow_failure_exception_types=[Exception],  # else a fault is tried again for ever
    ):
        before, middle, end = await use_twice(run_one)
    # Less is possible: typing's caches may have held a copy for an earlier test.
    assert middle.models <= before.models
    assert end.models <= before.models
    assert end.parts <= middle.parts
    assert (end.blocks - middle.blocks) / (RUNS / 2) < BLOCKS


async def test_the_default_converter_leaves_no_less(temporal_server: str, unique: str) -> None:
    """The measure is good: runs of the SDK alone, which import the same models, are within it."""
    client = await Client.connect(temporal_server)
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSTHROUGH_MODULES)
    runner = SandboxedWorkflowRunner(restrictions)

    async def run_one(seed: int) -> None:
        name = f"{unique}-{seed}"
        text = await client.execute_workflow(Untyped.run, name, id=name, task_queue=unique)
        assert name == text

    async with Worker(
        client,
        task_queue=unique,
        workflows=[Untyped],
        workflow_runner=runner,
        max_concurrent_workflow_tasks=AT_ONCE,
    ):
        before, middle, end = await use_twice(run_one)
    assert middle.models <= before.models
    assert end.models <= before.models
    assert (end.blocks - middle.blocks) / (RUNS / 2) < BLOCKS

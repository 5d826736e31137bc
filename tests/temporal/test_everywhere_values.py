"""Values of every kind are sealed, and arrive as what they were."""

from __future__ import annotations

from dataclasses import replace

import everywhere_table as table
import everywhere_values as app
import pytest
from everywhere_stage import Application, Stage

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def application() -> Application:
    activities = [app.take, app.take_in_thread, app.take_message, app.take_bytes]
    return Application([app.Taking], activities)


async def take(stage: Stage, unique: str) -> app.Box[app.Item]:
    return await stage.client.execute_workflow(
        app.Taking.run, args=app.VALUES, id=unique, task_queue=stage.queue
    )


async def test_values(stage: Stage, unique: str) -> None:
    """Models, messages, bytes, raw values and all the rest are equal on each side, and sealed."""
    assert await take(stage, unique) == app.BOX


async def test_clear_values_are_not_taken_for_sealed_ones(module_stage: Stage, unique: str) -> None:
    """The comparison that all these tests end with tells what is not sealed, so it can fail."""
    module_stage.wire.forget()
    await take(module_stage, unique)
    await module_stage.histories()
    found = replace(module_stage, mode="sealed").differences("test_values")
    exposed = found.get("in clear, and documented as sealed", set())
    assert exposed == (set() if module_stage.sealed else table.places(table.SEALED, "test_values"))

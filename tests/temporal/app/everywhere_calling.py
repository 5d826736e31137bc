"""Workflows that call, and are called with, everything that can be given headers."""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec

LIMIT: Final = timedelta(seconds=20)


@activity.defn
async def called() -> str:
    return "activity"


@workflow.defn
class Called:
    def __init__(self) -> None:
        self._told = False

    @workflow.run
    async def run(self, wait: bool) -> str:
        await workflow.wait_condition(lambda: self._told or not wait)
        return "child"

    @workflow.signal
    def tell(self) -> None:
        self._told = True


@workflow.defn
class Calling:
    """Continues as new after its calls; ends when it has been told to, in each run."""

    def __init__(self) -> None:
        self._ended = False

    @workflow.run
    async def run(self, first: bool) -> str:
        if first:
            await self._call()
            workflow.continue_as_new(False)
        return "ended"

    async def _call(self) -> None:
        await workflow.execute_activity(called, start_to_close_timeout=LIMIT)
        await workflow.execute_local_activity(called, start_to_close_timeout=LIMIT)
        child = await workflow.start_child_workflow(Called.run, True)
        await workflow.get_external_workflow_handle(child.id).signal(Called.tell)
        await child
        await workflow.wait_condition(lambda: self._ended)

    @workflow.signal
    def end(self) -> None:
        self._ended = True

    @workflow.query
    def ask(self) -> str:
        return "answer"

    @workflow.update
    async def change(self) -> str:
        return "changed"


async def play(client: Client, queue: str, name: str) -> list[Any]:
    """Call everything, and return what came back."""
    handle = await client.start_workflow(Calling.run, True, id=name, task_queue=queue)
    latest: Any = client.get_workflow_handle(name)
    answers = [await latest.query(Calling.ask), await latest.execute_update("change")]
    await latest.signal(Calling.end)
    answers.append(await handle.result())
    standalone = await client.start_activity(
        called, id=name, task_queue=queue, start_to_close_timeout=LIMIT
    )
    answers.append(await standalone.result())
    await standalone.describe()
    signalled = await client.start_workflow(
        Called.run, True, id=f"{name}-told", task_queue=queue, start_signal="tell"
    )
    answers.append(await signalled.result())
    action = ScheduleActionStartWorkflow(Called.run, False, id=f"{name}-run", task_queue=queue)
    schedule = await client.create_schedule(name, Schedule(action, ScheduleSpec()))
    await schedule.trigger()
    while not (runs := (await schedule.describe()).info.recent_actions):
        pass
    started: Any = runs[0].action
    answers.append(await client.get_workflow_handle(started.workflow_id).result())
    await schedule.delete()
    return answers


ANSWERS: Final = ["answer", "changed", "ended", "activity", "child", "child"]

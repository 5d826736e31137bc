"""What a workflow decides by itself: ids, numbers, versions and times, beside marked values."""

from datetime import timedelta
from typing import Any

from temporalio import workflow


@workflow.defn
class Effects:
    """Returns all that differs from run to run, and is the same in each replay of one."""

    def __init__(self) -> None:
        self._told: list[Any] = []

    @workflow.run
    async def run(self, text: str) -> list[Any]:
        made: list[Any] = [
            text,
            workflow.uuid4(),
            workflow.random().randrange(2**32),
            workflow.now(),
            workflow.patched("first"),
        ]
        await workflow.sleep(0.01)
        try:
            await workflow.wait_condition(lambda: bool(self._told), timeout=60)
        except TimeoutError:
            return []
        return [*made, *self._told, workflow.uuid4(), workflow.now() > made[3]]

    @workflow.signal
    def tell(self, text: str) -> None:
        self._told.append(text)


@workflow.defn
class Endless:
    """Never ends by itself."""

    @workflow.run
    async def run(self, text: str) -> str:
        await workflow.sleep(timedelta(days=1))
        return text

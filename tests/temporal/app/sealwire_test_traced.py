"""A workflow whose activities are traced; not passed through."""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow

LIMIT: Final = timedelta(seconds=20)


@activity.defn
async def ship(order: dict[str, Any]) -> str:
    return f"MARKER-shipped {order['item']}"


@workflow.defn
class Traced:
    """Returns what its activity did and what it was told."""

    def __init__(self) -> None:
        self._told = ""

    @workflow.run
    async def run(self, order: dict[str, Any]) -> list[str]:
        shipped = await workflow.execute_activity(ship, order, start_to_close_timeout=LIMIT)
        await workflow.wait_condition(lambda: bool(self._told))
        return [shipped, self._told]

    @workflow.signal
    def tell(self, text: str) -> None:
        self._told = text

"""A workflow with a marker in everything that names something, and in nothing else."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RetryPolicy
from temporalio.converter import PayloadCodec
from temporalio.exceptions import ActivityError, ApplicationError

LIMIT: Final = timedelta(seconds=20)
ONCE: Final = RetryPolicy(maximum_attempts=1, non_retryable_error_types=["MARKER-failure-type"])


@activity.defn(name="MARKER-activity")
async def named(fail: bool) -> None:
    if fail:
        raise ApplicationError("", type="MARKER-failure-type")


@workflow.defn(name="MARKER-child")
class NamedChild:
    @workflow.run
    async def run(self) -> None:
        pass


@workflow.defn(name="MARKER-workflow")
class Named:
    def __init__(self) -> None:
        self._ended = False

    @workflow.run
    async def run(self) -> None:
        assert workflow.patched("MARKER-patch")
        group = workflow.create_event_group("MARKER-group")
        for fail in (False, True):
            with suppress(ActivityError):
                await workflow.execute_activity(
                    named,
                    fail,
                    activity_id=f"MARKER-{fail}",
                    start_to_close_timeout=LIMIT,
                    retry_policy=ONCE,
                    event_groups=[group],
                )
        await workflow.execute_local_activity(
            named, False, activity_id="MARKER-local", start_to_close_timeout=LIMIT
        )
        await workflow.execute_child_workflow(NamedChild.run, id="MARKER-child-id")
        await workflow.wait_condition(lambda: self._ended)

    @workflow.signal(name="MARKER-signal")
    def end(self) -> None:
        self._ended = True

    @workflow.query(name="MARKER-query")
    def ask(self) -> str:
        return ""

    @workflow.update(name="MARKER-update")
    async def change(self) -> None:
        pass


@workflow.defn
class Refused:
    """Returns what `Refusing` does not encode."""

    @workflow.run
    async def run(self) -> str:
        return "refuse"


class Refusing(PayloadCodec):
    """Somebody's codec, with a text of its own in its error."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if any(b"refuse" in payload.data for payload in payloads):
            raise RuntimeError("MARKER-codec-error")
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

"""A Nexus service and a workflow that calls it, with markers in all that operations store."""

from __future__ import annotations

from typing import Any

import nexusrpc
from nexusrpc.handler import (
    CancelOperationContext,
    OperationHandler,
    StartOperationContext,
    StartOperationResultAsync,
    operation_handler,
    service_handler,
    sync_operation,
)
from temporalio import nexus, workflow
from temporalio.exceptions import ApplicationError, CancelledError, NexusOperationError


@nexusrpc.service
class Desk:
    ask: nexusrpc.Operation[str, str]
    work: nexusrpc.Operation[str, str]
    hold: nexusrpc.Operation[str, str]


@workflow.defn
class Work:
    """What runs behind the operation `work`."""

    @workflow.run
    async def run(self, text: str) -> str:
        if "fail" in text:
            raise ApplicationError(f"MARKER-work-failed {text}", "MARKER-work-detail")
        if "wait" in text:
            await workflow.wait_condition(lambda: False)
        return f"MARKER-worked on {text}"


def refusal(text: str, again: bool) -> nexusrpc.HandlerError:
    made = nexusrpc.HandlerError(
        f"MARKER-handler-failed {text}",
        type=nexusrpc.HandlerErrorType.INTERNAL,
        retryable_override=again,
    )
    made.__cause__ = ApplicationError("MARKER-handler-cause", "MARKER-handler-detail")
    return made


class Hold(OperationHandler[str, str]):
    """An operation that never ends, and does not let itself be cancelled."""

    async def start(self, ctx: StartOperationContext, input: str) -> StartOperationResultAsync:  # noqa: A002
        return StartOperationResultAsync(token="retry" if "retry" in input else "once")

    async def cancel(self, ctx: CancelOperationContext, token: str) -> None:
        raise refusal("MARKER-cancel", again=token == "retry")


@service_handler(service=Desk)
class DeskHandler:
    @sync_operation
    async def ask(self, ctx: StartOperationContext, text: str) -> str:
        if "fail" in text or "cancel" in text:
            canceled = "cancel" in text
            states = nexusrpc.OperationErrorState
            raise nexusrpc.OperationError(
                f"MARKER-operation-failed {text}",
                state=states.CANCELED if canceled else states.FAILED,
            ) from ApplicationError("MARKER-operation-cause", "MARKER-operation-detail")
        if "refuse" in text or "retry" in text:
            raise refusal(text, again="retry" in text)
        return f"MARKER-answer to {text}"

    @nexus.workflow_run_operation
    async def work(
        self, ctx: nexus.WorkflowRunOperationContext, text: str
    ) -> nexus.WorkflowHandle[str]:
        return await ctx.start_workflow(Work.run, text, id=f"work-{ctx.request_id}")

    @operation_handler
    def hold(self) -> OperationHandler[str, str]:
        return Hold()


@workflow.defn
class Visitor:
    """Calls an operation, and returns its result or what its failure says."""

    @workflow.run
    async def run(self, endpoint: str, operation: str, text: str) -> list[Any]:
        desk = workflow.create_nexus_client(service=Desk, endpoint=endpoint)
        called: Any = getattr(Desk, operation)
        try:
            handle = await desk.start_operation(called, text, summary="MARKER-nexus-summary")
            if "wait" in text or called is Desk.hold:
                handle.cancel()
            return [await handle]
        except NexusOperationError as err:
            return told(err.__cause__)


def told(error: BaseException | None) -> list[Any]:
    """What a failure and its causes say."""
    found: list[Any] = []
    while error is not None:
        text = "" if isinstance(error, CancelledError) else f" {error}"
        found.append([f"{type(error).__name__}{text}", *getattr(error, "details", ())])
        error = error.__cause__
    return found

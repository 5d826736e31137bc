"""Interceptors for workflows that show search attributes to somebody, when that is worth it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeAlias

from temporalio import worker, workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from .shown_values import Attributes, pairs_of

Look: TypeAlias = Callable[[Attributes, Sequence[Any]], None]


def watching(look: Look) -> type[worker.WorkflowInboundInterceptor]:
    """Return an interceptor.

    Args:
        look: Takes search attributes and the arguments that go with them.
    """

    class Watching(_Inbound):
        def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
            self._run = _Run(look)
            super().init(_Outbound(outbound, self._run))

    return Watching


class _Inbound(worker.WorkflowInboundInterceptor):
    _run: _Run

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:  # noqa: A002
        self._run.begin(input.args)
        with self._run.watched():
            return await super().execute_workflow(input)

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:  # noqa: A002
        with self._run.watched(input.args):
            await super().handle_signal(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:  # noqa: A002
        with self._run.watched(input.args):
            return await super().handle_update_handler(input)


class _Outbound(worker.WorkflowOutboundInterceptor):
    def __init__(self, next: worker.WorkflowOutboundInterceptor, run: _Run) -> None:  # noqa: A002
        super().__init__(next)
        self._run = run

    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        self._run.look(input.args)
        return super().start_activity(input)

    def start_local_activity(
        self,
        input: worker.StartLocalActivityInput,  # noqa: A002
    ) -> workflow.ActivityHandle[Any]:
        self._run.look(input.args)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self,
        input: worker.StartChildWorkflowInput,  # noqa: A002
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        self._run.look(input.args)
        self._run.look_at(input.search_attributes, input.args)
        return await super().start_child_workflow(input)

    async def start_nexus_operation(
        self,
        input: worker.StartNexusOperationInput[Any, Any],  # noqa: A002
    ) -> workflow.NexusOperationHandle[Any]:
        self._run.look([input.input])
        return await super().start_nexus_operation(input)

    async def start_signal_with_start_workflow(
        self,
        request: Any,  # the SDK does not export its type
    ) -> workflow.NexusOperationHandle[Any]:
        self._run.look_at_request(request)
        return await super().start_signal_with_start_workflow(request)

    async def signal_child_workflow(self, input: worker.SignalChildWorkflowInput) -> None:  # noqa: A002
        self._run.look(input.args)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: worker.SignalExternalWorkflowInput) -> None:  # noqa: A002
        self._run.look(input.args)
        await super().signal_external_workflow(input)

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:  # noqa: A002
        self._run.look_ahead(input.search_attributes, input.args)
        super().continue_as_new(input)


class _Run:
    """A run of a workflow, and the search attributes that it had at the last look.

    No interceptor is told of `upsert_search_attributes`; its effect is seen when something else
    happens. Nothing here raises, since that would fail the workflow.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._arguments: Sequence[Any] = ()
        self._seen: tuple[SearchAttributePair[Any], ...] = ()

    def begin(self, arguments: Sequence[Any]) -> None:
        """Take the workflow's arguments; signals may have been handled before."""
        self._arguments = arguments
        self._seen = ()

    @contextmanager
    def watched(self, arguments: Sequence[Any] = ()) -> Generator[None]:
        """Look before and after something, however it ends; see `look`."""
        self.look(arguments)
        try:
            yield
        finally:
            self.look(arguments)

    def look(self, arguments: Sequence[Any]) -> None:
        """Look at the attributes that were set since the last look.

        Args:
            arguments: What they are compared with, beside the arguments of the workflow.
        """
        with suppress(Exception):
            if workflow.unsafe.is_replaying():
                return
            now = pairs_of(workflow.info().typed_search_attributes)
            # Each by its identity: a list that was set again may be the same one, with more in it.
            changed = [pair for pair in now if not any(pair is old for old in self._seen)]
            self._seen = now
            if changed:
                self._look(TypedSearchAttributes(changed), [*self._arguments, *arguments])

    def look_at(self, attributes: Attributes, arguments: Sequence[Any]) -> None:
        """Look at attributes that another workflow is going to have."""
        with suppress(Exception):
            if not workflow.unsafe.is_replaying():
                self._look(attributes, arguments)

    def look_at_request(self, request: Any) -> None:
        """Look at what a workflow signals and starts in one step."""
        with suppress(Exception):
            arguments = [*(request.args or ()), *(request.signal_args or ())]
            self.look(arguments)
            self.look_at(request.search_attributes, arguments)

    def look_ahead(self, stated: Attributes, arguments: Sequence[Any]) -> None:
        """Look at the attributes of the next run: without others, it keeps those of this one."""
        with suppress(Exception):
            kept = workflow.info().typed_search_attributes if stated is None else stated
            self.look_at(kept, arguments)

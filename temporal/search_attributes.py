"""A look at search attributes, which the server reads: do they show what is sealed elsewhere?"""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from temporalio import client, worker
from temporalio.api.common.v1 import Payload
from temporalio.converter import WorkflowSerializationContext

from sealwire.codecs.protocol import REPLAY_NAMESPACE

from .shown_values import Attributes, occurs, values_of
from .watched_workflows import watching

_log = logging.getLogger("sealwire.temporal")

_MAX_NAMES: Final = 1000


class Converts(Protocol):
    """A payload converter, as far as it is needed here."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Convert values."""
        ...


class SearchAttributeGuard(client.Interceptor, worker.Interceptor):
    """Warns when the value of a search attribute also stands in an argument, which is sealed.

    Give it to `Client.connect` as an interceptor; workers of the client take it from there. The
    logger `sealwire.temporal` warns once for each attribute and never shows a value. It looks

    - at workflows, activities and Nexus operations that the client starts, and at schedules that it
      creates or updates, before they are sent;
    - at children and successors of workflows, and at workflows that a workflow signals and starts
      in one step, before they are sent;
    - at the attributes of a workflow when it begins and when it ends, in whatever way; and while
      it runs, at those that it has set since, when it next starts an activity, a child or a
      Nexus operation, signals another workflow, or begins or ends to handle a signal or an update.
      They are compared with the arguments of the workflow and of what happens then.

    So the attributes of a workflow that does nothing but wait are looked at when it ends. What is
    replayed is not looked at.

    It is an aid and no barrier: it finds texts, numbers and times of four characters and more
    that are the same in both places, in the first 64 KiB of each argument.

    Args:
        converter: What the client converts arguments with.
        checks: How often to look at each attribute; after that it costs nothing any more.
    """

    def __init__(self, converter: Converts, *, checks: int = 100) -> None:
        self._converter = converter
        self._checks = checks
        self._looked: Counter[str] = Counter()

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:  # noqa: A002
        """Look at what the client starts."""
        return _ClientCalls(next, self)

    def workflow_interceptor_class(
        self,
        input: worker.WorkflowInterceptorClassInput,  # noqa: A002, ARG002
    ) -> type[worker.WorkflowInboundInterceptor]:
        """Look at what workflows start, and at their own attributes."""
        return watching(self.look)

    def look(self, attributes: Attributes, arguments: Sequence[Any]) -> None:
        """Warn of each attribute whose value occurs in one of the arguments."""
        due = [(name, value) for name, value in values_of(attributes) if self._is_due(name)]
        if not due:
            return
        try:
            payloads = self._converter.to_payloads(arguments)
        except Exception:  # noqa: BLE001 - whoever sends them converts them too, and will raise it
            return
        for name in {name for name, value in due if occurs(value, payloads)}:
            self._looked[name] = self._checks
            _log.warning(
                "the search attribute %s has a value that is also in a sealed argument, and the "
                "server reads it: a BlindIndex makes a token of it (not logged again)",
                name,
            )

    def _is_due(self, name: str) -> bool:
        if len(self._looked) >= _MAX_NAMES and name not in self._looked:
            return False
        self._looked[name] += 1
        return self._looked[name] <= self._checks


class _ClientCalls(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, guard: SearchAttributeGuard) -> None:  # noqa: A002
        super().__init__(next)
        self._guard = guard

    async def start_workflow(
        self,
        input: client.StartWorkflowInput,  # noqa: A002
    ) -> client.WorkflowHandle[Any, Any]:
        self._guard.look(input.search_attributes, [*input.args, *input.start_signal_args])
        return await super().start_workflow(input)

    async def start_update_with_start_workflow(
        self,
        input: client.StartWorkflowUpdateWithStartInput,  # noqa: A002
    ) -> client.WorkflowUpdateHandle[Any]:
        start, update = input.start_workflow_input, input.update_workflow_input
        self._guard.look(start.search_attributes, [*start.args, *update.args])
        return await super().start_update_with_start_workflow(input)

    async def start_activity(
        self,
        input: client.StartActivityInput,  # noqa: A002
    ) -> client.ActivityHandle[Any]:
        self._guard.look(input.search_attributes, input.args)
        return await super().start_activity(input)

    async def start_nexus_operation(
        self,
        input: client.StartNexusOperationInput,  # noqa: A002
    ) -> client.NexusOperationHandle[Any]:
        self._guard.look(input.search_attributes, [input.arg])
        return await super().start_nexus_operation(input)

    async def create_schedule(
        self,
        input: client.CreateScheduleInput,  # noqa: A002
    ) -> client.ScheduleHandle:
        self._look_at_schedule(input.schedule, input.search_attributes)
        return await super().create_schedule(input)

    async def update_schedule(self, input: client.UpdateScheduleInput) -> None:  # noqa: A002
        async def updater(given: client.ScheduleUpdateInput) -> client.ScheduleUpdate | None:
            update = input.updater(given)
            if inspect.isawaitable(update):
                update = await update
            if update:
                await self._look_at_update(given.description, update)
            return update

        await super().update_schedule(replace(input, updater=updater))

    async def _look_at_update(
        self, before: client.ScheduleDescription, update: client.ScheduleUpdate
    ) -> None:
        stated = update.search_attributes
        kept = before.typed_search_attributes if stated is None else stated
        opened = await _opened(before, update.schedule.action)
        self._look_at_schedule(update.schedule, kept, opened)

    def _look_at_schedule(
        self, schedule: client.Schedule, attributes: Attributes, opened: Sequence[Any] = ()
    ) -> None:
        action = schedule.action
        if isinstance(action, client.ScheduleActionStartWorkflow):
            arguments = [*(item for item in action.args if not _is_sealed(item)), *opened]
            self._guard.look(attributes, arguments)
            self._guard.look(action.typed_search_attributes, arguments)
            self._guard.look(action.untyped_search_attributes, arguments)


async def _opened(before: client.ScheduleDescription, action: client.ScheduleAction) -> list[Any]:
    """Return the arguments that an update takes over as they are stored, if they can be read."""
    if isinstance(action, client.ScheduleActionStartWorkflow):
        sealed = [item for item in action.args if _is_sealed(item)]
        context = WorkflowSerializationContext(REPLAY_NAMESPACE, action.id)  # that of the client
        with suppress(Exception):
            return await before.data_converter.with_context(context).decode(sealed)
    return []


def _is_sealed(argument: Any) -> bool:
    return isinstance(argument, Payload)

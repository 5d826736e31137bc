"""A look at search attributes, which the server reads: do they show what is sealed elsewhere?"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol, cast

from temporalio import client, worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import SearchAttributePair, SearchAttributes, TypedSearchAttributes

_log = logging.getLogger("sealwire.temporal")

_MAX_SIZE: Final = 64 * 1024  # bytes of a payload that are looked at
_MIN_SIZE: Final = 4  # characters: `EU` or `12` occur everywhere
_MIN_LONG: Final = 32  # characters of a text, from which on MessagePack writes its length in a byte
_MAX_VALUES: Final = 100  # of one list of keywords
_MAX_NAMES: Final = 1000

_Attributes = SearchAttributes | TypedSearchAttributes | None


class Converts(Protocol):
    """A payload converter, as far as it is needed here."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Convert values."""
        ...


class SearchAttributeGuard(client.Interceptor, worker.Interceptor):
    """Warns when the value of a search attribute also stands in an argument, which is sealed.

    Give it to `Client.connect` as an interceptor; workers of the client take it from there. It
    looks at workflows, activities and schedules that the client starts, at children and successors
    of workflows, and at the attributes that a workflow has when it completes. The logger
    `sealwire.temporal` warns once for each attribute and never shows a value.

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

        class Watched(_WorkflowCalls):
            guard = self

        return Watched

    def look(self, attributes: _Attributes, arguments: Sequence[Any]) -> None:
        """Warn of each attribute whose value occurs in one of the arguments."""
        due = [(name, value) for name, value in _pairs(attributes) if self._is_due(name)]
        if not due:
            return
        try:
            payloads = self._converter.to_payloads(arguments)
        except Exception:  # noqa: BLE001 - whoever sends them converts them too, and will raise it
            return
        for name in {name for name, value in due if _occurs(value, payloads)}:
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

    async def create_schedule(
        self,
        input: client.CreateScheduleInput,  # noqa: A002
    ) -> client.ScheduleHandle:
        action = input.schedule.action
        if isinstance(action, client.ScheduleActionStartWorkflow):
            self._guard.look(input.search_attributes, action.args)
            self._guard.look(action.typed_search_attributes, action.args)
        return await super().create_schedule(input)


class _WorkflowCalls(worker.WorkflowInboundInterceptor):
    guard: SearchAttributeGuard

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowStarts(outbound, self.guard))

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:  # noqa: A002
        result = await super().execute_workflow(input)
        # No interceptor is told of `upsert_search_attributes`; its effect is here to see.
        if not workflow.unsafe.is_replaying():
            self.guard.look(workflow.info().typed_search_attributes, input.args)
        return result


class _WorkflowStarts(worker.WorkflowOutboundInterceptor):
    def __init__(
        self,
        next: worker.WorkflowOutboundInterceptor,  # noqa: A002
        guard: SearchAttributeGuard,
    ) -> None:
        super().__init__(next)
        self._guard = guard

    async def start_child_workflow(
        self,
        input: worker.StartChildWorkflowInput,  # noqa: A002
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        if not workflow.unsafe.is_replaying():
            self._guard.look(input.search_attributes, input.args)
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:  # noqa: A002
        if not workflow.unsafe.is_replaying():
            self._guard.look(input.search_attributes, input.args)
        super().continue_as_new(input)


def _pairs(attributes: _Attributes) -> Iterable[tuple[str, Any]]:
    if isinstance(attributes, TypedSearchAttributes):
        pairs = cast("Iterable[SearchAttributePair[Any]]", attributes)
        return [(pair.key.name, pair.value) for pair in pairs]
    return () if attributes is None else attributes.items()


def _occurs(value: Any, payloads: Sequence[Payload]) -> bool:
    values: list[Any] = [*value] if isinstance(value, list) else [value]
    patterns = [pattern for item in values[:_MAX_VALUES] if (pattern := _pattern(item))]
    return any(
        pattern.search(payload.data[:_MAX_SIZE]) is not None
        for payload in payloads
        for pattern in patterns
    )


def _pattern(value: Any) -> re.Pattern[bytes] | None:
    """Return what finds a value in a payload, as a word of its own; None if it is too short."""
    match value:
        case str():
            forms = {value, json.dumps(value, ensure_ascii=False)[1:-1]}
        case datetime():
            # Without fractions and zone, which converters write in several ways.
            forms = {value.isoformat()[:19]}
        case bool():
            return None
        case int() | float():
            forms = {repr(value)}
        case _:
            return None
    if min(map(len, forms)) < _MIN_SIZE:
        return None
    # Before a text of some length, MessagePack has a byte that may be a letter.
    word = rb"(?<![0-9A-Za-z])" if max(map(len, forms)) < _MIN_LONG else b""
    either = b"|".join(re.escape(form.encode("utf-8", "replace")) for form in sorted(forms))
    end = b"" if isinstance(value, datetime) else rb"(?![0-9A-Za-z])"
    return re.compile(word + b"(?:" + either + b")" + end)

"""References to stored payloads, in all that a server keeps of a namespace.

Nothing may be overlooked, because what nothing refers to is deleted. So whatever could be a
reference and cannot be read is an error, and things are read in the order in which references move:
what starts workflows, open runs, closed runs, the runs that have begun meanwhile, and at last what
schedules keep of their runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution as Execution
from temporalio.api.workflowservice.v1 import (
    DescribeActivityExecutionRequest,
    DescribeNexusOperationExecutionRequest,
    DescribeScheduleRequest,
    DescribeWorkflowExecutionRequest,
    ListActivityExecutionsRequest,
    ListNexusOperationExecutionsRequest,
    ListSchedulesRequest,
)
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from sealwire.codecs import PayloadCodec
from sealwire.errors import ConfigurationError, SealwireError

from .history import find_payloads
from .nested_payloads import nested_payloads
from .reference_keys import References, referenced_key
from .schedulers import SCHEDULERS, last_workflow, scheduler_id

_TOGETHER: Final = 8  # histories that are read at once: a server limits requests
_OPEN: Final = "CloseTime IS NULL"
_CLOSED: Final = "CloseTime IS NOT NULL"
_LAG: Final = 3600.0  # seconds by which the clocks of server and client may differ


@dataclass
class ReferenceReader:
    """Reads the references of one namespace.

    Args:
        client: Reads; without a codec.
        codec: Decodes references that a codec has encoded.
        references: Where they are collected.
        advance: Called after each run.

    Attributes:
        runs: How many runs were read.
        others: How many schedules, and activities and operations that no workflow started.
    """

    client: Client
    codec: PayloadCodec
    references: References
    advance: Callable[[], object] = lambda: None
    runs: int = field(default=0, init=False)
    others: int = field(default=0, init=False)
    _last: dict[str, str] = field(default_factory=dict[str, str], init=False, repr=False)

    async def read(self) -> None:
        """Read all of them.

        Raises:
            RPCError: The server refuses, or does not answer.
            ConfigurationError: Something could not be read completely.
        """
        begun = time.time() - _LAG
        await self._read_schedules()
        await self._read_activities()
        await self._read_operations()
        since = time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(begun))
        for query in (_OPEN, _CLOSED, f"StartTime >= {since}"):
            async for runs in _groups(self.client.list_workflows(query)):
                await asyncio.gather(*map(self._read_run, runs))
        await self._read_schedulers()

    async def _read_run(self, run: WorkflowExecution) -> None:
        if run.close_time is None:  # the heartbeats of running activities are in no history
            execution = Execution(workflow_id=run.id, run_id=run.run_id)
            request = DescribeWorkflowExecutionRequest(
                namespace=self.client.namespace, execution=execution
            )
            ask = self.client.workflow_service.describe_workflow_execution
            await self._describe(ask(request, retry=True), _place(run))
        with suppress(_DeletedError):
            await self._read_history(run)
        self.runs += 1
        self.advance()

    async def _read_history(self, run: WorkflowExecution) -> None:
        handle = self.client.get_workflow_handle(run.id, run_id=run.run_id)
        number = 0
        events = handle.fetch_history_events(skip_archival=True)
        while (event := await _present(anext(events, None))) is not None:
            number += 1
            if event.event_id != number:
                raise _incomplete(run)
            await self.add(event, _place(run))
        if number < max(1, run.history_length):
            raise _incomplete(run)

    async def _read_schedules(self) -> None:
        service = self.client.workflow_service
        request = ListSchedulesRequest(namespace=self.client.namespace)
        async for listed in _all(service.list_schedules, request, "schedules"):
            ask = DescribeScheduleRequest(
                namespace=self.client.namespace, schedule_id=listed.schedule_id
            )
            place = f"the schedule {listed.schedule_id[:200]!r}"
            with suppress(_DeletedError):
                described = await _present(service.describe_schedule(ask, retry=True))
                await self.add(described, place)
                self._last[listed.schedule_id] = last_workflow(described)
            self.others += 1

    async def _read_schedulers(self) -> None:
        """Read what schedules pass on: a result is there when the run that gave it is gone.

        The last of all: each result was in a history that was read, or is here.
        """
        unseen = dict(self._last)
        async for runs in _groups(self.client.list_workflows(SCHEDULERS)):
            for run, is_read in zip(
                runs, await asyncio.gather(*map(self._read_scheduler, runs)), strict=True
            ):
                if is_read:
                    unseen.pop(scheduler_id(run.id), None)
        for schedule, workflow in unseen.items():
            if workflow and not await self._is_there(workflow):
                raise ConfigurationError(
                    f"the last run of the schedule {schedule[:200]!r} is gone, and what it passes "
                    "on to the next one cannot be seen: nothing is deleted; trigger the schedule, "
                    "or delete it"
                )

    async def _read_scheduler(self, run: WorkflowExecution) -> bool:
        with suppress(_DeletedError):
            await self._read_history(run)
            return True
        return False

    async def _is_there(self, workflow_id: str) -> bool:
        with suppress(_DeletedError):
            await _present(self.client.get_workflow_handle(workflow_id).describe())
            return True
        return False

    async def _read_activities(self) -> None:
        service = self.client.workflow_service
        request = ListActivityExecutionsRequest(namespace=self.client.namespace)
        async for listed in _all(service.list_activity_executions, request, "executions"):
            ask = DescribeActivityExecutionRequest(
                namespace=self.client.namespace,
                activity_id=listed.activity_id,
                run_id=listed.run_id,
                include_input=True,
                include_outcome=True,
                include_heartbeat_details=True,
                include_last_failure=True,
            )
            place = f"the activity {listed.activity_id[:200]!r}"
            await self._describe(service.describe_activity_execution(ask, retry=True), place)
            self.others += 1

    async def _read_operations(self) -> None:
        service = self.client.workflow_service
        request = ListNexusOperationExecutionsRequest(namespace=self.client.namespace)
        async for listed in _all(service.list_nexus_operation_executions, request, "operations"):
            ask = DescribeNexusOperationExecutionRequest(
                namespace=self.client.namespace,
                operation_id=listed.operation_id,
                run_id=listed.run_id,
                include_input=True,
                include_outcome=True,
            )
            place = f"the operation {listed.operation_id[:200]!r}"
            await self._describe(service.describe_nexus_operation_execution(ask, retry=True), place)
            self.others += 1

    async def _describe(self, asked: Awaitable[Message], place: str) -> None:
        with suppress(_DeletedError):
            await self.add(await _present(asked), place)

    async def add(self, message: Message, place: str) -> None:
        """Collect the references in anything that a server returns.

        Args:
            message: What it returns.
            place: What that is about, for messages.

        Raises:
            ConfigurationError: There is a reference that cannot be read.
        """
        for path, payload in find_payloads(message):
            for item in (payload, *nested_payloads(payload)):
                try:
                    key = await referenced_key(item, self.codec)
                except SealwireError as err:
                    raise ConfigurationError(
                        f"{place} has a reference to external storage at {path} that cannot be "
                        f"read ({err}): nothing is deleted"
                    ) from None
                if key is not None:
                    self.references.add(key)


class _DeletedError(Exception):
    """It was deleted since it was listed, and with it what it refers to."""


async def _present(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except RPCError as err:
        if err.status is not RPCStatusCode.NOT_FOUND:
            raise
    raise _DeletedError


async def _all(ask: Callable[..., Awaitable[Any]], request: Any, name: str) -> AsyncIterator[Any]:
    """Yield what a request lists on all its pages; nothing where the server does not know it."""
    while True:
        try:
            answer = await ask(request, retry=True)
        except RPCError as err:
            if err.status is RPCStatusCode.UNIMPLEMENTED:
                return
            raise
        for item in getattr(answer, name):
            yield item
        request.next_page_token = answer.next_page_token
        if not request.next_page_token:
            return


async def _groups(runs: AsyncIterator[WorkflowExecution]) -> AsyncIterator[list[WorkflowExecution]]:
    group: list[WorkflowExecution] = []
    async for run in runs:
        group.append(run)
        if len(group) == _TOGETHER:
            yield group
            group = []
    yield group


def _incomplete(run: WorkflowExecution) -> ConfigurationError:
    return ConfigurationError(
        f"the history of {_place(run)} could not be read completely: nothing is deleted"
    )


def _place(run: WorkflowExecution) -> str:
    return f"the workflow {run.id[:200]!r} (run {run.run_id})"

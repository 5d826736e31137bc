"""Where one workflow application is played twice: sealed, and in clear as the control."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import everywhere_table as table
from everywhere_places import Sight, all_places, sights
from everywhere_wire import Wire
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.temporal import SealwirePlugin

Mode = Literal["sealed", "clear"]
SEALED_ENCODING: Final = "binary/sealed-v1"
# The plugin's failure converter moves message and stack trace there.
ONLY_SEALED: Final = frozenset({"Failure.encoded_attributes"})


@dataclass(frozen=True)
class Application:
    """What the worker runs, and how.

    Args:
        workflows: Its workflows.
        activities: Its activities.
        nexus: The handlers of its Nexus services, in the namespace `other`.
        configuration: A part of `sealwire.toml`.
        queue: What the name of its task queue begins with.
        client: Further options of the clients.
        worker: Further options of the worker.
    """

    workflows: Sequence[type]
    activities: Sequence[Any] = ()
    nexus: Sequence[Any] = ()
    configuration: str = ""
    queue: str = "queue"
    client: Mapping[str, Any] = field(default_factory=dict[str, Any])
    worker: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Stage:
    """Clients and a worker, and the wire between them and the server.

    Args:
        mode: Whether they have the plugin.
        wire: What they are connected by.
        client: For the namespace `default`.
        other: For the namespace `other`.
        stranger: For `default`, without keys.
        queue: The worker's task queue.
    """

    mode: Mode
    wire: Wire
    client: Client
    other: Client
    stranger: Client
    queue: str

    @property
    def sealed(self) -> bool:
        return self.mode == "sealed"

    def requests(self, method: str) -> list[Message]:
        """Return the requests of a method that have passed the wire."""
        name = f"{method}Request"
        requests = (call.request for call in self.wire.calls() if not call.answers)
        return [request for request in requests if request.DESCRIPTOR.name == name]

    async def event(self, handle: WorkflowHandle[Any, Any], attributes: str) -> Any:
        """Wait for an event in a workflow's history, and return its attributes."""
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField(attributes):  # type: ignore[arg-type]
                return getattr(event, attributes)
        raise LookupError(attributes)

    async def endpoint(self, name: str) -> str:
        """Make a Nexus endpoint that leads from `default` to the worker in `other`."""
        worker = EndpointTarget.Worker(namespace="other", task_queue=self.queue)
        spec = EndpointSpec(name=name, target=EndpointTarget(worker=worker))
        ask = CreateNexusEndpointRequest(spec=spec)
        await self.client.operator_service.create_nexus_endpoint(ask)
        return name

    async def histories(self) -> list[HistoryEvent]:
        """Read, as a stranger, history and description of each workflow seen on the wire."""
        events: list[HistoryEvent] = []
        for namespace, workflow_id, run_id in self._executions():
            execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
            service = self.stranger.workflow_service
            try:
                await service.describe_workflow_execution(
                    DescribeWorkflowExecutionRequest(namespace=namespace, execution=execution)
                )
            except RPCError:  # of another namespace, or no workflow
                continue
            ask = GetWorkflowExecutionHistoryRequest(namespace=namespace, execution=execution)
            answer = await service.get_workflow_execution_history(ask)
            events += answer.history.events
        return events

    def _executions(self) -> set[tuple[str, str, str]]:
        return {
            (getattr(call.request, "namespace", ""), found.workflow_id, found.run_id)
            for call in self.wire.calls()
            for message in (call.request, *call.answers)
            for found in _executions_in(message)
        }

    def seen(self) -> list[Sight]:
        """Everything that passed the wire."""
        return [
            sight
            for call in self.wire.calls()
            for message in (call.request, *call.answers)
            for sight in sights(message)
        ]

    def undocumented(self) -> set[str]:
        """Return where something was in clear that no row of the documentation has in clear."""
        return _undocumented({sight.place for sight in self.seen() if _is_exposed(sight)})

    def differences(self, test: str) -> dict[str, set[str]]:
        """Compare what was seen with what the documentation says that `test` proves.

        Returns:
            The places where they differ, by what is wrong there; nothing if all is as it says.
        """
        sealed = table.places(table.SEALED, test)
        # Workers tell now and then what they are, under names such as `*_identity`.
        clear = {place for place in table.places(table.CLEAR, test) if not place.startswith("*_")}
        seen = self.seen()
        if not self.sealed:
            marked = {sight.place for sight in seen if sight.marked}
            found = {"no marker": table.unmatched((sealed | clear) - ONLY_SEALED, marked)}
        else:
            exposed = {sight.place for sight in seen if _is_exposed(sight)}
            full = {sight.place for sight in seen if SEALED_ENCODING in sight.encodings}
            found = {
                "in clear, and not documented": _undocumented(exposed),
                "in clear, and documented as sealed": table.matching(exposed, sealed),
                "documented as clear, and not seen": table.unmatched(clear, exposed),
                "documented as sealed, and not seen": _for_payloads(sealed) - full,
                "documented as empty, and seen": (exposed | full) & table.places(table.UNUSED),
            }
        if not sealed | clear:
            found["not documented"] = {test}
        return {wrong: set(places) for wrong, places in found.items() if places}


def _for_payloads(places: Iterable[str]) -> set[str]:
    return {place for place in places if place.partition("[")[0] in all_places()}


def _undocumented(exposed: set[str]) -> set[str]:
    return exposed - table.matching(exposed, table.places(table.CLEAR))


def _is_exposed(sight: Sight) -> bool:
    foreign = bool(sight.encodings - {SEALED_ENCODING})
    return (sight.marked or foreign) and not sight.inner


def _executions_in(message: Any) -> list[WorkflowExecution]:
    if isinstance(message, WorkflowExecution):
        return [message]
    found: list[WorkflowExecution] = []
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for item in value if descriptor.is_repeated else [value]:
            found += _executions_in(item)
    return found


@asynccontextmanager
async def staged(
    mode: Mode, config: Config, address: str, application: Application
) -> AsyncGenerator[Stage]:
    """Set the stage: connect through a wire of its own, and run the worker."""
    options: dict[str, Any] = {
        **application.client,
        **(
            {"plugins": [SealwirePlugin(config)]}
            if mode == "sealed"
            else {"data_converter": pydantic_data_converter}
        ),
    }
    queue = f"{application.queue}-{uuid.uuid4()}"
    with Wire(address) as wire, ThreadPoolExecutor(8) as threads:
        client = await Client.connect(wire.address, **options)
        other = await Client.connect(wire.address, namespace="other", **options)
        stranger = await Client.connect(wire.address)
        worker = Worker(
            client,
            task_queue=queue,
            workflows=application.workflows,
            activities=application.activities,
            activity_executor=threads,
            **application.worker,
        )
        async with AsyncExitStack() as workers:
            await workers.enter_async_context(worker)
            if application.nexus:
                handler = Worker(
                    other,
                    task_queue=queue,
                    workflows=application.workflows,
                    nexus_service_handlers=application.nexus,
                )
                await workers.enter_async_context(handler)
            yield Stage(mode, wire, client, other, stranger, queue)

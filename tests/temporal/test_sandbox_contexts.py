"""What the sandbox tells of payloads, told without going there: the same, and asked for less."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest
import sealwire_test_contexts as app
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import CommandType
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.client import Client
from temporalio.converter import (
    DataConverter,
    ExternalStorage,
    PayloadCodec,
    SerializationContext,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from temporalio.worker import ReplayerConfig, Worker, WorkflowInstance, WorkflowRunner
from temporalio.worker._command_aware_visitor import CommandInfo
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from sealwire.config import Config
from sealwire.temporal import SealwirePlugin, sandbox_runner
from sealwire.temporal.contexts import RememberedContexts

MakeConfig = Callable[..., Awaitable[Config]]


@dataclass
class Witness(PayloadCodec, WithSerializationContext):
    """Notes which context each payload is encoded and decoded with."""

    seen: list[tuple[str, Any, bytes]] = field(default_factory=list[tuple[str, Any, bytes]])
    context: SerializationContext | None = None

    def with_context(self, context: SerializationContext) -> Self:
        return replace(self, context=context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.seen += [("encode", self.context, payload.data) for payload in payloads]
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        self.seen += [("decode", self.context, payload.data) for payload in payloads]
        return list(payloads)


@dataclass
class Shelf(StorageDriver):
    """Notes for which workflow each payload is stored."""

    stored: list[Any] = field(default_factory=list[Any])
    payloads: list[Payload] = field(default_factory=list[Payload])

    def name(self) -> str:
        return "shelf"

    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        first = len(self.payloads)
        self.payloads += [Payload.FromString(payload.SerializeToString()) for payload in payloads]
        # The run's id is another one each time.
        target: Any = context.target
        stored = (target.id, target.type, target.namespace, bool(target.run_id))
        self.stored += [(stored, payload.data) for payload in payloads]
        return [StorageDriverClaim({"at": str(first + n)}) for n in range(len(payloads))]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        return [self.payloads[int(claim.claim_data["at"])] for claim in claims]


async def play(server: str, name: str, runner: WorkflowRunner, converter: DataConverter) -> Any:
    client = await Client.connect(server)
    workers = await Client.connect(server, data_converter=converter)
    async with Worker(
        workers,
        task_queue=name,
        workflows=[app.Parent, app.Child],
        activities=[app.echo],
        workflow_runner=runner,
    ):
        handle = await client.start_workflow(app.Parent.run, "x", id=name, task_queue=name)
        if converter.external_storage is None:
            assert len(await handle.result()) == 25
            assert await handle.query(app.Parent.asked, "y") == "y"
            return None
        return await workers.get_workflow_handle(name).result()


@pytest.mark.server
async def test_codecs_get_the_contexts_that_the_sandbox_tells(
    temporal_server: str, unique: str
) -> None:
    """Activities, local ones, children and signals: as with the SDK's own runner."""
    seen: list[list[Any]] = []
    for runner in (SandboxedWorkflowRunner(), sandbox_runner()):
        witness = Witness()
        await play(temporal_server, unique, runner, DataConverter(payload_codec=witness))
        seen.append(sorted(witness.seen, key=repr))
    assert seen[0] == seen[1]
    assert len({repr(context) for _, context, _ in seen[0]}) > 20


@pytest.mark.server
async def test_nobody_goes_into_the_sandbox_for_a_context(
    temporal_server: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the SDK that is installed, what it looks up is found from outside."""
    entered: list[object] = []

    def enter(_: object, command: object) -> None:
        entered.append(command)

    sandbox = "temporalio.worker.workflow_sandbox._runner._Instance"
    monkeypatch.setattr(f"{sandbox}.get_serialization_context", enter)
    await play(temporal_server, unique, sandbox_runner(), DataConverter(payload_codec=Witness()))
    assert not entered


def test_a_sandbox_of_another_shape_is_asked_itself() -> None:
    """Where a later SDK keeps the workflow elsewhere, nothing breaks."""
    for names in ({}, {"__temporal_in_sandbox": None}, {"__temporal_in_sandbox": Asked}):
        asked = Asked()
        vars(asked)["globals_and_locals"] = names
        RememberedContexts(asked, stores=False).get_serialization_context(None)
        assert asked.contexts == 1


@pytest.mark.server
async def test_drivers_get_the_contexts_that_the_sandbox_tells(
    temporal_server: str, unique: str
) -> None:
    """External storage is told for whom a payload is, as with the SDK's own runner."""
    everything: list[list[Any]] = []
    for runner in (SandboxedWorkflowRunner(), sandbox_runner()):
        shelf = Shelf()
        storage = ExternalStorage(drivers=[shelf], payload_size_threshold=1)
        await play(temporal_server, unique, runner, DataConverter(external_storage=storage))
        everything.append(sorted(shelf.stored, key=repr))
    assert everything[0] == everything[1]
    assert len({repr(target) for target, _ in everything[0]}) > 1


class Asked(WorkflowInstance):
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.contexts = 0
        self.targets = 0

    def activate(self, act: Any) -> Any:
        return act

    def get_serialization_context(self, command_info: Any) -> SerializationContext:
        self.contexts += 1
        return WorkflowSerializationContext("default", str(command_info))

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        self.targets += 1
        return StorageDriverStoreContext(
            target=StorageDriverWorkflowInfo(id="w", namespace="default")
        )

    def get_info(self) -> Any:
        return None

    def get_thread_id(self) -> int:
        return 7


def commands(count: int) -> list[CommandInfo]:
    return [CommandInfo(CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, n) for n in range(count)]


def test_the_sandbox_is_asked_once_for_a_command() -> None:
    """Before and after a task, as often as the SDK likes."""
    asked = Asked()
    instance = RememberedContexts(asked, stores=False)
    for _ in range(3):
        assert instance.activate(WorkflowActivation()) == WorkflowActivation()
        for command in (*commands(10), None):
            expected = WorkflowSerializationContext("default", str(command))
            assert expected == instance.get_serialization_context(command)
    assert asked.contexts == 11
    assert instance.get_info() is None
    assert instance.get_thread_id() == 7


def test_an_idle_workflow_keeps_few_contexts() -> None:
    """After a task with many commands, they are forgotten with the next one."""
    asked = Asked()
    instance = RememberedContexts(asked, stores=False)
    for _ in range(2):
        instance.activate(WorkflowActivation())
        for command in commands(100) * 3:
            instance.get_serialization_context(command)
    assert asked.contexts == 200


@pytest.mark.parametrize("stores", [True, False])
def test_only_external_storage_asks_where_to(*, stores: bool) -> None:
    """Without it, nobody goes into the sandbox for that."""
    asked = Asked()
    target = RememberedContexts(asked, stores=stores).get_external_store_context(None).target
    assert (target is not None, asked.targets) == (stores, int(stores))


@pytest.mark.parametrize(("text", "stores"), [("", False), ('[storage]\nfolder = "x"\n', True)])
async def test_the_plugin_knows_whether_there_is_storage(
    temporal_server: str, make_config: MakeConfig, text: str, *, stores: bool
) -> None:
    """A worker's and a replayer's sandbox are told."""
    plugin = SealwirePlugin(await make_config(text), namespace="default")
    client = await Client.connect(temporal_server, plugins=[plugin])
    worker: Any = plugin.configure_worker({"client": client, "task_queue": "q"})
    for runner in (
        worker.get("workflow_runner"),
        plugin.configure_replayer(ReplayerConfig()).get("workflow_runner"),
    ):
        assert runner == sandbox_runner(stores=stores)

"""Search attributes on a real server: found by tokens, and warned of where they show too much."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import sealwire_test_search as app
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    CreateNexusEndpointRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WithStartWorkflowOperation,
    WorkflowContinuedAsNewError,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.worker import Replayer, Worker

from sealwire.config import Config
from sealwire.converter import CompositePayloadConverter, default_converters
from sealwire.keys import KeySuite
from sealwire.temporal import SealwirePlugin, SearchAttributeGuard, sandbox_runner
from sealwire.temporal.history import search

MakeConfig = Callable[..., Awaitable[Config]]

PAYMENT: Final = app.Payment("Zoë Müller", "4111111111111111", 1815)
NOTHING: Final = app.Payment("", "", 0)
LIMIT: Final = timedelta(seconds=20)
LOGGER: Final = "sealwire.temporal"


@pytest.fixture(scope="module")
def attributes(full_server: str) -> str:
    """The server's address, once it knows the attributes of the application."""

    async def add() -> None:
        client = await Client.connect(full_server)
        types = {
            app.CUSTOMER.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
            app.CARD.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
            app.NAMES.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
            app.AMOUNT.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
        }
        operator = client.operator_service
        await operator.add_search_attributes(
            AddSearchAttributesRequest(search_attributes=types, namespace="default")
        )
        known: set[str] = set()
        while not set(types) <= known:
            listed = await operator.list_search_attributes(
                ListSearchAttributesRequest(namespace="default")
            )
            known = set(listed.custom_attributes)

    asyncio.run(add())
    return full_server


def pairs(*given: tuple[SearchAttributeKey[Any], Any]) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(key, value) for key, value in given])


async def found(client: Client, query: str, expected: int) -> set[str]:
    """Ask until the index, which the server fills a moment later, has so many."""
    ids: set[str] = set()
    async with asyncio.timeout(20):
        while len(ids) < expected:
            ids = {item.id async for item in client.list_workflows(query)}
    return ids


async def test_workflows_are_found_by_tokens_of_all_keys(
    attributes: str, make_config: MakeConfig, unique: str
) -> None:
    """Started before and after a rotation, both are found by the name that nobody can read."""
    config = await make_config(f'[temporal]\nfold_case = ["{app.CUSTOMER.name}"]\n')
    await config.admin.rotate(suite=KeySuite.INDEX)
    client = await Client.connect(attributes, plugins=[SealwirePlugin(config)])
    index = config.blind_index()

    async def start(name: str, customer: str) -> str:
        token = index.token(app.CUSTOMER.name, customer)
        await client.start_workflow(
            app.Quiet.run,
            PAYMENT,
            id=name,
            task_queue=unique,
            search_attributes=pairs((app.CUSTOMER, token)),
        )
        return token

    before = await start(f"{unique}-1", PAYMENT.customer)
    await start(f"{unique}-2", "Ada Lovelace")
    await config.admin.rotate(suite=KeySuite.INDEX, delay=0.0)
    await config.loaded_keyring.refresh()
    after = await start(f"{unique}-3", PAYMENT.customer.upper())

    query = index.query(app.CUSTOMER.name, PAYMENT.customer)
    assert {f"{unique}-1", f"{unique}-3"} == await found(client, query, 2)
    assert before != after
    for name in (f"{unique}-1", f"{unique}-3"):
        description = await client.get_workflow_handle(name).describe()
        assert set() == search(description.raw_description, ["Zo", "Müller", "MÜLLER", "4111"])


async def test_a_workflow_asks_an_activity_for_its_token(
    attributes: str, make_config: MakeConfig, unique: str
) -> None:
    """The token is in the history, sealed, so a replay after a rotation gets the same one."""
    config = await make_config()
    await config.admin.rotate(suite=KeySuite.INDEX)
    client = await Client.connect(attributes, plugins=[SealwirePlugin(config)])
    index = config.blind_index()
    tokens = app.Tokens(index).token
    async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS, activities=[tokens]):
        token = await client.execute_workflow(app.Pays.run, PAYMENT, id=unique, task_queue=unique)
    query = index.query(app.CUSTOMER.name, PAYMENT.customer)
    assert {unique} == await found(client, query, 1)

    await config.admin.rotate(suite=KeySuite.INDEX, delay=0.0)
    await config.loaded_keyring.refresh()
    assert token != index.token(app.CUSTOMER.name, PAYMENT.customer)
    history = await client.get_workflow_handle(unique).fetch_history()
    replayer = Replayer(
        workflows=app.WORKFLOWS, plugins=[SealwirePlugin(config, namespace="default")]
    )
    assert (await replayer.replay_workflow(history)).replay_failure is None


# The guard


@pytest.fixture
def guard() -> SearchAttributeGuard:
    return SearchAttributeGuard(CompositePayloadConverter())


@pytest.fixture
async def guarded(attributes: str, make_config: MakeConfig, guard: SearchAttributeGuard) -> Client:
    plugin = SealwirePlugin(await make_config())
    return await Client.connect(attributes, plugins=[plugin], interceptors=[guard])


def worker(client: Client, queue: str) -> Worker:
    return Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=[app.note])


async def begun(
    client: Client, name: str, how: str, *, queue: str | None = None, payment: Any = PAYMENT
) -> WorkflowHandle[app.Waits, None]:
    """Start a workflow that waits, and wait until it does."""
    handle = await client.start_workflow(
        app.Waits.run, args=[how, payment], id=name, task_queue=queue or name
    )
    async with asyncio.timeout(20):
        while not await handle.query(app.Waits.has_begun):
            pass
    return handle


async def endpoint(client: Client, name: str) -> str:
    """Make a Nexus endpoint that nobody answers behind."""
    target = EndpointTarget(worker=EndpointTarget.Worker(namespace="other", task_queue=name))
    ask = CreateNexusEndpointRequest(spec=EndpointSpec(name=name, target=target))
    await client.operator_service.create_nexus_endpoint(ask)
    return name


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The attributes that were warned of; fails if a warning shows a value."""
    records = [record for record in caplog.records if record.name == LOGGER]
    text = "".join(record.getMessage() for record in records)
    assert not any(value in text for value in ("4111", "Zo", "1815"))
    return [str(record.args[0]) for record in records if isinstance(record.args, tuple)]


async def test_starting_with_a_sealed_value_in_the_open_warns_once(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The number of the card is in the argument and in an attribute; the token is not."""
    shown = pairs((app.CARD, PAYMENT.card), (app.CUSTOMER, "0c5fa2"), (app.AMOUNT, 1815))
    for number in range(2):
        await guarded.start_workflow(
            app.Quiet.run,
            PAYMENT,
            id=f"{unique}-{number}",
            task_queue=unique,
            search_attributes=shown,
        )
    assert sorted([app.AMOUNT.name, app.CARD.name]) == sorted(warned(caplog))


async def test_every_way_to_start_is_looked_at(
    guarded: Client, guard: SearchAttributeGuard, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Signals and updates that start a workflow, and schedules, have arguments, too."""
    operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        app.Quiet.run,
        PAYMENT,
        id=f"{unique}-update",
        task_queue=unique,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        search_attributes=pairs((app.CARD, "the text of an update")),
    )
    async with Worker(guarded, task_queue=unique, workflows=app.WORKFLOWS):
        await guarded.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
            app.Quiet.change, "about the text of an update", start_workflow_operation=operation
        )
    schedule = await guarded.create_schedule(
        unique,
        Schedule(
            action=ScheduleActionStartWorkflow(
                app.Quiet.run,
                PAYMENT,
                id=unique,
                task_queue=unique,
                typed_search_attributes=pairs((app.CUSTOMER, PAYMENT.customer)),
            ),
            spec=ScheduleSpec(),
        ),
        search_attributes=pairs((app.AMOUNT, PAYMENT.amount)),
    )
    await schedule.delete()
    assert [app.CARD.name, app.AMOUNT.name, app.CUSTOMER.name] == warned(caplog)


async def test_activities_and_operations_of_a_client_are_looked_at(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that no workflow starts have attributes of their own."""
    await guarded.start_activity(
        app.note,
        PAYMENT.card,
        id=unique,
        task_queue=unique,
        start_to_close_timeout=LIMIT,
        search_attributes=pairs((app.CARD, PAYMENT.card)),
    )
    desk = guarded.create_nexus_client(app.Desk, await endpoint(guarded, unique))
    await desk.start_operation(
        app.Desk.ask,
        PAYMENT.customer,
        id=unique,
        search_attributes=pairs((app.CUSTOMER, PAYMENT.customer)),
    )
    assert [app.CARD.name, app.CUSTOMER.name] == warned(caplog)


Updater = Callable[[ScheduleUpdateInput], ScheduleUpdate | None]


def new_arguments(given: ScheduleUpdateInput) -> ScheduleUpdate:
    """The arguments show what the schedule has had in an attribute all the time."""
    schedule = given.description.schedule
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    schedule.action.args = [PAYMENT]
    return ScheduleUpdate(schedule)


def new_attributes(given: ScheduleUpdateInput) -> ScheduleUpdate:
    """Attributes of the workflow show its arguments, which are taken over as they are stored."""
    schedule = given.description.schedule
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    schedule.action.typed_search_attributes = pairs((app.CUSTOMER, "Ada Lovelace"))
    return ScheduleUpdate(schedule, pairs((app.AMOUNT, 1234)))


def no_update(_: ScheduleUpdateInput) -> None:
    """Nothing is to change."""


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (new_arguments, [app.CARD.name]),
        (new_attributes, [app.AMOUNT.name, app.CUSTOMER.name]),
        (no_update, []),
    ],
)
async def test_updates_of_schedules_are_looked_at(
    guarded: Client,
    unique: str,
    caplog: pytest.LogCaptureFixture,
    update: Updater,
    expected: list[str],
    is_async: bool,
) -> None:
    """What the update makes of the schedule is looked at, and reaches the server."""

    async def later(given: ScheduleUpdateInput) -> ScheduleUpdate | None:
        return update(given)

    action = ScheduleActionStartWorkflow(
        app.Quiet.run, app.Payment("Ada Lovelace", "none", 1234), id=unique, task_queue=unique
    )
    schedule = await guarded.create_schedule(
        unique,
        Schedule(action=action, spec=ScheduleSpec()),
        search_attributes=pairs((app.CARD, PAYMENT.card)),
    )
    try:
        await schedule.update(later if is_async else update)
        after = await schedule.describe()
    finally:
        await schedule.delete()
    assert expected == warned(caplog)
    assert (after.info.last_updated_at is not None) == bool(expected)


async def test_what_a_workflow_shows_of_its_arguments_warns(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An upsert in a workflow, in the sandbox, is seen when the workflow completes."""
    async with worker(guarded, unique):
        await guarded.execute_workflow(app.Upserts.run, PAYMENT, id=unique, task_queue=unique)
    assert [app.CARD.name] == warned(caplog)


@pytest.mark.parametrize("how", ["fail", "continue-as-new", "cancel"])
async def test_workflows_are_looked_at_however_they_end(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """A failure, a cancellation and a next run with other arguments are ends, too."""
    async with worker(guarded, unique):
        handle: WorkflowHandle[Any, Any]
        if how == "cancel":
            handle = await begun(guarded, unique, how)
            await handle.cancel()
        else:
            handle = await guarded.start_workflow(
                app.Ends.run, args=[how, PAYMENT], id=unique, task_queue=unique
            )
        with pytest.raises((WorkflowFailureError, WorkflowContinuedAsNewError)):
            await handle.result(follow_runs=False)
    assert [app.CARD.name] == warned(caplog)


@pytest.mark.parametrize(
    "how", ["activity", "local activity", "child", "signal to another", "operation"]
)
async def test_a_running_workflow_is_looked_at_when_it_does_something(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """It may run for months, and its attribute is warned of at the next thing that it starts."""
    await endpoint(guarded, f"{unique}-other")
    async with worker(guarded, unique):
        if how == "signal to another":
            await begun(guarded, f"{unique}-other", "", queue=unique, payment=NOTHING)
        handle = await begun(guarded, unique, how)
        assert [app.CARD.name] == warned(caplog)
        assert WorkflowExecutionStatus.RUNNING == (await handle.describe()).status


async def test_a_running_workflow_is_looked_at_when_it_is_told_something(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Signals and updates count, and so do their arguments."""
    async with worker(guarded, unique):
        updated = await begun(guarded, f"{unique}-update", "", queue=unique)
        signalled = await begun(guarded, f"{unique}-signal", "", queue=unique, payment=NOTHING)
        assert [] == warned(caplog)
        await updated.execute_update("change", "")  # pyright: ignore[reportUnknownMemberType]
        assert [app.CARD.name] == warned(caplog)
        await signalled.signal(app.Waits.name, PAYMENT)
        async with asyncio.timeout(20):
            while len(warned(caplog)) < 2:
                await signalled.query(app.Waits.has_begun)
        assert [app.CARD.name, app.CUSTOMER.name] == warned(caplog)


async def test_a_list_that_grows_is_looked_at_again(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the same list of keywords that is set once more."""
    async with worker(guarded, unique):
        await guarded.execute_workflow(app.Grows.run, PAYMENT, id=unique, task_queue=unique)
    assert [app.NAMES.name] == warned(caplog)


async def test_attributes_that_the_next_run_keeps_are_looked_at(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They may show what is an argument of the next run only, which nobody has begun yet."""
    async with worker(guarded, unique):
        handle = await guarded.start_workflow(
            app.Passes.run, args=["41111111", "11111111"], id=unique, task_queue=unique
        )
        with pytest.raises(WorkflowContinuedAsNewError):
            await handle.result(follow_runs=False)
    assert [app.CARD.name] == warned(caplog)


async def test_attributes_from_elsewhere_are_looked_at(
    guarded: Client, attributes: str, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever starts the workflow, the worker looks at what it begins with, signalled or not."""
    other = await Client.connect(attributes, data_converter=guarded.data_converter)
    async with worker(guarded, unique):
        handle = await other.start_workflow(
            app.Waits.run,
            args=["", PAYMENT],
            id=unique,
            task_queue=unique,
            search_attributes=pairs((app.CUSTOMER, PAYMENT.customer)),
            start_signal="tell",
            start_signal_args=[""],
        )
        await handle.query(app.Waits.has_begun)
    assert [app.CUSTOMER.name] == warned(caplog)


async def test_a_replay_is_not_looked_at(
    guarded: Client, make_config: MakeConfig, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It was looked at once already; and the guard leaves nothing in the history."""
    async with worker(guarded, unique):
        handle = await begun(guarded, unique, "activity")
        await handle.signal(app.Waits.tell, "")
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [app.CARD.name] == warned(caplog)
    history = await handle.fetch_history()
    for interceptors in ([SearchAttributeGuard(CompositePayloadConverter())], []):
        replayer = Replayer(
            workflows=app.WORKFLOWS,
            data_converter=guarded.data_converter,
            interceptors=interceptors,
            workflow_runner=sandbox_runner(),
        )
        assert (await replayer.replay_workflow(history)).replay_failure is None
    assert [app.CARD.name] == warned(caplog)


async def test_a_guard_that_cannot_look_fails_no_workflow(
    attributes: str, make_config: MakeConfig, unique: str
) -> None:
    """The converter that it was given may be of no use."""

    class Broken:
        def to_payloads(self, values: Any) -> Any:
            return None

    plugin = SealwirePlugin(await make_config())
    guard = SearchAttributeGuard(Broken())
    client = await Client.connect(attributes, plugins=[plugin], interceptors=[guard])
    async with worker(client, unique), asyncio.timeout(20):
        await client.execute_workflow(app.Upserts.run, PAYMENT, id=unique, task_queue=unique)


@pytest.mark.parametrize("how", ["child", "continue-as-new", "signal with start"])
async def test_what_a_workflow_starts_is_looked_at(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """A child, the next run or another workflow may show what its argument seals."""
    async with worker(guarded, unique):
        await guarded.execute_workflow(
            app.Starts.run, args=[how, PAYMENT], id=unique, task_queue=unique
        )
    assert [app.CARD.name] == warned(caplog)


MOMENT: Final = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


@pytest.mark.parametrize("values", ["json/plain", "binary/msgpack"])
@pytest.mark.parametrize(
    ("value", "argument", "expected"),
    [
        ("gold", {"plan": "gold"}, True),
        ("gold", {"plan": "golden"}, False),
        ("gold", {"plan": "marigold"}, False),
        ("EU", {"region": "EU"}, False),
        ('say "hi"', ['say "hi"'], True),
        ("x" * 40, ["x" * 40], True),
        ("4111-22", ["card 4111-22"], True),
        (True, [True], False),
        (7, [7], False),
    ],
)
def test_values_are_found_in_any_encoding(
    caplog: pytest.LogCaptureFixture, values: Any, value: Any, argument: Any, expected: bool
) -> None:
    """A value counts as a word of its own, of four characters and more."""
    converter = CompositePayloadConverter(*default_converters(values))
    SearchAttributeGuard(converter).look({"Plan": [7, value]}, [argument])
    assert ["Plan"] * expected == warned(caplog)


@pytest.mark.parametrize(
    ("value", "argument", "expected"),
    [
        (18150, {"amount": 18150}, True),
        (18150, {"amount": 118150}, False),
        (-1.25, {"amount": -1.25}, True),
        (MOMENT, {"at": MOMENT}, True),
        (MOMENT, {"at": MOMENT + timedelta(days=1)}, False),
    ],
)
def test_numbers_and_times_are_found_in_json(
    caplog: pytest.LogCaptureFixture,
    guard: SearchAttributeGuard,
    value: Any,
    argument: Any,
    expected: bool,
) -> None:
    """They are compared as JSON writes them."""
    guard.look({"Plan": [7, value]}, [argument])
    assert ["Plan"] * expected == warned(caplog)


def test_the_work_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """After so many looks at an attribute nothing is converted any more; nor beyond 64 KiB."""

    class Counting(CompositePayloadConverter):
        calls = 0

        def to_payloads(self, values: Any) -> list[Any]:
            Counting.calls += 1
            return super().to_payloads(values)

    guard = SearchAttributeGuard(Counting(), checks=3)
    for _ in range(10):
        guard.look({"Plan": ["gold"]}, ["silver"])
    guard.look({}, ["gold"])
    guard.look(None, ["gold"])
    assert 3 == Counting.calls
    guard.look({"Plan": ["gold"]}, ["gold"])
    SearchAttributeGuard(CompositePayloadConverter()).look({"P": ["gold"]}, ["." * 70_000 + "gold"])
    assert [] == warned(caplog)


def test_what_does_not_convert_is_left_to_the_client(
    guard: SearchAttributeGuard, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is the client's to raise, from the conversion that counts."""
    guard.look({"Plan": ["gold"]}, [object()])
    assert [] == warned(caplog)


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)

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
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WithStartWorkflowOperation,
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
from sealwire.temporal import SealwirePlugin, SearchAttributeGuard
from sealwire.temporal.history import search

MakeConfig = Callable[..., Awaitable[Config]]

PAYMENT: Final = app.Payment("Zoë Müller", "4111111111111111", 1815)
LOGGER: Final = "sealwire.temporal"


@pytest.fixture(scope="module")
def attributes(temporal_server: str) -> str:
    """The server's address, once it knows the attributes of the application."""

    async def add() -> None:
        client = await Client.connect(temporal_server)
        types = {
            app.CUSTOMER.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
            app.CARD.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
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
    return temporal_server


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


async def test_what_a_workflow_shows_of_its_arguments_warns(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An upsert in a workflow, in the sandbox, is seen when the workflow completes."""
    async with Worker(guarded, task_queue=unique, workflows=app.WORKFLOWS):
        await guarded.execute_workflow(app.Upserts.run, PAYMENT, id=unique, task_queue=unique)
    assert [app.CARD.name] == warned(caplog)


@pytest.mark.parametrize("how", ["child", "continue-as-new"])
async def test_what_a_workflow_starts_is_looked_at(
    guarded: Client, unique: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """A child, or the next run, may show what its argument seals."""
    async with Worker(guarded, task_queue=unique, workflows=app.WORKFLOWS):
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

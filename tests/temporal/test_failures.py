"""Failures whose message, stack trace and type the server cannot read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sealwire_test_failing as app
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    ChildWorkflowError,
)
from temporalio.worker import Worker

from sealwire.config import Config
from sealwire.temporal import (
    ClearFailureConverter,
    EncodedFailureConverter,
    EncodedTypeFailureConverter,
    SealwirePlugin,
    data_converter,
)
from sealwire.temporal.history import search

MakeConfig = Callable[..., Awaitable[Config]]
TYPES = '[temporal]\nfailures = "encode-type"\n'
THREAD = ThreadPoolExecutor(1)
CLEAR = DataConverter.default.payload_converter


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as it is after it was raised, with a stack trace."""
    try:
        raise error from cause
    except type(error) as err:
        return err


def encoded(converter: Any, error: BaseException) -> Failure:
    failure = Failure()
    converter().to_failure(error, CLEAR, failure)
    return failure


def clear_parts(failure: Failure) -> list[tuple[str, str, str]]:
    """Message, stack trace and type of a failure and its causes, as the server sees them."""
    info = failure.application_failure_info
    parts = [(failure.message, failure.stack_trace, info.type)]
    return parts + (clear_parts(failure.cause) if failure.HasField("cause") else [])


ERROR = caught(
    ApplicationError(
        "MARKER-message",
        "detail",
        type="MARKER-type",
        next_retry_delay=timedelta(seconds=3),
        category=ApplicationErrorCategory.BENIGN,
    ),
    caught(ValueError("MARKER-cause")),
)


@pytest.mark.parametrize(
    ("converter", "clear"),
    [
        (
            EncodedFailureConverter,
            [("Encoded failure", "", "MARKER-type"), ("Encoded failure", "", "ValueError")],
        ),
        (
            EncodedTypeFailureConverter,
            [("Encoded failure", "", "SealedFailure"), ("Encoded failure", "", "SealedFailure")],
        ),
    ],
)
def test_what_stays_in_clear(converter: Any, clear: list[tuple[str, str, str]]) -> None:
    """Of a failure and its cause, the server sees no message and no stack trace, and no type."""
    assert clear == clear_parts(encoded(converter, ERROR))


@pytest.mark.parametrize("reader", [ClearFailureConverter, EncodedTypeFailureConverter])
@pytest.mark.parametrize(
    "writer", [ClearFailureConverter, EncodedFailureConverter, EncodedTypeFailureConverter]
)
def test_failures_come_back_as_they_were(writer: Any, reader: Any) -> None:
    """Message, type, details, delay, category and cause are those of the error, however written."""
    error = reader().from_failure(encoded(writer, ERROR), CLEAR)
    assert isinstance(error, ApplicationError)
    assert ("MARKER-message", "MARKER-type", ("detail",)) == (
        error.message,
        error.type,
        tuple(error.details),
    )
    assert timedelta(seconds=3) == error.next_retry_delay
    assert ApplicationErrorCategory.BENIGN is error.category
    assert not error.non_retryable
    assert isinstance(error.cause, ApplicationError)
    assert ("MARKER-cause", "ValueError") == (error.cause.message, error.cause.type)
    assert "caught" in (error.failure or Failure()).stack_trace


def test_what_is_passed_on_is_encoded_again() -> None:
    """A failure that was read and is raised once more shows nothing, whoever wrote its causes."""
    foreign = Failure(message="MARKER-foreign", source="GoSDK", stack_trace="MARKER-stack")
    foreign.application_failure_info.type = "MARKER-foreign-type"
    foreign.cause.message = "MARKER-foreign-cause"
    foreign.cause.application_failure_info.SetInParent()
    converter = EncodedTypeFailureConverter()
    first = converter.from_failure(foreign, CLEAR)
    failure = encoded(EncodedTypeFailureConverter, caught(first))
    assert [("Encoded failure", "", "SealedFailure"), ("Encoded failure", "", "")] == clear_parts(
        failure
    )
    assert failure.source == "GoSDK"
    again = converter.from_failure(failure, CLEAR)
    assert isinstance(again, ApplicationError)
    assert ("MARKER-foreign", "MARKER-foreign-type") == (again.message, again.type)
    assert isinstance(again.cause, ApplicationError)
    assert again.cause.message == "MARKER-foreign-cause"


def test_foreign_failures_are_read_as_they_are() -> None:
    """A failure of another SDK, encoded or not, is read as the SDK reads it."""
    for failure in (
        encoded(DefaultFailureConverter, ERROR),
        encoded(lambda: DefaultFailureConverter(encode_common_attributes=True), ERROR),
    ):
        ours = EncodedTypeFailureConverter().from_failure(failure, CLEAR)
        theirs = DefaultFailureConverter().from_failure(failure, CLEAR)
        assert (str(theirs), str(theirs.__cause__)) == (str(ours), str(ours.__cause__))


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"type":7,"non_retryable":1}', b"no JSON"])
def test_a_type_that_cannot_be_read_is_not_missed(data: bytes) -> None:
    """Attributes that hold no type leave the neutral one, and the failure is still an error."""
    failure = encoded(EncodedTypeFailureConverter, ERROR)
    failure.encoded_attributes.data = data
    error = EncodedTypeFailureConverter().from_failure(failure, CLEAR)
    assert isinstance(error, ApplicationError)
    assert "SealedFailure" == error.type


def test_what_nobody_could_read_is_passed_on_unread() -> None:
    """Encoded attributes that were not readable here are not replaced by the neutral message."""
    failure = encoded(EncodedFailureConverter, ERROR)
    failure.encoded_attributes.metadata["encoding"] = b"binary/unknown"
    error = EncodedFailureConverter().from_failure(failure, CLEAR)
    assert failure.encoded_attributes == encoded(EncodedFailureConverter, error).encoded_attributes


def test_a_message_like_the_neutral_one_hides_nothing_less() -> None:
    """A failure whose own message is the neutral one is encoded when it is passed on, too."""
    first = encoded(EncodedTypeFailureConverter, caught(ApplicationError("Encoded failure")))
    read = EncodedTypeFailureConverter().from_failure(first, CLEAR)
    assert "caught" in (getattr(read, "failure", None) or Failure()).stack_trace
    again = encoded(EncodedTypeFailureConverter, read)
    assert clear_parts(first) == clear_parts(again) == [("Encoded failure", "", "")]
    assert first.encoded_attributes == again.encoded_attributes


async def test_the_section_chooses_the_converter(make_config: MakeConfig) -> None:
    """`failures` names what is encoded; without it, message and stack trace are."""
    chosen = [
        data_converter(await make_config(text, name=name)).failure_converter_class
        for name, text in (
            ("a", ""),
            ("b", '[temporal]\nfailures = "clear"\n'),
            ("c", '[temporal]\nfailures = "encode"\n'),
            ("d", TYPES),
        )
    ]
    assert [
        EncodedFailureConverter,
        ClearFailureConverter,
        EncodedFailureConverter,
        EncodedTypeFailureConverter,
    ] == chosen


async def shown(server: str, name: str) -> set[str]:
    """Which markers and type names somebody without keys sees in a history, policies aside."""
    plain = await Client.connect(server)
    found: set[str] = set()
    async for event in plain.get_workflow_handle(name).fetch_history_events():
        if not event.HasField("activity_task_scheduled_event_attributes"):
            found |= search(event, ["MARKER", "CardDeclinedError", "KeyError", "Other"])
    return found


@pytest.mark.server
@pytest.mark.parametrize("function", ["charge", "charge_in_thread", "local"])
@pytest.mark.parametrize(("how", "attempts"), [("CardDeclinedError", 1), ("Other", 3)])
@pytest.mark.parametrize("text", ["", TYPES])
async def test_retry_policies_know_encoded_types(
    temporal_server: str,
    make_config: MakeConfig,
    unique: str,
    text: str,
    how: str,
    attempts: int,
    function: str,
) -> None:
    """An activity is retried or not as its policy says, whether the server sees the type or not."""
    config = await make_config(text)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with Worker(
        client,
        task_queue=unique,
        workflows=app.WORKFLOWS,
        activities=app.ACTIVITIES,
        activity_executor=THREAD,
    ):
        result = await client.execute_workflow(
            app.Shop.run, args=[function, how, False], id=unique, task_queue=unique
        )
    assert [how, "MARKER-message", False] == result
    assert attempts == app.ATTEMPTS[unique]
    seen = await shown(temporal_server, unique)
    assert (set() if text else {how}) == seen - {"KeyError"}


@pytest.mark.server
async def test_an_exception_of_any_class_is_restored(
    temporal_server: str, make_config: MakeConfig, unique: str
) -> None:
    """The client sees the class name, the message and the details that the server does not."""
    config = await make_config(TYPES)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS, activities=[app.charge]):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(
                app.Shop.run, args=["charge", "plain", True], id=unique, task_queue=unique
            )
    error = failed.value.cause
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, ApplicationError)
    assert ("CardDeclinedError", "MARKER-message") == (error.cause.type, error.cause.message)
    assert set() == await shown(temporal_server, unique)


@pytest.mark.server
@pytest.mark.parametrize(("type_", "attempts"), [("CardDeclinedError", 1), ("Other", 3)])
async def test_workflows_are_retried_by_encoded_types(
    temporal_server: str, make_config: MakeConfig, unique: str, type_: str, attempts: int
) -> None:
    """A workflow and a child that fail with a final type are not run again, and others are."""
    config = await make_config(TYPES)
    client = await Client.connect(temporal_server, plugins=[SealwirePlugin(config)])
    policy = RetryPolicy(
        initial_interval=timedelta(milliseconds=10),
        maximum_attempts=3,
        non_retryable_error_types=["CardDeclinedError"],
    )
    async with Worker(client, task_queue=unique, workflows=app.WORKFLOWS):
        with pytest.raises(WorkflowFailureError) as alone:
            await client.execute_workflow(
                app.Insolvent.run, type_, id=unique, task_queue=unique, retry_policy=policy
            )
        with pytest.raises(WorkflowFailureError) as parent:
            await client.execute_workflow(
                app.Parent.run, type_, id=f"{unique}-parent", task_queue=unique
            )
    child = parent.value.cause
    assert isinstance(child, ChildWorkflowError)
    for error in (alone.value.cause, child.cause):
        assert isinstance(error, ApplicationError)
        assert (type_, f"MARKER-message {attempts}") == (error.type, error.message)

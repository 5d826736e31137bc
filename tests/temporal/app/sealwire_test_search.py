"""Workflows with search attributes: tokens, and values that should have been tokens."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import nexusrpc
from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError

from sealwire.keys import BlindIndex

CUSTOMER = SearchAttributeKey.for_keyword("SealwireCustomer")
CARD = SearchAttributeKey.for_keyword("SealwireCard")
NAMES = SearchAttributeKey.for_keyword_list("SealwireNames")
AMOUNT = SearchAttributeKey.for_int("SealwireAmount")


@dataclass
class Payment:
    customer: str
    card: str
    amount: int


@dataclass
class Tokens:
    """The activity that a workflow asks for a token."""

    index: BlindIndex

    @activity.defn
    async def token(self, attribute: str, value: str) -> str:
        return self.index.token(attribute, value)


@workflow.defn
class Pays:
    @workflow.run
    async def run(self, payment: Payment) -> str:
        token: str = await workflow.execute_local_activity_method(
            Tokens.token,
            args=[CUSTOMER.name, payment.customer],
            start_to_close_timeout=timedelta(seconds=10),
        )
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [CUSTOMER.value_set(token)]
        )
        return token


@workflow.defn
class Upserts:
    @workflow.run
    async def run(self, payment: Payment) -> None:
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [CARD.value_set(payment.card), CUSTOMER.value_set("no part of any argument")]
        )


@workflow.defn
class Starts:
    @workflow.run
    async def run(self, how: str, payment: Payment) -> None:
        shown = TypedSearchAttributes([SearchAttributePair(CARD, payment.card)])
        if how == "child":
            await workflow.execute_child_workflow(Quiet.run, payment, search_attributes=shown)
        elif how == "signal with start":
            await workflow.signal_with_start_workflow(
                "Quiet",
                args=[payment],
                id=workflow.info().workflow_id + "-other",
                task_queue="nobody's",
                signal="tell",
                signal_args=[],
                search_attributes=shown,
            )
        else:
            workflow.continue_as_new(payment, workflow=Quiet.run, search_attributes=shown)


def show(payment: Payment) -> None:
    workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
        [CARD.value_set(payment.card)]
    )


@workflow.defn
class Ends:
    """Shows the card, and ends as it is told."""

    @workflow.run
    async def run(self, how: str, payment: Payment) -> None:
        show(payment)
        if how == "fail":
            raise ApplicationError("told so")
        if how == "continue-as-new":
            workflow.continue_as_new(Payment("", "", 0), workflow=Quiet.run)
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Passes:
    """Shows a card that is none of its arguments, and passes it on to the next run."""

    @workflow.run
    async def run(self, half: str, other: str) -> None:
        payment = Payment("", half + other, 0)
        show(payment)
        workflow.continue_as_new(payment, workflow=Quiet.run, task_queue="nobody's")


@nexusrpc.service
class Desk:
    ask: nexusrpc.Operation[str, str]


@activity.defn
async def note(text: str) -> str:
    return text


@workflow.defn
class Waits:
    """Shows the card, does one thing, and waits for ever."""

    def __init__(self) -> None:
        self._begun = False

    @workflow.run
    async def run(self, how: str, payment: Payment) -> None:
        show(payment)
        self._begun = how == "operation"  # which nobody starts
        await self._do(how)
        self._begun = True
        await workflow.wait_condition(lambda: False)

    async def _do(self, how: str) -> None:
        limit = timedelta(seconds=20)
        other = workflow.info().workflow_id + "-other"
        match how:
            case "activity":
                workflow.start_activity(note, how, start_to_close_timeout=limit)
            case "local activity":
                workflow.start_local_activity(note, how, start_to_close_timeout=limit)
            case "child":
                await workflow.start_child_workflow("Quiet", Payment("", "", 0), id=other)
            case "signal to another":
                await workflow.get_external_workflow_handle(other).signal("tell", how)
            case "operation":
                desk = workflow.create_nexus_client(service=Desk, endpoint=other)
                await desk.start_operation(Desk.ask, how)
            case _:
                pass

    @workflow.signal
    def tell(self, text: str) -> None:
        pass

    @workflow.update
    def change(self, text: str) -> None:
        pass

    @workflow.signal
    def name(self, payment: Payment) -> None:
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
            [CUSTOMER.value_set(payment.customer)]
        )

    @workflow.query
    def has_begun(self) -> bool:
        return self._begun


@workflow.defn
class Grows:
    """Sets one list several times, with more in it each time."""

    @workflow.run
    async def run(self, payment: Payment) -> None:
        found: list[str] = []
        for text in ("something", payment.customer):
            found.append(text)
            workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
                [NAMES.value_set(found)]
            )
            await workflow.execute_activity(
                note, text[:4], start_to_close_timeout=timedelta(seconds=20)
            )


@workflow.defn
class Quiet:
    @workflow.run
    async def run(self, payment: Payment) -> None:
        pass

    @workflow.update
    def change(self, text: str) -> None:
        pass


WORKFLOWS: list[Any] = [Pays, Upserts, Starts, Ends, Passes, Waits, Grows, Quiet]

"""Workflows with search attributes: tokens, and values that should have been tokens."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from sealwire.keys import BlindIndex

CUSTOMER = SearchAttributeKey.for_keyword("SealwireCustomer")
CARD = SearchAttributeKey.for_keyword("SealwireCard")
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
        else:
            workflow.continue_as_new(payment, workflow=Quiet.run, search_attributes=shown)


@workflow.defn
class Quiet:
    @workflow.run
    async def run(self, payment: Payment) -> None:
        pass

    @workflow.update
    def change(self, text: str) -> None:
        pass


WORKFLOWS: list[Any] = [Pays, Upserts, Starts, Quiet]

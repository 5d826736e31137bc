"""Values of every kind, with a marker in each, on their way through a workflow."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from google.protobuf.wrappers_pb2 import StringValue
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

LIMIT: Final = timedelta(seconds=20)
T = TypeVar("T")


class Color(StrEnum):
    RED = "MARKER-red"


class Size(Enum):
    LARGE = "MARKER-large"


@dataclass
class Item:
    name: str
    price: Decimal
    color: Color
    sizes: list[Size]


@dataclass
class Box(Generic[T]):
    content: dict[str, list[T]]
    seal: bytes
    packed: datetime
    id: UUID


class Customer(BaseModel):
    name: str
    since: datetime
    tags: set[str]


ITEM: Final = Item("MARKER-item", Decimal("12.30"), Color.RED, [Size.LARGE])
BOX: Final = Box(
    {"MARKER-key": [ITEM]}, b"MARKER-seal", datetime(2026, 1, 2, 3, tzinfo=UTC), UUID(int=7)
)
CUSTOMER: Final = Customer(
    name="MARKER-customer", since=datetime(2026, 1, 2, tzinfo=UTC), tags={"MARKER-tag"}
)
MESSAGE: Final = StringValue(value="MARKER-message")
RAW: Final = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'"MARKER-raw"'))
VALUES: Final[list[Any]] = [
    *(BOX, CUSTOMER, MESSAGE, RAW, b"MARKER-bytes", None, Color.RED),
    *(timedelta(hours=1), {"MARKER-name": [1, 2.5, None, True]}),
]


def checked(values: list[Any]) -> list[Any]:
    """Fail unless all values have arrived as what they were."""
    for expected, actual in zip(VALUES, values, strict=True):
        assert type(actual) is type(expected), type(actual)
        if isinstance(actual, RawValue):
            assert actual.payload == expected.payload
        else:
            assert actual == expected, actual
    return values


@activity.defn
async def take(
    box: Box[Item],
    customer: Customer,
    message: StringValue,
    raw: RawValue,
    data: bytes,
    nothing: None,
    color: Color,
    duration: timedelta,
    names: dict[str, list[Any]],
) -> Box[Item]:
    checked([box, customer, message, raw, data, nothing, color, duration, names])
    return box


@activity.defn
def take_in_thread(customer: Customer) -> Customer:
    return customer


@activity.defn
async def take_message(message: StringValue) -> StringValue:
    return message


@activity.defn
async def take_bytes(data: bytes) -> bytes:
    return data


@workflow.defn
class Taking:
    """Takes values, has activities take them, and returns one of them."""

    @workflow.run
    async def run(
        self,
        box: Box[Item],
        customer: Customer,
        message: StringValue,
        raw: RawValue,
        data: bytes,
        nothing: None,
        color: Color,
        duration: timedelta,
        names: dict[str, list[Any]],
    ) -> Box[Item]:
        values = checked([box, customer, message, raw, data, nothing, color, duration, names])
        taken = await workflow.execute_activity(take, args=values, start_to_close_timeout=LIMIT)
        again = await workflow.execute_activity(
            take_in_thread, customer, start_to_close_timeout=LIMIT
        )
        said = await workflow.execute_local_activity(
            take_message, message, start_to_close_timeout=LIMIT
        )
        sent = await workflow.execute_local_activity(take_bytes, data, start_to_close_timeout=LIMIT)
        checked([taken, again, said, raw, sent, nothing, color, duration, names])
        return box

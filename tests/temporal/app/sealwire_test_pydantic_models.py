"""Models of pydantic with what a converter has to leave to pydantic."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field, field_serializer, field_validator


class Book(BaseModel):
    kind: Literal["book"] = "book"
    title: str


class Toy(BaseModel):
    kind: Literal["toy"] = "toy"
    age: int = Field(ge=0)
    name: str


Line = Annotated[Book | Toy, Field(discriminator="kind")]


class Order(BaseModel):
    id: UUID
    placed: datetime
    total: Decimal
    lines: list[Line]
    note: str

    @field_serializer("note")
    def quoted(self, note: str) -> str:
        return f"<{note}>"

    @field_validator("note", mode="before")
    @classmethod
    def unquoted(cls, note: str) -> str:
        return note.strip("<>")


class Receipt(BaseModel):
    order: Order
    lines: list[Line]


def order(number: int) -> Order:
    return Order(
        id=UUID(int=number),
        placed=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        total=Decimal("12.30"),
        lines=[Book(title=f"MARKER-title {number}"), Toy(age=number, name="MARKER-name")],
        note=f"MARKER-note {number}",
    )


FIRST: Final = order(1)
SECOND: Final = order(2)

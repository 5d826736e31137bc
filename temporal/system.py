"""Payloads that the SDK and the server exchange for themselves, past every codec.

A workflow that starts and signals another one in a single step sends the whole request as the input
of a Nexus operation: a message in a payload with a mark, in which the SDK encodes the payloads one
by one. The server answers with a message that nobody has sealed. The SDK reads both with a
converter of its own. A payload with the mark in any other place was put there by the server. One
place reads it all the same: the SDK hands the message in it to the handler of a Nexus operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import SignalWithStartWorkflowExecutionResponse
from temporalio.converter import (
    PayloadConverter,
    SerializationContext,
    WithSerializationContext,
)

from sealwire.errors import UnencryptedPayloadError
from sealwire.payload import ENCODING, MESSAGE_TYPE, Encoding

SYSTEM_MARK: Final = "__temporal_system_payload"  # `temporalio.nexus.system`, SDK 1.35
_OWN: Final = ("temporal.", "coresdk.")  # packages of what the SDK looks for payloads in
_ANSWER: Final = SignalWithStartWorkflowExecutionResponse.DESCRIPTOR.full_name.encode()


def is_answer(payload: Payload) -> bool:
    """Tell whether a payload has the form of the server's answer, which is never sealed."""
    metadata = payload.metadata
    return (
        metadata.get(ENCODING) == Encoding.PROTOBUF
        and metadata.get(MESSAGE_TYPE) == _ANSWER
        and len(metadata) == 2
    )


def marked(payload: Payload) -> Payload:
    """Return the server's answer with the mark, so that no user's converter takes it."""
    copy = Payload()
    copy.CopyFrom(payload)
    copy.metadata[SYSTEM_MARK] = b"true"
    return copy


def refuse_marked(payloads: Sequence[Payload]) -> None:
    """Refuse payloads with the mark where a user's value is expected: no codec has opened them.

    Raises:
        UnencryptedPayloadError: There is one.
    """
    for index, payload in enumerate(payloads):
        if SYSTEM_MARK in payload.metadata:
            raise UnencryptedPayloadError(
                "in the place of a value there is a payload for the SDK itself, which no codec "
                "has opened; somebody put it there",
                index=index,
            )


def refuse_message(message: Message) -> None:
    """Refuse a message of a kind that the SDK reads past every codec, where a value is expected.

    It cannot be told from one that was sealed, so nobody can send one to an operation.

    Raises:
        UnencryptedPayloadError: It is one of Temporal's own.
    """
    if message.DESCRIPTOR.full_name.startswith(_OWN):
        raise UnencryptedPayloadError(
            "the argument of a Nexus operation is a message of Temporal's own, which anybody could "
            "have put there: use another type for it"
        )


def refusing_marked(base: type[PayloadConverter]) -> type[PayloadConverter]:
    """Return somebody else's converter with `refuse_marked`; itself if it has that already."""
    if getattr(base, "refuses_marked", False):
        return base

    class Refusing(base):  # type: ignore[misc, valid-type]
        refuses_marked = True

        def from_payloads(
            self, payloads: Sequence[Payload], type_hints: list[type] | None = None
        ) -> list[Any]:
            refuse_marked(payloads)
            return base.from_payloads(self, payloads, type_hints)

        if issubclass(base, WithSerializationContext):

            def with_context(self, context: SerializationContext) -> PayloadConverter:
                bound: PayloadConverter = cast("Any", base).with_context(self, context)
                # Many return a new object of a class that they name, which is the one without this.
                bound.__class__ = refusing_marked(type(bound))
                return bound

    Refusing.__name__, Refusing.__qualname__ = base.__name__, base.__qualname__
    Refusing.__doc__ = base.__doc__
    return Refusing

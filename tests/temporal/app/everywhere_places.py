"""Where in Temporal's API user data can be, and what a message has there.

A place is named by message and field, such as `ActivityTaskScheduledEventAttributes.input`. Places
for payloads are fields of the types in `CONTAINERS`; any field with text is a place, too.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from everywhere_wire import METHODS
from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.common.v1 import Payload
from temporalio.api.common.v1.grpc_status_pb2 import GrpcStatus
from temporalio.api.errordetails.v1 import message_pb2 as errordetails
from temporalio.api.failure.v1 import Failure
from temporalio.api.update.v1 import message_pb2 as update
from temporalio.api.workflowservice.v1 import SignalWithStartWorkflowExecutionResponse

from sealwire.temporal.history import find_payloads

MARKER: Final = "MARKER"
CONTAINERS: Final = frozenset(
    f"temporal.api.{name}"
    for name in (
        *("common.v1.Payload", "common.v1.Payloads", "common.v1.Memo", "common.v1.Header"),
        *("common.v1.SearchAttributes", "failure.v1.Failure", "sdk.v1.UserMetadata"),
    )
)
_DEEPER: Final = ("temporal.api.failure.v1.Failure", "temporal.api.sdk.v1.UserMetadata")
_NAMED: Final = tuple(f"temporal.api.common.v1.{name}" for name in ("Memo", "Header"))
# An SDK's signal-with-start from a workflow is a Nexus operation whose input is a whole request.
_MARK: Final = "__temporal_system_payload"
_ANSWER: Final = SignalWithStartWorkflowExecutionResponse.DESCRIPTOR.full_name


def base64_of(data: bytes) -> Iterator[bytes]:
    """What any base64 text has in it that encodes `data`, at each of the three offsets."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data)
        yield encoded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]


_MARKED: Final = re.compile(b"|".join((MARKER.encode(), *base64_of(MARKER.encode()))))


def is_marked(data: bytes) -> bool:
    """Tell whether a marker is in `data`, as it is or in base64."""
    return _MARKED.search(data) is not None


@dataclass(frozen=True)
class Sight:
    """What one message has at a place.

    Args:
        place: Message and field.
        encodings: Those of the payloads there.
        marked: Whether a marker is there in clear.
        inner: Whether what is there has places of its own, which are sights of their own.
    """

    place: str
    encodings: frozenset[str]
    marked: bool
    inner: bool = False


def sights(message: Message) -> Iterator[Sight]:
    """Look at all places of `message` and what it contains."""
    if isinstance(message, AnyMessage):
        yield from sights(_unpacked(message))
        return
    for descriptor, value in message.ListFields():
        for place, item in _items(descriptor, value):
            if not isinstance(item, Message):
                data = item if isinstance(item, bytes) else str(item).encode()
                if is_marked(data):
                    yield Sight(_of_failure(place, message), frozenset(), marked=True)
                continue
            request = _enveloped(item)
            if request is not None:
                yield from sights(request)
                continue
            kind = item.DESCRIPTOR.full_name
            if kind in CONTAINERS:
                yield from _sights_of_container(place, item)
            if kind not in CONTAINERS or kind in _DEEPER:
                yield from sights(item)


def _items(descriptor: FieldDescriptor, value: Any) -> Iterator[tuple[str, Any]]:
    place = place_of(descriptor)
    kind = descriptor.message_type
    if kind is not None and kind.GetOptions().map_entry:
        named = kind.fields_by_name["value"].message_type
        for key in value:
            yield place, key
            yield (place if named is None else f"{place}[{key}]"), value[key]
    elif descriptor.is_repeated:
        yield from ((place, item) for item in value)
    else:
        yield place, value


def _of_failure(place: str, message: Message) -> str:
    """Tell apart what an application says in its failures and what others say in theirs."""
    if not isinstance(message, Failure) or message.HasField("application_failure_info"):
        return place
    return f"{place}[{message.WhichOneof('failure_info') or 'no info'}]"


def _sights_of_container(place: str, item: Message) -> Iterator[Sight]:
    payloads = [payload for _, payload in find_payloads(item)]
    encodings = frozenset(payload.metadata.get("encoding", b"").decode() for payload in payloads)
    if item.DESCRIPTOR.full_name in _DEEPER:
        yield Sight(place, encodings, is_marked(item.SerializeToString()), inner=True)
        return
    yield Sight(
        place, encodings, any(is_marked(payload.SerializeToString()) for payload in payloads)
    )
    for descriptor, value in item.ListFields():
        if item.DESCRIPTOR.full_name in _NAMED and any(is_marked(name.encode()) for name in value):
            yield Sight(place_of(descriptor), frozenset(), marked=True)


def place_of(descriptor: FieldDescriptor) -> str:
    kind = descriptor.containing_type
    assert kind is not None  # only extensions have none
    _, _, message = kind.full_name.rpartition(".v1.")
    return f"{message}.{descriptor.name}"


def _unpacked(message: AnyMessage) -> Message:
    return _message(message.type_url.rpartition("/")[2], message.value)


def _enveloped(item: Message) -> Message | None:
    if not isinstance(item, Payload):
        return None
    kind = item.metadata.get("messageType", b"").decode()
    return _message(kind, item.data) if _MARK in item.metadata or kind == _ANSWER else None


def _message(name: str, data: bytes) -> Message:
    return GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name)).FromString(data)


@cache
def all_places() -> frozenset[str]:
    """Return the places for payloads in everything that an SDK and a server can say."""
    return frozenset(
        place_of(descriptor)
        for descriptor in all_fields()
        if (kind := _message_type(descriptor)) is not None and kind.full_name in CONTAINERS
    )


@cache
def all_fields() -> tuple[FieldDescriptor, ...]:
    """Return the fields of all messages that an SDK and a server can send, containers excepted."""
    todo = [
        *(kind for method in METHODS.values() for kind in (method.input_type, method.output_type)),
        # These travel as `google.protobuf.Any`, or beside an answer.
        *errordetails.DESCRIPTOR.message_types_by_name.values(),
        *update.DESCRIPTOR.message_types_by_name.values(),
        GrpcStatus.DESCRIPTOR,
    ]
    seen: dict[str, Descriptor] = {}
    while todo:
        kind = todo.pop()
        if kind.full_name in seen:
            continue
        seen[kind.full_name] = kind
        inner = filter(None, map(_message_type, kind.fields))
        todo += [found for found in inner if found.full_name not in CONTAINERS - set(_DEEPER)]
    return tuple(descriptor for kind in seen.values() for descriptor in kind.fields)


def _message_type(descriptor: FieldDescriptor) -> Descriptor | None:
    kind = descriptor.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return kind.fields_by_name["value"].message_type
    return kind

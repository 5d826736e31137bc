"""Count payloads by the key that they name, in everything that a server keeps of a namespace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from google.protobuf.message import Message
from temporalio.client import Client, WorkflowExecution, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from sealwire.keys.data_key import unpack_wraps
from sealwire.keys.keyring_wrapper import KEYRING_PREFIX, wrapping_key_id
from sealwire.payload import ENCRYPTION_KEY_ID, ENCRYPTION_WRAPPED_KEY, Payload

from .history import find_payloads
from .nested_payloads import nested_payloads
from .schedulers import SCHEDULERS, last_workflow, scheduler_id

_T = TypeVar("_T")

_TOGETHER: Final = 8  # histories that are read at once: a server limits requests


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload was found.

    Args:
        namespace: The namespace.
        kind: `workflow` or `schedule`.
        id: The id of the workflow or schedule.
    """

    namespace: str
    kind: Literal["workflow", "schedule"]
    id: str


@dataclass(slots=True)
class KeyUsage:
    """What was found.

    Args:
        aliases: The key for an id that is no id of a key; see `EncryptionCodec`.

    Attributes:
        payloads: How many payloads name each key.
        examples: Where one of them is, for each key.
        read: How many runs and schedules were read.
        unread: How many were not, because there are more than the limit.
        elsewhere: Payloads that only refer to where they are stored, so that their key is not seen.
        hidden: How many schedules may pass on a result that no client can see; see `schedulers`.
    """

    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    payloads: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, Place] = field(default_factory=dict[str, Place])
    read: int = 0
    unread: int = 0
    elsewhere: int = 0
    hidden: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether a key that was not found is in no payload of what was looked at."""
        return not (self.unread or self.elsewhere or self.hidden)

    def add(self, message: Message, place: Place | None = None) -> None:
        """Count the payloads in anything that a server returns of this workflow or schedule."""
        for _, payload in find_payloads(message):
            for item in (payload, *nested_payloads(payload)):
                self._add(item, place)

    def _add(self, payload: Payload, place: Place | None) -> None:
        for key_id in _key_ids(payload):
            name = key_id.decode("utf-8", "replace")
            name = self.aliases.get(name, name)
            self.payloads[name] += 1
            if place is not None:
                self.examples.setdefault(name, place)
        if payload.external_payloads and ENCRYPTION_KEY_ID not in payload.metadata:
            self.elsewhere += 1


def _key_ids(payload: Payload) -> Iterator[bytes]:
    wraps = payload.metadata.get(ENCRYPTION_WRAPPED_KEY)
    if wraps is not None:  # the key travels with the payload; a keyring may have wrapped it
        for item in unpack_wraps(wraps) or ():
            if item.wrapper.startswith(KEYRING_PREFIX):
                yield wrapping_key_id(item.key)
    elif ENCRYPTION_KEY_ID in payload.metadata:
        yield payload.metadata[ENCRYPTION_KEY_ID]


async def scan_schedules(client: Client, usage: KeyUsage, limit: int) -> int:
    """Count the payloads of schedules: arguments, and results for the next run.

    Both can be older than every run. Of results, at most `limit` histories of the server's own
    workflows are read, those of servers that have such a workflow for each schedule.

    Args:
        client: Reads; without a codec.
        usage: Where to count.
        limit: How many schedules to read.

    Returns:
        How many schedules there are.

    Raises:
        RPCError: The server refuses, or does not answer.
    """
    number = 0
    last: dict[str, str] = {}
    async for listed in await client.list_schedules():
        number += 1
        if number > limit:
            usage.unread += 1
            continue
        handle = client.get_schedule_handle(listed.id)
        description = await _present(handle.describe())
        if description is not None:
            place = Place(client.namespace, "schedule", listed.id)
            usage.add(description.raw_description, place)
            usage.read += 1
            last[listed.id] = last_workflow(description.raw_description)
    kept = KeyUsage(usage.aliases)
    async for run in client.list_workflows(SCHEDULERS, limit=limit):
        of_it = scheduler_id(run.id)
        passing = client.get_workflow_handle(run.id, run_id=run.run_id)
        place = Place(client.namespace, "schedule", of_it)
        await _present(_read_history(passing, kept, place))
        last.pop(of_it, None)
    for workflow in filter(None, last.values()):
        usage.hidden += await _present(client.get_workflow_handle(workflow).describe()) is None
    usage.payloads |= kept.payloads  # the larger numbers: the arguments are there once more
    usage.examples = kept.examples | usage.examples
    usage.elsewhere += kept.elsewhere
    return number


async def scan_runs(
    client: Client, usage: KeyUsage, limit: int, advance: Callable[[], object]
) -> None:
    """Count the payloads in the histories of open and closed runs, and of what runs now.

    Args:
        client: Reads; without a codec.
        usage: Where to count.
        limit: How many runs to read.
        advance: Called after each run.

    Raises:
        RPCError: The server refuses, or does not answer.
    """
    runs = [run async for run in client.list_workflows("", limit=limit)]
    usage.unread += max(0, (await client.count_workflows("")).count - len(runs))
    turns = asyncio.Semaphore(_TOGETHER)

    async def read(run: WorkflowExecution) -> None:
        async with turns:
            await _read_run(client, run, usage)
        advance()

    await asyncio.gather(*map(read, runs))


async def _read_run(client: Client, run: WorkflowExecution, usage: KeyUsage) -> None:
    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    place = Place(client.namespace, "workflow", run.id)
    if run.close_time is None:  # the heartbeats of running activities are in no history
        description = await _present(handle.describe())
        if description is not None:
            usage.add(description.raw_description, place)
    await _present(_read_history(handle, usage, place))
    usage.read += 1


async def _read_history(handle: WorkflowHandle[Any, Any], usage: KeyUsage, place: Place) -> None:
    async for event in handle.fetch_history_events():
        usage.add(event, place)


async def _present(asked: Awaitable[_T]) -> _T | None:
    """Wait for an answer; None for what was deleted since it was listed."""
    try:
        return await asked
    except RPCError as err:
        if err.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None

"""What a namespace keeps, and since when: how old its payloads can be, without reading any.

The counts are those of the server's visibility store, which may lag by some seconds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

from temporalio.api.enums.v1 import ArchivalState
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sealwire.keys.period import Period

_OPEN: Final = "CloseTime IS NULL"
_CLOSED: Final = "CloseTime IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Runs:
    """How many runs of workflows.

    Args:
        open: Those that have not ended.
        closed: Those that have ended, and whose histories are kept.
    """

    open: int
    closed: int

    def __add__(self, other: Runs) -> Runs:
        """Add the runs of another namespace."""
        return Runs(self.open + other.open, self.closed + other.closed)


@dataclass(frozen=True, slots=True)
class Retention:
    """What a server keeps of a namespace.

    Args:
        namespace: Its name.
        seconds: How long a history is kept after its run has ended.
        archives: Whether histories go to an archive then, which needs their keys as long as it is.
        runs: The runs of which there are histories.
        oldest_open: When the oldest open run began, in seconds since 1970, rounded down; None
            where none is open.
        others: Activities and operations that no workflow started; they have no history.
    """

    namespace: str
    seconds: float
    archives: bool
    runs: Runs
    oldest_open: float | None
    others: int


async def read_retention(client: Client) -> Retention:
    """Ask the server of `client` about its namespace.

    Raises:
        RPCError: The server refuses, or does not answer.
    """
    request = DescribeNamespaceRequest(namespace=client.namespace)
    config = (await client.workflow_service.describe_namespace(request)).config
    runs = Runs(await _count(client, _OPEN), await _count(client, _CLOSED))
    return Retention(
        client.namespace,
        config.workflow_execution_retention_ttl.ToTimedelta().total_seconds(),
        config.history_archival_state == ArchivalState.ARCHIVAL_STATE_ENABLED,
        runs,
        await _oldest_open(client) if runs.open else None,
        await _others(client),
    )


async def count_runs(client: Client, period: Period) -> Runs:
    """Count the runs that lived in a period: only their histories can have events of it.

    Raises:
        RPCError: The server refuses, or does not answer.
    """
    begun = f"StartTime <= {_quoted(math.ceil(period.until))}"
    ended = f"CloseTime >= {_quoted(math.floor(period.since))}"
    return Runs(
        await _count(client, f"{begun} AND {_OPEN}"), await _count(client, f"{begun} AND {ended}")
    )


async def _oldest_open(client: Client) -> float | None:
    # By halving the time since 1970: stores in SQL databases do not sort.
    early, late = 0, math.ceil(time.time())
    while late - early > 1:
        middle = (early + late) // 2
        if await _count(client, f"{_OPEN} AND StartTime < {_quoted(middle)}"):
            late = middle
        else:
            early = middle
    return float(early)


async def _others(client: Client) -> int:
    found = 0
    for count in (client.count_activities, client.count_nexus_operations):
        try:
            found += (await count("")).count
        except RPCError:  # this server does not have them
            continue
    return found


async def _count(client: Client, query: str) -> int:
    return (await client.count_workflows(query)).count


def _quoted(seconds: int) -> str:
    return time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(seconds))

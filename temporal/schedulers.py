"""Where a server keeps what a schedule passes on to its next run: the last result, for example.

In the history of a workflow of the server's own, one for each schedule, and in newer servers where
no client can look.
"""

from __future__ import annotations

from typing import Final

from temporalio.api.workflowservice.v1 import DescribeScheduleResponse

# A query for these workflows.
SCHEDULERS: Final = "TemporalNamespaceDivision = 'TemporalScheduler'"
_PREFIX: Final = "temporal-sys-scheduler:"  # of their ids; the rest is the schedule's


def scheduler_id(workflow_id: str) -> str:
    """Return the id of the schedule that the server's workflow is for."""
    return workflow_id.removeprefix(_PREFIX)


def last_workflow(described: DescribeScheduleResponse) -> str:
    """Return the id of the workflow that a schedule has started last; empty if none."""
    actions = described.info.recent_actions
    return actions[-1].start_workflow_result.workflow_id if actions else ""

"""What the workflow sandbox must not import again."""

from __future__ import annotations

import dataclasses
from typing import Final

from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from .contexts import RememberedContexts

PASSTHROUGH_MODULES: Final = (
    # A generated `__repr__` uses a `threading.local`, which the sandbox forbids; and typing's
    # caches keep the classes of 128 copies of the package alive, 40 MB.
    "attr",
    "attrs",
    "cryptography",
    "msgspec",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "sealwire",
    "zstandard",
)
"""What the workflow sandbox must not import again.

Most have compiled parts that do not survive it. A name that is not installed does nothing.
"""


@dataclasses.dataclass(frozen=True)
class _Runner(SandboxedWorkflowRunner):
    """The SDK's sandbox, of which contexts are asked from outside."""

    stores: bool = True

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return RememberedContexts(super().create_instance(det), stores=self.stores)


def sandbox_runner(runner: WorkflowRunner | None = None, *, stores: bool = True) -> WorkflowRunner:
    """Return the sandbox with what sealwire needs, for a worker or replayer without the plugin.

    It is also faster than the SDK's own, because it keeps what the SDK asks for again and again.

    Args:
        runner: What to complete; None for the SDK's sandbox. A runner of another kind, which has
            no sandbox or one of its own, is returned as it is.
        stores: Whether the data converter has external storage.
    """
    if runner is None:
        runner = SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    restrictions = runner.restrictions.with_passthrough_modules(*PASSTHROUGH_MODULES)
    if type(runner) is SandboxedWorkflowRunner:
        return _Runner(restrictions, runner.runner_class, stores)
    return dataclasses.replace(runner, restrictions=restrictions)

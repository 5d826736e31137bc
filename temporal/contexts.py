"""The contexts of a workflow's payloads, without a way into its sandbox for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance

if TYPE_CHECKING:
    from temporalio.bridge.proto.workflow_activation import WorkflowActivation
    from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
    from temporalio.converter import SerializationContext
    from temporalio.worker._command_aware_visitor import CommandInfo
    from temporalio.workflow import Info

_KEPT: Final = 16  # contexts that an idle workflow may keep
_NOWHERE: Final = StorageDriverStoreContext(target=None)


class RememberedContexts(WorkflowInstance):
    """A workflow in the sandbox that tells the context of a command's payloads without going there.

    The SDK asks for it three times before a task and four times after it, for each command, and
    the way into the sandbox costs about as much as sealing 2 KiB. The context of a command does
    not change as long as the command waits for its result; and to look it up runs nothing of the
    user's, so nothing has to be kept from it.

    Args:
        instance: The workflow in the sandbox.
        stores: Whether external storage is used, the only one that wants to know where to.
    """

    def __init__(self, instance: WorkflowInstance, *, stores: bool) -> None:
        self._instance = instance
        self._inside = _inside(instance)
        self._stores = stores
        self._contexts: dict[CommandInfo | None, SerializationContext | None] = {}

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Let the workflow go on."""
        if len(self._contexts) > _KEPT:
            self._contexts.clear()
        return self._instance.activate(act)

    def get_serialization_context(
        self, command_info: CommandInfo | None
    ) -> SerializationContext | None:
        """Return what the workflow says of a command, or said before."""
        if command_info not in self._contexts:
            self._contexts[command_info] = self._inside.get_serialization_context(command_info)
        return self._contexts[command_info]

    def get_external_store_context(
        self, command_info: CommandInfo | None
    ) -> StorageDriverStoreContext:
        """Return what the workflow says of a command; nothing where nothing is stored."""
        return self._inside.get_external_store_context(command_info) if self._stores else _NOWHERE

    def get_info(self) -> Info:
        """Return the workflow's info."""
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        """Return the thread that the workflow runs in, if it does."""
        return self._instance.get_thread_id()


def _inside(instance: WorkflowInstance) -> WorkflowInstance:
    """Return the workflow in a sandbox; or the sandbox, where it has another shape than 1.35's."""
    names: dict[str, Any] = getattr(instance, "globals_and_locals", {})
    found: object = getattr(names.get("__temporal_in_sandbox"), "instance", None)
    return found if isinstance(found, WorkflowInstance) else instance

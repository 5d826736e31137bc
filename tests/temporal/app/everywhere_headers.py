"""An interceptor that gives everything a header with a marker, and checks that it arrives."""

from typing import Any, Final, NoReturn

from temporalio import client, worker
from temporalio.converter import DataConverter

NAME: Final = "MARKER-name"
VALUE: Final = "MARKER-header"
_CONVERTER: Final = DataConverter.default.payload_converter


def marked(call: Any) -> Any:
    call.headers = {**call.headers, NAME: _CONVERTER.to_payload(VALUE)}
    return call


def checked(call: Any) -> Any:
    assert _CONVERTER.from_payload(call.headers[NAME]) == VALUE
    return call


class ClientCalls(client.OutboundInterceptor):
    async def start_workflow(self, input: client.StartWorkflowInput) -> Any:  # noqa: A002
        return await super().start_workflow(marked(input))

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:  # noqa: A002
        await super().signal_workflow(marked(input))

    async def query_workflow(self, input: client.QueryWorkflowInput) -> Any:  # noqa: A002
        return await super().query_workflow(marked(input))

    async def start_workflow_update(self, input: client.StartWorkflowUpdateInput) -> Any:  # noqa: A002
        return await super().start_workflow_update(marked(input))

    async def start_activity(self, input: client.StartActivityInput) -> Any:  # noqa: A002
        return await super().start_activity(marked(input))

    async def create_schedule(self, input: client.CreateScheduleInput) -> Any:  # noqa: A002
        action: Any = input.schedule.action
        action.headers = {NAME: _CONVERTER.to_payload(VALUE)}
        return await super().create_schedule(input)


class WorkflowCalls(worker.WorkflowOutboundInterceptor):
    def start_activity(self, input: worker.StartActivityInput) -> Any:  # noqa: A002
        return super().start_activity(marked(input))

    def start_local_activity(self, input: worker.StartLocalActivityInput) -> Any:  # noqa: A002
        return super().start_local_activity(marked(input))

    async def start_child_workflow(self, input: worker.StartChildWorkflowInput) -> Any:  # noqa: A002
        return await super().start_child_workflow(marked(input))

    async def signal_external_workflow(self, input: worker.SignalExternalWorkflowInput) -> None:  # noqa: A002
        await super().signal_external_workflow(marked(input))

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:  # noqa: A002
        super().continue_as_new(marked(input))


class WorkflowArrivals(worker.WorkflowInboundInterceptor):
    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(WorkflowCalls(outbound))

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:  # noqa: A002
        return await super().execute_workflow(checked(input))

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:  # noqa: A002
        await super().handle_signal(checked(input))

    async def handle_query(self, input: worker.HandleQueryInput) -> Any:  # noqa: A002
        return await super().handle_query(checked(input))

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:  # noqa: A002
        return await super().handle_update_handler(checked(input))


class ActivityArrivals(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002
        return await super().execute_activity(checked(input))


class Headers(client.Interceptor, worker.Interceptor):
    """Give it to a client; its workers take it from there."""

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:  # noqa: A002
        return ClientCalls(next)

    def intercept_activity(
        self,
        next: worker.ActivityInboundInterceptor,  # noqa: A002
    ) -> worker.ActivityInboundInterceptor:
        return ActivityArrivals(next)

    def workflow_interceptor_class(
        self,
        input: worker.WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowArrivals]:
        return WorkflowArrivals

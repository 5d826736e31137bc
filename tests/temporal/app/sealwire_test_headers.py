"""An interceptor that seals the headers of clients and opens those of activities by itself."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, client, worker, workflow
from temporalio.converter import DataConverter

NAME: Final = "user"
_PLAIN: Final = DataConverter.default.payload_converter
_user: ContextVar[str] = ContextVar("user")


@activity.defn
async def who() -> str:
    return _user.get()


@workflow.defn
class Asking:
    @workflow.run
    async def run(self) -> list[str]:
        told = await workflow.execute_activity(who, start_to_close_timeout=timedelta(seconds=20))
        return [_PLAIN.from_payload(workflow.info().headers[NAME]), told]


class Calls(worker.WorkflowOutboundInterceptor):
    def start_activity(self, input: worker.StartActivityInput) -> Any:  # noqa: A002
        input.headers = {NAME: workflow.info().headers[NAME]}
        return super().start_activity(input)


class Workflows(worker.WorkflowInboundInterceptor):
    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(Calls(outbound))


class Starts(client.OutboundInterceptor):
    def __init__(
        self,
        next: client.OutboundInterceptor,  # noqa: A002
        converter: DataConverter,
        user: str,
    ) -> None:
        super().__init__(next)
        self._converter = converter
        self._user = user

    async def start_workflow(self, input: client.StartWorkflowInput) -> Any:  # noqa: A002
        (sealed,) = await self._converter.encode([self._user])
        input.headers = {NAME: sealed}
        return await super().start_workflow(input)


class Activities(worker.ActivityInboundInterceptor):
    def __init__(
        self,
        next: worker.ActivityInboundInterceptor,  # noqa: A002
        converter: DataConverter,
    ) -> None:
        super().__init__(next)
        self._converter = converter

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002
        (user,) = await self._converter.decode([input.headers[NAME]])
        _user.set(user)
        return await super().execute_activity(input)


@dataclass
class UserHeader(client.Interceptor, worker.Interceptor):
    """Carries the name of a user; `converter` seals it."""

    converter: DataConverter
    user: str

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:  # noqa: A002
        return Starts(next, self.converter, self.user)

    def intercept_activity(
        self,
        next: worker.ActivityInboundInterceptor,  # noqa: A002
    ) -> worker.ActivityInboundInterceptor:
        return Activities(next, self.converter)

    def workflow_interceptor_class(
        self,
        input: worker.WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[Workflows]:
        return Workflows

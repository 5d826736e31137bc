"""A wire between Temporal's SDK and a server, on which everything that passes is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.common.v1.grpc_status_pb2 import GrpcStatus
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

# Long polls: one for each poller of each worker.
_CALLS: Final = 256
_UNLIMITED: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_STATUS: Final = "grpc-status-details-bin"
_HOP: Final = ("grpc-", "te", "content-type", "user-agent")
_SERVICES: Final = (
    *workflow_service.DESCRIPTOR.services_by_name.values(),
    *operator_service.DESCRIPTOR.services_by_name.values(),
)
METHODS: Final[Mapping[str, MethodDescriptor]] = {
    f"/{service.full_name}/{method.name}": method
    for service in _SERVICES
    for method in service.methods
}


@dataclass(frozen=True)
class Call:
    """A request, and what came back.

    Args:
        request: What the SDK sent.
        answers: The response, or the details of an error.
    """

    request: Message
    answers: tuple[Message, ...] = ()


@dataclass
class Wire(grpc.GenericRpcHandler):
    """A gRPC proxy in front of the server at `target`; a context manager.

    Attributes:
        address: What to connect to in place of the server.
        meddler: Changes requests and responses on their way, if there is one.
    """

    target: str
    address: str = field(init=False, default="")
    meddler: Callable[[Message], None] | None = field(init=False, default=None)
    _kept: list[tuple[str, bytes, bytes | None, bytes | None]] = field(
        init=False, default_factory=list[tuple[str, bytes, bytes | None, bytes | None]], repr=False
    )

    def __enter__(self) -> Self:
        self._channel = grpc.insecure_channel(self.target, options=_UNLIMITED)
        self._server = grpc.server(ThreadPoolExecutor(_CALLS), [self], options=_UNLIMITED)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(grace=None).wait()
        self._channel.close()

    def forget(self) -> None:
        """Drop what was kept."""
        self._kept.clear()

    def calls(self) -> Iterator[Call]:
        """What passed since `forget`, with the requests that are not answered yet."""
        for name, request, response, status in list(self._kept):
            method = METHODS.get(name)
            if method is None:  # health checks
                continue
            answers: list[Message] = []
            if response is not None:
                answers.append(_parsed(method.output_type, response))
            if status is not None:
                answers.append(GrpcStatus.FromString(status))
            yield Call(_parsed(method.input_type, request), tuple(answers))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        name = handler_call_details.method
        channel: Any = self._channel
        forward = channel.unary_unary(name)

        def call(request: bytes, context: Any) -> bytes:
            self._kept.append((name, request, None, None))
            metadata = [
                pair for pair in context.invocation_metadata() if not pair[0].startswith(_HOP)
            ]
            timeout = context.time_remaining()
            sent = self._meddled(name, "input_type", request)
            future = forward.future(sent, timeout=timeout, metadata=metadata)
            if not context.add_callback(future.cancel):
                future.cancel()
            try:
                response: bytes = future.result()
            except grpc.FutureCancelledError:  # the caller has gone
                context.abort(grpc.StatusCode.CANCELLED, "")
                raise
            except grpc.RpcError as err:
                self._fail(name, request, context, err)
            self._kept.append((name, request, response, None))
            return self._meddled(name, "output_type", response)

        handler: Any = grpc.unary_unary_rpc_method_handler
        return handler(call)

    def _meddled(self, name: str, kind: str, data: bytes) -> bytes:
        if self.meddler is None or name not in METHODS:
            return data
        message = _parsed(getattr(METHODS[name], kind), data)
        self.meddler(message)
        return message.SerializeToString()

    def _fail(self, name: str, request: bytes, context: Any, error: Any) -> NoReturn:
        trailing: dict[str, bytes] = dict(error.trailing_metadata() or ())
        self._kept.append((name, request, None, trailing.get(_STATUS)))
        context.set_trailing_metadata(tuple(trailing.items()))
        context.abort(error.code(), error.details())
        raise error  # `abort` does not return


def _parsed(descriptor: Descriptor, data: bytes) -> Message:
    return GetMessageClass(descriptor).FromString(data)

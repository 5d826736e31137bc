"""Exceptions into the failures that the server stores, and back.

The server shows everybody a failure's message, stack trace and type, unless they are moved into a
payload, `encoded_attributes`, which passes through the codec:

- `message`, `stack_trace`: as all of Temporal's SDKs do it when they are told to;
- `type`, `non_retryable`: those of an `ApplicationError`, by sealwire alone; in clear stands
  `SealedFailure`.

The SDK makes one converter for each run of a workflow, without arguments, so there is one class for
each way of doing it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, cast

from temporalio import activity, workflow
from temporalio.api.failure.v1 import Failure
from temporalio.common import RetryPolicy
from temporalio.converter import DefaultFailureConverter, FailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

from sealwire.config import Config
from sealwire.errors import SealwireError

# What the SDKs write in the place of an encoded message.
ENCODED_MESSAGE: Final = "Encoded failure"
SEALED_TYPE: Final = "SealedFailure"
# The SDK's words, in `_ActivityWorker._execute_activity`.
_HEARTBEAT: Final = "Failed decoding heartbeat details"


class ClearFailureConverter(DefaultFailureConverter):
    """Leave messages, stack traces and types in clear; encoded ones are read all the same.

    An activity that cannot read the heartbeat of its last attempt, for want of a key perhaps, is
    tried again. The SDK itself gives it up for good.
    """

    attributes: ClassVar[bool] = False
    with_type: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=False)

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Convert an exception, and move what shall be secret into `encoded_attributes`."""
        super().to_failure(exception, payload_converter, failure)
        if _cannot_read_heartbeat(exception):
            failure.application_failure_info.non_retryable = False
        if not self.attributes:
            return
        self._encode(failure, payload_converter)
        if isinstance(exception, FailureError) and exception.failure is not None:
            # A copy of what came from elsewhere: its causes did not pass through here.
            for cause in _causes(failure):
                if not cause.HasField("encoded_attributes"):
                    self._encode(cause, payload_converter)

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """Convert a failure; one that another SDK or the server made, too."""
        if failure.application_failure_info.type == SEALED_TYPE:
            failure = _with_type(failure, payload_converter)
        return super().from_failure(failure, payload_converter)

    def _encode(self, failure: Failure, payload_converter: PayloadConverter) -> None:
        if (
            failure.HasField("encoded_attributes")
            and failure.message == ENCODED_MESSAGE
            and _attributes(failure, payload_converter) is None
        ):
            return  # nobody could read them, so they stay as they are
        attributes: dict[str, Any] = {
            "message": failure.message,
            "stack_trace": failure.stack_trace,
        }
        info = failure.application_failure_info
        if self.with_type and info.type:
            attributes |= {"type": info.type, "non_retryable": info.non_retryable}
            # The server could not find the type in the list of its retry policy any more.
            info.non_retryable = info.non_retryable or info.type in _final_types()
            info.type = SEALED_TYPE
        (payload,) = payload_converter.to_payloads([attributes])
        failure.encoded_attributes.CopyFrom(payload)
        failure.message = ENCODED_MESSAGE
        failure.stack_trace = ""


class EncodedFailureConverter(ClearFailureConverter):
    """Encode message and stack trace."""

    attributes = True


class EncodedTypeFailureConverter(EncodedFailureConverter):
    """Encode message, stack trace and the type of an `ApplicationError`.

    A retry policy names types that end the retries, and the server compares them with the type in
    clear. As that one says nothing any more, the failing activity or workflow looks into its own
    retry policy, and marks the failure as one not to retry.
    """

    with_type = True


def failure_converter_class(config: Config) -> type[FailureConverter]:
    """Return the failure converter that `[temporal] failures` names."""
    return _CLASSES[config.temporal.failures]


_CLASSES: Final[Mapping[str, type[FailureConverter]]] = {
    "clear": ClearFailureConverter,
    "encode": EncodedFailureConverter,
    "encode-type": EncodedTypeFailureConverter,
}


def _cannot_read_heartbeat(exception: BaseException) -> bool:
    return (
        isinstance(exception, ApplicationError)
        and exception.message == _HEARTBEAT
        and isinstance(exception.__cause__, SealwireError)
    )


def _causes(failure: Failure) -> Iterator[Failure]:
    while failure.HasField("cause"):
        failure = failure.cause
        yield failure


def _final_types() -> frozenset[str]:
    """The types that the running activity or workflow is not retried after."""
    policy: RetryPolicy | None = None
    if activity.in_activity():
        policy = activity.info().retry_policy
    elif workflow.in_workflow():
        policy = workflow.info().retry_policy
    return frozenset(policy.non_retryable_error_types or ()) if policy else frozenset()


def _with_type(failure: Failure, payload_converter: PayloadConverter) -> Failure:
    """Return a copy with its type back, or `failure` itself when it holds none that is readable."""
    attributes = _attributes(failure, payload_converter) or {}
    restored = Failure()
    restored.CopyFrom(failure)
    try:
        restored.application_failure_info.type = attributes["type"]
        restored.application_failure_info.non_retryable = attributes["non_retryable"]
    except (KeyError, TypeError):
        return failure
    return restored


def _attributes(failure: Failure, payload_converter: PayloadConverter) -> dict[str, Any] | None:
    """Return what `encoded_attributes` says; None where that cannot be read."""
    try:
        (attributes,) = payload_converter.from_payloads([failure.encoded_attributes])
    except Exception:  # noqa: BLE001 - what an attacker wrote, too: the failure is shown without it
        return None
    return cast("dict[str, Any]", attributes) if isinstance(attributes, dict) else None

"""Rules: other compression for some payloads, or none."""

from __future__ import annotations

from dataclasses import dataclass

from sealwire.errors import ConfigurationError
from sealwire.payload import ENCODING, MESSAGE_TYPE, Payload

from .algorithms import Algorithm, check_algorithm


@dataclass(frozen=True)
class CompressionRule:
    """How to compress the payloads to which every condition applies; None is no condition.

    The types of workflow and activity come from the SDK's serialization context. It names them for
    the arguments and results of activities only, so a rule that has them decides about nothing
    else.

    Args:
        algorithm: What to write, `"none"` for no compression; None for the codec's algorithm.
        level: None for the default of an algorithm given here, else for the codec's level.
        encoding: The inner `metadata["encoding"]`, such as `json/plain`.
        message_type: The inner `metadata["messageType"]`: the full name of a protobuf message.
        workflow_type: The workflow that the activity belongs to.
        activity_type: The activity.
        min_size: The least serialized size in bytes; it replaces that of the codec.
        max_size: The greatest serialized size in bytes.

    Raises:
        ConfigurationError: The algorithm is unknown, or no size can match.
    """

    algorithm: Algorithm | None = None
    level: int | None = None
    encoding: str | None = None
    message_type: str | None = None
    workflow_type: str | None = None
    activity_type: str | None = None
    min_size: int | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        if self.algorithm is not None:
            check_algorithm(self.algorithm)
        least = self.min_size or 0
        if least < 0 or (self.max_size is not None and self.max_size < least):
            raise ConfigurationError(
                "the sizes of a rule must be 0 or more, and min_size no more than max_size"
            )

    @property
    def needs_context(self) -> bool:
        """Whether it asks for the type of a workflow or an activity."""
        return self.workflow_type is not None or self.activity_type is not None

    def applies_in(self, workflow_type: str | None, activity_type: str | None) -> bool:
        """Tell whether it may match where these are the types."""
        return self.workflow_type in (None, workflow_type) and self.activity_type in (
            None,
            activity_type,
        )

    def matches(self, payload: Payload, size: int) -> bool:
        """Tell whether it is for a payload of this serialized size, where its types apply."""
        return (
            (self.min_size is None or size >= self.min_size)
            and (self.max_size is None or size <= self.max_size)
            and (self.encoding is None or _has(payload, ENCODING, self.encoding))
            and (self.message_type is None or _has(payload, MESSAGE_TYPE, self.message_type))
        )


def _has(payload: Payload, name: str, value: str) -> bool:
    return payload.metadata.get(name) == value.encode()

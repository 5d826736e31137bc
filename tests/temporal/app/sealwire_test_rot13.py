"""A converter that a repaired worker has, and the others do not."""

from typing import Any

from sealwire.converter import CompositePayloadConverter, default_converters
from sealwire.payload import Payload


class Rot13:
    encoding = "binary/rot13"

    def to_payload(self, value: Any) -> None:
        return None

    def from_payload(self, payload: Payload, type_hint: Any = None) -> str:
        return payload.data.decode()


def converter() -> CompositePayloadConverter:
    return CompositePayloadConverter(Rot13(), *default_converters())

"""Values into payloads and back.

One module an encoding, tried in order by `CompositePayloadConverter`; `DataConverter` adds a codec.

- `NullConverter` (`binary/null`) and `BytesConverter` (`binary/plain`),
- `JsonProtobufConverter` and `BinaryProtobufConverter` for protobuf messages,
- `JsonConverter` (`json/plain`), readable by every Temporal SDK,
- `MsgpackConverter` (`binary/msgpack`), smaller and faster where only Python reads.

Any object with the three members of `PayloadConverter` takes part in a composite, those of
`temporalio.converter.EncodingPayloadConverter` included.
"""

from .base import PayloadConverter
from .binary import BytesConverter, NullConverter
from .composite import CompositePayloadConverter, default_converters
from .data_converter import DataConverter
from .json_plain import JsonConverter
from .messagepack import MsgpackConverter
from .protobuf import BinaryProtobufConverter, JsonProtobufConverter

__all__ = [
    "BinaryProtobufConverter",
    "BytesConverter",
    "CompositePayloadConverter",
    "DataConverter",
    "JsonConverter",
    "JsonProtobufConverter",
    "MsgpackConverter",
    "NullConverter",
    "PayloadConverter",
    "default_converters",
]

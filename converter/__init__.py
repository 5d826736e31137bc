"""Values into payloads and back.

One module an encoding, tried in order by `CompositePayloadConverter`; `DataConverter` adds a codec.

- `NullConverter` (`binary/null`) and `BytesConverter` (`binary/plain`),
- `JsonProtobufConverter` and `BinaryProtobufConverter` for protobuf messages,
- `JsonConverter` (`json/plain`), readable by every Temporal SDK,
- `MsgpackConverter` (`binary/msgpack`), smaller and faster where only Python reads,
- `sealwire.converter.arrow.ArrowConverter` (`binary/arrow`, the extra `arrow`) for numpy arrays and
  for tables of pandas, polars and Arrow.

`CustomType` teaches JSON and MessagePack a class of your own, by a pair of functions.

Any object with the three members of `PayloadConverter` takes part in a composite, those of
`temporalio.converter.EncodingPayloadConverter` included.
"""

from .base import ConvertsData, PayloadConverter, SelectsByClass
from .binary import BytesConverter, NullConverter
from .composite import CompositePayloadConverter, default_converters
from .custom import CustomType
from .data_converter import DataConverter
from .json_plain import JsonConverter
from .messagepack import MsgpackConverter, MsgpackExtension
from .protobuf import BinaryProtobufConverter, JsonProtobufConverter

__all__ = [
    "BinaryProtobufConverter",
    "BytesConverter",
    "CompositePayloadConverter",
    "ConvertsData",
    "CustomType",
    "DataConverter",
    "JsonConverter",
    "JsonProtobufConverter",
    "MsgpackConverter",
    "MsgpackExtension",
    "NullConverter",
    "PayloadConverter",
    "SelectsByClass",
    "default_converters",
]

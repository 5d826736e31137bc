"""The same value gives the same bytes in every process, whatever its hashes are."""

import os
import subprocess
import sys
from typing import Final

SCRIPT: Final = """
import enum
from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct
from msgspec import Struct as Model

from sealwire.converter import BinaryProtobufConverter, JsonConverter, JsonProtobufConverter
from sealwire.converter import MsgpackConverter

NAMES = [f"name-{number}" for number in range(12)]

@dataclass(frozen=True)
class Frozen:
    name: str

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"

class Wrapper(Model):
    names: set

VALUES = [
    set(NAMES),
    frozenset(NAMES),
    {name: 1 for name in set(NAMES)},
    {"outer": [{"inner": set(NAMES)}]},
    {1: set(NAMES), "a": {name: 1 for name in set(NAMES)}},
    {Frozen(name) for name in NAMES},
    set(Color),
    {*NAMES, None, 1, 2.5, (1, "a")},
    {1: {frozenset(NAMES), frozenset(NAMES[:3]), frozenset(NAMES[3:])}},
    Wrapper(set(NAMES)),
    {1: Wrapper(set(NAMES))},
]
for value in VALUES:
    for converter in JsonConverter(), MsgpackConverter():
        print(converter.to_payload(value).data.hex())
print(MsgpackConverter().to_payload({frozenset(NAMES): 1}).data.hex())
message = Struct()
message.update({name: 1 for name in set(NAMES)})
for converter in JsonProtobufConverter(), BinaryProtobufConverter():
    print(converter.to_payload(message).data.hex())
"""


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    """Three processes with three hash seeds write sets, mappings and messages alike."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in (0, 1, 2)
    }
    assert 1 == len(outputs)
    assert 25 == len(outputs.pop().splitlines())

"""The same value gives the same bytes in every process, whatever its hashes are."""

import os
import subprocess
import sys
from typing import Final

SCRIPT: Final = """
import enum
from dataclasses import dataclass
from typing import Any

import attrs
import pydantic
from google.protobuf.struct_pb2 import Struct
from msgspec import Struct as Model

from sealwire.converter import BinaryProtobufConverter, JsonConverter, JsonProtobufConverter
from sealwire.converter import CustomType, MsgpackConverter

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

class Sets(pydantic.BaseModel):
    names: set[str]
    frozen: frozenset[str]
    nested: dict[str, list[set[str]]]
    anything: Any
    inner: "Sets | None" = None

@pydantic.dataclasses.dataclass
class Checked:
    names: set[str]
    model: Sets

@attrs.define
class Attributes:
    _names: set
    others: frozenset

class Custom:
    pass

def sets(inner=None):
    return Sets(
        names=set(NAMES), frozen=frozenset(NAMES), nested={"a": [set(NAMES)]},
        anything={"x": [set(NAMES)]}, inner=inner,
    )

TYPES = [CustomType(Custom, lambda _: {"a": set(NAMES), "b": [set(NAMES)]}, lambda _: Custom())]

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
    sets(sets()),
    [sets()],
    {2: sets(), "a": {"b": sets()}},
    Checked(set(NAMES), sets()),
    [Checked(set(NAMES), sets())],
    Attributes(set(NAMES), frozenset(NAMES)),
    [Custom(), {1: Custom()}],
    dict.fromkeys(sorted(NAMES)).keys(),
    {Color.RED, Frozen("a"), 1, "1", 1.5, None, b"x"},
]
IN_ANY_ORDER = [VALUES[2], VALUES[4]]
for value in VALUES:
    converters = [JsonConverter(TYPES), JsonConverter(TYPES, "declared"), MsgpackConverter(TYPES)]
    if value not in IN_ANY_ORDER:  # a mapping that was made in another order is another one
        converters.append(JsonConverter(TYPES, "kept"))
    for converter in converters:
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
    assert 81 == len(outputs.pop().splitlines())

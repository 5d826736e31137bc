"""One Payload class in a process: the SDK's where it is installed, else an identical one."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any, Final

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common import v1

import sealwire
from sealwire import payload as module
from sealwire.payload import Payload, Payloads, build_private_messages, encoding_of
from sealwire.testing.strategies import payloads

PrivatePayload, PrivatePayloads = build_private_messages()
# Field 15 of type string, which no definition of the message has.
UNKNOWN: Final = b"\x7a\x05later"

BLOCK: Final = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "temporalio":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

blocker = Blocker()
sys.meta_path.insert(0, blocker)
"""


def _run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_the_class_is_the_sdks_where_it_is_installed() -> None:
    """A payload of the SDK is a payload of ours, by identity of the class."""
    assert Payload is v1.Payload
    assert Payloads is v1.Payloads
    assert sealwire.Payload is v1.Payload


def _fields(message: Descriptor | None) -> list[tuple[Any, ...]]:
    assert message is not None
    found: list[tuple[Any, ...]] = []
    for field in message.fields:
        inner = field.message_type.full_name if field.message_type else None
        found.append((field.name, field.number, field.type, field.is_repeated, inner))
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            found.extend(_fields(field.message_type))
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"), [(PrivatePayload, Payload), (PrivatePayloads, Payloads)]
)
def test_the_private_message_has_the_sdks_fields(ours: Any, theirs: Any) -> None:
    """Names, numbers and types are the same, in the messages inside as well."""
    assert theirs.DESCRIPTOR.full_name == ours.DESCRIPTOR.full_name
    assert _fields(theirs.DESCRIPTOR) == _fields(ours.DESCRIPTOR)
    assert ours is not theirs


def test_the_private_message_is_in_no_shared_pool() -> None:
    """The default pool goes on giving the SDK's message, and two private ones never meet."""
    shared = descriptor_pool.Default().FindMessageTypeByName("temporal.api.common.v1.Payload")
    assert Payload.DESCRIPTOR is shared
    assert PrivatePayload.DESCRIPTOR is not shared
    assert build_private_messages()[0] is not PrivatePayload


def _content(payload: Any) -> tuple[Any, ...]:
    sizes = [details.size_bytes for details in payload.external_payloads]
    unknown: Any = UnknownFieldSet(payload)
    return (
        dict(payload.metadata),
        payload.data,
        sizes,
        [(item.field_number, item.data) for item in unknown],
    )


@pytest.mark.parametrize(
    ("writer", "reader"), [(Payload, PrivatePayload), (PrivatePayload, Payload)]
)
@given(message=payloads(), unknown=st.booleans())
def test_the_wire_format_is_the_sdks(
    writer: Any, reader: Any, message: Payload, unknown: bool
) -> None:
    """What one class writes the other reads, external payloads and unknown fields included."""
    data = message.SerializeToString() + (UNKNOWN if unknown else b"")
    written = writer.FromString(data)
    read = reader.FromString(written.SerializeToString())
    assert _content(message)[:3] == _content(read)[:3]
    assert _content(written) == _content(read)
    assert unknown == (UNKNOWN in read.SerializeToString())
    assert written.SerializeToString(deterministic=True) == read.SerializeToString(
        deterministic=True
    )


@given(st.lists(payloads(), max_size=4))
def test_a_list_of_payloads_has_the_same_wire_format(messages: list[Payload]) -> None:
    """`Payloads` is the same message for both as well."""
    data = Payloads(payloads=messages).SerializeToString()
    private = PrivatePayloads.FromString(data)
    assert [_content(item) for item in messages] == [_content(item) for item in private.payloads]
    assert messages == list(Payloads.FromString(private.SerializeToString()).payloads)


@pytest.mark.parametrize("build", [Payload, PrivatePayload])
def test_reading_an_absent_entry_with_get_inserts_nothing(build: Callable[[], Any]) -> None:
    """The two ways to read a map differ: square brackets would insert the key."""
    payload = build()
    assert payload.metadata.get("absent") is None
    assert {} == dict(payload.metadata)
    assert b"" == payload.metadata["absent"]
    assert {"absent": b""} == dict(payload.metadata)


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({}, "none"),
        ({"encoding": b""}, ""),
        ({"encoding": b"json/plain"}, "json/plain"),
        ({"encoding": b"\xff\xc3\xa9"}, "\\xff\\xc3\\xa9"),
        ({"encoding": b"x" * 1000}, "x" * 64),
    ],
)
def test_an_encoding_is_shown_as_short_ascii(metadata: dict[str, bytes], shown: str) -> None:
    """A stranger's bytes do not reach a message unescaped or at any length."""
    payload = Payload(metadata=metadata)
    assert shown == encoding_of(payload)
    assert metadata == dict(payload.metadata)


def test_the_public_names_exist() -> None:
    """What the module promises it has."""
    assert [] == [name for name in module.__all__ if not hasattr(module, name)]


PRIVATE: Final = """
from sealwire.payload import build_private_messages
ours, _ = build_private_messages()
"""
SDK: Final = """
from temporalio.api.common.v1 import Payload as theirs
"""
CHECK: Final = """
data = ours(data=b"x", metadata={"encoding": b"json/plain"}).SerializeToString()
assert theirs.FromString(data).SerializeToString() == data
assert ours is not theirs
assert theirs.DESCRIPTOR.full_name == ours.DESCRIPTOR.full_name == "temporal.api.common.v1.Payload"
print("coexist")
"""


@pytest.mark.parametrize(
    "script",
    [
        PRIVATE + SDK,
        SDK + PRIVATE,
        # sealwire is imported while the SDK is absent, and the SDK arrives later.
        BLOCK
        + "from sealwire.payload import Payload as ours\nsys.meta_path.remove(blocker)\n"
        + SDK,
    ],
    ids=["private-first", "sdk-first", "sdk-later"],
)
def test_both_classes_live_in_one_process(script: str) -> None:
    """Whichever is imported first, neither registration fails, and they understand each other."""
    assert "coexist" == _run(script + CHECK).strip()


def test_everything_works_without_the_sdk() -> None:
    """Without `temporalio` values are converted, compressed, sealed, and come back."""
    output = _run(
        BLOCK
        + """
import asyncio
from dataclasses import dataclass

from sealwire import DataConverter, Payload
from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
from sealwire.keys import Key, Keyring, StaticKeyProvider

@dataclass
class Order:
    customer: str
    notes: list[str]

keyring = Keyring(StaticKeyProvider(Key("key-1", bytes(range(32)))))
converter = DataConverter(codec=CodecChain(CompressionCodec(), EncryptionCodec(keyring, "default")))
values = [Order("hunter2", ["note"] * 500), None, b"hunter2"]
hints = [Order, None, bytes]

async def main():
    payloads = await converter.encode(values)
    assert values == await converter.decode(payloads, hints)
    return payloads

payloads = asyncio.run(main())
stored = [payload.SerializeToString() for payload in payloads]
assert not any(b"hunter2" in data for data in stored)
assert values == converter.decode_sync([Payload.FromString(data) for data in stored], hints)
assert not any(name.partition(".")[0] == "temporalio" for name in sys.modules)
print([payload.metadata["encoding"].decode() for payload in payloads])
"""
    )
    assert str(["binary/sealed-v1"] * 3) == output.strip()


def test_importing_the_core_leaves_the_sdks_client_alone() -> None:
    """Of the SDK the core takes the generated messages, and not what runs workflows."""
    output = _run(
        """
        import sys
        import sealwire, sealwire.codecs, sealwire.converter, sealwire.keys
        names = [name for name in sys.modules if name.startswith("temporalio.")]
        unwanted = ("activity", "client", "converter", "worker", "workflow")
        print([name for name in names if name.split(".")[1] in unwanted])
        """
    )
    assert "[]" == output.strip()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"json/plain", "json/plain"),
        (b"a\n\x1b[31mfake", "a\\x0a\\x1b[31mfake"),
        (b"\xff\x7f", "\\xff\\x7f"),
        (b"x" * 100, "x" * 64),
    ],
)
def test_an_encoding_is_shown_without_control_characters(raw: bytes, shown: str) -> None:
    """What the server wrote as an encoding cannot forge lines of a log."""
    assert shown == encoding_of(Payload(metadata={"encoding": raw}))

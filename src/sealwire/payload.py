"""The Payload message and the names of its metadata entries.

`Payload` and `Payloads` are the messages `temporal.api.common.v1.Payload` and `.Payloads`. Where
`temporalio` is installed they are its very classes, so that a process has one Payload type.
Elsewhere an identical message is built in a descriptor pool of our own: registering the same full
name twice in protobuf's default pool would fail as soon as `temporalio` is imported after all.

Two properties of protobuf maps shape the code that uses these classes: `metadata["absent"]`
returns `b""` *and inserts the key*, so reading is always `.get`; and a map has no canonical
serialization, so serialized metadata is never authenticated as it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload, Payloads
else:
    try:
        from temporalio.api.common.v1 import Payload, Payloads
    except ImportError:
        Payload = Payloads = None

__all__ = [
    "CONTENT_ID",
    "ENCODING",
    "ENCRYPTION_CONTEXT",
    "ENCRYPTION_KEY_ID",
    "ENCRYPTION_PREFIX",
    "ENCRYPTION_WRAPPED_KEY",
    "MESSAGE_TYPE",
    "Encoding",
    "Payload",
    "Payloads",
    "encoding_of",
]

# Metadata entries. All but the `encryption-*` ones except the key id are Temporal's own names.
ENCODING: Final = "encoding"
MESSAGE_TYPE: Final = "messageType"
ENCRYPTION_PREFIX: Final = "encryption-"
ENCRYPTION_KEY_ID: Final = "encryption-key-id"
ENCRYPTION_CONTEXT: Final = "encryption-context"
ENCRYPTION_WRAPPED_KEY: Final = "encryption-wrapped-key"
CONTENT_ID: Final = "encryption-content-id"


class Encoding:
    """The values of `metadata["encoding"]` that sealwire writes or reads."""

    NULL: Final = b"binary/null"
    PLAIN: Final = b"binary/plain"
    JSON: Final = b"json/plain"
    JSON_PROTOBUF: Final = b"json/protobuf"
    PROTOBUF: Final = b"binary/protobuf"
    MSGPACK: Final = b"binary/msgpack"
    ZSTD: Final = b"binary/zstd"
    ZSTD_DICTIONARY: Final = b"binary/zstd-dictionary"
    ZLIB: Final = b"binary/zlib"
    LZ4: Final = b"binary/lz4"
    BROTLI: Final = b"binary/brotli"
    GZIP: Final = b"binary/gzip"
    SNAPPY: Final = b"binary/snappy"
    PADDED: Final = b"binary/padded"
    SEALED: Final = b"binary/sealed-v1"
    ENVELOPED: Final = b"binary/enveloped-v1"
    ENCRYPTED: Final = b"binary/encrypted"


def encoding_of(payload: Payload) -> str:
    """Return the encoding of `payload` as text that is safe to show in a message."""
    raw = payload.metadata.get(ENCODING)
    if raw is None:
        return "none"
    text = raw[:64].decode("ascii", "backslashreplace")
    # The server chose it, and it goes into logs: control characters must not.
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def build_private_messages() -> tuple[type[Any], type[Any]]:
    """Build `Payload` and `Payloads` in a descriptor pool of their own.

    The layout is that of `temporal/api/common/v1/message.proto`, reduced to these two messages.

    Returns:
        The classes of `Payload` and `Payloads`.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    package = "temporal.api.common.v1"
    file = descriptor_pb2.FileDescriptorProto(
        name="temporal/api/common/v1/message.proto", package=package, syntax="proto3"
    )

    payload = file.message_type.add(name="Payload")
    entry = payload.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_BYTES)
    details = payload.nested_type.add(name="ExternalPayloadDetails")
    details.field.add(
        name="size_bytes", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_INT64
    )
    payload.field.add(
        name="metadata",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=f".{package}.Payload.MetadataEntry",
    )
    payload.field.add(name="data", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_BYTES)
    payload.field.add(
        name="external_payloads",
        number=3,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=f".{package}.Payload.ExternalPayloadDetails",
    )
    file.message_type.add(name="Payloads").field.add(
        name="payloads",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=f".{package}.Payload",
    )

    pool = descriptor_pool.DescriptorPool()
    # From bytes: a file built by the pure-Python classes is not accepted by every implementation.
    pool.AddSerializedFile(file.SerializeToString())
    return (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Payload")),
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Payloads")),
    )


if not TYPE_CHECKING and Payload is None:
    Payload, Payloads = build_private_messages()

"""Find the payloads in anything that the server returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from sealwire.payload import Payload


def find_payloads(message: Message, path: str = "") -> Iterator[tuple[str, Payload]]:
    """Walk over `message` and yield every payload in it.

    Args:
        message: A history event, a failure, a description, or any other message.
        path: What to put before the path of each payload.

    Yields:
        The path, such as `input.payloads[0]` or `memo.fields[name]`, and the payload itself.
    """
    if isinstance(message, Payload):
        yield path, message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        name = f"{path}.{field.name}" if path else field.name
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in value:
                    yield from find_payloads(value[key], f"{name}[{key}]")
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield from find_payloads(item, f"{name}[{index}]")
        else:
            yield from find_payloads(value, name)


def search(message: Message, texts: Any) -> set[str]:
    """Return those of `texts` that occur anywhere in the serialized `message`, in clear."""
    raw = message.SerializeToString()
    return {text for text in texts if text.encode() in raw}

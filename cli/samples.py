"""Payloads to train a dictionary on: out of exported histories, and out of folders of files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError

from sealwire.codecs import PayloadCodec
from sealwire.errors import (
    ConfigurationError,
    DictionaryNotFoundError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    PayloadError,
    UnencryptedPayloadError,
)
from sealwire.payload import ENCODING, Payload

_FIELDS: Final = {"metadata", "data", "externalPayloads"}
_LEFT_OUT: Final = (
    PayloadError,
    KeyNotFoundError,
    KeyDisabledError,
    KeyDestroyedError,
    DictionaryNotFoundError,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A payload as it was found.

    Args:
        payload: The payload, encoded or not.
        is_own: It is from a file of the user, who may have it in plaintext; one from a server has
            to pass the policy, because whoever writes to its database could have put it there.
    """

    payload: Payload
    is_own: bool


def files_of(paths: Iterable[Path]) -> list[tuple[Path, bool]]:
    """Return the files to read, and whether each is from a folder.

    Raises:
        ConfigurationError: A path does not exist, or a folder has no files.
    """
    found: list[tuple[Path, bool]] = []
    for path in paths:
        if not path.is_dir():
            found.append((path, False))
            continue
        inside = sorted(
            item for item in path.iterdir() if item.is_file() and not item.name.startswith(".")
        )
        if not inside:
            raise ConfigurationError(f"there are no files in the folder {path}")
        found += [(item, True) for item in inside]
    return found


def read_samples(
    path: Path, *, in_folder: bool, to_payload: Callable[[Any], Payload]
) -> list[Sample]:
    """Read the payloads of one file.

    A history, or a list of them, gives every payload anywhere in it. In a folder, a file may also
    be one payload or several, serialized or as JSON, or any other JSON document, which is taken
    for a value.

    Args:
        path: The file.
        in_folder: Whether it was found in a folder.
        to_payload: Turns a value into a payload.

    Raises:
        ConfigurationError: It cannot be read, or there is no payload in it.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise ConfigurationError(f"cannot read {path}: {err.strerror}") from None
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        samples = _serialized(data) if in_folder else []
    else:
        samples = _of_json(value, to_payload if in_folder else None)
    if not samples:
        raise ConfigurationError(
            f"there is no payload in {path}; expected is what `temporal workflow show "
            "--output json` prints, or a folder with payloads or JSON documents"
        )
    return samples


def _of_json(value: Any, to_payload: Callable[[Any], Payload] | None) -> list[Sample]:
    found = list(_payloads_in(value))
    if to_payload is None or _is_history(value):
        return [Sample(payload, is_own=False) for payload in found]
    if _payload_of(value) is None and not _is_payloads(value):
        found = [to_payload(value)]
    return [Sample(payload, is_own=True) for payload in found]


def _serialized(data: bytes) -> list[Sample]:
    try:
        payload = Payload.FromString(data)
    except DecodeError:
        return []
    return [Sample(payload, is_own=True)] if ENCODING in payload.metadata else []


def _is_history(value: Any) -> bool:
    match value:
        case {"events": [*_]} | [{"events": [*_]}, *_]:
            return True
        case _:
            return False


def _is_payloads(value: Any) -> bool:
    match value:
        case {"payloads": [*items], **others}:
            return not others and all(_payload_of(item) is not None for item in items)
        case _:
            return False


def _payloads_in(value: Any) -> Iterator[Payload]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        payload = _payload_of(item)
        if payload is not None:
            yield payload
            continue
        match item:
            case [*inner]:
                waiting += reversed(inner)
            case {**inner}:
                # Search attributes are payloads, too, but never pass a codec.
                parts = [part for name, part in inner.items() if name != "searchAttributes"]
                waiting += reversed(parts)
            case _:
                pass


def _payload_of(value: Any) -> Payload | None:
    match value:
        case {"metadata": {"encoding": _}} if _FIELDS.issuperset(value):
            try:
                return ParseDict(value, Payload())
            except ParseError:
                return None
        case _:
            return None


@dataclass(slots=True)
class Opened:
    """What came out of decoding samples.

    Attributes:
        payloads: The payloads as they were before any codec.
        left_out: How many could not be used, by the error.
        reason: What the first of these errors says.
    """

    payloads: list[Payload] = field(default_factory=list[Payload])
    left_out: Counter[str] = field(default_factory=Counter[str])
    reason: str = ""


async def decode_samples(samples: Iterable[Sample], codec: PayloadCodec) -> Opened:
    """Decrypt and decompress what was found.

    Raises:
        KeyProviderUnavailableError: The keys cannot be loaded.
        ConfigurationError: The dictionaries cannot be loaded.
    """
    opened = Opened()
    for sample in samples:
        try:
            opened.payloads += await codec.decode([sample.payload])
        except _LEFT_OUT as err:
            if sample.is_own and isinstance(err, UnencryptedPayloadError):
                opened.payloads.append(sample.payload)
                continue
            opened.left_out[type(err).__name__] += 1
            opened.reason = opened.reason or str(err)
    return opened

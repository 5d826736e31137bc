"""The keys of stored payloads, out of references to them, and a set of such keys."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec
from google.protobuf.json_format import Parse, ParseError
from temporalio.api.sdk.v1 import ExternalStorageReference

from sealwire.codecs import PayloadCodec
from sealwire.codecs.reference_form import (
    EARLY_REFERENCE,
    REFERENCE_MARKER,
    REFERENCE_MESSAGE,
    unmarked,
)
from sealwire.errors import PayloadError
from sealwire.payload import ENCODING, MESSAGE_TYPE, Encoding, Payload

_CACHE: Final = 16_384  # KiB of memory; the rest is in a file


class References:
    """A set of keys that may be larger than the memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file that nobody else sees
        self._database.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._database.execute("CREATE TABLE keys (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, key: str) -> None:
        """Remember a key."""
        self._database.execute("INSERT OR IGNORE INTO keys VALUES (?)", (_bytes(key),))

    def __contains__(self, key: str) -> bool:
        found = self._database.execute("SELECT 1 FROM keys WHERE key = ?", (_bytes(key),))
        return found.fetchone() is not None

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM keys").fetchone()
        return int(count)

    def close(self) -> None:
        """Forget all."""
        self._database.close()


def _bytes(key: str) -> bytes:
    # In a folder there may be any name.
    return key.encode("utf-8", "surrogatepass")


class _EarlyClaim(msgspec.Struct):
    claim_data: dict[str, str]


class _EarlyReference(msgspec.Struct):
    driver_claim: _EarlyClaim


async def referenced_key(payload: Payload, codec: PayloadCodec) -> str | None:
    """Return the key that a payload refers to.

    Args:
        payload: Any payload.
        codec: Decodes a reference that a codec has encoded.

    Returns:
        The key; None where it is no reference, or one of a driver whose references have no key.

    Raises:
        SealwireError: It is a reference that cannot be read.
    """
    if _is_plain(payload):
        return _key_of(payload)
    if REFERENCE_MARKER not in payload.metadata and not payload.external_payloads:
        return None
    [decoded] = await codec.decode([unmarked(payload)])
    if _is_plain(decoded):
        return _key_of(decoded)
    raise PayloadError("its form is not known here")


def _is_plain(payload: Payload) -> bool:
    metadata = payload.metadata
    return (
        metadata.get(ENCODING) == EARLY_REFERENCE or metadata.get(MESSAGE_TYPE) == REFERENCE_MESSAGE
    )


def _key_of(payload: Payload) -> str | None:
    try:
        match payload.metadata.get(ENCODING):
            case value if value == EARLY_REFERENCE:
                early = msgspec.json.decode(payload.data, type=_EarlyReference)
                return early.driver_claim.claim_data.get("key")
            case Encoding.JSON_PROTOBUF:
                reference = Parse(payload.data, ExternalStorageReference())
                return reference.claim_data.get("key")
            case _:
                pass
    except (ParseError, msgspec.DecodeError, UnicodeDecodeError):
        pass
    raise PayloadError("its form is not known here")

"""How a dictionary is kept secret: it is made of pieces of the payloads it was trained on.

So it is kept as those are: in a Payload `binary/sealed-v1` under the keyring's keys. That one is
sealed for a namespace and a purpose of its own, so that no payload of a workflow passes for a
dictionary, nor a dictionary for such a payload. The inner Payload is

- `metadata["encoding"]`: `binary/zstd-dictionary`;
- `metadata["dictionary"]`: the fields of `DictionaryHeader` as JSON, so that nobody can edit those
  that stand in the document in clear;
- `data`: the dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec
import zstandard
from google.protobuf.message import DecodeError

from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    PayloadError,
)
from sealwire.keys import Keyring
from sealwire.keys.document import RESTORE
from sealwire.payload import ENCODING, ENCRYPTION_KEY_ID, Encoding, Payload

from .dictionary_document import DictionaryHeader, DictionaryRecord, load_content
from .encryption import EncryptionCodec

_NAMESPACE: Final = "sealwire/compression-dictionary"  # no name of a Temporal namespace
_PURPOSE: Final = "compression-dictionary"
_HEADER: Final = "dictionary"


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dictionary of the document, opened.

    Args:
        header: Its id, its times, and whether it is retired.
        key_id: The key that it is sealed with.
        sealed: The serialized Payload.
        content: What compresses and decompresses; None if the key was withdrawn.
        withdrawn: Why there is no content; empty if there is.
    """

    header: DictionaryHeader
    key_id: str
    sealed: bytes = field(repr=False)
    content: zstandard.ZstdCompressionDict | None = field(repr=False, compare=False)
    withdrawn: str = ""

    @property
    def record(self) -> DictionaryRecord:
        """The dictionary as it stands in the document."""
        header = self.header
        return DictionaryRecord(
            header.id, header.created, header.write_from, header.retired, self.sealed
        )


def dictionary_codec(keyring: Keyring) -> EncryptionCodec:
    """Return the codec that seals and opens the dictionaries of the keyring's owner."""
    return EncryptionCodec(keyring, _NAMESPACE, context={"purpose": _PURPOSE})


async def seal(
    header: DictionaryHeader, content: zstandard.ZstdCompressionDict, codec: EncryptionCodec
) -> Dictionary:
    """Seal a dictionary with the active key."""
    inner = Payload(data=content.as_bytes())
    inner.metadata[ENCODING] = Encoding.ZSTD_DICTIONARY
    inner.metadata[_HEADER] = msgspec.json.encode(header)
    (outer,) = await codec.encode([inner])
    return Dictionary(header, _key_id(outer), outer.SerializeToString(), content)


async def unseal(
    record: DictionaryRecord, codec: EncryptionCodec, repair: str = RESTORE
) -> Dictionary:
    """Open a dictionary of the document.

    One whose key was disabled or destroyed comes without content: payloads under that key cannot
    be read any more either, and all others can.

    Args:
        record: The dictionary as it stands in the document.
        codec: What `dictionary_codec` returned.
        repair: What to do when it is refused.

    Raises:
        ConfigurationError: It is not as an administrator's command wrote it.
        KeyProviderUnavailableError: The keys cannot be loaded.
    """
    outer = _outer(record, repair)
    try:
        content = _content(record, *await codec.decode([outer]))
    except (KeyDisabledError, KeyDestroyedError) as err:
        return Dictionary(record.header, _key_id(outer), record.sealed, None, str(err))
    except KeyNotFoundError:
        content = f"it is sealed with the key {_key_id(outer)!r}, which is not in the keyring"
    except ContextMismatchError:
        content = "it was sealed for something else, such as a workflow"
    except PayloadError as err:
        content = f"it does not open: {err}"
    if isinstance(content, str):
        raise _refused(record, content, repair)
    return Dictionary(record.header, _key_id(outer), record.sealed, content)


def _outer(record: DictionaryRecord, repair: str) -> Payload:
    try:
        outer = Payload.FromString(record.sealed)
    except DecodeError:
        raise _refused(record, "it is damaged", repair) from None
    # Anything else binds no purpose: the codec may accept the interop format.
    if outer.metadata.get(ENCODING) != Encoding.SEALED:
        raise _refused(record, "it is not sealed", repair)
    return outer


def _content(record: DictionaryRecord, inner: Payload) -> zstandard.ZstdCompressionDict | str:
    # Returns what is wrong, and raises nothing: a traceback may show the variables.
    if inner.metadata.get(ENCODING) != Encoding.ZSTD_DICTIONARY:
        return "what is sealed there is not a dictionary"
    if _header(inner) != record.header:
        return "its id, its times or its state were edited"
    content = load_content(inner.data)
    if not isinstance(content, str) and content.dict_id() != record.id:
        return f"its bytes have the id {content.dict_id()}"
    return content


def _header(inner: Payload) -> DictionaryHeader | None:
    try:
        return msgspec.json.decode(inner.metadata.get(_HEADER, b""), type=DictionaryHeader)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _key_id(outer: Payload) -> str:
    return outer.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")


def _refused(record: DictionaryRecord, problem: str, repair: str) -> ConfigurationError:
    return ConfigurationError(
        f"the dictionary {record.id} is refused, and with it the document: {problem}; {repair}"
    )

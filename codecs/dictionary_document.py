"""The document of trained dictionaries: all of one tenant, each of them sealed, in one JSON text.

::

    {"format": "sealwire/dictionaries-v1", "version": 3,
     "dictionaries": [{"id": 1234567890, "created": …, "write_from": …, "retired": false,
                       "sealed": base64}]}

Times are seconds since 1970. `version` grows with every change. `sealed` is a serialized Payload
that holds the dictionary, and the four fields before it once more; see `dictionary_sealing`.
"""

from __future__ import annotations

from typing import Final

import msgspec
import zstandard

from sealwire.errors import ConfigurationError
from sealwire.keys.document import RESTORE

FORMAT: Final = "sealwire/dictionaries-v1"
MAX_DICTIONARIES: Final = 1000
MAX_SIZE: Final = 1024 * 1024  # bytes of one dictionary; what is trained has 16 KiB
MAX_DOCUMENT: Final = 64 * 1024 * 1024  # bytes; as much as `FileKeyringStore` reads
# RFC 8878, 3.1.1.1.3: ids up to 32767 and from 2**31 on are reserved for registered dictionaries.
IDS: Final = range(32768, 2**31)
_MAGIC: Final = b"\x37\xa4\x30\xec"  # RFC 8878, 5: what a dictionary begins with
_OVERHEAD: Final = 16 * 1024  # bytes, more than sealing adds to the largest dictionary


class DictionaryHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a dictionary beside its bytes.

    Args:
        id: What stands in each frame that was compressed with it.
        created: When it was added, in seconds since 1970.
        write_from: From when on it compresses, in seconds since 1970.
        retired: Whether it only decompresses any more.
    """

    id: int
    created: float
    write_from: float
    retired: bool


class DictionaryRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dictionary as it stands in the document: its header, and the sealed whole."""

    id: int
    created: float
    write_from: float
    retired: bool
    sealed: bytes

    @property
    def header(self) -> DictionaryHeader:
        """The clear fields, for comparison with the authenticated ones."""
        return DictionaryHeader(self.id, self.created, self.write_from, self.retired)


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document; the module's docstring explains the fields."""

    format: str
    version: int
    dictionaries: tuple[DictionaryRecord, ...]


def parse(data: bytes, repair: str = RESTORE) -> Document:
    """Parse a document; what is in it is not trustworthy before it was opened.

    Args:
        data: The text of the document.
        repair: What to do when it is damaged.

    Raises:
        ConfigurationError: This is not a document of dictionaries, or it exceeds the limits.
    """
    if len(data) > MAX_DOCUMENT:
        raise ConfigurationError(f"the document of dictionaries has more than {MAX_DOCUMENT} bytes")
    try:
        document = msgspec.json.decode(data, type=Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ConfigurationError(
            f"the document of dictionaries is damaged or not one of sealwire's: {repair}"
        ) from None
    problem = _problem(document)
    if problem is not None:
        raise ConfigurationError(f"the document of dictionaries is not used: {problem}; {repair}")
    return document


def write(document: Document) -> bytes:
    """Return the text of `document`.

    Raises:
        ConfigurationError: It would exceed the limits.
    """
    text = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
    parse(text)
    return text


def load_content(content: bytes) -> zstandard.ZstdCompressionDict | str:
    """Load a dictionary in the format of RFC 8878, section 5.

    Returns:
        The dictionary, or what is wrong with it. It raises nothing, because a traceback may show
        the variables.
    """
    if len(content) > MAX_SIZE:
        return f"a dictionary has at most {MAX_SIZE} bytes, and this one has {len(content)}"
    if not content.startswith(_MAGIC):
        return "this is not a trained zstd dictionary"
    try:
        loaded = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_FULLDICT)
        # Both directions look at the tables, and the second one prepares what readers share.
        frame = zstandard.ZstdCompressor(dict_data=loaded).compress(_MAGIC)
        zstandard.ZstdDecompressor(dict_data=loaded).decompress(frame)
    except (zstandard.ZstdError, MemoryError):
        return "the zstd dictionary is damaged"
    if loaded.dict_id() not in IDS:
        return f"zstd reserves the dictionary id {loaded.dict_id()}: use {IDS[0]} to {IDS[-1]}"
    return loaded


def _problem(document: Document) -> str | None:
    records = document.dictionaries
    if document.format != FORMAT:
        return f"it has the format {document.format[:80]!r}, this release reads {FORMAT!r}"
    if len(records) > MAX_DICTIONARIES:
        return f"it has {len(records)} dictionaries, and at most {MAX_DICTIONARIES} are read"
    if len({record.id for record in records}) < len(records):
        return "two dictionaries have the same id"
    for record in records:
        if record.id not in IDS:
            return f"zstd reserves the dictionary id {record.id}"
        if len(record.sealed) > MAX_SIZE + _OVERHEAD:
            return f"the dictionary {record.id} has more than {MAX_SIZE} bytes"
    return None

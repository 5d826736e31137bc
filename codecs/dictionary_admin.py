"""Adding, retiring and re-sealing dictionaries: for administrators, apart from what workers do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec
import zstandard

from sealwire.errors import ConfigurationError
from sealwire.keys import Keyring, KeyringStore, StoredDocument
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.document import RESTORE
from sealwire.keys.store import origin_of

from .dictionary_document import (
    FORMAT,
    DictionaryHeader,
    Document,
    load_content,
    parse,
    write,
)
from .dictionary_sealing import Dictionary, dictionary_codec, seal, unseal
from .encryption import EncryptionCodec

_EMPTY: Final = Document(FORMAT, 0, ())


@dataclass(frozen=True, slots=True)
class _Opened:
    """A document with its dictionaries, and what it has to be replaced as."""

    document: Document
    dictionaries: tuple[Dictionary, ...]
    stored: StoredDocument | None


@dataclass(frozen=True)
class DictionaryAdmin:
    """Changes the document of dictionaries of a keyring's owner.

    Every change also seals anew what is under an older key than the active one.

    Args:
        store: Where the document lives.
        keyring: The keys to seal the dictionaries with.
        clock: Returns the seconds since 1970.
    """

    store: KeyringStore
    keyring: Keyring
    clock: Callable[[], float] = field(default=time.time, repr=False)

    async def create(self) -> None:
        """Create a document without dictionaries.

        Processes that are told of it write as before, and can read whatever is written later.

        Raises:
            ConfigurationError: There is a document already.
        """
        if await self.store.load(self.keyring.tenant) is not None:
            raise ConfigurationError(
                "there is a document of dictionaries already; it was not changed: "
                "`sealwire dict train` adds one to it"
            )
        await self._save(_Opened(_EMPTY, (), None), ())

    async def add(self, content: bytes, *, delay: float = PROPAGATION) -> Dictionary:
        """Add a dictionary that compresses after `delay`; the document is made where there is none.

        Args:
            content: The dictionary, as `train_dictionary` returns it.
            delay: Seconds, in which every process learns of it before any of them writes with it:
                at least twice the refresh interval.

        Raises:
            ConfigurationError: It is no dictionary, its id is taken, there are too many, or
                somebody else changes the document at this moment.
        """
        loaded = load_content(content)
        del content  # a traceback may show the variables
        if isinstance(loaded, str):
            raise ConfigurationError(loaded)
        if delay < 0:
            raise ConfigurationError("the delay must not be negative")
        opened = await self._open()
        known = {item.header.id for item in opened.dictionaries}
        if loaded.dict_id() in known:
            raise ConfigurationError(f"there is a dictionary {loaded.dict_id()} already")
        now = float(self.clock())
        header = DictionaryHeader(loaded.dict_id(), now, now + delay, retired=False)
        added = await self._seal(header, loaded)
        await self._save(opened, (*opened.dictionaries, added))
        return added

    async def retire(self, dictionary_id: int) -> Dictionary:
        """Let a dictionary only decompress from now on; the newest of the others compresses.

        Raises:
            ConfigurationError: It is unknown, its key was withdrawn, or somebody else changes the
                document at this moment.
        """
        opened = await self._open()
        found = {item.header.id: item for item in opened.dictionaries}
        old = found.get(dictionary_id)
        if old is None:
            raise ConfigurationError(
                f"there is no dictionary {dictionary_id}; `sealwire dict list` shows them"
            )
        if old.content is None:
            raise ConfigurationError(
                f"the dictionary {dictionary_id} does not compress anyway: {old.withdrawn}"
            )
        header = msgspec.structs.replace(old.header, retired=True)
        new = await self._seal(header, old.content)
        await self._save(opened, {**found, dictionary_id: new}.values())
        return new

    async def reseal(self) -> int:
        """Seal every dictionary with the active key, so that no older one is needed for them.

        Returns:
            How many were under another key.

        Raises:
            ConfigurationError: Somebody else changes the document at this moment.
        """
        opened = await self._open()
        outdated = sum(map(self._is_outdated, opened.dictionaries))
        if outdated:
            await self._save(opened, opened.dictionaries)
        return outdated

    async def dictionaries(self) -> tuple[Dictionary, ...]:
        """Read the document, past every cache."""
        return (await self._open()).dictionaries

    @cached_property
    def _codec(self) -> EncryptionCodec:
        return dictionary_codec(self.keyring)

    async def _open(self) -> _Opened:
        await self.keyring.refresh()  # the active key is the one that the store has now
        stored = await self.store.load(self.keyring.tenant)
        repair = origin_of(self.store, self.keyring.tenant).repair
        document = _EMPTY if stored is None else parse(stored.data, repair)
        return _Opened(document, await self._unseal(document, repair), stored)

    async def _unseal(self, document: Document, repair: str) -> tuple[Dictionary, ...]:
        return tuple(
            [await unseal(record, self._codec, repair) for record in document.dictionaries]
        )

    async def _seal(
        self, header: DictionaryHeader, content: zstandard.ZstdCompressionDict
    ) -> Dictionary:
        return await seal(header, content, self._codec)

    def _is_outdated(self, item: Dictionary) -> bool:
        return item.content is not None and item.key_id != self.keyring.encryption_key().id

    async def _save(self, opened: _Opened, dictionaries: Iterable[Dictionary]) -> None:
        current = [
            await self._seal(item.header, item.content)
            if item.content is not None and self._is_outdated(item)
            else item
            for item in dictionaries
        ]
        text = write(
            Document(FORMAT, opened.document.version + 1, tuple(item.record for item in current))
        )
        # What does not open again must never replace what does.
        if _shown(await self._unseal(parse(text), RESTORE)) != _shown(current):
            raise ConfigurationError("the dictionaries do not open again; nothing was written")
        revision = None if opened.stored is None else opened.stored.revision
        await self.store.save(self.keyring.tenant, text, revision)


def _shown(dictionaries: Iterable[Dictionary]) -> list[tuple[DictionaryHeader, bytes | None]]:
    return [
        (item.header, None if item.content is None else item.content.as_bytes())
        for item in dictionaries
    ]

"""Creating, rotating and importing keys: for administrators, apart from what workers may do."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from sealwire.errors import ConfigurationError

from .document import FORMAT, Document, DocumentKey, KeyRecord, Wrapping, parse
from .key import ROOT_SIZE, Key, KeySuite
from .provider import KeySet
from .store import KeyringStore, StoredDocument
from .wrapped import open_document
from .wrapper import KeyWrapper

PROPAGATION: Final = 3600.0  # seconds from creating a key to encrypting with it


@dataclass(frozen=True, slots=True)
class RotationResult:
    """What `KeyringAdmin.rotate` did.

    Args:
        key: The new key; or the present one, when it is young enough.
        rotated: Whether there is a new key.
    """

    key: Key
    rotated: bool


@dataclass(frozen=True)
class KeyringAdmin:
    """Changes the keyring document of one tenant.

    Args:
        store: Where the document lives.
        wrapper: Who can open it.
        tenant: Whose keys.
        clock: Returns the seconds since 1970.
    """

    store: KeyringStore
    wrapper: KeyWrapper
    tenant: str = "default"
    clock: Callable[[], float] = time.time

    async def create(self) -> Key:
        """Create the document with its first key, which encrypts at once.

        Raises:
            ConfigurationError: There is a document already.
        """
        if await self.store.load(self.tenant) is not None:
            raise ConfigurationError(
                f"there is a keyring for {self.tenant!r} already; it was not changed: "
                "`sealwire keys rotate` adds a key"
            )
        wrapping, document_key = await self._new_document_key()
        document = Document(FORMAT, self.tenant, 0, (wrapping,), ())
        return await self._add(document, document_key, None, self._new_key(document_key, 0.0))

    async def rotate(
        self, *, delay: float = PROPAGATION, if_older_than: float | None = None
    ) -> RotationResult:
        """Add a key that encrypts after `delay`; the present one goes on decrypting.

        Args:
            delay: Seconds, in which every process learns of the new key before any uses it: at
                least twice the refresh interval. 0 makes processes that have not refreshed yet
                ask for the key when they first meet it.
            if_older_than: Do nothing when the newest key is younger than so many seconds.

        Raises:
            ConfigurationError: There is no document, or somebody else changes it at this moment.
        """
        if delay < 0:
            raise ConfigurationError("the delay must not be negative")
        document, key, stored = await self._load()
        sealed = [item for item in key.open(document).keys if item.suite is KeySuite.SEALED]
        newest = max(sealed, key=lambda item: item.created)
        if if_older_than is not None and self.clock() - newest.created < if_older_than:
            return RotationResult(newest, rotated=False)
        added = await self._add(document, key, stored, self._new_key(key, delay))
        return RotationResult(added, rotated=True)

    async def import_interop(self, key_id: str, material: bytes) -> Key:
        """Add a key that other SDKs' codecs use, to read what they wrote.

        Where the configuration says `format = "interop"`, it also encrypts, at once.

        Args:
            key_id: What stands in the payloads as `encryption-key-id`.
            material: 16, 24 or 32 bytes.

        Raises:
            ConfigurationError: The id is taken, the material has another size, there is no
                document, or somebody else changes it at this moment.
        """
        now = self.clock()
        key = Key(key_id, material, suite=KeySuite.INTEROP, created=now, encrypt_from=now)
        document, document_key, stored = await self._load()
        if key_id in {item.id for item in document_key.open(document).keys}:
            raise ConfigurationError(f"there is a key {key_id!r} already; it was not changed")
        record = document_key.wrap(key, material, self.tenant)
        del material  # a traceback may show the variables
        return await self._add(document, document_key, stored, (key, record))

    async def keys(self) -> KeySet:
        """Read the document, past every cache."""
        document, key, _ = await self._load()
        return key.open(document)

    async def _load(self) -> tuple[Document, DocumentKey, StoredDocument]:
        stored = await self.store.load(self.tenant)
        if stored is None:
            raise ConfigurationError(
                f"there is no keyring for {self.tenant!r}; `sealwire keys init` makes one"
            )
        document = parse(stored.data, self.tenant)
        return document, await open_document(document, self.wrapper), stored

    async def _new_document_key(self) -> tuple[Wrapping, DocumentKey]:
        secret = secrets.token_bytes(32)
        wrapped = await self.wrapper.wrap(secret, self.tenant)
        same = hmac.compare_digest(await self.wrapper.unwrap(wrapped, self.tenant), secret)
        document_key = DocumentKey(secret)
        del secret  # a traceback may show the variables
        if not same:
            raise ConfigurationError("the wrapper does not give back what it wrapped")
        return Wrapping(await self.wrapper.name(), wrapped), document_key

    async def _add(
        self,
        document: Document,
        document_key: DocumentKey,
        stored: StoredDocument | None,
        added: tuple[Key, KeyRecord],
    ) -> Key:
        key, record = added
        changed = msgspec.structs.replace(
            document, version=document.version + 1, keys=(*document.keys, record)
        )
        text = document_key.sign(changed)
        # What does not open again must never replace what does.
        document_key.open(parse(text, self.tenant))
        await self.store.save(self.tenant, text, stored.revision if stored else None)
        return key

    def _new_key(self, document_key: DocumentKey, delay: float) -> tuple[Key, KeyRecord]:
        # The root leaves this function only wrapped, or inside a key that does not show it.
        now = self.clock()
        root = secrets.token_bytes(ROOT_SIZE)
        day = time.strftime("%Y-%m-%d", time.gmtime(now))
        key = Key(f"{day}-{secrets.token_hex(4)}", root, created=now, encrypt_from=now + delay)
        return key, document_key.wrap(key, root, self.tenant)

"""How a keyring document is changed: read, checked, opened again, swapped, and recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sealwire.errors import ConfigurationError, KeyNotFoundError

from .audit import AuditEvent, AuditOutcome, AuditSink, current_actor, failure
from .document import Document, DocumentKey, KeyRecord, parse
from .key import Key
from .provider import KeySet
from .rails import shredding
from .store import ErasesVersions, KeyringStore, origin_of
from .wrapped import open_document
from .wrappers import OneOrMore


@dataclass(frozen=True, slots=True)
class Opened:
    """A document as it was read, and what opens it.

    Args:
        document: The document.
        document_key: What opens it.
        keys: Its keys.
        revision: What the store compares; None for a document that is not stored yet.
    """

    document: Document
    document_key: DocumentKey
    keys: KeySet
    revision: str | None


@dataclass(slots=True)
class Attempt:
    """What is known so far about an action, for its audit event."""

    key_ids: tuple[str, ...]
    before: int | None = None
    after: int | None = None
    outcome: AuditOutcome = AuditOutcome.UNCHANGED


@dataclass(frozen=True)
class Editor:
    """Reads and replaces one tenant's document for whoever changes keys; see `KeyringAdmin`."""

    store: KeyringStore
    wrapper: OneOrMore
    tenant: str
    clock: Callable[[], float]
    audit: AuditSink
    actor: str | None

    async def load(self) -> Opened:
        """Read, check and open the document.

        Raises:
            ConfigurationError: There is none, or it must not be used.
            KeyProviderUnavailableError: A part does not answer.
        """
        stored = await self.store.load(self.tenant)
        if stored is None:
            raise ConfigurationError(
                f"there is no keyring for {self.tenant!r}: restore it from a backup, or make the "
                "first one with `sealwire keys init`"
            )
        document = parse(stored.data, self.tenant, origin_of(self.store, self.tenant))
        document_key = await open_document(document, self.wrapper)
        return Opened(document, document_key, document_key.open(document), stored.revision)

    async def save(
        self, opened: Opened, records: tuple[KeyRecord, ...], *, revive: bool = False
    ) -> KeySet:
        """Replace the document by its next version, with these keys.

        Args:
            opened: The document as it was read.
            records: All its keys from now on.
            revive: Whether a shredded keyring may have keys again.

        Raises:
            ConfigurationError: Somebody else changed it meanwhile, or it is shredded; nothing was
                written.
            KeyProviderUnavailableError: The store does not answer.
        """
        document = opened.document
        changed = msgspec.structs.replace(document, version=document.version + 1, keys=records)
        text = opened.document_key.sign(changed)
        # What does not open again must never replace what does.
        keys = opened.document_key.open(parse(text, self.tenant))
        shredded = shredding(opened.keys, self.tenant, self.clock())
        if shredded is not None and keys.shredded_at is None and not revive:
            raise ConfigurationError(shredded)
        await self.store.save(self.tenant, text, opened.revision)
        return keys

    async def overwrite_backup(self) -> None:
        """Save the document as it is once more: a store may keep one version before the present.

        Raises:
            ConfigurationError: Somebody else changed it meanwhile, and so has done the same.
        """
        stored = await self.store.load(self.tenant)
        if stored is not None:
            await self.store.save(self.tenant, stored.data, stored.revision)

    async def erase_versions(self) -> bool:
        """Erase the versions before the present one, where the store can.

        Returns:
            Whether the store has none any more.

        Raises:
            ConfigurationError: The store does not allow it.
            KeyProviderUnavailableError: The store does not answer.
        """
        if isinstance(self.store, ErasesVersions):
            return await self.store.erase_versions(self.tenant)
        with suppress(ConfigurationError):  # who changed it meanwhile has done the same
            await self.overwrite_backup()
        return False

    @contextmanager
    def recorded(self, action: str, *key_ids: str, reason: str = "") -> Generator[Attempt]:
        """Send an audit event when the block ends, in whatever way."""
        attempt = Attempt(key_ids)
        try:
            yield attempt
        except BaseException as err:
            attempt.outcome = AuditOutcome.FAILED
            self._record(action, attempt, reason, failure(err))
            raise
        self._record(action, attempt, reason)

    @asynccontextmanager
    async def changing(
        self, action: str, *key_ids: str, reason: str = ""
    ) -> AsyncGenerator[Change]:
        """Load the document for a block that changes it; `recorded` in whatever way it ends."""
        with self.recorded(action, *key_ids, reason=reason) as attempt:
            opened = await self.load()
            attempt.before = attempt.after = opened.keys.version
            yield Change(self, opened, attempt)

    def _record(self, action: str, attempt: Attempt, reason: str, error: str | None = None) -> None:
        event = AuditEvent(
            self.clock(),
            self.actor or current_actor(),
            action,
            self.tenant,
            attempt.key_ids,
            attempt.before,
            attempt.after,
            attempt.outcome,
            reason,
            error,
        )
        self.audit.record(event)


@dataclass(frozen=True)
class Change:
    """A document that is being changed, at one moment."""

    editor: Editor
    opened: Opened
    attempt: Attempt
    now: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.editor.clock())

    @property
    def keys(self) -> KeySet:
        """The keys before the change."""
        return self.opened.keys

    def key(self, key_id: str) -> Key:
        """Return one of the keys.

        Raises:
            KeyNotFoundError: There is none of this id.
        """
        for key in self.keys.keys:
            if key.id == key_id:
                return key
        raise KeyNotFoundError(
            f"the keyring of {self.editor.tenant!r} has no key {key_id[:200]!r}: "
            "`sealwire keys list` shows those that it has",
            key_id=key_id,
        )

    async def update(self, *key_ids: str, **fields: Any) -> KeySet:
        """Save the document with other values in some fields of these keys."""
        records = (
            msgspec.structs.replace(record, **fields) if record.id in key_ids else record
            for record in self.opened.document.keys
        )
        return await self.save(tuple(records))

    async def save(self, records: tuple[KeyRecord, ...], *, revive: bool = False) -> KeySet:
        """Save the document with these keys; see `Editor.save`."""
        keys = await self.editor.save(self.opened, records, revive=revive)
        self.attempt.after = keys.version
        self.attempt.outcome = AuditOutcome.DONE
        return keys

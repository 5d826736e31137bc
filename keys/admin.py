"""Creating, rotating and importing keys: for administrators, apart from what workers may do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from sealwire.errors import ConfigurationError, SealwireError

from .audit import AuditSink, LoggingAuditSink
from .document import FORMAT, Document, DocumentKey, KeyRecord
from .editor import Change, Editor, Opened
from .key import ROOT_SIZE, Key, KeySuite
from .provider import KeySet
from .rails import shredding
from .secret import Secret
from .store import KeyringStore
from .wrappers import OneOrMore, Wrappers

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
    """Creates the keyring document of one tenant and adds keys to it.

    `KeyLifecycle` changes the states of keys, `export_bundle` and `import_bundle` move them.

    Args:
        store: Where the document lives.
        wrapper: Who can open it: one, or several in the order in which they are asked.
        tenant: Whose keys.
        clock: Returns the seconds since 1970.
        audit: Takes an event for each action, also for one that fails.
        actor: Who acts, for these events; None for the user of the process.
    """

    store: KeyringStore
    wrapper: OneOrMore
    tenant: str = "default"
    clock: Callable[[], float] = time.time
    audit: AuditSink = field(default_factory=LoggingAuditSink)
    actor: str | None = None

    @property
    def editor(self) -> Editor:
        """What reads, replaces and records."""
        return Editor(self.store, self.wrapper, self.tenant, self.clock, self.audit, self.actor)

    async def create(self) -> Key:
        """Create the document with its first key, which encrypts at once.

        Raises:
            ConfigurationError: There is a document already, or what a shredded one has left.
        """
        with self.editor.recorded("create") as attempt:
            if await self.store.load(self.tenant) is not None:
                raise ConfigurationError(await self._in_the_way())
            wrapped_by, document_key = await Wrappers.of(self.wrapper).new_key(self.tenant)
            document = Document(FORMAT, self.tenant, 0, wrapped_by, ())
            change = Change(self.editor, Opened(document, document_key, KeySet(()), None), attempt)
            return await _add(change, self._new_key(document_key, 0.0))

    async def create_for(self, tenant: str) -> None:
        """Create the keyring of another tenant, unless it has one; of several who do, one wins.

        It is what `TenantKeyrings` takes as `on_missing`. What a shredded tenant has left is left.

        Args:
            tenant: Whose keyring, in the place of `self.tenant`.

        Raises:
            ConfigurationError: It cannot be made.
            KeyProviderUnavailableError: A part does not answer.
        """
        try:
            await replace(self, tenant=tenant).create()
        except ConfigurationError:
            if await self.store.load(tenant) is None:
                raise

    async def rotate(
        self,
        *,
        delay: float = PROPAGATION,
        if_older_than: float | None = None,
        suite: KeySuite = KeySuite.SEALED,
    ) -> RotationResult:
        """Add a key that encrypts after `delay`; the present one goes on decrypting.

        The first key of a suite has none to take turns with, and is used at once.

        Args:
            delay: Seconds, in which every process learns of the new key before any uses it: at
                least twice the refresh interval. 0 makes processes that have not refreshed yet
                ask for the key when they first meet it.
            if_older_than: Do nothing when the newest key is younger than so many seconds.
            suite: What the key is for: `SEALED` or `INDEX`.

        Raises:
            ConfigurationError: There is no document, somebody else changes it at this moment, or
                keys of the suite are not made here.
        """
        async with self.editor.changing("rotate") as change:
            if delay < 0:
                raise ConfigurationError("the delay must not be negative")
            if suite is KeySuite.INTEROP:
                raise ConfigurationError(
                    "interop keys come from other programs: import them with `sealwire keys import`"
                )
            peers = [key for key in change.keys.keys if key.suite is suite]
            young = _younger_than(if_older_than, peers, change.now)
            if young is not None:
                return RotationResult(young, rotated=False)
            new = self._new_key(change.opened.document_key, delay if peers else 0.0, suite)
            return RotationResult(await _add(change, new), rotated=True)

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
        secret = Secret(material)
        del material  # a traceback may show the variables
        async with self.editor.changing("import", key_id) as change:
            now = change.now
            key = Key(key_id, secret(), suite=KeySuite.INTEROP, created=now, encrypt_from=now)
            if key_id in {item.id for item in change.keys.keys}:
                raise ConfigurationError(f"there is a key {key_id!r} already; it was not changed")
            record = change.opened.document_key.wrap(key, secret(), self.tenant)
            return await _add(change, (key, record))

    async def rewrap(self, wrappers: OneOrMore) -> KeySet:
        """Let these wrappers, and no others, open the document; its keys stay the same.

        The document key is a new one: who could open the document before, and is not in the new
        list, cannot open what is saved from now on. What was saved before, it still opens.

        Args:
            wrappers: All that are to open the document. Each is tried before anything is saved.

        Raises:
            ConfigurationError: A wrapper does not give back what it wrapped, or is not allowed to;
                two are the same; there is no document, or somebody else changes it at this moment.
            KeyProviderUnavailableError: A wrapper or the store does not answer.
        """
        async with self.editor.changing("rewrap") as change:
            before = change.opened
            wrapped_by, document_key = await Wrappers.of(wrappers).new_key(self.tenant)
            document = msgspec.structs.replace(before.document, wrapped_by=wrapped_by)
            opened = replace(before, document=document, document_key=document_key)
            records = before.document_key.rewrapped(before.document, document_key)
            keys = await replace(change, opened=opened).save(records)
            if not {item.wrapper for item in before.document.wrapped_by} <= {
                item.wrapper for item in wrapped_by
            }:
                with suppress(ConfigurationError):  # who changed it meanwhile has done the same
                    await self.editor.overwrite_backup()
            return keys

    async def keys(self) -> KeySet:
        """Read the document, past every cache."""
        return (await self.editor.load()).keys

    async def wrapped_by(self) -> tuple[str, ...]:
        """Read the document, and name the key-encryption keys that open it."""
        document = (await self.editor.load()).document
        return tuple(item.wrapper for item in document.wrapped_by)

    async def _in_the_way(self) -> str:
        with suppress(SealwireError):  # it need not open: it is not replaced
            shredded = shredding(await self.keys(), self.tenant, self.clock())
            if shredded is not None:
                return shredded
        return (
            f"there is a keyring for {self.tenant!r} already; it was not changed: "
            "`sealwire keys rotate` adds a key"
        )

    def _new_key(
        self, document_key: DocumentKey, delay: float, suite: KeySuite = KeySuite.SEALED
    ) -> tuple[Key, KeyRecord]:
        # The root leaves this function only wrapped, or inside a key that does not show it.
        now = self.clock()
        root = secrets.token_bytes(ROOT_SIZE)
        day = time.strftime("%Y-%m-%d", time.gmtime(now))
        key_id = f"{day}-{secrets.token_hex(4)}"
        key = Key(key_id, root, suite=suite, created=now, encrypt_from=now + delay)
        return key, document_key.wrap(key, root, self.tenant)


def _younger_than(age: float | None, peers: Iterable[Key], now: float) -> Key | None:
    """Return the newest key that nobody has withdrawn, if it is younger than `age`."""
    readable = (key for key in peers if key.readable)
    newest = max(readable, key=lambda key: key.created, default=None)
    if age is None or newest is None or now - newest.created >= age:
        return None
    return newest


async def _add(change: Change, added: tuple[Key, KeyRecord]) -> Key:
    key, record = added
    change.attempt.key_ids = (key.id,)
    await change.save((*change.opened.document.keys, record))
    return key

"""Crypto-shredding: every key of a tenant destroyed at once, and with them all that they sealed.

A shredded keyring stays where it was, without key material: it says when the keys were destroyed,
and nobody makes a new keyring for the tenant by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sealwire.errors import ConfigurationError

from .admin import KeyringAdmin
from .document import KeyRecord
from .editor import Change
from .lifecycle import DESTROY_AFTER, MIN_DESTROY_AFTER
from .provider import KeySet
from .rails import shredding


@dataclass(frozen=True, slots=True)
class Shredded:
    """What became of a keyring.

    Args:
        keys: Its keys, in their new states.
        versions_erased: Whether the store has no older version of the document any more, with the
            keys in it. Backups, exports and bundles are somewhere else in any case.
    """

    keys: KeySet
    versions_erased: bool


@dataclass(frozen=True)
class KeyringShredder:
    """Destroys all keys of the tenant whose keyring `admin` may change.

    No rail of `KeyLifecycle` is in the way: that workflows need the keys is no reason against
    forgetting whom they are about. Every method sends an audit event, also when it fails.

    Args:
        admin: Who may change the keyring.
    """

    admin: KeyringAdmin

    async def schedule(self, *, after: float = DESTROY_AFTER, reason: str = "") -> KeySet:
        """Withdraw all keys now, and let `shred` erase them later; `cancel` brings them back.

        Args:
            after: Seconds until they may be erased, at least 7 days.
            reason: Why, for the audit event.

        Raises:
            ConfigurationError: `after` is too short, there is no keyring, or it is shredded.
        """
        async with self.admin.editor.changing("schedule-shredding", reason=reason) as change:
            if not after >= MIN_DESTROY_AFTER:  # NaN is not
                raise ConfigurationError(
                    "a keyring is shredded after 7 days or more, in which a mistake can be "
                    "noticed; where it must be at once: immediately=True (--immediately)"
                )
            self._refuse_shredded(change)
            return await _destroy(change, change.now + after, erase=False)

    async def cancel(self) -> KeySet:
        """Keep the keys of a keyring that was to be shredded, until it is.

        The keys encrypt and decrypt again at once; a process takes that up with its next refresh.
        What was scheduled for single keys before is cancelled too, unless its date is earlier.

        Raises:
            ConfigurationError: The keyring is not to be shredded, or the keys are erased.
        """
        async with self.admin.editor.changing("cancel-shredding") as change:
            at = change.keys.shredded_at
            records = change.opened.document.keys
            kept = [item.id for item in records if item.destroyed_at == at and item.material]
            if at is None or not kept:
                raise ConfigurationError(
                    f"the keyring of {self.admin.tenant!r} "
                    + ("was shredded, for good" if at is not None else "is not to be shredded")
                )
            change.attempt.key_ids = tuple(kept)
            return await change.save(
                tuple(_changed(item, None) if item.id in kept else item for item in records),
                revive=True,
            )

    async def shred(self, *, immediately: bool = False, reason: str = "") -> Shredded:
        """Erase all keys for good, and the versions of the document that the store keeps.

        It can be called again, for example when erasing the versions failed.

        Args:
            immediately: Dangerous: without the days in which a mistake can be noticed.
            reason: Why, for the audit event.

        Raises:
            ConfigurationError: The time has not come, there is no keyring, or the store does not
                permit it.
            KeyProviderUnavailableError: A part does not answer.
        """
        async with self.admin.editor.changing("shred", reason=reason) as change:
            if not immediately:
                self._check_due(change)
            keys = change.keys
            if any(record.material for record in change.opened.document.keys):
                keys = await _destroy(change, change.now, erase=True)
            return Shredded(keys, await self.admin.editor.erase_versions())

    def _refuse_shredded(self, change: Change) -> None:
        shredded = shredding(change.keys, self.admin.tenant, change.now)
        if shredded is not None:
            raise ConfigurationError(shredded)

    def _check_due(self, change: Change) -> None:
        at = change.keys.shredded_at
        if at is None:
            raise ConfigurationError(
                f"the keyring of {self.admin.tenant!r} is not scheduled to be shredded"
            )
        if change.now < at:
            self._refuse_shredded(change)


async def _destroy(change: Change, at: float, *, erase: bool) -> KeySet:
    """Give every key that has none an end at `at`, or an earlier one than it had."""
    records = change.opened.document.keys
    change.attempt.key_ids = tuple(record.id for record in records if record.material)
    return await change.save(
        tuple(
            _changed(record, min(at, record.destroyed_at or at), erase=erase) for record in records
        )
    )


def _changed(record: KeyRecord, destroyed_at: float | None, *, erase: bool = False) -> KeyRecord:
    return msgspec.structs.replace(
        record,
        destroyed_at=None if destroyed_at is None else float(destroyed_at),
        material=None if erase else record.material,
    )

"""Changing the states of keys, and the rails that keep readers and payloads safe meanwhile.

A key that is disabled, or whose destruction is scheduled, does not decrypt any more: with it, all
that it sealed becomes unreadable. No rail sees Temporal's histories; time since a key was replaced
stands for them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sealwire.errors import ConfigurationError

from .admin import PROPAGATION, KeyringAdmin
from .editor import Change
from .key import Key
from .provider import KeySet, KeyState
from .rails import check_destruction, check_due, check_promotion, check_withdrawal, erased

_DAY: Final = 86_400.0
SPREAD: Final = 600.0  # seconds; twice the default refresh interval
MIN_RETIRED: Final = 120 * _DAY  # workflows of 90 days, then 30 days of retention
DESTROY_AFTER: Final = 30 * _DAY  # as AWS KMS does by default
MIN_DESTROY_AFTER: Final = 7 * _DAY  # the least that AWS KMS accepts


@dataclass(frozen=True)
class KeyLifecycle:
    """Promotes, withdraws and destroys keys of the keyring that `admin` may change.

    Every method sends an audit event, also when it fails, and changes nothing then. A key that has
    the wanted state already is returned as it is.

    Args:
        admin: Who may change the keyring.
        min_retired: For how many seconds a newer key must have encrypted before this one's
            destruction may be scheduled: the age of your oldest workflows and the retention of
            the namespace, together.
        spread: Seconds in which every process learns of a change while the store answers: at
            least twice the refresh interval.
        delay: Seconds from making a key readable again to encrypting with it.

    Raises:
        ConfigurationError: A duration is negative, or the spread longer than the delay.
    """

    admin: KeyringAdmin
    min_retired: float = MIN_RETIRED
    spread: float = SPREAD
    delay: float = PROPAGATION

    def __post_init__(self) -> None:
        if min(self.min_retired, self.spread) < 0:
            raise ConfigurationError("min_retired and spread must not be negative")
        if self.spread > self.delay:
            raise ConfigurationError("the spread must not be longer than the delay")

    async def promote(self, key_id: str, *, before_all_know_it: bool = False) -> Key:
        """Let a pending key encrypt from now on.

        Args:
            key_id: Which key.
            before_all_know_it: Dangerous: also if processes may lack the key. They ask for it when
                they first meet it, and fail where the store does not answer.

        Raises:
            ConfigurationError: The key is withdrawn, was replaced, or is too new.
            KeyNotFoundError: There is no such key.
        """
        async with self.admin.editor.changing("promote", key_id) as change:
            key = change.key(key_id)
            if change.keys.state(key, change.now) is KeyState.ACTIVE:
                return key
            known_since = max(key.created, key.encrypt_from - self.delay)
            wait = 0.0 if before_all_know_it else known_since + self.spread - change.now
            check_promotion(change.keys, key, change.now, wait)
            return _of(await change.update(key_id, encrypt_from=float(change.now)), key)

    async def disable(self, key_id: str, *, reason: str = "", even_if_in_use: bool = False) -> Key:
        """Withdraw a key, reversibly: what it sealed cannot be read until it is enabled again.

        Args:
            key_id: Which key.
            reason: Why, for the audit event; for example that the key is compromised.
            even_if_in_use: Dangerous: also if a process may still encrypt with it.

        Raises:
            ConfigurationError: A rail is in the way; the message names it and the way out.
            KeyNotFoundError: There is no such key.
        """
        async with self.admin.editor.changing("disable", key_id, reason=reason) as change:
            key = change.key(key_id)
            if key.disabled and key.destroyed_at is None:
                return key
            check_withdrawal(change.keys, key, change.now, self.spread, even_if_in_use)
            return _of(await change.update(key_id, disabled=True), key)

    async def enable(self, key_id: str) -> Key:
        """Let a disabled key decrypt again, and encrypt, if it is the newest, after the delay.

        Raises:
            ConfigurationError: The key is scheduled for destruction, or destroyed.
            KeyNotFoundError: There is no such key.
        """
        async with self.admin.editor.changing("enable", key_id) as change:
            key = change.key(key_id)
            if key.destroyed_at is not None:
                raise ConfigurationError(
                    f"the key {key_id!r} was destroyed, and cannot be enabled"
                    if erased(key)
                    else f"the key {key_id!r} is to be destroyed on {_day(key.destroyed_at)}: "
                    "`sealwire keys cancel-destruction` first",
                    key_id=key_id,
                )
            if not key.disabled:
                return key
            return _of(await change.update(key_id, **self._returning(change, key)), key)

    async def schedule_destruction(
        self,
        key_id: str,
        *,
        after: float = DESTROY_AFTER,
        reason: str = "",
        even_if_in_use: bool = False,
    ) -> Key:
        """Withdraw a key, and let `destroy` erase it later.

        Args:
            key_id: Which key.
            after: Seconds until it is destroyed, at least 7 days.
            reason: Why, for the audit event.
            even_if_in_use: Dangerous: also if the key was replaced less than `min_retired` ago.

        Raises:
            ConfigurationError: `after` is too short, or a rail is in the way.
            KeyNotFoundError: There is no such key.
        """
        async with self.admin.editor.changing(
            "schedule-destruction", key_id, reason=reason
        ) as change:
            key = change.key(key_id)
            if not after >= MIN_DESTROY_AFTER:  # NaN is not
                raise ConfigurationError(
                    "a key is destroyed after 7 days or more, in which a mistake can be noticed: "
                    "raise after (--after)"
                )
            check_withdrawal(change.keys, key, change.now, self.spread, even_if_in_use)
            check_destruction(change.keys, key, change.now, self.min_retired, even_if_in_use)
            return _of(await change.update(key_id, destroyed_at=change.now + after), key)

    async def cancel_destruction(self, key_id: str) -> Key:
        """Keep a key that was to be destroyed; possible until `destroy` has erased it.

        Raises:
            ConfigurationError: The key is erased.
            KeyNotFoundError: There is no such key.
        """
        async with self.admin.editor.changing("cancel-destruction", key_id) as change:
            key = change.key(key_id)
            if key.destroyed_at is None:
                return key
            if erased(key):
                raise ConfigurationError(
                    f"the key {key_id!r} was destroyed; only a backup of the keyring has it",
                    key_id=key_id,
                )
            fields = {**self._returning(change, key), "disabled": key.disabled}
            return _of(await change.update(key_id, destroyed_at=None, **fields), key)

    async def destroy(self, *key_ids: str) -> tuple[Key, ...]:
        """Erase keys whose time has come, for good; their ids and dates stay.

        Backups, exports and versions that the store keeps are not reached.

        Args:
            key_ids: Which keys; without any, all whose time has come.

        Returns:
            The keys that were erased.

        Raises:
            ConfigurationError: The time of one of them has not come; none was erased.
            KeyNotFoundError: There is no such key.
        """
        async with self.admin.editor.changing("destroy", *key_ids) as change:
            chosen = [change.key(key_id) for key_id in key_ids]
            for key in chosen:
                check_due(key, change.now)
            due = due_keys(change.keys, change.now) if not key_ids else chosen
            due = tuple(key for key in due if not erased(key))
            if not due:
                return ()
            change.attempt.key_ids = tuple(key.id for key in due)
            await change.update(*change.attempt.key_ids, material=None)
            if change.keys.shredded_at is not None:
                await self.admin.editor.erase_versions()
                return due
            with suppress(ConfigurationError):  # who changed it meanwhile has done the same
                await self.admin.editor.overwrite_backup()
            return due

    def _returning(self, change: Change, key: Key) -> dict[str, float | bool]:
        # Other processes hold it as withdrawn until they refresh. And how long ago the keys before
        # it were replaced is counted from when it encrypts: never from before it was withdrawn.
        return {
            "disabled": False,
            "encrypt_from": float(max(key.encrypt_from, change.now + self.delay)),
        }


def due_keys(keys: KeySet, now: float) -> tuple[Key, ...]:
    """List the keys whose time to be destroyed has come, and that are not erased yet."""
    return tuple(
        key
        for key in keys.keys
        if not erased(key) and key.destroyed_at is not None and key.destroyed_at <= now
    )


def _of(keys: KeySet, key: Key) -> Key:
    return next(new for new in keys.keys if new.id == key.id)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))

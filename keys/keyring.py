"""A provider's keys, cached, with the rules for using them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from sealwire.errors import (
    ConfigurationError,
    KeyLookupError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
)

from .key import KEY_ID, Key, KeySuite
from .moment import Moment
from .provider import KeyProvider, KeySet
from .refresher import Refresher, detached, wait, wait_sync
from .refusals import nothing_active, unknown, withdrawn
from .unknown import Budget, UnknownKeys
from .view import View, Window, check_successor

_JITTER: Final = 0.1  # ±10 %, so that a fleet that started together does not refresh together
_PATIENCE: Final = 0.5  # seconds to wait for a refresh while the cached keys may still be used


class Keyring:
    """The keys of one tenant, as codecs use them.

    `window` is what a batch of payloads costs, a comparison, and each payload a dictionary
    look-up. `encryption_key` and `decryption_key` say why there is no key; none of the three waits
    or does I/O. `ready` and `find` may ask the provider.

    Args:
        provider: Where the keys come from.
        tenant: Whose keys.
        refresh_interval: Seconds after which the provider is asked again, ±10 %.
        encrypt_grace: For how many seconds after the last good answer to go on encrypting while
            the provider is down; at least the refresh interval.
        decrypt_grace: The same for decrypting.
        budget: What questions about unknown keys come out of, shared with other keyrings; None for
            20 at once and 5 a second.
        clock: Returns the seconds since 1970; a test may pass a fake one.

    Raises:
        ConfigurationError: A duration is out of its range.
    """

    def __init__(
        self,
        provider: KeyProvider,
        *,
        tenant: str = "default",
        refresh_interval: float = 300.0,
        encrypt_grace: float = 3600.0,
        decrypt_grace: float = 24 * 3600.0,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if refresh_interval <= 0:
            raise ConfigurationError("refresh_interval must be positive")
        if min(encrypt_grace, decrypt_grace) < refresh_interval:
            raise ConfigurationError("the grace periods must not be under the refresh interval")
        self.provider = provider
        self.tenant = tenant
        self.refresh_interval = refresh_interval
        self.encrypt_grace = encrypt_grace
        self.decrypt_grace = decrypt_grace
        self._clock = clock
        self._view: View | None = None
        self._unknown = UnknownKeys(clock, budget)
        self._wanted: str | None = None
        self._refresher = Refresher(self._refresh, self._explained, clock)

    def __repr__(self) -> str:
        return f"Keyring(tenant={self.tenant!r}, provider={type(self.provider).__name__})"

    def window(self) -> Window | None:
        """Return the keys to use for what is done at once, or None when a rule has to be looked at.

        After None, `ready` and the methods for one key do what is needed.
        """
        view = self._view
        if view is not None:
            window = view.window
            if window.since <= self._clock() < window.until:
                return window
        return None

    def encryption_key(self, suite: KeySuite = KeySuite.SEALED) -> Key:
        """Return the key that encrypts now.

        Raises:
            KeyNotFoundError: No key of this suite is active.
            KeyDisabledError: All keys are withdrawn, and are to be destroyed.
            KeyDestroyedError: All keys were destroyed.
            KeyProviderUnavailableError: The keys are not loaded, or were confirmed too long ago.
        """
        window = self.window()
        key = window.primaries.get(suite) if window else None
        if key is None:
            key = self._current(self.encrypt_grace).window.primaries.get(suite)
        if key is None:
            raise nothing_active(self.tenant, suite, self._loaded().keys, self._clock())
        return key

    def decryption_key(self, key_id: str) -> Key:
        """Return a key to decrypt with, if its state allows it.

        Raises:
            KeyNotFoundError: The key is not in the cache; `find` asks the provider.
            KeyDisabledError: An administrator has withdrawn it.
            KeyDestroyedError: It is gone.
            KeyProviderUnavailableError: The keys are not loaded, or were confirmed too long ago;
                or the key is not in the cache and the last question to the provider failed.
        """
        window = self.window() or self._current(self.decrypt_grace).window
        key = window.readable.get(key_id)
        if key is None:
            raise self._unusable(key_id, self._loaded())
        return key

    def index_keys(self) -> list[Key]:
        """Return the keys under which there may be tokens, from the newest to the oldest.

        One that is pending here makes tokens elsewhere already, so it is among them.

        Raises:
            KeyProviderUnavailableError: The keys are not loaded, or were confirmed too long ago.
        """
        window = self.window() or self._current(self.decrypt_grace).window
        keys = [key for key in window.readable.values() if key.suite is KeySuite.INDEX]
        return keys[::-1]

    def knows(self, key_id: str) -> bool:
        """Tell whether the key is in the cache, in whatever state."""
        return self._view is not None and key_id in self._view.by_id

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would return at once."""
        view = self._view
        if view is None:
            return False
        now = self._clock()
        if 0 <= now - view.loaded.wall < 2 * self.refresh_interval:
            return True
        return self._refresher.backing_off

    async def ready(self) -> None:
        """Load the keys; or refresh them, when nobody used them for two intervals.

        Raises:
            KeyLookupError: There are no keys yet, and the provider gave none.
            ConfigurationError: What the provider gave cannot be used.
        """
        if not self.is_ready:
            await wait(self._refresher.start(self._is_unready)[0], self._patience)
            self._check_loaded()

    def ready_sync(self) -> None:
        """Like `ready`, and blocks the calling thread."""
        if not self.is_ready:
            wait_sync(self._refresher.start(self._is_unready)[0], self._patience)
            self._check_loaded()

    async def find(self, key_ids: Iterable[str]) -> None:
        """Ask the provider for keys that the cache lacks; what stays unknown is remembered."""
        for run in self._questions(key_ids):
            await wait(run)

    def find_sync(self, key_ids: Iterable[str]) -> None:
        """Like `find`, and blocks the calling thread."""
        for run in self._questions(key_ids):
            wait_sync(run)

    async def refresh(self) -> None:
        """Ask the provider now.

        Raises:
            KeyLookupError: It did not answer.
            ConfigurationError: What it said cannot be used.
        """
        for _ in range(2):
            run, began_now = self._refresher.start()
            await wait(run)
            if began_now:
                break  # a run that was under way already may have missed the latest change
        if self._refresher.failure is not None:
            raise detached(self._refresher.failure)

    async def keys(self) -> KeySet:
        """Return all keys, for people to look at."""
        await self.ready()
        return self._loaded().keys

    async def aclose(self) -> None:
        """Close the provider."""
        await self.provider.aclose()

    def _current(self, grace: float) -> View:
        view = self._loaded()
        now = self._clock()
        if self._is_due():
            self._refresher.start(self._is_due)
        age = view.loaded.age(now)
        if age >= grace:
            raise KeyProviderUnavailableError(
                f"the keys of {self.tenant!r} were last confirmed {age:.0f} s ago, "
                f"and {type(self.provider).__name__} does not answer"
            )
        view.move(now, encrypts=age < self.encrypt_grace)
        return view

    def _is_due(self) -> bool:
        return not (self._loaded().is_fresh(self._clock()) or self._refresher.backing_off)

    def _is_unready(self) -> bool:
        return not self.is_ready

    def _loaded(self) -> View:
        if self._view is None:
            raise KeyProviderUnavailableError(
                f"the keys of {self.tenant!r} are not loaded: call ready() or ready_sync() first"
            )
        return self._view

    def _check_loaded(self) -> None:
        if self._view is None and self._refresher.failure is not None:
            raise detached(self._refresher.failure)

    def _explained(self, failure: BaseException) -> SealwireError:
        if isinstance(failure, SealwireError):
            return detached(failure)
        # Only the kind of a foreign error is told: its text may hold credentials.
        return KeyProviderUnavailableError(
            f"cannot load the keys of {self.tenant!r}: {type(self.provider).__name__} "
            f"raised {type(failure).__name__}"
        )

    @property
    def _patience(self) -> float | None:
        return None if self._view is None else _PATIENCE

    def _questions(self, key_ids: Iterable[str]) -> Iterator[Future[None]]:
        """Start what it takes to find keys; the caller waits for each run before the next."""
        for key_id in set(key_ids):
            for _ in range(2):
                if self.knows(key_id) or not KEY_ID.fullmatch(key_id):
                    break
                run, began_now = self._refresher.start(lambda: self._may_ask(key_id))  # noqa: B023
                yield run
                if began_now:
                    break  # a run that was under way already may have missed a new key

    def _may_ask(self, key_id: str) -> bool:
        if self.knows(key_id) or not self._unknown.may_ask(key_id):
            return False
        self._wanted = key_id
        return True

    async def _refresh(self) -> None:
        wanted, self._wanted = self._wanted, None
        before = self._view
        asked = Moment.at(self._clock())
        keys = await self._ask(wanted)
        if self._view is not before:
            return  # this answer took so long that nobody waited for it, and there is a newer one
        check_successor(self.tenant, before, keys)
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - not a secret
        refresh_at = asked.wall + self.refresh_interval * jitter
        self._view = View.of(keys, asked, refresh_at, self._clock())
        if wanted is not None:
            found = self.knows(wanted)
            self._unknown.answered(wanted, found=found)
            if found:  # it was not unknown at all, only new
                self._unknown.budget.give_back()

    async def _ask(self, wanted: str | None) -> KeySet:
        keys = await self.provider.snapshot(self.tenant)
        if keys.complete:
            return keys
        listed = {key.id for key in keys.keys}
        known = () if self._view is None else self._view.keys.keys
        others = [key for key in known if key.id not in listed]
        if wanted is not None and wanted not in listed:
            with suppress(KeyNotFoundError):
                others.append(await self.provider.get(wanted, self.tenant))
        return KeySet((*others, *keys.keys), keys.version, complete=False)

    def _unusable(self, key_id: str, view: View) -> KeyLookupError:
        key = view.by_id.get(key_id)
        if key is not None:
            return withdrawn(key, view.keys.state(key, self._clock()))
        return unknown(key_id, self._refresher.failure)

"""Trained dictionaries for compression, cached, with the rules for using them.

A payload of a few hundred bytes hardly shrinks by itself; a dictionary trained on payloads of its
kind holds what they have in common. A frame names it by its id, so it is handled like a key: each
process has it before any writes with it, and it is kept as long as anything written with it.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Final

import zstandard

from sealwire.errors import (
    ConfigurationError,
    DictionaryNotFoundError,
    KeyLookupError,
    KeyProviderUnavailableError,
    SealwireError,
)
from sealwire.keys import Keyring, KeyringStore
from sealwire.keys.refresher import Refresher, wait, wait_sync
from sealwire.keys.store import origin_of
from sealwire.keys.unknown import UnknownKeys

from .dictionary_document import IDS, parse
from .dictionary_sealing import dictionary_codec, unseal
from .dictionary_view import DictionaryView

_JITTER: Final = 0.1  # ±10 %, so that a fleet that started together does not refresh together
_PATIENCE: Final = 0.5  # seconds to wait for a refresh while the cached dictionaries serve


class Dictionaries:
    """The dictionaries of a keyring's owner, as a `CompressionCodec` uses them.

    `writer` and `reader` are what each payload costs: a comparison and a dictionary look-up, no
    I/O and no waiting. `ready` and `find` may ask the store. While it is down, what is cached goes
    on being used.

    Args:
        store: Where the document lives; see `dictionary_document`.
        keyring: The keys that the dictionaries are sealed with.
        refresh_interval: Seconds after which the store is asked again, ±10 %; if None, that of
            the keyring.
        clock: Returns the seconds since 1970; a test may pass a fake one.

    Raises:
        ConfigurationError: `refresh_interval` is not positive.
    """

    def __init__(
        self,
        store: KeyringStore,
        keyring: Keyring,
        *,
        refresh_interval: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        interval = keyring.refresh_interval if refresh_interval is None else refresh_interval
        if interval <= 0:
            raise ConfigurationError("refresh_interval must be positive")
        self.store = store
        self.keyring = keyring
        self.refresh_interval = interval
        self._codec = dictionary_codec(keyring)
        self._clock = clock
        self._view: DictionaryView | None = None
        self._unknown = UnknownKeys(clock)
        self._wanted: int | None = None
        self._refresher = Refresher(self._refresh, self._explained, clock)

    def __repr__(self) -> str:
        return f"Dictionaries(tenant={self.keyring.tenant!r}, store={type(self.store).__name__})"

    def writer(self) -> zstandard.ZstdCompressionDict | None:
        """Return the dictionary to compress with now: the newest whose time has come.

        Raises:
            KeyProviderUnavailableError: The dictionaries are not loaded.
        """
        return self._current().window.writer

    def reader(self, dictionary_id: int) -> zstandard.ZstdCompressionDict:
        """Return the dictionary that a frame names.

        Raises:
            DictionaryNotFoundError: It is not in the cache (`find` asks the store), or its key is
                withdrawn.
            KeyProviderUnavailableError: The dictionaries are not loaded.
        """
        view = self._current()
        try:
            return view.readable[dictionary_id]
        except KeyError:
            raise self._missing(dictionary_id, view) from None

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would return at once."""
        view = self._view
        if view is None:
            return False
        now = self._clock()
        if view.loaded <= now < view.loaded + 2 * self.refresh_interval:
            return True
        return self._refresher.backing_off

    async def ready(self) -> None:
        """Load the dictionaries; or refresh them, when nobody used them for two intervals.

        Raises:
            ConfigurationError: There are none, or they cannot be used.
            KeyLookupError: There are none yet, and the store or the keys did not answer.
        """
        if not self.is_ready:
            await wait(self._refresher.start(self._is_unready)[0], self._patience)
            self._check_loaded()

    def ready_sync(self) -> None:
        """Like `ready`, and blocks the calling thread."""
        if not self.is_ready:
            wait_sync(self._refresher.start(self._is_unready)[0], self._patience)
            self._check_loaded()

    async def find(self, ids: Iterable[int]) -> None:
        """Ask the store for dictionaries that the cache lacks; what stays unknown is remembered."""
        for run in self._questions(ids):
            await wait(run)

    def find_sync(self, ids: Iterable[int]) -> None:
        """Like `find`, and blocks the calling thread."""
        for run in self._questions(ids):
            wait_sync(run)

    def _current(self) -> DictionaryView:
        view = self._loaded()
        now = self._clock()
        if view.window.since <= now < view.window.until:
            return view
        if self._is_due():
            self._refresher.start(self._is_due)
        view.move(now)
        return view

    def _is_due(self) -> bool:
        return not (self._loaded().is_fresh(self._clock()) or self._refresher.backing_off)

    def _is_unready(self) -> bool:
        return not self.is_ready

    def _loaded(self) -> DictionaryView:
        if self._view is None:
            raise KeyProviderUnavailableError(
                "the compression dictionaries are not loaded: call ready() or ready_sync() first"
            )
        return self._view

    def _check_loaded(self) -> None:
        if self._view is None and self._refresher.failure is not None:
            raise self._explained(self._refresher.failure)

    @property
    def _patience(self) -> float | None:
        return None if self._view is None else _PATIENCE

    def _explained(self, failure: BaseException) -> SealwireError:
        if isinstance(failure, ConfigurationError | KeyLookupError):
            # A copy has no traceback, which would hold the variables of what opened dictionaries.
            return copy.copy(failure)
        return KeyProviderUnavailableError(
            f"cannot load the compression dictionaries: {type(self.store).__name__} "
            f"raised {type(failure).__name__}"
        )

    def _missing(self, dictionary_id: int, view: DictionaryView) -> DictionaryNotFoundError:
        why = view.withdrawn.get(dictionary_id)
        if why is not None:
            return DictionaryNotFoundError(
                f"the compression dictionary {dictionary_id} does not open: {why}",
                dictionary_id=dictionary_id,
            )
        failure = self._refresher.failure
        tried = "" if failure is None else f"; the last attempt to read it failed: {failure}"
        return DictionaryNotFoundError(
            f"the compression dictionary {dictionary_id} is not in {_place(self.store)}: "
            f"bring the document there that holds it, or a backup of it{tried}",
            dictionary_id=dictionary_id,
        )

    def _questions(self, ids: Iterable[int]) -> Iterator[Future[None]]:
        """Start what it takes to find dictionaries; the caller waits for each run in turn."""
        for wanted in set(ids):
            for _ in range(2):
                if self._knows(wanted) or wanted not in IDS:
                    break
                run, began_now = self._refresher.start(lambda: self._may_ask(wanted))  # noqa: B023
                yield run
                if began_now:
                    break  # a run that was under way already may have missed a new dictionary

    def _may_ask(self, wanted: int) -> bool:
        if self._knows(wanted) or not self._unknown.may_ask(str(wanted)):
            return False
        self._wanted = wanted
        return True

    def _knows(self, dictionary_id: int) -> bool:
        view = self._view
        return view is not None and (
            dictionary_id in view.readable or dictionary_id in view.withdrawn
        )

    async def _refresh(self) -> None:
        wanted, self._wanted = self._wanted, None
        asked = self._clock()
        stored = await self.store.load(self.keyring.tenant)
        if stored is None:
            raise ConfigurationError(
                f"there are no dictionaries in {_place(self.store)}; "
                "`sealwire dict init` makes a document for them"
            )
        repair = origin_of(self.store, self.keyring.tenant).repair
        document = parse(stored.data, repair)
        self._check_version(document.version)
        found = [await unseal(record, self._codec, repair) for record in document.dictionaries]
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - not a secret
        refresh_at = asked + self.refresh_interval * jitter
        self._view = DictionaryView.of(
            document.version, found, self._view, asked, refresh_at, self._clock()
        )
        if wanted is not None:
            self._unknown.answered(str(wanted), found=self._knows(wanted))

    def _check_version(self, version: int) -> None:
        if self._view is not None and version < self._view.version:
            raise ConfigurationError(
                f"the dictionaries in {_place(self.store)} went back from version "
                f"{self._view.version} to {version}; was an old copy restored?"
            )


def _place(store: KeyringStore) -> str:
    # What the store itself shows may hold credentials.
    return str(getattr(store, "path", type(store).__name__))

"""A keyring for each of many tenants, made when it is first needed."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from sealwire.errors import (
    ConfigurationError,
    KeyProviderUnavailableError,
    KeyringNotFoundError,
    SealwireError,
)

from .key import Key
from .keyring import Keyring
from .provider import KeyProvider, KeySet
from .refresher import wait, wait_sync
from .unknown import Budget, UnknownKeys

_PATIENCE: Final = 1.0  # seconds after which it is looked again whether another look-up has ended


class TenantKeyrings:
    """The keyrings of all tenants, from one provider.

    `get` is a dictionary look-up. `ready` may ask the provider. The names of tenants may come from
    payloads and workflow ids, and so be invented, and so may the ids of keys: what turns out not to
    exist is remembered, and questions about what does not exist, tenants and the keys of all of
    them, come out of one budget: 20 at once, 5 a second. What exists costs nothing of it.

    Args:
        provider: Where the keys of all of them come from.
        refresh_interval: See `Keyring`.
        encrypt_grace: See `Keyring`.
        decrypt_grace: See `Keyring`.
        limit: How many keyrings are kept; one more, and the one that was not used for the longest
            time is dropped.
        reserved: Tenants that no payload may belong to, for example the one whose keys open the
            documents of the others.
        on_missing: Makes the keyring of a tenant that has none, when something is encrypted for it;
            for example `KeyringAdmin.create_for`. None: a tenant without a keyring is an error.
        clock: Returns the seconds since 1970; a test may pass a fake one.

    Raises:
        ConfigurationError: The limit is not positive, or a duration is out of its range.
    """

    def __init__(
        self,
        provider: KeyProvider,
        *,
        refresh_interval: float = 300.0,
        encrypt_grace: float = 3600.0,
        decrypt_grace: float = 24 * 3600.0,
        limit: int = 1000,
        reserved: Collection[str] = (),
        on_missing: Callable[[str], Awaitable[object]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if limit < 1:
            raise ConfigurationError("the limit of keyrings must be positive")
        self.provider = provider
        self.refresh_interval = refresh_interval
        self.encrypt_grace = encrypt_grace
        self.decrypt_grace = decrypt_grace
        self.limit = limit
        self.reserved = frozenset(reserved)
        self.on_missing = on_missing
        self._clock = clock
        self._made: OrderedDict[str, Keyring] = OrderedDict()
        self._budget = Budget(clock)
        self._unknown = UnknownKeys(clock, self._budget)
        self._reset()
        self.keyring(provider, "default")  # refuses durations out of range, and does no I/O

    def __repr__(self) -> str:
        return f"TenantKeyrings(provider={type(self.provider).__name__}, limit={self.limit})"

    def get(self, tenant: str) -> Keyring | None:
        """Return the keyring of a tenant that was found before."""
        keyring = self._made.get(tenant)
        if keyring is not None:
            with suppress(KeyError):  # another thread has just dropped it
                self._made.move_to_end(tenant)
        return keyring

    async def ready(self, tenant: str, *, create: bool = False) -> Keyring:
        """Return the keyring of a tenant, with its keys loaded.

        Args:
            tenant: Whose keys.
            create: Whether `on_missing` may make it.

        Raises:
            KeyringNotFoundError: There is none.
            KeyProviderUnavailableError: The provider does not answer, or too many tenants that do
                not exist were asked for.
            ConfigurationError: The tenant is reserved, or what the provider gave cannot be used.
        """
        while (keyring := self.get(tenant)) is None:
            search = self._search(tenant, create=create)
            if isinstance(search, Future):
                await wait(search, _PATIENCE)
                continue
            try:
                await search.keyring.ready()
            except SealwireError as err:
                self._check_worth_another(search, err, create=create)
        await keyring.ready()  # somebody else's search may be at its last step
        return keyring

    def ready_sync(self, tenant: str, *, create: bool = False) -> Keyring:
        """Like `ready`, and blocks the calling thread."""
        while (keyring := self.get(tenant)) is None:
            search = self._search(tenant, create=create)
            if isinstance(search, Future):
                wait_sync(search, _PATIENCE)
                continue
            try:
                search.keyring.ready_sync()
            except SealwireError as err:
                self._check_worth_another(search, err, create=create)
        keyring.ready_sync()
        return keyring

    async def aclose(self) -> None:
        """Close the provider."""
        await self.provider.aclose()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._searches: dict[str, _Search] = {}
        self._pid = os.getpid()  # last: who sees this process here also sees its lock

    def keyring(self, provider: KeyProvider, tenant: str) -> Keyring:
        """Make a keyring with the durations of all of them; it is not kept."""
        return Keyring(
            provider,
            tenant=tenant,
            refresh_interval=self.refresh_interval,
            encrypt_grace=self.encrypt_grace,
            decrypt_grace=self.decrypt_grace,
            budget=self._budget,
            clock=self._clock,
        )

    def _search(self, tenant: str, *, create: bool) -> _Search | Future[None]:
        """Return the search for a tenant; or, when there are too many, the end of another one."""
        if tenant in self.reserved:
            raise ConfigurationError(f"the tenant {tenant!r} is not one that payloads belong to")
        if self._pid != os.getpid():  # after a fork: lock and searches belong to the parent
            self._reset()
        create = create and self.on_missing is not None
        with self._lock:
            search = self._searches.get(tenant)
            if search is not None:
                return search
            if not create and self._unknown.is_left_alone(tenant):
                raise KeyringNotFoundError(
                    f"there is no keyring for {tenant[:80]!r}; it was asked for a short time ago"
                )
            if self._budget.take():
                search = _Search(self, tenant, create=create)
                self._searches[tenant] = search
                return search
            if self._searches:
                return next(iter(self._searches.values())).ended
        raise KeyProviderUnavailableError(
            f"the keyring of {tenant[:80]!r} is not asked for now: too many tenants that do not "
            "exist were asked for in the last seconds"
        )

    def _check_worth_another(self, search: _Search, err: SealwireError, *, create: bool) -> None:
        """Raise `err`, unless a search that may create could find what this one did not."""
        self.ended(search)  # where even the thread could not be started
        missing = isinstance(err, KeyringNotFoundError)
        if not (missing and create and self.on_missing is not None and not search.create):
            raise err

    def ended(self, search: _Search) -> None:
        """Take note of how a search ended; of each, only the first time counts."""
        with self._lock:
            if self._searches.get(search.tenant) is not search:
                return
            del self._searches[search.tenant]
            if search.found:
                self._budget.give_back()
                self._made[search.tenant] = search.keyring
                if len(self._made) > self.limit:
                    self._made.popitem(last=False)
            elif _is_about_the_tenant(search.failure):
                self._unknown.answered(search.tenant, found=False)
        search.ended.set_result(None)


class _Search:
    """The first question about a tenant: a provider for its keyring, which tells how it ended."""

    def __init__(self, keyrings: TenantKeyrings, tenant: str, *, create: bool) -> None:
        self.tenant = tenant
        self.create = create
        self.found = False
        self.failure: BaseException | None = None
        self.ended: Future[None] = Future()
        self._keyrings = keyrings
        self.keyring = keyrings.keyring(self, tenant)

    async def snapshot(self, tenant: str) -> KeySet:
        """Ask the provider, once on trial; see `KeyProvider`."""
        if self.found:
            return await self._keyrings.provider.snapshot(tenant)
        if self.failure is not None:  # for somebody who comes too late
            raise self.failure
        try:
            keys = await self._first(tenant)
            self.found = True
        except BaseException as err:
            self.failure = err
            raise
        finally:
            self._keyrings.ended(self)
        return keys

    async def get(self, key_id: str, tenant: str) -> Key:
        """Ask the provider; see `KeyProvider`."""
        return await self._keyrings.provider.get(key_id, tenant)

    async def aclose(self) -> None:
        """Do nothing: the provider is everybody's."""

    async def _first(self, tenant: str) -> KeySet:
        provider, make = self._keyrings.provider, self._keyrings.on_missing
        try:
            return await provider.snapshot(tenant)
        except KeyringNotFoundError:
            if make is None or not self.create:
                raise
        await make(tenant)
        return await provider.snapshot(tenant)


def _is_about_the_tenant(failure: BaseException | None) -> bool:
    """Tell a tenant that does not exist, or must not, from a provider that does not answer."""
    return isinstance(failure, KeyringNotFoundError | ConfigurationError)

"""A keyring for each of many tenants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sealwire.errors import (
    ConfigurationError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    KeyringNotFoundError,
    SealwireError,
)
from sealwire.keys import (
    FolderKeyringStore,
    Key,
    KeyringAdmin,
    KeyringShredder,
    KeySet,
    LocalKeyWrapper,
    TenantKeyrings,
    WrappedKeyProvider,
)
from sealwire.testing import FakeClock
from sealwire.testing.sharing import in_a_fork


class Provider:
    """Knows the tenants whose names begin with `known`, and counts who is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fault: Exception | None = None
        self.new: Key | None = None
        self.gate: threading.Event | None = None
        self.called = threading.Event()
        self._first: dict[str, Key] = {}
        self._lock = threading.Lock()

    async def snapshot(self, tenant: str) -> KeySet:
        with self._lock:
            self.asked.append(tenant)
        self.called.set()
        if self.gate is not None:
            await asyncio.to_thread(self.gate.wait, 30)
        if self.fault is not None:
            raise self.fault
        if not tenant.startswith("known"):
            raise KeyringNotFoundError(f"there is no keyring for {tenant!r}")
        first = self._first.setdefault(tenant, Key.generate(f"key-of-{tenant}"))
        return KeySet((first,) if self.new is None else (first, self.new))

    async def get(self, key_id: str, tenant: str) -> Key:
        raise KeyNotFoundError(f"no key {key_id} of {tenant}", key_id=key_id)

    async def aclose(self) -> None: ...


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def make(provider: Provider, clock: FakeClock) -> Callable[..., TenantKeyrings]:
    """Makes the keyrings under test."""

    def keyrings(**options: Any) -> TenantKeyrings:
        return TenantKeyrings(provider, clock=clock, **options)

    return keyrings


Make = Callable[..., TenantKeyrings]


async def test_each_tenant_has_its_own_keys(make: Make, provider: Provider) -> None:
    """A keyring is made once, and found without a question from then on."""
    keyrings = make()
    for _ in range(2):
        for tenant in ("known-a", "known-b"):
            keyring = await keyrings.ready(tenant)
            assert f"key-of-{tenant}" == keyring.encryption_key().id
            assert keyring is keyrings.get(tenant)
    assert ["known-a", "known-b"] == provider.asked


def test_it_works_without_an_event_loop(make: Make) -> None:
    """`ready_sync` finds the same keyring."""
    keyrings = make()
    keyring = keyrings.ready_sync("known-a")
    assert "key-of-known-a" == keyring.encryption_key().id
    with pytest.raises(KeyringNotFoundError):
        keyrings.ready_sync("unknown")


async def test_ten_thousand_invented_tenants_ask_twenty_times_and_five_a_second(
    make: Make, provider: Provider, clock: FakeClock
) -> None:
    """The budget is the one of unknown key ids, whatever the names are."""
    keyrings = make()
    for number in range(10_000):
        with pytest.raises(KeyProviderUnavailableError):
            await keyrings.ready(f"invented-{number}")
    assert 20 == len(provider.asked)
    clock.advance(2)
    for number in range(10_000, 20_000):
        with pytest.raises(KeyProviderUnavailableError):
            await keyrings.ready(f"invented-{number}")
    assert 30 == len(provider.asked)
    with pytest.raises(KeyProviderUnavailableError, match="too many tenants that do not exist"):
        await keyrings.ready("invented-20000")


def test_the_budget_holds_for_many_threads(make: Make, provider: Provider) -> None:
    """A thousand invented tenants at once, from eight threads, make twenty calls."""
    keyrings = make()

    def ask(number: int) -> None:
        with pytest.raises(KeyProviderUnavailableError):
            keyrings.ready_sync(f"invented-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(1000)))
    assert 20 == len(provider.asked)


async def test_tenants_that_exist_take_nothing_from_the_budget(
    make: Make, provider: Provider
) -> None:
    """A process that starts meets hundreds of tenants at once, and loads them all."""
    keyrings = make()
    found = await asyncio.gather(*(keyrings.ready(f"known-{number}") for number in range(100)))
    assert {f"key-of-known-{number}" for number in range(100)} == {
        keyring.encryption_key().id for keyring in found
    }
    assert 100 == len(provider.asked)


async def test_a_missing_tenant_is_left_alone_for_a_while(
    make: Make, provider: Provider, clock: FakeClock
) -> None:
    """It is asked for again after 30 s, then after 60 s."""
    keyrings = make()
    for seconds, calls in ((0, 1), (29, 1), (2, 2), (58, 2), (3, 3)):
        clock.advance(seconds)
        with pytest.raises(KeyringNotFoundError):
            await keyrings.ready("unknown")
        assert calls == len(provider.asked)


async def test_an_outage_is_not_remembered_as_a_missing_tenant(
    make: Make, provider: Provider
) -> None:
    """When the provider is back, its tenants are found at once."""
    keyrings = make()
    provider.fault = KeyProviderUnavailableError("down")
    with pytest.raises(KeyProviderUnavailableError, match="down"):
        await keyrings.ready("known-a")
    provider.fault = None
    assert "known-a" == (await keyrings.ready("known-a")).tenant


@pytest.mark.parametrize("error", [KeyDisabledError, KeyDestroyedError])
async def test_a_withdrawn_wrapping_key_is_not_remembered_as_a_missing_tenant(
    error: type[SealwireError], make: Make, provider: Provider
) -> None:
    """It says nothing about the tenant, who is found as soon as the key is enabled again."""
    keyrings = make()
    provider.fault = error("the wrapping key")
    for _ in range(2):
        with pytest.raises(error, match="the wrapping key"):
            await keyrings.ready("known-a")
    provider.fault = None
    assert "known-a" == (await keyrings.ready("known-a")).tenant


async def test_unknown_keys_of_all_tenants_have_one_budget(
    make: Make, provider: Provider, clock: FakeClock
) -> None:
    """Naming a key that does not exist in each of many keyrings asks no more often than in one."""
    keyrings = make()
    tenants = [await keyrings.ready(f"known-{number}") for number in range(50)]
    provider.asked.clear()

    for keyring in tenants:
        await keyring.find(["invented"])
    assert 20 == len(provider.asked)

    clock.advance(1)
    for keyring in tenants:
        await keyring.find(["invented-too"])
    assert 25 == len(provider.asked)


async def test_new_keys_take_nothing_from_the_budget(make: Make, provider: Provider) -> None:
    """After a rotation of all tenants at once, each process finds all the keys."""
    keyrings = make()
    tenants = [await keyrings.ready(f"known-{number}") for number in range(50)]

    for keyring in tenants:
        provider.new = Key.generate(f"new-of-{keyring.tenant}")
        await keyring.find([provider.new.id])
        assert keyring.knows(provider.new.id)


async def test_many_tasks_ask_for_one_tenant_once(make: Make, provider: Provider) -> None:
    """All of them get the same keyring, or the same error."""
    keyrings = make()
    found = await asyncio.gather(*(keyrings.ready("known-a") for _ in range(50)))
    assert 1 == len(set(map(id, found)))
    missed = await asyncio.gather(
        *(keyrings.ready("unknown") for _ in range(50)), return_exceptions=True
    )
    assert {KeyringNotFoundError} == set(map(type, missed))
    assert ["known-a", "unknown"] == provider.asked


async def test_a_cancelled_search_leaves_nothing_behind(make: Make, provider: Provider) -> None:
    """Its question is answered for whoever comes next."""
    keyrings = make()
    provider.gate = threading.Event()
    task = asyncio.create_task(keyrings.ready("known-a"))
    await asyncio.to_thread(provider.called.wait, 30)
    task.cancel()
    provider.gate.set()
    assert "known-a" == (await keyrings.ready("known-a")).tenant
    assert ["known-a"] == provider.asked


async def test_who_comes_too_late_asks_nothing(make: Make, provider: Provider) -> None:
    """A search that has failed does not ask again for those who still hold it."""
    keyrings = make()
    search: Any = keyrings._search("unknown", create=False)  # pyright: ignore[reportPrivateUsage]
    for _ in range(3):
        with pytest.raises(KeyringNotFoundError):
            await search.keyring.ready()
    assert ["unknown"] == provider.asked


async def test_the_least_recently_used_is_dropped(make: Make, provider: Provider) -> None:
    """So many keyrings are kept as the limit says; who comes back is loaded again."""
    keyrings = make(limit=2)
    for tenant in ("known-a", "known-b", "known-a", "known-c", "known-a", "known-b"):
        await keyrings.ready(tenant)
    assert ["known-a", "known-b", "known-c", "known-b"] == provider.asked


async def test_invented_tenants_push_no_keyring_out(make: Make, provider: Provider) -> None:
    """A place is only given to a tenant that exists."""
    keyrings = make(limit=1)
    kept = await keyrings.ready("known-a")
    for number in range(30):
        with pytest.raises(KeyProviderUnavailableError):
            await keyrings.ready(f"invented-{number}")
    assert kept is keyrings.get("known-a")


async def test_a_reserved_tenant_is_nobodys(make: Make, provider: Provider) -> None:
    """The keys that open other keyrings seal no payload."""
    keyrings = make(reserved=frozenset({"known-root"}))
    with pytest.raises(ConfigurationError, match="'known-root' is not one that payloads belong to"):
        await keyrings.ready("known-root")
    assert [] == provider.asked


def test_a_fork_has_searches_of_its_own(make: Make, provider: Provider) -> None:
    """What is under way in the parent is not waited for in the child."""
    keyrings = make()
    provider.gate = threading.Event()
    thread = threading.Thread(target=keyrings.ready_sync, args=("known-a",))
    thread.start()
    provider.called.wait(30)

    def work() -> bytes:
        provider.gate = None
        return keyrings.ready_sync("known-a").tenant.encode()

    try:
        assert b"known-a" == in_a_fork(work, 10)
    finally:
        provider.gate.set()
        thread.join()
    assert "known-a" == keyrings.ready_sync("known-a").tenant


def test_impossible_arguments_are_refused(make: Make) -> None:
    """A limit below one, and durations that contradict each other."""
    with pytest.raises(ConfigurationError, match="limit"):
        make(limit=0)
    with pytest.raises(ConfigurationError, match="grace"):
        make(encrypt_grace=1.0)


# Making what is missing


@pytest.fixture
def folder(tmp_path: Path) -> FolderKeyringStore:
    return FolderKeyringStore(tmp_path / "keyrings")


@pytest.fixture
def creator(folder: FolderKeyringStore, wrapper: LocalKeyWrapper) -> KeyringAdmin:
    return KeyringAdmin(folder, wrapper)


def real(creator: KeyringAdmin, *, creates: bool = True) -> TenantKeyrings:
    provider = WrappedKeyProvider(creator.store, creator.wrapper)
    return TenantKeyrings(provider, on_missing=creator.create_for if creates else None)


async def test_a_missing_keyring_is_made_only_when_it_is_asked_for(
    creator: KeyringAdmin, folder: FolderKeyringStore
) -> None:
    """Reading never makes one; neither does anybody without the hook."""
    keyrings, reader = real(creator), real(creator, creates=False)
    for call in (keyrings.ready("c-1"), reader.ready("c-1", create=True)):
        with pytest.raises(KeyringNotFoundError):
            await call
    assert await folder.load("c-1") is None
    made = await keyrings.ready("c-1", create=True)
    assert made.encryption_key().id == (await real(creator).ready("c-1")).encryption_key().id


async def test_of_many_who_make_it_one_wins(creator: KeyringAdmin) -> None:
    """Several programs that race for the first payload of a tenant all use the same key."""
    racing = await asyncio.gather(
        *(real(creator).ready("c-1", create=True) for _ in range(8)),
        *(real(creator).ready("c-1", create=True) for _ in range(8)),
    )
    assert 1 == len({keyring.encryption_key().id for keyring in racing})


async def test_who_reads_first_does_not_keep_others_from_making_it(
    creator: KeyringAdmin,
) -> None:
    """A search that may not create fails, and one beside it that may goes on."""
    keyrings = real(creator)
    outcomes = await asyncio.gather(
        keyrings.ready("c-1"), keyrings.ready("c-1", create=True), return_exceptions=True
    )
    assert isinstance(outcomes[0], KeyringNotFoundError)
    assert not isinstance(outcomes[1], BaseException)


async def test_a_shredded_tenant_is_not_made_again(creator: KeyringAdmin) -> None:
    """What is left of its keyring says that nothing is encrypted for it."""
    await creator.create_for("c-1")
    tenant = KeyringAdmin(creator.store, creator.wrapper, "c-1")
    await KeyringShredder(tenant).shred(immediately=True)
    await creator.create_for("c-1")
    keyring = await real(creator).ready("c-1", create=True)
    with pytest.raises(KeyDestroyedError, match="all keys of 'c-1' were destroyed on"):
        keyring.encryption_key()
    with pytest.raises(ConfigurationError, match=r"'c-1' was shredded on .* never gets keys again"):
        await tenant.create()


async def test_a_keyring_that_vanishes_is_not_made_again(
    creator: KeyringAdmin, folder: FolderKeyringStore
) -> None:
    """A refresh reads only: the process goes on with what it has, and says so."""
    keyring = await real(creator).ready("c-1", create=True)
    (folder.path / "c-1.json").unlink()
    with pytest.raises(KeyringNotFoundError):
        await keyring.refresh()
    assert await folder.load("c-1") is None
    assert keyring.encryption_key()

"""Several key-encryption keys for one document, and exchanging them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sealwire.errors import (
    ConfigurationError,
    KeyProviderUnavailableError,
    SealwireError,
)
from sealwire.keys import (
    FileKeyringStore,
    Keyring,
    KeyringAdmin,
    KeyWrapper,
    LocalKeyWrapper,
    StoredDocument,
    WrappedKeyProvider,
)
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]


@dataclass
class Region:
    """A key-encryption key that can be out of reach, and counts what it is asked."""

    inner: LocalKeyWrapper
    failure: Exception | None = None
    calls: list[str] = field(default_factory=list[str])

    async def name(self) -> str:
        self._called("name")
        return await self.inner.name()

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        self._called("wrap")
        return await self.inner.wrap(key, tenant)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        self._called("unwrap")
        return await self.inner.unwrap(wrapped, tenant)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def region(tmp_path: Path) -> Callable[[str], Region]:
    """Makes a region of a name."""

    def make(name: str) -> Region:
        wrapper = LocalKeyWrapper(tmp_path / f"{name}.key")
        if not wrapper.path.exists():
            wrapper.create()
        return Region(wrapper)

    return make


@pytest.fixture
def pair(region: Callable[[str], Region]) -> tuple[Region, Region]:
    return region("near"), region("far")


@pytest.fixture
def both(store: FileKeyringStore, pair: tuple[Region, Region], clock: FakeClock) -> KeyringAdmin:
    """An administrator with both regions, before the first key is made."""
    return KeyringAdmin(store, pair, clock=clock)


def unreachable() -> KeyProviderUnavailableError:
    return KeyProviderUnavailableError("the region does not answer")


def contents(store: FileKeyringStore) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.path.read_bytes())
    return found


async def check_values(store: FileKeyringStore, wrapper: KeyWrapper) -> list[bytes]:
    found = await WrappedKeyProvider(store, wrapper).snapshot("default")
    return [key.check_value for key in found.keys]


async def test_each_of_several_opens_the_document(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """The document is wrapped once by each, in their order, and any one of them is enough."""
    await both.create()
    await both.rotate()
    assert [await one.name() for one in pair] == [
        wrapping["wrapper"] for wrapping in contents(store)["wrapped_by"]
    ]
    near, far = [await check_values(store, one) for one in pair]
    assert 2 == len(near)
    assert near == far


async def test_a_load_costs_one_unwrap(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """The first wrapper opens the document, the second is not asked, and names are asked once."""
    await both.create()
    near, far = pair
    provider = WrappedKeyProvider(store, pair)
    near.calls.clear()
    far.calls.clear()
    for _ in range(3):
        await provider.snapshot("default")
    assert ["name", "unwrap", "unwrap", "unwrap"] == near.calls
    assert [] == far.calls


@pytest.mark.parametrize(
    "failure",
    [
        unreachable(),
        ConfigurationError("the key-encryption key is disabled"),
        OSError("secret-text-of-a-client"),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_the_next_one_opens_what_the_first_cannot(
    failure: Exception,
    both: KeyringAdmin,
    store: FileKeyringStore,
    pair: tuple[Region, Region],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A region that is down, locked or broken delays a load, and the log says why."""
    await both.create()
    pair[0].failure = failure
    with caplog.at_level(logging.WARNING, "sealwire.keys"):
        assert 1 == (await WrappedKeyProvider(store, pair).snapshot("default")).version
    assert "was opened by the wrapper 2 of 2: (1) " in caplog.text
    assert "secret-text" not in caplog.text
    assert (str(failure) if isinstance(failure, SealwireError) else "Region raised") in caplog.text


async def test_the_order_is_that_of_the_reader(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """A process in the other region asks its own wrapper first, whatever the document says."""
    await both.create()
    near, far = pair
    near.calls.clear()
    await WrappedKeyProvider(store, (far, near)).snapshot("default")
    assert [] == near.calls


async def test_an_error_lists_each_with_its_reason(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """It can be retried as soon as one of the reasons may pass by itself."""
    await both.create()
    provider = WrappedKeyProvider(store, pair)
    pair[0].failure = ConfigurationError("the key is disabled")
    pair[1].failure = unreachable()
    with pytest.raises(KeyProviderUnavailableError) as caught:
        await provider.snapshot("default")
    assert (
        "none of 2 wrappers opens the keyring of 'default': (1) the key is disabled; "
        "(2) the region does not answer"
    ) == str(caught.value)
    pair[1].failure = ConfigurationError("not permitted")
    with pytest.raises(ConfigurationError, match=r"\(1\) the key is disabled; \(2\) not permitted"):
        await provider.snapshot("default")


async def test_a_wrapper_that_the_document_does_not_know_is_passed_over(
    both: KeyringAdmin,
    store: FileKeyringStore,
    pair: tuple[Region, Region],
    region: Callable[[str], Region],
) -> None:
    """A process may be configured for a key-encryption key before the document has it."""
    await both.create()
    stranger = region("stranger")
    await WrappedKeyProvider(store, (stranger, pair[1])).snapshot("default")
    assert "unwrap" not in stranger.calls
    with pytest.raises(ConfigurationError, match=r"wrapped by local:\w+, local:\w+, not by local:"):
        await WrappedKeyProvider(store, stranger).snapshot("default")


async def test_a_key_file_that_is_exchanged_is_noticed(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """A remembered name is asked for again when the document does not know it."""
    near, far = pair
    await replace(both, wrapper=near).create()
    provider = WrappedKeyProvider(store, near)
    await provider.snapshot("default")
    await replace(both, wrapper=near).rewrap(far)
    near.inner.path.write_bytes(far.inner.path.read_bytes())
    assert 2 == (await provider.snapshot("default")).version


@pytest.mark.parametrize("wrappers", [(), []])
def test_there_is_at_least_one(wrappers: Sequence[KeyWrapper], store: FileKeyringStore) -> None:
    """A provider without a wrapper is refused when it is made."""
    with pytest.raises(ConfigurationError, match="there is no wrapper"):
        WrappedKeyProvider(store, wrappers)


async def test_one_key_does_not_count_as_two(
    both: KeyringAdmin, store: FileKeyringStore, region: Callable[[str], Region]
) -> None:
    """Who names the same key-encryption key twice has no second one, and is told."""
    with pytest.raises(ConfigurationError, match="two of the wrappers are the same: local:"):
        await replace(both, wrapper=(region("near"), region("near"))).create()
    assert await store.load("default") is None


@pytest.mark.parametrize("which", [0, 1])
async def test_a_document_is_made_with_all_or_not_at_all(
    which: int,
    both: KeyringAdmin,
    store: FileKeyringStore,
    pair: tuple[Region, Region],
    roots: list[bytes],
    leaks: Leaks,
) -> None:
    """While one of them cannot be reached nothing is written, and the error shows no key."""

    class NoUnwrap(Region):
        async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
            raise unreachable()

    pair = (pair[0], NoUnwrap(pair[1].inner)) if which else (NoUnwrap(pair[0].inner), pair[1])
    with pytest.raises(KeyProviderUnavailableError, match="does not answer") as caught:
        await replace(both, wrapper=pair).create()
    assert roots
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), *roots)
    assert await store.load("default") is None


async def rewrapped(admin: KeyringAdmin, wrappers: Sequence[KeyWrapper]) -> KeyringAdmin:
    await admin.rewrap(wrappers)
    return replace(admin, wrapper=wrappers)


async def test_a_key_encryption_key_can_be_added_and_removed(
    store: FileKeyringStore,
    pair: tuple[Region, Region],
    clock: FakeClock,
    region: Callable[[str], Region],
) -> None:
    """The keys stay the same, and exactly the wrappers in the list open them."""
    near, far, third = *pair, region("third")
    admin = KeyringAdmin(store, near, clock=clock)
    await admin.create()
    await admin.import_interop("legacy", bytes(range(32)))
    await admin.rotate()
    before = await check_values(store, near)
    lists: list[list[Region]] = [[near, far], [far, third], [third], [near]]
    for version, wrappers in enumerate(lists, start=4):
        admin = await rewrapped(admin, wrappers)
        assert version == contents(store)["version"]
        for one in (near, far, third):
            if one in wrappers:
                assert before == await check_values(store, one)
            else:
                with pytest.raises(ConfigurationError, match="not by local:"):
                    await check_values(store, one)


async def test_a_destroyed_key_stays_a_tombstone(
    store: FileKeyringStore, pair: tuple[Region, Region], admin: KeyringAdmin
) -> None:
    """A key without material is carried over as it is."""
    await admin.create()
    await admin.rotate(delay=0.0)
    opened = await admin.editor.load()
    first, second = opened.document.keys
    gone = type(first)(
        first.id, first.suite, first.created, first.encrypt_from, False, 1.0, first.check, None
    )
    await admin.editor.save(opened, (gone, second))
    await admin.rewrap(pair)
    assert contents(store)["keys"][0]["material"] is None
    assert ["", second.check] == [value.hex() for value in await check_values(store, pair[1])]


async def test_who_was_removed_opens_nothing_that_comes_later(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """The old document key, which the removed one can still unwrap, does not open the new keys."""
    near, far = pair
    await both.create()
    old = contents(store)
    admin = await rewrapped(both, [far])
    await admin.rotate()
    forged = contents(store)
    forged["wrapped_by"] = old["wrapped_by"]
    store.path.write_text(json.dumps(forged))
    with pytest.raises(ConfigurationError, match="changed by something else than sealwire"):
        await check_values(store, near)


async def test_no_copy_that_a_removed_one_opens_is_left_beside(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """The backup is overwritten when one is removed, and kept when one is only added."""
    near, far = pair
    backup = FileKeyringStore(store.path.with_name("keyring.json.bak"))
    await replace(both, wrapper=near).create()
    admin = await rewrapped(replace(both, wrapper=near), [near, far])
    assert 1 == contents(backup)["version"]
    await admin.rewrap(far)
    assert contents(store) == contents(backup)


@dataclass
class Forgetful(Region):
    """Wraps, and gives something else back."""

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return bytes(32)


@pytest.mark.parametrize("problem", ["unreachable", "forgetful", "same", "none"])
async def test_what_would_not_open_is_not_saved(
    problem: str,
    both: KeyringAdmin,
    store: FileKeyringStore,
    pair: tuple[Region, Region],
    region: Callable[[str], Region],
    roots: list[bytes],
    leaks: Leaks,
) -> None:
    """If one of the new wrappers fails its test, the document stays as it was."""
    near, far = pair
    admin = replace(both, wrapper=near)
    await admin.create()
    before = store.path.read_bytes()
    wrappers: dict[str, list[KeyWrapper]] = {
        "unreachable": [near, Region(far.inner, unreachable())],
        "forgetful": [near, Forgetful(far.inner)],
        "same": [far, region("far")],
        "none": [],
    }
    with pytest.raises(SealwireError) as caught:
        await admin.rewrap(wrappers[problem])
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), *roots)
    assert before == store.path.read_bytes()


async def test_of_a_rewrap_and_a_rotation_at_once_one_is_told(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region]
) -> None:
    """A key that was added meanwhile is never lost."""
    near, far = pair
    admin = replace(both, wrapper=near)
    await admin.create()

    class Overtaken:
        async def load(self, tenant: str) -> StoredDocument | None:
            found = await store.load(tenant)
            await admin.rotate()
            return found

        async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
            await store.save(tenant, data, revision)

    with pytest.raises(ConfigurationError, match="changed by somebody else meanwhile"):
        await replace(admin, store=Overtaken()).rewrap([far])
    assert 2 == len(await check_values(store, near))


async def test_running_processes_take_up_a_rewrapped_document(
    both: KeyringAdmin, store: FileKeyringStore, pair: tuple[Region, Region], clock: FakeClock
) -> None:
    """A keyring that knows both goes on while one is exchanged for the other."""
    near, far = pair
    await replace(both, wrapper=near).create()
    keyring = Keyring(WrappedKeyProvider(store, pair), clock=clock)
    await keyring.ready()
    first = keyring.encryption_key()
    await replace(both, wrapper=near).rewrap(far)
    clock.advance(400)
    await keyring.ready()
    assert first.id == keyring.encryption_key().id
    assert "unwrap" in far.calls


async def test_a_rewrap_is_audited(
    both: KeyringAdmin, pair: tuple[Region, Region], caplog: pytest.LogCaptureFixture
) -> None:
    """It leaves an event like every other change."""
    await both.create()
    with caplog.at_level(logging.INFO):
        await both.rewrap(pair[1])
    assert "rewrap" in caplog.text

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sealwire.errors import ConfigurationError, KeyNotFoundError
from sealwire.keys import (
    FileKeyringStore,
    Key,
    KeyLifecycle,
    KeyringAdmin,
    KeyState,
    LocalKeyWrapper,
    export_bundle,
    import_bundle,
)
from sealwire.keys.admin import PROPAGATION
from sealwire.testing.clock import FakeClock

DAY = 86_400.0
Leaks = Callable[..., list[str]]


@pytest.fixture
def backup(tmp_path: Path) -> LocalKeyWrapper:
    """Another key-encryption key."""
    made = LocalKeyWrapper(tmp_path / "backup.key")
    made.create()
    return made


@pytest.fixture
def region(admin: KeyringAdmin, tmp_path: Path) -> KeyringAdmin:
    """Another region: the same tenant with another document and another key-encryption key."""
    wrapper = LocalKeyWrapper(tmp_path / "region.key")
    wrapper.create()
    return replace(admin, store=FileKeyringStore(tmp_path / "region.json"), wrapper=wrapper)


async def states(admin: KeyringAdmin) -> dict[str, str]:
    found = await admin.keys()
    return {key.id: found.state(key, admin.clock()).value for key in found.keys}


async def check_values(admin: KeyringAdmin) -> dict[str, bytes]:
    return {key.id: key.check_value for key in (await admin.keys()).keys}


async def test_a_bundle_brings_a_lost_keyring_back(
    admin: KeyringAdmin, region: KeyringAdmin, backup: LocalKeyWrapper, clock: FakeClock
) -> None:
    """With every key in its state, also the one that was destroyed, and under the next version."""
    lifecycle = KeyLifecycle(admin, min_retired=0.0)
    first = await admin.create()
    await admin.rotate(delay=0.0)
    await admin.rotate(delay=0.0)
    clock.advance(DAY)
    await lifecycle.schedule_destruction(first.id)
    clock.advance(30 * DAY)
    await lifecycle.destroy()
    await admin.rotate()
    bundle = await export_bundle(admin, backup)
    result = await import_bundle(region, bundle, backup)
    assert list(await states(admin)) == [key.id for key in result.added]
    assert await states(admin) == await states(region)
    assert ["destroyed", "decrypt-only", "active", "pending"] == list(
        (await states(region)).values()
    )
    assert await check_values(admin) == await check_values(region)
    assert (await admin.keys()).version + 1 == (await region.keys()).version


async def test_only_its_own_key_opens_a_bundle(
    admin: KeyringAdmin,
    region: KeyringAdmin,
    backup: LocalKeyWrapper,
    roots: list[bytes],
    leaks: Leaks,
) -> None:
    """Neither the key of the keyring nor another one does, and no material is in clear in it."""
    await admin.create()
    bundle = await export_bundle(admin, backup)
    for wrapper in (admin.wrapper, region.wrapper):
        assert isinstance(wrapper, LocalKeyWrapper)
        with pytest.raises(ConfigurationError) as caught:
            await import_bundle(region, bundle, wrapper)
        assert str(caught.value).startswith("the bundle of 'default' is wrapped by local:")
        assert f"; {wrapper.path} belongs to another keyring or bundle" in str(caught.value)
    assert await region.store.load("default") is None
    assert not leaks(bundle.decode(), *roots)


async def test_chosen_keys_are_exported_alone(
    admin: KeyringAdmin, region: KeyringAdmin, backup: LocalKeyWrapper
) -> None:
    """A bundle holds what was asked for."""
    first = await admin.create()
    await admin.rotate(delay=0.0)
    result = await import_bundle(region, await export_bundle(admin, backup, first.id), backup)
    assert [first.id] == [key.id for key in result.added]
    assert {first.id: "active"} == await states(region)
    with pytest.raises(KeyNotFoundError, match="has no key 'nobody'"):
        await export_bundle(admin, backup, first.id, "nobody")


async def test_imported_keys_take_their_places_and_wait(
    admin: KeyringAdmin, region: KeyringAdmin, backup: LocalKeyWrapper, clock: FakeClock
) -> None:
    """An older one only decrypts; a newer one encrypts after the delay, like any new key."""
    older = await admin.create()
    clock.advance(DAY)
    own = await region.create()
    clock.advance(DAY)
    newer = (await admin.rotate(delay=0.0)).key
    bundle = await export_bundle(admin, backup)
    await import_bundle(region, bundle, backup)
    assert {older.id: "decrypt-only", own.id: "active", newer.id: "pending"} == await states(region)
    assert [older.id, own.id, newer.id] == list(await states(region))
    clock.advance(PROPAGATION)
    assert KeyState.ACTIVE.value == (await states(region))[newer.id]
    version = (await region.keys()).version
    again = await import_bundle(region, bundle, backup)
    assert ((), (older.id, newer.id)) == (again.added, again.present)
    assert version == (await region.keys()).version


async def test_a_destroyed_key_does_not_come_back(
    admin: KeyringAdmin, backup: LocalKeyWrapper, clock: FakeClock
) -> None:
    """A bundle from before the destruction leaves the tombstone as it is."""
    old = await admin.create()
    await admin.rotate(delay=0.0)
    bundle = await export_bundle(admin, backup)
    lifecycle = KeyLifecycle(admin, min_retired=0.0, spread=0.0)
    await lifecycle.schedule_destruction(old.id)
    clock.advance(30 * DAY)
    await lifecycle.destroy()
    assert () == (await import_bundle(admin, bundle, backup)).added
    assert "destroyed" == (await states(admin))[old.id]


async def test_an_id_that_stands_for_two_keys_is_refused(
    admin: KeyringAdmin, region: KeyringAdmin, backup: LocalKeyWrapper
) -> None:
    """Other bytes under a known id are never taken, nor is the rest of that bundle."""
    for side, byte in ((admin, b"\xa5"), (region, b"\x5a")):
        await side.create()
        await side.import_interop("shared", byte * 32)
    before = await check_values(region)
    with pytest.raises(ConfigurationError, match="a key 'shared' with other bytes"):
        await import_bundle(region, await export_bundle(admin, backup), backup)
    assert before == await check_values(region)


async def test_a_bundle_belongs_to_one_tenant(
    admin: KeyringAdmin, region: KeyringAdmin, backup: LocalKeyWrapper
) -> None:
    """Another tenant cannot import it, and a changed one opens nowhere."""
    await admin.create()
    bundle = await export_bundle(admin, backup)
    with pytest.raises(ConfigurationError, match="belongs to the tenant 'default'"):
        await import_bundle(replace(region, tenant="shop"), bundle, backup)
    with pytest.raises(ConfigurationError, match="changed by something else than sealwire"):
        await import_bundle(
            region, bundle.replace(b'"disabled": false', b'"disabled": true'), backup
        )
    with pytest.raises(
        ConfigurationError,
        match="the bundle is damaged or not one of sealwire's: take another copy",
    ):
        await import_bundle(region, b"{}", backup)


async def test_a_bundle_serves_as_a_keyring(
    admin: KeyringAdmin, backup: LocalKeyWrapper, tmp_path: Path
) -> None:
    """It has the same format, so that any reader of keyrings is one of bundles."""
    await admin.create()
    path = tmp_path / "bundle.json"
    path.write_bytes(await export_bundle(admin, backup))
    path.chmod(0o600)
    copy = replace(admin, store=FileKeyringStore(path), wrapper=backup)
    assert await check_values(admin) == await check_values(copy)
    added: Key = (await copy.rotate()).key
    assert added.id in await states(copy)

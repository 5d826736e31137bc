"""Crypto-shredding: every key of a tenant destroyed at once."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sealwire.errors import ConfigurationError, KeyDestroyedError, KeyDisabledError
from sealwire.keys import (
    AuditEvent,
    FileKeyringStore,
    KeyLifecycle,
    Keyring,
    KeyringAdmin,
    KeyringShredder,
    KeyState,
    LocalKeyWrapper,
    StoredDocument,
    WrappedKeyProvider,
    export_bundle,
    import_bundle,
)
from sealwire.keys.lifecycle import DESTROY_AFTER, MIN_DESTROY_AFTER
from sealwire.testing import FakeClock

DAY = 86_400.0


class Sink:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


@pytest.fixture
async def shredder(admin: KeyringAdmin) -> KeyringShredder:
    """Of a keyring with two keys."""
    await admin.create()
    await admin.rotate()
    return KeyringShredder(admin)


@pytest.fixture
def keyring(store: FileKeyringStore, wrapper: LocalKeyWrapper, clock: FakeClock) -> Keyring:
    """The same keyring, as a worker has it."""
    return Keyring(WrappedKeyProvider(store, wrapper), clock=clock)


async def states(admin: KeyringAdmin) -> set[KeyState]:
    found = await admin.keys()
    return {found.state(key, admin.clock()) for key in found.keys}


def materials(path: Path) -> list[str | None]:
    return [key["material"] for key in json.loads(path.read_bytes())["keys"]]


async def test_all_keys_are_withdrawn_at_once_and_erased_later(
    shredder: KeyringShredder, clock: FakeClock, store: FileKeyringStore
) -> None:
    """By default there are 30 days in which a mistake can be noticed."""
    await shredder.schedule()
    assert {KeyState.DESTROY_SCHEDULED} == await states(shredder.admin)
    clock.advance(DESTROY_AFTER - 1)
    with pytest.raises(ConfigurationError, match=r"is to be shredded on .* cancel-shredding"):
        await shredder.shred()
    assert None not in materials(store.path)
    clock.advance(1)
    result = await shredder.shred()
    assert {KeyState.DESTROYED} == await states(shredder.admin)
    assert [None, None] == materials(store.path)
    assert result.versions_erased


async def test_the_version_before_holds_no_key_either(
    shredder: KeyringShredder, store: FileKeyringStore
) -> None:
    """The backup beside the file is the same as the file."""
    await shredder.shred(immediately=True)
    backup = store.path.with_name("keyring.json.bak")
    assert store.path.read_bytes() == backup.read_bytes()
    assert [None, None] == materials(backup)


async def test_a_process_that_died_while_it_wrote_leaves_no_key_either(
    shredder: KeyringShredder, store: FileKeyringStore
) -> None:
    """What it left beside the file goes with the keys, and what belongs to others stays."""
    path = store.path
    unfinished = [f".{path.name}.k3y_left", f".{path.name}.k3y_left.bak"]
    others = [f".{path.name}.json.k3y_left", f"{path.name}.k3y_left", f".{path.name}.somebody.s"]
    for name in unfinished + others:
        path.with_name(name).write_bytes(path.read_bytes())

    await shredder.shred(immediately=True)

    left = {item.name for item in path.parent.iterdir()}
    assert set() == left & set(unfinished)
    assert set(others) <= left


async def test_what_was_scheduled_can_be_cancelled_until_it_is_done(
    shredder: KeyringShredder, clock: FakeClock, keyring: Keyring
) -> None:
    """The keys encrypt and decrypt again at once, even when the day has come."""
    await keyring.ready()
    active = keyring.encryption_key()
    await shredder.schedule()
    clock.advance(DESTROY_AFTER + 1)
    await shredder.cancel()
    await keyring.refresh()
    assert active.id == keyring.decryption_key(active.id).id
    assert keyring.encryption_key().readable
    await shredder.shred(immediately=True)
    with pytest.raises(ConfigurationError, match="was shredded, for good"):
        await shredder.cancel()


async def test_what_is_not_scheduled_is_neither_cancelled_nor_done(
    shredder: KeyringShredder,
) -> None:
    """Both say so and change nothing."""
    with pytest.raises(ConfigurationError, match="is not to be shredded"):
        await shredder.cancel()
    with pytest.raises(ConfigurationError, match="is not scheduled to be shredded"):
        await shredder.shred()
    assert 2 == (await shredder.admin.keys()).version


@pytest.mark.parametrize("after", [MIN_DESTROY_AFTER - 1, 0.0, -1.0, math.nan])
async def test_less_than_seven_days_is_not_a_schedule(
    shredder: KeyringShredder, after: float
) -> None:
    """The error names the way to do it at once."""
    with pytest.raises(ConfigurationError, match=r"7 days or more.*--immediately"):
        await shredder.schedule(after=after)


async def test_errors_say_when_the_keys_are_or_were_destroyed(
    shredder: KeyringShredder, clock: FakeClock, keyring: Keyring
) -> None:
    """Encrypting and decrypting fail, first reversibly, then for good."""
    await keyring.ready()
    key_id = keyring.encryption_key().id
    await shredder.schedule()
    await keyring.refresh()
    with pytest.raises(
        KeyDisabledError, match="all keys of 'default' are withdrawn, and are destr"
    ):
        keyring.encryption_key()
    with pytest.raises(KeyDisabledError):
        keyring.decryption_key(key_id)
    await shredder.shred(immediately=True)
    await keyring.refresh()
    with pytest.raises(KeyDestroyedError, match=r"all keys of 'default' were destroyed on 2023-11"):
        keyring.encryption_key()
    with pytest.raises(KeyDestroyedError, match="destroyed on 2023-11"):
        keyring.decryption_key(key_id)


async def test_a_process_needs_no_refresh_to_see_the_day_come(
    shredder: KeyringShredder, clock: FakeClock, keyring: Keyring
) -> None:
    """The date is in the document: everybody who holds it agrees on the moment."""
    await shredder.schedule()
    await keyring.ready()
    clock.advance(DESTROY_AFTER)
    (first, _) = (await shredder.admin.keys()).keys
    await keyring.ready()
    with pytest.raises(KeyDestroyedError):
        keyring.decryption_key(first.id)


async def test_nothing_gives_a_shredded_keyring_keys(
    shredder: KeyringShredder, tmp_path: Path
) -> None:
    """Neither creating, rotating, importing nor enabling; before and after the keys are erased."""
    admin = shredder.admin
    (first, _) = (await admin.keys()).keys
    safe = LocalKeyWrapper(tmp_path / "safe.key")
    safe.create()
    bundle = await export_bundle(admin, safe)
    other = KeyringAdmin(FileKeyringStore(tmp_path / "other.json"), admin.wrapper)
    await other.create()
    foreign = await export_bundle(other, safe)

    async def refused() -> None:
        lifecycle = KeyLifecycle(admin)
        with pytest.raises(ConfigurationError, match="shredded"):
            await admin.create()
        with pytest.raises(ConfigurationError, match="shredded"):
            await admin.rotate()
        with pytest.raises(ConfigurationError, match="shredded"):
            await admin.import_interop("interop", bytes(range(100, 132)))
        with pytest.raises(ConfigurationError, match="shredded"):
            await import_bundle(admin, foreign, safe)
        assert () == (await import_bundle(admin, bundle, safe)).added
        with pytest.raises(ConfigurationError):
            await lifecycle.enable(first.id)
        with pytest.raises(ConfigurationError):
            await lifecycle.cancel_destruction(first.id)
        with pytest.raises(ConfigurationError):
            await shredder.schedule()

    await shredder.schedule()
    await refused()
    await shredder.shred(immediately=True)
    await refused()
    assert {KeyState.DESTROYED} == await states(admin)


async def test_a_key_that_was_to_go_earlier_goes_earlier(
    shredder: KeyringShredder, clock: FakeClock
) -> None:
    """Neither scheduling nor cancelling moves a date that somebody set for one key."""
    clock.advance(200 * DAY)
    (first, second) = (await shredder.admin.keys()).keys
    await KeyLifecycle(shredder.admin).schedule_destruction(first.id, after=8 * DAY)
    await shredder.schedule(after=20 * DAY)
    by_id = {key.id: key for key in (await shredder.admin.keys()).keys}
    assert clock() + 8 * DAY == by_id[first.id].destroyed_at
    await shredder.cancel()
    by_id = {key.id: key for key in (await shredder.admin.keys()).keys}
    assert (clock() + 8 * DAY, None) == (
        by_id[first.id].destroyed_at,
        by_id[second.id].destroyed_at,
    )


async def test_destroying_what_is_due_shreds_too(
    shredder: KeyringShredder, clock: FakeClock, store: FileKeyringStore
) -> None:
    """A cron job with `keys destroy` erases the backup, too."""
    await shredder.schedule()
    clock.advance(DESTROY_AFTER)
    await KeyLifecycle(shredder.admin).destroy()
    assert [None, None] == materials(store.path.with_name("keyring.json.bak"))


async def test_what_is_left_can_still_change_hands(
    shredder: KeyringShredder, tmp_path: Path
) -> None:
    """The key-encryption key can be exchanged: the date stays readable."""
    await shredder.shred(immediately=True)
    successor = LocalKeyWrapper(tmp_path / "next.key")
    successor.create()
    await shredder.admin.rewrap(successor)
    provider = WrappedKeyProvider(shredder.admin.store, successor)
    assert (await provider.snapshot("default")).shredded_at is not None


async def test_each_step_is_audited(admin: KeyringAdmin, clock: FakeClock) -> None:
    """Who shreds, why, and which keys; also what failed."""
    sink = Sink()
    shredder = KeyringShredder(
        KeyringAdmin(admin.store, admin.wrapper, clock=clock, audit=sink, actor="ada")
    )
    key = await shredder.admin.create()
    await shredder.schedule(reason="request 7")
    await shredder.cancel()
    with pytest.raises(ConfigurationError):
        await shredder.shred()
    await shredder.shred(immediately=True, reason="request 8")
    assert [
        ("create", "done", ""),
        ("schedule-shredding", "done", "request 7"),
        ("cancel-shredding", "done", ""),
        ("shred", "failed", ""),
        ("shred", "done", "request 8"),
    ] == [(event.action, event.outcome.value, event.reason) for event in sink.events]
    assert [(key.id,)] * 2 == [sink.events[1].key_ids, sink.events[4].key_ids]


class Forgetful:
    """A store of somebody else, which keeps every version and cannot erase one."""

    def __init__(self) -> None:
        self.versions: list[bytes] = []

    async def load(self, tenant: str) -> StoredDocument | None:
        count = len(self.versions)
        return StoredDocument(self.versions[-1], str(count)) if count else None

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        self.versions.append(data)


async def test_a_store_that_keeps_versions_is_told_of(wrapper: LocalKeyWrapper) -> None:
    """The result says that older versions are still there."""
    admin = KeyringAdmin(Forgetful(), wrapper)
    await admin.create()
    assert not (await KeyringShredder(admin).shred(immediately=True)).versions_erased

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sealwire.errors import ConfigurationError, KeyNotFoundError
from sealwire.keys import (
    FileKeyringStore,
    Key,
    KeyLifecycle,
    KeyringAdmin,
    KeyState,
    KeySuite,
    LocalKeyWrapper,
)
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.lifecycle import DESTROY_AFTER, MIN_DESTROY_AFTER, MIN_RETIRED, SPREAD, due_keys
from sealwire.testing.clock import FakeClock

DAY = 86_400.0


@pytest.fixture
def lifecycle(admin: KeyringAdmin) -> KeyLifecycle:
    """The life cycle with its default rails, before the first key is made."""
    return KeyLifecycle(admin)


async def state(admin: KeyringAdmin, key: Key) -> KeyState:
    found = await admin.keys()
    return found.state(next(one for one in found.keys if one.id == key.id), admin.clock())


async def two_keys(admin: KeyringAdmin, clock: FakeClock, retired: float) -> tuple[Key, Key]:
    """An old key, and the one that replaced it so many seconds ago."""
    old = await admin.create()
    new = (await admin.rotate()).key
    clock.advance(PROPAGATION + retired)
    return old, new


# Promoting


async def test_a_promoted_key_encrypts_at_once(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """When every process has had the time to learn of it, a pending key may begin early."""
    old = await admin.create()
    new = (await admin.rotate()).key
    clock.advance(SPREAD)
    promoted = await lifecycle.promote(new.id)
    assert clock() == promoted.encrypt_from
    assert KeyState.ACTIVE is await state(admin, new)
    assert KeyState.DECRYPT_ONLY is await state(admin, old)


async def test_a_key_is_not_promoted_before_all_know_it(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """The error says how long to wait, and the parameter that goes past it names the danger."""
    await admin.create()
    new = (await admin.rotate()).key
    clock.advance(SPREAD - 10)
    with pytest.raises(ConfigurationError, match=r"in 10 s, or with before_all_know_it=True"):
        await lifecycle.promote(new.id)
    assert KeyState.PENDING is await state(admin, new)
    await lifecycle.promote(new.id, before_all_know_it=True)
    assert KeyState.ACTIVE is await state(admin, new)


async def test_only_a_pending_key_is_promoted(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """One that was replaced or withdrawn stays so, and promoting the active one changes nothing."""
    old, new = await two_keys(admin, clock, SPREAD)
    with pytest.raises(ConfigurationError, match=r"was replaced by a newer key.*keys rotate"):
        await lifecycle.promote(old.id)
    await lifecycle.disable(old.id)
    with pytest.raises(ConfigurationError, match=r"withdrawn \(disabled\).*enable it first"):
        await lifecycle.promote(old.id)
    version = (await admin.keys()).version
    await lifecycle.promote(new.id)
    assert version == (await admin.keys()).version


# Disabling and enabling


async def test_a_disabled_key_comes_back(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """Disabling is reversible, and doing either twice changes nothing."""
    old, _ = await two_keys(admin, clock, SPREAD)
    for _ in range(2):
        assert not (await lifecycle.disable(old.id)).readable
    assert KeyState.DISABLED is await state(admin, old)
    for _ in range(2):
        assert (await lifecycle.enable(old.id)).readable
    assert KeyState.DECRYPT_ONLY is await state(admin, old)
    assert 4 == (await admin.keys()).version


async def test_the_key_that_encrypts_is_never_withdrawn(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """There is no way around this rail; the message names the command that makes one."""
    old = await admin.create()
    with pytest.raises(ConfigurationError, match="is the last that decrypts: `sealwire keys rot"):
        await lifecycle.disable(old.id, even_if_in_use=True)
    await admin.rotate()
    for withdraw in (lifecycle.disable, lifecycle.schedule_destruction):
        with pytest.raises(ConfigurationError, match="encrypts now: `sealwire keys rotate` first"):
            await withdraw(old.id, even_if_in_use=True)
    assert KeyState.ACTIVE is await state(admin, old)


async def test_a_key_that_a_process_may_still_use_is_not_withdrawn(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """Processes learn of a rotation within twice the refresh interval, and not before."""
    old, _ = await two_keys(admin, clock, SPREAD - 1)
    with pytest.raises(ConfigurationError, match=r"wait 1 s, or even_if_in_use=True"):
        await lifecycle.disable(old.id)
    await lifecycle.disable(old.id, even_if_in_use=True)
    assert KeyState.DISABLED is await state(admin, old)


async def test_a_key_that_is_about_to_encrypt_is_not_withdrawn(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """A process that does not hear of it in time would begin to use the key."""
    await admin.create()
    new = (await admin.rotate()).key
    clock.advance(PROPAGATION - SPREAD + 1)
    with pytest.raises(ConfigurationError, match=r"about to encrypt, in 599 s.*--immediate"):
        await lifecycle.disable(new.id)
    clock.advance(-1)
    await lifecycle.disable(new.id)
    assert KeyState.DISABLED is await state(admin, new)


async def test_a_compromised_key_is_replaced_and_disabled_at_once(
    lifecycle: KeyLifecycle, admin: KeyringAdmin
) -> None:
    """Both commands work one after the other, without any waiting."""
    old = await admin.create()
    new = (await admin.rotate(delay=0.0)).key
    await lifecycle.disable(old.id, reason="compromised", even_if_in_use=True)
    assert KeyState.ACTIVE is await state(admin, new)
    assert KeyState.DISABLED is await state(admin, old)


@pytest.mark.parametrize("way", ["enable", "cancel_destruction"])
async def test_a_key_that_comes_back_as_the_newest_waits(
    way: str, lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """Other processes hold it as withdrawn until they refresh, so it does not encrypt at once."""
    first = await admin.create()
    new = (await admin.rotate()).key
    if way == "enable":
        await lifecycle.disable(new.id)
    else:
        await lifecycle.schedule_destruction(new.id, even_if_in_use=True)
    clock.advance(DAY)
    back = await getattr(lifecycle, way)(new.id)
    assert clock() + PROPAGATION == back.encrypt_from
    assert KeyState.PENDING is await state(admin, new)
    with pytest.raises(ConfigurationError, match="may not be known to every process"):
        await lifecycle.promote(new.id)
    assert KeyState.ACTIVE is await state(admin, first)
    clock.advance(PROPAGATION)
    assert KeyState.ACTIVE is await state(admin, new)


async def test_a_key_counts_as_a_successor_from_when_it_came_back(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """The time in which it was withdrawn, and the old key encrypted, is not time in retirement."""
    old = await admin.create()
    new = (await admin.rotate()).key
    await lifecycle.disable(new.id)
    clock.advance(MIN_RETIRED + DAY)  # the old key encrypts all the time
    await admin.rotate(delay=0.0)
    await lifecycle.enable(new.id)
    clock.advance(DAY)
    with pytest.raises(ConfigurationError, match="less than 120 days"):
        await lifecycle.schedule_destruction(old.id)


async def test_the_only_interop_key_is_withdrawn_by_intent_alone(
    lifecycle: KeyLifecycle, admin: KeyringAdmin
) -> None:
    """It is the primary of its suite even where nothing writes that format."""
    await admin.create()
    key = await admin.import_interop("other-sdk", b"\xa5" * 32)
    with pytest.raises(ConfigurationError, match=r'format is "interop".*even_if_in_use=True'):
        await lifecycle.disable(key.id)
    await lifecycle.disable(key.id, even_if_in_use=True)
    assert (await admin.keys()).primary(KeySuite.INTEROP, admin.clock()) is None


# Destroying


async def test_a_key_is_destroyed_in_two_steps(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """It stops decrypting at once, is erased after its date and not before, and the date stays."""
    old, _ = await two_keys(admin, clock, MIN_RETIRED)
    scheduled = await lifecycle.schedule_destruction(old.id)
    assert clock() + DESTROY_AFTER == scheduled.destroyed_at
    assert KeyState.DESTROY_SCHEDULED is await state(admin, old)
    clock.advance(DESTROY_AFTER - 1)
    assert () == await lifecycle.destroy()
    with pytest.raises(ConfigurationError, match=r"is kept until 20.* UTC; nothing destroys it ea"):
        await lifecycle.destroy(old.id)
    clock.advance(1)
    assert [old.id] == [key.id for key in due_keys(await admin.keys(), clock())]
    assert [old.id] == [key.id for key in await lifecycle.destroy()]
    tombstone = (await admin.keys()).keys[0]
    assert (old.id, b"", clock()) == (tombstone.id, tombstone.check_value, tombstone.destroyed_at)
    assert KeyState.DESTROYED is await state(admin, old)
    assert () == await lifecycle.destroy(old.id)


async def test_the_backup_beside_the_keyring_loses_the_key_too(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock, store: FileKeyringStore
) -> None:
    """Nothing that this program wrote beside the keyring holds the erased material."""
    old, _ = await two_keys(admin, clock, MIN_RETIRED)
    await lifecycle.schedule_destruction(old.id)
    clock.advance(DESTROY_AFTER)

    def materials() -> dict[str, str]:
        files = [path for path in store.path.parent.iterdir() if "keyring.json" in path.name]
        texts = {path.name: path.read_text() for path in files}
        return {
            name: json.loads(text)["keys"][0]["material"] for name, text in texts.items() if text
        }

    before = materials()
    assert {"keyring.json", "keyring.json.bak"} == set(before)
    assert all(before.values())
    await lifecycle.destroy()
    assert dict.fromkeys(before) == materials()


async def test_destruction_is_cancelled_until_the_material_is_gone(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """Even after the date, while nobody has erased the key; then the way out is a backup."""
    old, _ = await two_keys(admin, clock, MIN_RETIRED)
    await lifecycle.disable(old.id)
    await lifecycle.schedule_destruction(old.id)
    with pytest.raises(ConfigurationError, match="keys cancel-destruction` first"):
        await lifecycle.enable(old.id)
    clock.advance(DESTROY_AFTER + 1)
    await lifecycle.cancel_destruction(old.id)
    assert KeyState.DISABLED is await state(admin, old), "as it was before"
    await lifecycle.cancel_destruction(old.id)
    await lifecycle.schedule_destruction(old.id)
    clock.advance(DESTROY_AFTER)
    await lifecycle.destroy()
    for use in (lifecycle.cancel_destruction, lifecycle.enable, lifecycle.schedule_destruction):
        with pytest.raises(ConfigurationError, match="was destroyed"):
            await use(old.id)


async def test_a_key_that_histories_may_need_is_not_destroyed(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """It must have been replaced for as long as workflows and histories last."""
    old, _ = await two_keys(admin, clock, MIN_RETIRED - 1)
    with pytest.raises(ConfigurationError, match=r"less than 120 days \(min_retired\) ago: hist"):
        await lifecycle.schedule_destruction(old.id)
    pending = (await admin.rotate()).key
    with pytest.raises(ConfigurationError, match=r"not replaced.*can be disabled"):
        await lifecycle.schedule_destruction(pending.id)
    assert (await lifecycle.schedule_destruction(old.id, even_if_in_use=True)).destroyed_at
    with pytest.raises(ConfigurationError, match="already, and does not decrypt; `sealwire keys"):
        await lifecycle.schedule_destruction(old.id)


async def test_a_key_is_not_destroyed_within_a_week(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """The shortest time is seven days, whatever parameters say."""
    old, _ = await two_keys(admin, clock, MIN_RETIRED)
    for after in (MIN_DESTROY_AFTER - 1, 0.0, -1.0, float("nan")):
        with pytest.raises(ConfigurationError, match="after 7 days or more"):
            await lifecycle.schedule_destruction(old.id, after=after, even_if_in_use=True)
    with pytest.raises(ConfigurationError, match="not scheduled for destruction: `sealwire keys"):
        await lifecycle.destroy(old.id)
    assert KeyState.DECRYPT_ONLY is await state(admin, old)


@pytest.mark.parametrize(
    "action",
    ["promote", "disable", "enable", "schedule_destruction", "cancel_destruction", "destroy"],
)
async def test_an_unknown_key_is_named(
    action: str, lifecycle: KeyLifecycle, admin: KeyringAdmin
) -> None:
    """The error says which id is not there, and how to see those that are."""
    await admin.create()
    with pytest.raises(KeyNotFoundError, match="has no key 'nobody': `sealwire keys list`") as got:
        await getattr(lifecycle, action)("nobody")
    assert "nobody" == got.value.key_id
    assert 1 == (await admin.keys()).version


@pytest.mark.parametrize(
    "options", [{"min_retired": -1.0}, {"spread": -1.0}, {"spread": 7200.0}, {"delay": 0.0}]
)
def test_durations_that_make_no_sense_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    """Rails are set up when the object is made, and not when they are needed."""
    admin = KeyringAdmin(FileKeyringStore(tmp_path / "k"), LocalKeyWrapper(tmp_path / "f"))
    with pytest.raises(ConfigurationError, match="must not be"):
        KeyLifecycle(admin, **options)


async def test_a_withdrawn_key_does_not_put_off_a_rotation(
    lifecycle: KeyLifecycle, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """A new key that was disabled again leaves the old one to its age."""
    await admin.create()
    clock.advance(90 * DAY)
    young = (await admin.rotate()).key
    await lifecycle.disable(young.id)
    assert (await admin.rotate(if_older_than=90 * DAY)).rotated

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import (
    FileKeyringStore,
    Key,
    Keyring,
    KeyringAdmin,
    KeyState,
    KeySuite,
    LocalKeyWrapper,
    RotationResult,
    StoredDocument,
    WrappedKeyProvider,
)
from sealwire.keys.admin import PROPAGATION
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]
DAY = 86_400.0


async def ids(admin: KeyringAdmin) -> list[str]:
    return [key.id for key in (await admin.keys()).keys]


async def test_the_first_key_encrypts_at_once(admin: KeyringAdmin, clock: FakeClock) -> None:
    """A new keyring has one active key, made now, in version 1."""
    key = await admin.create()
    found = await admin.keys()
    assert (1, [key.id]) == (found.version, [one.id for one in found.keys])
    assert (clock(), clock(), KeySuite.SEALED) == (key.created, key.encrypt_from, key.suite)
    assert KeyState.ACTIVE is found.state(found.keys[0], clock())
    assert key.check_value == found.keys[0].check_value


async def test_an_id_tells_the_day(admin: KeyringAdmin, clock: FakeClock) -> None:
    """Ids sort by the day of their making, in UTC, and nobody can guess the rest."""
    made = [(await admin.create()).id, (await admin.rotate()).key.id]
    assert {"2023-11-14"} == {key_id[:10] for key_id in made}
    assert 2 == len({key_id[10:] for key_id in made})


async def test_a_keyring_is_created_once(admin: KeyringAdmin) -> None:
    """Creating it again is refused, and changes nothing."""
    key = await admin.create()
    with pytest.raises(ConfigurationError, match="already; it was not changed"):
        await admin.create()
    assert [key.id] == await ids(admin)


async def test_there_must_be_a_keyring_to_rotate(admin: KeyringAdmin) -> None:
    """Without a document, the message says what makes one."""
    for use in (admin.rotate, admin.keys):
        with pytest.raises(ConfigurationError, match=r"for 'default': .* `sealwire keys init`"):
            await use()


async def test_without_a_key_file_nothing_is_created(
    store: FileKeyringStore, tmp_path: Path
) -> None:
    """A keyring that nobody could open is not written."""
    admin = KeyringAdmin(store, LocalKeyWrapper(tmp_path / "absent.key"))
    with pytest.raises(KeyProviderUnavailableError, match="does not exist"):
        await admin.create()
    assert await store.load("default") is None


@pytest.mark.parametrize("delay", [None, 0.0, 10.0])
async def test_a_rotated_key_waits_for_its_delay(
    delay: float | None, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """The new key is pending for the delay, an hour by default, and then replaces the old one."""
    old = await admin.create()
    clock.advance(DAY)
    result = await (admin.rotate() if delay is None else admin.rotate(delay=delay))
    waits = PROPAGATION if delay is None else delay
    assert result.rotated
    assert (clock(), clock() + waits) == (result.key.created, result.key.encrypt_from)
    found = await admin.keys()
    assert 2 == found.version
    assert [old.id, result.key.id] == [key.id for key in found.keys]

    def states(now: float) -> list[str]:
        return [found.state(key, now).value for key in found.keys]

    if waits:
        assert ["active", "pending"] == states(clock() + waits - 1)
    assert ["decrypt-only", "active"] == states(clock() + waits)


async def test_rotation_by_age_is_idempotent(admin: KeyringAdmin, clock: FakeClock) -> None:
    """Run daily, a rotation with an age makes one key in that time, however often it is run."""
    first = await admin.create()
    for _ in range(90):
        assert RotationResult(first, rotated=False) == replace(
            await admin.rotate(if_older_than=90 * DAY), key=first
        )
        clock.advance(DAY)
    result = await admin.rotate(if_older_than=90 * DAY)
    assert result.rotated
    for _ in range(3):
        again = await admin.rotate(if_older_than=90 * DAY)
        assert (result.key.id, False) == (again.key.id, again.rotated)
    assert [first.id, result.key.id] == await ids(admin)


async def test_a_negative_delay_is_refused(admin: KeyringAdmin) -> None:
    """A key cannot have encrypted before it existed."""
    await admin.create()
    with pytest.raises(ConfigurationError, match="must not be negative"):
        await admin.rotate(delay=-1.0)
    assert 1 == len(await ids(admin))


async def test_a_clock_of_whole_seconds_will_do(
    store: FileKeyringStore, wrapper: LocalKeyWrapper
) -> None:
    """An int is a time as well."""
    admin = KeyringAdmin(store, wrapper, clock=lambda: 1_700_000_000)
    await admin.create()
    await admin.rotate(delay=60)
    assert 2 == len(await ids(admin))


async def test_a_tenant_has_a_keyring_of_its_own(admin: KeyringAdmin, tmp_path: Path) -> None:
    """An administrator of one tenant cannot use the document of another."""
    await admin.create()
    other = replace(admin, tenant="shop")
    for use in (other.keys, other.rotate):
        with pytest.raises(ConfigurationError, match="belongs to the tenant 'default', not to 's"):
            await use()
    shop = replace(other, store=FileKeyringStore(tmp_path / "shop.json"))
    await shop.create()
    assert 1 == len(await ids(shop))


async def test_a_backup_is_the_version_before(admin: KeyringAdmin, store: FileKeyringStore) -> None:
    """Copied back, it is the keyring without the newest key."""
    await admin.create()
    await admin.rotate()
    before = await ids(admin)
    await admin.rotate()
    backup = store.path.with_name("keyring.json.bak")
    assert before == await ids(replace(admin, store=FileKeyringStore(backup)))


# Keys of other SDKs


@pytest.mark.parametrize("size", [16, 24, 32])
async def test_an_imported_key_is_a_second_primary(
    size: int, admin: KeyringAdmin, clock: FakeClock
) -> None:
    """It is kept with its bytes, encrypts for its own suite, and leaves the other suite alone."""
    own = await admin.create()
    material = b"\xa5" * size
    imported = await admin.import_interop("other-sdk", material)
    found = await admin.keys()
    assert ["other-sdk", own.id] == sorted((key.id for key in found.keys), key=len)
    assert Key("other-sdk", material, suite=KeySuite.INTEROP).check_value == imported.check_value
    interop = found.primary(KeySuite.INTEROP, clock())
    sealed = found.primary(KeySuite.SEALED, clock())
    assert interop is not None
    assert sealed is not None
    assert (imported.id, imported.check_value) == (interop.id, interop.check_value)
    assert own.id == sealed.id


async def test_an_imported_key_does_not_put_off_a_rotation(
    admin: KeyringAdmin, clock: FakeClock
) -> None:
    """The age of the newest sealed key counts, not of what was imported since."""
    await admin.create()
    clock.advance(90 * DAY)
    await admin.import_interop("other-sdk", b"\xa5" * 32)
    assert (await admin.rotate(if_older_than=90 * DAY)).rotated


async def test_an_id_is_imported_once(admin: KeyringAdmin) -> None:
    """A key never replaces another one, and a wrong size or id writes nothing."""
    own = await admin.create()
    await admin.import_interop("other-sdk", b"\xa5" * 32)
    before = await ids(admin)
    for key_id in (own.id, "other-sdk"):
        with pytest.raises(ConfigurationError, match="already; it was not changed"):
            await admin.import_interop(key_id, b"\x5a" * 32)
    with pytest.raises(ConfigurationError, match="has 20 bytes; an interop key has 16, 24 or 32"):
        await admin.import_interop("short", b"\xa5" * 20)
    with pytest.raises(ConfigurationError, match="a key id is"):
        await admin.import_interop("not an id", b"\xa5" * 32)
    assert before == await ids(admin)


# Several administrators


@dataclass(frozen=True)
class OvertakenStore:
    """A file in which somebody else is quicker, between our reading and our writing."""

    store: FileKeyringStore
    overtake: Callable[[], Any]
    overtaken: list[bool] = field(default_factory=list[bool])

    async def load(self, tenant: str) -> StoredDocument | None:
        found = await self.store.load(tenant)
        if not self.overtaken:
            self.overtaken.append(True)
            await self.overtake()
        return found

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        await self.store.save(tenant, data, revision)


@pytest.mark.parametrize("command", ["create", "rotate"])
async def test_of_two_administrators_one_wins_and_the_other_is_told(
    command: str,
    admin: KeyringAdmin,
    store: FileKeyringStore,
    roots: list[bytes],
    leaks: Leaks,
) -> None:
    """The slower one writes nothing; the error shows neither a root nor the document key."""
    if command == "rotate":
        await admin.create()
    slower = replace(admin, store=OvertakenStore(store, getattr(admin, command)))
    with pytest.raises(ConfigurationError, match="changed by somebody else meanwhile") as caught:
        await getattr(slower, command)()
    assert 4 <= len(roots), "of the wrapper, of the document, and one of each administrator"
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), *roots)
    assert (1 if command == "create" else 2) == len(await ids(admin))
    assert (await slower.rotate()).rotated


async def test_a_store_that_fails_shows_no_root(
    admin: KeyringAdmin,
    roots: list[bytes],
    leaks: Leaks,
) -> None:
    """Whatever a store raises, no frame of the administrator's holds an unwrapped key."""

    class Broken:
        async def load(self, tenant: str) -> StoredDocument | None:
            return None

        async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as caught:
        await replace(admin, store=Broken()).create()
    assert 2 == len(roots), "of the document, and of its first key"
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), *roots)


RACING = """
import asyncio, sys
from pathlib import Path
from sealwire.errors import ConfigurationError
from sealwire.keys import FileKeyringStore, KeyringAdmin, LocalKeyWrapper

folder = Path(sys.argv[1])
admin = KeyringAdmin(
    FileKeyringStore(folder / "keyring.json"), LocalKeyWrapper(folder / "keyring.key")
)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    try:
        print(asyncio.run(admin.rotate(delay=0.0)).key.id)
    except ConfigurationError as err:
        assert "changed by somebody else" in str(err), err
"""


def racing(folder: Path, rotations: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", RACING, str(folder), str(rotations)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


def test_racing_processes_lose_no_key(admin: KeyringAdmin, store: FileKeyringStore) -> None:
    """Every key that some process reports as made is in the document, once, and no other is."""
    first = asyncio.run(admin.create())
    processes = [racing(store.path.parent, 40) for _ in range(2)]
    for process in processes:  # all are up: now they race
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    made = [first.id]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert 0 == process.returncode
        made += out.split()
    found = asyncio.run(admin.keys())
    assert sorted(made) == sorted(key.id for key in found.keys)
    assert len(made) == found.version
    assert len(made) > 40


def test_racing_threads_lose_no_key(admin: KeyringAdmin) -> None:
    """The lock of the file also holds between threads of one process."""
    first = asyncio.run(admin.create())

    def rotate(_: int) -> str | None:
        try:
            return asyncio.run(admin.rotate()).key.id
        except ConfigurationError:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [first.id, *(key_id for key_id in pool.map(rotate, range(40)) if key_id)]
    assert sorted(made) == sorted(asyncio.run(ids(admin)))
    assert len(made) > 1


def test_only_one_of_many_creates_the_keyring(admin: KeyringAdmin) -> None:
    """Of several that create it at once, one does."""

    def create(_: int) -> str | None:
        try:
            return asyncio.run(admin.create()).id
        except ConfigurationError:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [key_id for key_id in pool.map(create, range(8)) if key_id]
    assert made == asyncio.run(ids(admin))


async def test_a_running_process_takes_up_a_rotation_by_another(
    admin: KeyringAdmin, store: FileKeyringStore, clock: FakeClock
) -> None:
    """Neither a restart nor a message is needed: the key is found when it is first met."""
    old = await admin.create()
    keyring = Keyring(WrappedKeyProvider(store, admin.wrapper), clock=clock)
    await keyring.ready()
    process = racing(store.path.parent, 1)
    out, _ = await asyncio.to_thread(process.communicate, "go\n", 60)
    new = out.strip()
    assert not keyring.knows(new)
    assert old.id == keyring.encryption_key().id
    await keyring.find([new])
    assert new == keyring.decryption_key(new).id
    assert old.id == keyring.decryption_key(old.id).id
    clock.advance((await admin.keys()).keys[-1].encrypt_from - clock())
    await keyring.refresh()
    assert new == keyring.encryption_key().id


# Wrappers that cannot be trusted


@dataclass(frozen=True)
class BadWrapper:
    """Gives back something else than it was given."""

    answer: bytes

    async def name(self) -> str:
        return "bad"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        return b"wrapped"

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        return self.answer


@pytest.mark.parametrize("answer", [b"", b"\x01" * 31, b"\x01" * 32, b"\x01" * 33])
async def test_what_does_not_unwrap_is_not_written(
    answer: bytes, store: FileKeyringStore, roots: list[bytes], leaks: Leaks
) -> None:
    """A wrapper is tried before the first key depends on it, and the error shows no key."""
    admin = KeyringAdmin(store, BadWrapper(answer))
    with pytest.raises(ConfigurationError, match="does not give back what it wrapped") as caught:
        await admin.create()
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), *roots)
    assert await store.load("default") is None


async def test_an_unwrapped_key_of_another_size_is_refused(
    admin: KeyringAdmin, store: FileKeyringStore, wrapper: LocalKeyWrapper
) -> None:
    """A wrapper that changes its mind later is noticed too."""
    await admin.create()

    class Shortening(BadWrapper):
        async def name(self) -> str:
            return await wrapper.name()

    with pytest.raises(ConfigurationError, match="does not have 32 bytes"):
        await WrappedKeyProvider(store, Shortening(b"short")).snapshot("default")
    with pytest.raises(ConfigurationError, match="changed by something else than sealwire"):
        await WrappedKeyProvider(store, Shortening(b"\x01" * 32)).snapshot("default")

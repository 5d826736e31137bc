"""A keyring's file after the process, or the power, was gone at any moment of a change.

`test_store.py` fails the calls inside one process. Here a real process ends at each call of the
system in turn, with whatever it has written so far, and another one looks at what is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import (
    FileKeyringStore,
    Keyring,
    KeyringAdmin,
    LocalKeyWrapper,
    WrappedKeyProvider,
)

CUT: Final = 70  # the exit code of a process whose power was cut

# Forks a process for each call, so that the interpreter starts once. The child runs the change and
# ends at its n-th call: before it, or, where the call writes, after half of what it should write.
# What was written and not synced is lost by emptying those files, as some file systems do.
CHILD: Final = """
import asyncio, fcntl, io, os, shutil, sys
from pathlib import Path
from sealwire.keys import FileKeyringStore, KeyringAdmin, LocalKeyWrapper
import sealwire.keys.files

template, places, change, cut, lossy = sys.argv[1:]
CUT = int(cut)
count, last = 0, None
unsynced = {}  # descriptors of what was written, by the file's number: its name may change


def end():
    for descriptor in unsynced.values() if lossy == "lossy" else ():
        os.truncate(descriptor, 0)
    os._exit(CUT)


def counted(name, call):
    def counting(*args, **options):
        global count
        count += 1
        if count == last:
            end()
        return call(*args, **options)

    return counting


class Torn(io.FileIO):
    def write(self, data):
        global count
        count += 1
        unsynced[os.fstat(self.fileno()).st_ino] = os.dup(self.fileno())
        if count == last:
            super().write(bytes(data)[: len(data) // 2])
            end()
        return super().write(data)


def synced(descriptor):
    real_fsync(descriptor)
    unsynced.pop(os.fstat(descriptor).st_ino, None)


def patch():
    global real_fsync
    real_fsync = os.fsync
    os.fsync = counted("fsync", synced)
    for name in ("open", "link", "rename", "replace", "unlink", "close"):
        setattr(os, name, counted(name, getattr(os, name)))
    fcntl.flock = counted("flock", fcntl.flock)
    os.fdopen = lambda descriptor, mode: Torn(descriptor, mode)


def run(folder):
    admin = KeyringAdmin(
        FileKeyringStore(folder / "keyring.json"), LocalKeyWrapper(folder / "keyring.key")
    )
    patch()
    asyncio.run(getattr(admin, change)())
    os._exit(0)


code, number = CUT, 0
while code == CUT:
    number += 1
    folder = Path(places) / str(number)
    shutil.copytree(template, folder)
    child = os.fork()
    if child == 0:
        last = number
        run(folder)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(code)
"""


def each_cut(template: Path, places: Path, change: str, *, lossy: bool) -> Iterator[Path]:
    """The folders that the process left, one for each call at which it ended; at last, for none."""
    places.mkdir()
    kind = "lossy" if lossy else "kept"
    command = [sys.executable, "-c", CHILD, str(template), str(places), change, str(CUT), kind]
    subprocess.run(command, check=True, timeout=120)
    yield from sorted(places.iterdir(), key=lambda path: int(path.name))


def admin_in(folder: Path) -> KeyringAdmin:
    return KeyringAdmin(
        FileKeyringStore(folder / "keyring.json"), LocalKeyWrapper(folder / "keyring.key")
    )


def ids_in(folder: Path) -> list[str]:
    return [key.id for key in asyncio.run(admin_in(folder).keys()).keys]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A folder with a key file and no keyring."""
    folder = tmp_path / "template"
    folder.mkdir()
    LocalKeyWrapper(folder / "keyring.key").create()
    return folder


@pytest.mark.parametrize("lossy", [False, True])
def test_a_power_cut_in_a_rotation_leaves_the_old_or_the_new_keyring(
    lossy: bool, template: Path, tmp_path: Path
) -> None:
    """Whatever was not synced is lost; the keyring opens, and can be rotated again."""
    asyncio.run(admin_in(template).create())
    asyncio.run(admin_in(template).rotate())
    before = ids_in(template)
    outcomes: list[int] = []
    for folder in each_cut(template, tmp_path / "cut", "rotate", lossy=lossy):
        after = ids_in(folder)
        assert before == after[:2]
        outcomes.append(len(after))
        asyncio.run(admin_in(folder).rotate())
        assert after == ids_in(folder)[:-1]
    assert sorted(outcomes) == outcomes, "a later call undid the change"
    assert {2, 3} == set(outcomes)
    assert len(outcomes) > 12, "something is called past the patches"


@pytest.mark.parametrize("lossy", [False, True])
def test_a_power_cut_in_the_creation_leaves_a_whole_keyring_or_none(
    lossy: bool, template: Path, tmp_path: Path
) -> None:
    """Where there is none, it can be created; where there is one, it opens."""
    outcomes: list[bool] = []
    for folder in each_cut(template, tmp_path / "cut", "create", lossy=lossy):
        there = (folder / "keyring.json").exists()
        outcomes.append(there)
        if not there:
            asyncio.run(admin_in(folder).create())
        assert 1 == len(ids_in(folder))
    assert sorted(outcomes) == outcomes
    assert {False, True} == set(outcomes)
    assert len(outcomes) > 9, "something is called past the patches"


# What is left on a disk by other accidents, and by hands.


@pytest.fixture
def rotated(template: Path) -> Path:
    """The folder of a keyring with two keys."""
    asyncio.run(admin_in(template).create())
    asyncio.run(admin_in(template).rotate(delay=0.0))
    return template


def other_keyring(folder: Path, tenant: str = "default") -> bytes:
    """A genuine document, of another key file."""
    folder.mkdir()
    LocalKeyWrapper(folder / "keyring.key").create()
    store = FileKeyringStore(folder / "keyring.json")
    asyncio.run(KeyringAdmin(store, LocalKeyWrapper(folder / "keyring.key"), tenant).create())
    return store.path.read_bytes()


def edited(data: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(data), **changes}).encode()


DAMAGES: Final[dict[str, tuple[Callable[[bytes, Path], bytes], str]]] = {
    "empty": (lambda data, place: b"", r"damaged .*\.bak is the version before the"),
    "zeros": (lambda data, place: bytes(len(data)), "damaged or not one of sealwire's"),
    "half": (lambda data, place: data[: len(data) // 2], "damaged or not one of sealwire's"),
    "twice": (lambda data, place: data + data, "damaged or not one of sealwire's"),
    "the key file": (lambda data, place: b"sealwire-key-file-v1 AAAA", "damaged or not one of"),
    "a newer format": (
        lambda data, place: edited(data, format="sealwire/keyring-v9"),
        "has the format 'sealwire/keyring-v9', this release reads",
    ),
    "another tenant's": (
        lambda data, place: other_keyring(place, "shop"),
        "belongs to the tenant 'shop', not to 'default'",
    ),
    "another keyring": (lambda data, place: other_keyring(place), "is wrapped by local:"),
    "a raised version": (
        lambda data, place: edited(data, version=99),
        "is not used: .* restore it from",
    ),
    "without its newest key": (
        lambda data, place: edited(data, keys=json.loads(data)["keys"][:1]),
        "is not used",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_document_is_refused_with_its_reason(
    damage: str, rotated: Path, tmp_path: Path
) -> None:
    """By readers and by administrators, who leave it as it is; the backup still opens."""
    change, reason = DAMAGES[damage]
    admin = admin_in(rotated)
    file = rotated / "keyring.json"
    file.write_bytes(change(file.read_bytes(), tmp_path / "other"))
    found = file.read_bytes()
    provider = WrappedKeyProvider(admin.store, admin.wrapper)
    for call in (provider.snapshot("default"), admin.rotate()):
        with pytest.raises(ConfigurationError, match=reason):
            asyncio.run(call)
    with pytest.raises(ConfigurationError, match="there is a keyring"):
        asyncio.run(admin.create())
    assert found == file.read_bytes()
    shutil.copyfile(rotated / "keyring.json.bak", file)
    assert 1 == len(ids_in(rotated))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
@pytest.mark.parametrize("name", ["keyring.json", "keyring.key"])
def test_a_document_that_others_can_touch_is_refused(name: str, mode: int, rotated: Path) -> None:
    """So is the key file; the message has the command that repairs it."""
    (rotated / name).chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"mode {mode:04o}.*chmod 600 .*{name}"):
        ids_in(rotated)


def test_a_lost_document_or_key_file_may_come_back(rotated: Path) -> None:
    """A disk that is not mounted yet is no reason to give up."""
    admin = admin_in(rotated)
    provider = WrappedKeyProvider(admin.store, admin.wrapper)
    for name in ("keyring.json", "keyring.key"):
        (rotated / name).rename(rotated / "away")
        with pytest.raises(KeyProviderUnavailableError, match="sealwire keys init"):
            asyncio.run(provider.snapshot("default"))
        (rotated / "away").rename(rotated / name)
    assert 2 == len(ids_in(rotated))


async def test_a_restored_backup_is_refused_by_those_who_saw_more(rotated: Path) -> None:
    """A process that runs keeps its keys; one that starts cannot know."""
    admin = admin_in(rotated)
    provider = WrappedKeyProvider(admin.store, admin.wrapper)
    keyring = Keyring(provider)
    await keyring.ready()
    newest = keyring.encryption_key().id
    os.replace(rotated / "keyring.json.bak", rotated / "keyring.json")  # noqa: PTH105
    with pytest.raises(ConfigurationError, match="went back from version 2 to 1"):
        await keyring.refresh()
    assert newest == keyring.encryption_key().id
    await Keyring(provider).ready()

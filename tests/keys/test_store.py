from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sealwire.errors import ConfigurationError
from sealwire.keys import (
    FileKeyringStore,
    KeyringAdmin,
    KeyringStore,
    LocalKeyWrapper,
    StoredDocument,
)
from sealwire.keys import files as files_module
from sealwire.keys.files import read_private, replace, write_new

OLD, NEW = b"the old document", b"the new document, which is longer"


def revision(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_document_is_kept_and_replaced(store: FileKeyringStore) -> None:
    """What is saved is loaded, under a revision that `save` takes back."""
    assert isinstance(store, KeyringStore)
    assert await store.load("t") is None
    await store.save("t", OLD, None)
    assert StoredDocument(OLD, revision(OLD)) == await store.load("t")
    await store.save("t", NEW, revision(OLD))
    assert StoredDocument(NEW, revision(NEW)) == await store.load("t")


async def test_the_version_before_is_kept(store: FileKeyringStore) -> None:
    """Beside the document is the one before it, as private, and nothing but the lock."""
    await store.save("t", b"first", None)
    await store.save("t", OLD, revision(b"first"))
    await store.save("t", NEW, revision(OLD))
    folder = store.path.parent
    assert {"keyring.json", "keyring.json.bak", "keyring.json.lock"} == names(folder)
    assert OLD == (folder / "keyring.json.bak").read_bytes()
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_the_umask_opens_nothing(umask: int, store: FileKeyringStore) -> None:
    """Files are private from the moment they exist, whatever the umask allows."""
    before = os.umask(umask)
    try:
        await store.save("t", OLD, None)
        await store.save("t", NEW, revision(OLD))
    finally:
        os.umask(before)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}


@pytest.mark.parametrize(
    ("present", "given"),
    [
        (None, revision(OLD)),
        (OLD, None),
        (OLD, revision(NEW)),
        (OLD, ""),
    ],
)
async def test_only_the_expected_document_is_replaced(
    present: bytes | None, given: str | None, store: FileKeyringStore
) -> None:
    """If another one is there than was read, or none, nothing is written."""
    if present is not None:
        await store.save("t", present, None)
    with pytest.raises(ConfigurationError, match="changed by somebody else meanwhile; nothing was"):
        await store.save("t", NEW, given)
    found = await store.load("t")
    assert present == (None if found is None else found.data)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o601, 0o666, 0o777])
async def test_a_file_that_others_can_touch_is_refused(mode: int, store: FileKeyringStore) -> None:
    """Neither read nor replaced; the message has the command that repairs it."""
    await store.save("t", OLD, None)
    store.path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}.*fix: chmod 600 "):
        await store.load("t")
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await store.save("t", NEW, revision(OLD))
    store.path.chmod(0o600)
    assert StoredDocument(OLD, revision(OLD)) == await store.load("t")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A folder, a device and a named pipe that nobody writes to are refused at once."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="pipe is not a regular file"):
        read_private(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="/dev/null is not a regular file"):
        read_private(Path("/dev/null"))
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=r"cannot read .*folder: Is a directory"):
        read_private(tmp_path / "folder")


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    """Any failure to open but a missing file is an error, and is told."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"cannot read .*: Not a directory"):
        read_private(tmp_path / "file" / "below")


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops at the limit, to the byte."""
    monkeypatch.setattr(files_module, "_MAX_SIZE", 10)
    write_new(tmp_path / "fits", b"x" * 10)
    write_new(tmp_path / "huge", b"x" * 11)
    assert b"x" * 10 == read_private(tmp_path / "fits")
    with pytest.raises(ConfigurationError, match="larger than 10 bytes"):
        read_private(tmp_path / "huge")


def test_a_new_file_never_overwrites(tmp_path: Path) -> None:
    """An existing file, even an empty one, is left as it is, and nothing stays beside it."""
    path = tmp_path / "keyring.key"
    path.write_bytes(b"")
    with pytest.raises(ConfigurationError, match="exists already; it was not changed"):
        write_new(path, NEW)
    assert b"" == path.read_bytes()
    assert {"keyring.key"} == names(tmp_path)


async def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a symbolic link changes its target, under the lock of the target."""
    folder = tmp_path / "data"
    folder.mkdir()
    direct = FileKeyringStore(folder / "real.json")
    linked = FileKeyringStore(tmp_path / "link.json")
    linked.path.symlink_to(direct.path)
    await linked.save("t", OLD, None)
    await linked.save("t", NEW, revision(OLD))
    assert linked.path.is_symlink()
    assert StoredDocument(NEW, revision(NEW)) == await direct.load("t")
    assert {"data", "link.json"} == names(tmp_path)
    assert {"real.json", "real.json.bak", "real.json.lock"} == names(folder)


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """Nothing is created in passing."""
    store = FileKeyringStore(tmp_path / "absent" / "keyring.json")
    assert await store.load("t") is None
    with pytest.raises(ConfigurationError, match=r"cannot write .*: No such file"):
        await store.save("t", NEW, None)
    for write in (write_new, replace):
        with pytest.raises(ConfigurationError, match=r"cannot write .*: No such file"):
            write(store.path, NEW)
    assert not store.path.parent.exists()


# Faults and crashes. Each call of the system that `save` makes fails once, or is its last.


class Crash(BaseException):
    """The power went off: no code of sealwire catches this, and nothing it does works any more."""


class Syscalls:
    """Counts the calls that change or sync files, and fails the one with a given number."""

    def __init__(self, patch: pytest.MonkeyPatch, fail_at: int, *, crash: bool) -> None:
        self.count = 0
        self.fail_at = fail_at
        self.crash = crash
        self.failed = ""
        targets: list[tuple[Any, str]] = [
            (os, "open"),
            (os, "fdopen"),
            (os, "fsync"),
            (os, "link"),
            (tempfile, "mkstemp"),
            (fcntl, "flock"),
            (Path, "replace"),
            (Path, "unlink"),
        ]
        for owner, name in targets:
            patch.setattr(owner, name, self.wrap(name, getattr(owner, name)))

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.count += 1
            if self.count < self.fail_at or (self.count > self.fail_at and not self.crash):
                return call(*args, **options)
            self.failed = self.failed or name
            if name == "fdopen":
                os.close(args[0])  # which `fdopen` would have taken over
            raise Crash if self.crash else OSError(errno.EIO, "Input/output error")

        return counted

    def run(self, action: Callable[[], object]) -> str:
        """Run an action, and return the name of the call that failed, or nothing."""
        try:
            action()
        except (ConfigurationError, Crash):
            assert self.failed
        return self.failed


def each_fault(
    folder: Path, action: Callable[[Path], Callable[[], object]], *, crash: bool
) -> Iterator[tuple[Path, str]]:
    """Run the action in a new folder for each call that can fail; the last run meets no fault."""
    number, failed = 0, "not yet"
    while failed:
        number += 1
        place = folder / f"{number}"
        place.mkdir()
        prepared = action(place)
        with pytest.MonkeyPatch.context() as patch:
            failed = Syscalls(patch, number, crash=crash).run(prepared)
        yield place, failed
    assert number > 6, "something is called past the patches"


def admin_in(folder: Path, name: str = "keyring.json") -> KeyringAdmin:
    return KeyringAdmin(FileKeyringStore(folder / name), LocalKeyWrapper(folder / "keyring.key"))


def ids_in(folder: Path, name: str = "keyring.json") -> list[str]:
    return [key.id for key in asyncio.run(admin_in(folder, name).keys()).keys]


@pytest.mark.parametrize("crash", [False, True])
def test_no_fault_in_a_rotation_loses_a_key(crash: bool, tmp_path: Path) -> None:
    """The old or the new document is there, complete, and the next rotation works on it."""
    before: list[str] = []

    def rotation(folder: Path) -> Callable[[], object]:
        admin = admin_in(folder)
        LocalKeyWrapper(folder / "keyring.key").create()
        asyncio.run(admin.create())
        asyncio.run(admin.rotate())
        before[:] = ids_in(folder)
        return lambda: asyncio.run(admin.rotate())

    outcomes: set[int] = set()
    for folder, failed in each_fault(tmp_path, rotation, crash=crash):
        after = ids_in(folder)
        assert before == after[:2]
        outcomes.add(len(after))
        assert failed or len(after) == 3
        if not crash and failed != "unlink":
            files = {"keyring.key", "keyring.json", "keyring.json.bak", "keyring.json.lock"}
            assert files == names(folder)
        asyncio.run(admin_in(folder).rotate())
        assert after == ids_in(folder)[:-1]
        assert after == ids_in(folder, "keyring.json.bak")
    assert {2, 3} == outcomes


@pytest.mark.parametrize("crash", [False, True])
def test_no_fault_leaves_half_a_new_document(crash: bool, tmp_path: Path) -> None:
    """A new document is there complete or not at all, and then it can be saved again."""

    def saving(folder: Path) -> Callable[[], object]:
        store = FileKeyringStore(folder / "keyring.json")
        return lambda: asyncio.run(store.save("t", NEW, None))

    outcomes: set[bool] = set()
    for folder, _ in each_fault(tmp_path, saving, crash=crash):
        store = FileKeyringStore(folder / "keyring.json")
        found = asyncio.run(store.load("t"))
        outcomes.add(found is None)
        if found is None:
            asyncio.run(store.save("t", NEW, None))
            found = asyncio.run(store.load("t"))
        assert StoredDocument(NEW, revision(NEW)) == found
    assert {False, True} == outcomes


def test_a_fault_leaves_no_secrets_behind(tmp_path: Path) -> None:
    """Where a key file cannot be written, no temporary file with the key in it stays."""

    def creating(folder: Path) -> Callable[[], object]:
        return LocalKeyWrapper(folder / "keyring.key").create

    outcomes: set[int] = set()
    for folder, failed in each_fault(tmp_path, creating, crash=False):
        if failed != "unlink":
            assert names(folder) <= {"keyring.key"}
        outcomes.add(len(names(folder)))
    assert {0, 1} <= outcomes

"""Large payloads in a folder: of one machine, or of a file system that all workers share."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sealwire.errors import ConfigurationError, PayloadTooLargeError, StorageUnavailableError

from .object_store import StoredObject

_PAGE: Final = 1000  # objects
_UNFINISHED: Final = ".sealwire-"
_TRIES: Final = 10


@dataclass(frozen=True)
class FolderObjectStore:
    """One file for each payload, below a folder that is made when it is needed.

    A file is on the disk, complete, before it is referred to. Only its owner can read it. While it
    is written it has another name; if the process ends meanwhile, that file stays.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def kind(self) -> str:
        """See `ObjectStore`."""
        return "sealwire.folder"

    @property
    def prefix(self) -> str:
        """See `ObjectStore`."""
        return ""

    @property
    def labels(self) -> Mapping[str, str]:
        """See `ObjectStore`; workers may have the folder at different places."""
        return {}

    def get(self, name: str, max_size: int) -> bytes | None:
        """See `ObjectStore`."""
        try:
            with open(self._file(name), "rb", opener=_open_plainly) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ConfigurationError(f"{self.path} has something that is no regular file")
                if status.st_size > max_size:
                    raise PayloadTooLargeError(
                        f"the stored payload has {status.st_size} bytes, and max_size is {max_size}"
                    )
                return file.read(max_size + 1)
        except FileNotFoundError:
            return None
        except OSError as err:
            raise self._failure("read", err) from None

    def put(self, name: str, data: bytes) -> None:
        """See `ObjectStore`."""
        file = self._file(name)
        try:
            for _ in range(_TRIES):
                # Again, if `delete` has just removed the folder because it was empty.
                with suppress(FileNotFoundError):
                    _make_folders(file.parent)
                    return _write(file, data)
            raise FileNotFoundError(2, "the folder is removed again and again")
        except OSError as err:
            raise self._failure("write", err) from None

    def list(self, folder: str) -> Iterator[Sequence[StoredObject]]:
        """See `ObjectStore`."""
        page: list[StoredObject] = []
        try:
            for found in _walk(str(self._file(folder)), folder):
                page.append(found)
                if len(page) == _PAGE:
                    yield page
                    page = []
        except OSError as err:
            raise self._failure("list", err) from None
        yield page

    def delete(self, names: Sequence[str]) -> None:
        """See `ObjectStore`; folders that are empty then are removed, too."""
        try:
            for name in names:
                self._file(name).unlink(missing_ok=True)
        except OSError as err:
            raise self._failure("delete from", err) from None
        folders = {folder for name in names for folder in self._file(name).parents}
        for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
            if self.path in folder.parents:
                with suppress(OSError):
                    folder.rmdir()

    def _file(self, name: str) -> Path:
        parts = name.split("/")
        if {"", ".", ".."} & set(parts):
            raise ConfigurationError("the name of a stored payload leads out of the folder")
        file = self.path.joinpath(*parts)
        if any(folder.is_symlink() for folder in file.parents[: len(parts) - 1]):
            raise ConfigurationError(f"{self.path} has a link in the place of a folder")
        return file

    def _failure(self, doing: str, err: OSError) -> Exception:
        return StorageUnavailableError(f"cannot {doing} the folder {self.path}: {err.strerror}")


def _open_plainly(path: str, flags: int) -> int:
    # No link to somewhere else, and no waiting for the writer of a named pipe.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _make_folders(folder: Path) -> None:
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(part.parent)


def _write(file: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=file.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(path: str, name: str) -> Iterator[StoredObject]:
    try:
        entries = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):  # perhaps removed meanwhile
        return
    with entries:
        for entry in entries:
            inside = f"{name}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, inside)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    unfinished = entry.name.startswith(_UNFINISHED)
                    yield StoredObject(inside, status.st_size, status.st_mtime, unfinished)

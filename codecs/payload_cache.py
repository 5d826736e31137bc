"""Sealed payloads that were read or written lately, so that they are not fetched again."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sealwire.errors import ConfigurationError

_UNFINISHED: Final = ".sealwire-"
_OWN: Final = re.compile(r"[0-9a-f]{64}|\.sealwire-.*")


class PayloadCache(Protocol):
    """Keeps bytes by their hash. Called from several threads at once."""

    def get(self, digest: str) -> bytes | None:
        """Return the bytes with this SHA-256, in hex; None if they are not here."""
        ...

    def put(self, digest: str, data: bytes) -> None:
        """Keep `data`, which have this SHA-256, as long as there is room."""
        ...


class MemoryCache:
    """The most recently used of them, in this process.

    Args:
        max_bytes: How many bytes at most.

    Raises:
        ConfigurationError: `max_bytes` is negative.
    """

    def __init__(self, max_bytes: int) -> None:
        _check(max_bytes)
        self.max_bytes = max_bytes
        self._size = 0
        self._items: OrderedDict[str, bytes] = OrderedDict()
        # By process: after a fork, nobody may be left to release the parent's lock.
        self._locks: dict[int, threading.Lock] = {}

    def get(self, digest: str) -> bytes | None:
        """See `PayloadCache`."""
        with self._lock():
            data = self._items.get(digest)
            if data is not None:
                self._items.move_to_end(digest)
            return data

    def put(self, digest: str, data: bytes) -> None:
        """See `PayloadCache`."""
        with self._lock():
            if len(data) > self.max_bytes or digest in self._items:
                return
            self._items[digest] = data
            self._size += len(data)
            while self._size > self.max_bytes:
                _, oldest = self._items.popitem(last=False)
                self._size -= len(oldest)

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())


@dataclass(frozen=True)
class FolderCache:
    """The most recently used of them, in a folder that processes may share.

    What was changed there is not used. A folder that cannot be used is as good as an empty one.

    Args:
        path: The folder; made when it is needed. Everything in it may be removed at any time.
        max_bytes: How many bytes at most.

    Raises:
        ConfigurationError: `max_bytes` is negative.
    """

    path: Path
    max_bytes: int

    def __post_init__(self) -> None:
        _check(self.max_bytes)

    def get(self, digest: str) -> bytes | None:
        """See `PayloadCache`."""
        file = self.path / digest
        try:
            data = file.read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                os.utime(file)
                return data
            file.unlink()
        except OSError:
            pass
        return None

    def put(self, digest: str, data: bytes) -> None:
        """See `PayloadCache`."""
        if len(data) > self.max_bytes:
            return
        with suppress(OSError):
            self._write(self.path / digest, data)
            self._make_room()

    def _write(self, file: Path, data: bytes) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.path)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
            Path(temporary).replace(file)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _make_room(self) -> None:
        # Looked at each time: other processes write here, too. A file of anybody else is none of
        # ours, even in a folder that was named by mistake.
        with os.scandir(self.path) as entries:
            found = [
                (entry.stat().st_mtime, entry.stat().st_size, entry.path)
                for entry in entries
                if _OWN.fullmatch(entry.name)
            ]
        size = sum(item[1] for item in found)
        for _, part, path in sorted(found):
            if size <= self.max_bytes:
                break
            Path(path).unlink(missing_ok=True)
            size -= part


def _check(max_bytes: int) -> None:
    if max_bytes < 0:
        raise ConfigurationError("the size of a cache must not be negative")

"""Files with secrets in them: private, and replaced all at once or not at all."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from sealwire.errors import ConfigurationError

_MAX_SIZE: Final = 64 * 1024 * 1024  # bytes; 10,000 keys take 3 MiB
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path) -> bytes:
    """Read a file that only its owner may touch.

    Raises:
        FileNotFoundError: There is none.
        ConfigurationError: Others may read or write it, or it cannot be read.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{path} is not a regular file")
            if mode & _OTHERS:
                raise ConfigurationError(
                    f"{path} can be accessed by other users (mode {stat.S_IMODE(mode):04o}); "
                    f"fix: chmod 600 {path}"
                )
            data = file.read(_MAX_SIZE + 1)
    except FileNotFoundError:
        raise
    except OSError as err:
        raise ConfigurationError(f"cannot read {path}: {err.strerror}") from None
    if len(data) > _MAX_SIZE:
        raise ConfigurationError(f"{path} is larger than {_MAX_SIZE} bytes")
    return data


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a named pipe would wait for its writer


def write_new(path: Path, data: bytes) -> None:
    """Write a private file that must not exist yet.

    Raises:
        ConfigurationError: It exists, or cannot be written.
    """
    temporary = _write_beside(path, data)
    try:
        os.link(temporary, path)  # unlike a rename, fails if the file exists
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already; it was not changed") from None
    except OSError as err:
        raise ConfigurationError(f"cannot write {path}: {err.strerror}") from None
    finally:
        _discard(temporary)
    _sync_folder(path)


def replace(path: Path, data: bytes) -> None:
    """Replace a private file, and keep the one before as `<name>.bak`.

    A crash at any moment leaves the old or the new content, complete.

    Raises:
        ConfigurationError: It cannot be written.
    """
    temporary = _write_beside(path, data)
    backup = path.with_name(f"{path.name}.bak")
    spare = path.with_name(f"{temporary.name}.bak")
    try:
        os.link(path, spare)
        spare.replace(backup)
        temporary.replace(path)
    except OSError as err:
        raise ConfigurationError(f"cannot replace {path}: {err.strerror}") from None
    finally:
        _discard(temporary)
        _discard(spare)  # renaming one name of a file to another of its names does nothing
    _sync_folder(path)


def discard_unfinished(path: Path) -> None:
    """Delete what processes that died while they wrote a file have left beside it.

    Nobody else may write the file meanwhile.
    """
    # What `mkstemp` puts at the end of a name, and `replace` after that.
    left = re.compile(re.escape(f".{path.name}.") + r"[a-z0-9_]{8}(\.bak)?")
    with suppress(OSError):
        for other in list(path.parent.iterdir()):
            if left.fullmatch(other.name):
                _discard(other)


def _write_beside(path: Path, data: bytes) -> Path:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            _discard(Path(name))
            raise
    except OSError as err:
        raise ConfigurationError(f"cannot write {path}: {err.strerror}") from None
    return Path(name)


def _discard(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    try:
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as err:
        raise ConfigurationError(
            f"{path} was written, but may not survive a power failure: {err.strerror}"
        ) from None

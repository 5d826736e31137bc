"""A connection to a SQL database for each call, and what its errors mean.

Nothing is kept between calls: a keyring is read once in some minutes, and what is not kept cannot
be broken by a fork, a failover or a change of credentials.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy import exc

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

_MAX_TIMEOUT: Final = 10.0  # seconds; a refresh of a keyring may take 30 in all
_POSTGRESQL: Final = ("postgresql", "postgres", "postgresql+psycopg")
_SQLITE: Final = ("sqlite", "sqlite+pysqlite")
# Errors that pass: classes of PostgreSQL (its manual, appendix A: connection, rollback, resources,
# object in use, intervention) and names of SQLite.
_PASSING: Final = re.compile(r"08...|40...|53...|55...|57...|SQLITE_(BUSY|LOCKED|IOERR).*")
# What PostgreSQL says to those whom it will not let in; for a connection, libpq gives no code.
_REFUSALS: Final = ("authentication failed", "no password", "pg_hba.conf", "does not exist")


@dataclass(frozen=True, repr=False)
class Database:
    """Where to connect to; its `repr` shows no credentials.

    Args:
        url: Of SQLite or PostgreSQL, as SQLAlchemy takes it.
        timeout: Seconds for connecting, and for each statement; at most 10.

    Raises:
        ConfigurationError: The URL is of something else, or the driver is missing.
    """

    url: str | Callable[[], str]
    timeout: float

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= _MAX_TIMEOUT:
            raise ConfigurationError(
                f"timeout must be above 0 and at most {_MAX_TIMEOUT:g} seconds"
            )
        url = self._parsed()
        if url.drivername not in (*_POSTGRESQL, *_SQLITE):
            raise ConfigurationError(
                "the URL of a database begins with sqlite:/// or postgresql://, "
                f"not with {url.drivername}"
            )
        if self.file is not None and (url.query or url.database in (None, "", ":memory:")):
            raise ConfigurationError("the URL of SQLite must be sqlite:/// and the path of a file")
        try:
            self._engine()  # which does not connect
        except ImportError:
            raise ConfigurationError(
                "PostgreSQL needs the package 'psycopg'; fix: pip install 'sealwire[sql]'"
            ) from None

    def __repr__(self) -> str:
        url = self._parsed()
        kind = "sqlite" if url.drivername in _SQLITE else "postgresql"
        return f"{kind}://{url.host or ''}/{url.database or ''}"

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None for PostgreSQL."""
        url = self._parsed()
        return Path(url.database or "") if url.drivername in _SQLITE else None

    @contextmanager
    def transaction(self) -> Generator[sql.Connection]:
        """Connect for one transaction, which is undone if the body raises.

        Raises:
            KeyProviderUnavailableError: The database does not answer.
            ConfigurationError: It refuses.
        """
        if self.file is not None:
            _check_private(self.file)
        try:
            with self._engine().begin() as connection:
                for statement in self._settings():
                    connection.exec_driver_sql(statement)
                yield connection
        except exc.DBAPIError as err:
            error = self._explain(err)
        else:
            return
        raise error from None

    def exists(self) -> bool:
        """Whether there is something to connect to; connecting would create the file of SQLite."""
        return self.file is None or self.file.exists()

    def create_file(self) -> None:
        """Create the file of SQLite, private from the moment it exists, if there is none.

        Raises:
            ConfigurationError: It cannot be created.
        """
        if self.file is None:
            return
        try:
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as err:
            raise ConfigurationError(f"cannot write {self.file}: {err.strerror}") from None

    def _parsed(self) -> sql.URL:
        try:
            return sql.make_url(self.url() if callable(self.url) else self.url)
        except (exc.ArgumentError, ValueError):
            raise ConfigurationError(
                "a database is named by a URL such as postgresql://host/database"
            ) from None

    def _engine(self) -> sql.Engine:
        url, options = self._parsed(), dict[str, Any](timeout=self.timeout)
        if self.file is None:
            url = url.set(drivername="postgresql+psycopg")
            # libpq rounds nothing below two seconds; the second one ends a connection gone dead.
            options = {
                "connect_timeout": max(2, round(self.timeout)),
                "tcp_user_timeout": round(self.timeout * 1000),
            }
        return sql.create_engine(
            url, poolclass=sql.NullPool, connect_args=options, hide_parameters=True
        )

    def _settings(self) -> tuple[str, ...]:
        if self.file is not None:
            # The first also survives a power cut right after the commit, the second leaves nothing
            # of a deleted row in the file, also where that is not SQLite's default
            # (sqlite.org/pragma.html).
            return ("PRAGMA synchronous = EXTRA", "PRAGMA secure_delete = ON")
        milliseconds = round(self.timeout * 1000)
        return (
            f"SET LOCAL statement_timeout = {milliseconds}",
            "SET LOCAL synchronous_commit = on",
        )

    def _explain(self, err: exc.DBAPIError) -> SealwireError:
        # The text of the driver's error is looked at and never shown: it may quote the URL.
        cause: Any = err.orig
        code = str(getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", ""))
        if code == "42501":
            return ConfigurationError(
                f"{self!r} does not permit it: readers need SELECT, administrators INSERT and "
                "UPDATE too, and for the history SELECT, INSERT and DELETE"
            )
        if code in ("25006", "SQLITE_READONLY"):
            return ConfigurationError(f"{self!r} is read-only: administrate on the primary")
        silent = not code and isinstance(err, exc.OperationalError | exc.InterfaceError)
        if silent and any(words in str(cause) for words in _REFUSALS):
            return ConfigurationError(
                f"{self!r} does not let this user in: check user, password and database"
            )
        if silent or _PASSING.fullmatch(code):
            return KeyProviderUnavailableError(f"{self!r} does not answer ({code or 'no code'})")
        return ConfigurationError(f"{self!r} refuses: {type(cause).__name__} {code}".rstrip())


def _check_private(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as err:
        raise ConfigurationError(f"cannot read {file}: {err.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"{file} can be accessed by other users (mode {stat.S_IMODE(mode):04o}); "
            f"fix: chmod 600 {file}"
        )

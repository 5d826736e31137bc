"""Keyring documents in a table of a SQL database: SQLite or PostgreSQL.

Needs the extra `sql`. With the default name, the tables are::

    sealwire_keyrings          tenant (primary key), revision, document
    sealwire_keyrings_history  number (primary key, counts up), tenant, revision, document

- There is one row for each tenant. `revision` is the SHA-256 of the document, in hexadecimal.
- A document is replaced by `UPDATE … WHERE tenant = … AND revision = …`, in one transaction with
  the copy of the version before into the history, which keeps the last ones.
- The tables are created with the first keyring, where they are not there yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError

from .secret import hidden
from .store import StoredDocument

try:
    import sqlalchemy as sql
    from sqlalchemy import exc

    from .database import Database
except ModuleNotFoundError:
    raise ConfigurationError(
        "keyrings in a database need the package 'sqlalchemy'; fix: pip install 'sealwire[sql]'"
    ) from None

_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,40}")  # a name in PostgreSQL has at most 63 bytes
_REVISION: Final = re.compile(r"[0-9a-f]{64}")
_MAX_TENANT: Final = 255  # characters; an entry of PostgreSQL's index has at most 2704 bytes
_COLUMNS: Final = ("tenant", "revision", "document")
_NUMBER: Final = sql.BigInteger().with_variant(sql.Integer(), "sqlite")  # SQLite counts up no other
_RETRIES: Final = 2
_PAUSE: Final = 0.2  # seconds of the longest pause before the first retry; it doubles


@dataclass(frozen=True, repr=False)
class SqlKeyringStore:
    """One row for each tenant in a table; its `repr` shows no credentials.

    Args:
        url: `sqlite:////absolute/path` or `postgresql://user:password@host/database`, as SQLAlchemy
            takes it, or a function that returns it. What it leaves out, libpq takes from PGPASSFILE
            and its other variables.
        table: 1 to 41 lower-case letters, digits and underscores.
        versions: How many versions before the present one are kept for each tenant.
        timeout: Seconds for connecting, and for each statement; at most 10.

    Raises:
        ConfigurationError: An argument is not acceptable, or a driver is missing.
    """

    url: str | Callable[[], str]
    table: str = "sealwire_keyrings"
    versions: int = 10
    timeout: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", hidden(self.url))
        if not _TABLE.fullmatch(self.table):
            raise ConfigurationError(
                "a table's name is 1 to 41 lower-case letters, digits and underscores"
            )
        if self.versions < 1:
            raise ConfigurationError("at least one version before the present one must be kept")
        _ = self._database

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._database)!r}, table={self.table!r})"

    async def load(self, tenant: str) -> StoredDocument | None:
        """Read the row of `tenant`; see `KeyringStore`."""
        _check(tenant)
        for attempt in range(_RETRIES):
            try:
                return await asyncio.to_thread(self._load, tenant)
            except KeyProviderUnavailableError:
                # Full jitter, so that a fleet that met the same outage does not return in waves.
                await asyncio.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311 - no secret
        return await asyncio.to_thread(self._load, tenant)

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Replace or insert the row of `tenant`; see `KeyringStore`.

        It is not tried again: where the answer is lost, the document may have been written.
        """
        _check(tenant)
        if not await asyncio.to_thread(self._save, tenant, data, revision):
            raise ConfigurationError(
                f"the keyring of {tenant!r} in {self._database} was changed by somebody else "
                "meanwhile; nothing was written: run the command again"
            )

    async def erase_versions(self, tenant: str) -> bool:
        """Delete the history of `tenant`; see `ErasesVersions`.

        SQLite overwrites what it deletes. PostgreSQL does so with the next `VACUUM`.
        """
        _check(tenant)
        await asyncio.to_thread(self._forget, tenant)
        return True

    @property
    def _database(self) -> Database:
        return Database(self.url, self.timeout)

    def _load(self, tenant: str) -> StoredDocument | None:
        if not self._database.exists():
            return None
        rows, _ = _tables(self.table)
        with self._database.transaction() as connection:
            if not sql.inspect(connection).has_table(self.table):
                return None
            query = sql.select(rows.c.document, rows.c.revision).where(rows.c.tenant == tenant)
            found = connection.execute(query).one_or_none()
        return None if found is None else StoredDocument(bytes(found[0]), found[1])

    def _save(self, tenant: str, data: bytes, revision: str | None) -> bool:
        if revision is None:
            return self._insert(tenant, data)
        return self._replace(tenant, data, revision)

    def _insert(self, tenant: str, data: bytes) -> bool:
        self._create_tables()
        rows, _history = _tables(self.table)
        with self._database.transaction() as connection:
            try:
                connection.execute(
                    rows.insert().values(tenant=tenant, revision=_digest(data), document=data)
                )
            except exc.IntegrityError:
                connection.rollback()
                return False
        return True

    def _replace(self, tenant: str, data: bytes, revision: str) -> bool:
        if not _REVISION.fullmatch(revision) or not self._database.exists():
            return False
        rows, history = _tables(self.table)
        present = (rows.c.tenant == tenant) & (rows.c.revision == revision)
        before = sql.select(*(rows.c[name] for name in _COLUMNS)).where(present)
        with self._database.transaction() as connection:
            if not sql.inspect(connection).has_table(self.table):
                return False
            # This writes before anything reads: SQLite turns no reader into a writer.
            connection.execute(history.insert().from_select(_COLUMNS, before))
            changed = connection.execute(
                rows.update().where(present).values(revision=_digest(data), document=data)
            )
            if changed.rowcount != 1:
                connection.rollback()
                return False
            connection.execute(_outdated(history, tenant, self.versions))
        return True

    def _forget(self, tenant: str) -> None:
        if not self._database.exists():
            return
        _, history = _tables(self.table)
        with self._database.transaction() as connection:
            if sql.inspect(connection).has_table(history.name):
                connection.execute(history.delete().where(history.c.tenant == tenant))

    def _create_tables(self) -> None:
        self._database.create_file()
        tables = _tables(self.table)
        try:
            with self._database.transaction() as connection:
                tables[0].metadata.create_all(connection)
        except ConfigurationError:
            # Somebody else may have been quicker, which PostgreSQL reports in several ways.
            with self._database.transaction() as connection:
                there = sql.inspect(connection).has_table
                if not all(there(table.name) for table in tables):
                    raise


def _tables(name: str) -> tuple[sql.Table, sql.Table]:
    metadata = sql.MetaData()
    rows = sql.Table(
        name,
        metadata,
        sql.Column("tenant", sql.Text, primary_key=True),
        sql.Column("revision", sql.Text, nullable=False),
        sql.Column("document", sql.LargeBinary, nullable=False),
    )
    history = sql.Table(
        f"{name}_history",
        metadata,
        # Unlike a sequence, an identity needs no right of its own in PostgreSQL.
        sql.Column("number", _NUMBER, sql.Identity(), primary_key=True),
        sql.Column("tenant", sql.Text, nullable=False, index=True),
        sql.Column("revision", sql.Text, nullable=False),
        sql.Column("document", sql.LargeBinary, nullable=False),
    )
    return rows, history


def _outdated(history: sql.Table, tenant: str, versions: int) -> sql.Delete:
    own = history.c.tenant == tenant
    newest = history.c.number.desc()
    kept = sql.select(history.c.number).where(own).order_by(newest).limit(versions)
    return history.delete().where(own, history.c.number.not_in(kept))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check(tenant: str) -> None:
    """Refuse what a text column would not keep as it is."""
    try:
        tenant.encode()
    except UnicodeEncodeError:
        tenant = ""
    if not 0 < len(tenant) <= _MAX_TENANT or "\x00" in tenant:
        raise ConfigurationError(
            f"a tenant in a database is 1 to {_MAX_TENANT} characters, none of them NUL"
        )

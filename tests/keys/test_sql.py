"""Keyrings in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import (
    FileKeyringStore,
    KeyringAdmin,
    KeyringShredder,
    KeyringStore,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.keys.sql import SqlKeyringStore
from sealwire.testing import KeyringStoreConformance, free_port

PASSWORD: Final = "geheim/4711"
OLD, NEW = b"the old document", b"the new document"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on this machine, that asks for passwords."""

    port: int

    def url(self, database: str = "postgres", user: str = "admin", password: str = PASSWORD) -> str:
        quoted = password.replace("/", "%2F")
        return f"postgresql://{user}:{quoted}@127.0.0.1:{self.port}/{database}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def unprivileged() -> str | None:
    """The user to run as, where we are root, which PostgreSQL refuses to be."""
    if os.getuid() != 0:
        return None
    return next(
        name for name in ("postgres", "nobody") if name in {u.pw_name for u in pwd.getpwall()}
    )


@contextmanager
def running(binaries: Path, folder: Path) -> Generator[Server]:
    user, data, port = unprivileged(), folder / "data", free_port()
    (folder / "password").write_text(PASSWORD)
    if user is not None:
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
    subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username=admin", "--auth=scram-sha-256"),
            *(f"--pwfile={folder}/password", "--encoding=UTF8", "--no-sync", "--no-instructions"),
        ],
        user=user,
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    log = folder / "log"
    with log.open("w") as file:  # and no pipe, which would fill up, with the server waiting for us
        server = subprocess.Popen(
            [
                *(binaries / "postgres", "-D", data, "-k", folder),
                *("-h", "127.0.0.1", "-p", str(port)),
                *("-c", "fsync=off", "-c", "lc_messages=C"),
            ],
            user=user,
            stderr=file,
            cwd=folder,
        )
    try:
        while "ready to accept connections" not in log.read_text():
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield Server(port)
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def server(require_part: Callable[[str], Path]) -> Generator[Server]:
    binaries = require_part("postgresql")
    # Not below pytest's folder: its parent is closed to the server's user.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running(binaries, Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def database(server: Server) -> Generator[str]:
    """A new and empty database."""
    name = f"test_{os.urandom(6).hex()}"
    server.run(f"CREATE DATABASE {name}")
    yield name
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


class TestSqlite(KeyringStoreConformance):
    """A file of SQLite."""

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path}/keyrings.db"

    def store(self) -> KeyringStore:
        return SqlKeyringStore(self.url)


class TestPostgresql(KeyringStoreConformance):
    """A real server."""

    @pytest.fixture(autouse=True)
    def _database(self, server: Server, database: str) -> None:
        self.url = server.url(database)

    def store(self) -> KeyringStore:
        return SqlKeyringStore(self.url)

    def secrets(self) -> list[bytes]:
        return [PASSWORD.encode(), PASSWORD.replace("/", "%2F").encode()]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each of the two, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keyrings.db"
    server: Server = request.getfixturevalue("server")
    return server.url(request.getfixturevalue("database"))


def rows_of(url: str, query: str) -> list[bytes]:
    """The first column of what a query finds, read past sealwire."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return [bytes(row[0]) for row in connection.execute(query)]
    with psycopg.connect(url) as connection:
        return [bytes(row[0]) for row in connection.execute(query.encode())]


async def replace(store: SqlKeyringStore, data: bytes, tenant: str = "t") -> None:
    found = await store.load(tenant)
    await store.save(tenant, data, found.revision if found else None)


async def test_the_versions_before_are_kept(url: str) -> None:
    """The history has the last ones of each tenant, oldest first, and not the present one."""
    store = SqlKeyringStore(url, versions=2)
    await replace(store, b"other", "another tenant")
    await replace(store, b"others", "another tenant")
    for number in range(5):
        await replace(store, b"%d" % number)
    history = "SELECT document FROM sealwire_keyrings_history"
    assert [b"other", b"2", b"3"] == rows_of(url, f"{history} ORDER BY number")
    assert [b"4"] == rows_of(url, "SELECT document FROM sealwire_keyrings WHERE tenant = 't'")


async def test_a_conflict_leaves_nothing_in_the_history(url: str) -> None:
    """Whoever comes second changes neither table."""
    store = SqlKeyringStore(url)
    await replace(store, OLD)
    with pytest.raises(ConfigurationError, match="changed by somebody else meanwhile; nothing was"):
        await store.save("t", NEW, "0" * 64)
    assert [] == rows_of(url, "SELECT document FROM sealwire_keyrings_history")


async def test_tables_have_names_of_their_own(url: str) -> None:
    """Two tables in one database are two places."""
    one, two = SqlKeyringStore(url, "one"), SqlKeyringStore(url, "two")
    await replace(one, OLD)
    assert await two.load("t") is None
    await replace(two, NEW)
    found = await one.load("t")
    assert found is not None
    assert OLD == found.data


ROTATING = """
import asyncio, sys
from pathlib import Path
from sealwire.errors import ConfigurationError
from sealwire.keys import FileKeyringStore, KeyringAdmin, LocalKeyWrapper
from sealwire.keys.sql import SqlKeyringStore

class Held:
    async def load(self, tenant):
        found = await store.load(tenant)
        print("loaded", flush=True)
        sys.stdin.readline()
        return found

    async def save(self, tenant, data, revision):
        await store.save(tenant, data, revision)

place = sys.stdin.readline().strip()
store = SqlKeyringStore(place) if "://" in place else FileKeyringStore(Path(place))
try:
    result = asyncio.run(KeyringAdmin(Held(), LocalKeyWrapper(Path(sys.argv[1]))).rotate())
    print(result.key.id)
except ConfigurationError as err:
    assert "changed by somebody else meanwhile; nothing was written" in str(err), err
    print("told")
"""


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def rotated_at_once(place: str, key_file: Path, count: int) -> list[str]:
    """What administrators in so many processes say, who all loaded the same keyring."""
    command = [sys.executable, "-c", ROTATING, str(key_file)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for process in processes:
        tell(process, place)
    for process in processes:
        assert process.stdout is not None
        assert "loaded\n" == process.stdout.readline()
    for process in processes:
        tell(process, "go")
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [0] * count == [process.returncode for process in processes]
    return said


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file beside the two databases, for what holds for all of them."""
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("server")
        return server.url(request.getfixturevalue("database"))
    return {
        "file": f"{tmp_path}/keyring.json",
        "sqlite": f"sqlite:///{tmp_path}/keyrings.db",
    }[request.param]


def test_of_administrators_in_several_processes_one_wins(place: str, tmp_path: Path) -> None:
    """The others are told, the winner's key is in the keyring, and no other key is lost."""
    wrapper = LocalKeyWrapper(tmp_path / "keyring.key")
    wrapper.create()
    store = SqlKeyringStore(place) if "://" in place else FileKeyringStore(Path(place))
    made = [asyncio.run(KeyringAdmin(store, wrapper).create()).id]
    for _ in range(2):
        *told, key_id = sorted(rotated_at_once(place, wrapper.path, 2), key="told".__ne__)
        assert ["told"] == told
        made.append(key_id)
        found = asyncio.run(WrappedKeyProvider(store, wrapper).snapshot("default"))
        assert made == [key.id for key in found.keys]
        assert len(made) == found.version


# SQLite


@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_a_file_of_sqlite_is_private(umask: int, tmp_path: Path) -> None:
    """It is made with mode 0600 whatever the umask, and refused with any other."""
    file = tmp_path / "keyrings.db"
    store = SqlKeyringStore(f"sqlite:///{file}")
    before = os.umask(umask)
    try:
        assert await store.load("t") is None
        assert not file.exists()
        await replace(store, OLD)
    finally:
        os.umask(before)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"mode 0640.*fix: chmod 600 "):
        await store.load("t")


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    """Another file, a missing folder and a folder are told, and stay as they are."""
    file = tmp_path / "keyrings.db"
    file.write_bytes(b"not a database at all" * 100)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="refuses: DatabaseError SQLITE_NOTADB"):
        await SqlKeyringStore(f"sqlite:///{file}").load("t")
    with pytest.raises(ConfigurationError, match=r"cannot write .*keyrings.db: No such file"):
        await replace(SqlKeyringStore(f"sqlite:///{tmp_path}/absent/keyrings.db"), NEW)


async def test_a_locked_file_may_be_tried_again(tmp_path: Path) -> None:
    """A writer that is stuck makes the store unavailable, and does not stop readers."""
    store = SqlKeyringStore(f"sqlite:///{tmp_path}/keyrings.db", timeout=0.05)
    await replace(store, OLD)
    found = await store.load("t")
    assert found is not None
    with closing(sqlite3.connect(tmp_path / "keyrings.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(KeyProviderUnavailableError, match=r"does not answer \(SQLITE_BUSY\)"):
            await store.save("t", NEW, found.revision)
        assert found == await store.load("t")
    await store.save("t", NEW, found.revision)


# PostgreSQL


async def test_a_wrong_password_is_a_matter_of_configuration(server: Server) -> None:
    """Trying again would not help, and neither password is shown."""
    for address in (
        server.url(password="falsch4712"),
        server.url(user="nobody-here", password="falsch4712"),
        server.url(database="no-such-database"),
        f"postgresql://admin@127.0.0.1:{server.port}/postgres",
    ):
        store = SqlKeyringStore(address)
        with pytest.raises(ConfigurationError, match="check user, password and database") as caught:
            await store.load("t")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        for secret in ("falsch4712", PASSWORD, "geheim%2F4711"):
            assert secret not in f"{caught.value} {store!r}"


async def test_a_server_that_is_down_may_come_back() -> None:
    """The error can be retried, and tells no credentials."""
    store = SqlKeyringStore(f"postgresql://admin:geheim@127.0.0.1:{free_port()}/postgres")
    for call in (store.load("t"), store.save("t", NEW, None)):
        with pytest.raises(KeyProviderUnavailableError, match="does not answer") as caught:
            await call
        assert "geheim" not in str(caught.value)


async def test_a_lock_is_waited_for_only_so_long(server: Server, database: str) -> None:
    """A row that another transaction holds makes the store unavailable, not hang."""
    store = SqlKeyringStore(server.url(database), timeout=0.2)
    await replace(store, OLD)
    found = await store.load("t")
    assert found is not None
    with psycopg.connect(server.url(database)) as other:
        other.execute("SELECT * FROM sealwire_keyrings FOR UPDATE")
        with pytest.raises(KeyProviderUnavailableError, match=r"does not answer \(57014\)"):
            await store.save("t", NEW, found.revision)
    assert found == await store.load("t")


async def test_readers_and_administrators_need_the_documented_rights(
    server: Server, database: str
) -> None:
    """A reader cannot write, an administrator can; who may nothing is told what is missing."""
    tables = "sealwire_keyrings, sealwire_keyrings_history"
    roles = {role: f"{role}_{database}" for role in ("reader", "administrator", "nothing")}
    stores = {
        role: SqlKeyringStore(server.url(database, user=user)) for role, user in roles.items()
    }
    await replace(SqlKeyringStore(server.url(database)), OLD)
    server.run(
        *(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'" for user in roles.values()),
        f"GRANT SELECT ON sealwire_keyrings TO {roles['reader']}",
        f"GRANT SELECT, INSERT, UPDATE ON sealwire_keyrings TO {roles['administrator']}",
        f"GRANT SELECT, INSERT, DELETE ON sealwire_keyrings_history TO {roles['administrator']}",
        database=database,
    )
    try:
        found = await stores["reader"].load("t")
        assert found is not None
        for call in (
            stores["reader"].save("t", NEW, found.revision),
            stores["reader"].save("t", NEW, None),
            stores["nothing"].load("t"),
        ):
            with pytest.raises(ConfigurationError, match="does not permit it: readers need SELECT"):
                await call
        await stores["administrator"].save("t", NEW, found.revision)
        await stores["administrator"].save("another", NEW, None)
    finally:
        server.run(
            f"REVOKE ALL ON {tables} FROM {', '.join(roles.values())}",
            *(f"DROP ROLE {user}" for user in roles.values()),
            database=database,
        )


async def test_a_standby_is_read_only(server: Server, database: str) -> None:
    """Who administers on one is told where to do it."""
    await replace(SqlKeyringStore(server.url(database)), OLD)
    server.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    store = SqlKeyringStore(server.url(database))
    found = await store.load("t")
    assert found is not None
    with pytest.raises(ConfigurationError, match="is read-only: administrate on the primary"):
        await store.save("t", NEW, found.revision)


# Arguments


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "named by a URL"),
        ("geheim", "named by a URL"),
        ("postgresql://user:geheim@host:port/x", "named by a URL"),
        ("mysql://user:geheim@host/x", "not with mysql"),
        ("postgresql+asyncpg://user:geheim@host/x", "not with postgresql"),
        ("sqlite://", "the path of a file"),
        ("sqlite:///:memory:", "the path of a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "the path of a file"),
    ],
)
def test_other_databases_are_refused(url: str, message: str) -> None:
    """The message does not repeat the URL, which may hold a password."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        SqlKeyringStore(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("table", ["", "a b", "a; DROP TABLE x", 'a"b', "Großes", "1a", "x" * 42])
def test_a_table_is_a_plain_name(table: str) -> None:
    """What would have to be quoted is refused."""
    with pytest.raises(ConfigurationError, match="a table's name is 1 to 41"):
        SqlKeyringStore("sqlite:///x.db", table)


def test_numbers_have_limits() -> None:
    """A store without history, or that waits for ever, is not made."""
    for versions in (0, -1):
        with pytest.raises(ConfigurationError, match="at least one version"):
            SqlKeyringStore("sqlite:///x.db", versions=versions)
    for timeout in (0.0, -1.0, 11.0, float("nan")):
        with pytest.raises(ConfigurationError, match="at most 10 seconds"):
            SqlKeyringStore("sqlite:///x.db", timeout=timeout)


@pytest.mark.parametrize("tenant", ["", "a\x00b", "x" * 256, "\ud800"])
async def test_a_tenant_must_fit_its_column(tenant: str, tmp_path: Path) -> None:
    """What the database would refuse or change is refused before."""
    store = SqlKeyringStore(f"sqlite:///{tmp_path}/keyrings.db")
    for call in (store.load(tenant), store.save(tenant, NEW, None)):
        with pytest.raises(ConfigurationError, match="1 to 255 characters"):
            await call


def test_a_repr_shows_where_and_no_credentials() -> None:
    """Passwords in the address and in its options are left out."""
    store = SqlKeyringStore("postgresql://user:geheim@host:5433/keys?sslpassword=geheim", "t")
    assert "SqlKeyringStore('postgresql://host/keys', table='t')" == repr(store)


async def test_a_shredded_keyring_leaves_no_key_in_the_database(
    url: str, wrapper: LocalKeyWrapper
) -> None:
    """Neither the present document nor the history holds a key of it; other tenants keep theirs."""
    store = SqlKeyringStore(url)
    documents = "SELECT document FROM sealwire_keyrings"
    for tenant in ("forgotten", "kept"):
        admin = KeyringAdmin(store, wrapper, tenant)
        await admin.create()
        for _ in range(3):
            await admin.rotate(delay=0.0)
    present = rows_of(url, f"{documents} WHERE tenant = 'forgotten'")[0]
    wrapped = [key["material"].encode() for key in json.loads(present)["keys"]]

    result = await KeyringShredder(KeyringAdmin(store, wrapper, "forgotten")).shred(
        immediately=True
    )

    assert result.versions_erased
    left = b"".join(rows_of(url, documents) + rows_of(url, f"{documents}_history"))
    if url.startswith("sqlite"):
        left += await asyncio.to_thread(Path(url.removeprefix("sqlite:///")).read_bytes)
    assert [] == [material for material in wrapped if material in left]
    assert 3 == len(rows_of(url, f"{documents}_history"))
    provider = WrappedKeyProvider(store, wrapper)
    assert 4 == sum(key.readable for key in (await provider.snapshot("kept")).keys)

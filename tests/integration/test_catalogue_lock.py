"""The lock of an account's stage: one holder at a time, freed at once however its holder ends."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.database import exclusive, open_engine
from archiver.errors import AccountBusy, IntegrityError
from tests.support.rows import execute, found, listed, mark, query, recording

LOCKS = """
    select pid from pg_locks join pg_database on pg_database.oid = database
    where locktype = 'advisory' and granted and datname = current_database()
"""


async def test_a_second_session_is_told_that_the_account_is_busy(engine: AsyncEngine, database_url: str) -> None:
    other = open_engine(database_url, pool_size=1)
    async with exclusive(engine, "acme", "transfer"):
        with pytest.raises(AccountBusy, match="transfer of account 'acme'"):
            async with exclusive(other, "acme", "transfer"):
                raise AssertionError
        with pytest.raises(AccountBusy):
            async with exclusive(engine, "acme", "transfer"):
                raise AssertionError
        async with exclusive(other, "acme", "verify"), exclusive(engine, "other", "transfer"):
            assert len(await query(engine, LOCKS)) == 3
    async with exclusive(other, "acme", "transfer"):
        assert len(await query(engine, LOCKS)) == 1
    await other.dispose()


async def test_the_lock_can_be_had_again_at_once(engine: AsyncEngine) -> None:
    """One pass takes the purge's lock twice in a row: it must not meet itself."""
    for _ in range(50):
        async with exclusive(engine, "acme", "purge"):
            pass
        assert await query(engine, LOCKS) == []


async def test_a_session_that_has_freed_its_lock_takes_the_next_one(engine: AsyncEngine, database_url: str) -> None:
    """A new session for each stage of each pass cost more than the rest of a quiet pass."""
    alone, holders = open_engine(database_url, pool_size=1), set()
    for stage in ("discover", "transfer", "verify"):
        async with exclusive(alone, "acme", stage):
            holders.update(await query(engine, LOCKS))
    await alone.dispose()
    assert len(holders) == 1


async def test_an_error_inside_comes_out_as_it_is_and_frees_the_lock(engine: AsyncEngine) -> None:
    for error in (IntegrityError("bytes and record disagree"), TimeoutError("of something else"), KeyError("a bug")):
        with pytest.raises(type(error)) as raised:
            async with exclusive(engine, "acme", "verify"):
                raise error
        assert raised.value is error
    async with exclusive(engine, "acme", "verify"):
        assert len(await query(engine, LOCKS)) == 1


async def test_a_cancelled_holder_frees_the_lock(engine: AsyncEngine) -> None:
    held, never = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with exclusive(engine, "acme", "verify"):
            held.set()
            await never.wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    async with exclusive(engine, "acme", "verify"):
        assert len(await query(engine, LOCKS)) == 1


async def test_a_holder_whose_session_was_ended_has_lost_the_lock_and_cannot_finish_what_another_took_over(
    engine: AsyncEngine, catalogue: Catalogue
) -> None:
    await listed(catalogue, recording("1"))
    async with exclusive(engine, "acme", "transfer"):
        [mine] = await catalogue.claim("acme", mark(run="old"), limit=1)
        [(holder,)] = await query(engine, LOCKS)
        await execute(engine, "select pg_terminate_backend(:pid, 10000)", pid=holder)
        async with exclusive(engine, "acme", "transfer"):
            assert await catalogue.hand_back("acme", mark(run="new"), forgive=False) == 1
            [theirs] = await catalogue.claim("acme", mark(run="new"), limit=1)
            # the one that lost its lock does not know it: it ends as every run ends
            assert await catalogue.hand_back("acme", mark(run="old"), forgive=True) == 0
            assert theirs.id == mine.id
            assert await found(engine, "1") == theirs


async def test_a_dead_session_never_comes_back_out_of_the_pool(database_url: str) -> None:
    engine = open_engine(database_url, pool_size=1)
    for _ in range(5):
        async with exclusive(engine, "acme", "transfer"):
            [(holder,)] = await query(engine, LOCKS)
            await execute(engine, "select pg_terminate_backend(:pid, 10000)", pid=holder)
    assert await query(engine, LOCKS) == []
    await engine.dispose()

"""The migration that brought retention: over rows that are there, twice, half-way, and back as far as that is true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from alembic import command
from psycopg.errors import RaiseException
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.catalogue_reads import Reads
from archiver.adapters.controls import Controls
from archiver.core.controls import Control, Event, Kind
from archiver.core.model import State
from tests.support.postgres import a_database
from tests.support.rows import HELD, NOW, SHA256, START, execute, query

BEFORE, AFTER = "0002", "0003"
OLD = [state for state in State if state is not State.EXPIRING]
ROW = """
insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, key, sha256,
    size, stored_at, verified_at, purged_at, next_attempt_at, claimed_by)
values ('acme', :id, cast(:state as recording_state), :start, '{}', '{}', '{}', :now, 'k', :sha256, 100, :now, :now,
    :purged_at, :now, :claimed_by)
"""


@pytest.fixture
def empty_url(postgres: str) -> Iterator[str]:
    """URL of a database without a table."""
    with a_database(postgres) as url:
        yield url


@pytest.fixture
async def old(empty_url: str) -> AsyncIterator[AsyncEngine]:
    """A catalogue as the version before has left it, with a recording in each of its states but the last."""
    engine = database.open_engine(empty_url, pool_size=2)
    await move(engine, BEFORE)
    await execute(engine, "insert into accounts (account) values ('acme')")
    for state in OLD:
        if state is not State.EXPIRED:  # no earlier version could make one
            values = {"id": f"the {state}", "state": str(state), "start": START, "now": NOW, "sha256": SHA256}
            values["purged_at"] = NOW if state is State.PURGED else None
            values["claimed_by"] = "run-1" if state in HELD else None
            await execute(engine, ROW, **values)
    yield engine
    await engine.dispose()


async def move(engine: AsyncEngine, revision: str) -> None:
    """Migrate up or down to a revision."""
    present = await database.current_revision(engine)

    def run(opened: Connection) -> None:
        config = database.alembic_config()
        config.attributes["connection"] = opened
        (command.upgrade if present is None or present < revision else command.downgrade)(config, revision)

    async with engine.connect() as opened:
        await opened.run_sync(run)


async def rows(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """What every version knows of the recordings."""
    columns = "recording_id, state::text, call_start, key, sha256, size, verified_at, purged_at, claimed_by"
    return await query(engine, f"select {columns} from recordings order by 1")


async def shape(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """Columns, constraints, indexes and triggers. What was dropped leaves no trace but the enum's value."""
    return await query(
        engine,
        "select table_name::text || ' ' || column_name::text || ' ' || data_type::text from information_schema.columns"
        " where table_schema = 'public' union all"
        " select conname::text || ' ' || pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = 'public'::regnamespace union all"
        " select indexdef::text from pg_indexes where schemaname = 'public' union all"
        " select tgname::text from pg_trigger where not tgisinternal order by 1",
    )


async def states_of(engine: AsyncEngine) -> list[str]:
    """Values of the enum, in their order."""
    return [str(value) for (value,) in await query(engine, "select unnest(enum_range(null::recording_state))::text")]


async def test_rows_of_every_state_come_through_and_hold_nothing(old: AsyncEngine) -> None:
    before = await rows(old)
    await move(old, AFTER)
    assert await rows(old) == before
    await move(old, database.head_revision())  # what is there reads the newest alone
    entries = [entry async for entry in Reads(old).entries("acme", list(State))]
    assert len(entries) == len(OLD) - 1
    assert {(entry.lock, entry.on_hold, entry.hold_set, entry.expired_at) for entry in entries} == {
        (None, False, False, None)
    }
    assert await states_of(old) == [state.value for state in State]
    assert await Controls(old).log(list(Kind)) == []


async def test_down_and_up_again_leaves_the_same_and_the_new_state_does_no_harm(old: AsyncEngine) -> None:
    """A value cannot be taken out of an enum: it stays, and is not added twice."""
    before, shape_before = await rows(old), await shape(old)
    await move(old, AFTER)
    shape_after = await shape(old)
    for _ in range(2):
        await move(old, BEFORE)
        assert (await rows(old), await shape(old)) == (before, shape_before)
        await move(old, AFTER)
        assert (await rows(old), await shape(old)) == (before, shape_after)
    assert await states_of(old) == [state.value for state in State]


async def test_an_upgrade_that_was_cut_off_after_the_new_state_goes_on(old: AsyncEngine) -> None:
    before = await rows(old)
    await execute(old, "alter type recording_state add value 'expiring' before 'expired'")
    await move(old, AFTER)
    assert await rows(old) == before
    assert await states_of(old) == [state.value for state in State]


async def barred(engine: AsyncEngine, why: str) -> None:
    """The way back is refused, and nothing is changed by the attempt."""
    before, shape_before, decided = await rows(engine), await shape(engine), await Controls(engine).log(list(Kind))
    with pytest.raises(DBAPIError, match=why) as refused:
        await move(engine, BEFORE)
    assert isinstance(refused.value.orig, RaiseException)
    assert await database.current_revision(engine) == AFTER
    assert (await rows(engine), await shape(engine)) == (before, shape_before)
    assert await Controls(engine).log(list(Kind)) == decided


@pytest.mark.parametrize("state", [State.EXPIRING, State.EXPIRED])
async def test_what_was_deleted_in_the_archive_bars_the_way_back(old: AsyncEngine, state: State) -> None:
    """An older version would take it for archived."""
    await move(old, AFTER)
    await execute(
        old,
        "update recordings set state = cast(:state as recording_state), expired_at = now(), claimed_by = :held"
        " where state = 'purged'",
        state=str(state),
        held="run-1" if state in HELD else None,
    )
    await barred(old, "recordings were deleted in the archive")


@pytest.mark.parametrize("kind", Kind)
async def test_cases_and_pauses_bar_it_and_other_decisions_do_not(old: AsyncEngine, kind: Kind) -> None:
    """An older version would delete what a case holds. Plans and policies of before mean nothing to it."""
    await move(old, AFTER)
    event = {Kind.HOLD: Event.ADDED, Kind.PAUSE: Event.PAUSED, Kind.PLAN: Event.WRITTEN, Kind.POLICIES: Event.IN_FORCE}
    one = Control(at=NOW, kind=kind, subject="x", event=event[kind], by="Anna", reason="x", detail={})
    await Controls(old).record(one)
    if kind in (Kind.HOLD, Kind.PAUSE):
        await barred(old, "legal holds or pauses are on record")
    else:
        await move(old, BEFORE)
        assert await database.current_revision(old) == BEFORE

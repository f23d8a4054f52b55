"""What the ledger asks in every pass stays cheap however large the catalogue is: found by an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.ledger import Ledger
from archiver.core.model import Learnt, Slice, whole_day
from tests.support.rows import LONG_AGO, NOW, execute, listed, mark, open_account, proof, query, recording

MANY = 100_000  # recordings, on a thousand days
FIRST = LONG_AGO - timedelta(days=1000)
LOOKBACK = Slice(LONG_AGO - timedelta(days=7), LONG_AGO)

RECORDINGS = """
insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, key, sha256,
    size, stored_at, verified_at, next_attempt_at)
select 'acme', number::text, 'verified', cast(:first as timestamptz) + number * interval '864 seconds', '{}', '{}',
    '{}', :now, number::text, repeat('ab', 32), 1, :now, :now, :now
from generate_series(1, :many) as number
"""
HISTORY = """
insert into history (at, account, recording_id, after, reason, run_id)
select :now, 'acme', recording_id, 'verified', '', 'run-1' from recordings
"""
DAYS = """
insert into days (account, day, checked_at, proved_at, settled_at, stale)
select 'acme', cast(:first as date) + number, :now, :now, :now, false from generate_series(0, 1000) as number
"""


@pytest.fixture
async def large(engine: AsyncEngine, ledger: Ledger) -> Ledger:
    """The ledger over a large catalogue, everything of which has its line."""
    await open_account(ledger)
    await execute(engine, RECORDINGS, first=FIRST, now=NOW, many=MANY)
    await execute(engine, HISTORY, now=NOW)
    await execute(engine, DAYS, first=FIRST, now=NOW)
    await execute(engine, "update accounts set ledger_position = (select max(id) from history)")
    await execute(engine, "analyze")
    return ledger


@pytest.fixture
def plans(engine: AsyncEngine) -> Iterator[list[str]]:
    """How the database goes about each statement, in the order in which they are asked. They take place as well."""
    told: list[str] = []

    def explained(
        opened: Connection,
        cursor: DBAPICursor,
        statement: str,
        parameters: Sequence[object],
        context: object,
        many: object,
    ) -> None:
        del cursor, context, many
        with closing(opened.connection.cursor()) as asking:
            asking.execute(f"explain {statement}", parameters)
            told.append("\n".join(row[0] for row in asking.fetchall()))

    event.listen(engine.sync_engine, "before_cursor_execute", explained)
    yield told
    event.remove(engine.sync_engine, "before_cursor_execute", explained)


def read_whole(plan: str) -> set[str]:
    """Large tables that a plan reads from one end to the other."""
    return {table for table in ("recordings", "history", "days") if f"Seq Scan on {table}" in plan}


async def test_the_window_of_every_pass_is_counted_and_compared_by_an_index(large: Ledger, plans: list[str]) -> None:
    expected = await large.expected("acme", LOOKBACK)
    assert sum(one.at_source for one in expected.values()) == 701
    lost = await large.lost("acme", LOOKBACK, [], before=NOW)
    assert len(lost) == 701
    assert [read_whole(plan) for plan in plans] == [set(), set()]
    assert all("recordings_start_idx" in plan for plan in plans)


async def test_what_moved_since_the_last_pass_is_found_by_its_place_in_the_history(
    large: Ledger, plans: list[str]
) -> None:
    await listed(large, recording("new", start=LONG_AGO))
    plans.clear()
    await large.look_through("acme")
    [facts] = await large.stale_days("acme", limit=200)
    assert (facts.day, facts.known) == (LONG_AGO.date(), 2)
    *_, touched, facts_plan = plans
    assert [read_whole(plan) for plan in plans] == [set()] * 4
    assert "history_pkey" in touched
    assert "recordings_pkey" in touched
    assert "recordings_start_idx" in facts_plan


async def test_trouble_is_found_without_reading_what_is_verified(
    engine: AsyncEngine, large: Ledger, plans: list[str]
) -> None:
    await execute(engine, "update recordings set state = 'failed' where recording_id in ('7', '70000')")
    plans.clear()
    await large.settle_gaps("acme", mark())
    assert await query(engine, "select recording_id from gaps order by since") == [("7",), ("70000",)]
    assert [read_whole(plan) for plan in plans[:2]] == [set(), set()]


async def test_days_that_are_due_are_counted_by_an_index(large: Ledger, plans: list[str]) -> None:
    due = await large.due_days(
        "acme", first=FIRST.date(), before=LONG_AGO.date(), proved_before=NOW, troubled_before=NOW
    )
    assert (len(due), {one.expected for one in due}) == (400, {99, 100})
    [plan] = plans
    assert "Seq Scan on recordings" not in plan


async def test_a_proof_counts_only_its_own_days(large: Ledger, plans: list[str]) -> None:
    await large.conclude("acme", whole_day(LOOKBACK.since.date()), proof(), Learnt())
    assert [read_whole(plan) for plan in plans] == [set()] * len(plans)

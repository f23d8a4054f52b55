"""What the source will soon delete by itself is archived first, and said in every pass until it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.catalogue_reads import Reads
from archiver.core.model import State
from archiver.simulator import Account, Behaviour, Fault, Html, Operation, SimRecording
from tests.support.rows import NOW, START, execute, found, mark, plant, query
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


async def waiting(engine: AsyncEngine, name: str, *, start: datetime, due: datetime = NOW - HOUR) -> None:
    """Put a recording into the catalogue that waits for its transfer."""
    await plant(engine, name, State.DISCOVERED)
    change = "update recordings set call_start = :start, next_attempt_at = :due where recording_id = :name"
    await execute(engine, change, name=name, start=start, due=due)


async def claimed(catalogue: Catalogue, *, limit: int, first_before: datetime | None) -> list[str]:
    return [entry.id for entry in await catalogue.claim("acme", mark(), limit=limit, first_before=first_before)]


async def test_endangered_recordings_are_claimed_first_and_the_oldest_of_them_ahead_of_all(
    engine: AsyncEngine, catalogue: Catalogue
) -> None:
    await waiting(engine, "due for long", start=START, due=NOW - 3 * HOUR)
    await waiting(engine, "due for an hour", start=START + HOUR)
    await waiting(engine, "endangered", start=START - 40 * DAY, due=NOW - 2 * HOUR)
    await waiting(engine, "oldest", start=START - 50 * DAY, due=NOW)
    await waiting(engine, "on the line", start=START - 30 * DAY, due=NOW)
    line = START - 30 * DAY
    assert await claimed(catalogue, limit=1, first_before=line) == ["oldest"]
    both = await claimed(catalogue, limit=2, first_before=line)
    assert both == ["endangered", "due for long"]
    assert await claimed(catalogue, limit=1, first_before=line) == ["due for an hour"]
    assert await claimed(catalogue, limit=9, first_before=line) == ["on the line"]
    assert await claimed(catalogue, limit=9, first_before=line) == []
    assert await query(engine, "select count(*) from history where after = 'transferring'") == [(5,)]


async def test_many_endangered_ones_come_by_their_start(engine: AsyncEngine, catalogue: Catalogue) -> None:
    for number in range(30):
        await waiting(engine, f"{number}", start=START - DAY * (number * 7 % 30), due=NOW - MINUTE * number)
    oldest_first = sorted(range(30), key=lambda number: -(number * 7 % 30))
    first = await claimed(catalogue, limit=20, first_before=NOW)
    rest = await claimed(catalogue, limit=20, first_before=NOW)
    assert [*first, *rest] == [str(number) for number in oldest_first]
    assert len(first) == 20


async def test_without_a_line_the_order_is_the_usual_one(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await waiting(engine, "old", start=START - 50 * DAY, due=NOW)
    await waiting(engine, "due for long", start=START, due=NOW - 3 * HOUR)
    assert await claimed(catalogue, limit=1, first_before=None) == ["due for long"]


async def test_danger_brings_nothing_forward_before_its_next_attempt(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await waiting(engine, "later", start=START - 50 * DAY, due=NOW + timedelta(seconds=1))
    await plant(engine, "failed", State.FAILED)
    await plant(engine, "another's", State.DISCOVERED, account="other")
    assert await claimed(catalogue, limit=9, first_before=NOW) == []
    assert (await found(engine, "later")).state is State.DISCOVERED


async def test_claimers_at_once_never_share_an_endangered_recording(engine: AsyncEngine, catalogue: Catalogue) -> None:
    for number in range(60):
        await waiting(engine, f"{number}", start=START - DAY * number)

    async def work() -> list[str]:
        mine: list[str] = []
        while batch := await claimed(catalogue, limit=3, first_before=START - 30 * DAY):
            assert len(batch) <= 3
            mine += batch
        return mine

    taken = [name for names in await asyncio.gather(*(work() for _ in range(5))) for name in names]
    assert sorted(taken) == sorted(str(number) for number in range(60))


async def test_only_what_is_not_archived_and_older_is_counted(engine: AsyncEngine, reads: Reads) -> None:
    for state in State:
        await plant(engine, str(state), state)
        await plant(engine, str(state), state, account="other")
    later = START + timedelta(seconds=1)
    await execute(engine, "update recordings set call_start = :at where state = 'failed' and account = 'acme'",
                  at=START - DAY)  # fmt: skip
    assert await reads.count_endangered("acme", later) == (3, START - DAY)
    assert await reads.count_endangered("acme", START) == (1, START - DAY)
    assert await reads.count_endangered("acme", START - DAY) == (0, None)
    assert await reads.count_endangered("nobody", later) == (0, None)


async def test_claims_and_counts_are_found_by_an_index(engine: AsyncEngine, catalogue: Catalogue, reads: Reads) -> None:
    """Else every claim would sort the whole backlog, and a million recordings would take a day."""
    await waiting(engine, "1", start=START)
    many = """insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at,
            next_attempt_at, key, sha256, size, stored_at)
        select 'acme', 'n' || n, case n % 10 when 0 then 'discovered' else 'stored' end ::recording_state,
            :start - n * interval '1 minute', '{}', '{}', '{}', :now, :now, 'k', repeat('a', 64), 1, :now
        from generate_series(1, 5000) n"""
    await execute(engine, many, start=START, now=NOW - HOUR)
    await execute(engine, "analyze recordings")
    plans: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
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
            plans.append("\n".join(row[0] for row in asking.fetchall()))

    assert await claimed(catalogue, limit=2, first_before=START - 100 * MINUTE) == ["n5000", "n4990"]
    assert (await reads.count_endangered("acme", START - 100 * MINUTE))[0] == 490
    claim, count = plans
    assert "recordings_state_idx" in claim
    assert "Sort Key: recordings" not in claim
    assert "Seq Scan on recordings" not in claim
    assert "recordings_state_idx" in count
    assert "Seq Scan" not in count


def warned(logs: Sequence[object]) -> list[object]:
    """What was said about danger: level, count, oldest call, when it is gone."""
    told = [entry for entry in logs if isinstance(entry, dict) and entry["event"] == "recordings_endangered"]
    return [(entry["log_level"], entry["count"], entry["oldest"], entry["gone_at"]) for entry in told]


async def undownloadable(make: MakeWorld, *recordings: SimRecording, attempts: int = 6) -> World:
    """A world of which nothing can be archived until the source is healed."""
    broken = Fault(on=Operation.AUDIO, do=Html(), times=None)
    here = await make(Account(recordings=recordings, faults=(broken,)), sync={"attempts": attempts, "concurrency": 1})
    here.section("accounts")["source_retention"] = "40d"
    return here


async def test_every_pass_warns_until_the_recordings_are_archived(world: MakeWorld) -> None:
    """30 days old, gone at 40: in danger from 26 on. The other one is younger."""
    old, young = calls(2, days=40, apart=86_400 * 10)
    here = await undownloadable(world, old, young)
    for _ in range(2):
        with capture_logs() as logs:
            done = await here.sync()
        assert warned(logs) == [("warning", 1, old.start, old.start + 40 * DAY)]
        assert done.reports["acme"].as_counts()["endangered"] == 1
        here.clock.move(hours=1)
    here.simulator.heal()
    await here.sync()
    assert set((await here.states()).values()) == {State.VERIFIED}
    with capture_logs() as logs:
        done = await here.sync()
    assert warned(logs) == []
    assert done.reports["acme"].endangered == 0


@pytest.mark.parametrize(
    ("left", "level"),
    [(timedelta(days=2, seconds=1), "warning"), (timedelta(days=2), "error"), (timedelta(days=-3), "error")],
)
async def test_two_days_before_the_end_it_is_an_error_for_failed_ones_too(
    world: MakeWorld, left: timedelta, level: str
) -> None:
    one, other = calls(2, days=30)
    here = await undownloadable(world, one, other, attempts=1)
    await here.sync()
    assert set((await here.states()).values()) == {State.FAILED}
    gone_at = one.start + 40 * DAY
    here.clock.now = gone_at - left
    with capture_logs() as logs:
        await here.sync()
    assert warned(logs) == [(level, 2, one.start, gone_at)]


async def test_the_source_deletes_by_its_own_clock(world: MakeWorld) -> None:
    (one,) = calls(1, days=25)
    here = await undownloadable(world, one)
    for ahead, count in ((timedelta(0), 0), (-2 * DAY, 0), (2 * DAY, 1)):
        here.simulator.behaviour = Behaviour(date_ahead=ahead)
        with capture_logs() as logs:
            await here.sync()
        assert [entry["count"] for entry in logs if entry["event"] == "recordings_endangered"] == [1] * count


async def test_where_the_source_deletes_nothing_by_itself_nothing_is_endangered(world: MakeWorld) -> None:
    here = await undownloadable(world, *calls(1, days=59))
    here.section("accounts").pop("source_retention")
    with capture_logs() as logs:
        await here.sync()
    assert warned(logs) == []


async def test_the_endangered_ones_are_downloaded_first_the_oldest_ahead(world: MakeWorld) -> None:
    """Though all the others have been due for longer."""
    recordings = calls(6, days=30, apart=86_400 * 2)  # two of them older than 26 days
    here = await undownloadable(world, *recordings)
    await here.sync()
    here.simulator.heal()
    await here.change("update recordings set next_attempt_at = next_attempt_at - interval '1 hour' * recording_id::int")
    here.clock.move(hours=1)
    before = len(here.simulator.requests.of(Operation.AUDIO))
    await here.sync()
    asked = here.simulator.requests.of(Operation.AUDIO)[before:]
    assert [one.id for one in recordings if one.start < NOON + HOUR - 26 * DAY] == [1, 2]
    assert [seen.recording for seen in asked[:2]] == [1, 2]
    assert {seen.recording for seen in asked[2:4]} == {5, 6}
    assert {seen.recording for seen in asked[4:]} == {3, 4}

"""What `archiver coverage` asks of the record: days and gaps as they are, and as they were known then."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import gap_rows
from archiver.adapters.catalogue import Catalogue
from archiver.adapters.coverage_reads import CoverageReads
from archiver.adapters.database import connection
from archiver.adapters.ledger import Ledger
from archiver.core.coverage import Coverage, DayFacts, judge_day
from archiver.core.gaps import Gap, GapKind
from archiver.core.model import Learnt, Slice, State, whole_day
from tests.support.rows import NOW, START, execute, listed, mark, open_account, plant, proof, query, recording

HOUR, DAY = timedelta(hours=1), START.date()
HALF_MINUTE = Slice(START, START + timedelta(seconds=29))


@pytest.fixture
def coverage(engine: AsyncEngine) -> CoverageReads:
    """The reads, over a database of the test's own."""
    return CoverageReads(engine)


async def met(ledger: Ledger, window: Slice, *, claimed: int, at: datetime, reason: str = "5 said, 4 listed") -> None:
    """The source says more than it lists."""
    await ledger.record_gap(
        "acme", GapKind.UNLISTED, window, mark(reason, at=at), fingerprint=str(window.since), claimed=claimed
    )


async def explain(engine: AsyncEngine, number: int, reason: str, *, at: datetime) -> bool:
    """A person gives the reason."""
    async with connection(engine) as opened:
        return await gap_rows.explain(opened, number, reason=reason, by="auditor-7", now=at)


async def only(coverage: CoverageReads, *, as_of: datetime | None = None) -> Gap:
    """The one gap of the day."""
    [gap] = await coverage.gaps(["acme"], DAY, DAY, as_of=as_of)
    return gap


async def test_a_gap_is_told_as_it_was_known_at_each_moment_of_its_life(
    engine: AsyncEngine, ledger: Ledger, coverage: CoverageReads
) -> None:
    """Opened at 0 h, explained at 1 h and again at 2 h, met with more missing at 3 h, closed at 4 h."""
    await open_account(ledger)
    await met(ledger, HALF_MINUTE, claimed=1, at=NOW, reason="first")
    number = (await only(coverage)).id
    assert await explain(engine, number, "never recorded", at=NOW + HOUR)
    assert await explain(engine, number, "ticket 4711", at=NOW + 2 * HOUR)
    await met(ledger, HALF_MINUTE, claimed=2, at=NOW + 3 * HOUR, reason="more")
    await ledger.conclude("acme", whole_day(DAY), proof(at=NOW + 4 * HOUR, run="run-2"), Learnt())

    known = []
    for hours in (0, 1, 2, 3):
        gap = await only(coverage, as_of=NOW + HOUR * hours + HOUR / 2)
        known.append((gap.reason, gap.explanation, gap.explained_by, gap.closed_at))

    assert known == [
        ("first", None, None, None),
        ("first", "never recorded", "auditor-7", None),
        ("first", "ticket 4711", "auditor-7", None),
        ("more", None, None, None),
    ]
    for moment in (NOW - HOUR, NOW + 5 * HOUR):
        assert await coverage.gaps(["acme"], DAY, DAY, as_of=moment) == []
    assert await coverage.gaps(["acme"], DAY, DAY) == []
    events = await query(engine, "select event, reason from gap_events order by id")
    assert [event for event, _ in events] == ["opened", "explained", "explained", "reopened", "closed"]


async def test_an_explanation_is_refused_by_a_gap_that_is_closed_or_unknown(
    engine: AsyncEngine, ledger: Ledger, coverage: CoverageReads
) -> None:
    await open_account(ledger)
    await met(ledger, HALF_MINUTE, claimed=1, at=NOW)
    number = (await only(coverage)).id
    await ledger.conclude("acme", whole_day(DAY), proof(at=NOW + HOUR, run="run-2"), Learnt())

    assert not await explain(engine, number, "too late", at=NOW + 2 * HOUR)
    assert not await explain(engine, number + 1, "no such gap", at=NOW + 2 * HOUR)
    assert await query(engine, "select 1 from gaps where explanation is not null") == []
    assert await query(engine, "select 1 from gap_events where event = 'explained'") == []


async def test_an_explanation_has_every_day_of_the_gap_judged_anew(engine: AsyncEngine, ledger: Ledger) -> None:
    """And no other day."""
    await open_account(ledger)
    days = [DAY + timedelta(days=number) for number in range(-1, 3)]
    window = Slice(START, START + timedelta(days=1))
    await met(ledger, window, claimed=1, at=NOW)
    for day in days:
        await execute(engine, "insert into days (account, day, stale) values ('acme', :day, false)", day=day)
    [(number,)] = await query(engine, "select id from gaps")

    await explain(engine, int(str(number)), "never recorded", at=NOW + HOUR)

    assert await query(engine, "select day from days where stale order by day") == [(days[1],), (days[2],)]


async def test_gaps_are_those_that_touch_the_days_of_the_accounts(ledger: Ledger, coverage: CoverageReads) -> None:
    """Both ends of a range belong to it."""
    await open_account(ledger)
    await met(ledger, Slice(START - timedelta(days=1), START + timedelta(days=1)), claimed=3, at=NOW)

    async def touching(first: date, last: date, account: str = "acme") -> int:
        return len(await coverage.gaps([account], first, last))

    one = timedelta(days=1)
    assert [await touching(DAY + one * number, DAY + one * number) for number in range(-2, 3)] == [0, 1, 1, 1, 0]
    assert await touching(DAY - 5 * one, DAY + 5 * one) == 1
    assert await touching(DAY, DAY, "zenith") == 0


async def test_a_past_day_is_the_last_line_that_was_written_until_then(ledger: Ledger, coverage: CoverageReads) -> None:
    await open_account(ledger)
    facts = DayFacts(account="acme", day=DAY, said=2, known=2, verified=1, deleted=0, excluded=0, waiting=1,
                     checked_at=NOW, proved_at=NOW)  # fmt: skip
    await ledger.write_days([judge_day(facts)], mark(at=NOW))
    whole = judge_day(replace(facts, verified=2, waiting=0, proved_at=NOW + HOUR))
    await ledger.write_days([whole], mark(at=NOW + HOUR))

    before = await coverage.days_as_of("acme", DAY, DAY, NOW - HOUR)
    then = await coverage.days_as_of("acme", DAY, DAY, NOW + HOUR / 2)
    later = await coverage.days_as_of("acme", DAY, DAY, NOW + HOUR)

    assert before == {}
    assert then == {DAY: judge_day(facts)}
    assert later == {DAY: whole}
    assert later[DAY].state is Coverage.PROVED
    assert await coverage.days_as_of("acme", DAY + timedelta(days=1), DAY + timedelta(days=2), NOW + HOUR) == {}


async def test_days_that_were_listed_are_judged_by_what_the_catalogue_holds(
    engine: AsyncEngine, catalogue: Catalogue, ledger: Ledger, coverage: CoverageReads
) -> None:
    """A day that was never listed is not among them."""
    await plant(engine, "1", State.VERIFIED)
    await listed(catalogue, recording("2"))
    await ledger.conclude("acme", whole_day(DAY), proof(), Learnt())

    rows = await coverage.days("acme", DAY - timedelta(days=3), DAY + timedelta(days=3))

    assert list(rows) == [DAY]
    assert (rows[DAY].state, rows[DAY].reason) == (Coverage.UNPROVEN, "1 not archived yet")
    assert (rows[DAY].facts.known, rows[DAY].facts.verified, rows[DAY].facts.said) == (2, 1, 2)


async def test_the_open_gap_of_a_recording_is_found_by_its_id(
    engine: AsyncEngine, ledger: Ledger, coverage: CoverageReads
) -> None:
    """Not one of another account, and not one that is closed."""
    await plant(engine, "1", State.QUARANTINED)
    await execute(engine, "update recordings set problem = 'bytes differ'")
    await ledger.settle_gaps("acme", mark())
    gap = await coverage.gap_of("acme", "1")
    assert gap is not None
    assert (gap.kind, gap.reason) == (GapKind.QUARANTINED, "bytes differ")
    assert await coverage.gap_of("acme", "2") is None
    assert await coverage.gap_of("zenith", "1") is None

    await execute(engine, "update recordings set state = 'verified'")
    await ledger.settle_gaps("acme", mark(at=NOW + HOUR))
    assert await coverage.gap_of("acme", "1") is None

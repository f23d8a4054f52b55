"""The life of a gap: opened once, seen again, changed, explained, closed by reading, every turn of it kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import gap_rows
from archiver.adapters.ledger import Ledger
from archiver.core.coverage import Doubt
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Learnt, Malformed, Slice, whole_day
from tests.support.rows import NOW, START, execute, listed, mark, open_account, proof, query, recording

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
DAY, WHOLE = START.date(), whole_day(START.date())
PLACE = Slice(START, START + HOUR)
ITEM = {"id": "odd-1", "start": "no time"}


@pytest.fixture
async def opened(ledger: Ledger) -> Ledger:
    """The ledger, with an account."""
    await open_account(ledger)
    return ledger


async def meet(
    ledger: Ledger,
    kind: GapKind = GapKind.UNLISTED,
    window: Slice = PLACE,
    *,
    claimed: int = 1,
    hours: int = 0,
    reason: str = "3 of 4",
    name: str = "it",
) -> Standing:
    """Meet a gap of the listing, by the run of that hour."""
    said = mark(reason, run=f"run-{hours}", at=NOW + HOUR * hours)
    return await ledger.record_gap("acme", kind, window, said, fingerprint=name, claimed=claimed)


async def meet_item(ledger: Ledger, window: Slice = PLACE, *, counted: bool, hours: int = 0) -> int:
    """Meet the unreadable item, by the run of that hour."""
    items = [Malformed(reason="no start", raw=ITEM)]
    said = mark(run=f"run-{hours}", at=NOW + HOUR * hours)
    return await ledger.record_malformed("acme", items, window, said, counted=counted)


async def read(ledger: Ledger, window: Slice, *doubts: Doubt, hours: int = 9, was_listed: bool = True) -> None:
    """The source was asked about a slice, by the run of that hour."""
    told = proof(*doubts, run=f"run-{hours}", at=NOW + HOUR * hours, listed=was_listed)
    await ledger.conclude("acme", window, told, Learnt())


async def explain(engine: AsyncEngine, reason: str = "ticket 4711") -> None:
    """A person gives the reason of the only gap."""
    [(number,)] = await query(engine, "select id from gaps where closed_at is null")
    assert isinstance(number, int)
    async with engine.begin() as asking:
        assert await gap_rows.explain(asking, number, reason=reason, by="ann", now=NOW + HOUR)


async def life(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """Every turn of every gap."""
    return await query(engine, "select event, reason, by from gap_events order by id")


async def evidence(engine: AsyncEngine) -> object:
    """Why the only gap was closed; None: it is open."""
    [(closed, why)] = await query(engine, "select closed_at, evidence from gaps")
    assert (closed is None) == (why is None)
    return why


async def test_a_gap_is_opened_once_seen_again_and_changed(engine: AsyncEngine, opened: Ledger) -> None:
    assert await meet(opened) is Standing.NEW
    assert await meet(opened, hours=1) is Standing.SEEN
    assert await meet(opened, hours=2, reason="2 of 4", claimed=2) is Standing.SEEN
    columns = "reason, claimed, opened_at, seen_at, seen_run, closed_at"
    assert await query(engine, f"select {columns} from gaps") == [("2 of 4", 2, NOW, NOW + 2 * HOUR, "run-2", None)]
    assert await life(engine) == [("opened", "3 of 4", "run-0"), ("changed", "2 of 4", "run-2")]


async def test_gaps_are_numbered_without_holes(engine: AsyncEngine, opened: Ledger) -> None:
    """An auditor who misses a number would ask who has taken the gap away."""
    for hours in range(3):
        await meet(opened, hours=hours)
        await meet_item(opened, counted=True, hours=hours)
    await meet(opened, window=Slice(PLACE.until + SECOND, PLACE.until + HOUR), name="another")
    assert await query(engine, "select id from gaps order by id") == [(1,), (2,), (3,)]


async def test_an_explained_gap_stays_explained_until_more_is_missing(engine: AsyncEngine, opened: Ledger) -> None:
    await meet(opened, claimed=3)
    await explain(engine)
    assert await meet(opened, claimed=3, hours=2) is Standing.EXPLAINED
    assert await meet(opened, claimed=2, hours=3) is Standing.EXPLAINED
    assert await meet(opened, claimed=4, hours=4) is Standing.SEEN
    assert await query(engine, "select explanation, explained_by, explained_at from gaps") == [(None, None, None)]
    assert [event for event, _, _ in await life(engine)] == ["opened", "explained", "reopened"]
    await explain(engine, "known")
    assert await meet(opened, claimed=4, hours=5) is Standing.EXPLAINED


async def test_an_explained_item_is_the_same_whether_the_total_counts_it_or_not(
    engine: AsyncEngine, opened: Ledger
) -> None:
    await meet_item(opened, counted=False)
    await explain(engine)
    await meet_item(opened, counted=True, hours=2)
    assert await query(engine, "select explanation, claimed from gaps") == [("ticket 4711", 1)]


async def test_an_item_that_is_met_in_a_narrower_place_stands_there_from_then_on(
    engine: AsyncEngine, opened: Ledger
) -> None:
    """Else a gap over many days would have each of them listed, and no reading of one day could close it."""
    wide = Slice(WHOLE.since - timedelta(days=2), WHOLE.until)
    await opened.accept_slice("acme", wide, proof(), Learnt())
    assert await meet_item(opened, wide, counted=True) == 1
    await execute(engine, "update days set stale = false")
    assert await meet_item(opened, PLACE, counted=True, hours=1) == 0
    assert await query(engine, "select since, until from gaps") == [(PLACE.since, PLACE.until)]
    assert await query(engine, "select count(*) from days where stale") == [(3,)]  # all that it stood on
    elsewhere = Slice(PLACE.until + SECOND, PLACE.until + HOUR)
    assert await meet_item(opened, elsewhere, counted=True, hours=2) == 0
    assert await query(engine, "select since, until from gaps") == [(PLACE.since, PLACE.until)]


@pytest.mark.parametrize("kind", ["unlisted", "malformed", "readable", "shrunken"])
@pytest.mark.parametrize(
    ("window", "doubt", "by_run", "was_listed", "closes"),
    [
        (PLACE, None, 9, True, "all"),
        (WHOLE, None, 9, True, "all"),
        (WHOLE, None, 9, False, "shrunken"),
        (WHOLE, Slice(WHOLE.since, PLACE.since - SECOND), 9, True, "all"),
        (WHOLE, Slice(WHOLE.since, PLACE.since), 9, True, ""),
        (WHOLE, Slice(PLACE.until, WHOLE.until), 9, True, ""),
        (WHOLE, Slice(PLACE.until + SECOND, WHOLE.until), 9, True, "all"),
        (WHOLE, Slice(PLACE.since + SECOND, PLACE.since + SECOND), 9, True, ""),
        (Slice(PLACE.since + SECOND, WHOLE.until), None, 9, True, ""),
        (Slice(WHOLE.since, PLACE.until - SECOND), None, 9, True, ""),
        (WHOLE, None, 0, True, ""),
    ],
    ids=[
        "its place", "around it", "only counted", "doubt before it", "doubt up to it", "doubt from its end",
        "doubt behind it", "doubt within", "begins in it", "ends in it", "by the run that met it",
    ],
)  # fmt: skip
async def test_reading_closes_what_it_has_not_met_and_does_not_doubt(
    engine: AsyncEngine, opened: Ledger, kind: str, window: Slice, doubt: Slice | None, by_run: int, closes: str,
    *, was_listed: bool,
) -> None:  # fmt: skip
    if kind in {"malformed", "readable"}:
        await meet_item(opened, counted=kind == "readable")
    else:
        await meet(opened, GapKind(kind))
    if kind == "readable":
        await listed(opened, recording("odd-1"))
    doubts = () if doubt is None else (Doubt(doubt, "2 of 3"),)
    await read(opened, window, *doubts, hours=by_run, was_listed=was_listed)
    expected = {
        "unlisted": "the source lists as many as it says",
        "malformed": "the source lists as many as it says, without it",
        "readable": "it is listed readable now",
        "shrunken": "the source has again what the catalogue expects",
    }[kind]
    closed = closes in {"all", kind}
    assert await evidence(engine) == (expected if closed else None)
    assert [event for event, _, _ in await life(engine)] == ["opened", *(["closed"] if closed else [])]


async def test_an_item_that_the_total_counted_is_closed_only_by_being_readable(
    engine: AsyncEngine, opened: Ledger
) -> None:
    await meet_item(opened, counted=True)
    await read(opened, WHOLE, hours=5)
    assert await evidence(engine) is None
    await open_account(opened, "other")
    await listed(opened, recording("odd-1", account="other"), account="other")
    await read(opened, WHOLE, hours=6)
    assert await evidence(engine) is None
    await listed(opened, recording("odd-1"))
    await read(opened, WHOLE, hours=7)
    assert (await life(engine))[-1] == ("closed", "it is listed readable now", "run-7")


async def test_an_explained_shrunken_listing_closes_once_nothing_is_expected_there(
    engine: AsyncEngine, opened: Ledger
) -> None:
    await meet(opened, GapKind.SHRUNKEN, WHOLE, claimed=0)
    await explain(engine)
    assert await meet(opened, GapKind.SHRUNKEN, WHOLE, claimed=0, hours=2) is Standing.EXPLAINED
    await read(opened, WHOLE, hours=3, was_listed=False)
    assert await evidence(engine) == "explained, and no longer expected at the source"


async def test_a_gap_that_is_found_in_a_part_of_its_place_is_narrowed_down(engine: AsyncEngine, opened: Ledger) -> None:
    part = Slice(PLACE.since + SECOND, PLACE.since + 2 * SECOND)
    await meet(opened, name="wide")
    await meet(opened, GapKind.SHRUNKEN, WHOLE, claimed=0, name="another kind")
    await meet(opened, window=Slice(PLACE.since, PLACE.since), name="of another run", hours=1)
    await meet(opened, window=part, name="narrow", hours=2)
    await read(opened, WHOLE, Doubt(WHOLE, "2 of 3"), hours=2)
    closed = "select fingerprint, evidence from gaps where closed_at is not null"
    assert await query(engine, closed) == [("wide", "narrowed down to another gap")]


async def test_what_is_not_in_the_slice_or_is_anothers_is_not_narrowed_down(
    engine: AsyncEngine, opened: Ledger
) -> None:
    await open_account(opened, "other")
    for account in ("acme", "other"):
        said = mark(run="run-0")
        await opened.record_gap(account, GapKind.UNLISTED, PLACE, said, fingerprint="wide", claimed=1)
    await meet(opened, window=Slice(PLACE.until + SECOND, PLACE.until + SECOND), name="beside", hours=2)
    await read(opened, WHOLE, Doubt(WHOLE, "2 of 3"), hours=2)
    assert await query(engine, "select 1 from gaps where closed_at is not null") == []


async def test_a_gap_that_comes_back_is_another_one_with_a_life_of_its_own(engine: AsyncEngine, opened: Ledger) -> None:
    await meet(opened)
    await explain(engine)
    await read(opened, WHOLE, hours=3)
    assert await meet(opened, hours=4) is Standing.NEW
    assert await query(engine, "select opened_at, explanation from gaps where closed_at is null") == [
        (NOW + 4 * HOUR, None)
    ]
    told = await query(engine, "select gap_id, event from gap_events order by id")
    assert [event for _, event in told] == ["opened", "explained", "closed", "opened"]
    assert len({number for number, _ in told}) == 2


async def test_meeting_and_closing_a_gap_has_its_days_judged_anew(engine: AsyncEngine, opened: Ledger) -> None:
    three = Slice(WHOLE.since - timedelta(days=1), WHOLE.until + timedelta(days=1))
    await opened.accept_slice("acme", three, proof(), Learnt())
    stale = "select day from days where stale order by day"
    for turn in (lambda: meet(opened), lambda: read(opened, WHOLE)):
        await execute(engine, "update days set stale = false")
        await turn()
        assert await query(engine, stale) == [(DAY,)]

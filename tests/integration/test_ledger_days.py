"""What asking the source leaves in the ledger's days: the watermark, proofs and doubts, and what is expected there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.ledger import Ledger
from archiver.core.coverage import Doubt
from archiver.core.gaps import GapKind
from archiver.core.model import Learnt, Slice, State, midnight, whole_day
from archiver.core.recount import Expected, Lost
from tests.support.rows import (
    LONG_AGO,
    NOW,
    START,
    execute,
    found,
    listed,
    mark,
    open_account,
    plant,
    proof,
    query,
    recording,
)  # fmt: skip

SECOND, HOUR, ONE_DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
DAY = date(2024, 2, 10)
WHOLE = whole_day(DAY)
NOON = WHOLE.since + 12 * HOUR
MORNING, AFTERNOON = Slice(WHOLE.since, NOON - SECOND), Slice(NOON, WHOLE.until)
NO_TOTAL = "the source gave no usable total"
AWAY = (State.PURGED, State.EXPIRING, State.EXPIRED)


async def the_day(engine: AsyncEngine, columns: str, day: date = DAY) -> tuple[object, ...]:
    """Columns of one day's row."""
    [row] = await query(engine, f"select {columns} from days where account = 'acme' and day = :day", day=day)
    return row


async def accept(ledger: Ledger, window: Slice, *doubts: Doubt, at: datetime = NOW) -> None:
    """A slice was listed while it was not settled yet."""
    told = replace(proof(*doubts, at=at), settled_before=None)
    await ledger.accept_slice("acme", window, told, Learnt())


@pytest.fixture
async def opened(ledger: Ledger) -> Ledger:
    """The ledger, with an account."""
    await open_account(ledger)
    return ledger


async def test_each_day_of_a_slice_has_a_row_of_its_own(engine: AsyncEngine, opened: Ledger) -> None:
    """The doubt stands on the days that it touches, and on no other."""
    window = Slice(midnight(DAY), whole_day(DAY + 2 * ONE_DAY).until)
    page = [recording(str(number), start=NOON + ONE_DAY * (number // 2)) for number in range(5)]
    await listed(opened, *page)
    await accept(opened, window, Doubt(Slice(NOON + ONE_DAY, NOON + ONE_DAY), "2 of 3"))
    rows = await query(engine, "select day, checked_at, proved_at, doubt, said, settled_at, stale from days order by 1")
    assert rows == [
        (DAY, NOW, NOW, None, 2, None, True),
        (DAY + ONE_DAY, NOW, None, "2 of 3", 2, None, True),
        (DAY + 2 * ONE_DAY, NOW, NOW, None, 1, None, True),
    ]


async def test_a_day_without_usable_totals_is_said_to_hold_nothing_known(engine: AsyncEngine, opened: Ledger) -> None:
    await accept(opened, WHOLE, Doubt(WHOLE, NO_TOTAL, usable=False))
    assert await the_day(engine, "said, doubt, proved_at") == (None, NO_TOTAL, None)


async def test_a_piece_without_usable_totals_leaves_none_for_the_whole_day(engine: AsyncEngine, opened: Ledger) -> None:
    await listed(opened, recording("1", start=NOON))
    await accept(opened, MORNING, Doubt(MORNING, NO_TOTAL, usable=False))
    await accept(opened, AFTERNOON)
    assert await the_day(engine, "said, doubt") == (None, NO_TOTAL)
    await accept(opened, WHOLE)
    assert await the_day(engine, "said, doubt") == (1, None)


async def test_what_was_claimed_and_not_listed_was_said_and_what_was_lost_was_not(
    engine: AsyncEngine, opened: Ledger
) -> None:
    await listed(opened, *(recording(str(number), start=NOON) for number in range(6)))
    await opened.record_gap("acme", GapKind.UNLISTED, MORNING, mark("2 more"), fingerprint="m", claimed=2)
    await accept(opened, WHOLE)
    assert await the_day(engine, "said") == (8,)
    await opened.conclude("acme", WHOLE, proof(Doubt(WHOLE, "half is gone", lost=5)), Learnt())
    assert await the_day(engine, "said, doubt") == (3, "half is gone")


async def test_a_day_listed_in_pieces_keeps_the_doubt_of_an_earlier_piece(engine: AsyncEngine, opened: Ledger) -> None:
    await accept(opened, MORNING, Doubt(MORNING, "first"))
    await accept(opened, AFTERNOON, at=NOW + HOUR)
    assert await the_day(engine, "doubt, proved_at, checked_at") == ("first", None, NOW + HOUR)
    await accept(opened, AFTERNOON, Doubt(AFTERNOON, "second"), at=NOW + 2 * HOUR)
    assert await the_day(engine, "doubt, proved_at") == ("first", None)


async def test_a_day_listed_whole_again_is_worth_what_that_shows(engine: AsyncEngine, opened: Ledger) -> None:
    await accept(opened, MORNING, Doubt(MORNING, "first"))
    await accept(opened, MORNING, at=NOW + HOUR)  # from its beginning, in pieces
    await accept(opened, AFTERNOON, at=NOW + 2 * HOUR)
    assert await the_day(engine, "doubt, proved_at") == (None, NOW + 2 * HOUR)
    await accept(opened, AFTERNOON, Doubt(AFTERNOON, "second"), at=NOW + 3 * HOUR)
    assert await the_day(engine, "doubt, proved_at") == ("second", NOW + 2 * HOUR)  # the proof that it had is told
    await opened.conclude("acme", WHOLE, proof(at=NOW + 4 * HOUR, listed=False), Learnt())
    assert await the_day(engine, "doubt, proved_at") == (None, NOW + 4 * HOUR)


async def test_a_day_that_begins_with_the_account_is_whole_from_there(engine: AsyncEngine, opened: Ledger) -> None:
    told = replace(proof(Doubt(AFTERNOON, "first")), start_from=NOON)
    await opened.accept_slice("acme", AFTERNOON, told, Learnt())
    assert await the_day(engine, "doubt, settled_at") == ("first", NOW)
    await opened.accept_slice("acme", AFTERNOON, replace(told, doubts=(), at=NOW + HOUR), Learnt())
    assert await the_day(engine, "doubt, proved_at") == (None, NOW + HOUR)


SETTLING = [
    ("whole", WHOLE, DAY + ONE_DAY, True, True),
    ("whole, the lookback not over", WHOLE, DAY, True, False),
    ("from its beginning", MORNING, DAY + ONE_DAY, True, True),
    ("not from its beginning", AFTERNOON, DAY + ONE_DAY, True, False),
    ("only counted", WHOLE, DAY + ONE_DAY, False, False),
    ("nothing is settled yet", WHOLE, None, True, False),
]


@pytest.mark.parametrize(("case", "window", "before", "was_listed", "settled"), SETTLING, ids=lambda one: str(one)[:30])
async def test_a_day_is_settled_by_a_listing_from_its_beginning_after_its_lookback(
    engine: AsyncEngine,
    opened: Ledger,
    case: str,
    window: Slice,
    before: date | None,
    *,
    was_listed: bool,
    settled: bool,
) -> None:
    told = replace(proof(listed=was_listed), settled_before=before)
    await opened.accept_slice("acme", window, told, Learnt())
    assert await the_day(engine, "settled_at") == (NOW if settled else None,), case
    await opened.conclude("acme", window, replace(told, at=NOW + HOUR), Learnt())
    by_then = was_listed and before is not None and before > DAY
    first = (NOW,) if settled else (NOW + HOUR,)
    assert await the_day(engine, "settled_at") == (first if by_then else (None,)), case


async def test_what_was_learnt_about_paging_is_kept_for_want_of_a_new_sign(opened: Ledger) -> None:
    await opened.accept_slice("acme", WHOLE, proof(), Learnt(0, 50))
    assert (await opened.open_account("acme", LONG_AGO)).learnt == Learnt(0, 50)
    await opened.conclude("acme", WHOLE, proof(), Learnt(None, None))
    assert (await opened.open_account("acme", LONG_AGO)).learnt == Learnt(0, None)


async def test_to_begin_anew_forgets_the_watermark_and_nothing_else(engine: AsyncEngine, opened: Ledger) -> None:
    await opened.accept_slice("acme", WHOLE, proof(), Learnt(1))
    before = await the_day(engine, "checked_at, proved_at, settled_at")
    await opened.begin_anew("acme", NOW + HOUR)
    progress = await opened.open_account("acme", LONG_AGO)
    assert (progress.watermark, progress.learnt) == (None, Learnt(1))
    assert await the_day(engine, "checked_at, proved_at, settled_at") == before


NUMBERS = count()
STRETCHES = st.lists(st.tuples(st.integers(0, 96), st.integers(0, 30)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stretches=STRETCHES)
async def test_the_watermark_never_jumps_over_a_stretch_that_was_not_listed(
    ledger: Ledger, stretches: list[tuple[int, int]]
) -> None:
    """Slices come in any order: up to the watermark every hour from the first accepted slice on was listed."""
    account = f"acme-{next(NUMBERS)}"
    await open_account(ledger, account)
    hours: set[int] = set()
    first = stretches[0][0]
    watermark: datetime | None = None
    for since, width in stretches:
        window = Slice(LONG_AGO + HOUR * since, LONG_AGO + HOUR * (since + width + 1) - SECOND)
        hours |= set(range(since, since + width + 1))
        await ledger.accept_slice(account, window, proof(), Learnt())
        moved = (await ledger.open_account(account, LONG_AGO)).watermark
        assert moved is not None
        assert watermark is None or moved >= watermark
        watermark = moved
        reached = int((watermark + SECOND - LONG_AGO) / HOUR)
        assert set(range(first, reached)) <= hours


async def test_what_the_source_should_have_is_counted_by_day_of_call_start(engine: AsyncEngine, opened: Ledger) -> None:
    edges = [WHOLE.since - SECOND, WHOLE.since, NOON, WHOLE.until, WHOLE.until + SECOND]
    await listed(opened, *(recording(str(number), start=start) for number, start in enumerate(edges)))
    await open_account(opened, "other")
    await listed(opened, recording("0", account="other", start=NOON), account="other")
    for window, claimed in ((MORNING, 2), (Slice(NOON, WHOLE.until + SECOND), 3)):
        await opened.record_gap("acme", GapKind.UNLISTED, window, mark(), fingerprint=str(window), claimed=claimed)
    await opened.record_gap("acme", GapKind.SHRUNKEN, WHOLE, mark(), fingerprint="s", claimed=0)
    assert await opened.expected("acme", WHOLE) == {DAY: Expected(3, 2)}  # a gap that reaches beyond does not count
    wider = Slice(WHOLE.since - ONE_DAY, WHOLE.until + ONE_DAY)
    assert await opened.expected("acme", wider) == {
        DAY - ONE_DAY: Expected(1, 0),
        DAY: Expected(3, 5),
        DAY + ONE_DAY: Expected(1, 0),
    }
    assert await opened.expected("acme", Slice(NOON, NOON)) == {DAY: Expected(1, 0)}
    assert await opened.expected("acme", Slice(NOON + SECOND, NOON + HOUR)) == {}
    await execute(engine, "update gaps set closed_at = now()")
    assert await opened.expected("acme", WHOLE) == {DAY: Expected(3, 0)}


async def everything(engine: AsyncEngine) -> Slice:
    """One recording in each state, all at the same second; returns that second."""
    for state in State:
        await plant(engine, str(state), state)
    return Slice(START, START)


async def test_what_the_archiver_deleted_is_not_expected_and_what_it_is_deleting_is_not_lost(
    engine: AsyncEngine, opened: Ledger
) -> None:
    window = await everything(engine)
    assert await opened.expected("acme", window) == {START.date(): Expected(len(State) - len(AWAY), 0)}
    lost = await opened.lost("acme", window, [], before=NOW)
    assert {one.recording_id for one in lost} == {*State} - {*AWAY, State.PURGING}
    assert {one.start for one in lost} == {START}


async def test_only_what_was_known_before_and_was_not_listed_is_lost(opened: Ledger) -> None:
    items = [recording(name, start=start) for name, start in (("a", NOON), ("b", NOON), ("c", WHOLE.until + SECOND))]
    await listed(opened, *items)
    await listed(opened, recording("young", start=NOON), at=NOW + SECOND)
    assert await opened.lost("acme", WHOLE, ["b"], before=NOW) == [Lost("a", NOON)]
    assert await opened.lost("acme", WHOLE, ["a", "b"], before=NOW) == []
    later = await opened.lost("acme", WHOLE, {"a"}, before=NOW + SECOND)
    assert [one.recording_id for one in later] == ["b", "young"]
    assert await opened.lost("other", WHOLE, [], before=NOW) == []


async def history(engine: AsyncEngine, recording_id: str = "1") -> list[tuple[object, ...]]:
    """What is told of a recording, apart from its first listing."""
    told = "select before::text, after::text, reason, run_id, at from history"
    return await query(engine, f"{told} where recording_id = :id and before is not null order by id", id=recording_id)


async def absent(engine: AsyncEngine) -> dict[object, object]:
    """Since when recordings are missing at the source."""
    return {
        name: since
        for name, since in await query(engine, "select recording_id, absent_since from recordings")
        if since is not None
    }


async def test_what_is_absent_is_expected_no_more_until_it_is_listed_again(engine: AsyncEngine, opened: Ledger) -> None:
    item = recording("1", start=NOON)
    await listed(opened, item, recording("2", start=NOON))
    for hours in (1, 2):  # said twice, it is told once
        await opened.mark_absent("acme", ["1", "unknown"], mark("gone", run="run-2", at=NOW + HOUR * hours))
    assert await absent(engine) == {"1": NOW + HOUR}
    assert await opened.expected("acme", WHOLE) == {DAY: Expected(1, 0)}
    assert await opened.lost("acme", WHOLE, ["2"], before=NOW) == []
    assert (await opened.record_page("acme", [item], mark(run="run-3", at=NOW + 3 * HOUR))).new == 0
    assert await absent(engine) == {}
    assert await opened.expected("acme", WHOLE) == {DAY: Expected(2, 0)}
    assert await history(engine) == [
        ("discovered", "discovered", "gone", "run-2", NOW + HOUR),
        ("discovered", "discovered", "listed again by the source", "run-3", NOW + 3 * HOUR),
    ]


@pytest.mark.parametrize("state", State)
async def test_only_what_should_be_at_the_source_is_marked_absent(
    engine: AsyncEngine, opened: Ledger, state: State
) -> None:
    await plant(engine, "1", state)
    await opened.mark_absent("acme", ["1"], mark("gone"))
    ours = {*AWAY, State.PURGING}
    assert await absent(engine) == ({} if state in ours else {"1": NOW})
    assert len(await history(engine)) == (0 if state in ours else 1)
    assert (await found(engine, "1")).state is state


@pytest.mark.parametrize("state", [state for state in State if state not in {*AWAY, State.PURGING}])
async def test_a_page_that_brings_something_back_with_another_description_tells_both(
    engine: AsyncEngine, opened: Ledger, state: State
) -> None:
    """What is archived keeps the description that it had; anything else follows the source at once."""
    await plant(engine, "1", state)
    await opened.mark_absent("acme", ["1"], mark("gone"))
    before = (await found(engine, "1")).recording
    anew = recording("1", cnam="CALLER 2")
    assert (await opened.record_page("acme", [anew, recording("2")], mark(run="run-2"))).new == 1
    follows = state in {State.DISCOVERED, State.FAILED, State.EXCLUDED}
    entry = await found(engine, "1")
    assert (entry.recording, entry.state) == (anew if follows else before, state)
    assert await absent(engine) == {}
    told = [str(reason) for _, _, reason, _, _ in await history(engine)]
    described = ["described anew by the source"] if follows else []
    assert sorted(told) == sorted(["gone", "listed again by the source", *described])
    assert (await opened.record_page("acme", [anew], mark(run="run-3"))).new == 0
    assert len(await history(engine)) == len(told)


async def test_moments_of_a_day_are_those_of_utc_whatever_the_server_is_set_to(
    engine: AsyncEngine, opened: Ledger
) -> None:
    [(name,)] = await query(engine, "select current_database()")
    async with engine.begin() as asking:
        await asking.exec_driver_sql(f"alter database \"{name}\" set timezone = 'Pacific/Kiritimati'")
    await engine.dispose()
    await listed(opened, recording("1", start=WHOLE.since), recording("2", start=WHOLE.until))
    await opened.record_gap(
        "acme", GapKind.UNLISTED, Slice(WHOLE.until, WHOLE.until), mark(), fingerprint="x", claimed=1
    )
    assert await opened.expected("acme", WHOLE) == {DAY: Expected(2, 1)}
    await opened.accept_slice("acme", WHOLE, proof(at=NOW.astimezone(UTC)), Learnt())
    assert await the_day(engine, "said, settled_at") == (3, NOW)
    await opened.look_through("acme")
    [facts] = [one for one in await opened.stale_days("acme", limit=5) if one.known]
    assert (facts.day, facts.known, facts.open_gaps, facts.missing) == (DAY, 2, 1, {"unlisted": 1})

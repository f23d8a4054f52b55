"""The guarantee in single histories that once broke it; what they have in common is drawn in test_guarantee.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.support.histories import DAY, HOUR, START, History
from tests.support.model_source import Call, ModelSource, Told, Zero
from tests.support.simulator import Clock

MINUTE = timedelta(minutes=1)
QUARTER = 15 * MINUTE

pytestmark = pytest.mark.usefixtures("no_logs")


def spread(count: int, each: timedelta, since: datetime = START) -> list[Call]:
    """So many calls, published as they begin."""
    return [Call(number, since + each * number, since + each * number) for number in range(count)]


async def passes(history: History, pauses: Iterable[timedelta]) -> None:
    """Make a pass before each pause."""
    for pause in pauses:
        await history.run()
        history.clock.now += pause


async def test_a_late_call_on_an_empty_day_is_found_though_the_busy_day_before_it_lost_one() -> None:
    """Both days are counted together, and their total is what it was."""
    clock, changed = Clock(START + 10 * DAY), START + 12 * DAY
    busy = spread(10, HOUR)
    late = Call(99, START + DAY + 5 * HOUR, changed)
    busy[2] = replace(busy[2], deleted=changed)
    history = History(source=ModelSource(clock=clock, calls=[*busy, late]), clock=clock)
    await passes(history, [DAY] * 3)
    assert "99" not in history.model.rows
    clock.now = changed + history.every

    await passes(history, [DAY] * 2)

    assert history.there() == history.expects()
    assert history.model.days[late.start.date()].doubt is None
    assert history.model.gaps == {}


BASES = [(0, 1), (1, 0)]
TURNS = [(*turn, zero, told, 100) for turn in BASES for zero in Zero for told in (Told.TRUE, Told.ABSENT)]
TURNS += [(0, 1, Zero.FIRST, Told.ZERO, 100), (0, 1, Zero.REFUSED, Told.ZERO, 100), (1, 0, Zero.FIRST, Told.ZERO, 10)]


@pytest.mark.parametrize(("before", "after", "zero", "told", "page_size"), TURNS)
async def test_nothing_is_missed_when_the_first_page_has_another_number(
    before: int, after: int, zero: Zero, told: Told, page_size: int
) -> None:
    """A total of zero on an empty page cannot be told from "no calls": there only a slice of more pages shows it."""
    clock = Clock(START + 10 * HOUR)
    source = ModelSource(clock=clock, calls=spread(24 * 8, HOUR), base=before, zero=zero)
    history = History(source=source, clock=clock, page_size=page_size)
    await passes(history, [HOUR, DAY])
    assert history.model.learnt.page_base == before
    source.base, source.told = after, told

    for _ in range(6):
        there = history.there()
        await history.run()
        assert there <= set(history.model.rows)
        clock.now += DAY

    assert len(history.model.rows) > 24 * 6
    assert history.model.gaps == {}


@pytest.mark.parametrize(("told", "base"), [(Told.TRUE, 1), (Told.ABSENT, None), (Told.ZERO, None)])
async def test_a_refused_page_0_shows_where_pages_begin_only_if_the_total_is_reached(
    told: Told, base: int | None
) -> None:
    clock = Clock(START + 10 * HOUR)
    source = ModelSource(clock=clock, calls=spread(9, HOUR), zero=Zero.REFUSED, told=told)
    history = History(source=source, clock=clock)
    await passes(history, [HOUR, HOUR])
    assert history.model.learnt.page_base == base
    assert history.there() == set(history.model.rows)


async def test_a_cap_that_the_source_does_not_name_is_remembered_over_short_walks() -> None:
    """Else a busy lookback is taken for one that fits on a page, and is listed in every pass."""
    clock = Clock(START + 5 * DAY)
    source = ModelSource(clock=clock, calls=spread(60 * 6, DAY / 60), cap=10, says_size=False)
    history = History(source=source, clock=clock, page_size=1000, lookback=3 * DAY)
    await passes(history, [QUARTER])

    for _ in range(8):
        assert history.model.learnt.page_cap == 10
        assert await history.run() <= 4
        clock.now += QUARTER

    assert history.there() == set(history.model.rows)


@pytest.mark.parametrize("every", [2, 7])
async def test_no_gap_spans_two_days_however_much_is_claimed(every: int) -> None:
    """When the listings allowed for a slice are used up, what is left is still said day by day."""
    clock = Clock(START + 12 * DAY)
    calls = [replace(one, hidden=one.number % every == 0) for one in spread(12 * 48, HOUR / 2)]
    history = History(source=ModelSource(clock=clock, calls=calls), clock=clock, page_size=100)

    await passes(history, [HOUR])

    gaps = history.model.gaps.values()
    assert [gap.window for gap in gaps if gap.window.since.date() != gap.window.until.date()] == []
    assert all(history.in_a_gap(one.start) for one in calls if one.hidden)
    assert sum(gap.claimed for gap in gaps) == sum(one.hidden for one in calls)
    assert history.there() == set(history.model.rows)


@pytest.mark.parametrize("off_by", [-2, 1, 3])
@pytest.mark.parametrize("pause", [QUARTER, 7 * HOUR])
async def test_totals_that_are_off_by_a_constant_open_no_gaps_however_many_passes(
    off_by: int, pause: timedelta
) -> None:
    """And every pass has what is listed."""
    clock = Clock(START + 5 * DAY + 10 * MINUTE)
    source = ModelSource(clock=clock, calls=spread(60 * 8, DAY / 60), told=Told.OFF, off_by=off_by)
    history = History(source=source, clock=clock, page_size=20)

    for _ in range(8):
        there = history.there()
        await history.run()
        assert history.model.gaps == {}
        assert there <= set(history.model.rows)
        clock.now += pause


async def test_totals_that_were_off_for_one_pass_leave_no_gap_behind() -> None:
    """The archiver had stood still for three days: what it listed then were slices over midnights."""
    clock = Clock(START + 5 * DAY)
    source = ModelSource(clock=clock, calls=spread(60 * 12, DAY / 60), off_by=1)
    history = History(source=source, clock=clock, page_size=20)
    await passes(history, [HOUR, 3 * DAY + 5 * HOUR])
    source.told = Told.OFF
    await passes(history, [DAY])
    source.told = Told.TRUE

    await passes(history, [DAY, DAY])

    assert history.model.gaps == {}
    assert [day for day, kept in history.model.days.items() if kept.doubt] == []


async def test_a_day_in_doubt_is_not_believed_for_a_total_that_happens_to_agree() -> None:
    """One call goes while its second is read; another is counted and never listed: the total is what is known."""
    clock, busy = Clock(START + 4 * DAY), START + HOUR + 36 * MINUTE
    starts = [START + 26 * MINUTE, START + 7 * MINUTE, START + 2 * MINUTE, *[busy] * 5]
    second, gone = START + 41 * MINUTE, START + 4 * DAY + 2 * HOUR + MINUTE
    calls = [Call(number, start, start) for number, start in enumerate(starts)]
    calls += [Call(8, second, second, hidden=True), Call(9, second, second, deleted=gone)]
    source = ModelSource(
        clock=clock, calls=calls, zero=Zero.REFUSED, cap=1, says_size=False, pace=MINUTE, ahead=2 * MINUTE
    )
    history = History(source=source, clock=clock)
    await passes(history, [5 * DAY])
    day = history.model.days[START.date()]
    assert (day.doubt is not None, day.settled_at is not None, len(history.expects())) == (True, True, 9)

    await passes(history, [HOUR])

    assert history.source.now > gone
    assert history.in_a_gap(second)
    assert history.model.days[START.date()].doubt is not None

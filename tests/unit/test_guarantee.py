"""The guarantee over drawn histories of a source: late, gone, odd totals, refusals, outages, deaths between commits.

The model of the ledger is held to the real one by tests/integration/test_model_ledger.py.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archiver.core.gaps import GapKind
from archiver.core.model import midnight
from archiver.core.recount import LEAST_EXPECTED, WIDEST_DAYS, edge
from archiver.core.window import FEW_READS, MOST_READS
from tests.support.drawn import MINUTE, histories
from tests.support.histories import DAY, HOUR, START, History
from tests.support.model_source import Call, ModelSource, Outage, Told
from tests.support.simulator import Clock

QUARTER = timedelta(minutes=15)

pytestmark = pytest.mark.usefixtures("no_logs")  # thousands of passes would log for longer than they work


def tried(examples: int) -> settings:
    return settings(deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])


def play(history: History) -> None:
    async def whole() -> None:
        await history.live()
        history.calm()
        await history.quiet()

    asyncio.run(whole())


@tried(400)
@given(histories(deletions=True))
def test_nothing_that_is_published_within_the_lookback_is_missed(history: History) -> None:
    play(history)
    assert history.there() <= set(history.model.rows)
    assert history.shown() <= set(history.model.rows)
    assert history.expects() == history.there()


@tried(200)
@given(histories(deletions=True, hidden=True))
def test_what_is_claimed_and_never_listed_stands_on_the_gap_list(history: History) -> None:
    """On the day of its call, as often as it is claimed; and all that is listed is known, or stands there too."""
    play(history)
    missed = [one for one in history.source.listed() if one.id not in history.model.rows]
    assert all(history.in_a_gap(one.start) for one in missed)
    unlisted = [gap for gap in history.model.gaps.values() if gap.kind is GapKind.UNLISTED]
    assert sum(gap.claimed for gap in unlisted) >= len(missed)
    assert bool(unlisted) == bool(missed)
    assert all(gap.window.since.date() == gap.window.until.date() for gap in unlisted)


@tried(300)
@given(histories(deletions=True))
def test_a_source_that_became_quiet_is_proved_without_gaps(history: History) -> None:
    play(history)
    busy = {one.start.date() for one in history.source.calls}
    assert {day: history.model.days[day].doubt for day in busy} == dict.fromkeys(busy)
    assert all(day.proved_at and day.settled_at for date, day in history.model.days.items() if date in busy)
    assert history.model.gaps == {}
    assert history.model.watermark is not None
    assert history.model.watermark >= history.clock() - abs(history.source.ahead) - 2 * HOUR


@tried(200)
@given(histories(outages=True))
def test_nothing_is_missed_for_a_source_that_was_blind_for_a_while(history: History) -> None:
    play(history)
    assert history.there() == set(history.model.rows) == history.expects()
    assert history.model.gaps == {}


@tried(120)
@given(histories(longest=20 * DAY), st.sampled_from([12 * HOUR, DAY, 2 * DAY]))
def test_what_is_published_after_the_lookback_is_found_when_its_day_is_due(history: History, pause: timedelta) -> None:
    """With passes at intervals: at most the interval of full recounts and of passes later, and half a day to work."""
    history.calm()
    last, history.clock.now = history.clock(), START + HOUR

    async def whole() -> None:
        while history.clock() < last + history.every + 2 * pause:
            due = history.source.now - history.every - pause - 12 * HOUR
            await history.run()
            assert {one.id for one in history.source.calls if one.published <= due} <= set(history.model.rows)
            history.clock.now += pause

    asyncio.run(whole())
    assert set(history.model.rows) == history.there()


@tried(200)
@given(histories(told=(Told.ABSENT, Told.ZERO, Told.PAGE, Told.OFF), deletions=True))
def test_without_usable_totals_everything_is_listed_or_a_named_gap(history: History) -> None:
    """And a day without doubt has all that the source lists of it."""
    play(history)
    rows = history.model.rows
    for one in history.source.listed():
        assert one.id in rows or history.in_a_gap(one.start)
        day = history.model.days[one.start.date()]
        assert one.id in rows or day.doubt is not None
        assert history.source.told not in {Told.ABSENT, Told.ZERO} or day.doubt is not None


@tried(200)
@given(histories(told=(Told.ABSENT, Told.ZERO, Told.PAGE, Told.OFF)))
def test_totals_that_lie_cost_a_bounded_number_of_requests(history: History) -> None:
    """For each slice that is planned, a few listings; for the first of a pass, some dozens. None is endless."""
    spent = []

    async def whole() -> None:
        history.calm()
        history.clock.now = START + 6 * DAY + history.lookback
        for _ in range(4):
            spent.append(await history.run())
            history.clock.now += DAY

    asyncio.run(whole())
    listings = 2 * MOST_READS + (FEW_READS + 1) * len(history.model.days)
    pages = len(history.source.calls) + 2
    assert max(spent) <= listings * pages, spent


@tried(300)
@given(histories(deletions=True))
def test_the_watermark_passes_nothing_that_could_be_listed_and_no_clock(history: History) -> None:
    """Unless so much came and went during one walk that its number stayed the same: that is for the settling."""

    async def whole() -> None:
        for pause in history.pauses:
            before, began = history.model.watermark or START - DAY, history.source.now
            await history.attempt()
            after, ended = history.model.watermark or START - DAY, history.source.now
            assert before <= after <= min(history.clock(), ended)
            calls = history.source.calls
            came = any(began < one.published <= ended for one in calls)
            went = any(one.deleted and began < one.deleted <= ended for one in calls)
            stable = [one for one in calls if before < one.start <= after and one.there(began) and one.there(ended)]
            missed = [one for one in stable if one.id not in history.model.rows and not history.in_a_gap(one.start)]
            assert not missed or (came and went)
            history.clock.now += pause

    asyncio.run(whole())


@tried(300)
@given(histories(outages=True))
def test_the_watermark_stays_while_the_listing_is_shrunken(history: History) -> None:
    async def whole() -> None:
        model, source, [outage] = history.model, history.source, history.source.outages
        for pause in history.pauses:
            before, absent, began = model.watermark, set(model.rows) - history.expects(), source.now
            since = edge(START, before, history.lookback) if before else None
            recent = [one for one in source.calls
                      if since and before and one.id in history.expects() and since <= one.start <= before]  # fmt: skip
            await history.attempt()
            blind = outage.since <= began and source.now < outage.until
            hidden = [one for one in recent if outage.hides(one, began)]
            if blind and len(recent) >= LEAST_EXPECTED and 2 * len(hidden) > len(recent):
                assert model.watermark == before
                assert set(model.rows) - history.expects() == absent
            history.clock.now += pause

    asyncio.run(whole())


@pytest.mark.parametrize("hours", [1, 30, 200])
def test_a_source_that_looks_empty_for_a_while_moves_nothing_and_is_caught_up_with(hours: int) -> None:
    starts = [START + number * HOUR for number in range(24 * 11)]
    clock = Clock(START + DAY)
    dark = Outage(clock() + HOUR, clock() + HOUR * (1 + hours))
    calls = [Call(number, start, start) for number, start in enumerate(starts)]
    history = History(source=ModelSource(clock=clock, calls=calls, outages=(dark,)), clock=clock)

    async def whole() -> None:
        await history.run()
        watermark, clock.now = history.model.watermark, dark.since
        while clock() < dark.until - HOUR / 2:
            await history.run()
            assert history.model.watermark == watermark
            assert history.expects() == set(history.model.rows)
            assert history.model.gaps
            clock.now += 50 * MINUTE
        history.calm()
        await history.quiet()

    asyncio.run(whole())
    assert history.there() == set(history.model.rows) == history.expects()
    assert history.model.gaps == {}


@tried(100)
@given(histories())
def test_a_pass_with_nothing_new_costs_at_most_two_requests(history: History) -> None:
    history.source.says_size = True  # else no page is known to be the last

    async def whole() -> int:
        await history.live()
        history.calm()
        await history.quiet()
        history.clock.now = midnight(history.clock().date()) + DAY + 12 * HOUR  # no day is settled in the afternoon
        for _ in range(2):
            await history.run()
            history.clock.now += QUARTER
        return await history.run()

    assert asyncio.run(whole()) <= 2


@tried(3)
@given(st.lists(st.integers(0, 4), min_size=5, max_size=5).filter(any), st.sampled_from([2, 100]))
def test_recounting_a_year_costs_at_most_one_request_for_each_day_with_calls(counts: list[int], cap: int) -> None:
    """Or one for each 32 days, in a year with so few calls; two that every pass costs; one where it begins without."""
    year = counts * 73
    starts = [START + day * DAY + number * HOUR for day, count in enumerate(year) for number in range(count)]
    clock = Clock(START + 365 * DAY)
    history = History(
        source=ModelSource(
            clock=clock, calls=[Call(number, start, start) for number, start in enumerate(starts)], cap=cap
        ),
        clock=clock,
    )

    async def whole() -> int:
        history.calm()
        for pause in (HOUR, HOUR, history.every + HOUR):
            await history.run()
            clock.now += pause
        for _ in range(2):
            spent = await history.run()
            clock.now += history.every + HOUR
        return spent

    assert asyncio.run(whole()) <= max(sum(map(bool, year)), -(-365 // WIDEST_DAYS)) + 2 + 1 + 1

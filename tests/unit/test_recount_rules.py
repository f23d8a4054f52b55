"""What is asked again, how, and at what cost: pure decisions over days and totals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.model import Malformed, Page, Slice, midnight
from archiver.core.recount import (
    LEAST_EXPECTED,
    WIDEST_DAYS,
    DueDay,
    Expected,
    Step,
    affordable,
    allowance,
    edge,
    errands,
    shrunken,
    step,
    usable,
)
from tests.support.rows import recording

START = datetime(2024, 1, 1, tzinfo=UTC)
WIDE, SECOND = Slice(START, START + timedelta(days=3)), Slice(START, START)


def page(total: int | None, *, items: int = 0, junk: int = 0, start: datetime = START) -> Page:
    return Page(
        recordings=tuple(recording(str(number), start=start) for number in range(items)),
        malformed=tuple(Malformed(reason="x", raw=number) for number in range(junk)),
        number=1,
        size=1,
        total_items=total,
        total_pages=None,
    )


@pytest.mark.parametrize(
    ("total", "items", "junk", "means_something"),
    [(None, 1, 0, False), (None, 0, 0, False), (0, 0, 0, True), (0, 1, 0, False), (0, 0, 1, False), (7, 1, 0, True)],
)
def test_a_total_means_something_unless_it_is_absent_or_zero_beside_items(
    total: int | None, items: int, junk: int, *, means_something: bool
) -> None:
    assert usable(page(total, items=items, junk=junk)) is means_something


@given(total=st.none() | st.integers(0, 10**6), expected=st.integers(0, 10**6), size=st.integers(1, 1000))
def test_only_an_equal_total_agrees_and_one_second_is_never_halved(total: int | None, expected: int, size: int) -> None:
    answer = page(total, items=min(total or 0, 1))
    assert (step(answer, known(expected), WIDE, size) is Step.AGREED) == (total == expected)
    assert step(answer, known(expected), SECOND, size) is not Step.HALVE


def known(expected: int) -> dict[date, Expected]:
    """So many recordings, all on the first day."""
    return {START.date(): Expected(expected, 0)} if expected else {}


def test_a_total_that_agrees_does_not_agree_where_the_last_item_lies_on_another_day() -> None:
    """One came on the empty day behind, and one was deleted on the busy one."""
    later = START + timedelta(days=1)
    assert step(page(500, items=1), known(500), WIDE, 100) is Step.AGREED
    assert step(page(500, items=1, start=later), known(500), WIDE, 100) is Step.HALVE
    assert step(page(500), known(500), WIDE, 100) is Step.HALVE
    both = {**known(499), later.date(): Expected(1, 0)}
    assert step(page(500, items=1, start=later), both, WIDE, 100) is Step.AGREED
    larger = replace(page(500), size=10)  # it was asked for one item to a page
    assert step(larger, known(500), WIDE, 100) is Step.AGREED
    claimed = {START.date(): Expected(499, 1)}  # the last one may be what cannot be listed
    assert step(page(500), claimed, WIDE, 100) is Step.AGREED


@pytest.mark.parametrize(
    ("total", "expected", "chosen"),
    [
        (5000, 5001, Step.HALVE),
        (5001, 5000, Step.HALVE),
        (199, 198, Step.LIST),  # little is left: two pages
        (2400, 5000, Step.LIST),  # so much is gone that halving would find it everywhere
        (None, 5000, Step.LIST),
    ],
)
def test_what_differs_is_halved_until_little_is_left(total: int | None, expected: int, chosen: Step) -> None:
    assert step(page(total, items=1), known(expected), WIDE, 100) is chosen


@given(expected=st.integers(0, 1000), lost=st.integers(0, 1000))
def test_a_listing_has_shrunk_when_more_than_half_of_several_is_gone(expected: int, lost: int) -> None:
    assert shrunken(expected, lost) == (expected >= LEAST_EXPECTED and lost > expected / 2)


@given(
    start=st.integers(0, 400), mark=st.integers(0, 400 * 86_400), lookback=st.timedeltas(timedelta(0), timedelta(90))
)
def test_the_window_of_the_frequent_recount_begins_with_a_day_and_holds_the_lookback(
    start: int, mark: int, lookback: timedelta
) -> None:
    start_from, watermark = START + timedelta(days=start), START + timedelta(seconds=mark)
    begin = edge(start_from, watermark, lookback)
    assert begin == start_from or begin == midnight(begin.date())
    assert begin == start_from or begin <= watermark - lookback < begin + timedelta(days=1)


@st.composite
def due_days(draw: st.DrawFn) -> list[DueDay]:
    """Some of the days of a year, in order."""
    chosen = draw(st.lists(st.integers(0, 365), unique=True, max_size=80))
    moments = st.none() | st.integers(0, 1000).map(lambda hours: START + timedelta(hours=hours))
    return [
        DueDay(
            day=date(2024, 1, 1) + timedelta(days=number),
            expected=draw(st.sampled_from([0, 0, 1, 9, 10, 11, 500])),
            checked_at=draw(moments),
            list_it=draw(st.booleans()),
            fresh=draw(st.booleans()),
        )
        for number in sorted(chosen)
    ]


@given(due=due_days(), page_size=st.sampled_from([1, 10, 100]))
def test_every_due_day_is_in_one_errand_and_an_errand_is_a_run_of_days(due: list[DueDay], page_size: int) -> None:
    groups = errands(due, page_size)
    assert [day for errand in groups for day in errand.days] == [day.day for day in due]
    for errand in groups:
        assert len(errand.days) <= WIDEST_DAYS
        assert all(after - before == timedelta(days=1) for before, after in pairwise(errand.days))
        members = [day for day in due if day.day in errand.days]
        assert errand.expected == sum(day.expected for day in members)
        assert errand.list_it or not any(day.list_it for day in members)
        assert errand.list_it == (errand.expected < page_size or any(day.list_it for day in members))
        assert errand.fresh == any(day.fresh for day in members)
        busy = [day.expected for day in members if day.expected]
        assert errand.list_it or busy == [members[0].expected]  # a count shows only that nothing lies behind
        assert errand.cost == (errand.expected // page_size + 1 if errand.list_it else 1)


@given(calls=st.lists(st.sampled_from([0, 0, 0, 1, 40, 99, 100, 101, 20_000]), min_size=1, max_size=400))
def test_a_year_costs_no_more_requests_than_it_has_days_with_calls(calls: list[int]) -> None:
    """Days in a row that were all settled before: one request for each with calls, and the empty ones ride along."""
    due = [
        DueDay(day=date(2024, 1, 1) + timedelta(days=number), expected=count, checked_at=START, list_it=False)
        for number, count in enumerate(calls)
    ]
    cost = sum(errand.cost for errand in errands(due, 100))
    busy = sum(1 for count in calls if count)
    assert cost <= max(1, busy) + len(calls) // WIDEST_DAYS + 1  # a stretch without calls is asked about by the month


@given(due=due_days(), allowed=st.integers(1, 300))
def test_what_left_the_lookback_and_then_what_was_asked_longest_ago_comes_first_within_the_allowance(
    due: list[DueDay], allowed: int
) -> None:
    wanted = errands(due, 10)
    chosen = affordable(wanted, allowed)
    assert set(chosen) <= set(wanted)
    assert sum(errand.cost for errand in chosen) <= allowed or len(chosen) == 1
    assert bool(chosen) == bool(wanted)
    assert [errand.fresh for errand in chosen] == sorted((errand.fresh for errand in chosen), reverse=True)
    for fresh in (True, False):
        moments = [errand.checked_at for errand in chosen if errand.fresh is fresh]
        assert moments == sorted(moments, key=lambda moment: (moment is not None, moment))
    assert not chosen or chosen[0].fresh or not any(errand.fresh for errand in wanted)


@pytest.mark.parametrize(
    ("per_minute", "every", "share", "requests"),
    [(10, timedelta(minutes=15), 20, 30), (1, timedelta(seconds=1), 1, 1), (600, timedelta(hours=1), 100, 36_000)],
)
def test_the_allowance_is_a_share_of_the_quota_between_two_passes(
    per_minute: int, every: timedelta, share: int, requests: int
) -> None:
    assert allowance(per_minute, every, share) == requests

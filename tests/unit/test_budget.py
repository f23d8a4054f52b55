"""What the quota allows, what the work needs, and when a backlog is drained."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.budget import DayDue, Facts, Way, deletes_allowed, forecast, room
from archiver.core.danger import SourceRetention
from tests.support.simulator import NOON

QUARTER = timedelta(minutes=15)
FACTS = Facts(
    per_minute=10,
    every=QUARTER,
    page_size=100,
    arriving=20_000.0,
    recounted=500.0,
    deleting=0.0,
    polls=None,
    exports=True,
    always=False,
    backlog=(),
    retention=None,
)


def backlog(*counts: int) -> tuple[DayDue, ...]:
    """So many recordings on the days before 2024-03-01, the last count yesterday's."""
    first = date(2024, 3, 1) - timedelta(days=len(counts))
    return tuple(DayDue(first + timedelta(days=number), count, count * 1000) for number, count in enumerate(counts))


def test_a_busy_account_fits_its_quota_by_exports_and_not_by_single_requests() -> None:
    by_export = forecast(FACTS, NOON)
    assert by_export.way is Way.EXPORT
    assert by_export.spare > 10_000
    singly = forecast(replace(FACTS, exports=False), NOON)
    assert singly.way is Way.SINGLE
    assert singly.spare < 0


def test_a_backlog_that_only_grows_is_never_drained() -> None:
    ahead = forecast(replace(FACTS, exports=False, backlog=backlog(5000)), NOON)
    assert ahead.never
    assert ahead.lost == 0
    kept = replace(
        FACTS, exports=False, backlog=backlog(5000), retention=SourceRetention(age=timedelta(days=90), warning=QUARTER)
    )
    assert forecast(kept, NOON).lost == 5000


def test_a_backlog_takes_as_long_as_its_requests() -> None:
    facts = replace(FACTS, arriving=0.0, exports=False, recounted=0.0, backlog=backlog(14_112 * 2))
    ahead = forecast(facts, NOON)
    assert ahead.spare == 14_400 - 288
    assert ahead.drained_in == timedelta(days=2)


def test_what_the_source_deletes_before_its_turn_is_told_with_its_first_day() -> None:
    keeps = SourceRetention(age=timedelta(days=3), warning=QUARTER)
    facts = replace(FACTS, arriving=0.0, exports=False, retention=keeps, backlog=backlog(20_000, 6_000, 3_000))
    ahead = forecast(facts, NOON)
    assert (ahead.lost, ahead.lost_first) == (20_000, date(2024, 2, 27))


def test_deletions_come_last() -> None:
    ahead = forecast(replace(FACTS, deleting=20_000.0), NOON)
    assert ahead.deletes_wanted == 40_000
    assert ahead.deletes == ahead.spare / 2
    assert ahead.deletes_lag
    assert forecast(replace(FACTS, exports=False, deleting=1.0), NOON).deletes == 0
    assert deletes_allowed(10, QUARTER, backlog=1) == 0
    assert deletes_allowed(10, QUARTER, backlog=0) == 37


def test_the_room_for_single_requests_leaves_the_share_of_recounts() -> None:
    assert room(10, QUARTER, 20) == 120
    assert room(1, timedelta(seconds=1), 100) == 1


@pytest.mark.parametrize("always", [False, True])
def test_an_account_with_room_for_single_requests_exports_only_if_told(*, always: bool) -> None:
    facts = replace(FACTS, per_minute=600, always=always)
    assert forecast(facts, NOON).way is (Way.EXPORT if always else Way.SINGLE)


facts_ = st.builds(
    Facts,
    per_minute=st.integers(1, 600),
    every=st.timedeltas(timedelta(minutes=1), timedelta(days=1)),
    page_size=st.integers(1, 1000),
    arriving=st.floats(0, 1e6),
    recounted=st.floats(0, 1e4),
    deleting=st.floats(0, 1e6),
    polls=st.none() | st.floats(0, 100),
    exports=st.booleans(),
    always=st.booleans(),
    backlog=st.lists(st.integers(1, 10**6), max_size=5).map(lambda counts: backlog(*counts)),
    retention=st.none() | st.just(SourceRetention(age=timedelta(days=3), warning=QUARTER)),
)


@given(facts_)
def test_a_larger_quota_never_loses_more(facts: Facts) -> None:
    small, large = forecast(facts, NOON), forecast(replace(facts, per_minute=facts.per_minute * 2), NOON)
    assert large.lost <= small.lost or large.way is not small.way
    assert large.deletes >= small.deletes or large.way is not small.way
    assert large.drained_in is not None or small.drained_in is None or large.way is not small.way


@given(facts_)
def test_what_is_lost_is_part_of_the_backlog_and_deletions_fit(facts: Facts) -> None:
    ahead = forecast(facts, NOON)
    assert 0 <= ahead.lost <= ahead.backlog
    assert 0 <= ahead.deletes <= max(ahead.spare, 0)
    assert (ahead.lost_first is None) == (ahead.lost == 0)

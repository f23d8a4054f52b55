"""Two clocks: the earlier one for what destroys, the later one for what must not come too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.clocks import TOLERATED, cautious, latest, skewed

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

moments = st.datetimes(timezones=st.just(UTC))
differences = st.none() | st.timedeltas(-2 * TOLERATED, 2 * TOLERATED) | st.timedeltas()


@pytest.mark.parametrize(
    ("ahead", "wrong"),
    [
        (None, False),
        (timedelta(0), False),
        (TOLERATED, False),
        (-TOLERATED, False),
        (TOLERATED + SECOND, True),
        (-TOLERATED - SECOND, True),
        (timedelta.max, True),
        (timedelta.min, True),
    ],
)
def test_five_minutes_are_tolerated_either_way(ahead: timedelta | None, *, wrong: bool) -> None:
    assert skewed(ahead) is wrong


@pytest.mark.parametrize(
    ("ahead", "earlier", "later"),
    [
        (None, NOW, NOW),
        (timedelta(0), NOW, NOW),
        (timedelta(hours=2), NOW, NOW + timedelta(hours=2)),
        (timedelta(hours=-2), NOW - timedelta(hours=2), NOW),
        (timedelta.max, NOW, datetime.max.replace(tzinfo=UTC)),
        (timedelta.min, datetime.min.replace(tzinfo=UTC), NOW),
    ],
)
def test_each_side_gets_its_clock(ahead: timedelta | None, earlier: datetime, later: datetime) -> None:
    assert (cautious(NOW, ahead), latest(NOW, ahead)) == (earlier, later)


@given(moments, differences)
def test_our_clock_lies_between_and_one_of_both_is_ours(now: datetime, ahead: timedelta | None) -> None:
    early, late = cautious(now, ahead), latest(now, ahead)
    assert early <= now <= late
    assert now in (early, late)
    assert early.tzinfo is late.tzinfo is UTC


@given(moments, st.timedeltas(-timedelta(days=400_000), timedelta(days=400_000)))
def test_they_are_as_far_apart_as_the_clocks_where_the_calendar_allows_it(now: datetime, ahead: timedelta) -> None:
    early, late = cautious(now, ahead), latest(now, ahead)
    inside = datetime.min.replace(tzinfo=UTC) < early and late < datetime.max.replace(tzinfo=UTC)
    assert late - early == abs(ahead) if inside else late - early <= abs(ahead)


@given(moments, differences, st.timedeltas(timedelta(0), timedelta(days=1)))
def test_a_source_further_behind_never_permits_more(now: datetime, ahead: timedelta | None, more: timedelta) -> None:
    known = ahead or timedelta(0)
    further = max(known, timedelta.min + more) - more
    assert cautious(now, further) <= cautious(now, known)
    assert latest(now, further) <= latest(now, known)

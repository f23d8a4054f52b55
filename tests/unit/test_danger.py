"""What the source will soon delete by itself: from when on, until when, and how much it presses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.danger import URGENT, SourceRetention

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

ages = st.timedeltas(DAY, 36_500 * DAY)
warnings = st.timedeltas(timedelta(0), 3_650 * DAY)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("age", "warning", "before"),
    [
        (60 * DAY, 14 * DAY, NOW - 46 * DAY),
        (60 * DAY, timedelta(0), NOW - 60 * DAY),
        (60 * DAY, 59 * DAY, NOW - DAY),
        (60 * DAY, 60 * DAY, NOW),
        (10 * DAY, 14 * DAY, NOW),
    ],
)
def test_the_warning_begins_so_long_before_the_end(age: timedelta, warning: timedelta, before: datetime) -> None:
    assert SourceRetention(age=age, warning=warning).endangered_before(NOW) == before


@pytest.mark.parametrize(
    ("start", "urgent"),
    [
        (NOW - 57 * DAY, False),
        (NOW - 58 * DAY + timedelta(seconds=1), False),
        (NOW - 58 * DAY, True),
        (NOW - 60 * DAY, True),
        (NOW - 90 * DAY, True),
    ],
)
def test_two_days_before_the_end_it_presses_and_ever_after(start: datetime, *, urgent: bool) -> None:
    retention = SourceRetention(age=60 * DAY, warning=14 * DAY)
    assert retention.gone_at(start) == start + 60 * DAY
    assert retention.urgent(start, NOW) is urgent


@given(moments, ages, warnings)
def test_no_call_is_endangered_before_it_began(now: datetime, age: timedelta, warning: timedelta) -> None:
    assert SourceRetention(age=age, warning=warning).endangered_before(now) <= now


@given(moments, ages, warnings, st.timedeltas(timedelta(0), 40_000 * DAY))
def test_whatever_is_gone_within_the_warning_is_endangered(
    now: datetime, age: timedelta, warning: timedelta, old: timedelta
) -> None:
    retention, start = SourceRetention(age=age, warning=warning), now - old
    before = retention.endangered_before(now)
    assert (start < before) == (retention.gone_at(start) < now + warning and start < now)


@given(moments, ages, st.timedeltas(timedelta(0), 40_000 * DAY))
def test_what_presses_is_endangered_too(now: datetime, age: timedelta, old: timedelta) -> None:
    retention, start = SourceRetention(age=age, warning=URGENT + timedelta(seconds=1)), now - old
    if retention.urgent(start, now) and start < now:
        assert start < retention.endangered_before(now)

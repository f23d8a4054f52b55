"""Calendar arithmetic in zones with half an hour, with daylight saving, and with a day that never was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from archiver.core.duration import Duration, add, parse
from tests.support.retention_drawn import durations, moments, tried, waits, zones

LONDON, KOLKATA, APIA = ZoneInfo("Europe/London"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Apia")
LAST = datetime.max.replace(tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("start", "duration", "zone", "end"),
    [
        ("2025-03-29T01:30:00", "1d", LONDON, "2025-03-30T01:30:00"),  # 01:30 is skipped: the later reading
        ("2025-03-29T00:59:59", "1d", LONDON, "2025-03-30T00:59:59"),
        ("2025-03-29T02:00:00", "1d", LONDON, "2025-03-30T01:00:00"),
        ("2025-10-25T00:30:00", "1d", LONDON, "2025-10-26T01:30:00"),  # 01:30 comes twice: the second
        ("2025-10-25T00:30:00", "24h", LONDON, "2025-10-26T00:30:00"),
        ("2025-10-25T00:30:00", "1d1h", LONDON, "2025-10-26T02:30:00"),  # the hours after the days, and exact
        ("2025-10-26T00:30:00", "0s", LONDON, "2025-10-26T00:30:00"),  # nothing is added, nothing read anew
        ("2025-01-15T12:00:00", "6mo", LONDON, "2025-07-15T11:00:00"),
        ("2025-07-15T11:00:00", "6mo", LONDON, "2026-01-15T12:00:00"),
        ("2024-02-28T18:30:00", "1y", KOLKATA, "2025-02-28T18:30:00"),  # from 29 February there: to 1 March
        ("2024-02-28T18:29:59", "1y", KOLKATA, "2025-02-28T18:29:59"),  # from 28 February there
        ("2025-01-31T18:29:00", "1mo", KOLKATA, "2025-03-01T18:29:00"),
        ("2025-01-31T18:31:00", "1mo", KOLKATA, "2025-02-28T18:31:00"),
        ("2011-12-29T12:00:00", "1d", APIA, "2011-12-30T12:00:00"),  # 30 December 2011 was left out there
        ("2011-12-29T12:00:00", "2d", APIA, "2011-12-30T12:00:00"),
    ],
)
def test_adds_by_the_calendar_of_the_zone(start: str, duration: str, zone: tzinfo, end: str) -> None:
    assert add(at(start), parse(duration), zone) == at(end)


@tried(60)
@given(moments(), durations())
def test_utc_by_any_name_is_utc(moment: datetime, duration: Duration) -> None:
    assert add(moment, duration, ZoneInfo("Etc/UTC")) == add(moment, duration)


@tried(60)
@given(moments(), durations(), zones())
def test_a_zone_moves_no_end_by_more_than_a_day_and_a_little(
    moment: datetime, duration: Duration, zone: tzinfo
) -> None:
    """What the coarse bounds rest on, month ends included; and nothing ends before it begins."""
    there = add(moment, duration, zone)
    assert there >= moment
    shortest = timedelta(days=28 * duration.total_months, seconds=duration.total_seconds)
    assert there >= moment + shortest - timedelta(days=2)


@tried(60)
@given(moments(), waits(), zones())
def test_without_months_and_days_no_zone_counts(moment: datetime, wait: Duration, zone: tzinfo) -> None:
    exact = Duration(seconds=wait.total_seconds)
    assert add(moment, exact, zone) == moment + timedelta(seconds=wait.total_seconds)


@tried(60)
@given(moments(), waits(), zones())
def test_the_time_of_day_there_stays_or_is_the_later_reading(moment: datetime, wait: Duration, zone: tzinfo) -> None:
    end = add(moment, wait, zone)
    if wait.total_months or wait.days:
        before, after = moment.astimezone(zone), end.astimezone(zone)
        kept = after.time() == before.time()
        skipped = (end - timedelta(hours=1)).astimezone(zone).utcoffset() != after.utcoffset()
        assert kept or skipped
        assert not kept or after.fold or after.replace(fold=1).utcoffset() == after.utcoffset()


@pytest.mark.parametrize("zone", [LONDON, KOLKATA, APIA])
def test_beyond_the_calendar_is_the_last_moment_in_every_zone(zone: tzinfo) -> None:
    late = datetime(9999, 12, 31, 23, tzinfo=UTC)
    for text in ("1d", "1mo", "999999999y", "999999999d"):
        assert add(late, parse(text), zone) == LAST
    assert add(late, parse("1s"), zone) == late + timedelta(seconds=1)


@pytest.mark.parametrize("zone", [UTC, LONDON])
def test_a_naive_moment_is_refused_in_every_zone(zone: tzinfo) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        add(datetime(2025, 1, 1), parse("1d"), zone)


def test_the_moment_s_own_zone_does_not_count() -> None:
    india = datetime.fromisoformat("2025-01-31T23:59:00+05:30")
    assert add(india, parse("1mo"), KOLKATA) == add(india.astimezone(UTC), parse("1mo"), KOLKATA)
    assert add(india, parse("1mo")) == at("2025-03-01T18:29:00")

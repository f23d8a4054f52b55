from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.core.duration import PATTERN, Duration, add, never_shorter, parse
from tests.support.retention_drawn import durations, moments, tried


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5y", Duration(years=5)),
        ("6mo", Duration(months=6)),
        ("1y6mo", Duration(years=1, months=6)),
        ("30d", Duration(days=30)),
        ("2w", Duration(days=14)),
        ("72h", Duration(seconds=259_200)),
        ("15m", Duration(seconds=900)),
        ("0s", Duration()),
        ("1y2mo3w4d5h6m7s", Duration(years=1, months=2, days=25, seconds=18_367)),
    ],
)
def test_reads_every_unit(text: str, expected: Duration) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "5", "y", "5 y", "5Y", "-5d", "+5d", "1.5h", "5d\n", "30d5y", "5y5y", "5M", "\u0665y", "P5Y", "9" * 5000],
)
def test_refuses_what_is_no_duration_and_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration: .* like 5y, 1y6mo, 30d"):
        parse(text)


def test_a_duration_is_never_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Duration(days=-1)


@given(durations())
def test_text_reads_back_to_the_same_value(duration: Duration) -> None:
    assert parse(str(duration)) == duration


def test_the_schema_pattern_agrees_with_the_parser() -> None:
    import re

    assert re.search(PATTERN, "1y6mo")
    assert re.search(PATTERN, "72h")
    assert not re.search(PATTERN, "")
    assert not re.search(PATTERN, "6mo1y")


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2024-02-29T08:30:00", "1y", "2025-03-01T08:30:00"),
        ("2024-02-29T08:30:00", "4y", "2028-02-29T08:30:00"),
        ("2025-01-31T00:00:00", "1mo", "2025-03-01T00:00:00"),
        ("2024-01-31T00:00:00", "1mo", "2024-03-01T00:00:00"),
        ("2025-01-28T00:00:00", "1mo", "2025-02-28T00:00:00"),
        ("2025-10-31T00:00:00", "1mo", "2025-12-01T00:00:00"),
        ("2025-12-31T23:59:59", "1s", "2026-01-01T00:00:00"),
        ("2025-12-15T00:00:00", "1mo", "2026-01-15T00:00:00"),
        ("2025-06-15T00:00:00", "1y6mo10d", "2026-12-25T00:00:00"),
        ("2025-06-15T00:00:00", "0s", "2025-06-15T00:00:00"),
    ],
)
def test_calendar_arithmetic_takes_the_later_date(start: str, duration: str, end: str) -> None:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert add(begin, parse(duration)) == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_adds_in_utc_whatever_zone_the_moment_has() -> None:
    india = datetime.fromisoformat("2025-03-01T03:00:00+05:30")  # still February in UTC
    assert add(india, parse("1mo")).isoformat() == "2025-03-28T21:30:00+00:00"


def test_beyond_the_calendar_is_the_last_moment() -> None:
    late = datetime(9999, 12, 31, tzinfo=UTC)
    assert add(late, parse("1mo")) == add(late, parse("999999999y")) == datetime.max.replace(tzinfo=UTC)
    assert add(late, parse("999999999d")) == datetime.max.replace(tzinfo=UTC)


def test_refuses_a_naive_moment() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        add(datetime(2025, 1, 1), parse("1d"))


@given(moments(), durations())
def test_adding_never_goes_back(moment: datetime, duration: Duration) -> None:
    assert add(moment, duration) >= moment


@given(moments(), moments(), durations())
def test_who_starts_on_a_later_day_never_ends_on_an_earlier_one(
    one: datetime, other: datetime, duration: Duration
) -> None:
    """Within the day they may: 31 January, 23:59, and 1 February, 00:01, both come to 1 March after a month."""
    early, late = sorted((one, other))
    whole = replace(duration, seconds=0)
    assert add(early, whole).date() <= add(late, whole).date()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("5y", "5y", True),
        ("12mo", "1y", True),
        ("1y", "12mo", True),
        ("24h", "1d", True),
        ("8y", "5y", True),
        ("5y", "8y", False),
        ("366d", "1y", True),
        ("365d", "1y", False),
        ("1y", "365d", True),
        ("1y", "366d", False),
        ("31d", "1mo", True),
        ("30d", "1mo", False),
        ("1mo", "28d", True),
        ("1mo", "29d", False),
        ("1461d", "4y", True),
        ("4y", "1461d", False),  # the century years without a leap day
        ("1y1d", "1y", True),
    ],
)
def test_ordering_holds_for_every_start(one: str, other: str, *, expected: bool) -> None:
    assert never_shorter(parse(one), parse(other)) is expected


@tried(60)
@given(
    st.builds(Duration, months=st.integers(0, 3), days=st.integers(0, 40)),
    st.builds(Duration, months=st.integers(0, 3), days=st.integers(0, 40)),
)
@example(Duration(months=1), Duration(days=28))
def test_ordering_agrees_with_every_day_of_eight_years(one: Duration, other: Duration) -> None:
    if one.total_months == other.total_months:
        starts = [datetime(2024, 1, 1, tzinfo=UTC)]
    else:
        starts = [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(2_922)]
    seen = all(add(start, one) >= add(start, other) for start in starts)
    assert never_shorter(one, other) is seen


def test_only_exact_durations_have_a_length() -> None:
    assert parse("72h").as_timedelta() == timedelta(days=3)
    with pytest.raises(ValueError, match="1mo has no fixed length"):
        parse("1mo").as_timedelta()

"""Which hours go into one export together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from archiver.core.exports import Hour, batches
from archiver.core.model import Slice

NINE = datetime(2024, 3, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hour(number: int, *, first: int = 0, last: int = 59) -> Hour:
    begins = NINE + timedelta(hours=number)
    return Hour(since=begins + first * MINUTE, until=begins + last * MINUTE, due=100, size=100, others=0, behind=0)


def windows(hours: list[Hour], *under_way: Slice) -> list[Slice]:
    found = batches(hours, endangered_before=None, recent_since=NINE - timedelta(days=3), under_way=under_way)
    return [batch.window for batch in found]


def test_hours_are_put_together() -> None:
    assert windows([hour(0), hour(1), hour(2)]) == [Slice(hour(0).since, hour(2).until)]


def test_nothing_is_put_together_across_an_export_under_way() -> None:
    between = Slice(hour(1).since, hour(1).until)
    assert windows([hour(0), hour(2), hour(3)], between) == [
        Slice(hour(0).since, hour(0).until),
        Slice(hour(2).since, hour(3).until),
    ]


def test_an_hour_with_calls_on_both_sides_of_one_waits() -> None:
    within = Slice(NINE + 20 * MINUTE, NINE + 40 * MINUTE)
    assert windows([hour(0), hour(1)], within) == [Slice(hour(1).since, hour(1).until)]


def test_an_hour_that_ends_before_one_begins_does_not_wait() -> None:
    later = Slice(NINE + 30 * MINUTE, NINE + 40 * MINUTE)
    assert windows([hour(0, last=29)], later) == [Slice(NINE, NINE + 29 * MINUTE)]

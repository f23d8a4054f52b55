"""When a failed recording is tried again: later each time, never never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.backoff import FIRST_DELAY, GAP_DELAY, LONGEST_DELAY, delay, next_attempt, used_up

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 1), (2, 2), (3, 4), (7, 64), (8, 120), (9, 120), (10**9, 120)])
def test_the_delay_doubles_up_to_two_hours(attempts: int, minutes: int) -> None:
    assert delay(attempts) == timedelta(minutes=minutes)


@given(st.integers(-(10**6), 10**12))
def test_the_delay_never_shrinks_and_keeps_its_bounds(attempts: int) -> None:
    assert FIRST_DELAY <= delay(attempts) <= delay(attempts + 1) <= LONGEST_DELAY


@given(st.integers(1, 50), st.integers(1, 20))
def test_used_up_attempts_mean_once_a_day(attempts: int, limit: int) -> None:
    due = next_attempt(attempts, limit, NOW)
    assert used_up(attempts, limit) is (attempts >= limit)
    assert due == NOW + (GAP_DELAY if attempts >= limit else delay(attempts))
    assert due > NOW

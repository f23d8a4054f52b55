"""When a failed recording is tried again, and when it goes on the gap list."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=2)
GAP_DELAY = timedelta(days=1)  # a recording on the gap list is still tried, once a day


def delay(attempts: int) -> timedelta:
    """How long to wait after the `attempts`-th failure: doubling from a minute, at most two hours."""
    doublings = min(max(attempts - 1, 0), 16)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def used_up(attempts: int, limit: int) -> bool:
    """Whether the recording belongs on the gap list now."""
    return attempts >= limit


def next_attempt(attempts: int, limit: int, now: datetime) -> datetime:
    """When the recording is due again."""
    return now + (GAP_DELAY if used_up(attempts, limit) else delay(attempts))

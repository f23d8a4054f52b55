"""Two clocks, ours and the source's: which of them to believe. The later or the earlier one, whichever is safe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

TOLERATED = timedelta(minutes=5)  # between two hosts that speak about the same calls

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def skewed(ahead: timedelta | None) -> bool:
    """Whether the clocks differ by more than is tolerated, either way. None: the source has not said its time."""
    return ahead is not None and abs(ahead) > TOLERATED


def cautious(now: datetime, ahead: timedelta | None) -> datetime:
    """The earlier of both clocks, for all that destroys or declares finished. `ahead`: of the source's over ours."""
    return min(now, _there(now, ahead))


def latest(now: datetime, ahead: timedelta | None) -> datetime:
    """The later of both clocks, for all that must not come too late."""
    return max(now, _there(now, ahead))


def _there(now: datetime, ahead: timedelta | None) -> datetime:
    """The time at the source. A clock that is wrong beyond all bounds shows the first or the last time there is."""
    try:
        return now + (ahead or timedelta(0))
    except OverflowError:
        return _LAST if ahead is not None and ahead > timedelta(0) else _FIRST

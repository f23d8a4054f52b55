"""The source's quota: requests in any minute, of which what happened lately is known. Pure: times are arguments.

The gateway counts in minutes of its own that nobody else knows; so no minute may hold more, wherever it begins.
"""

from __future__ import annotations

from collections.abc import Sequence

SECONDS = 62  # a minute, one second for requests that travel at different speeds, and one for those within a second
RECOVERY = 20  # parts: each hour without a refusal gives back one part of the configured quota, at least one request
_HOUR = 3600.0

Used = Sequence[tuple[int, int]]  # second (since 1970) and requests that went out in it, oldest first


def in_force(configured: int, learnt: int | None, hours: float) -> int:
    """Requests a minute to reckon with. `learnt`: what the source was seen to allow, so many hours ago."""
    if learnt is None:
        return configured
    regained = int(max(hours, 0.0)) * max(configured // RECOVERY, 1)
    return min(configured, learnt + regained)


def tells(in_force: int, used: int, refused: int) -> bool:
    """Whether refusals say something about the quota: several at once, or one when much of it was used."""
    return refused > 1 or (refused == 1 and 2 * used > in_force)


def learnt_from(before: int, used: int, refused: int) -> int:
    """What a burst of refusals teaches: of the requests of the last minute the source took those it did not refuse.

    Never less than half of what was in force before the burst: one refusal may have had another cause.
    """
    return max(1, min(before, max(used - refused, before // 2)))


def hours_since(then: float | None, now: float) -> float:
    """Hours between two times in seconds; none where there is no first."""
    return 0.0 if then is None else (now - then) / _HOUR


def share_of(allowed: int, share: float) -> int:
    """Requests a minute for work that must leave room for other work. At least one, or it would never be done."""
    return max(1, int(allowed * share))


def current(used: Used, now: float) -> list[tuple[int, int]]:
    """Leave out what no minute that is still open can hold; and what lies ahead, because a clock was set back."""
    return [(second, count) for second, count in used if now - SECONDS < second <= now + 1]


def free(used: Used, allowed: int, now: float) -> tuple[int, float]:
    """How many requests may go out now; and where none may, in how many seconds one may."""
    recent = current(used, now)
    left = allowed - sum(count for _, count in recent)
    if left > 0:
        return left, 0.0
    for second, count in recent:
        left += count
        if left > 0:
            return 0, max(second + SECONDS - now, 0.01)
    return 0, float(SECONDS)

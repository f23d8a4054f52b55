"""History to fill in: calls before an account's `start_from`, archived with what the quota leaves. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from archiver.core.budget import Forecast
from archiver.core.model import Slice

SECOND = timedelta(seconds=1)
MOST_WAITING = 8_000  # recordings that are listed and not archived: no more is listed before these


class Progress(StrEnum):
    """How far a backfill has come."""

    LISTING = "listing"
    PAUSED = "paused"
    ARCHIVING = "archiving"  # all of it is listed
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A stretch of calls that somebody asked for."""

    number: int
    account: str
    window: Slice
    asked_at: datetime
    listed_until: datetime | None  # calls up to here are listed
    paused_at: datetime | None
    listed_at: datetime | None  # when all of it was

    @property
    def share_listed(self) -> float:
        """How much of its time is listed, from 0 to 1."""
        if self.listed_at is not None:
            return 1.0
        if self.listed_until is None:
            return 0.0
        return (int((self.listed_until - self.window.since).total_seconds()) + 1) / self.window.seconds

    @property
    def left(self) -> Slice | None:
        """What is not listed yet."""
        since = self.window.since if self.listed_until is None else self.listed_until + SECOND
        return Slice(since, self.window.until) if self.listed_at is None and since <= self.window.until else None


@dataclass(frozen=True, slots=True)
class Filled:
    """The recordings of a backfill that are listed."""

    known: int
    waiting: int  # of those: neither archived nor excluded by a policy


def progress(one: Backfill, filled: Filled) -> Progress:
    """Say how far a backfill has come."""
    if one.listed_at is not None and not filled.waiting:
        return Progress.DONE
    if one.paused_at is not None:
        return Progress.PAUSED
    return Progress.LISTING if one.listed_at is None else Progress.ARCHIVING


def kept_from(start_from: datetime, backfills: Iterable[Backfill]) -> datetime:
    """Where the calls begin that an account answers for: a finished backfill that reaches up to them goes before."""
    begin = start_from
    for one in sorted(backfills, key=lambda one: one.window.until, reverse=True):
        if one.listed_at is not None and one.window.until >= begin - SECOND:
            begin = min(begin, one.window.since)
    return begin


def time_left(one: Backfill, filled: Filled, ahead: Forecast, page_size: int) -> timedelta | None:
    """How long a backfill will take: as if its unlisted part were like the listed one. None: who knows, or never."""
    share = one.share_listed
    if share <= 0 or ahead.spare <= 0:
        return None
    unlisted = filled.known / share - filled.known
    each = ahead.backlog_requests / ahead.backlog if ahead.backlog else 1.0
    requests = unlisted / page_size + (unlisted + filled.waiting) * each
    days = requests / ahead.spare
    return timedelta(days=days) if days < 36_500 else None  # noqa: PLR2004 - a century

"""The request budget of an account: what its quota allows, what the work needs, and when the backlog is worked off.

Pure: everything is handed in, `now` too. Requests are counted for a day, because some work comes once a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from archiver.core.danger import SourceRetention
from archiver.core.exports import EXPECTED_POLLS, MOST_RECORDINGS, Cost
from archiver.core.model import midnight

ONE_DAY = timedelta(days=1)
MINUTES = 1440
PASS_REQUESTS = 3  # of a pass that finds nothing: the recount of the lookback, the listing, and one to spare
DELETE_REQUESTS = 2  # a deletion asks the source once more what it is about to delete
LONGEST = timedelta(days=36_500)  # beyond it nobody waits


class Way(StrEnum):
    """How recordings come."""

    SINGLE = "single requests"
    EXPORT = "bulk exports"


@dataclass(frozen=True, slots=True)
class DayDue:
    """Recordings of one day of calls (UTC) that are not archived."""

    day: date
    recordings: int
    size: int  # bytes, as listed
    singles: int = 0  # of the recordings: they come by a request of their own, whatever the rest does

    def requests(self, way: Way, polls: float | None) -> float:
        """What it takes to archive them."""
        if way is Way.SINGLE:
            return float(self.recordings)
        each = Cost(EXPECTED_POLLS if polls is None else polls).requests / MOST_RECORDINGS
        return self.singles + (self.recordings - self.singles) * each


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the forecast is made of."""

    per_minute: int  # requests, as they are in force
    every: timedelta  # between passes
    page_size: int
    arriving: float  # recordings a day
    recounted: float  # requests a day for older days
    deleting: float  # recordings a day that policies delete at the source
    polls: float | None  # of a job until its ZIP comes; None: not known
    exports: bool  # whether any can be asked for
    always: bool  # also where single requests would do
    backlog: Sequence[DayDue]
    retention: SourceRetention | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What follows. Requests and recordings are those of a day, unless said otherwise."""

    capacity: float
    listing: float
    recounts: float
    archiving: float  # of what arrives
    deletes: float  # as far as they find room: they come last
    deletes_wanted: float
    spare: float  # before deletions; below zero: not even what arrives can be archived
    way: Way
    backlog: int  # recordings
    backlog_size: int  # bytes
    backlog_requests: float
    drained_in: timedelta | None  # None: never, at this quota
    lost: int  # of the backlog: the source deletes them before their turn
    lost_first: date | None  # the first day of calls of these

    @property
    def never(self) -> bool:
        """Whether the backlog only grows."""
        return self.drained_in is None

    @property
    def deletes_lag(self) -> bool:
        """Whether more is due to be deleted at the source than the quota leaves room for."""
        return self.deletes < self.deletes_wanted


def forecast(facts: Facts, now: datetime) -> Forecast:
    """Reckon with a day's requests: listing first, then what arrives, then the backlog, deletions last."""
    capacity = float(facts.per_minute * MINUTES)
    listing = ONE_DAY / facts.every * PASS_REQUESTS + facts.arriving / facts.page_size
    fixed = listing + facts.recounted
    backlog = sum(day.recordings for day in facts.backlog)
    way = _way(facts, capacity - fixed, backlog)
    each = _each(facts, way)
    archiving = facts.arriving * each
    spare = capacity - fixed - archiving
    needed = sum(day.requests(way, facts.polls) for day in facts.backlog)
    drained = _time_for(needed, spare)
    lost = _outlived(facts, spare, way, now)
    wanted = facts.deleting * DELETE_REQUESTS
    return Forecast(
        capacity=capacity,
        listing=listing,
        recounts=facts.recounted,
        archiving=archiving,
        deletes=min(wanted, max(spare, 0.0) / 2),
        deletes_wanted=wanted,
        spare=spare,
        way=way,
        backlog=backlog,
        backlog_size=sum(day.size for day in facts.backlog),
        backlog_requests=needed,
        drained_in=drained,
        lost=sum(day.recordings for day in lost),
        lost_first=lost[0].day if lost else None,
    )


def _way(facts: Facts, left: float, backlog: int) -> Way:
    """Exports where single requests for a day's calls and the backlog would take more than a day."""
    return Way.EXPORT if facts.exports and (facts.always or facts.arriving + backlog > left) else Way.SINGLE


def _each(facts: Facts, way: Way) -> float:
    """Requests for one recording that arrives: an export holds what has come since the pass before."""
    at_once = facts.arriving * (facts.every / ONE_DAY)
    if way is Way.SINGLE or at_once <= 0:
        return 1.0
    cost = Cost(facts.polls or EXPECTED_POLLS).requests
    return min(1.0, cost / min(at_once, MOST_RECORDINGS))


def _time_for(requests: float, spare: float) -> timedelta | None:
    """How long so many requests take at so many a day; None: never."""
    if spare <= 0:
        return None
    days = requests / spare
    return timedelta(days=days) if days < LONGEST.days else None


def _outlived(facts: Facts, spare: float, way: Way, now: datetime) -> list[DayDue]:
    """Find the days of the backlog whose calls the source deletes before their turn, the oldest days coming first."""
    lost: list[DayDue] = []
    if facts.retention is None:
        return lost
    before = 0.0
    for day in sorted(facts.backlog, key=lambda day: day.day):
        requests = before + day.requests(way, facts.polls)
        done = _time_for(requests, spare)
        if done is None or now + done > facts.retention.gone_at(midnight(day.day)):
            lost.append(day)  # its place is free for the next
        else:
            before = requests
    return lost


def room(per_minute: int, every: timedelta, share: int) -> int:
    """Requests that archiving may use between two passes; `share`, in percent, is left to recounts and listing."""
    return max(1, int(per_minute * every.total_seconds() / 60 * (100 - share) / 100))


def deletes_allowed(per_minute: int, every: timedelta, backlog: int) -> int:
    """Deletions at the source that one pass may do by itself: none before all is archived, then half the quota."""
    return 0 if backlog else max(1, int(per_minute * every.total_seconds() / 60 / 2 / DELETE_REQUESTS))

"""Bulk exports: which slices are worth one, when to ask for it again, and which recording a member of the ZIP is.

An export is asked for by one request and fetched by another, however many recordings it holds; but it takes its time,
brings along what is archived already, and says of its members no more than a name. Pure: `now` is an argument.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from archiver.core.model import Slice
from archiver.core.zip_format import base_name

MOST_RECORDINGS = 2_000  # in one export: what is lost with a broken one is fetched again
MOST_BYTES = 1024**3  # the same, by the sizes that are listed; a single hour may have more
MOST_OPEN = 4  # exports of an account that are under way at a time
MOST_TRIES = 2  # exports that are asked for one slice, when they expire
MOST_FETCHES = 3  # of one job's ZIP, when it comes cut off
MOST_BEGUN = 6  # the same, when runs end while they read it: it may be what they died of
EXPECTED_POLLS = 2.0  # of a job until its ZIP comes, before an account has shown how many
FIRST_POLL = timedelta(seconds=15)
LONGEST_POLL = timedelta(minutes=5)
LONGEST_FIRST = timedelta(hours=1)
UNKNOWN_FOR = timedelta(hours=1)  # so long a job that the source does not know may be one that it does not know yet
REFUSED_FOR = timedelta(days=1)  # so long no export is asked for after one was of no use
_GAP = timedelta(days=2)  # without a call that is due: what lies behind it goes into another export


class Rank(IntEnum):
    """What comes first."""

    ENDANGERED = 0  # the source deletes it soon
    RECENT = 1
    HISTORY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """The recordings of an hour that are due and could come by export; `since` and `until` are their first and last."""

    since: datetime
    until: datetime
    due: int
    size: int  # bytes of those, as listed
    others: int  # recordings of the same stretch that an export would bring along for nothing
    behind: int  # the same, from here to the next hour with any that are due


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A slice that one export could bring."""

    window: Slice
    due: int
    size: int
    others: int
    rank: Rank

    @property
    def wasteful(self) -> bool:
        """Whether an export would bring more that is not wanted than what is."""
        return self.others > self.due


def batches(
    hours: Iterable[Hour],
    *,
    endangered_before: datetime | None,
    recent_since: datetime,
    under_way: Sequence[Slice] = (),
) -> list[Batch]:
    """Put hours, given in order, together to slices of a size for one export each; the most urgent first.

    None crosses a slice of which an export is under way.
    """
    found: list[Batch] = []
    behind = 0
    for hour in hours:
        one = Batch(
            window=Slice(hour.since, hour.until),
            due=hour.due,
            size=hour.size,
            others=hour.others,
            rank=_rank(hour.since, endangered_before, recent_since),
        )
        if crosses(one.window, under_way):
            continue
        joined = _joined(found[-1], one, behind) if found else None
        if joined is None or crosses(joined.window, under_way):
            found.append(one)
        else:
            found[-1] = joined
        behind = hour.behind
    return sorted(found, key=lambda batch: (batch.rank, batch.window.since))


def crosses(window: Slice, taken: Iterable[Slice]) -> bool:
    """Whether a slice has a start in common with one of the others."""
    return any(window.since <= other.until and other.since <= window.until for other in taken)


def _rank(start: datetime, endangered_before: datetime | None, recent_since: datetime) -> Rank:
    if endangered_before is not None and start < endangered_before:
        return Rank.ENDANGERED
    return Rank.RECENT if start >= recent_since else Rank.HISTORY


def _joined(first: Batch, second: Batch, between: int) -> Batch | None:
    both = replace(
        first,
        window=Slice(first.window.since, second.window.until),
        due=first.due + second.due,
        size=first.size + second.size,
        others=first.others + second.others + between,
    )
    near = first.rank is second.rank and second.window.since - first.window.until <= _GAP
    fits = both.due + both.others <= MOST_RECORDINGS and both.size <= MOST_BYTES
    return both if near and fits and not both.wasteful else None


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests that an export costs: asking for it, one for each answer up to the ZIP, and one to count the slice."""

    polls: float = EXPECTED_POLLS

    @property
    def requests(self) -> float:
        """All of them."""
        return 2 + max(self.polls, 1.0)


def choose(wanted: Sequence[Batch], *, room: int, cost: Cost, under_way: int) -> list[Batch]:
    """Choose the slices to export, most urgent first; everything else comes by single requests.

    Nothing, as long as single requests for all that is due fit in `room`: an export costs time and bytes. Above that
    the slices that save most, as many as may be under way at once; never one that saves nothing or wastes bytes.
    """
    left = sum(batch.due for batch in wanted)
    places = MOST_OPEN - under_way
    chosen: list[Batch] = []
    for batch in sorted(wanted, key=lambda batch: (batch.rank, -batch.due)):
        if left <= room or len(chosen) >= places:
            break
        if batch.due > cost.requests and not batch.wasteful:
            chosen.append(batch)
            left -= batch.due - int(cost.requests)
    return sorted(chosen, key=lambda batch: (batch.rank, batch.window.since))


class Phase(StrEnum):
    """How far an export has come."""

    ASKED = "asked"  # the request may have gone out; no job is known
    WAITING = "waiting"  # it has jobs
    DONE = "done"  # every ZIP was read to its end
    GIVEN_UP = "given_up"  # what it did not bring comes by single requests
    REFUSED = "refused"  # the same, and the source is not asked for another one for a day


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One ZIP of an export."""

    number: int  # among the export's jobs, from 1: its id is for the source only
    job_id: str
    asked_at: datetime
    polls: int
    fetches: int  # times that a ZIP came
    next_poll_at: datetime
    ready_at: datetime | None  # when a ZIP came first
    done_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export that is under way, or was."""

    number: int
    window: Slice
    phase: Phase
    tries: int  # times that the source was asked for it
    asked_at: datetime
    due: int  # recordings that were due when it was asked for
    jobs: tuple[Job, ...] = ()

    @property
    def pending(self) -> tuple[Job, ...]:
        """Jobs whose ZIP was not read to its end, the one that is due first ahead."""
        return tuple(sorted((job for job in self.jobs if job.done_at is None), key=lambda job: job.next_poll_at))


def is_due(job: Job, now: datetime) -> bool:
    """Whether to ask for a job's ZIP now; also where a clock that was ahead has put that off for ever."""
    return job.next_poll_at <= now or job.next_poll_at > now + LONGEST_FIRST


def next_poll(job: Job, now: datetime) -> datetime:
    """When to ask for a job's ZIP again: after growing pauses, up to five minutes."""
    return now + min(FIRST_POLL * 2.0 ** min(job.polls, 10), LONGEST_POLL)


def first_poll(asked_at: datetime, usual: timedelta | None) -> datetime:
    """When to ask first: when an account's exports are usually ready, as far as is known."""
    return asked_at + max(FIRST_POLL, min(usual or FIRST_POLL, LONGEST_FIRST))


def expired(job: Job, now: datetime) -> bool:
    """Whether a job that the source does not know is gone; before it was ever ready it may not be known yet."""
    return job.ready_at is not None or now - job.asked_at > UNKNOWN_FOR


@dataclass(frozen=True, slots=True)
class Listed:
    """A recording that an export should hold."""

    recording_id: str
    file_name: str | None
    size: int | None  # as listed
    due: bool  # it is to be stored; else it only tells that a name is taken
    copied: str | None = None  # SHA-256 of a copy that was made since the export was asked for, so maybe out of it


class Names:
    """The recordings of a slice by the names that members may have. Memory: one value for each recording."""

    def __init__(self, listed: Iterable[Listed]) -> None:
        """`listed` must hold all recordings that the source has in the slice, archived ones too."""
        self._by_name: defaultdict[str, list[Listed]] = defaultdict(list)
        self.count = 0
        self.size = 0
        self.due: list[str] = []  # in the order of calls, as the source is likely to pack them
        for one in listed:
            self.count += 1
            self.size += one.size or 0
            if one.due:
                self.due.append(one.recording_id)
            for name in {base_name(one.file_name or ""), f"{one.recording_id}.mp3"} - {""}:
                self._by_name[name].append(one)

    def fitting(self, name: str, size: int | None) -> list[Listed]:
        """Find the recordings that a member may be: by name, and by size where that is known.

        A recording without a listed size fits any: it cannot be told apart from others of its name.
        """
        named = self._by_name.get(base_name(name), [])
        return [one for one in named if size is None or one.size is None or one.size == size]


def only(fitting: Sequence[Listed]) -> Listed | None:
    """Return the one recording that a member is; None where it is not one, or cannot be proved to be by its size."""
    return fitting[0] if len(fitting) == 1 and fitting[0].size is not None else None

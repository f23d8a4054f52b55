"""A model of the world that discovery lives in: a source and a ledger in memory, with a clock, faults and crashes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from archiver.core.coverage import DayFacts, DayRow, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Learnt, Malformed, Mark, Page, Progress, Recording, Slice, whole_day
from archiver.core.recount import DueDay, Expected, Lost
from archiver.core.window import SECOND
from archiver.errors import Unreachable
from archiver.stages.ports import AudioStream
from tests.support.rows import recording
from tests.support.simulator import Clock


class CrashError(Exception):
    """The process died here."""


class Told(StrEnum):
    """What the source says of the whole listing."""

    TRUE = "true"
    ABSENT = "absent"
    ZERO = "zero"
    PAGE = "page"  # the items of the page alone


@dataclass(frozen=True, slots=True)
class Call:
    """A recording at the source, and when it can be listed there."""

    number: int
    start: datetime
    published: datetime
    deleted: datetime | None = None

    def listed(self, now: datetime) -> bool:
        """Whether a listing would show it."""
        return self.published <= now and (self.deleted is None or now < self.deleted)


@dataclass(slots=True)
class ModelSource:
    """A source that lists. Every request takes `pace` of time, so things happen between two pages."""

    clock: Clock
    calls: list[Call]
    base: int = 1
    cap: int = 100
    told: Told = Told.TRUE
    pace: timedelta = timedelta(seconds=2)
    failing: frozenset[int] = frozenset()  # requests, by number, that meet a source out of reach
    empty: tuple[datetime, datetime] | None = None  # between these times everything looks empty
    requests: int = 0
    shown: set[str] = field(default_factory=set)
    last: set[str] = field(default_factory=set)  # shown for the first time by the last page

    @property
    def clock_ahead(self) -> timedelta | None:
        """The source's clock is ours."""
        return timedelta(0)

    async def list_page(self, window: Slice, *, page: int, page_size: int) -> Page:
        """List as the vendor does; page 0 is the first page too where pages count from 1."""
        self.requests += 1
        if self.requests in self.failing:
            raise Unreachable("list: status_503")
        now = self.clock()
        there = [call for call in self.calls if window.since <= call.start <= window.until and call.listed(now)]
        if self.empty is not None and self.empty[0] <= now < self.empty[1]:
            there = []
        there.sort(key=lambda call: (call.start, call.number))
        size, index = min(page_size, self.cap), max(page - self.base, 0)
        items = there[index * size : (index + 1) * size]
        self.last = {str(call.number) for call in items} - self.shown
        self.shown |= self.last
        self.clock.now += self.pace
        total = {Told.TRUE: len(there), Told.ABSENT: None, Told.ZERO: 0, Told.PAGE: len(items)}[self.told]
        return Page(
            recordings=tuple(recording(str(call.number), start=call.start) for call in items),
            malformed=(),
            number=page,
            size=size if self.told is Told.TRUE else None,
            total_items=total,
            total_pages=None,
        )

    async def get(self, recording_id: str) -> Recording:
        """Discovery never asks for one."""
        raise NotImplementedError

    async def delete(self, recording_id: str) -> bool:
        """Discovery never deletes."""
        raise NotImplementedError

    def download(self, recording_id: str) -> AbstractAsyncContextManager[AudioStream]:
        """Discovery never downloads."""
        raise NotImplementedError


@dataclass(slots=True)
class Day:
    """What the ledger holds of a day."""

    checked_at: datetime
    doubt: str | None
    settled: bool = False


@dataclass(slots=True)
class ModelLedger:
    """The ledger in memory. The process dies after write number `crash_at`; where that is negative, before it."""

    crash_at: int = 0
    writes: int = 0
    watermark: datetime | None = None
    learnt: Learnt = field(default_factory=Learnt)
    known: dict[str, datetime] = field(default_factory=dict)  # id to start
    listed_at: dict[str, datetime] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    days: dict[date, Day] = field(default_factory=dict)
    gaps: dict[str, tuple[GapKind, Slice, int, str]] = field(
        default_factory=dict
    )  # by fingerprint; the last is the run

    def _write(self) -> bool:
        """Count a write. False: die before it is done."""
        self.writes += 1
        return self.writes != -self.crash_at

    def _done(self) -> None:
        if self.writes == self.crash_at:
            raise CrashError

    async def open_account(self, account: str, start_from: datetime) -> Progress:
        """The account is always there."""
        return Progress(self.watermark, self.learnt)

    async def begin_anew(self, account: str) -> None:
        """Forget the watermark."""
        self.watermark = None

    async def record_page(self, account: str, items: Sequence[Recording], mark: Mark) -> int:
        """Commit a page."""
        if not self._write():
            raise CrashError
        new = [item for item in items if item.id not in self.known]
        for item in new:
            self.known[item.id], self.listed_at[item.id] = item.start, mark.at
        self.absent -= {item.id for item in items}
        self._done()
        return len(new)

    async def record_malformed(
        self, account: str, items: Sequence[Malformed], window: Slice, mark: Mark, *, counted: bool
    ) -> int:
        """The model has none."""
        raise NotImplementedError

    async def record_gap(
        self,
        account: str,
        kind: GapKind,
        window: Slice,
        mark: Mark,
        *,
        fingerprint: str,
        claimed: int,
    ) -> Standing:
        """Open a gap, or see it again."""
        if not self._write():
            raise CrashError
        new = fingerprint not in self.gaps
        self.gaps[fingerprint] = (kind, window, claimed, mark.run)
        self._done()
        return Standing.NEW if new else Standing.SEEN

    async def accept_slice(self, account: str, window: Slice, proof: Proof, learnt: Learnt) -> None:
        """Move the watermark over a slice that joins."""
        if not self._write():
            raise CrashError
        if self.watermark is None or self.watermark >= window.since - SECOND:
            self.watermark = max(self.watermark or window.until, window.until)
        self._keep(window, proof, learnt, whole=False)
        self._done()

    async def conclude(self, account: str, window: Slice, proof: Proof, learnt: Learnt) -> None:
        """Keep what the days are worth."""
        if not self._write():
            raise CrashError
        self._keep(window, proof, learnt, whole=True)
        self._done()

    def _keep(self, window: Slice, proof: Proof, learnt: Learnt, *, whole: bool) -> None:
        base = self.learnt.page_base if learnt.page_base is None else learnt.page_base
        self.learnt = Learnt(base, learnt.page_cap)
        for day in window.days():
            span = whole_day(day)
            doubts = [one for one in proof.doubts if one.window.since <= span.until and one.window.until >= span.since]
            doubt = doubts[0].reason if doubts else None
            begin = max(span.since, proof.start_from or span.since)
            fresh = whole or window.since <= begin
            before = self.days.get(day)
            late = proof.listed and proof.settled_before is not None and day < proof.settled_before and fresh
            kept = doubt if fresh or before is None else before.doubt or doubt
            self.days[day] = Day(proof.at, kept, settled=late or (before is not None and before.settled))
        for fingerprint, (kind, place, _, run) in list(self.gaps.items()):
            doubted = any(one.window.since <= place.until and one.window.until >= place.since for one in proof.doubts)
            enough = proof.listed or kind is GapKind.SHRUNKEN
            if window.covers(place) and run != proof.run and not doubted and enough:
                del self.gaps[fingerprint]

    async def expected(self, account: str, window: Slice) -> Mapping[date, Expected]:
        """Count what should be there."""
        found: dict[date, list[int]] = {}
        for number, start in self.known.items():
            if window.since <= start <= window.until and number not in self.absent:
                found.setdefault(start.date(), [0, 0])[0] += 1
        for _, place, claimed, _ in self.gaps.values():
            if claimed and window.covers(place):
                found.setdefault(place.since.date(), [0, 0])[1] += claimed
        return {day: Expected(*counts) for day, counts in found.items()}

    async def unlisted(self, account: str, window: Slice, listed: Collection[str], *, before: datetime) -> list[Lost]:
        """Find what a proved listing lacks."""
        return [
            Lost(number, start)
            for number, start in self.known.items()
            if window.since <= start <= window.until and number not in self.absent and number not in listed
            and self.listed_at[number] <= before
        ]  # fmt: skip

    async def mark_absent(self, account: str, recording_ids: Sequence[str], mark: Mark) -> None:
        """Expect them no more."""
        if not self._write():
            raise CrashError
        self.absent |= set(recording_ids)
        self._done()

    async def due_days(
        self, account: str, *, before: date, proved_before: datetime, troubled_before: datetime
    ) -> list[DueDay]:
        """Find days to ask about again."""
        due = []
        for day, kept in sorted(self.days.items()):
            gap = any(place.since <= whole_day(day).until and place.until >= whole_day(day).since
                      for _, place, _, _ in self.gaps.values())  # fmt: skip
            troubled = (kept.doubt is not None or gap) and kept.checked_at <= troubled_before
            if day < before and (not kept.settled or kept.checked_at <= proved_before or troubled):
                counted = await self.expected(account, whole_day(day))
                items = sum(one.items for one in counted.values())
                due.append(DueDay(day=day, expected=items, checked_at=kept.checked_at, list_it=not kept.settled))
        return due

    async def settle_gaps(self, account: str, mark: Mark) -> None:
        """The model has no transfer."""

    async def stale_days(self, account: str, *, limit: int) -> list[DayFacts]:
        """The model writes no lines."""
        return []

    async def write_days(self, rows: Sequence[DayRow], mark: Mark) -> None:
        """The model writes no lines."""

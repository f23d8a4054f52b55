"""A model of the ledger: in memory what `archiver.adapters.ledger` does in SQL, as far as discovery needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from archiver.core.coverage import DayFacts, DayRow, Doubt, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Learnt, Malformed, Mark, Progress, Recording, Slice, whole_day
from archiver.core.recount import DueDay, Expected, Lost
from archiver.core.window import SECOND
from archiver.stages.ports import Recorded


@dataclass(slots=True)
class Row:
    """A recording that was listed."""

    start: datetime
    listed_at: datetime
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """What the ledger holds of a day."""

    checked_at: datetime | None
    proved_at: datetime | None
    settled_at: datetime | None
    doubt: str | None
    said: int | None


@dataclass(slots=True)
class Gap:
    """An open gap of the listing."""

    kind: GapKind
    window: Slice
    claimed: int
    seen_run: str
    seen_at: datetime
    explained: bool = False


@dataclass(slots=True)
class ModelLedger:
    """Implements `ports.Ledger` for one account, whose source has no unreadable items and changes no description."""

    watermark: datetime | None = None
    listed_from: datetime | None = None
    learnt: Learnt = field(default_factory=Learnt)
    rows: dict[str, Row] = field(default_factory=dict)
    days: dict[date, Day] = field(default_factory=dict)
    gaps: dict[str, Gap] = field(default_factory=dict)  # the open ones, by fingerprint

    async def open_account(self, account: str, start_from: datetime) -> Progress:
        """Begin anew where the listing cannot be joined."""
        earlier = self.listed_from is not None and self.listed_from > start_from
        behind = self.watermark is not None and self.watermark < start_from - SECOND
        if earlier or behind:
            self.watermark = None
        if self.listed_from is None or earlier or behind:
            self.listed_from = start_from
        return Progress(self.watermark, self.learnt)

    async def begin_anew(self, account: str, now: datetime) -> None:
        """Forget the watermark, and proofs to come."""
        self.watermark = None
        for day, kept in self.days.items():
            if kept.checked_at is not None and kept.checked_at > now:
                self.days[day] = Day(None, None, None, kept.doubt, None)

    async def record_page(self, account: str, items: Sequence[Recording], mark: Mark) -> Recorded:
        """Commit a page; what was absent is back."""
        new = [item for item in items if item.id not in self.rows]
        self.rows.update((item.id, Row(item.start, mark.at)) for item in new)
        for item in items:
            self.rows[item.id].absent = False
        return Recorded(len(new))

    async def record_malformed(
        self, account: str, items: Sequence[Malformed], window: Slice, mark: Mark, *, counted: bool
    ) -> int:
        """The model's source has none."""
        raise NotImplementedError

    async def record_gap(
        self, account: str, kind: GapKind, window: Slice, mark: Mark, *, fingerprint: str, claimed: int
    ) -> Standing:
        """Open a gap, or see it again where it was opened; more than was explained reopens it."""
        inside = [gap for name, gap in self.gaps.items() if name != fingerprint and gap.kind is kind is GapKind.UNLISTED
                  and window.covers(gap.window)]  # fmt: skip
        if inside and sum(gap.claimed for gap in inside) == claimed:
            for gap in inside:
                gap.seen_run, gap.seen_at = mark.run, mark.at
            return Standing.EXPLAINED if all(gap.explained for gap in inside) else Standing.SEEN
        known = self.gaps.get(fingerprint)
        if known is None:
            self.gaps[fingerprint] = Gap(kind, window, claimed, mark.run, mark.at)
            return Standing.NEW
        known.explained = known.explained and claimed <= known.claimed
        known.claimed, known.seen_run, known.seen_at = claimed, mark.run, mark.at
        return Standing.EXPLAINED if known.explained else Standing.SEEN

    def explain_all(self) -> None:
        """A person gives the reason for every gap."""
        for gap in self.gaps.values():
            gap.explained = True

    async def accept_slice(
        self, account: str, window: Slice, proof: Proof, learnt: Learnt, *, moves: bool = True
    ) -> None:
        """Move the watermark over a slice that joins what was listed, and keep the proof."""
        if not moves:
            pass
        elif self.watermark is None or self.watermark >= window.since - SECOND:
            self.watermark = max(self.watermark or window.until, window.until)
        self._prove(window, proof, learnt, whole=False)

    async def conclude(self, account: str, window: Slice, proof: Proof, learnt: Learnt) -> None:
        """Keep the proof of what was asked again."""
        self._prove(window, proof, learnt, whole=True)

    def _prove(self, window: Slice, proof: Proof, learnt: Learnt, *, whole: bool) -> None:
        base = self.learnt.page_base if learnt.page_base is None else learnt.page_base
        self.learnt = Learnt(base, learnt.page_cap)
        self.days.update([(day, self._proved(day, window, proof, whole=whole)) for day in window.days()])
        # chosen first, then closed: as one statement sees them
        for fingerprint in list(self._closed(window, proof)):
            del self.gaps[fingerprint]

    def _proved(self, day: date, window: Slice, proof: Proof, *, whole: bool) -> Day:
        span, before = whole_day(day), self.days.get(day)
        doubts = [one for one in proof.doubts if _overlap(one.window, span)]
        doubt = doubts[0].reason if doubts else None
        begin = span.since if proof.start_from is None else max(span.since, proof.start_from)
        fresh = whole or window.since <= begin or before is None
        part = Slice(max(begin, window.since), min(span.until, window.until))
        listed = any(one.covers(part) for one in proof.listed)
        late = listed and proof.settled_before is not None and day < proof.settled_before
        settled = proof.at if late and (whole or window.since <= begin) else None
        # a piece without usable totals leaves none for the day
        blank = not fresh and before is not None and before.doubt is not None and before.said is None
        old_doubt, old_proof = (before.doubt, before.proved_at) if before else (None, None)
        return Day(
            checked_at=proof.at,
            proved_at=proof.at if doubt is None and (fresh or old_doubt is None) else old_proof,
            settled_at=(before.settled_at if before else None) or settled,
            doubt=doubt if fresh else old_doubt or doubt,
            said=None if blank else self._said(day, doubts),
        )

    def _said(self, day: date, doubts: Sequence[Doubt]) -> int | None:
        usable = all(one.usable for one in doubts)
        return self._items(day) - sum(one.lost for one in doubts) if usable else None

    def _items(self, day: date) -> int:
        there = sum(not row.absent and row.start.date() == day for row in self.rows.values())
        unlisted = [gap for gap in self.gaps.values() if gap.kind is GapKind.UNLISTED]
        return there + sum(gap.claimed for gap in unlisted if gap.window.since.date() == day)

    def _closed(self, window: Slice, proof: Proof) -> Iterator[str]:
        for fingerprint, gap in self.gaps.items():
            if gap.seen_run == proof.run or not window.covers(gap.window):
                continue
            doubted = any(_overlap(one.window, gap.window) for one in proof.doubts)
            listed = any(one.covers(gap.window) for one in proof.listed)
            if (not doubted and (gap.kind is GapKind.SHRUNKEN or listed)) or (
                gap.kind is GapKind.UNLISTED and self._narrowed(gap, proof.run)
            ):
                yield fingerprint

    def _narrowed(self, wide: Gap, run: str) -> bool:
        unlisted = [gap for gap in self.gaps.values() if gap.kind is GapKind.UNLISTED and gap.seen_run == run]
        return any(wide.window.covers(gap.window) for gap in unlisted)

    async def expected(self, account: str, window: Slice) -> Mapping[date, Expected]:
        """Count recordings and claims by day."""
        there = Counter(row.start.date() for row in self._there(window).values())
        claims: Counter[date] = Counter()
        for gap in self.gaps.values():
            if gap.kind is GapKind.UNLISTED and window.covers(gap.window):
                claims[gap.window.since.date()] += gap.claimed
        return {day: Expected(there[day], claims[day]) for day in there | claims}

    def _there(self, window: Slice) -> dict[str, Row]:
        held = self.rows.items()
        return {id_: row for id_, row in held if not row.absent and window.since <= row.start <= window.until}

    async def claims(self, account: str, window: Slice, *, limit: int) -> list[Slice]:
        """Find the places of what is claimed."""
        inside = [gap for gap in self.gaps.values() if gap.kind is GapKind.UNLISTED and window.covers(gap.window)]
        inside.sort(key=lambda gap: (gap.seen_at, gap.window.since))
        return list(dict.fromkeys(gap.window for gap in inside))[:limit]

    async def lost(self, account: str, window: Slice, listed: Collection[str], *, before: datetime) -> list[Lost]:
        """Find what a proved listing lacks."""
        lost = [
            Lost(id_, row.start)
            for id_, row in self._there(window).items()
            if id_ not in listed and row.listed_at <= before
        ]
        return sorted(lost, key=lambda one: (one.start, one.recording_id))

    async def mark_absent(self, account: str, recording_ids: Sequence[str], mark: Mark) -> None:
        """Expect these no more."""
        for id_ in recording_ids:
            self.rows[id_].absent = True
            for name, gap in list(self.gaps.items()):
                place = gap.window
                if (
                    gap.kind is GapKind.SHRUNKEN
                    and gap.explained
                    and place.since <= self.rows[id_].start <= place.until
                ):
                    del self.gaps[name]

    async def due_days(
        self, account: str, *, first: date, before: date, proved_before: datetime, troubled_before: datetime
    ) -> list[DueDay]:
        """Find days to ask about again."""
        found = []
        for day, kept in sorted(self.days.items()):
            gaps = [gap for gap in self.gaps.values() if _overlap(gap.window, whole_day(day))]
            trouble = kept.doubt is not None or not all(gap.explained for gap in gaps)
            checked, unsettled = kept.checked_at, kept.settled_at is None
            due = checked is None or checked <= proved_before or (trouble and checked <= troubled_before)
            if first <= day < before and (unsettled or due):
                claimed = any(gap.kind is GapKind.UNLISTED for gap in gaps)
                list_it = unsettled or kept.doubt is not None or claimed
                items = self._items(day)
                fresh = unsettled and checked is not None
                found.append(DueDay(day=day, expected=items, checked_at=checked, list_it=list_it, fresh=fresh))
        return found

    async def settle_gaps(self, account: str, mark: Mark) -> None:
        """No transfer, no trouble."""

    async def look_through(self, account: str) -> None:
        """The model has no history."""

    async def stale_days(self, account: str, *, limit: int) -> list[DayFacts]:
        """The model writes no lines."""
        return []

    async def write_days(self, rows: Sequence[DayRow], mark: Mark) -> None:
        """The model writes no lines."""


def _overlap(one: Slice, other: Slice) -> bool:
    return one.since <= other.until and one.until >= other.since

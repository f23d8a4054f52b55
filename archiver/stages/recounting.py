"""Ask the source again about days that were listed: count, search what differs, list only that, write the proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

import structlog

from archiver.core import recount as rules
from archiver.core import window as slices
from archiver.core.clocks import cautious
from archiver.core.coverage import Doubt, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Slice, whole_day
from archiver.core.recount import Errand, Expected, Lost, Step
from archiver.stages.context import Context
from archiver.stages.ports import Ledger
from archiver.stages.reading import Reader

log = structlog.get_logger()


class Ahead(StrEnum):
    """Whether a window lies ahead of the watermark."""

    NO = "no"
    HISTORY = "history"  # it lies before all that was listed: nothing that is new there is late
    STAYS = "stays"  # it does, and the watermark stays where it is
    MOVES = "moves"  # it does, and the watermark moves over it where the source is to be believed


@dataclass(slots=True)
class Found:
    """What a window has shown so far."""

    doubts: list[Doubt] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    listed: list[Slice] = field(default_factory=list)  # parts that were listed, not only counted


@dataclass(slots=True, kw_only=True)
class Recount:
    """The recount of one account."""

    context: Context
    reader: Reader
    ledger: Ledger
    start_from: datetime
    source_retention: timedelta | None  # age at which the source itself deletes: what is older may be gone
    believing: bool = False  # the catalogue is older than the source: what the latter lacks was deleted since

    async def ask(
        self, window: Slice, *, settled_before: date | None = None, list_it: bool = False, ahead: Ahead = Ahead.NO
    ) -> bool:
        """Compare a window with the source. False: the source lists so little that it is not to be believed now."""
        context, new = self.context, self.context.report.new
        expected = await self.ledger.expected(context.account, window)
        found = Found()
        if list_it or rules.items(expected) < self.reader.fits:
            await self._list(window, found)
        else:
            await self._search(window, expected, found)
            await self._look_at_claims(window, found)
        if context.stopping():  # a part was not asked about: nothing is proved
            return True
        late = context.report.new - new if ahead is Ahead.NO else 0
        context.report.late += late
        if late:
            log.info("late_recordings", recordings=late, since=window.since, until=window.until)
        return await self._conclude(window, expected, found, settled_before, ahead)

    async def run(self, errands: list[Errand], *, settled_before: date) -> None:
        """Do the errands of the full recount, until asked to stop."""
        for errand in errands:
            if self.context.stopping():
                return
            await self.ask(errand.window(self.start_from), settled_before=settled_before, list_it=errand.list_it)
            self.context.report.recounted += len(errand.days)

    async def _search(self, window: Slice, known: Mapping[date, Expected], found: Found) -> None:
        """Halve what differs until little is left, and list that; all of it where no part differs from itself."""
        pending, counts, began = [window], 0, self.context.report.new
        while pending and not self.context.stopping():
            part = pending.pop()
            if part is not window:
                known = await self.ledger.expected(self.context.account, part)
            new, expected = self.context.report.new, rules.items(known)
            page = await self.reader.count(part, expected)
            counts += 1
            if self.context.report.new > new:  # the count itself has shown something: it is expected from now on
                known = await self.ledger.expected(self.context.account, part)
            step = rules.step(page, known, part, self.reader.fits)
            if step is Step.AGREED:
                continue
            log.info("recount_differs", since=part.since, until=part.until, said=page.total_items, expected=expected)
            if step is Step.HALVE and counts < rules.MOST_COUNTS:
                pending += reversed(slices.halves(part))
            else:
                await self._list(part, found)
        if counts > 1 and not found.listed and self.context.report.new == began:
            await self._list(window, found)  # the halves say something else than the whole

    async def _look_at_claims(self, window: Slice, found: Found) -> None:
        """List again what stands on the gap list as unlisted or unreadable: a count that agrees counts it as well."""
        for place in await self.ledger.claims(self.context.account, window, limit=rules.MOST_CLAIMS):
            if not any(listed.covers(place) for listed in found.listed):
                await self._list(place, found)

    async def _list(self, window: Slice, found: Found) -> None:
        began, width, done = self.context.clock(), slices.FIRST_WIDTH * rules.WIDEST_DAYS, None
        while (planned := slices.next_slice(window, done, width)) and not self.context.stopping():
            async for part in self.reader.read(planned):
                found.doubts += part.doubts
                if part.proved:
                    account, listed = self.context.account, part.walk.ids
                    found.lost += await self.ledger.lost(account, part.window, listed, before=began)
            done = planned.until
        if not self.context.stopping():
            found.listed.append(window)

    async def _conclude(
        self, window: Slice, expected: Mapping[date, Expected], found: Found, settled_before: date | None, ahead: Ahead
    ) -> bool:
        context, now = self.context, self.context.clock()
        doubted = await self._doubted(expected, found.lost, now)
        gone = [one.recording_id for one in found.lost if one.start.date() not in doubted]
        if gone:
            await self.ledger.mark_absent(context.account, gone, context.mark("the source no longer lists it"))
            context.report.absent += len(gone)
            log.warning("recordings_gone", recordings=len(gone), since=window.since, until=window.until)
        proof = Proof(
            run=context.run,
            at=now,
            listed=tuple(found.listed),
            doubts=(*found.doubts, *doubted.values()),
            settled_before=settled_before,
            start_from=self.start_from,
        )
        if ahead is Ahead.NO:
            await self.ledger.conclude(context.account, window, proof, self.reader.learnt)
        elif ahead is Ahead.HISTORY:  # a day may come in several parts
            await self.ledger.accept_slice(context.account, window, proof, self.reader.learnt, moves=False)
        elif (until := min(window.until, self._listed_until())) >= window.since:
            past, moves = Slice(window.since, until), ahead is Ahead.MOVES and not doubted
            await self.ledger.accept_slice(context.account, past, proof, self.reader.learnt, moves=moves)
        return not doubted

    def _listed_until(self) -> datetime:
        """Where our clock is ahead of the source's, nothing can have been listed beyond the latter."""
        return cautious(self.context.clock(), self.reader.source.clock_ahead).replace(microsecond=0)

    async def _doubted(
        self, expected: Mapping[date, Expected], lost: list[Lost], now: datetime
    ) -> Mapping[date, Doubt]:
        """Name the days on which so much is lost that the source is in doubt, and nobody has given the reason."""
        if self.believing:
            return {}
        young = [one for one in lost if self.source_retention is None or one.start > now - self.source_retention]
        if not rules.shrunken(sum(day.at_source for day in expected.values()), len(young)):
            return {}
        doubted = {}
        for day, count in sorted(Counter(one.start.date() for one in young).items()):
            there = expected[day].at_source if day in expected else count
            reason = f"the source lists {there - count} where the catalogue expects {there}"
            if await self._shrunken(day, reason, count) is not Standing.EXPLAINED:
                doubted[day] = Doubt(whole_day(day), reason, lost=count)
        return doubted

    async def _shrunken(self, day: date, reason: str, lost: int) -> Standing:
        whole = whole_day(day)
        standing = await self.ledger.record_gap(
            self.context.account,
            GapKind.SHRUNKEN,
            Slice(max(whole.since, self.start_from), whole.until),
            self.context.mark(reason),
            fingerprint=f"shrunken {day}",
            claimed=lost,
        )
        if standing is not Standing.EXPLAINED:
            log.error("listing_shrunken", day=str(day), reason=reason, gap=str(standing))
        return standing

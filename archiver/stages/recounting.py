"""Ask the source again about days that were listed: count, search what differs, list only that, write the proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import structlog

from archiver.core import recount as rules
from archiver.core import window as slices
from archiver.core.coverage import Doubt, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Slice, whole_day
from archiver.core.recount import Errand, Expected, Lost, Step
from archiver.stages.context import Context
from archiver.stages.ports import Ledger
from archiver.stages.reading import Reader

log = structlog.get_logger()


@dataclass(slots=True)
class Found:
    """What a window has shown so far."""

    doubts: list[Doubt] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    listed: bool = False  # whether the whole window was listed, not only counted


@dataclass(slots=True, kw_only=True)
class Recount:
    """The recount of one account."""

    context: Context
    reader: Reader
    ledger: Ledger
    start_from: datetime
    source_retention: timedelta | None  # age at which the source itself deletes: what is older may be gone

    async def ask(self, window: Slice, *, settled_before: date, list_it: bool = False) -> bool:
        """Compare a window with the source. False: the source lists so little that it is not to be believed now."""
        context, new = self.context, self.context.report.new
        expected = await self.ledger.expected(context.account, window)
        found = Found()
        if list_it or _items(expected) < self.reader.fits:
            await self._list(window, found)
            found.listed = True
        else:
            await self._search(window, _items(expected), found)
        if context.stopping():  # a part was not asked about: nothing is proved
            return True
        late = context.report.new - new
        context.report.late += late
        if late:
            log.info("late_recordings", recordings=late, since=window.since, until=window.until)
        return await self._conclude(window, expected, found, settled_before)

    async def run(self, errands: list[Errand], *, settled_before: date) -> None:
        """Do the errands of the full recount, until asked to stop."""
        for errand in errands:
            if self.context.stopping():
                return
            await self.ask(errand.window(self.start_from), settled_before=settled_before, list_it=errand.list_it)
            self.context.report.recounted += len(errand.days)

    async def _search(self, window: Slice, total: int, found: Found) -> None:
        """Halve what differs until little is left, and list that."""
        pending, counts = [window], 0
        while pending and not self.context.stopping():
            part = pending.pop()
            new = self.context.report.new
            page = await self.reader.count(part)
            counts += 1
            # asked for after the count: what that has shown for the first time is expected from now on
            known = part is window and self.context.report.new == new
            expected = total if known else _items(await self.ledger.expected(self.context.account, part))
            step = rules.step(page, expected, part, self.reader.fits)
            if step is Step.AGREED:
                continue
            log.info("recount_differs", since=part.since, until=part.until, said=page.total_items, expected=expected)
            if step is Step.HALVE and counts < rules.MOST_COUNTS:
                pending += reversed(slices.halves(part))
            else:
                await self._list(part, found)
                found.listed = found.listed or part == window

    async def _list(self, window: Slice, found: Found) -> None:
        began, width, done = self.context.clock(), slices.FIRST_WIDTH * rules.WIDEST_DAYS, None
        while (planned := slices.next_slice(window, done, width)) and not self.context.stopping():
            async for part in self.reader.read(planned):
                found.doubts += part.doubts
                if part.proved:
                    account, listed = self.context.account, part.walk.seen
                    found.lost += await self.ledger.unlisted(account, part.window, listed, before=began)
            done = planned.until

    async def _conclude(
        self, window: Slice, expected: Mapping[date, Expected], found: Found, settled_before: date
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
            listed=found.listed,
            doubts=(*found.doubts, *doubted.values()),
            settled_before=settled_before if found.listed else None,
            start_from=self.start_from,
        )
        await self.ledger.conclude(context.account, window, proof, self.reader.learnt)
        return not doubted

    async def _doubted(
        self, expected: Mapping[date, Expected], lost: list[Lost], now: datetime
    ) -> Mapping[date, Doubt]:
        """Name the days on which so much is lost that the source is in doubt, and nobody has given the reason."""
        young = [one for one in lost if self.source_retention is None or one.start > now - self.source_retention]
        if not rules.shrunken(sum(day.at_source for day in expected.values()), len(young)):
            return {}
        doubted = {}
        for day, count in sorted(Counter(one.start.date() for one in young).items()):
            there = expected[day].at_source if day in expected else count
            reason = f"the source lists {there - count} where the catalogue expects {there}"
            if await self._shrunken(day, reason) is not Standing.EXPLAINED:
                doubted[day] = Doubt(whole_day(day), reason, lost=count)
        return doubted

    async def _shrunken(self, day: date, reason: str) -> Standing:
        standing = await self.ledger.record_gap(
            self.context.account,
            GapKind.SHRUNKEN,
            whole_day(day),
            self.context.mark(reason),
            fingerprint=f"shrunken {day}",
            claimed=0,
        )
        if standing is not Standing.EXPLAINED:
            log.error("listing_shrunken", day=str(day), reason=reason, gap=str(standing))
        return standing


def _items(expected: Mapping[date, Expected]) -> int:
    return sum(day.items for day in expected.values())

"""Discover: list slices of call starts, commit every page, and move the watermark only behind committed rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from archiver.core import window as rules
from archiver.core.model import Malformed, Page, Recording, Slice
from archiver.core.window import Belief, Judgement, Walk
from archiver.errors import SkipItem, StopStage, Unreachable
from archiver.stages.context import Context
from archiver.stages.ports import Catalogue, RecordingSource

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Discover:
    """The stage for one account. `base` is what is known of its page numbers, and is learnt on the way."""

    context: Context
    source: RecordingSource
    catalogue: Catalogue
    start_from: datetime
    lookback: timedelta
    page_size: int
    base: int | None = None
    reads: int = rules.MOST_READS  # listings allowed for one planned slice

    async def run(self) -> None:
        """List everything from the watermark less the lookback up to now."""
        account = self.context.account
        progress = await self.catalogue.open_account(account, self.start_from)
        self.base = progress.page_base
        watermark, now = progress.watermark, self.context.clock()
        if rules.ahead(watermark, self.lookback, now):
            log.error("watermark_ahead", watermark=watermark)
            await self.catalogue.begin_anew(account)
            watermark = None
        stretch = rules.horizon(self.start_from, watermark, self.lookback, now)
        if stretch is None:
            return
        width, done = rules.FIRST_WIDTH, None
        while (planned := rules.next_slice(stretch, done, width)) and not self.context.stopping():
            items = await self._read(planned)
            width, done = rules.next_width(width, items, self.page_size), planned.until

    async def _read(self, planned: Slice) -> int:
        """Read a slice, in halves where it must be. Returns how many distinct items it held."""
        pending, items, reads = [planned], 0, 0
        while pending and not self.context.stopping():
            part = pending.pop()
            walk = await self._walk(part)
            if rules.too_many(walk, part):
                pending += reversed(rules.halves(part))
                continue
            reads += 1
            judgement = rules.judge(walk, part, self.reads - reads)
            if judgement.belief is Belief.SMALLER:
                log.info("slice_split", since=part.since, until=part.until, said=walk.total, listed=len(walk.seen))
                pending += reversed(rules.halves(part))
                continue
            await self._accept(part, walk, judgement)
            items += len(walk.seen)
        if reads >= self.reads:
            self.reads = rules.FEW_READS
        return items

    async def _walk(self, part: Slice) -> Walk:
        """Ask for page after page of one slice, committing each."""
        walk = Walk(self.page_size, self.base)
        while (number := rules.next_page(walk)) is not None:
            page = await self._page(part, number, walk)
            await self._commit(part, page)
            walk.add(number, page)
            if rules.too_many(walk, part):
                break
        self.base = walk.learned_base()
        return walk

    async def _page(self, part: Slice, number: int, walk: Walk) -> Page:
        try:
            return await self.source.list_page(part, page=number, page_size=self.page_size)
        except (SkipItem, StopStage) as error:
            # refusing page 0, or a page behind the last, is an answer too: there is nothing on it
            beyond = (number == 0 and walk.asked) or walk.reached
            if not beyond or isinstance(error, Unreachable):
                raise
            return Page(recordings=(), malformed=(), number=number, size=None, total_items=walk.total, total_pages=None)

    async def _commit(self, part: Slice, page: Page) -> None:
        context = self.context
        recordings, twice = distinct(page.recordings)
        malformed = (*page.malformed, *twice)
        context.report.listed += len(page.recordings) + len(page.malformed)
        mark = context.mark("listed by the source")
        context.report.new += await self.catalogue.record_page(context.account, recordings, mark)
        new = await self.catalogue.record_malformed(context.account, malformed, part, now=mark.at)
        context.report.malformed += new
        if new:
            log.warning("malformed_items", items=new, since=part.since, until=part.until, reason=malformed[0].reason)

    async def _accept(self, part: Slice, walk: Walk, judgement: Judgement) -> None:
        context, now = self.context, self.context.clock()
        proved = judgement.belief is Belief.PROVED
        context.report.slices += 1
        if not proved:
            context.report.unproven += 1
            log.warning("slice_unproven", since=part.since, until=part.until, reason=judgement.reason)
        if judgement.short:
            await self._open_gap(part, judgement.reason, now)
        await self.catalogue.accept_slice(context.account, part, base=walk.learned_base(), proved=proved, now=now)
        log.debug("slice_listed", since=part.since, until=part.until, listed=len(walk.seen), proved=proved)

    async def _open_gap(self, part: Slice, reason: str, now: datetime) -> None:
        mark = f"{part.since.isoformat()}/{part.until.isoformat()}"
        new = await self.catalogue.record_gap(self.context.account, "unlisted", part, reason=reason, mark=mark, now=now)
        if new:
            log.error("gap_opened", kind="unlisted", since=part.since, until=part.until, reason=reason)


def distinct(listed: Iterable[Recording]) -> tuple[list[Recording], list[Malformed]]:
    """Drop repeats of an id. A repeat that says something else is kept as malformed: neither may be lost."""
    first: dict[str, Recording] = {}
    odd = []
    for item in listed:
        known = first.setdefault(item.id, item)
        if known.raw != item.raw:
            odd.append(Malformed(reason=f"recording {item.id} stands twice on a page, differently", raw=item.raw))
    return list(first.values()), odd

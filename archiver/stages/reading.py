"""Read a slice of the source's listing: every page committed as it comes, in halves where it cannot be believed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, field, replace

import structlog

from archiver.core import window as rules
from archiver.core.coverage import Doubt
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Learnt, Malformed, Page, Recording, Slice
from archiver.core.window import Belief, Judgement, Walk
from archiver.errors import SkipItem, StopStage, Unreachable
from archiver.stages.context import Context
from archiver.stages.ports import Ledger, RecordingSource

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Part:
    """A slice that was read to its end, and what that is worth."""

    window: Slice
    walk: Walk
    judgement: Judgement

    @property
    def proved(self) -> bool:
        """Whether the source listed as many as it says it has."""
        return self.judgement.belief is Belief.PROVED

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why it is not proved, if so."""
        return () if self.proved else (Doubt(self.window, self.judgement.reason, usable=self.judgement.usable),)


@dataclass(slots=True, kw_only=True)
class Reader:
    """Reads the listing of one account. `learnt` is what is known of its paging, and grows on the way."""

    context: Context
    source: RecordingSource
    ledger: Ledger
    page_size: int
    learnt: Learnt = field(default_factory=Learnt)
    reads: int = rules.MOST_READS  # listings allowed for one planned slice
    left: int = 0  # of those

    @property
    def fits(self) -> int:
        """How many items a page holds, as far as is known."""
        return min(self.page_size, self.learnt.page_cap or self.page_size)

    async def count(self, window: Slice, expected: int) -> Page:
        """Ask for the last item that is expected, and the total beside it; it is kept like any that is listed."""
        first = 1 if self.learnt.page_base is None else self.learnt.page_base
        self.context.report.counts += 1
        number = first + max(expected - 1, 0)
        try:
            page = await self.source.list_page(window, page=number, page_size=1)
        except (SkipItem, StopStage) as error:
            if number == first or isinstance(error, Unreachable):
                raise
            page = await self.source.list_page(window, page=first, page_size=1)  # there are not so many any more
        return await self._commit(page)

    async def read(self, planned: Slice) -> AsyncGenerator[Part]:
        """Read a slice, in halves where it must be, and give its parts in order. Ends early when asked to stop."""
        pending, self.left = [planned], self.reads
        while pending and not self.context.stopping():
            window = pending.pop()
            walk = await self._walk(window)
            if rules.too_many(walk, window):
                pending += reversed(rules.halves(window))
                continue
            self.left -= 1
            async for part in self._narrow(window, walk):
                await self._note(part)
                yield part
        if self.left <= 0:
            self.reads = rules.FEW_READS

    async def _narrow(self, window: Slice, walk: Walk) -> AsyncIterator[Part]:
        """Read the halves of a slice that cannot be believed, and their halves, as long as that leads anywhere."""
        judgement = rules.judge(walk, window, self.left)
        if judgement.belief is not Belief.SMALLER:
            yield Part(window, walk, judgement)
            return
        log.info("slice_split", since=window.since, until=window.until, said=walk.total, listed=len(walk))
        self.left -= 2
        halves = [(half, await self._walk(half)) for half in rules.halves(window)]
        if contradicted := rules.judge_again(walk, [part for _, part in halves]):
            yield Part(window, walk, contradicted)
            return
        for half, part in halves:
            if not self.context.stopping():
                async for smaller in self._narrow(half, part):
                    yield smaller

    async def _walk(self, window: Slice) -> Walk:
        """Ask for page after page of one slice, committing each."""
        walk = Walk(self.page_size, self.learnt.page_base)
        while (number := rules.next_page(walk)) is not None:
            page = await self._page(window, number, walk)
            walk.add(number, await self._commit(page))
            if rules.too_many(walk, window):
                break
        self.learnt = walk.learned(self.learnt)
        if walk.odd:
            await self._note_odd(window, list(walk.odd.values()), counted=walk.odd_are_counted)
        return walk

    async def _page(self, window: Slice, number: int, walk: Walk) -> Page:
        try:
            return await self.source.list_page(window, page=number, page_size=self.page_size)
        except (SkipItem, StopStage) as error:
            # refusing page 0, or a page behind the last, is an answer too: there is nothing on it
            if not (number == 0 or walk.reached) or isinstance(error, Unreachable):
                raise
            walk.refused = walk.refused or number == 0
            return Page(recordings=(), malformed=(), number=number, size=None, total_items=walk.total, total_pages=None)

    async def _commit(self, page: Page) -> Page:
        """Write a page's recordings down. Returns the page without repeats."""
        context = self.context
        recordings, twice = distinct(page.recordings)
        context.report.listed += len(page.recordings) + len(page.malformed)
        recorded = await self.ledger.record_page(context.account, recordings, context.mark("listed by the source"))
        context.report.new += recorded.new
        for moved in recorded.moved:
            await self._note_moved(moved)
        if recorded.undeleted:
            log.warning("purged_still_listed", recordings=recorded.undeleted)
        return replace(page, malformed=(*page.malformed, *twice))

    async def _note_moved(self, item: Recording) -> None:
        """Keep what is listed under an id that has another start on record: two calls, or one that was corrected."""
        reason = f"recording {item.id} is listed with two different starts"
        odd = Malformed(reason=reason, raw=item.raw, id=item.id, since=item.start, until=item.start)
        await self._note_odd(Slice(item.start, item.start), [odd], counted=False)

    async def _note(self, part: Part) -> None:
        report, window, reason = self.context.report, part.window, part.judgement.reason
        report.slices += 1
        if part.judgement.short:
            await self._note_short(window, part.judgement)
        if not part.proved:
            report.unproven += 1
            log.warning("slice_unproven", since=window.since, until=window.until, reason=reason)
        log.debug("slice_listed", since=window.since, until=window.until, listed=len(part.walk), proved=part.proved)

    async def _note_odd(self, window: Slice, items: list[Malformed], *, counted: bool) -> None:
        context = self.context
        mark = context.mark("unreadable item")
        new = await self.ledger.record_malformed(context.account, items, window, mark, counted=counted)
        context.report.malformed += new
        if new:
            log.warning("malformed_items", items=new, since=window.since, until=window.until, reason=items[0].reason)

    async def _note_short(self, window: Slice, judgement: Judgement) -> None:
        mark, place = self.context.mark(judgement.reason), f"{window.since.isoformat()}/{window.until.isoformat()}"
        standing = await self.ledger.record_gap(
            self.context.account, GapKind.UNLISTED, window, mark, fingerprint=place, claimed=judgement.short
        )
        if standing is Standing.NEW:
            log.error("gap_opened", kind="unlisted", since=window.since, until=window.until, reason=judgement.reason)


def distinct(listed: Iterable[Recording]) -> tuple[list[Recording], list[Malformed]]:
    """Drop repeats of an id. A repeat that says something else is kept as malformed: neither may be lost."""
    first: dict[str, Recording] = {}
    odd = []
    for item in listed:
        known = first.setdefault(item.id, item)
        if known.raw != item.raw:
            reason = f"recording {item.id} stands twice on a page, differently"
            odd.append(Malformed(reason=reason, raw=item.raw, id=item.id, since=item.start, until=item.start))
    return list(first.values()), odd

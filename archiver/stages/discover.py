"""Discover: ask again about the lookback, list what is new, and move the watermark only behind committed rows."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog

from archiver.core import recount as recounts
from archiver.core import window as rules
from archiver.core.clocks import cautious, latest
from archiver.core.coverage import Proof
from archiver.core.model import Slice
from archiver.core.recount import DueDay
from archiver.stages.backfilling import Backfilling
from archiver.stages.clock import watch
from archiver.stages.context import Context
from archiver.stages.ports import Ledger, RecordingSource
from archiver.stages.reading import Part, Reader
from archiver.stages.recounting import Ahead, Recount

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover:
    """The stage for one account."""

    context: Context
    source: RecordingSource
    ledger: Ledger
    reader: Reader
    recount: Recount
    start_from: datetime
    lookback: timedelta
    recount_every: timedelta
    allowance: int  # requests for the full recount
    history: Backfilling
    until: datetime | None = None  # after it no further slice is listed: the other accounts wait for this one

    async def run(self) -> None:
        """Recount the lookback, list everything behind the watermark up to now, recount older days that are due."""
        try:
            await self._discover()
        finally:
            watch(self.context, self.source)

    async def _discover(self) -> None:
        progress = await self.ledger.open_account(self.context.account, self.start_from)
        self.reader.learnt, watermark = progress.learnt, progress.watermark
        self.recount.start_from = await self.history.kept_from(self.start_from)
        believed = await self._recent(watermark)
        if rules.ahead(watermark, latest(self.context.clock(), self.source.clock_ahead)):
            log.error("watermark_ahead", watermark=watermark)
            await self.ledger.begin_anew(self.context.account, self._now())
            watermark = None
        await self._list_ahead(watermark, believed=believed)
        if watermark is not None:
            await self._older(self._edge(watermark).date())
        if not self.context.stopping():
            await self.history.run()

    async def again(self, asked: Slice) -> None:
        """List days again, however they were proved, as far as they were listed before."""
        account = self.context.account
        progress = await self.ledger.open_account(account, self.start_from)
        self.recount.start_from = start = await self.history.kept_from(self.start_from)
        self.reader.learnt, known_up_to = progress.learnt, max(progress.watermark or start, start)
        known = await self.ledger.expected(account, asked)
        days = [day for day in asked.days() if progress.watermark and start.date() <= day <= known_up_to.date()]
        counts = {day: known[day].items if day in known else 0 for day in days}
        due = [DueDay(day=day, expected=count, checked_at=None, list_it=True) for day, count in counts.items()]
        for errand in recounts.errands(due, self.reader.fits):
            whole = errand.window(start)
            window = Slice(whole.since, min(whole.until, known_up_to))
            await self.recount.ask(window, settled_before=self._edge(known_up_to).date(), list_it=True)
            if self.context.stopping():
                return
            self.context.report.recounted += len(errand.days)

    def _edge(self, watermark: datetime) -> datetime:
        return recounts.edge(self.recount.start_from, watermark, self.lookback)

    def _known_up_to(self, watermark: datetime | None) -> datetime | None:
        """Where listing goes on. Until an account has shown its paging, the lookback is listed instead of counted."""
        if watermark is None or self.reader.learnt.page_base is not None:
            return watermark
        return self._edge(watermark) - rules.SECOND

    async def _recent(self, watermark: datetime | None) -> bool:
        if watermark is None or self.reader.learnt.page_base is None or self._edge(watermark) > watermark:
            return True
        return await self.recount.ask(Slice(self._edge(watermark), watermark))

    async def _list_ahead(self, watermark: datetime | None, *, believed: bool) -> None:
        """List slice after slice. While the source is not to be believed, the watermark stays where it is."""
        known_up_to = self._known_up_to(watermark)
        stretch = rules.stretch_ahead(self.start_from, known_up_to, self._now())
        if stretch is None:
            return
        # what a pass finds new is little; only where nothing is known yet, the pace must be felt out
        width, done = rules.FIRST_WIDTH if known_up_to is None else rules.WIDEST, None
        while (planned := rules.next_slice(stretch, done, width)) and not self.context.stopping():
            if believed and self._leaves(watermark, done):
                log.info("listing_goes_on_later", listed_up_to=done, until=stretch.until)
                return
            if items := recounts.items(await self.ledger.expected(self.context.account, planned)):
                believed, done = await self._compare(planned, believed=believed), planned.until
            else:
                items, done = await self._list(planned, watermark, believed=believed)
            width = rules.next_width(width, items, self.reader.page_size)

    async def _compare(self, planned: Slice, *, believed: bool) -> bool:
        """List a slice of which something is known, because its listing was cut off, or is begun anew."""
        ahead = Ahead.MOVES if believed else Ahead.STAYS
        return await self.recount.ask(planned, settled_before=self._settled(), list_it=True, ahead=ahead) and believed

    async def _list(self, planned: Slice, watermark: datetime | None, *, believed: bool) -> tuple[int, datetime]:
        """List a slice of which nothing is known, and the second before it: a source may know parts of a second.

        Returns how many items there were, and up to where: a busy slice comes in parts, and is left between two.
        """
        items, done = 0, planned.until
        whole = Slice(max(planned.since - rules.SECOND, self.start_from), planned.until)
        async with aclosing(self.reader.read(whole)) as parts:
            async for part in parts:
                items, done = items + len(part.walk), part.window.until
                if believed:
                    await self._accept(part, planned.since)
                    if self._leaves(watermark, done):
                        break
        return items, done

    def _leaves(self, watermark: datetime | None, done: datetime | None) -> bool:
        """Whether to go on in the next pass; never before this one has come further than the one before."""
        late = self.until is not None and self.context.clock() >= self.until
        return late and rules.gets_on(watermark, done)

    def _settled(self) -> date:
        """Days before it have their lookback behind them."""
        return recounts.edge(self.start_from, self._now(), self.lookback).date()

    async def _accept(self, part: Part, since: datetime) -> None:
        """Write down what a part tells, as far as it begins at `since` and is not to come."""
        now = self._now()
        begin, end = max(part.window.since, since), min(part.window.until, now.replace(microsecond=0))
        if begin > end:  # our clock may be ahead of the source's: nothing can have been listed there
            return
        window = Slice(begin, end)
        proof = Proof(
            run=self.context.run,
            at=now,
            listed=(window,),
            doubts=part.doubts,
            settled_before=self._settled(),
            start_from=self.start_from,
        )
        await self.ledger.accept_slice(self.context.account, window, proof, self.reader.learnt)

    async def _older(self, before: date) -> None:
        """Recount days that are due and lie before the lookback, as many as the quota's share allows."""
        now, report = self.context.clock(), self.context.report
        troubled = now - min(recounts.TROUBLED, self.recount_every)
        due = await self.ledger.due_days(
            self.context.account,
            first=self.recount.start_from.date(),
            before=before,
            proved_before=now - self.recount_every,
            troubled_before=troubled,
        )
        wanted = recounts.errands(due, self.reader.fits)
        chosen = recounts.affordable(wanted, self.allowance)
        await self.recount.run(chosen, settled_before=before)
        if not due:
            return
        report.recounts_due = sum(len(errand.days) for errand in wanted) - report.recounted
        planned, left = sum(errand.cost for errand in chosen), sum(errand.cost for errand in wanted)
        log.info(
            "recount_done", days=report.recounted, left=report.recounts_due, planned=planned, needed=left,
            allowance=self.allowance,
        )  # fmt: skip

    def _now(self) -> datetime:
        return cautious(self.context.clock(), self.source.clock_ahead)

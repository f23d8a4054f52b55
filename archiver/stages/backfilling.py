"""Backfill: list history that was asked for, a stretch at a time, as far as the archive can follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from archiver.core import backfill as history
from archiver.core import window as rules
from archiver.core.backfill import Backfill
from archiver.core.model import Slice
from archiver.stages.context import Context
from archiver.stages.export_ports import BackfillRecord
from archiver.stages.recounting import Ahead, Recount

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Backfilling:
    """Part of the discover stage."""

    context: Context
    record: BackfillRecord
    recount: Recount  # of its own: its calls begin before the account's start_from
    page_size: int
    allowance: int  # listing requests in one pass
    lookback: timedelta  # days within it are listed once more when they have left it

    async def kept_from(self, start_from: datetime) -> datetime:
        """Where the calls begin that the account answers for."""
        return history.kept_from(start_from, await self.record.all(self.context.account))

    async def run(self) -> None:
        """List what was asked for and is not listed, oldest calls first, until enough waits to be archived."""
        for one in await self.record.unlisted(self.context.account):
            await self._list(one)

    async def _list(self, one: Backfill) -> None:
        self.recount.start_from = one.window.since
        left, done, width = one.left, None, rules.FIRST_WIDTH
        while left is not None and (planned := rules.next_slice(left, done, width)) is not None:
            if not await self._may_list():
                return
            items = await self._ask(planned)
            if self.context.stopping():
                return
            await self.record.listed(one, planned.until, self.context.clock())
            width, done = rules.next_width(width, items, self.page_size), planned.until
        log.info("backfill_listed", backfill=one.number, since=one.window.since, until=one.window.until)

    async def _ask(self, planned: Slice) -> int:
        """List a stretch, and write down what its days are worth. Returns how many items it has."""
        report = self.context.report
        before, counts = report.listed, report.slices
        settled = min(planned.until.date() + rules.ONE_DAY, (self.context.clock() - self.lookback).date())
        await self.recount.ask(planned, settled_before=settled, list_it=True, ahead=Ahead.HISTORY)
        self.allowance -= max(report.slices - counts, 1) + (report.listed - before) // self.page_size
        return report.listed - before

    async def _may_list(self) -> bool:
        if self.allowance <= 0 or self.context.stopping():
            return False
        return await self.record.count_waiting(self.context.account) < history.MOST_WAITING

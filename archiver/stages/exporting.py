"""Exports of one account: asked for where the quota is small, fetched when they are ready, given up where they fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from archiver.core import exports as rules
from archiver.core import recount
from archiver.core.danger import SourceRetention
from archiver.core.exports import Batch, Cost, Export, Job, Names, Phase
from archiver.core.model import Slice
from archiver.core.window import ahead
from archiver.errors import AccessDenied, SkipItem, StopStage, Throttled, Transient
from archiver.stages.context import Context
from archiver.stages.export_ports import Answer, ExportRecord, ExportSource, Retrieved, nothing
from archiver.stages.members import MemberReader, Tally
from archiver.stages.ports import Ledger
from archiver.stages.reading import Reader

log = structlog.get_logger()

MOST_LISTINGS = 2  # of a slice, while the source says that it has more than is known


@dataclass(slots=True, kw_only=True)
class Exporting:
    """Part of the transfer stage: only for the holder of the account's transfer lock."""

    context: Context
    source: ExportSource
    record: ExportRecord
    reader: Reader
    ledger: Ledger
    members: MemberReader
    always: bool  # also where single requests would do
    deadline: timedelta  # longest wait for an export
    lookback: timedelta  # calls since then come before all history
    retention: SourceRetention | None
    sleep: Callable[[float], Awaitable[None]]
    listings: Counter[int] = field(default_factory=Counter)  # by export: how often its slice was listed for it
    tallies: dict[int, Tally] = field(default_factory=dict)
    closed: int = 0  # exports that have ended in this pass

    async def order(self, room: int) -> None:
        """Ask for the exports that are worth it. `room`: single requests that could go out instead."""
        context, under_way = self.context, await self._resume()
        if not self.source.usable:
            return
        now = context.clock()
        if reason := await self.record.refused_since(context.account, now - rules.REFUSED_FOR):
            log.info("exports_suspended", reason=reason)
            return
        wanted = await self._wanted(now, [export.window for export in under_way])
        polls = await self.record.usual_polls(context.account) or rules.EXPECTED_POLLS
        room = 0 if self.always else room
        for batch in rules.choose(wanted, room=room, cost=Cost(polls), under_way=len(under_way)):
            if context.stopping() or not await self._ask(batch):
                return

    async def collect(self, until: datetime | None) -> None:
        """Fetch what is ready. `until`: wait for what is not, up to then; None: do not wait."""
        while not self.context.stopping() and (found := await self._next()) is not None:
            export, job = found
            now = self.context.clock()
            if self.late(export, now):
                never = all(one.ready_at is None for one in export.jobs)
                phase = Phase.REFUSED if never else Phase.GIVEN_UP
                await self._close(export, phase, "it was not there in time (sync.export_deadline)")
            elif job.fetches >= rules.MOST_BEGUN:
                await self._close(export, Phase.GIVEN_UP, "no run has come to the end of its ZIP")
            elif rules.is_due(job, now):
                await self._poll(export, job)
            elif until is not None and job.next_poll_at <= until:
                await self.sleep((job.next_poll_at - now).total_seconds())
            else:
                return

    def late(self, export: Export, now: datetime) -> bool:
        """Whether an export is waited for no longer: it was asked for once more when its time was over."""
        over = export.asked_at + self.deadline
        return now > over and all(job.next_poll_at > over for job in export.pending)

    async def _wanted(self, now: datetime, taken: Sequence[Slice]) -> list[Batch]:
        endangered = None if self.retention is None else self.retention.endangered_before(now)
        recent, mark = now - self.lookback, self.context.mark("looked at for exports")
        hours = await self.record.hours(self.context.account, mark, endangered_before=endangered, recent_since=recent)
        return rules.batches(hours, endangered_before=endangered, recent_since=recent, under_way=taken)

    async def _resume(self) -> list[Export]:
        """Take up exports that a run has left between two steps. Returns those that are under way."""
        under_way = await self.record.open(self.context.account)
        for export in under_way:
            if not self.source.usable:
                await self._close(export, Phase.GIVEN_UP, "exports are no longer used")
            elif export.phase is Phase.WAITING and not export.pending:
                await self._close(export, Phase.DONE, "read to the end by a run that has died since")
            elif export.phase is Phase.ASKED:
                await self._again(export, "the answer to the request for it is not known")
            elif ahead(export.asked_at, self.context.clock()):
                await self._again(export, "a clock was ahead when it was asked for")
        return await self.record.open(self.context.account) if under_way else []

    async def _ask(self, batch: Batch) -> bool:
        """Ask for an export. False: the source is not to be asked for more now."""
        export = await self.record.ask(self.context.account, batch, self.context.mark("asked for"))
        return await self._send(export)

    async def _again(self, export: Export, reason: str) -> None:
        """Ask anew for an export whose jobs are lost, unless that was tried before."""
        if export.tries >= rules.MOST_TRIES:
            await self._close(export, Phase.GIVEN_UP, reason)
            return
        log.info("export_repeated", export=export.number, reason=reason)
        await self._send(await self.record.ask_again(export, self.context.mark(reason)))

    async def _send(self, export: Export) -> bool:
        window = export.window
        try:
            jobs = await self.source.create(window)
        except Throttled:
            raise
        except SkipItem as error:
            log.error("export_refused", export=export.number, reason=str(error))
            await self._close(export, Phase.REFUSED, str(error))
            return False
        except Transient as error:  # it may have arrived: the next pass asks anew, once
            log.warning("export_unanswered", export=export.number, reason=str(error))
            return False
        self.context.report.exports += 1
        if not jobs:
            await self._close(export, Phase.GIVEN_UP, "the source made no job for it")
            return True
        mark = self.context.mark("the source made jobs")
        usual = await self.record.usual_delay(self.context.account)
        await self.record.made(export, jobs, rules.first_poll(mark.at, usual), mark)
        log.info(
            "export_asked", export=export.number, since=window.since, until=window.until, due=export.due, jobs=len(jobs)
        )
        return True

    async def _next(self) -> tuple[Export, Job] | None:
        """Find the job that is to be asked for next."""
        under_way = await self.record.open(self.context.account)
        self.context.report.awaited = sum(one.due for one in under_way)
        waiting = [one for one in under_way if one.phase is Phase.WAITING]
        first = min((one for one in waiting if one.pending), key=lambda one: one.pending[0].next_poll_at, default=None)
        return None if first is None else (first, first.pending[0])

    async def _poll(self, export: Export, job: Job) -> None:
        """Ask for a job's ZIP. Whatever comes of it, the next look is a later one."""
        await self.record.polled(export, job, rules.next_poll(job, self.context.clock()))
        async with AsyncExitStack() as stack:
            try:
                got = await stack.enter_async_context(self.source.retrieve(job.job_id))
            except Throttled:
                raise
            except (Transient, SkipItem, StopStage, AccessDenied) as error:
                got = Retrieved(Answer.NOT_YET, str(error), nothing())
            known = got.answer is not Answer.ZIP or await self._fetch(export, job, got)
        if not known:
            await self._list(export)
        elif got.answer is Answer.REFUSED:
            log.error("export_refused", export=export.number, reason=got.why)
            await self._close(export, Phase.REFUSED, got.why)
        elif got.answer is Answer.GONE or (got.answer is Answer.UNKNOWN and rules.expired(job, self.context.clock())):
            await self._again(export, "the source no longer has it")
        elif got.answer is not Answer.ZIP:
            log.debug("export_awaited", export=export.number, job=job.number, polls=job.polls + 1, reason=got.why)

    async def _fetch(self, export: Export, job: Job, got: Retrieved) -> bool:
        """Read a ZIP that comes. False: the slice must be listed first, for it may hold what is not known."""
        mark = self.context.mark("its ZIP comes")
        if not await self._is_known(export):
            return False
        await self.record.fetching(export, job, rules.next_poll(job, mark.at), mark)
        names = Names(await self.record.listed(self.context.account, export.window, copied_since=export.asked_at))
        tally = self.tallies.setdefault(export.number, Tally())
        problem = await self.members.read(got.chunks, names, tally, export=export.number)
        if self.context.stopping():
            return True
        if problem is None or job.fetches + 1 >= rules.MOST_FETCHES:
            await self._read(export, job, problem)
        else:
            self.context.report.retries["export_cut"] += 1
            log.warning("export_cut", export=export.number, job=job.number, reason=problem, members=tally.counts())
        return True

    async def _read(self, export: Export, job: Job, problem: str | None) -> None:
        """Finish a job; and the export with its last one."""
        await self.record.read(export, job, self.context.mark("read"))
        if len(export.pending) > 1:
            return
        tally = self.tallies[export.number]
        if tally.unlisted and not self.listings[export.number]:
            await self._list(export)  # calls that were published since: now they are known
        if problem is not None:
            await self._close(export, Phase.GIVEN_UP, problem)
        elif tally.unlisted > tally.stored + tally.unwanted and export.tries == 1:
            await self._close(export, Phase.REFUSED, "most of its members are no recording that was listed")
        else:
            await self._close(export, Phase.DONE, "read to the end")

    async def _is_known(self, export: Export) -> bool:
        """Whether all that the source has in the slice is listed: else a member could be taken for another's.

        Asked while the ZIP is there: what was published before it was made is counted, whenever that was.
        """
        account, window, listings = self.context.account, export.window, self.listings[export.number]
        expected = await self.ledger.expected(account, window)
        # what is claimed and not listed has no name: it could be taken for a listed one
        known = sum(day.at_source for day in expected.values())
        page = await self.reader.count(window, recount.items(expected))
        if not recount.usable(page) or page.total_items is None:
            return listings > 0
        return page.total_items <= known

    async def _list(self, export: Export) -> None:
        """List the slice of an export anew. Given up where that does not show what the source says it has."""
        if self.listings[export.number] >= MOST_LISTINGS:
            await self._close(export, Phase.GIVEN_UP, "the source says that it has more than it lists")
            return
        self.listings[export.number] += 1
        async for _ in self.reader.read(export.window):
            pass

    async def _close(self, export: Export, phase: Phase, reason: str) -> None:
        counts = self.tallies.get(export.number, Tally()).counts()
        left = await self.record.close(self.context.account, export, phase, self.context.mark(reason), counts)
        self.closed += 1
        number, since, until = export.number, export.window.since, export.window.until
        if phase is Phase.DONE:
            log.info("export_closed", export=number, since=since, until=until, left=left, members=counts)
        else:
            log.warning(
                "export_given_up", export=number, since=since, until=until, reason=reason, left=left, members=counts
            )

"""A pass: every stage once over every account, each under its lock. One account in trouble does not stop the others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial

import structlog

from archiver import __version__
from archiver.adapters.database import exclusive
from archiver.adapters.run_log import PassEnd, at_work, begin_run, decisions_copied, end_run
from archiver.app import App
from archiver.assembly import Assembly
from archiver.budgeting import Budgeting, warn
from archiver.core.health import Stop
from archiver.core.model import Entry, Slice, State
from archiver.core.plan import Plan
from archiver.core.report import PassReport, exit_code
from archiver.deletions import Deletions
from archiver.errors import AccountBusy, ArchiverError, ConfigError, SchemaError, StopDaemon, StopStage, Throttled
from archiver.scheduler import INTERRUPTED
from archiver.stages.context import Context, StageName
from archiver.stages.decisions import CopyDecisions
from archiver.stages.ledger import KeepLedger

log = structlog.get_logger()


@dataclass(kw_only=True)
class Pass:
    """One run over the accounts. Its `reports` can be watched while it goes on."""

    app: App
    run: str
    stopping: Callable[[], bool] = lambda: False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  # between two looks at what the source is to make ready
    longest: timedelta | None = None  # after so long listing and transfer begin nothing new; None: until all is done
    restored: bool = False  # the catalogue is older than the bucket and the source: see docs/operations.md, backup
    reports: dict[str, PassReport] = field(default_factory=dict)
    refusal: ArchiverError | None = None  # what forbade the automatic deletion as a whole

    async def sync(self) -> int:
        """Discover, transfer and verify; delete at the source where that is automatic. Returns the exit code."""
        async with self._recorded("sync") as conclude:
            await self.app.terms.announce(self.run, self.app.clock())
            await self._archive_all()
            if await self._protect_all():
                await self._deletions.finish_interrupted()
                if not self.stopping():
                    await self._delete_due()
            await self._keep_ledger()
            return conclude(await self.app.reads.count_gaps())

    async def verify(self, entries: Mapping[str, AsyncIterator[Entry]]) -> int:
        """Verify what is given for each account. Returns the exit code."""
        async with self._recorded("verify") as conclude:
            for name, some in entries.items():
                await self._verify(self._context(name), some)
            await self._keep_ledger()
            return conclude(0)

    async def recount(self, asked: Mapping[str, Slice]) -> int:
        """List days again at the source, as far as they were listed before. Returns the exit code."""
        async with self._recorded("recount") as conclude:
            for name, days in asked.items():
                context = self._context(name)
                with structlog.contextvars.bound_contextvars(account=name):
                    await self._stage(context, "discover", partial(self.assembly.discover(context).again, days))
            await self._keep_ledger()
            return conclude(await self.app.reads.count_gaps())

    async def apply(self, plan: Plan, under: Mapping[str, object]) -> int:
        """Delete exactly what a plan names and what still qualifies. Raises SafetyLimit. Returns the exit code.

        `under`: the plan and who has approved it, for the history.
        """
        async with self._recorded("apply") as conclude:
            if await self._protect_all():
                await self._deletions.finish_interrupted()
                await self._deletions.delete(plan.items, under)
            await self._keep_ledger()
            return conclude(0)

    async def protect(self) -> int:
        """Compare locks and holds in the bucket with the record, and settle them. Returns the exit code."""
        async with self._recorded("protect") as conclude:
            await self._protect_all(recheck=True)
            return conclude(0)

    def counts(self) -> dict[str, dict[str, object]]:
        """Give the numbers of each account, for `--json`."""
        return {name: report.as_counts() for name, report in self.reports.items()}

    async def draft(self, *, author: str) -> Plan:
        """Decide about every archived recording. Changes nothing; memory holds only what is to be deleted."""
        return await self._deletions.draft(author=author)

    async def _archive_all(self) -> None:
        """All accounts at once; an error that ends the run is raised when every account has come to its end."""
        ends = await asyncio.gather(*map(self._archive, self.app.sources), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _archive(self, name: str) -> None:
        context = self._context(name)
        with structlog.contextvars.bound_contextvars(account=name):
            if await self._stage(context, "discover", self.assembly.discover(context).run):
                await self._forewarn(name)
                await self._stage(context, "transfer", self.assembly.transfer(context).run)
            await self._verify(context, self.app.reads.entries(name, [State.STORED]))

    async def _forewarn(self, name: str) -> None:
        """Say what the quota will not do, before it is too late."""
        app = self.app
        budgeting, can_export = (
            Budgeting(app.budget_reads, app.exports, app.settings, app.policies),
            app.sources[name].exports.usable,
        )
        warn(await budgeting.of(app.account(name), app.quotas[name], can_export=can_export, now=app.clock()))

    async def _verify(self, context: Context, entries: AsyncIterator[Entry]) -> None:
        await self._stage(context, "verify", partial(self.assembly.verify(context).run, entries))

    async def _protect_all(self, *, recheck: bool = False) -> bool:
        """Bring locks and legal holds up to the policies and cases as they stand.

        False: nothing may be deleted, because what was decided has no copy in the bucket yet.
        """
        copied = await self._copy_decisions()
        for name in self.app.sources:
            context = self._context(name)
            with structlog.contextvars.bound_contextvars(account=name):
                await self._stage(context, "protect", partial(self.assembly.protect(context).run, recheck=recheck))
        return copied

    async def _copy_decisions(self) -> bool:
        """Copy into the bucket what was decided, under a lock of the first account: they concern all of them."""
        app, name = self.app, next(iter(self.app.sources))
        copied, prefix = partial(decisions_copied, app.engine, name), app.settings.vault.prefix
        context, done = self._context(name), False
        copy = CopyDecisions(context, app.store, app.listing, app.controls, copied, prefix)

        async def work() -> None:
            nonlocal done
            await copy.run()
            done = True  # no error of any kind, also none that other stages could go on after

        with structlog.contextvars.bound_contextvars(account=name):
            await self._stage(context, "decisions", work)
        return done

    async def _keep_ledger(self) -> None:
        """Say what each day is worth now, also where a stage was stopped; not where the database is out of reach."""
        for name in self.app.sources:
            context = self._context(name)
            with structlog.contextvars.bound_contextvars(account=name):
                await self._stage(context, "ledger", KeepLedger(context, self.app.ledger).run)

    async def _delete_due(self) -> None:
        try:
            await self._deletions.delete_due()
        except (ConfigError, SchemaError):
            raise
        except ArchiverError as error:
            self.refusal = error
            log.error("deletion_refused", reason=str(error), hint=error.hint)

    async def _stage(self, context: Context, name: StageName, work: Callable[[], Awaitable[None]]) -> bool:
        """Run one stage under its lock. False: a neighbour is out of reach, or someone must act first."""
        began = time.monotonic()
        context.report.stage = name
        try:
            with structlog.contextvars.bound_contextvars(stage=name):
                async with exclusive(self.app.engine, context.account, name):
                    await work()
        except (ConfigError, SchemaError):
            raise
        except ArchiverError as error:
            self._note_stop(context, name, error)
            return not isinstance(error, StopStage | StopDaemon | Throttled)
        finally:
            spent = context.report.seconds.get(name, 0.0) + time.monotonic() - began
            context.report.seconds[name] = spent
        return True

    def _note_stop(self, context: Context, stage: str, error: ArchiverError) -> None:
        report = context.report
        report.stopped = report.stopped or f"{stage}: {error}"
        report.exit_code = max(report.exit_code, error.exit_code)
        if isinstance(error, AccountBusy):  # the other process will say how its pass ends: this one cannot tell
            log.warning("stage_busy", stage=stage, reason=str(error))
        else:
            kind, final = type(error).__name__, isinstance(error, StopDaemon)
            report.stop = report.stop or Stop(kind, f"{stage}: {error}", final)
            log.error("stage_stopped", stage=stage, kind=kind, reason=str(error), hint=error.hint)

    @asynccontextmanager
    async def _recorded(self, command: str) -> AsyncIterator[Callable[[int], int]]:
        """Write the run down in the catalogue and sum it up in one event, however it ends."""
        began, code = time.monotonic(), 1  # a bug, unless something better is known
        ended_by: ArchiverError | None = None
        before = {name: (source.sent, source.retries) for name, source in self.app.sources.items()}
        whole = False  # every account came to its end, or to its stop

        def conclude(open_gaps: int) -> int:
            nonlocal code, whole
            whole = command == "sync" and not self.stopping()
            refused = 0 if self.refusal is None else self.refusal.exit_code
            code = INTERRUPTED if self.stopping() else refused or exit_code(self.reports.values(), open_gaps)
            return code

        with structlog.contextvars.bound_contextvars(run_id=self.run):
            async with at_work(self.app.engine, self.run):
                await begin_run(self.app.engine, self.run, command, self.app.clock())
                try:
                    yield conclude
                except ArchiverError as error:
                    code, ended_by = error.exit_code, error
                    raise
                except asyncio.CancelledError:
                    code = INTERRUPTED
                    raise
                finally:
                    self._count_requests(before)
                    spent = round(time.monotonic() - began, 3)
                    await self._put_down(command, code, spent, ended_by or self.refusal, whole=whole)

    async def _put_down(
        self, command: str, code: int, spent: float, error: ArchiverError | None, *, whole: bool
    ) -> None:
        """Tell the log and the catalogue how the run has ended."""
        stop = None if error is None else Stop(type(error).__name__, str(error), isinstance(error, StopDaemon))
        records = {name: report.as_record() for name, report in self.reports.items()}
        log.info(
            "pass_finished",
            command=command,
            version=__version__,
            exit_code=code,
            seconds=spent,
            stop=None if stop is None else {"kind": stop.kind, "reason": stop.reason},
            accounts=records,
        )
        ends = self._ends() if whole else []
        await end_run(self.app.engine, self.run, code, records, self.app.clock(), ends, stop)

    def _ends(self) -> list[PassEnd]:
        told = {name: one for name, one in self.reports.items() if one.stop is not None or not one.stopped}
        return [PassEnd(name, report.stop, report.clock_seconds) for name, report in told.items()]

    def _count_requests(self, before: Mapping[str, tuple[Counter[str], Counter[str]]]) -> None:
        for name, (sent, retries) in before.items():
            source, report = self.app.sources[name], self.reports.get(name)
            if report is None:
                continue
            report.sent = source.sent - sent
            report.requests = report.sent.total()
            report.retries += source.retries - retries
            report.repeats.add(source.repeats.take())

    def _context(self, account: str) -> Context:
        report = self.reports.setdefault(account, PassReport(account))
        return Context(account, self.run, self.app.clock, report, self.stopping)

    @cached_property
    def assembly(self) -> Assembly:
        """Builds the stages."""
        return Assembly(app=self.app, sleep=self.sleep, longest=self.longest, restored=self.restored)

    @property
    def _deletions(self) -> Deletions:
        return Deletions(app=self.app, stage=self._stage, context=self._context)

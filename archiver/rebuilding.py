"""A rebuild of the catalogue as a run: alone with all accounts, written down like any other run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog

from archiver.adapters.database import exclusive
from archiver.adapters.rebuild_rows import RebuildRows
from archiver.adapters.run_log import at_work, begin_run, end_run
from archiver.app import App
from archiver.core.health import Stop
from archiver.core.rebuilding import RebuildReport
from archiver.errors import ArchiverError, StopDaemon
from archiver.scheduler import INTERRUPTED
from archiver.stages.context import STAGES
from archiver.stages.rebuild import Rebuild

log = structlog.get_logger()


@dataclass(kw_only=True)
class Rebuilding:
    """One run. Its `report` can be watched while it goes on. `dry_run`: nothing is written."""

    app: App
    run: str
    stopping: Callable[[], bool] = lambda: False
    dry_run: bool = False
    report: RebuildReport = field(default_factory=RebuildReport)

    async def work(self) -> int:
        """Rebuild what is missing. Raises AccountBusy while anything works on an account. Returns the exit code."""
        async with AsyncExitStack() as stack:
            for account in self.app.sources:
                await stack.enter_async_context(exclusive(self.app.engine, account, *STAGES))
            with structlog.contextvars.bound_contextvars(run_id=self.run, stage="rebuild"):
                return await (self._done() if self.dry_run else self._recorded())

    async def _recorded(self) -> int:
        app, began = self.app, time.monotonic()
        code, stop = 1, None  # a bug, unless something better is known
        async with at_work(app.engine, self.run):
            await begin_run(app.engine, self.run, "rebuild", app.clock())
            try:
                for name in app.sources:
                    await app.ledger.open_account(name, app.account(name).start_from)
                code = await self._done()
            except ArchiverError as error:
                code = error.exit_code
                stop = Stop(type(error).__name__, str(error), isinstance(error, StopDaemon))
                raise
            except asyncio.CancelledError:
                code = INTERRUPTED
                raise
            finally:
                counts, spent = self.report.as_counts(), round(time.monotonic() - began, 3)
                log.info("rebuild_finished", exit_code=code, seconds=spent, counts=counts)
                # it has no report of each account: a recording is known by its key alone
                await end_run(app.engine, self.run, code, {}, app.clock(), stop=stop)
        return code

    async def _done(self) -> int:
        app = self.app
        await Rebuild(
            run_id=self.run,
            clock=app.clock,
            stopping=self.stopping,
            store=app.store,
            listing=app.listing,
            locks=app.locks,
            rows=RebuildRows(app.engine),
            decisions=app.controls,
            terms=app.terms,
            held=app.reads,
            accounts=list(app.sources),
            prefix=app.settings.vault.prefix,
            concurrency=app.settings.sync.concurrency,
            dry_run=self.dry_run,
            report=self.report,
        ).run()
        return INTERRUPTED if self.stopping() else self.report.exit_code

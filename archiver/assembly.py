"""The stages of a pass, put together from the parts that the application has opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from archiver.app import App
from archiver.budgeting import retention_of
from archiver.core import budget
from archiver.core.recount import allowance
from archiver.stages.adopting import Adopter
from archiver.stages.archiving import Archivist
from archiver.stages.backfilling import Backfilling
from archiver.stages.context import Context
from archiver.stages.deposit import Deposit
from archiver.stages.discover import Discover
from archiver.stages.exporting import Exporting
from archiver.stages.guarding import Guard
from archiver.stages.members import MemberReader
from archiver.stages.protect import Protect
from archiver.stages.reading import Reader
from archiver.stages.recounting import Recount
from archiver.stages.transfer import Transfer
from archiver.stages.verify import Verify

LONGEST_PATIENCE = timedelta(minutes=10)  # with exports, in one pass


@dataclass(slots=True, kw_only=True)
class Assembly:
    """Builds the stages of one pass."""

    app: App
    sleep: Callable[[float], Awaitable[None]]  # between two looks at what the source is to make ready
    longest: timedelta | None  # after so long listing and transfer begin nothing new; None: until nothing is left
    restored: bool = False  # see `Pass`
    readers: dict[str, Reader] = field(default_factory=dict)

    def discover(self, context: Context) -> Discover:
        """Build the stage that lists."""
        app, account, sync = self.app, self.app.account(context.account), self.app.settings.sync
        source, reader = app.sources[account.name], self._reader(context)
        start, gone = account.start_from, account.source_retention
        recount = Recount(
            context=context,
            reader=reader,
            ledger=app.ledger,
            start_from=start,
            source_retention=gone,
            believing=self.restored,
        )
        return Discover(
            context=context,
            source=source,
            ledger=app.ledger,
            reader=reader,
            recount=recount,
            start_from=account.start_from,
            lookback=sync.lookback,
            recount_every=sync.recount_every,
            allowance=allowance(account.requests_per_minute, sync.every, sync.recount_share),
            until=self._end(),
            history=Backfilling(
                context=context,
                record=app.backfills,
                recount=replace(recount),
                page_size=sync.page_size,
                lookback=sync.lookback,
                allowance=budget.room(account.requests_per_minute, sync.every, sync.recount_share) // 2,
            ),
        )

    def verify(self, context: Context) -> Verify:
        """Build the stage that proves copies."""
        return Verify(
            context=context,
            store=self.app.store,
            catalogue=self.app.catalogue,
            guard=self._guard(context),
            controls=self.app.terms,
            concurrency=self.app.settings.sync.concurrency,
        )

    def transfer(self, context: Context) -> Transfer:
        """Build the stage that copies."""
        app, sync, account = self.app, self.app.settings.sync, self.app.account(context.account)
        deposit = Deposit(app.sources[account.name], app.store, context.report, sync.download_timeout.total_seconds())
        archivist = Archivist(
            context=context,
            store=app.store,
            catalogue=app.catalogue,
            rules=app.terms.rules,
            controls=app.terms,
            budget=app.budget,
            prefix=app.settings.vault.prefix,
        )
        return Transfer(
            context=context,
            deposit=deposit,
            adopter=Adopter(store=app.store, deposit=deposit, first=self.restored),
            archivist=archivist,
            exporting=self._exporting(context, deposit, archivist),
            catalogue=app.catalogue,
            reads=app.reads,
            concurrency=sync.concurrency,
            attempts=sync.attempts,
            room=partial(self._room, account.name),
            lookback=sync.lookback,
            patience=min(LONGEST_PATIENCE, sync.every),
            until=self._end(),
            retention=retention_of(account, app.settings),
        )

    def _exporting(self, context: Context, deposit: Deposit, archivist: Archivist) -> Exporting:
        app, sync, account = self.app, self.app.settings.sync, self.app.account(context.account)
        return Exporting(
            context=context,
            source=app.sources[account.name].exports,
            record=app.exports,
            reader=self._reader(context),
            ledger=app.ledger,
            members=MemberReader(
                context=context,
                archivist=archivist,
                deposit=deposit,
                record=app.exports,
                reads=app.reads,
                concurrency=sync.concurrency,
                part_size=app.store.part_size,
            ),
            always=account.exports == "always",
            deadline=sync.export_deadline,
            lookback=sync.lookback,
            retention=retention_of(account, app.settings),
            sleep=self.sleep,
        )

    def _end(self) -> datetime | None:
        """After this moment a stage begins nothing large any more: the other accounts wait for this one."""
        return None if self.longest is None else self.app.clock() + self.longest

    async def _room(self, account: str) -> int:
        """Single requests that archiving may use until the next pass: listing and recounts need some as well."""
        standing, sync = await self.app.quotas[account].standing(), self.app.settings.sync
        return budget.room(standing.in_force, sync.every, sync.recount_share)

    def protect(self, context: Context) -> Protect:
        """Build the stage that keeps locks and holds."""
        app = self.app
        return Protect(
            context=context,
            guard=self._guard(context),
            catalogue=app.catalogue,
            reads=app.reads,
            candidates=app.candidates,
            controls=app.terms,
            concurrency=app.settings.sync.concurrency,
        )

    def _guard(self, context: Context) -> Guard:
        return Guard(context, self.app.store, self.app.locks, self.app.catalogue)

    def _reader(self, context: Context) -> Reader:
        """One for each account: what it has learnt of the account's paging serves exports as well."""
        app, name = self.app, context.account
        if name not in self.readers:
            source, page_size = app.sources[name], app.settings.sync.page_size
            self.readers[name] = Reader(context=context, source=source, ledger=app.ledger, page_size=page_size)
        return self.readers[name]

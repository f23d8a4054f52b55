"""The request budget of an account as it stands: gathered from the catalogue, reckoned by the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from archiver.adapters.budget_reads import BudgetReads
from archiver.adapters.export_record import ExportRecord
from archiver.adapters.quota import SharedQuota, Standing
from archiver.core.budget import Facts, Forecast, forecast
from archiver.core.danger import SourceRetention
from archiver.core.exports import REFUSED_FOR, Export
from archiver.core.policy import Mode, PolicySet
from archiver.settings import Account, Settings

log = structlog.get_logger()

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One account's budget."""

    account: str
    configured: int  # requests a minute
    standing: Standing
    arriving: float  # recordings a day
    forecast: Forecast
    sent: Mapping[str, int]  # requests of the last 24 hours by operation
    exports: tuple[Export, ...]  # under way
    no_exports: str | None  # why none is asked for


@dataclass(frozen=True, slots=True)
class Budgeting:
    """Reckons budgets. Changes nothing."""

    reads: BudgetReads
    record: ExportRecord
    settings: Settings
    policies: PolicySet

    async def of(self, account: Account, quota: SharedQuota, *, can_export: bool, now: datetime) -> Budget:
        """Reckon the budget of one account. `can_export`: there is a login name to fetch exports under."""
        reads, record = self.reads, self.record
        standing, sync = await quota.standing(), self.settings.sync
        no_exports = await self._no_exports(account, can_export=can_export, now=now)
        arriving = await reads.arriving(account.name, account.start_from, now)
        share = standing.in_force * 1440 * sync.recount_share / 100
        facts = Facts(
            per_minute=standing.in_force,
            every=sync.every,
            page_size=sync.page_size,
            arriving=arriving,
            recounted=min(await reads.days_kept(account.name) / (sync.recount_every / ONE_DAY), share),
            deleting=arriving if self._deletes() else 0.0,
            polls=await record.usual_polls(account.name),
            exports=no_exports is None,
            always=account.exports == "always",
            backlog=await reads.backlog(account.name),
            retention=retention_of(account, self.settings),
        )
        return Budget(
            account=account.name,
            configured=account.requests_per_minute,
            standing=standing,
            arriving=arriving,
            forecast=forecast(facts, now),
            sent=await reads.sent(account.name, now - ONE_DAY),
            exports=tuple(await record.open(account.name)),
            no_exports=no_exports,
        )

    async def _no_exports(self, account: Account, *, can_export: bool, now: datetime) -> str | None:
        if account.exports == "never":
            return "exports: never"
        if not can_export:
            return "no login name (export_user)"
        refused = await self.record.refused_since(account.name, now - REFUSED_FOR)
        return refused and f"none for a day: {refused}"

    def _deletes(self) -> bool:
        """Whether policies delete at the source by themselves."""
        automatic = self.policies.deletion.mode is Mode.AUTOMATIC
        return automatic and any(policy.source_delete_after is not None for policy in self.policies.policies)


def retention_of(account: Account, settings: Settings) -> SourceRetention | None:
    """How long the account's source keeps recordings, where it deletes them by itself."""
    age = account.source_retention
    return None if age is None else SourceRetention(age=age, warning=settings.sync.endangered_before)


def warn(budget: Budget) -> None:
    """Say what a person must do something about: a backlog that only grows, or that the source will not wait for."""
    ahead = budget.forecast
    name, per_minute = budget.account, budget.standing.in_force
    if ahead.backlog and ahead.never:
        hint = "ask the vendor for a higher quota, or see: archiver budget"
        log.error(
            "backlog_never_drains",
            account=name,
            backlog=ahead.backlog,
            per_minute=per_minute,
            arriving=round(budget.arriving),
            hint=hint,
        )
    if ahead.lost:
        hint = "ask the vendor for a higher quota now, or for a longer retention"
        log.error(
            "backlog_outlives_source",
            account=name,
            backlog=ahead.backlog,
            per_minute=per_minute,
            lost=ahead.lost,
            first_day=ahead.lost_first,
            hint=hint,
        )

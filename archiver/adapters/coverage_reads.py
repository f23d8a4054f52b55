"""What `archiver coverage` asks of the record: days as they are now, days as they were known then, and their gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Row, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import day_rows
from archiver.adapters.database import connection
from archiver.adapters.rows import to_gap
from archiver.adapters.tables import accounts, gaps, ledger
from archiver.core.coverage import Coverage, DayFacts, DayRow, judge_day
from archiver.core.gaps import Gap
from archiver.core.model import midnight, whole_day


@dataclass(frozen=True, slots=True)
class CoverageReads:
    """Queries over days. All raise Unreachable, SchemaError or StopDaemon when the database fails."""

    engine: AsyncEngine

    async def days(self, account: str, first: date, last: date) -> Mapping[date, DayRow]:
        """Judge the days of an account as they are now. Days that were never listed are not among them."""
        async with connection(self.engine) as opened:
            facts = await day_rows.between(opened, account, first, last)
        return {one.day: judge_day(one) for one in facts}

    async def days_as_of(self, account: str, first: date, last: date, moment: datetime) -> Mapping[date, DayRow]:
        """Read what the ledger said about the days at a moment in the past."""
        table = ledger.c
        query = (
            select(ledger)
            .distinct(table.day)
            .where(table.account == account, table.day.between(first, last), table.at <= moment)
            .order_by(table.day, table.id.desc())
        )
        async with connection(self.engine) as opened:
            return {row.day: _line(row) for row in await opened.execute(query)}

    async def gaps(
        self, accounts: Sequence[str], first: date, last: date, *, as_of: datetime | None = None
    ) -> list[Gap]:
        """List the gaps that touch the days: those that are open, or were open at a moment in the past."""
        table = gaps.c
        touching = and_(
            table.account.in_(accounts), table.since <= whole_day(last).until, table.until >= midnight(first)
        )
        unclosed = table.closed_at.is_(None)
        there = (
            and_(unclosed) if as_of is None else and_(table.opened_at <= as_of, or_(unclosed, table.closed_at > as_of))
        )
        query = select(gaps).where(touching, there).order_by(table.account, table.since, table.id)
        async with connection(self.engine) as opened:
            found = [to_gap(row) for row in await opened.execute(query)]
        return found if as_of is None else [_then(gap, as_of) for gap in found]

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Tell how far each account was listed."""
        async with connection(self.engine) as opened:
            rows = await opened.execute(select(accounts.c.account, accounts.c.watermark))
            return {row.account: row.watermark for row in rows}


def _line(row: Row[tuple[object, ...]]) -> DayRow:
    facts = DayFacts(
        account=row.account,
        day=row.day,
        missing=row.missing,
        checked_at=row.checked_at,
        proved_at=row.proved_at,
        settled_at=row.settled_at,
        **row.counts,
    )
    return DayRow(facts, Coverage(row.state), row.reason)


def _then(gap: Gap, moment: datetime) -> Gap:
    """Take away what was not known at the moment."""
    if gap.explained_at is not None and gap.explained_at > moment:
        gap = replace(gap, explanation=None, explained_by=None, explained_at=None)
    return replace(gap, closed_at=None, evidence=None)

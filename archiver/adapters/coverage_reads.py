"""What `archiver coverage` asks of the record: days as they are now, days as they were known then, and their gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import ColumnElement, Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters import day_rows
from archiver.adapters.database import connection
from archiver.adapters.rows import to_gap
from archiver.adapters.tables import gap_events, gaps, ledger
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
        written = and_(table.account == account, table.day.between(first, last), table.at <= moment)
        latest = select(func.max(table.id)).where(written).group_by(table.day)
        query = select(ledger).where(table.id.in_(latest)).order_by(table.day)
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
        there: ColumnElement[bool] = table.closed_at.is_(None)
        if as_of is not None:
            there = and_(table.opened_at <= as_of, or_(there, table.closed_at > as_of))
        query = select(gaps).where(touching, there).order_by(table.account, table.since, table.id)
        async with connection(self.engine) as opened:
            found = [to_gap(row) for row in await opened.execute(query)]
            return found if as_of is None else await _then(opened, found, as_of)

    async def gap_of(self, account: str, recording_id: str) -> Gap | None:
        """Find the open gap of a recording."""
        table = gaps.c
        query = select(gaps).where(
            table.account == account, table.recording_id == recording_id, table.closed_at.is_(None)
        )
        async with connection(self.engine) as opened:
            row = (await opened.execute(query)).one_or_none()
        return None if row is None else to_gap(row)


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


async def _then(opened: AsyncConnection, found: Sequence[Gap], moment: datetime) -> list[Gap]:
    """Tell gaps as they were known at a moment, by what had happened to them until then."""
    table, numbers = gap_events.c, [gap.id for gap in found]
    query = select(gap_events).where(table.gap_id.in_(numbers), table.at <= moment).order_by(table.id)
    known = {
        gap.id: replace(gap, explanation=None, explained_by=None, explained_at=None, closed_at=None, evidence=None)
        for gap in found
    }
    for event in await opened.execute(query):
        known[event.gap_id] = _after(known[event.gap_id], event)
    return [known[number] for number in numbers]


def _after(gap: Gap, event: Row[tuple[object, ...]]) -> Gap:
    if event.event == "explained":
        return replace(gap, explanation=event.reason, explained_by=event.by, explained_at=event.at)
    if event.event == "reopened":
        gap = replace(gap, explanation=None, explained_by=None, explained_at=None)
    return replace(gap, reason=event.reason)

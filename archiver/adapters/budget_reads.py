"""What the request budget is reckoned from: the backlog by day, what arrives, what was sent, what is under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Date, and_, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import at_once
from archiver.adapters.due import CLAIMABLE
from archiver.adapters.tables import days, recordings, runs
from archiver.core.budget import DayDue
from archiver.core.lifecycle import PENDING

WEEK = timedelta(days=7)


class BudgetReads:
    """Reads of one moment. All raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def backlog(self, account: str) -> list[DayDue]:
        """Count what is not archived, by day of its call (UTC), oldest first."""
        table = recordings.c
        day = cast(func.timezone("UTC", table.call_start), Date)
        query = select(day.label("day"), func.count().label("count"), func.sum(table.size_listed).label("size"),
                       func.count().filter(table.single_only).label("singles"))  # fmt: skip
        query = query.where(table.account == account, table.state.in_(PENDING)).group_by(day).order_by(day)
        async with at_once(self._engine) as opened:
            return [DayDue(row.day, row.count, int(row.size or 0), row.singles) for row in await opened.execute(query)]

    async def count_due(self, account: str, now: datetime) -> int:
        """Count what could be transferred now by single requests."""
        table = recordings.c
        due = and_(table.account == account, table.state == "discovered", table.next_attempt_at <= now, CLAIMABLE)
        async with at_once(self._engine) as opened:
            return int(await opened.scalar(select(func.count()).select_from(recordings).where(due)) or 0)

    async def arriving(self, account: str, start_from: datetime, now: datetime) -> float:
        """Recordings a day, by the calls of the last seven days, or of the time since `start_from`."""
        since = max(start_from, now - WEEK)
        table = recordings.c
        query = select(func.count()).select_from(recordings)
        query = query.where(table.account == account, table.call_start.between(since, now))
        async with at_once(self._engine) as opened:
            count = int(await opened.scalar(query) or 0)
        return count / max((now - since) / timedelta(days=1), 1 / 24)

    async def days_kept(self, account: str) -> int:
        """Count the days that recounts ask about."""
        query = select(func.count()).select_from(days).where(days.c.account == account)
        async with at_once(self._engine) as opened:
            return int(await opened.scalar(query) or 0)

    async def sent(self, account: str, since: datetime) -> Counter[str]:
        """Requests by operation, of runs that have ended since then."""
        query = select(runs.c.counts).where(runs.c.finished_at >= since, runs.c.counts.is_not(None))
        total: Counter[str] = Counter()
        async with at_once(self._engine) as opened:
            for row in await opened.execute(query):
                total.update(_sent_in(row.counts, account))
        return total


def _sent_in(counts: object, account: str) -> Mapping[str, int]:
    """Read one run's requests; a run of an older version has none on record."""
    mine = counts.get(account) if isinstance(counts, Mapping) else None
    sent = mine.get("sent") if isinstance(mine, Mapping) else None
    return sent if isinstance(sent, Mapping) else {}

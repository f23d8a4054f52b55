"""Backfills in the catalogue. Implements `export_ports.BackfillRecord`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Row, and_, func, insert, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import connection
from archiver.adapters.tables import backfills, recordings
from archiver.core.backfill import Backfill, Filled
from archiver.core.lifecycle import PENDING
from archiver.core.model import Slice
from archiver.errors import Conflict

_FORGET_DAY = text("""
update days set checked_at = null, proved_at = null, settled_at = null, stale = true,
    doubt = coalesce(doubt, 'listed in two parts, not yet as one')
from accounts where days.account = :account and days.account = accounts.account and day = :day
    and (listed_from at time zone 'UTC')::date = day
""")


class BackfillRows:
    """All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def all(self, account: str | None = None) -> list[Backfill]:
        """Give the backfills of an account, or of every one, oldest first."""
        return await self._read(true() if account is None else backfills.c.account == account)

    async def unlisted(self, account: str) -> list[Backfill]:
        """Give the account's backfills that are neither paused nor listed whole."""
        table = backfills.c
        return await self._read(and_(table.account == account, table.paused_at.is_(None), table.listed_at.is_(None)))

    async def ask(self, account: str, window: Slice, now: datetime) -> Backfill:
        """Write down a new backfill; the same one again is the one that there is."""
        table = backfills.c
        same = and_(table.account == account, table.since == window.since, table.until == window.until)
        if found := await self._read(same):
            return found[0]
        row = insert(backfills).values(account=account, since=window.since, until=window.until, asked_at=now)
        async with connection(self._engine) as opened:
            number = await opened.scalar(row.returning(backfills.c.id))
        return (await self._read(table.id == number))[0]

    async def listed(self, one: Backfill, until: datetime, now: datetime) -> None:
        """Write down how far a backfill is listed; with its end it is listed whole."""
        whole = {"listed_at": now} if until >= one.window.until else {}
        async with connection(self._engine) as opened:
            if whole:  # the account's own first day may have come in two parts: it is listed once more as one
                await opened.execute(_FORGET_DAY, {"account": one.account, "day": one.window.until.date()})
            await opened.execute(
                update(backfills).where(backfills.c.id == one.number).values(listed_until=until, **whole)
            )

    async def pause(self, number: int, at: datetime | None) -> Backfill:
        """Pause a backfill, or go on (None). Raises Conflict where there is none of this number."""
        async with connection(self._engine) as opened:
            await opened.execute(update(backfills).where(backfills.c.id == number).values(paused_at=at))
        found = await self._read(backfills.c.id == number)
        if not found:
            raise Conflict(f"there is no backfill {number}", hint="see: archiver backfill")
        return found[0]

    async def filled(self, one: Backfill) -> Filled:
        """Count the recordings of a backfill."""
        table, window = recordings.c, one.window
        within = and_(table.account == one.account, table.call_start.between(window.since, window.until))
        waiting = func.count().filter(table.state.in_(PENDING))
        async with connection(self._engine) as opened:
            known, left = (
                await opened.execute(select(func.count(), waiting).select_from(recordings).where(within))
            ).one()
        return Filled(known, left)

    async def count_waiting(self, account: str) -> int:
        """Count what is listed of an account and not archived."""
        waiting = and_(recordings.c.account == account, recordings.c.state.in_(PENDING))
        async with connection(self._engine) as opened:
            return int(await opened.scalar(select(func.count()).select_from(recordings).where(waiting)) or 0)

    async def _read(self, where: ColumnElement[bool]) -> list[Backfill]:
        async with connection(self._engine) as opened:
            return [
                _to_backfill(row)
                for row in await opened.execute(select(backfills).where(where).order_by(backfills.c.id))
            ]


def _to_backfill(row: Row[*tuple[object, ...]]) -> Backfill:
    return Backfill(
        number=row.id,
        account=row.account,
        window=Slice(row.since, row.until),
        asked_at=row.asked_at,
        listed_until=row.listed_until,
        paused_at=row.paused_at,
        listed_at=row.listed_at,
    )

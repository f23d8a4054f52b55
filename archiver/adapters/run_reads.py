"""Reads the runs back: the latest, and one by its number or id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import at_once
from archiver.adapters.tables import runs
from archiver.core.runs import Run

#: A process that is at work on a run holds a lock of its name: `adapters.run_log.at_work`.
AT_WORK: ColumnElement[bool] = literal_column(
    "(runs.finished_at is null and exists (select from pg_locks"
    " where locktype = 'advisory' and granted and objsubid = 1"
    " and database = (select oid from pg_database where datname = current_database())"
    " and (classid::bigint << 32) | objid::bigint = hashtextextended('archiver/run/' || runs.run_id, 0)))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which runs to list. None and False mean any."""

    account: str | None = None  # runs that have worked on it; those without an end may have
    since: datetime | None = None  # begun then or later
    failed: bool = False  # ended with another exit code than 0, or not at all though nobody is at work


class RunReads:
    """Queries about runs. All raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def latest(self, asked: Asked = Asked(), *, limit: int) -> list[Run]:
        """List runs, the latest first. Their numbers count all runs, not only those that are asked for."""
        return await self._read(_numbered().where(*_conditions(asked)).limit(limit))

    async def numbered(self, number: int) -> Run | None:
        """Find a run by its number: 1 is the latest."""
        found = await self._read(_numbered().offset(number - 1).limit(1))
        return found[0] if found else None

    async def beginning(self, text: str) -> list[Run]:
        """Find the runs whose id begins so, at most two. One whose id is just this is the only one."""
        found = await self._read(_numbered().where(runs.c.run_id.startswith(text, autoescape=True)).limit(2))
        same = await self._read(_numbered().where(runs.c.run_id == text))
        return same or found

    async def _read(self, query: Select[*tuple[object, ...]]) -> list[Run]:
        async with at_once(self._engine) as opened:
            return [_to_run(row) for row in await opened.execute(query)]


def _numbered() -> Select[*tuple[object, ...]]:
    latest_first = (runs.c.started_at.desc(), runs.c.run_id.desc())
    # the ids alone are numbered: a report is read only when it is asked for
    ranked = select(runs.c.run_id, func.row_number().over(order_by=latest_first).label("number")).subquery("ranked")
    query = select(runs, ranked.c.number, AT_WORK.label("at_work"))
    return query.join(ranked, ranked.c.run_id == runs.c.run_id).order_by(ranked.c.number)


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    found = []
    if asked.account is not None:
        found.append(or_(runs.c.finished_at.is_(None), runs.c.counts[asked.account].is_not(None)))
    if asked.since is not None:
        found.append(runs.c.started_at >= asked.since)
    if asked.failed:
        found.append(or_(runs.c.exit_code != 0, and_(runs.c.finished_at.is_(None), ~AT_WORK)))
    return found


def _to_run(row: Row[*tuple[object, ...]]) -> Run:
    return Run(**row._mapping)  # noqa: SLF001 - the documented way to a mapping

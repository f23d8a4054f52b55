"""The runs of the program: what was started when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import connection
from archiver.adapters.tables import runs


async def begin_run(engine: AsyncEngine, run: str, command: str, now: datetime) -> None:
    """Write down that a run has begun."""
    async with connection(engine) as opened:
        await opened.execute(insert(runs).values(run_id=run, command=command, started_at=now))


async def end_run(engine: AsyncEngine, run: str, exit_code: int, counts: Mapping[str, object], now: datetime) -> None:
    """Write down how a run has ended."""
    values = {"finished_at": now, "exit_code": exit_code, "counts": counts}
    async with connection(engine) as opened:
        await opened.execute(update(runs).where(runs.c.run_id == run).values(**values))

"""The runs of the program: what was started when, how it ended, and how each account's last pass did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver import __version__
from archiver.adapters.database import at_once, connection, locked
from archiver.adapters.tables import accounts, runs
from archiver.core.health import Stop


@dataclass(frozen=True, slots=True)
class PassEnd:
    """How a pass over one account has ended."""

    account: str
    stop: Stop | None  # None: it was good
    clock_seconds: int | None  # the source's clock is so far ahead of ours; None: it has not said


@asynccontextmanager
async def at_work(engine: AsyncEngine, run: str) -> AsyncIterator[None]:
    """Show as long as the context lasts that the run is at work: a killed process shows it no longer."""
    async with locked(engine, f"archiver/run/{run}"):  # adapters.run_reads looks for it by this name
        yield


async def begin_run(engine: AsyncEngine, run: str, command: str, now: datetime) -> None:
    """Write down that a run has begun."""
    values = {"run_id": run, "command": command, "started_at": now, "version": __version__}
    async with connection(engine) as opened:
        await opened.execute(insert(runs).values(**values))


async def end_run(
    engine: AsyncEngine, run: str, exit_code: int, counts: Mapping[str, object], now: datetime,
    ends: Iterable[PassEnd] = (), stop: Stop | None = None,
) -> None:  # fmt: skip
    """Write down how a run has ended, and how its pass over each account has. `stop`: of the run as a whole."""
    values = {"finished_at": now, "exit_code": exit_code, "counts": counts}
    values |= {} if stop is None else {"stop_kind": stop.kind, "stop_reason": stop.reason}
    async with connection(engine) as opened:
        await opened.execute(update(runs).where(runs.c.run_id == run).values(**values))
        for end in ends:
            await opened.execute(update(accounts).where(accounts.c.account == end.account).values(_values(end, now)))


def _values(end: PassEnd, now: datetime) -> dict[str, object]:
    stop = end.stop
    values: dict[str, object] = {
        "stop_kind": stop and stop.kind,
        "stop_reason": stop and stop.reason,
        "stop_final": stop and stop.final,
    }
    values |= {"good_pass_at": now} if stop is None else {}
    return values if end.clock_seconds is None else values | {"clock_seconds": end.clock_seconds}


async def decisions_copied(engine: AsyncEngine, account: str) -> int | None:
    """Tell how many decisions had a copy in the bucket at the end of the last run that looked. None: none has."""
    said = runs.c.counts[account]["decisions"].as_integer()
    query = select(said).where(said.is_not(None)).order_by(runs.c.started_at.desc()).limit(1)
    async with at_once(engine) as opened:
        found: int | None = await opened.scalar(query)
    return found

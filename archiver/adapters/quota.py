"""The quota of one account in the catalogue: every process that talks to the account takes its requests from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, delete, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.database import connection
from archiver.adapters.tables import quota_used, quotas
from archiver.core import quota as rules

LEASE_SECONDS = 1.0  # so long requests that were taken together may be sent; then what is left of them is lost
_LOCK = text("select pg_advisory_xact_lock(hashtextextended('archiver/quota/' || :account, 0))")
_DATABASE_TIME = text("select extract(epoch from clock_timestamp())::float8")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account's quota stands now."""

    in_force: int  # requests a minute
    used: int  # of the last minute
    pause: float  # seconds that are left of a pause that the source asked for


class SharedQuota:
    """Implements `limiter.Window`. The time is the database's, which is the same for all hosts."""

    def __init__(
        self,
        engine: AsyncEngine,
        account: str,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: Callable[[], float] | None = None,
    ) -> None:
        """`per_minute` is the configured quota; `clock` times leases. Only tests give `seconds` (since 1970)."""
        self._engine, self._account, self._per_minute = engine, account, per_minute
        self._clock, self._seconds = clock, seconds
        self._lease, self._lease_ends = 0, float("-inf")
        self._before, self._burst_ends = per_minute, float("-inf")  # what was in force when refusals began

    async def take(self, share: float) -> float:
        """Take one request; return 0, or in how many seconds to ask again. `share`: of the quota, at most so much."""
        if share == 1 and self._lease > 0 and self._clock() <= self._lease_ends:
            self._lease -= 1
            return 0.0
        wanted = max(1, self._per_minute // 60) if share == 1 else 1  # what goes out in a second is taken together
        async with connection(self._engine) as opened:
            now = await self._locked(opened)
            state, used = await self._state(opened), await self._used(opened, now)
            if (pause := _pause(state, now)) > 0:
                return pause
            left, wait = rules.free(used, rules.share_of(self._in_force(state, now), share), now)
            if not left:
                return wait
            granted = min(wanted, left)
            await self._write_down(opened, int(now), granted)
        self._lease, self._lease_ends = granted - 1, self._clock() + LEASE_SECONDS
        return 0.0

    async def refused(self, pause: float, refused: int) -> None:
        """Learn from a refusal: pause so many seconds; `refused` requests of the last minute met one."""
        self._lease = 0
        async with connection(self._engine) as opened:
            now = await self._locked(opened)
            state, used = await self._state(opened), await self._used(opened, now)
            total = sum(count for _, count in rules.current(used, now))
            in_force = self._in_force(state, now)
            if now > self._burst_ends:
                self._before = in_force
            self._burst_ends = now + rules.SECONDS if refused else self._burst_ends
            values: dict[str, object] = {"paused_until": _moment(now + max(pause, _pause(state, now)))}
            if rules.tells(in_force, total, refused):  # anything else must not put the recovery off
                learnt = min(rules.learnt_from(self._before, total, refused), in_force)
                values |= {"learnt": learnt, "learnt_at": _moment(now)}
            row = upsert(quotas).values(account=self._account, **values)
            await opened.execute(row.on_conflict_do_update(index_elements=["account"], set_=values))

    async def standing(self) -> Standing:
        """Look, without taking anything."""
        async with connection(self._engine) as opened:
            now = await self._now(opened)
            state, used = await self._state(opened), await self._used(opened, now)
        total = sum(count for _, count in rules.current(used, now))
        return Standing(self._in_force(state, now), total, _pause(state, now))

    def _in_force(self, state: Row[*tuple[object, ...]] | None, now: float) -> int:
        if state is None:
            return self._per_minute
        learnt_at = None if state.learnt_at is None else state.learnt_at.timestamp()
        return rules.in_force(self._per_minute, state.learnt, rules.hours_since(learnt_at, now))

    async def _locked(self, opened: AsyncConnection) -> float:
        """Keep all others out until the transaction ends, and tell the time."""
        await opened.execute(_LOCK, {"account": self._account})
        return await self._now(opened)

    async def _now(self, opened: AsyncConnection) -> float:
        return float(await opened.scalar(_DATABASE_TIME) or 0) if self._seconds is None else self._seconds()

    async def _state(self, opened: AsyncConnection) -> Row[*tuple[object, ...]] | None:
        return (await opened.execute(select(quotas).where(quotas.c.account == self._account))).one_or_none()

    async def _used(self, opened: AsyncConnection, now: float) -> rules.Used:
        table = quota_used.c
        mine = table.account == self._account
        query = select(table.second, table.requests).where(mine, table.second > now - rules.SECONDS)
        return [(row.second, row.requests) for row in await opened.execute(query.order_by(table.second))]

    async def _write_down(self, opened: AsyncConnection, second: int, count: int) -> None:
        table = quota_used.c
        over = or_(table.second <= second - rules.SECONDS, table.second > second + 1)
        await opened.execute(delete(quota_used).where(table.account == self._account, over))
        row = upsert(quota_used).values(account=self._account, second=second, requests=count)
        more = {"requests": quota_used.c.requests + row.excluded.requests}
        await opened.execute(row.on_conflict_do_update(index_elements=["account", "second"], set_=more))


def _pause(state: Row[*tuple[object, ...]] | None, now: float) -> float:
    return 0.0 if state is None or state.paused_until is None else max(state.paused_until.timestamp() - now, 0.0)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

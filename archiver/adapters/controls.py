"""The log of decisions about deletion, in Postgres: written once, read whole, never changed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Row, and_, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.database import DECIDE, at_once, connection
from archiver.adapters.tables import controls, history, policy_sets
from archiver.core.controls import Control, Event, Kind
from archiver.errors import Conflict

_COLUMNS = ("at", "kind", "subject", "event", "by", "reason", "detail")


class Controls:
    """All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def record(self, one: Control, *, after: int | None = None) -> None:
        """Write a decision down. Raises Conflict where it can be made once only, and was.

        `after`: how many decisions about the same subject it rests on; where there are others by now, Conflict too.

        Deletions that were marked before it can be seen when this returns; none is marked later without knowing of it.
        """
        values = {name: getattr(one, name) for name in _COLUMNS} | {"detail": dict(one.detail)}
        statement = upsert(controls).values(**values).on_conflict_do_nothing().returning(controls.c.id)
        async with connection(self._engine) as opened:
            await opened.execute(DECIDE)
            if after is not None and await _count_of(opened, one) != after:
                msg = f"somebody else has just decided about {one.kind} {one.subject}: look again"
                raise Conflict(msg)
            if await opened.scalar(statement) is None:
                msg = f"{one.kind} {one.subject} was {one.event} already"
                raise Conflict(msg)

    async def log(self, kinds: Collection[Kind], subject: str | None = None) -> list[Control]:
        """Read the decisions of some kinds, oldest first."""
        query = select(controls).where(controls.c.kind.in_(kinds)).order_by("id")
        if subject is not None:
            query = query.where(controls.c.subject == subject)
        async with at_once(self._engine) as opened:
            return [_control(row) for row in await opened.execute(query)]

    async def extent(self) -> tuple[int, int]:
        """Return a pair that is another one whenever something was written. Cheap: to be asked before each deletion.

        The highest number alone would not do: a lower one can come to light after it.
        """
        async with at_once(self._engine) as opened:
            return await extent(opened)

    async def latest(self) -> datetime | None:
        """Return the time of the latest entry of the record, decisions and recordings alike; None: there is none."""
        queries = [select(table.c.at).order_by(table.c.id.desc()).limit(1) for table in (controls, history)]
        async with at_once(self._engine) as opened:
            found = [await opened.scalar(query) for query in queries]
        return max((at for at in found if at is not None), default=None)

    async def keep_policies(self, digest: str, text: str, now: datetime) -> None:
        """Keep the text of a policies file under the digest of what it means, as it was first seen."""
        row = upsert(policy_sets).values(digest=digest, text=text, at=now)
        async with at_once(self._engine) as opened:
            await opened.execute(row.on_conflict_do_nothing())

    async def policies_text(self, digest: str) -> str | None:
        """Return the text of policies that were in force."""
        async with at_once(self._engine) as opened:
            found: str | None = await opened.scalar(select(policy_sets.c.text).where(policy_sets.c.digest == digest))
        return found


async def every_entry(opened: AsyncConnection) -> list[Control]:
    """Read the whole log, oldest first."""
    return [_control(row) for row in await opened.execute(select(controls).order_by("id"))]


async def extent(opened: AsyncConnection) -> tuple[int, int]:
    """See `Controls.extent`."""
    query = select(func.count(), func.coalesce(func.max(controls.c.id), 0)).select_from(controls)
    count, highest = (await opened.execute(query)).one()
    return int(count), int(highest)


async def _count_of(opened: AsyncConnection, one: Control) -> int:
    same = and_(controls.c.kind == one.kind, controls.c.subject == one.subject)
    return int(await opened.scalar(select(func.count()).select_from(controls).where(same)) or 0)


def _control(row: Row[*tuple[object, ...]]) -> Control:
    values = {name: getattr(row, name) for name in _COLUMNS}
    return Control(**values | {"kind": Kind(row.kind), "event": Event(row.event)})

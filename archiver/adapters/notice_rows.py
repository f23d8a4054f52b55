"""What each channel was told, kept in the catalogue: one row for each, so that a restart tells nothing twice."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cache

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Column, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import connection, translated
from archiver.adapters.table_basics import metadata, moment
from archiver.core.notices import Memory

PATIENCE = 5.0  # seconds

notices = Table(
    "notices",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("memory", JSONB, nullable=False, comment="what it was told, and what it must still be told"),
    Column("at", moment, nullable=False),
)


@cache
def _memory() -> TypeAdapter[Memory]:
    return TypeAdapter(Memory)  # made late: commands that keep no memory do not wait for it


class NoticeRows:
    """Reads and writes memories."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def load(self, channel: str) -> Memory:
        """Return what was kept; an empty memory where nothing was, or where another version wrote it."""
        query = select(notices.c.memory).where(notices.c.channel == channel)
        async with translated(), asyncio.timeout(PATIENCE), connection(self._engine) as opened:
            kept = await opened.scalar(query)
        try:
            return Memory() if kept is None else _memory().validate_python(kept)
        except ValidationError:
            return Memory()

    async def save(self, channel: str, memory: Memory, now: datetime) -> None:
        """Insert or replace it; committed when this returns."""
        values = {"memory": _memory().dump_python(memory, mode="json"), "at": now}
        row = insert(notices).values(channel=channel, **values)
        async with translated(), asyncio.timeout(PATIENCE), connection(self._engine) as opened:
            await opened.execute(row.on_conflict_do_update(index_elements=["channel"], set_=values))

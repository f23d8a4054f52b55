"""Every read of the catalogue that changes nothing. Long answers come in batches, so memory stays flat."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Text, and_, any_, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.database import at_once
from archiver.adapters.rows import to_entry, to_gap, to_line
from archiver.adapters.tables import accounts, gap_events, gaps, history, moment, recordings, runs
from archiver.core.gaps import Gap
from archiver.core.lifecycle import ARCHIVED, AT_SOURCE, PENDING
from archiver.core.model import Entry, State
from archiver.core.notes import Line

BATCH = 500
_LISTED = recordings.c.absent_since.is_(None)  # no listing has lacked it


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for; None and empty mean any. `number` fits caller or called number, as text, exactly."""

    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    number: str | None = None
    extension: str | None = None
    call_id: str | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """One account in `archiver status`."""

    account: str
    watermark: datetime | None
    counts: Mapping[State, int]
    bytes: int  # in the archive
    oldest_pending: datetime | None  # start of the oldest call that is not archived yet


class Reads:
    """Queries for stages and commands. All raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self.engine = engine

    async def entry(self, account: str, recording_id: str) -> Entry | None:
        """Find one recording by its natural key."""
        where = and_(recordings.c.account == account, recordings.c.recording_id == recording_id)
        async with at_once(self.engine) as opened:
            row = (await opened.execute(select(recordings).where(where))).one_or_none()
        return None if row is None else to_entry(row)

    async def find(self, recording_id: str) -> list[Entry]:
        """Find a recording by its id in all accounts."""
        query = select(recordings).where(recordings.c.recording_id == recording_id).order_by(recordings.c.account)
        async with at_once(self.engine) as opened:
            return [to_entry(row) for row in await opened.execute(query)]

    async def entries(
        self, account: str, states: Collection[State], *, started_before: datetime | None = None
    ) -> AsyncIterator[Entry]:
        """Walk all recordings of an account in the given states, each state by itself, by call start and id."""
        for state in sorted(states):
            where = and_(recordings.c.account == account, recordings.c.state == state)
            if started_before is not None:
                where = and_(where, recordings.c.call_start <= started_before)
            async for entry in self._walk(where):
                yield entry

    async def held_entries(self, account: str) -> AsyncIterator[Entry]:
        """Walk the recordings that were last known to be on hold."""
        async for entry in self._walk(and_(recordings.c.account == account, recordings.c.on_hold)):
            yield entry

    async def _walk(self, where: ColumnElement[bool]) -> AsyncIterator[Entry]:
        last: Entry | None = None
        while True:
            beyond = where if last is None else and_(where, _after(last))
            query = select(recordings).where(beyond).order_by(*_ORDER).limit(BATCH)
            async with at_once(self.engine) as opened:
                batch = [to_entry(row) for row in await opened.execute(query)]
            for entry in batch:
                yield entry
            if len(batch) < BATCH:
                return
            last = batch[-1]

    async def count_at_source(self, account: str) -> int:
        """Count an account's recordings that the source should still have."""
        there = and_(recordings.c.state.in_(AT_SOURCE), recordings.c.purged_at.is_(None), _LISTED)
        where = and_(recordings.c.account == account, there)
        async with at_once(self.engine) as opened:
            return int(await opened.scalar(select(func.count()).select_from(recordings).where(where)) or 0)

    async def count_in(self, account: str, state: State) -> int:
        """Count an account's recordings in one state."""
        where = and_(recordings.c.account == account, recordings.c.state == state)
        async with at_once(self.engine) as opened:
            return int(await opened.scalar(select(func.count()).select_from(recordings).where(where)) or 0)

    async def count_archived(self, account: str) -> int:
        """Count an account's recordings that the bucket should hold."""
        where = and_(recordings.c.account == account, recordings.c.state.in_(ARCHIVED))
        async with at_once(self.engine) as opened:
            return int(await opened.scalar(select(func.count()).select_from(recordings).where(where)) or 0)

    async def count_endangered(self, account: str, before: datetime) -> tuple[int, datetime | None]:
        """Count what is not archived of calls that started before a moment; and the start of the oldest of them."""
        table = recordings.c
        where = and_(table.account == account, table.state.in_(PENDING), table.call_start < before)
        query = select(func.count(), func.min(table.call_start)).where(where)
        async with at_once(self.engine) as opened:
            count, oldest = (await opened.execute(query)).one()
        return count, oldest

    async def among(self, account: str, recording_ids: Collection[str], states: Collection[State]) -> set[str]:
        """Tell which of these recordings are in one of the states."""
        table = recordings.c
        named = table.recording_id == any_(literal(list(recording_ids), ARRAY(Text)))
        where = and_(table.account == account, named, table.state.in_(states))
        async with at_once(self.engine) as opened:
            return set(await opened.scalars(select(table.recording_id).where(where)))

    async def search(self, wanted: Search, *, limit: int) -> list[Entry]:
        """Find recordings, latest call first, at most `limit`."""
        query = select(recordings).where(*_conditions(wanted))
        newest = query.order_by(recordings.c.call_start.desc(), recordings.c.recording_id.desc()).limit(limit)
        async with at_once(self.engine) as opened:
            return [to_entry(row) for row in await opened.execute(newest)]

    async def status(self) -> list[AccountStatus]:
        """Count by account and state."""
        table = recordings.c
        query = select(
            table.account, table.state, func.count(), func.coalesce(func.sum(table.size), 0), func.min(table.call_start)
        ).group_by(table.account, table.state)
        async with at_once(self.engine) as opened:
            rows = (await opened.execute(query)).all()
            marks = (await opened.execute(select(accounts.c.account, accounts.c.watermark).order_by("account"))).all()
        return [_status(name, mark, [row for row in rows if row[0] == name]) for name, mark in marks]

    async def gaps(self, *, limit: int, account: str | None = None, closed: bool = False) -> list[Gap]:
        """List gaps, those without an explanation first, then by call start. `closed`: the closed ones too."""
        query = select(gaps).order_by(gaps.c.closed_at.is_not(None), gaps.c.explanation.is_not(None), *_GAP_ORDER)
        if account is not None:
            query = query.where(gaps.c.account == account)
        if not closed:
            query = query.where(gaps.c.closed_at.is_(None))
        async with at_once(self.engine) as opened:
            return [to_gap(row) for row in await opened.execute(query.limit(limit))]

    async def gap(self, number: int) -> Gap | None:
        """Find one gap."""
        async with at_once(self.engine) as opened:
            row = (await opened.execute(select(gaps).where(gaps.c.id == number))).one_or_none()
        return None if row is None else to_gap(row)

    async def gap_events(self, number: int) -> list[Mapping[str, object]]:
        """Read what happened to a gap, oldest first."""
        query = select(gap_events).where(gap_events.c.gap_id == number).order_by(gap_events.c.id)
        async with at_once(self.engine) as opened:
            return [dict(row._mapping) for row in await opened.execute(query)]  # noqa: SLF001 - as below

    async def count_gaps(self) -> int:
        """Count the gaps that are open and that nobody has explained."""
        where = and_(gaps.c.closed_at.is_(None), gaps.c.explanation.is_(None))
        async with at_once(self.engine) as opened:
            return int(await opened.scalar(select(func.count()).select_from(gaps).where(where)) or 0)

    async def history(self, account: str, recording_id: str) -> list[Mapping[str, object]]:
        """Read what happened to a recording, oldest first."""
        where = and_(history.c.account == account, history.c.recording_id == recording_id)
        async with at_once(self.engine) as opened:
            rows = await opened.execute(select(history).where(where).order_by(history.c.id))
            return [dict(row._mapping) for row in rows]  # noqa: SLF001 - the documented way to a mapping

    async def lines(self, account: str, recording_id: str) -> list[Line]:
        """Read the history of a recording, oldest first, as notes in the bucket carry it."""
        rows = await self.history(account, recording_id)
        return [to_line(row) for row in rows]

    async def last_progress(self) -> datetime | None:
        """Tell when a run last came to its end, or a recording last changed. None: never.

        A run that met a neighbour out of reach did not come to its end, however often it is begun again.
        """
        ended = select(runs.c.finished_at).where(runs.c.exit_code.in_(_TO_THE_END)).order_by(runs.c.started_at.desc())
        changed = select(history.c.at).order_by(history.c.id.desc())
        async with at_once(self.engine) as opened:
            moments = [await opened.scalar(query.limit(1)) for query in (ended, changed)]
        return max((moment for moment in moments if moment is not None), default=None)


_TO_THE_END = (0, 3, 4)  # exit codes: done, done with gaps, done but for what a safety limit refused
_ORDER = (recordings.c.call_start, recordings.c.recording_id)
_GAP_ORDER = (gaps.c.since, gaps.c.id)


def _after(last: Entry) -> ColumnElement[bool]:
    # compared as a pair, so that an index finds the place: else each batch would read all that is left
    return tuple_(*_ORDER) > tuple_(literal(last.recording.start, moment), literal(last.id))


def _conditions(wanted: Search) -> list[ColumnElement[bool]]:
    table, found = recordings.c, []
    if wanted.account is not None:
        found.append(table.account == wanted.account)
    if wanted.since is not None:
        found.append(table.call_start >= wanted.since)
    if wanted.until is not None:
        found.append(table.call_start <= wanted.until)
    if wanted.number is not None:
        found.append(or_(table.caller_id == wanted.number, table.dnis == wanted.number))
    if wanted.extension is not None:
        found.append(table.extensions.contains([wanted.extension]))
    if wanted.call_id is not None:
        found.append(table.call_id == wanted.call_id)
    if wanted.state is not None:
        found.append(table.state == wanted.state)
    return found


def _status(
    account: str, watermark: datetime | None, rows: Sequence[Row[str, State, int, int, datetime]]
) -> AccountStatus:
    pending = [oldest for _, state, _, _, oldest in rows if state in PENDING]
    return AccountStatus(
        account=account,
        watermark=watermark,
        counts={state: count for _, state, count, _, _ in rows},
        bytes=sum(int(size) for _, state, _, size, _ in rows if state in ARCHIVED),
        oldest_pending=min(pending, default=None),
    )

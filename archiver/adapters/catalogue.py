"""Every write to the catalogue. A move of a recording and its history row are one statement: both or neither."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache

from sqlalchemy import (
    CTE,
    JSON,
    Column,
    ColumnElement,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import ReturningInsert

from archiver.adapters.controls import extent
from archiver.adapters.database import MARK, at_once, connection
from archiver.adapters.due import CLAIMABLE
from archiver.adapters.rows import of_lock, to_entry
from archiver.adapters.tables import accounts, history, moment, recordings, state_type
from archiver.core.lifecycle import require_move
from archiver.core.model import Entry, Mark, Protection, State
from archiver.errors import Conflict
from archiver.stages.retention_ports import Settled

CLAIMED = (State.TRANSFERRING, State.PURGING, State.EXPIRING)


class Due(Enum):
    """Which recordings are claimed."""

    BEFORE = auto()  # whose call started before an edge, by their start
    SINCE = auto()  # whose call started at an edge or after it, those longest due first
    ANY = auto()  # the same, whenever their call started


class Catalogue:
    """The record in Postgres. All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self.engine = engine

    async def claim(
        self,
        account: str,
        mark: Mark,
        *,
        limit: int,
        first_before: datetime | None = None,
        recent_since: datetime | None = None,
    ) -> list[Entry]:
        """Take due recordings for transfer, those longest due first. They are the run's until it moves them on.

        Ahead of all come those whose call started before `first_before`, by their start; then those since
        `recent_since`. What an export under way is to bring is left to it.
        """
        taken = list[Entry]()
        # claims of their own, so that an index gives the order as well
        if first_before is not None:
            taken = await self._claim(account, mark, limit, Due.BEFORE, first_before)
            taken.sort(key=lambda entry: (entry.recording.start, entry.id))
        if recent_since is not None and len(taken) < limit:
            taken += await self._claim(account, mark, limit - len(taken), Due.SINCE, recent_since)
        if len(taken) < limit:
            taken += await self._claim(account, mark, limit - len(taken), Due.ANY)
        return taken

    async def claim_these(self, account: str, recording_ids: Collection[str], mark: Mark) -> list[Entry]:
        """Take named recordings for transfer, whatever is to bring them; those that are not due are left out."""
        table = recordings.c
        chosen = and_(table.account == account, table.recording_id.in_(recording_ids))
        values = {"claimed_by": mark.run, "attempts": table.attempts + 1}
        due = and_(chosen, table.next_attempt_at <= mark.at)
        return await self._move_many(due, State.DISCOVERED, State.TRANSFERRING, mark, values)

    async def release(self, account: str, recording_ids: Collection[str], mark: Mark) -> None:
        """Free named recordings that the run has claimed. The attempt does not count."""
        table = recordings.c
        chosen = and_(table.account == account, table.recording_id.in_(recording_ids), table.claimed_by == mark.run)
        values = {"claimed_by": None, "attempts": func.greatest(table.attempts - 1, 0)}
        await self._move_all(chosen, State.TRANSFERRING, State.DISCOVERED, mark, values)

    async def _claim(self, account: str, mark: Mark, limit: int, due: Due, edge: datetime | None = None) -> list[Entry]:
        asked = {"chosen_account": account, "most": limit, **({} if edge is None else {"edge": edge})}
        async with at_once(self.engine) as opened:
            return [to_entry(row) for row in await opened.execute(_claim_of(due), {**asked, **_said(mark)})]

    async def hand_back(self, account: str, mark: Mark, *, forgive: bool) -> int:
        """Free recordings that are marked as in transfer. Only for the holder of the account's transfer lock.

        `forgive`: only the run's own, and the interrupted attempt does not count. Else everyone's, and it does:
        a process that died may have died of the recording.
        """
        chosen = recordings.c.account == account
        values: dict[str, object] = {"claimed_by": None}
        if forgive:
            chosen = and_(chosen, recordings.c.claimed_by == mark.run)
            values["attempts"] = func.greatest(recordings.c.attempts - 1, 0)
        return await self._move_all(chosen, State.TRANSFERRING, State.DISCOVERED, mark, values)

    async def requeue_failed(self, account: str, mark: Mark) -> int:
        """Try recordings on the gap list again once their day has come. Their attempts begin anew."""
        chosen = and_(recordings.c.account == account, recordings.c.next_attempt_at <= mark.at)
        return await self._move_all(chosen, State.FAILED, State.DISCOVERED, mark, {"attempts": 0})

    async def requeue_excluded(self, account: str, policies_digest: str, mark: Mark) -> int:
        """Look again at recordings that other policies than the present ones excluded."""
        changed = recordings.c.policies_digest.is_distinct_from(policies_digest)
        chosen = and_(recordings.c.account == account, changed)
        values = {"policies_digest": None, "problem": None, "next_attempt_at": mark.at, "attempts": 0}
        return await self._move_all(chosen, State.EXCLUDED, State.DISCOVERED, mark, values)

    async def advance(self, entry: Entry, after: State, mark: Mark, **values: object) -> None:
        """Move one recording on, if it still is as `entry` says. Raises Conflict when it is not.

        The same where the mark rests on decisions about deletion, and there are others by now.
        """
        require_move(entry.state, after)
        owner = {"claimed_by": mark.run if after in CLAIMED else None}
        if mark.decided is None:
            await self._write_one(entry, after, mark, {**owner, **values})
            return
        async with connection(self.engine) as opened:
            await opened.execute(MARK)
            if await extent(opened) != mark.decided:
                msg = f"something about deletion was decided while recording {entry.id} was looked at"
                raise Conflict(msg)
            await self._write_in(opened, entry, after, mark, {**owner, **values})

    async def note(self, entry: Entry, mark: Mark, **values: object) -> None:
        """Write something down about a recording that stays where it is. Raises Conflict like `advance`."""
        await self._write_one(entry, entry.state, mark, values)

    async def settled(self, account: str) -> Settled:
        """Tell under which terms locks and holds of the whole account were last settled."""
        query = select(accounts.c.protected_under, accounts.c.holds_checked_at).where(accounts.c.account == account)
        async with at_once(self.engine) as opened:
            row = (await opened.execute(query)).one_or_none()
        return Settled(None, None) if row is None else Settled(*row)

    async def settle(self, account: str, settled: Settled) -> None:
        """Write that down."""
        values = {"protected_under": settled.under, "holds_checked_at": settled.checked_at}
        async with at_once(self.engine) as opened:
            await opened.execute(update(accounts).where(accounts.c.account == account).values(**values))

    async def _write_one(self, entry: Entry, after: State, mark: Mark, values: Mapping[str, object]) -> None:
        async with at_once(self.engine) as opened:
            await self._write_in(opened, entry, after, mark, values)

    async def _write_in(
        self, opened: AsyncConnection, entry: Entry, after: State, mark: Mark, values: Mapping[str, object]
    ) -> None:
        values = _columns(values)
        statement = _move_of_one(entry.state, after, tuple(sorted(values)))
        chosen = {"chosen_account": entry.recording.account, "chosen_id": entry.id}
        new = {f"new_{name}": value for name, value in values.items()}
        if (await opened.execute(statement, {**chosen, **new, **_said(mark)})).first() is None:
            msg = f"recording {entry.id} is no longer {entry.state}, or has come under a legal hold"
            raise Conflict(msg)

    async def _move_many(
        self, where: ColumnElement[bool], before: State, after: State, mark: Mark, values: Mapping[str, object]
    ) -> list[Entry]:
        statement = _move_of_many(where, before, after, values)
        async with at_once(self.engine) as opened:
            return [to_entry(row) for row in await opened.execute(statement, _said(mark))]

    async def _move_all(
        self, where: ColumnElement[bool], before: State, after: State, mark: Mark, values: Mapping[str, object]
    ) -> int:
        """Move rows that nobody wants to see, however many: only their number comes back."""
        require_move(before, after)
        moved = _moved(where, before, after, values, recordings.c.account, recordings.c.recording_id)
        statement = select(func.count()).select_from(moved).add_cte(_logged(moved, before, after).cte("logged"))
        async with at_once(self.engine) as opened:
            return int(await opened.scalar(statement, _said(mark)) or 0)


def _columns(values: Mapping[str, object]) -> Mapping[str, object]:
    """Write a copy's protection into its columns."""
    protection = values.get("protection")
    if not isinstance(protection, Protection):
        return values
    others = {name: value for name, value in values.items() if name != "protection"}
    # whose the hold in the bucket is, nobody forgets as long as it is on
    ours = {} if protection.on_hold and not protection.hold_set else {"hold_set": protection.hold_set}
    return {**others, **of_lock(protection.lock), "on_hold": protection.on_hold, **ours}


def _moved(
    where: ColumnElement[bool],
    before: State,
    after: State,
    values: Mapping[str, object],
    *returned: Table | Column[str],
) -> CTE:
    """Build the guarded update: it touches nothing that is no longer in the state `before`."""
    guarded = update(recordings).where(where, recordings.c.state == before).values(state=after, **values)
    return guarded.returning(*returned).cte("moved")


def _move_of_many(
    where: ColumnElement[bool], before: State, after: State, values: Mapping[str, object]
) -> Select[*tuple[object, ...]]:
    """Build the move of whatever is chosen, and have all of each row come back."""
    require_move(before, after)
    moved = _moved(where, before, after, values, recordings)
    return select(moved).add_cte(_logged(moved, before, after).cte("logged"))


@lru_cache
def _claim_of(due: Due) -> Select[*tuple[object, ...]]:
    """Build a claim of the due recordings. Kept, like the move of one."""
    table, edge = recordings.c, bindparam("edge", type_=moment)
    account, place = table.account == bindparam("chosen_account"), (table.call_start, table.recording_id)
    within = {Due.BEFORE: table.call_start < edge, Due.SINCE: table.call_start >= edge, Due.ANY: true()}[due]
    chosen = (
        select(table.recording_id)
        .where(account, table.state == State.DISCOVERED, table.next_attempt_at <= bindparam("said_at", type_=moment))
        .where(CLAIMABLE, within)
        .order_by(*place if due is Due.BEFORE else (table.next_attempt_at, *place))
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("due")  # a plain subquery may be run once for each row, and so would its limit
    )
    values = {"claimed_by": bindparam("said_run", type_=Text), "attempts": table.attempts + 1}
    taken = and_(account, table.recording_id.in_(select(chosen.c.recording_id)))
    return _move_of_many(taken, State.DISCOVERED, State.TRANSFERRING, values)


@lru_cache(maxsize=256)
def _move_of_one(before: State, after: State, names: tuple[str, ...]) -> ReturningInsert[int]:
    """Build the move of one recording. Kept: building it anew costs more than the database's part in it."""
    table = recordings.c
    where = and_(table.account == bindparam("chosen_account"), table.recording_id == bindparam("chosen_id"))
    if before is State.TRANSFERRING:
        where = and_(where, table.claimed_by == bindparam("said_run"))  # a run that lost its lock must not finish
    if after in (State.PURGING, State.EXPIRING):
        where = and_(where, table.on_hold.is_(False))  # a hold may have come since it was asked about
    values = {name: bindparam(f"new_{name}", type_=table[name].type) for name in names}
    moved = _moved(where, before, after, values, table.account, table.recording_id)
    return _logged(moved, before, after).returning(history.c.id)


def _said(mark: Mark) -> dict[str, object]:
    """Give what `_logged` leaves open."""
    return {"said_at": mark.at, "said_reason": mark.reason, "said_run": mark.run, "said_detail": mark.detail}


def _logged(moved: CTE, before: State, after: State) -> Insert:
    """Build the history rows of whatever the guarded update touched; to be executed with `_said`."""
    row = select(
        bindparam("said_at", type_=moment),
        moved.c.account,
        moved.c.recording_id,
        literal(before, state_type),
        literal(after, state_type),
        bindparam("said_reason", type_=Text),
        bindparam("said_run", type_=Text),
        bindparam("said_detail", type_=JSON(none_as_null=True)),
    )
    columns = ["at", "account", "recording_id", "before", "after", "reason", "run_id", "detail"]
    return insert(history).from_select(columns, row)

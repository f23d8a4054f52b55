"""Every write to the catalogue. A move of a recording and its history row are one statement: both or neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import (
    CTE,
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Insert,
    Table,
    Text,
    and_,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.dml import ReturningInsert

from archiver.adapters.database import connection
from archiver.adapters.rows import to_columns, to_entry
from archiver.adapters.tables import accounts, gaps, history, moment, recordings, state_type
from archiver.core.lifecycle import require_move
from archiver.core.model import Entry, Malformed, Mark, Progress, Recording, Slice, State
from archiver.core.window import SECOND, fingerprint
from archiver.errors import Conflict

RECORD_PAGE = text("""
with known as (
    select recording_id, raw, state as stands from recordings where account = :account and recording_id = any(:ids)
), listed as (
    insert into recordings (account, state, listed_at, next_attempt_at, recording_id, call_start, call_end, duration_ms,
        size_listed, call_id, direction, caller_id, dnis, cnam, extensions, rule_ids, file_name, raw)
    select :account, 'discovered', :now, :now, id, call_start, call_end, duration_ms,
        size_listed, call_id, direction, caller_id, dnis, cnam,
        array(select json_array_elements_text(extensions::json)),
        array(select json_array_elements_text(rule_ids::json)),
        file_name, raw::json
    from unnest(:ids ::text[], :starts ::timestamptz[], :ends ::timestamptz[], :durations ::bigint[], :sizes ::bigint[],
        :call_ids ::text[], :directions ::text[], :caller_ids ::text[], :dnises ::text[], :cnams ::text[],
        :extensions ::text[], :rule_ids ::text[], :file_names ::text[], :raws ::text[])
        as page(id, call_start, call_end, duration_ms, size_listed, call_id, direction, caller_id, dnis, cnam,
            extensions, rule_ids, file_name, raw)
    -- most of a page is known from the passes before; a conflict would lock, and so write, each of those rows
    where not exists (
        select from known where known.recording_id = page.id
            and (known.raw::text = page.raw or known.stands not in ('discovered', 'failed', 'excluded')))
    on conflict (account, recording_id) do update set call_start = excluded.call_start, call_end = excluded.call_end,
        duration_ms = excluded.duration_ms, size_listed = excluded.size_listed, call_id = excluded.call_id,
        direction = excluded.direction, caller_id = excluded.caller_id, dnis = excluded.dnis, cnam = excluded.cnam,
        extensions = excluded.extensions, rule_ids = excluded.rule_ids, file_name = excluded.file_name,
        raw = excluded.raw
    -- what was archived keeps the description under which it was archived
    where recordings.state in ('discovered', 'failed', 'excluded') and recordings.raw::text <> excluded.raw::text
    returning recording_id, state, xmax = 0 as is_new
)
insert into history (at, account, recording_id, before, after, reason, run_id, detail)
select :now, :account, recording_id, case when is_new then null else state end, state,
    case when is_new then 'listed by the source' else 'described anew by the source' end, :run,
    case when is_new then null else json_build_object('raw', known.raw) end  -- the description until now
from listed left join known using (recording_id) returning before is null as is_new
""")

CLAIMED = (State.TRANSFERRING, State.PURGING)


class Catalogue:
    """The record in Postgres. All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self.engine = engine
        #: for changes that are one statement: atomic by itself, it needs no BEGIN and COMMIT around it
        self.at_once = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def open_account(self, account: str, start_from: datetime) -> Progress:
        """Make sure that the account has its row.

        The listing begins anew where it could not be joined to what was listed: `start_from` is earlier than before,
        or lies beyond the watermark.
        """
        row = upsert(accounts).values(account=account, listed_from=start_from)
        apart = or_(accounts.c.listed_from > start_from, accounts.c.watermark < start_from - SECOND)
        statement = row.on_conflict_do_update(
            index_elements=["account"], set_={"listed_from": start_from, "watermark": null()}, where=apart
        )
        async with connection(self.engine) as opened:
            await opened.execute(statement)
            found = (await opened.execute(select(accounts).where(accounts.c.account == account))).one()
        return Progress(found.watermark, found.page_base)

    async def begin_anew(self, account: str) -> None:
        """Forget the watermark, so that everything from `start_from` on is listed again."""
        async with connection(self.engine) as opened:
            await opened.execute(update(accounts).where(accounts.c.account == account).values(watermark=null()))

    async def record_page(self, account: str, items: Sequence[Recording], mark: Mark) -> int:
        """Commit what one page listed. Returns how many recordings were new. Ids must not repeat in `items`."""
        if not items:
            return 0
        async with connection(self.at_once) as opened:
            values = {"account": account, "run": mark.run, "now": mark.at, **to_columns(items)}
            return sum(row.is_new for row in await opened.execute(RECORD_PAGE, values))

    async def record_gap(
        self, account: str, kind: str, window: Slice, *, reason: str, mark: str, raw: object = None, now: datetime
    ) -> bool:
        """Open a gap, or say that it was seen again. `mark` tells it from others of its kind. True: it is new."""
        row = upsert(gaps).values(
            account=account,
            kind=kind,
            fingerprint=mark,
            reason=reason,
            since=window.since,
            until=window.until,
            raw=null() if raw is None else raw,
            opened_at=now,
            seen_at=now,
        )
        statement = row.on_conflict_do_update(
            index_elements=["account", "kind", "fingerprint"],
            index_where=text("closed_at is null"),
            set_={"seen_at": now, "reason": reason},
        ).returning(literal_column("xmax = 0", Boolean))  # an insert, not an update
        async with connection(self.engine) as opened:
            return bool(await opened.scalar(statement))

    async def record_malformed(self, account: str, items: Sequence[Malformed], window: Slice, *, now: datetime) -> int:
        """Keep unreadable items, each as a gap of its own. Returns how many were new."""
        new = 0
        for item in items:
            raw = {"item": item.raw}  # wrapped: a bare JSON null would be no value at all
            new += await self.record_gap(
                account, "malformed", window, reason=item.reason, mark=fingerprint(item.raw), raw=raw, now=now
            )
        return new

    async def accept_slice(self, account: str, window: Slice, *, base: int | None, proved: bool, now: datetime) -> None:
        """Move the watermark over a slice whose rows are committed, never over a stretch that was not listed."""
        joins = accounts.c.watermark.is_(None) | (accounts.c.watermark >= window.since - SECOND)
        moved = func.greatest(func.coalesce(accounts.c.watermark, window.until), window.until)
        values: dict[str, object] = {"watermark": moved} | ({} if base is None else {"page_base": base})
        closed = update(gaps).where(
            gaps.c.account == account,
            gaps.c.kind == "unlisted",
            gaps.c.closed_at.is_(None),
            gaps.c.since >= window.since,
            gaps.c.until <= window.until,
        )
        async with connection(self.engine) as opened:
            await opened.execute(update(accounts).where(accounts.c.account == account, joins).values(values))
            if proved:
                await opened.execute(closed.values(closed_at=now))

    async def claim(self, account: str, mark: Mark, *, limit: int) -> list[Entry]:
        """Take due recordings for transfer, those longest due first. They are the run's until it moves them on."""
        due = (
            select(recordings.c.recording_id)
            .where(recordings.c.account == account, recordings.c.state == State.DISCOVERED)
            .where(recordings.c.next_attempt_at <= mark.at)
            .order_by(recordings.c.next_attempt_at, recordings.c.call_start, recordings.c.recording_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")  # a plain subquery may be run once for each row, and so would its limit
        )
        chosen = and_(recordings.c.account == account, recordings.c.recording_id.in_(select(due.c.recording_id)))
        values = {"claimed_by": mark.run, "attempts": recordings.c.attempts + 1}
        return await self._move_many(chosen, State.DISCOVERED, State.TRANSFERRING, mark, values)

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
        """Move one recording on, if it still is as `entry` says. Raises Conflict when it is not."""
        require_move(entry.state, after)
        owner = {"claimed_by": mark.run if after in CLAIMED else None}
        await self._write_one(entry, after, mark, {**owner, **values})

    async def note(self, entry: Entry, mark: Mark, **values: object) -> None:
        """Write something down about a recording that stays where it is. Raises Conflict like `advance`."""
        await self._write_one(entry, entry.state, mark, values)

    async def _write_one(self, entry: Entry, after: State, mark: Mark, values: Mapping[str, object]) -> None:
        statement = _move_of_one(entry.state, after, tuple(sorted(values)))
        chosen = {"chosen_account": entry.recording.account, "chosen_id": entry.id}
        new = {f"new_{name}": value for name, value in values.items()}
        async with connection(self.at_once) as opened:
            if (await opened.execute(statement, {**chosen, **new, **_said(mark)})).first() is None:
                msg = f"recording {entry.id} is no longer {entry.state}"
                raise Conflict(msg)

    async def _move_many(
        self, where: ColumnElement[bool], before: State, after: State, mark: Mark, values: Mapping[str, object]
    ) -> list[Entry]:
        require_move(before, after)
        moved = _moved(where, before, after, values, recordings)
        statement = select(moved).add_cte(_logged(moved, before, after).cte("logged"))
        async with connection(self.at_once) as opened:
            return [to_entry(row) for row in await opened.execute(statement, _said(mark))]

    async def _move_all(
        self, where: ColumnElement[bool], before: State, after: State, mark: Mark, values: Mapping[str, object]
    ) -> int:
        """Move rows that nobody wants to see, however many: only their number comes back."""
        require_move(before, after)
        moved = _moved(where, before, after, values, recordings.c.account, recordings.c.recording_id)
        statement = select(func.count()).select_from(moved).add_cte(_logged(moved, before, after).cte("logged"))
        async with connection(self.at_once) as opened:
            return int(await opened.scalar(statement, _said(mark)) or 0)


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


@lru_cache(maxsize=256)
def _move_of_one(before: State, after: State, names: tuple[str, ...]) -> ReturningInsert[int]:
    """Build the move of one recording. Kept: building it anew costs more than the database's part in it."""
    table = recordings.c
    where = and_(table.account == bindparam("chosen_account"), table.recording_id == bindparam("chosen_id"))
    if before is State.TRANSFERRING:
        where = and_(where, table.claimed_by == bindparam("said_run"))  # a run that lost its lock must not finish
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

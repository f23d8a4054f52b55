"""The ledger's writes while the source is listed: accounts, pages, and what each slice is worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import day_rows, gap_rows
from archiver.adapters.database import at_once, connection
from archiver.adapters.rows import to_columns
from archiver.adapters.tables import accounts
from archiver.core.coverage import DayFacts, DayRow, Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.listing import parse_recording
from archiver.core.model import Learnt, Malformed, Mark, Progress, Recording, Slice
from archiver.core.recount import DueDay, Expected, Lost
from archiver.core.window import SECOND, fingerprint
from archiver.stages.ports import Recorded

RECORD_PAGE = text("""
with page as (
    select * from unnest(:ids ::text[], :starts ::timestamptz[], :ends ::timestamptz[], :durations ::bigint[],
        :sizes ::bigint[], :call_ids ::text[], :directions ::text[], :caller_ids ::text[], :dnises ::text[],
        :cnams ::text[], :extensions ::text[], :rule_ids ::text[], :file_names ::text[], :raws ::text[])
        as page(id, call_start, call_end, duration_ms, size_listed, call_id, direction, caller_id, dnis, cnam,
            extensions, rule_ids, file_name, raw)
), known as (
    select recording_id, raw, call_start, absent_since is not null as was_absent,
        -- what was archived keeps the description under which it was archived
        state in ('discovered', 'failed', 'excluded') as follows,
        state in ('purged', 'expiring', 'expired') and purged_at < :now ::timestamptz - interval '1 hour' as long_purged
    from recordings where account = :account and recording_id = any(:ids)
), anew as (
    -- most of a page is known from the passes before; a conflict would lock, and so write, each of those rows
    select page.* from page left join known on known.recording_id = page.id
    where known.recording_id is null
        or (known.raw::text <> page.raw and known.follows)
), returned as (
    -- what a proved listing lacked is there again
    update recordings set absent_since = null
    from page
    where account = :account and recording_id = page.id and recordings.call_start = page.call_start
        and absent_since is not null and recording_id not in (select id from anew)
    returning recording_id, state
), listed as (
    insert into recordings (account, state, listed_at, next_attempt_at, recording_id, call_start, call_end, duration_ms,
        size_listed, call_id, direction, caller_id, dnis, cnam, extensions, rule_ids, file_name, raw)
    select :account, 'discovered', :now, :now, id, call_start, call_end, duration_ms,
        size_listed, call_id, direction, caller_id, dnis, cnam,
        array(select json_array_elements_text(extensions::json)),
        array(select json_array_elements_text(rule_ids::json)),
        file_name, raw::json
    from anew
    on conflict (account, recording_id) do update set call_start = excluded.call_start, call_end = excluded.call_end,
        duration_ms = excluded.duration_ms, size_listed = excluded.size_listed, call_id = excluded.call_id,
        direction = excluded.direction, caller_id = excluded.caller_id, dnis = excluded.dnis, cnam = excluded.cnam,
        extensions = excluded.extensions, rule_ids = excluded.rule_ids, file_name = excluded.file_name,
        raw = excluded.raw, absent_since = null,
        -- not into the history: what is forgotten with the recording one day must not stand where nothing is forgotten
        earlier = recordings.earlier || recordings.raw::text
    where recordings.state in ('discovered', 'failed', 'excluded') and recordings.raw::text <> excluded.raw::text
    returning recording_id, state, xmax = 0 as is_new
), noted as (
    insert into history (at, account, recording_id, before, after, reason, run_id)
    select :now, :account, recording_id, state, state, 'listed again by the source', :run
    from (
        select recording_id, state from returned
        union all
        select recording_id, state from listed join known using (recording_id) where was_absent
    ) as there
)
, told as (
    insert into history (at, account, recording_id, before, after, reason, run_id)
    select :now, :account, recording_id, case when is_new then null else state end, state,
        case when is_new then 'listed by the source' else 'described anew by the source' end, :run
    from listed returning before is null as is_new
)
select (select count(*) from told where is_new) as new,
    (select count(*) from known where long_purged) as undeleted,
    -- the same id with another start: what the row does not speak of, before or after this
    array(select case when follows then known.raw else page.raw ::json end
        from known join page on page.id = known.recording_id where known.call_start <> page.call_start) as moved
""")

ABSENT = text("""
with gone as (
    update recordings set absent_since = :now
    where account = :account and recording_id = any(:ids) and absent_since is null and purged_at is null
        and state not in ('purging', 'expiring', 'expired')  -- the archiver itself has taken it away meanwhile
    returning recording_id, state, call_start
), closed as (
    -- a reason for what is missing now is none for what will be
    update gaps set closed_at = :now, evidence = 'explained, and no longer expected at the source'
    where account = :account and kind = 'shrunken' and closed_at is null and explanation is not null
        and exists (select from gone where call_start between gaps.since and gaps.until)
    returning id, evidence
), told as (
    insert into gap_events (gap_id, at, event, reason, by) select id, :now, 'closed', evidence, :run from closed
)
insert into history (at, account, recording_id, before, after, reason, run_id)
select :now, :account, recording_id, state, state, :reason, :run from gone
""")
LOST = text("""
select recording_id, call_start from recordings
where account = :account and call_start between :since and :until and listed_at <= :before
    and state not in ('purging', 'expiring', 'expired') and purged_at is null and absent_since is null
    and not recording_id = any(:listed)
order by call_start, recording_id
""")


class Ledger:
    """Implements `ports.Ledger`. All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self.engine = engine

    async def open_account(self, account: str, start_from: datetime) -> Progress:
        """Make sure that the account has its row.

        The listing begins anew where it could not be joined to what was listed: `start_from` is earlier than before,
        or lies beyond the watermark.
        """
        row = upsert(accounts).values(account=account, listed_from=start_from)
        apart = or_(accounts.c.listed_from > start_from, accounts.c.watermark < start_from - SECOND)
        statement = row.on_conflict_do_update(
            index_elements=["account"], set_={"listed_from": start_from, "watermark": None}, where=apart
        )
        async with connection(self.engine) as opened:
            await opened.execute(statement)
            found = (await opened.execute(select(accounts).where(accounts.c.account == account))).one()
        return Progress(found.watermark, Learnt(found.page_base, found.page_cap))

    async def begin_anew(self, account: str, now: datetime) -> None:
        """Forget the watermark, so that everything is listed again, and what was proved later than now."""
        async with connection(self.engine) as opened:
            await opened.execute(update(accounts).where(accounts.c.account == account).values(watermark=None))
            await day_rows.forget_later(opened, account, now)

    async def record_page(self, account: str, items: Sequence[Recording], mark: Mark) -> Recorded:
        """Commit what one page listed. Ids must not repeat in `items`."""
        if not items:
            return Recorded()
        async with at_once(self.engine) as opened:
            values = {"account": account, "run": mark.run, "now": mark.at, **to_columns(items)}
            row = (await opened.execute(RECORD_PAGE, values)).one()
        moved = (parse_recording(account, raw) for raw in row.moved)
        return Recorded(row.new, row.undeleted, tuple(item for item in moved if isinstance(item, Recording)))

    async def record_malformed(
        self, account: str, items: Sequence[Malformed], window: Slice, mark: Mark, *, counted: bool
    ) -> int:
        """Keep unreadable items, each as a gap of its own. Returns how many were new."""
        new = 0
        async with connection(self.engine) as opened:
            for item in items:
                met = gap_rows.Met(
                    kind=GapKind.MALFORMED,
                    fingerprint=fingerprint(item),
                    window=item.place(window),
                    reason=item.reason,
                    claimed=int(counted),
                    raw={"item": item.raw},  # wrapped: a bare JSON null would be no value at all
                )
                new += await gap_rows.meet(opened, account, met, mark) is Standing.NEW
        return new

    async def record_gap(
        self, account: str, kind: GapKind, window: Slice, mark: Mark, *, fingerprint: str, claimed: int
    ) -> Standing:
        """Open a gap of the listing, or say that it was seen again."""
        met = gap_rows.Met(kind=kind, fingerprint=fingerprint, window=window, reason=mark.reason, claimed=claimed)
        async with connection(self.engine) as opened:
            return await gap_rows.meet(opened, account, met, mark)

    async def accept_slice(
        self, account: str, window: Slice, proof: Proof, learnt: Learnt, *, moves: bool = True
    ) -> None:
        """Write down what the days of a slice are worth that is part of them, and move the watermark over it.

        It never moves over a stretch that was not listed.
        """
        joins = accounts.c.watermark.is_(None) | (accounts.c.watermark >= window.since - SECOND)
        moved = func.greatest(func.coalesce(accounts.c.watermark, window.until), window.until)
        chosen = accounts.c.account == account
        async with connection(self.engine) as opened:
            if moves:
                await opened.execute(update(accounts).where(chosen, joins).values(watermark=moved))
            await opened.execute(update(accounts).where(chosen).values(_kept(learnt)))
            await day_rows.write_proof(opened, account, window, proof, whole=False)
            await gap_rows.close_read(opened, account, window, proof)

    async def conclude(self, account: str, window: Slice, proof: Proof, learnt: Learnt) -> None:
        """Write down what days that were asked about again are worth, and close gaps that are no more."""
        async with connection(self.engine) as opened:
            await opened.execute(update(accounts).where(accounts.c.account == account).values(_kept(learnt)))
            await day_rows.write_proof(opened, account, window, proof, whole=True)
            await gap_rows.close_read(opened, account, window, proof)

    async def expected(self, account: str, window: Slice) -> Mapping[date, Expected]:
        """Count, for each day with any, what the source should have in the slice."""
        async with at_once(self.engine) as opened:
            return await day_rows.expected(opened, account, window)

    async def claims(self, account: str, window: Slice, *, limit: int) -> list[Slice]:
        """Where in the slice something stands on the gap list as not listed or unreadable; longest unseen first."""
        async with at_once(self.engine) as opened:
            return await gap_rows.claims(opened, account, window, limit)

    async def lost(self, account: str, window: Slice, listed: Collection[str], *, before: datetime) -> list[Lost]:
        """Find recordings that should be at the source in the slice, known since `before`, and were not listed."""
        values = {"account": account, "since": window.since, "until": window.until, "before": before}
        async with at_once(self.engine) as opened:
            rows = await opened.execute(LOST, {**values, "listed": list(listed)})
            return [Lost(row.recording_id, row.call_start) for row in rows]

    async def mark_absent(self, account: str, recording_ids: Sequence[str], mark: Mark) -> None:
        """Note in the history that the source no longer lists these; they are not expected there any more."""
        values = {"account": account, "ids": list(recording_ids), "now": mark.at, "run": mark.run}
        async with at_once(self.engine) as opened:
            await opened.execute(ABSENT, {**values, "reason": mark.reason})

    async def due_days(
        self, account: str, *, first: date, before: date, proved_before: datetime, troubled_before: datetime
    ) -> list[DueDay]:
        """Find days, in order, that were last asked about before these times, or never settled."""
        times = {"first": first, "before": before, "proved_before": proved_before, "troubled_before": troubled_before}
        async with at_once(self.engine) as opened:
            return await day_rows.due(opened, account, times)

    async def settle_gaps(self, account: str, mark: Mark) -> None:
        """Open a gap for every recording that should be archived and is in trouble; close those that are no more."""
        async with connection(self.engine) as opened:
            await gap_rows.settle(opened, account, mark)

    async def look_through(self, account: str) -> None:
        """Mark the days of recordings that were moved on since the last look."""
        async with at_once(self.engine) as opened:
            await day_rows.look_through(opened, account)

    async def stale_days(self, account: str, *, limit: int) -> list[DayFacts]:
        """Read the facts of days of which something has changed since their last line in the ledger."""
        async with at_once(self.engine) as opened:
            return await day_rows.stale(opened, account, limit)

    async def write_days(self, rows: Sequence[DayRow], mark: Mark) -> None:
        """Add lines to the ledger, where they say something new."""
        async with connection(self.engine) as opened:
            await day_rows.write_lines(opened, rows, mark)


def _kept(learnt: Learnt) -> dict[str, object]:
    """What an account has shown is never forgotten for want of a new sign."""
    base: dict[str, object] = {} if learnt.page_base is None else {"page_base": learnt.page_base}
    return {"page_cap": learnt.page_cap, **base}

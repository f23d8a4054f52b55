"""What health and metrics are judged by: one look at the catalogue, account by account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Row, TextClause, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.database import at_once
from archiver.adapters.due import PAUSED
from archiver.adapters.run_reads import AT_WORK as IS_AT_WORK
from archiver.adapters.tables import accounts, runs
from archiver.core.health import AccountFacts, Stop
from archiver.core.lifecycle import ARCHIVED
from archiver.core.model import State

COUNTS = text("""
select account, state::text as state, count(*) as found, coalesce(sum(size), 0)::bigint as size,
    max(call_start) as newest_call, min(verified_at) as verified_at, max(stored_at) as stored_at,
    greatest(max(listed_at), max(stored_at), max(verified_at)) as progress
from recordings group by account, state
""")
#: What is given up is on the gap list; and what a person has explained or paused keeps nobody waiting.
#: A call that was listed later than its lookback is no new one: it waits behind those that are.
WAITING = text(f"""
select account, min(call_start) as call_start,
    min(listed_at) filter (where listed_at - call_start <= :lookback) as pending,
    min(listed_at) filter (where listed_at - call_start > :lookback) as backlog
from recordings
where state in ('discovered', 'transferring') and not {PAUSED} and not exists (
    select from gaps where gaps.account = recordings.account and gaps.recording_id = recordings.recording_id
        and gaps.closed_at is null and gaps.explanation is not null)
group by account
""")  # noqa: S608 - of constants
GAPS = text("""
select account, kind, count(*) as found, min(opened_at) as opened_at from gaps
where closed_at is null and explanation is null group by account, kind
""")
DAYS = text("""
select account, state, count(*) as found from (
    select distinct on (account, day) account, state from ledger order by account, day, id desc
) as last_lines group by account, state
""")
#: A process that was killed has left its run without an end, and a pass that was kept out has ended at once.
AT_WORK = select(func.min(runs.c.started_at)).where(runs.c.command == "sync", IS_AT_WORK)
Rows = Sequence[Row[tuple[object, ...]]]


class HealthReads:
    """Reads of one moment. All raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def facts(self, names: Sequence[str], lookback: timedelta) -> list[AccountFacts]:
        """Look at the configured accounts, in their order. Reads all of `recordings` once: seconds for millions.

        `lookback`: so long after its start a call counts as new when it is listed.
        """
        waiting = WAITING.bindparams(lookback=lookback)
        async with at_once(self._engine) as opened:
            known = {row.account: row for row in await opened.execute(select(accounts))}
            found = [await _by_account(opened, query) for query in (COUNTS, waiting, GAPS, DAYS)]
            since = await opened.scalar(AT_WORK)
        made = [_facts(name, known.get(name), *(one.get(name, []) for one in found)) for name in names]
        return [replace(one, at_work_since=since) for one in made]


async def _by_account(opened: AsyncConnection, query: TextClause) -> Mapping[str, Rows]:
    rows = (await opened.execute(query)).all()
    return {name: [row for row in rows if row.account == name] for name in {row.account for row in rows}}


def _facts(
    name: str, account: Row[tuple[object, ...]] | None, counted: Rows, waiting: Rows, gaps: Rows, days: Rows
) -> AccountFacts:
    if account is None:
        return AccountFacts(account=name)
    archived = [row for row in counted if row.state in ARCHIVED]
    return AccountFacts(
        account=name,
        counts={State(row.state): row.found for row in counted},
        bytes=sum(row.size for row in archived),
        watermark=account.watermark,
        added=account.added_at,
        good_pass=account.good_pass_at,
        stop=None if account.stop_kind is None else Stop(account.stop_kind, account.stop_reason, account.stop_final),
        clock_ahead=None if account.clock_seconds is None else timedelta(seconds=account.clock_seconds),
        progress=_newest(row.progress for row in counted),
        oldest_pending=waiting[0].pending if waiting else None,
        oldest_backlog=waiting[0].backlog if waiting else None,
        last_stored=_newest(row.stored_at for row in counted),
        oldest_pending_call=waiting[0].call_start if waiting else None,
        newest_call=_newest(row.newest_call for row in counted),
        oldest_fixity=min((row.verified_at for row in archived if row.verified_at is not None), default=None),
        gaps={row.kind: row.found for row in gaps},
        oldest_gap=min((row.opened_at for row in gaps), default=None),
        days={row.state: row.found for row in days},
    )


def _newest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)

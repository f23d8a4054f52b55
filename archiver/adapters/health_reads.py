"""What health and metrics are judged by: one look at the catalogue, account by account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Row, TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.database import at_once
from archiver.adapters.due import PAUSED
from archiver.adapters.tables import accounts
from archiver.core.health import AccountFacts, Stop
from archiver.core.lifecycle import ARCHIVED
from archiver.core.model import State

COUNTS = text("""
select account, state::text as state, count(*) as found, coalesce(sum(size), 0)::bigint as size,
    max(call_start) as newest_call, min(verified_at) as verified_at
from recordings group by account, state
""")
#: What is given up is on the gap list; and what a person has explained or paused keeps nobody waiting.
WAITING = text(f"""
select account, min(listed_at) as listed_at, min(call_start) as call_start from recordings
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
Rows = Sequence[Row[tuple[object, ...]]]


class HealthReads:
    """Reads of one moment. All raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` stays the caller's to dispose of."""
        self._engine = engine

    async def facts(self, names: Sequence[str]) -> list[AccountFacts]:
        """Look at the configured accounts, in their order. Reads all of `recordings` once: seconds for millions."""
        async with at_once(self._engine) as opened:
            known = {row.account: row for row in await opened.execute(select(accounts))}
            found = [await _by_account(opened, query) for query in (COUNTS, WAITING, GAPS, DAYS)]
        return [_facts(name, known.get(name), *(one.get(name, []) for one in found)) for name in names]


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
        oldest_pending=waiting[0].listed_at if waiting else None,
        oldest_pending_call=waiting[0].call_start if waiting else None,
        newest_call=max((row.newest_call for row in counted), default=None),
        oldest_fixity=min((row.verified_at for row in archived if row.verified_at is not None), default=None),
        gaps={row.kind: row.found for row in gaps},
        oldest_gap=min((row.opened_at for row in gaps), default=None),
        days={row.state: row.found for row in days},
    )

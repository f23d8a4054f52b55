"""Days of the ledger, in SQL: what the source should have, what was proved, what is due, and the lines kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Date, Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from archiver.core.coverage import DayFacts, DayRow, Proof
from archiver.core.model import Mark, Slice, whole_day
from archiver.core.recount import DueDay, Expected

MOST_DUE = 400  # days looked at in one pass; the rest is due in the next
KEPT_PROOF = timedelta(days=1)  # a proof that changes nothing is written down at most so often

AT_SOURCE = "purged_at is null and state not in ('expiring', 'expired') and absent_since is null"
CLAIMED = "claimed > 0 and kind <> 'shrunken'"
#: Of day `d.day`: what the source should have. A gap of the listing counts on its first day.
EXPECTED_OF_DAY = f"""
    select (select count(*) from recordings where account = :account and {AT_SOURCE}
            and call_start >= d.day::timestamp at time zone 'UTC'
            and call_start < (d.day + 1)::timestamp at time zone 'UTC') as at_source,
        (select coalesce(sum(claimed), 0) from gaps where account = :account and closed_at is null and {CLAIMED}
            and (since at time zone 'UTC')::date = d.day) as claimed
"""  # noqa: S608 - of constants

BEGIN_OF_DAY = "greatest(excluded.day::timestamp at time zone 'UTC', :start_from)"
EXPECTED = text(f"""
select day, sum(at_source)::int as at_source, sum(claimed)::int as claimed from (
    select (call_start at time zone 'UTC')::date as day, count(*) as at_source, 0 as claimed from recordings
    where account = :account and call_start between :since and :until and {AT_SOURCE} group by 1
    union all
    select (since at time zone 'UTC')::date, 0, sum(claimed) from gaps
    where account = :account and closed_at is null and {CLAIMED} and since >= :since and until <= :until group by 1
) as found group by day
""")  # noqa: S608 - of constants

WRITE_PROOF = text(
    f"""
insert into days as known (account, day, checked_at, proved_at, settled_at, doubt, said, stale)
select :account, d.day, :now, case when d.doubt is null then :now end, case when d.settles then :now end, d.doubt,
    case when d.usable then expected.at_source + expected.claimed - d.lost end, true
from unnest(:days, :doubts ::text[], :usable ::bool[], :lost ::int[], :settles ::bool[])
    as d(day, doubt, usable, lost, settles)
cross join lateral ({EXPECTED_OF_DAY}) as expected
on conflict (account, day) do update set
    checked_at = excluded.checked_at,
    settled_at = coalesce(known.settled_at, excluded.settled_at),
    said = case when :whole or :since <= {BEGIN_OF_DAY} or known.doubt is null or known.said is not null
        then excluded.said end,  -- one piece without usable totals leaves none for the day
    stale = true,
    -- a day that is listed piece by piece keeps the doubt about an earlier piece
    doubt = case when :whole or :since <= {BEGIN_OF_DAY}
        then excluded.doubt else coalesce(known.doubt, excluded.doubt) end,
    proved_at = case when excluded.doubt is null and (:whole or :since <= {BEGIN_OF_DAY} or known.doubt is null)
        then excluded.proved_at else known.proved_at end
"""  # noqa: S608 - of constants
).bindparams(bindparam("days", type_=ARRAY(Date)))

DUE = text(f"""
with due as (
    -- a count that agrees cannot show that the claimed item is listed now, or listed readable; nor that what was in
    -- doubt is listed: a recording that has gone and one that is counted and not listed make up for each other
    select *, doubt is not null or exists (select from gaps where account = :account and closed_at is null
        and kind in ('malformed', 'unlisted')
        and since < (days.day + 1)::timestamp at time zone 'UTC'
        and until >= days.day::timestamp at time zone 'UTC') as odd
    from days
    where account = :account and day >= :first and day < :before and (settled_at is null or checked_at is null
        or checked_at <= :proved_before
        or (checked_at <= :troubled_before and (doubt is not null or exists (select from gaps
            where account = :account and closed_at is null and explanation is null and recording_id is null
                and since < (days.day + 1)::timestamp at time zone 'UTC'
                and until >= days.day::timestamp at time zone 'UTC'))))
    order by (settled_at is null and checked_at is not null) desc, checked_at nulls first, day limit :most
)
select d.day, at_source + claimed as expected, checked_at, (settled_at is null or odd) as list_it,
    (settled_at is null and checked_at is not null) as fresh
from due as d cross join lateral ({EXPECTED_OF_DAY}) as expected order by d.day
""")  # noqa: S608 - of constants

#: How far the history was looked through, and its end.
HISTORY = text("""
select ledger_position as seen, (select coalesce(max(id), 0) from history) as latest
from accounts where account = :account
""")
#: Who writes into the history holds this lock from before it takes a number until its row can be seen.
WRITERS = text("""
select exists (select from pg_locks
    where database = (select oid from pg_database where datname = current_database())
        and relation = 'history'::regclass and mode = 'RowExclusiveLock' and pid is distinct from pg_backend_pid())
""")
TOUCHED = text("""
with touched as (
    select distinct (recordings.call_start at time zone 'UTC')::date as day
    from history join recordings using (account, recording_id)
    where account = :account and history.id > :seen and history.id <= :latest
), marked as (
    insert into days (account, day) select :account, day from touched
    on conflict (account, day) do update set stale = true
)
update accounts set ledger_position = :latest where account = :account and not :others_write
""")

FACTS = """
select d.day, d.checked_at, d.proved_at, d.settled_at, d.said, d.doubt, found.*, gap.missing, gap.open, gap.explained
from {days} as d
cross join lateral (
    select count(*) as known,
        count(*) filter (where copied) as verified,
        count(*) filter (where copied and purged_at is not null) as deleted,
        count(*) filter (where state = 'excluded') as excluded,
        count(*) filter (where state in ('transferring', 'stored')
            or (state = 'discovered' and problem is null and absent_since is null)) as waiting
    from recordings, lateral (
        select state in ('verified', 'purging', 'purged', 'expiring', 'expired') as copied
    ) as its
    where account = :account and call_start >= d.day::timestamp at time zone 'UTC'
        and call_start < (d.day + 1)::timestamp at time zone 'UTC'
) as found
cross join lateral (
    select coalesce(sum(open), 0) as open, coalesce(sum(explained), 0) as explained,
        coalesce(jsonb_object_agg(kind, missing) filter (where missing > 0), '{{}}') as missing
    from (
        select kind, count(*) filter (where explanation is null) as open,
            count(*) filter (where explanation is not null) as explained,
            coalesce(sum(case kind when 'unlisted' then claimed when 'shrunken' then 0 else 1 end)
                filter (where (since at time zone 'UTC')::date = d.day), 0) as missing
        from gaps where account = :account and closed_at is null
            and since < (d.day + 1)::timestamp at time zone 'UTC' and until >= d.day::timestamp at time zone 'UTC'
        group by kind
    ) as by_kind
) as gap
order by d.day
"""
STALE = text(FACTS.format(days="(select * from days where account = :account and stale order by day limit :most)"))
THESE = text(FACTS.format(days="(select * from days where account = :account and day = any(:days))"))
BETWEEN = text(FACTS.format(days="(select * from days where account = :account and day between :first and :last)"))

#: A line is written when it says something else than the last one, or proves the day anew a day or more later.
WRITE_LINE = text("""
with last as (
    select * from ledger where account = :account and day = :day order by id desc limit 1
), added as (
    insert into ledger (at, run_id, account, day, state, reason, counts, missing, checked_at, proved_at, settled_at)
    select :now, :run, :account, :day, :state, :reason, :counts, :missing, :checked_at, :proved_at, :settled_at
    where not exists (select from last where last.state = :state and last.reason = :reason and last.counts = :counts
        and last.missing = :missing and (last.settled_at is null) = (:settled_at ::timestamptz is null)
        and (:proved_at ::timestamptz is null or last.proved_at > :proved_at ::timestamptz - :kept ::interval))
)
update days set stale = false where account = :account and day = :day
""").bindparams(bindparam("counts", type_=JSONB), bindparam("missing", type_=JSONB))
MARK_STALE = text("update days set stale = true where account = :account and day = any(:days)")

FORGET_LATER = text("""
update days set checked_at = null, proved_at = null, settled_at = null, said = null, stale = true
where account = :account and checked_at > :now
""")

COUNTS = ("said", "known", "verified", "deleted", "excluded", "waiting", "open_gaps", "explained_gaps")


async def expected(opened: AsyncConnection, account: str, window: Slice) -> Mapping[date, Expected]:
    """Count, for each day with any, what the source should have in the slice."""
    rows = await opened.execute(EXPECTED, {"account": account, "since": window.since, "until": window.until})
    return {row.day: Expected(row.at_source, row.claimed) for row in rows}


async def write_proof(opened: AsyncConnection, account: str, window: Slice, proof: Proof, *, whole: bool) -> None:
    """Write down what a reading proves about each day of it. `whole`: every day was asked about as far as it goes."""
    days = list(window.days())
    doubts = [[doubt for doubt in proof.doubts if _touches(doubt.window, day)] for day in days]
    values = {
        "days": days,
        "doubts": [some[0].reason if some else None for some in doubts],
        "usable": [all(doubt.usable for doubt in some) for some in doubts],
        "lost": [sum(doubt.lost for doubt in some) for some in doubts],
        "settles": [_settles(proof, day, window, whole=whole) for day in days],
    }
    said = {"account": account, "now": proof.at, "since": window.since, "whole": whole}
    said["start_from"] = proof.start_from
    await opened.execute(WRITE_PROOF, {**said, **values})


def _touches(window: Slice, day: date) -> bool:
    whole = whole_day(day)
    return window.since <= whole.until and window.until >= whole.since


def _settles(proof: Proof, day: date, window: Slice, *, whole: bool) -> bool:
    """Whether a day was listed for good: from its beginning, after its lookback was over."""
    if proof.settled_before is None or day >= proof.settled_before:
        return False
    begin, end = _begin(proof, day), whole_day(day).until
    part = Slice(max(begin, window.since), min(end, window.until))
    return (whole or window.since <= begin) and any(listed.covers(part) for listed in proof.listed)


def _begin(proof: Proof, day: date) -> datetime:
    """First call start of a day that is asked for."""
    first = whole_day(day).since
    return first if proof.start_from is None else max(first, proof.start_from)


async def due(opened: AsyncConnection, account: str, times: Mapping[str, date]) -> list[DueDay]:
    """Find the days that the full recount should ask about. `times`: first, before, proved_before, troubled_before."""
    rows = await opened.execute(DUE, {"account": account, "most": MOST_DUE, **times})
    return [
        DueDay(day=row.day, expected=int(row.expected), checked_at=row.checked_at, list_it=row.list_it, fresh=row.fresh)
        for row in rows
    ]


async def forget_later(opened: AsyncConnection, account: str, now: datetime) -> None:
    """Take proofs of days back that bear a time to come: a clock was ahead."""
    await opened.execute(FORGET_LATER, {"account": account, "now": now})


async def look_through(opened: AsyncConnection, account: str) -> None:
    """Mark the days that the history has touched since the last look. Each statement sees what was committed before it.

    A number of the history is taken before its row can be seen, so a lower number may come to light after a higher
    one. While others write, the same stretch is therefore looked through again the next time.
    """
    ends = (await opened.execute(HISTORY, {"account": account})).one_or_none()
    if ends is None or ends.latest == ends.seen:
        return
    others = bool(await opened.scalar(WRITERS))
    values = {"account": account, "seen": ends.seen, "latest": ends.latest, "others_write": others}
    await opened.execute(TOUCHED, values)


async def stale(opened: AsyncConnection, account: str, limit: int) -> list[DayFacts]:
    """Read the facts of days that the ledger lacks a line about."""
    return [to_facts(account, row) for row in await opened.execute(STALE, {"account": account, "most": limit})]


async def between(opened: AsyncConnection, account: str, first: date, last: date) -> list[DayFacts]:
    """Read the facts of days as they are now."""
    rows = await opened.execute(BETWEEN, {"account": account, "first": first, "last": last})
    return [to_facts(account, row) for row in rows]


def to_facts(account: str, row: Row[tuple[object, ...]]) -> DayFacts:
    """Read one row of FACTS."""
    return DayFacts(
        account=account,
        day=row.day,
        said=row.said,
        known=row.known,
        verified=row.verified,
        deleted=row.deleted,
        excluded=row.excluded,
        waiting=row.waiting,
        missing=row.missing,
        open_gaps=int(row.open),
        explained_gaps=int(row.explained),
        checked_at=row.checked_at,
        proved_at=row.proved_at,
        settled_at=row.settled_at,
        doubt=row.doubt,
    )


async def write_lines(opened: AsyncConnection, rows: Sequence[DayRow], mark: Mark) -> None:
    """Add lines to the ledger, where they say something new."""
    for row in rows:
        facts = row.facts
        values = {
            "now": mark.at,
            "run": mark.run,
            "account": facts.account,
            "day": facts.day,
            "state": row.state,
            "reason": row.reason,
            "counts": {name: getattr(facts, name) for name in COUNTS},
            "missing": dict(facts.missing),
            "checked_at": facts.checked_at,
            "proved_at": facts.proved_at,
            "settled_at": facts.settled_at,
            "kept": KEPT_PROOF,
        }
        await opened.execute(WRITE_LINE, values)
    for account in {row.facts.account for row in rows}:
        await _mark_moved(opened, account, {row.facts.day: row.facts for row in rows if row.facts.account == account})


async def _mark_moved(opened: AsyncConnection, account: str, written: Mapping[date, DayFacts]) -> None:
    """Keep the mark of days that changed after their facts were read, by another process or a person."""
    found = await opened.execute(THESE, {"account": account, "days": list(written)})
    moved = [now.day for now in (to_facts(account, row) for row in found) if now != written[now.day]]
    if moved:
        await opened.execute(MARK_STALE, {"account": account, "days": moved})

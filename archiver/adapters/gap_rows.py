"""The life of a gap, in SQL: opened, seen again, explained, closed; every turn is kept in `gap_events`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from archiver.core.coverage import Proof
from archiver.core.gaps import GapKind, Standing
from archiver.core.model import Mark, Slice

#: More that is claimed, or lost, than when a person explained it is another gap: it is open again. An unreadable item
#: stays the same one, whether the total counts it or not; it may be met in a narrower place than before.
MEET = text("""
with known as (
    select id, reason, explanation, since, until, kind <> 'malformed' and claimed < :claimed as grew,
        since <= :until ::timestamptz and until >= :since ::timestamptz as touches
    from gaps where account = :account and fingerprint = :fingerprint and closed_at is null
), seen as (
    update gaps set reason = :reason, claimed = :claimed, seen_at = :now, seen_run = :run,
        explanation = case when not grew then gaps.explanation end,
        explained_by = case when not grew then gaps.explained_by end,
        explained_at = case when not grew then gaps.explained_at end,
        since = case when touches then greatest(gaps.since, :since) else gaps.since end,
        until = case when touches then least(gaps.until, :until) else gaps.until end
    from known where gaps.id = known.id returning gaps.id, gaps.explanation
), opened as (
    -- only where none is known: a number that was taken for nothing would look like a gap that was taken away
    insert into gaps (account, kind, fingerprint, reason, since, until, claimed, raw, opened_at, seen_at, seen_run)
    select :account, :kind, :fingerprint, :reason, :since, :until, :claimed, :raw, :now, :now, :run
    where not exists (select from known)
    on conflict (account, fingerprint) where closed_at is null
        do update set seen_at = excluded.seen_at, seen_run = excluded.seen_run  -- another process was first
    returning id, explanation
), met as (
    select id, explanation from seen union all select id, explanation from opened
), turn as (
    select met.id, known.id is null as is_new, met.explanation,
        case when known.id is null then 'opened'
            when known.explanation is not null and met.explanation is null then 'reopened'
            when known.reason <> :reason then 'changed' end as event
    from met left join known on known.id = met.id
), kept as (
    insert into gap_events (gap_id, at, event, reason, by)
    select id, :now, event, :reason, :run from turn where event is not null
), marked as (
    update days set stale = true
    from (select since, until from known union all select :since ::timestamptz, :until ::timestamptz) as place
    where account = :account
        and day between (place.since at time zone 'UTC')::date and (place.until at time zone 'UTC')::date
)
select is_new, explanation is not null as is_explained from turn
""").bindparams(bindparam("raw", type_=JSON(none_as_null=True)))

#: Items that are claimed in a slice are the same as those that were searched down to parts of it before.
MEET_INSIDE = text("""
with inside as (
    select id, claimed from gaps where account = :account and closed_at is null and kind = 'unlisted'
        and since >= :since and until <= :until and fingerprint <> :fingerprint
)
update gaps set seen_at = :now, seen_run = :run
where id in (select id from inside) and (select sum(claimed) from inside) = :claimed
returning explanation is not null as is_explained
""")

CLAIMS = text("""
select since, until from gaps where account = :account and closed_at is null and kind in ('malformed', 'unlisted')
    and since >= :since and until <= :until
group by since, until order by min(seen_at), since limit :most
""")

#: An unreadable item that a listing of a part of its place has not shown stands in the rest of it.
NARROW = text("""
with listed as (
    select * from unnest(:listed_since ::timestamptz[], :listed_until ::timestamptz[]) as listed(since, until)
)
update gaps set
    since = case when listed.since <= gaps.since then listed.until + interval '1 second' else gaps.since end,
    until = case when listed.since <= gaps.since then gaps.until else listed.since - interval '1 second' end
from listed
where account = :account and closed_at is null and kind = 'malformed' and seen_run is distinct from :run
    and listed.since <= gaps.until and listed.until >= gaps.since
    and (listed.since <= gaps.since) <> (listed.until >= gaps.until)
    and not exists (select from unnest(:starts ::timestamptz[], :ends ::timestamptz[]) as doubt(since, until)
        where doubt.since <= listed.until and doubt.until >= listed.since)
""")

CLOSE_READ = text("""
with doubts as (
    select * from unnest(:starts ::timestamptz[], :ends ::timestamptz[]) as doubt(since, until)
), listed as (
    select * from unnest(:listed_since ::timestamptz[], :listed_until ::timestamptz[]) as listed(since, until)
), unseen as (
    select *, exists (select from listed where listed.since <= gaps.since and listed.until >= gaps.until) as was_listed,
        exists (select from recordings where account = :account and recording_id = gaps.raw -> 'item' ->> 'id'
            and call_start between gaps.since and gaps.until and absent_since is null) as is_readable
    from gaps where account = :account and closed_at is null and recording_id is null
        and since >= :since and until <= :until and seen_run is distinct from :run
), chosen as (
    select id, case
        when kind = 'shrunken' and explanation is not null then 'explained, and no longer expected at the source'
        when kind = 'shrunken' then 'the source has again what the catalogue expects'
        when kind = 'malformed' and is_readable then 'it is listed readable now'
        when kind = 'malformed' then 'the source lists as many as it says, without it'
        else 'the source lists as many as it says' end as evidence
    from unseen
    where (
        not exists (select from doubts where doubts.since <= unseen.until and doubts.until >= unseen.since)
        and (kind = 'shrunken' or (was_listed and (kind = 'unlisted' or claimed = 0 or is_readable)))
    )
    union all
    select id, 'narrowed down to another gap' from unseen
    where kind = 'unlisted' and exists (select from gaps as narrower
        where narrower.account = :account and narrower.kind = 'unlisted' and narrower.closed_at is null
            and narrower.seen_run = :run and narrower.since >= unseen.since and narrower.until <= unseen.until)
), closed as (
    update gaps set closed_at = :now, evidence = chosen.evidence
    from chosen where gaps.id = chosen.id returning gaps.id, gaps.evidence
)
insert into gap_events (gap_id, at, event, reason, by) select id, :now, 'closed', evidence, :run from closed
""")

TROUBLE = """
    select recording_id, call_start, 'recording ' || recording_id as fingerprint,
        case when absent_since is not null and state in ('discovered', 'failed') then 'vanished'
            when state = 'discovered' then 'retrying' else state::text end as kind,
        case when absent_since is not null and state in ('discovered', 'failed')
            then 'the source listed it and has it no longer; ' || coalesce(problem, 'not tried yet')
            else coalesce(problem, 'no reason on record') end as reason
    from recordings
    where account = :account and (state in ('failed', 'quarantined')
        or (state = 'discovered' and (problem is not null or absent_since is not null)))
"""
OPEN_TROUBLE = text(f"""
with trouble as ({TROUBLE}), known as (
    select * from gaps where account = :account and closed_at is null and recording_id is not null
), news as (
    select trouble.*, known.id from trouble left join known using (fingerprint)
    where known.id is null or known.kind <> trouble.kind or known.reason <> trouble.reason
        or known.seen_run is distinct from :run
), seen as (
    update gaps set kind = news.kind, reason = news.reason, seen_at = :now, seen_run = :run
    from news where gaps.id = news.id returning gaps.id, gaps.kind, gaps.reason, gaps.since
), opened as (
    insert into gaps (account, kind, fingerprint, recording_id, reason, since, until, opened_at, seen_at, seen_run)
    select :account, kind, fingerprint, recording_id, reason, call_start, call_start, :now, :now, :run
    from news where id is null
    on conflict (account, fingerprint) where closed_at is null do update
        set kind = excluded.kind, reason = excluded.reason, seen_at = excluded.seen_at, seen_run = excluded.seen_run
    returning id, kind, reason, since
), met as (
    select * from seen union all select * from opened
), marked as (
    update days set stale = true from met
    where days.account = :account and days.day = (met.since at time zone 'UTC')::date
)
insert into gap_events (gap_id, at, event, reason, by)
select met.id, :now, case when known.id is null then 'opened' else 'changed' end, met.reason, :run
from met left join known on known.id = met.id
where known.id is null or known.kind <> met.kind or known.reason <> met.reason
""")  # noqa: S608 - of constants
CLOSE_TROUBLE = text(f"""
with trouble as ({TROUBLE}), closed as (
    update gaps set closed_at = :now, evidence = 'the recording is ' || recordings.state
    from recordings
    where gaps.account = :account and gaps.closed_at is null and gaps.recording_id is not null
        and recordings.account = gaps.account and recordings.recording_id = gaps.recording_id
        and recordings.state not in ('discovered', 'transferring', 'stored')
        and not exists (select from trouble where trouble.fingerprint = gaps.fingerprint)
    returning gaps.id, gaps.evidence, gaps.since
), marked as (
    update days set stale = true from closed
    where days.account = :account and days.day = (closed.since at time zone 'UTC')::date
)
insert into gap_events (gap_id, at, event, reason, by) select id, :now, 'closed', evidence, :run from closed
""")  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A gap of the listing as it was met."""

    kind: GapKind
    fingerprint: str
    window: Slice
    reason: str
    claimed: int
    raw: object = None


async def meet(opened: AsyncConnection, account: str, met: Met, mark: Mark) -> Standing:
    """Open a gap, or note that it was seen again."""
    window = {"since": met.window.since, "until": met.window.until}
    said = {"kind": met.kind, "fingerprint": met.fingerprint, "reason": met.reason, "claimed": met.claimed}
    values = {"account": account, "raw": met.raw, "now": mark.at, "run": mark.run}
    if met.kind is GapKind.UNLISTED:
        place = {**window, "account": account, "fingerprint": met.fingerprint, "claimed": met.claimed}
        inside = (await opened.execute(MEET_INSIDE, {**place, "now": mark.at, "run": mark.run})).all()
        if inside:
            return Standing.EXPLAINED if all(one.is_explained for one in inside) else Standing.SEEN
    row = (await opened.execute(MEET, {**window, **said, **values})).one()
    if row.is_new:
        return Standing.NEW
    return Standing.EXPLAINED if row.is_explained else Standing.SEEN


async def close_read(opened: AsyncConnection, account: str, window: Slice, proof: Proof) -> None:
    """Close the gaps of a slice that reading it again has not met."""
    values = {"account": account, "since": window.since, "until": window.until, "now": proof.at, "run": proof.run}
    parts = {
        "starts": [doubt.window.since for doubt in proof.doubts],
        "ends": [doubt.window.until for doubt in proof.doubts],
        "listed_since": [listed.since for listed in proof.listed],
        "listed_until": [listed.until for listed in proof.listed],
    }
    await opened.execute(NARROW, values | parts)
    await opened.execute(CLOSE_READ, values | parts)


async def claims(opened: AsyncConnection, account: str, window: Slice, limit: int) -> list[Slice]:
    """Find where in a slice something is claimed, or was not readable."""
    values = {"account": account, "since": window.since, "until": window.until, "most": limit}
    return [Slice(row.since, row.until) for row in await opened.execute(CLAIMS, values)]


async def settle(opened: AsyncConnection, account: str, mark: Mark) -> None:
    """Bring the gaps of recordings up to where the recordings stand."""
    values = {"account": account, "now": mark.at, "run": mark.run}
    await opened.execute(OPEN_TROUBLE, values)
    await opened.execute(CLOSE_TROUBLE, values)


EXPLAIN = text("""
with explained as (
    update gaps set explanation = :reason, explained_by = :by, explained_at = :now
    where id = :id and closed_at is null returning id, account, since, until
), marked as (
    update days set stale = true from explained where days.account = explained.account
        and days.day between (since at time zone 'UTC')::date and (until at time zone 'UTC')::date
)
insert into gap_events (gap_id, at, event, reason, by) select id, :now, 'explained', :reason, :by from explained
returning gap_id
""")


async def explain(opened: AsyncConnection, number: int, *, reason: str, by: str, now: datetime) -> bool:
    """Write a person's reason down. False: there is no such gap, or it is closed."""
    values = {"id": number, "reason": reason, "by": by, "now": now}
    return (await opened.execute(EXPLAIN, values)).first() is not None

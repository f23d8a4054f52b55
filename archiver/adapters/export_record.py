"""Exports and their jobs in the catalogue, and the recordings that come by them. Implements `ExportRecord`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, and_, case, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.database import connection
from archiver.adapters.due import PAUSED, UNDER_EXPORT
from archiver.adapters.tables import export_jobs, exports, recordings
from archiver.core.exports import Batch, Export, Hour, Job, Listed, Phase
from archiver.core.lifecycle import AT_SOURCE
from archiver.core.model import Entry, Mark, Slice, State
from archiver.errors import Conflict

MOST_HOURS = 500  # looked at for one choice
MOST_ROWS = 20_000  # recordings of each kind that are looked at for it
LATELY = 20  # jobs that tell how long the next one takes

_DUE = f"""
recordings.account = :account and state = 'discovered' and next_attempt_at <= :now and not single_only
and not {UNDER_EXPORT} and not {PAUSED}
"""
#: Endangered ones and the latest ones are looked at apart: a long history must not hide them.
_HOURS = text(f"""
with due as (
    (select call_start, size_listed, 0 as rank from recordings where {_DUE} and call_start < :endangered
        order by call_start, recording_id limit :rows)
    union all
    (select call_start, size_listed, 2 from recordings where {_DUE} and call_start >= :endangered
        and call_start < :recent order by call_start, recording_id limit :rows)
    union all
    (select call_start, size_listed, 1 from recordings where {_DUE} and call_start >= greatest(:endangered, :recent)
        order by call_start, recording_id limit :rows)
), hours as (
    select date_trunc('hour', call_start) as hour, min(call_start) as since, max(call_start) as until,
        count(*) as due, coalesce(sum(size_listed), 0) as size from due
        group by 1 order by min(rank), 1 limit :hours
), next as (select *, lead(since) over (order by hour) as following from hours)
select since, until, due, size,
    (select count(*) from (select from recordings where account = :account and call_start between next.since
        and next.until and purged_at is null and state not in ('expiring', 'expired') limit :rows) as all_of_it)
        - due as others,
    (select count(*) from (select from recordings where account = :account and call_start > next.until
        and call_start < next.following and purged_at is null and state not in ('expiring', 'expired')
        limit 5000) as between_them) as behind
from next order by since
""")  # noqa: S608 - of constants

_LATELY = text("""
select percentile_cont(0.5) within group (order by taken) as taken, avg(polls) as polls from (
    select job.ready_at - job.asked_at as taken, job.polls from export_jobs as job join exports on id = export_id
    where account = :account and ready_at is not null order by ready_at desc limit :lately) as last
""")

_TO_SINGLE = text("""
update recordings set single_only = true where account = :account and state in ('discovered', 'failed')
    and not single_only and call_start between :since and :until and listed_at <= :asked
""")


class ExportRecord:
    """Exports of all accounts. All methods raise Unreachable, SchemaError or StopDaemon when the database fails."""

    def __init__(self, engine: AsyncEngine, catalogue: Catalogue) -> None:
        """`engine` stays the caller's; recordings are moved on by the `catalogue`."""
        self._engine, self._catalogue = engine, catalogue

    async def open(self, account: str) -> list[Export]:
        """Give the exports that are under way, oldest first."""
        async with connection(self._engine) as opened:
            return await _read(opened, and_(exports.c.account == account, exports.c.closed_at.is_(None)))

    async def refused_since(self, account: str, since: datetime) -> str | None:
        """Tell why the source refused an export since then, if it did."""
        table = exports.c
        where = and_(table.account == account, table.phase == Phase.REFUSED, table.closed_at >= since)
        async with connection(self._engine) as opened:
            found: str | None = await opened.scalar(select(table.reason).where(where).order_by(table.id.desc()))
        return found

    async def usual_delay(self, account: str) -> timedelta | None:
        """How long the account's exports took lately until their ZIP was there; None: not known."""
        found = await self._lately(account)
        return None if found is None else found.taken

    async def usual_polls(self, account: str) -> float | None:
        """How many times jobs were asked for lately until their ZIP came; None: not known."""
        found = await self._lately(account)
        return None if found is None or found.polls is None else float(found.polls)

    async def hours(
        self, account: str, mark: Mark, *, endangered_before: datetime | None, recent_since: datetime
    ) -> list[Hour]:
        """Give hours with recordings that are due and could come by export, in order: as many as a pass may need."""
        said = {"account": account, "now": mark.at, "rows": MOST_ROWS, "hours": MOST_HOURS}
        said |= {"endangered": endangered_before or datetime.min.replace(tzinfo=mark.at.tzinfo), "recent": recent_since}
        async with connection(self._engine) as opened:
            return [_to_hour(row) for row in await opened.execute(_HOURS, said)]

    async def ask(self, account: str, batch: Batch, mark: Mark) -> Export:
        """Write down that an export is about to be asked for. Raises Conflict where one is under way there.

        Only for the holder of the account's transfer lock.
        """
        table, window = exports.c, batch.window
        crossing = and_(table.account == account, table.closed_at.is_(None), table.since <= window.until,
                        table.until >= window.since)  # fmt: skip
        values = {"account": account, "since": window.since, "until": window.until, "due": batch.due}
        async with connection(self._engine) as opened:
            if await opened.scalar(select(func.count()).where(crossing)):
                raise Conflict("an export of this slice is under way")
            row = insert(exports).values(phase=Phase.ASKED, tries=1, asked_at=mark.at, run_id=mark.run, **values)
            number = await opened.scalar(row.returning(exports.c.id))
            return (await _read(opened, exports.c.id == number))[0]

    async def ask_again(self, export: Export, mark: Mark) -> Export:
        """Write down that the same export is about to be asked for anew: what it had of jobs is no more."""
        again = {"phase": Phase.ASKED, "tries": exports.c.tries + 1, "asked_at": mark.at, "run_id": mark.run}
        async with connection(self._engine) as opened:
            lost = and_(export_jobs.c.export_id == export.number, export_jobs.c.done_at.is_(None))
            await opened.execute(update(export_jobs).where(lost).values(done_at=mark.at))
            await opened.execute(update(exports).where(exports.c.id == export.number).values(**again))
            return (await _read(opened, exports.c.id == export.number))[0]

    async def made(self, export: Export, job_ids: Collection[str], first_poll: datetime, mark: Mark) -> None:
        """Keep the jobs that the source made."""
        rows = [
            {"export_id": export.number, "number": number, "job_id": job, "asked_at": mark.at,
             "next_poll_at": first_poll}
            for number, job in enumerate(job_ids, len(export.jobs) + 1)
        ]  # fmt: skip
        async with connection(self._engine) as opened:
            await opened.execute(update(exports).where(exports.c.id == export.number).values(phase=Phase.WAITING))
            await opened.execute(insert(export_jobs), rows)

    async def polled(self, export: Export, job: Job, next_poll_at: datetime) -> None:
        """Write down that a job's ZIP is about to be asked for, and when to ask again if it does not come."""
        await self._write(export, job, polls=export_jobs.c.polls + 1, next_poll_at=next_poll_at)

    async def fetching(self, export: Export, job: Job, next_poll_at: datetime, mark: Mark) -> None:
        """Write down that a job's ZIP comes; when to ask again if it is cut off."""
        ready = func.coalesce(export_jobs.c.ready_at, mark.at)
        await self._write(export, job, fetches=export_jobs.c.fetches + 1, next_poll_at=next_poll_at, ready_at=ready)

    async def read(self, export: Export, job: Job, mark: Mark) -> None:
        """Write down that a job's ZIP needs not be asked for any more."""
        await self._write(export, job, done_at=mark.at)

    async def close(self, account: str, export: Export, phase: Phase, mark: Mark, counts: dict[str, int]) -> int:
        """End an export, for the mark's reason: what it should have brought and has not comes by single requests.

        Returns how many that are.
        """
        values = {"phase": phase, "closed_at": mark.at, "reason": mark.reason, "counts": counts}
        said = {"account": account, "since": export.window.since, "until": export.window.until}
        said["asked"] = export.asked_at  # what was listed since may be in another one
        ended = update(exports).where(exports.c.id == export.number, exports.c.closed_at.is_(None))
        async with connection(self._engine) as opened:
            left = (await opened.execute(_TO_SINGLE, said)).rowcount
            await opened.execute(ended.values(**values))
        return int(left)

    async def listed(self, account: str, window: Slice, *, copied_since: datetime) -> list[Listed]:
        """Give all recordings that the source should have in the slice; of later copies the digest as well."""
        table = recordings.c
        within = and_(table.account == account, table.call_start.between(window.since, window.until))
        there = and_(table.state.in_(AT_SOURCE), table.purged_at.is_(None))
        copied = case((table.stored_at >= copied_since, table.sha256))
        query = (
            select(table.recording_id, table.file_name, table.size_listed, table.state, copied.label("copied"))
            .where(within, there)
            .order_by(table.call_start, table.recording_id)
        )
        async with connection(self._engine) as opened:
            return [
                Listed(row.recording_id, row.file_name, row.size_listed, row.state == State.DISCOVERED, row.copied)
                for row in await opened.execute(query)
            ]

    async def claim(self, account: str, recording_ids: Collection[str], mark: Mark) -> list[Entry]:
        """Take recordings for transfer; those that are not due any more are left out."""
        return await self._catalogue.claim_these(account, recording_ids, mark)

    async def release(self, account: str, recording_ids: Collection[str], mark: Mark) -> None:
        """Free claimed recordings. The attempt does not count."""
        await self._catalogue.release(account, recording_ids, mark)

    async def _lately(self, account: str) -> Row[*tuple[object, ...]] | None:
        async with connection(self._engine) as opened:
            return (await opened.execute(_LATELY, {"account": account, "lately": LATELY})).one_or_none()

    async def _write(self, export: Export, job: Job, **values: object) -> None:
        table = export_jobs.c
        where = and_(table.export_id == export.number, table.number == job.number)
        async with connection(self._engine) as opened:
            await opened.execute(update(export_jobs).where(where).values(**values))


async def _read(opened: AsyncConnection, where: object) -> list[Export]:
    """Read exports with their jobs, in two statements."""
    query = select(exports).where(where).order_by(exports.c.id)  # type: ignore[arg-type]
    found = list(await opened.execute(query))
    numbers = [row.id for row in found]
    query_jobs = select(export_jobs).where(export_jobs.c.export_id.in_(numbers)).order_by(export_jobs.c.number)
    jobs = list(await opened.execute(query_jobs)) if numbers else []
    return [_to_export(row, [job for job in jobs if job.export_id == row.id]) for row in found]


def _to_export(row: Row[*tuple[object, ...]], jobs: Sequence[Row[*tuple[object, ...]]]) -> Export:
    return Export(
        number=row.id,
        window=Slice(row.since, row.until),
        phase=Phase(row.phase),
        tries=row.tries,
        asked_at=row.asked_at,
        due=row.due,
        jobs=tuple(_to_jobs(jobs)),
    )


def _to_jobs(rows: Iterable[Row[*tuple[object, ...]]]) -> Iterable[Job]:
    for row in rows:
        yield Job(
            number=row.number,
            job_id=row.job_id,
            asked_at=row.asked_at,
            polls=row.polls,
            fetches=row.fetches,
            next_poll_at=row.next_poll_at,
            ready_at=row.ready_at,
            done_at=row.done_at,
        )


def _to_hour(row: Row[*tuple[object, ...]]) -> Hour:
    return Hour(
        since=row.since, until=row.until, due=row.due, size=int(row.size), others=max(row.others, 0), behind=row.behind
    )

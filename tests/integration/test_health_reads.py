"""What health is judged by, read from a real catalogue: what counts as waiting, and what does not."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.catalogue import Catalogue
from archiver.adapters.health_reads import HealthReads
from archiver.adapters.run_log import PassEnd, at_work, begin_run, end_run
from archiver.core.coverage import Coverage
from archiver.core.gaps import GapKind
from archiver.core.health import AccountFacts, Stop
from archiver.core.model import State
from tests.support.rows import NOW, START, execute, plant

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOOKBACK = 3 * DAY
GAP = (
    "insert into gaps (account, kind, fingerprint, recording_id, reason, since, until, opened_at, seen_at, closed_at, "
    "explanation, explained_by, explained_at) select 'acme', :kind, :id, :id, 'why', :start, :start, :opened, :opened, "
    "case when :closed then now() end, x, x, case when x is not null then now() end "
    "from (select cast(:explanation as text) as x) as y"
)


async def gap(engine: AsyncEngine, identity: str, kind: GapKind, hours: int, **more: object) -> None:
    """Put something on the gap list that was opened so many hours ago."""
    values = {"closed": False, "explanation": None, **more}
    opened = NOW - timedelta(hours=hours)
    await execute(engine, GAP, kind=str(kind), id=identity,
                  start=START, opened=opened, **values)  # fmt: skip


async def waits(engine: AsyncEngine, identity: str, *, listed: timedelta, start: timedelta) -> None:
    """Let a recording wait: listed, and its call begun, so long ago."""
    await plant(engine, identity, State.DISCOVERED)
    await execute(engine, "update recordings set listed_at = :listed, call_start = :start where recording_id = :id",
                  listed=NOW - listed, start=NOW - start, id=identity)  # fmt: skip


async def facts(engine: AsyncEngine, name: str = "acme") -> AccountFacts:
    """Look at one account."""
    (found,) = await HealthReads(engine).facts([name], LOOKBACK)
    return found


async def test_an_account_that_nobody_has_begun_and_one_that_is_empty(engine: AsyncEngine) -> None:
    """In the order that is asked for, and none that is not."""
    await execute(engine, "insert into accounts (account) values ('acme'), ('forgotten')")
    new, empty = await HealthReads(engine).facts(["new", "acme"], LOOKBACK)
    assert new == AccountFacts(account="new")
    assert empty == AccountFacts(account="acme", added=empty.added)
    assert empty.added is not None


async def test_counts_bytes_and_moments(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """Bytes and fixity are of what is in the bucket; an expired copy is not, nor is one in quarantine."""
    for identity, state in (("1", State.VERIFIED), ("2", State.PURGED), ("3", State.EXPIRED), ("4", State.QUARANTINED)):
        await plant(engine, identity, state)
    await plant(engine, "5", State.VERIFIED, account="other")
    await execute(engine, "update recordings set verified_at = :at where recording_id in ('2', '3')", at=NOW - 9 * DAY)
    await execute(engine, "update recordings set verified_at = :at where recording_id = '3'", at=NOW - 20 * DAY)
    await execute(engine, "update recordings set call_start = :at where recording_id = '4'", at=START + HOUR)
    await execute(engine, "update recordings set stored_at = :at where recording_id = '1'", at=NOW + HOUR)
    found = await facts(engine)
    assert found.counts == {State.VERIFIED: 1, State.PURGED: 1, State.EXPIRED: 1, State.QUARANTINED: 1}
    assert found.bytes == 200
    assert found.oldest_fixity == NOW - 9 * DAY
    assert found.newest_call == START + HOUR
    assert found.last_stored == found.progress == NOW + HOUR


async def test_new_calls_and_a_backlog_wait_apart(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """A call is new when it is listed within the lookback. What a transfer is at work on waits like the rest."""
    await waits(engine, "1", listed=2 * HOUR, start=2 * HOUR + LOOKBACK)
    await waits(engine, "2", listed=HOUR, start=3 * HOUR)
    await waits(engine, "3", listed=5 * HOUR, start=40 * DAY)
    await plant(engine, "4", State.TRANSFERRING)
    await execute(engine, "update recordings set listed_at = call_start where recording_id = '4'")
    found = await facts(engine)
    assert found.oldest_pending == START
    assert found.oldest_backlog == NOW - 5 * HOUR
    assert found.oldest_pending_call == NOW - 40 * DAY


async def test_what_waits_on_purpose_does_not_count(engine: AsyncEngine, catalogue: Catalogue) -> None:
    """Given up, explained, or of a backfill that is paused; what has ended, too. An open gap alone excuses nothing."""
    for number, state in enumerate((State.FAILED, State.VERIFIED, State.EXCLUDED, State.QUARANTINED)):
        await plant(engine, f"other-{number}", state)
    await waits(engine, "explained", listed=DAY, start=DAY)
    await gap(engine, "explained", GapKind.RETRYING, 20, explanation="ticket 12")
    await waits(engine, "history", listed=DAY, start=50 * DAY)
    await execute(engine, "update accounts set listed_from = :at", at=NOW - 10 * DAY)
    await execute(engine, "insert into backfills (account, since, until, asked_at, paused_at) "
                          "values ('acme', :since, :until, now(), now())",
                  since=NOW - 60 * DAY, until=NOW - 40 * DAY)  # fmt: skip
    found = await facts(engine)
    assert (found.oldest_pending, found.oldest_backlog, found.oldest_pending_call) == (None, None, None)

    await waits(engine, "open", listed=2 * HOUR, start=2 * HOUR)
    await gap(engine, "open", GapKind.RETRYING, 1)
    await execute(engine, "update backfills set paused_at = null")
    found = await facts(engine)
    assert (found.oldest_pending, found.oldest_backlog) == (NOW - 2 * HOUR, NOW - DAY)


async def test_gaps_that_are_open_and_not_explained(engine: AsyncEngine, catalogue: Catalogue) -> None:
    await execute(engine, "insert into accounts (account) values ('acme')")
    await gap(engine, "1", GapKind.FAILED, 5)
    await gap(engine, "2", GapKind.FAILED, 3)
    await gap(engine, "3", GapKind.UNLISTED, 4)
    await gap(engine, "4", GapKind.FAILED, 90, closed=True)
    await gap(engine, "5", GapKind.VANISHED, 80, explanation="never recorded")
    found = await facts(engine)
    assert found.gaps == {GapKind.FAILED: 2, GapKind.UNLISTED: 1}
    assert found.oldest_gap == NOW - 5 * HOUR


async def test_days_by_the_last_line_about_each(engine: AsyncEngine) -> None:
    await execute(engine, "insert into accounts (account) values ('acme')")
    for day, state in (("2024-02-01", "gap"), ("2024-02-02", "unproven"), ("2024-02-01", "proved"),
                       ("2024-02-03", "proved"), ("2024-02-03", "gap")):  # fmt: skip
        await execute(
            engine,
            "insert into ledger (at, run_id, account, day, state, reason, counts, missing) "
            "values (now(), 'r', 'acme', cast(:day as date), :state, '', '{}', '{}')",
            day=day, state=state,
        )  # fmt: skip
    found = await facts(engine)
    assert found.days == {Coverage.PROVED: 1, Coverage.UNPROVEN: 1, Coverage.GAP: 1}


AWAY = Stop("Unreachable", "discover: the source is out of reach", final=False)


async def test_how_the_last_pass_has_ended(engine: AsyncEngine) -> None:
    """A stop leaves the last good pass as it is; a good one forgets the stop. A clock that is not told stays."""
    await execute(engine, "insert into accounts (account) values ('acme')")
    for number, end in enumerate((PassEnd("acme", None, 7), PassEnd("acme", AWAY, None))):
        await begin_run(engine, str(number), "sync", NOW + number * HOUR)
        await end_run(engine, str(number), 0, {}, NOW + number * HOUR, [end])
    found = await facts(engine)
    assert (found.good_pass, found.stop, found.clock_ahead) == (NOW, AWAY, timedelta(seconds=7))
    await begin_run(engine, "3", "sync", NOW + 3 * HOUR)
    await end_run(engine, "3", 0, {}, NOW + 3 * HOUR, [PassEnd("acme", None, -2)])
    found = await facts(engine)
    assert (found.good_pass, found.stop, found.clock_ahead) == (NOW + 3 * HOUR, None, timedelta(seconds=-2))


async def test_a_pass_is_at_work_while_its_process_holds_its_lock(engine: AsyncEngine) -> None:
    """One that was killed is not, though nobody has written down its end; one that was kept out changes nothing."""
    await execute(engine, "insert into accounts (account) values ('acme')")
    await begin_run(engine, "killed", "sync", NOW - 9 * DAY)
    await begin_run(engine, "done", "sync", NOW - DAY)
    await end_run(engine, "done", 0, {}, NOW)
    assert (await facts(engine)).at_work_since is None
    await begin_run(engine, "other", "verify", NOW)
    assert (await facts(engine)).at_work_since is None
    await begin_run(engine, "new", "sync", NOW - HOUR)
    async with at_work(engine, "new"):
        await begin_run(engine, "kept out", "sync", NOW - HOUR / 2)
        await end_run(engine, "kept out", 4, {}, NOW - HOUR / 2)
        assert (await facts(engine)).at_work_since == NOW - HOUR
    assert (await facts(engine)).at_work_since is None

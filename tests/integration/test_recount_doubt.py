"""What the recount must not take for proved: blind and shrunken listings, claims, odd items, one id for two calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from archiver.adapters.coverage_reads import CoverageReads
from archiver.adapters.ledger import Ledger
from archiver.core.coverage import Coverage
from archiver.core.gaps import GapKind
from archiver.core.model import Learnt, Malformed, Slice, State, midnight, whole_day
from archiver.core.report import PassReport
from archiver.simulator import Account, Behaviour, Fault, Operation, Redirect, SimRecording, Status, Totals
from archiver.simulator.faults import EmptyListing
from archiver.stages.context import Context
from archiver.stages.ledger import KeepLedger
from tests.support.rows import NOW, START, execute, listed, mark, open_account, plant, proof, query, recording
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls, key_of

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
PAUSE = 3_700  # seconds: over an hour, the longest that a pause is heeded
QUARTER = timedelta(minutes=15)
BLIND = Fault(on=Operation.LIST, do=EmptyListing(), times=None)
UNREADABLE = {"start": "10 o'clock"}


def spread(count: int, *, days: int, first: int = 1) -> tuple[SimRecording, ...]:
    """So many calls on each of the last days."""
    return tuple(
        replace(one, id=first + index, start=NOON - DAY * (index // count + 1) + timedelta(minutes=index % count))
        for index, one in enumerate(calls(count * days))
    )


async def sync_after(here: World, *pauses: timedelta) -> None:
    """Make a pass behind each pause."""
    for pause in pauses:
        here.clock.now += pause
        await here.sync()


async def unclosed(here: World) -> list[tuple[object, ...]]:
    """What stands on the gap list about the listing: kind, reason, and the explanation."""
    about = "where closed_at is null and recording_id is null order by since, id"
    return await here.query(f"select kind, reason, explanation from gaps {about}")


async def watermark(here: World) -> object:
    """How far everything was listed."""
    [(moment,)] = await here.query("select watermark from accounts")
    return moment


async def absent(here: World) -> object:
    """How many recordings are not expected at the source any more."""
    [(count,)] = await here.query("select count(*) from recordings where absent_since is not null")
    return count


async def explain(here: World) -> None:
    """A person gives the reason for everything on the gap list."""
    said = "explanation = 'deleted by us', explained_by = 'ann', explained_at = now()"
    await here.change(f"update gaps set {said} where closed_at is null")


# Where the listing begins ------------------------------------------------------------------------------------


async def test_a_later_start_ends_no_pass(world: MakeWorld) -> None:
    """Days before it are due, and are not asked for any more; the watermark may lie just before it, or long before."""
    here = await world(Account(recordings=spread(1, days=10)))
    await here.sync()
    await sync_after(here, HOUR)
    for start in (NOON - 5 * DAY, NOON + 8 * DAY + HOUR + SECOND, NOON + 20 * DAY):
        here.section("accounts")["start_from"] = start.isoformat()
        await sync_after(here, 8 * DAY)
        assert here.exit_code == 0
    here.simulator.put(replace(calls(1)[0], id=9_001, start=here.clock() - HOUR))

    await sync_after(here, QUARTER)

    assert (await here.states())["9001"] is State.VERIFIED
    assert here.exit_code == 0


async def test_an_earlier_start_proves_nothing_while_the_source_lists_nothing(world: MakeWorld) -> None:
    """It begins anew, and the known days have yet to be compared: they stay shrunken until the source is well."""
    here = await world(Account(recordings=spread(4, days=6)))
    here.section("accounts")["start_from"] = (NOON - 8 * DAY).isoformat()
    await here.sync()
    await sync_after(here, HOUR)
    here.simulator.script(BLIND)
    await sync_after(here, 8 * DAY)
    shrunken = await unclosed(here)
    assert [kind for kind, _, _ in shrunken] == ["shrunken"] * 6
    here.section("accounts")["start_from"] = (NOON - 10 * DAY).isoformat()

    for pause in (HOUR, DAY):
        await sync_after(here, pause)
        assert await unclosed(here) == shrunken
        known = f"day between '{(NOON - 6 * DAY).date()}' and '{(NOON - DAY).date()}'"
        assert await here.query(f"select count(*) from days where {known} and doubt is not null") == [(6,)]
        reached = await watermark(here)
        assert reached is None or (isinstance(reached, datetime) and reached < midnight((NOON - 6 * DAY).date()))
        assert await absent(here) == 0
        assert here.exit_code == 3

    here.simulator.heal()
    await sync_after(here, HOUR)
    assert await unclosed(here) == []
    assert await here.query("select count(*) from days where doubt is not null or proved_at is null") == [(0,)]
    assert await watermark(here) == here.clock()
    assert here.exit_code == 0


async def test_a_shrunken_day_that_the_start_cuts_in_half_closes_when_the_source_is_well(
    world: MakeWorld,
) -> None:
    here = await world(Account(recordings=calls(6, days=1)))
    here.section("accounts")["start_from"] = (NOON - DAY).isoformat()
    await here.sync()
    here.simulator.script(BLIND)
    await sync_after(here, QUARTER)
    assert [kind for kind, _, _ in await unclosed(here)] == ["shrunken"]
    here.simulator.heal()

    await sync_after(here, QUARTER)

    assert await unclosed(here) == []
    assert here.exit_code == 0


# What was explained, and what is gone -----------------------------------------------------------------------


@pytest.mark.parametrize("followed", [False, True], ids=["before the next pass", "after it"])
async def test_an_explanation_does_not_cover_what_goes_missing_later(world: MakeWorld, *, followed: bool) -> None:
    here = await world(Account(recordings=calls(14, days=1)))
    await here.sync()
    for number in range(7, 15):
        here.simulator.remove(number)
    await sync_after(here, QUARTER)
    assert [said for _, said, _ in await unclosed(here)] == ["the source lists 6 where the catalogue expects 14"]
    await explain(here)
    if followed:
        await sync_after(here, QUARTER)
        assert await unclosed(here) == []
    gone, reached = await absent(here), await watermark(here)
    assert gone == (8 if followed else 0)
    here.simulator.script(BLIND)

    for _ in range(2):
        await sync_after(here, QUARTER)
        expected = 6 if followed else 14
        said = f"the source lists 0 where the catalogue expects {expected}"
        assert await unclosed(here) == [("shrunken", said, None)]
        assert (await absent(here), await watermark(here)) == (gone, reached)
        assert here.exit_code == 3


async def test_a_vanished_recording_that_is_listed_again_keeps_its_gap_until_it_is_archived(
    world: MakeWorld,
) -> None:
    """The transfers are throttled all the while: nobody has tried it, and there is no other trouble with it."""
    one = calls(1, days=1)[0]
    here = await world(Account(recordings=(one,)))
    here.simulator.script(Fault(on=Operation.AUDIO, do=Status(429, retry_after=86_400), times=None))
    await here.sync()
    here.simulator.remove(one.id)
    here.time.seconds += PAUSE
    await sync_after(here, QUARTER)
    assert (await here.gaps())["1"].kind is GapKind.VANISHED
    here.simulator.put(one)

    here.time.seconds += PAUSE
    await sync_after(here, QUARTER)

    assert await absent(here) == 0
    assert (await here.entries())["1"].problem is None
    assert (await here.gaps())["1"].kind is GapKind.VANISHED
    here.simulator.heal()
    here.time.seconds += PAUSE
    await sync_after(here, QUARTER)
    assert key_of(one) in await here.audio()
    assert await here.query("select evidence from gaps") == [("the recording is verified",)]


async def test_a_purged_recording_with_a_rotten_copy_is_not_expected_at_the_source(world: MakeWorld) -> None:
    gone = calls(6, days=1)
    here = await world(Account(recordings=gone))
    rule = {"name": "everything", "source": {"delete_after": "12h"}}
    here.policies = {"deletion": {"mode": "automatic", "max_percent": 100}, "policies": [rule]}
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4, 5, 6]
    for one in gone:
        await here.put(key_of(one), b"rot")
    await here.verify()
    assert set((await here.states()).values()) == {State.QUARANTINED}
    here.simulator.put(replace(gone[0], id=9_001, start=NOON))
    here.clock.now += QUARTER

    done = await here.sync()

    assert await unclosed(here) == []
    assert await here.query(f"select said, doubt from days where day = '{gone[0].start.date()}'") == [(0, None)]
    assert done.reports["acme"].absent == await absent(here) == 0
    assert await watermark(here) == here.clock()
    assert (await here.states())["9001"] is State.VERIFIED


async def test_what_was_purged_and_is_still_listed_two_hours_later_is_said(world: MakeWorld) -> None:
    """Not before: a source may need a while to forget it."""
    gone = calls(2, days=1)
    here = await world(Account(recordings=gone))
    rule = {"name": "everything", "source": {"delete_after": "12h"}}
    here.policies = {"deletion": {"mode": "automatic", "max_percent": 100}, "policies": [rule]}
    await here.sync()
    assert set((await here.states()).values()) == {State.PURGED}
    for one in gone:
        here.simulator.put(one)
    said = []
    for pause in (HOUR / 2, 2 * HOUR):
        with capture_logs() as logs:
            await sync_after(here, pause)
        said.append([event["recordings"] for event in logs if event["event"] == "purged_still_listed"])

    assert said == [[], [2]]
    assert len(here.simulator.requests.deletes) == 2


# What is claimed --------------------------------------------------------------------------------------------


async def test_a_claimed_recording_is_archived_in_the_pass_after_it_can_be_listed(world: MakeWorld) -> None:
    """The count of a busy account cannot tell: it is the same as before."""
    here = await world(Account(recordings=spread(12, days=3)), sync={"page_size": 5})
    await here.sync()
    claimed = replace(calls(1)[0], id=9_001, start=NOON - 30 * HOUR)
    here.simulator.put(replace(claimed, hidden=True))
    await sync_after(here, QUARTER, QUARTER)
    assert [kind for kind, _, _ in await unclosed(here)] == ["unlisted"]
    assert here.exit_code == 3
    here.simulator.put(claimed)

    await sync_after(here, QUARTER)

    assert key_of(claimed) in await here.audio()
    assert await here.gaps() == {}
    assert here.exit_code == 0


async def test_a_late_call_is_not_masked_by_a_claim_that_vanishes(world: MakeWorld) -> None:
    claimed = replace(calls(1)[0], id=5_000, start=NOON - 30 * HOUR, hidden=True)
    here = await world(Account(recordings=(*spread(12, days=3), claimed)), sync={"page_size": 5})
    await here.sync()
    assert [kind for kind, _, _ in await unclosed(here)] == ["unlisted"]
    late = replace(calls(1)[0], id=9_001, start=NOON - 28 * HOUR)
    here.simulator.remove(5_000)
    here.simulator.put(late)

    await sync_after(here, QUARTER, QUARTER)

    assert key_of(late) in await here.audio()
    assert await here.gaps() == {}


async def test_a_day_that_left_the_lookback_is_listed_before_days_never_asked_about(world: MakeWorld) -> None:
    """As after the upgrade of a large archive: one call came late, another one was deleted, and the count agrees."""
    here = await world(
        Account(recordings=spread(3, days=16)),
        sync={"page_size": 2, "lookback": "24h", "every": "1m", "recount_share": 4},
    )
    await here.sync()
    here.section("accounts")["requests_per_minute"] = 100
    late = replace(calls(1)[0], id=9_001, start=NOON - 26 * HOUR)
    here.simulator.remove(1)
    here.simulator.put(late)
    await sync_after(here, QUARTER)
    assert "9001" not in await here.states()
    old = f"day < '{(NOON - 3 * DAY).date()}'"
    await here.change(f"update days set checked_at = null, proved_at = null, settled_at = null where {old}")

    await sync_after(here, DAY, QUARTER)

    assert (await here.states())["9001"] is State.VERIFIED
    [(left,)] = await here.query("select count(*) from days where checked_at is null")
    assert isinstance(left, int)
    assert left > 8


# Pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("totals", "learnt"), [(Totals.TRUE, 0), (Totals.ABSENT, None), (Totals.ZERO, None)])
async def test_a_page_0_that_was_refused_once_teaches_nothing(
    world: MakeWorld, totals: Totals, learnt: int | None
) -> None:
    """A gateway stood in the way; the source counts pages from 0. With a true total it is asked for again at once."""
    here = await world(
        Account(recordings=calls(16, days=0.4)), behaviour=Behaviour(page_base=0, totals=totals), sync={"page_size": 10}
    )
    here.section("accounts")["start_from"] = (NOON - 11 * HOUR).isoformat()
    here.simulator.script(Fault(on=Operation.LIST, do=Redirect("http://127.0.0.1:1/login"), after=2))
    await here.sync()
    asked = [one.page for one in here.simulator.requests.listings]
    assert asked[:3] == [1, 2, 0]
    assert await here.query("select page_base from accounts") == [(learnt,)]

    await sync_after(here, QUARTER)

    assert len(await here.audio()) == 16
    assert await here.query("select page_base from accounts") == [(0,)]


# One id for two calls ---------------------------------------------------------------------------------------

ONE = replace(calls(1)[0], id=7, start=NOON - 20 * HOUR)
OTHER = replace(ONE, id=8, start=NOON + 8 * HOUR, overlay={"id": 7, "call_id": "another"})


@pytest.mark.parametrize(("together", "page_size"), [(False, 100), (True, 1)])
async def test_one_id_with_two_starts_is_one_recording_and_a_gap_that_stays(
    world: MakeWorld, *, together: bool, page_size: int
) -> None:
    """One of the calls is archived; of the other one it is said that it is there, however often it is listed."""
    recordings = (ONE, OTHER) if together else (ONE,)
    here = await world(Account(recordings=recordings), sync={"page_size": page_size})
    if together:
        here.clock.now += DAY
    await here.sync()
    here.simulator.put(OTHER)

    for pause in (DAY, 4 * DAY, 8 * DAY):
        await sync_after(here, pause)
        assert [(kind, str(reason)[:12]) for kind, reason, _ in await unclosed(here)] == [("malformed", "recording 7 ")]
        assert here.exit_code == 3

    assert set(await here.states()) == {"7"}
    assert len(await here.audio()) == 1


async def test_one_id_with_two_starts_is_no_gap_any_more_when_it_is_listed_with_one(world: MakeWorld) -> None:
    here = await world(Account(recordings=(ONE,)), sync={"page_size": 1})
    await here.sync()
    here.simulator.put(OTHER)
    await sync_after(here, DAY)
    assert [kind for kind, _, _ in await unclosed(here)] == ["malformed"]
    here.simulator.remove(OTHER.id)

    await sync_after(here, QUARTER)

    assert await here.gaps() == {}
    assert key_of(ONE) in await here.audio()
    assert here.exit_code == 0


# Items that cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "changing"),
    [({"id": None}, "download_url"), (UNREADABLE, "download_url"), (UNREADABLE, "cnam")],
    ids=["without id", "without start", "described anew"],
)
async def test_an_unreadable_item_that_changes_is_one_gap_over_many_passes(
    world: MakeWorld, broken: dict[str, object], changing: str
) -> None:
    good, bad = calls(2, days=1)
    here = await world(Account(recordings=(good,)))
    for turn in range(3):
        here.simulator.put(replace(bad, overlay={**broken, changing: f"https://x/?signature={turn}"}))
        await sync_after(here, 30 * HOUR)
    assert await here.query("select kind, claimed, closed_at from gaps") == [("malformed", 1, None)]
    assert await absent(here) == 0


async def test_a_known_recording_that_becomes_unreadable_is_not_gone(world: MakeWorld) -> None:
    _, two = calls(2, days=1)
    here = await world(Account(recordings=calls(2, days=1)))
    await here.sync()
    here.simulator.put(replace(two, overlay=UNREADABLE))
    await sync_after(here, QUARTER)
    assert await absent(here) == 0
    assert [kind for kind, _, _ in await unclosed(here)] == ["malformed"]
    here.simulator.put(two)

    await sync_after(here, QUARTER)

    assert await absent(here) == 0
    assert await here.gaps() == {}


async def test_an_unreadable_item_that_may_be_of_two_days_is_narrowed_down_to_one(world: MakeWorld) -> None:
    """It stands between the last call of a day and the first of the next, until the days are listed apart."""
    before, odd, after = (
        replace(one, start=midnight(NOON.date()) - 5 * DAY + HOUR * hours)
        for one, hours in zip(calls(3), (-2, 3, 5), strict=True)
    )
    here = await world(Account(recordings=(before, replace(odd, dropped=("start",)), after)), sync={"page_size": 3})
    await here.sync()
    assert await here.query("select since, until from gaps") == [(before.start, after.start)]

    await sync_after(here, QUARTER, 7 * DAY, DAY)

    [(since, until)] = await here.query("select since, until from gaps where closed_at is null")
    assert (since, until) == (midnight(odd.start.date()), after.start)
    here.simulator.put(odd)
    await sync_after(here, DAY)
    assert await here.gaps() == {}


@pytest.mark.parametrize("earlier", [True, False])
async def test_a_listing_without_the_item_narrows_its_place_to_the_other_day(
    engine: AsyncEngine, ledger: Ledger, *, earlier: bool
) -> None:
    await open_account(ledger)
    place = Slice(START - DAY, START)
    item = Malformed(reason="no start", raw={"id": "odd-1"})
    await ledger.record_malformed("acme", [item], place, mark(run="run-0"), counted=True)
    read = whole_day((place.since if earlier else place.until).date())
    await ledger.conclude("acme", read, proof(run="run-9", where=(read,)), Learnt())
    turn = midnight(START.date())
    left = (turn, place.until) if earlier else (place.since, turn - SECOND)
    assert await query(engine, "select since, until, closed_at from gaps") == [(*left, None)]


# The ledger -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "problem"),
    [(State.FAILED, "503"), (State.QUARANTINED, "rot"), (State.DISCOVERED, "503"), (State.DISCOVERED, None)],
)
async def test_no_day_is_proved_before_the_ledger_stage_has_seen_what_is_in_trouble(
    engine: AsyncEngine, ledger: Ledger, state: State, problem: str | None
) -> None:
    """A pass may die, or be asked about, between a failed transfer and that stage."""
    await plant(engine, "1", State.VERIFIED)
    await plant(engine, "2", state)
    await execute(engine, "update recordings set problem = :problem where recording_id = '2'", problem=problem)
    await ledger.conclude("acme", whole_day(START.date()), proof(), Learnt())
    day = (await CoverageReads(engine).days("acme", START.date(), START.date()))[START.date()]
    assert (day.state, day.reason) == (Coverage.UNPROVEN, "1 not archived yet")


async def test_the_ledger_stage_ends_while_another_process_writes_into_the_history(
    engine: AsyncEngine, ledger: Ledger
) -> None:
    """More days than one batch takes, and every look finds the same stretch of the history."""
    many = [recording(str(number), start=START - DAY * number) for number in range(250)]
    await listed(ledger, *many)
    context = Context("acme", "run-1", lambda: NOW, PassReport("acme"), lambda: False)
    note = "insert into history (at, account, recording_id, after, reason, run_id)"
    note += " values (now(), 'acme', '7', 'discovered', 'by hand', 'run-2')"
    async with engine.connect() as other:
        await other.execute(text(note))  # and is not committed
        async with asyncio.timeout(30):
            await KeepLedger(context, ledger).run()
        assert await query(engine, "select count(*), count(distinct day) from ledger") == [(250, 250)]

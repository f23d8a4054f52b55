"""History that is filled in: behind new calls, resumable, paused on request, and proved like any other days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from archiver.adapters import database
from archiver.adapters.backfill_rows import BackfillRows
from archiver.core.backfill import Backfill, Filled, Progress, kept_from, progress, time_left
from archiver.core.budget import Facts, forecast
from archiver.core.model import Slice, State
from archiver.errors import Conflict
from archiver.simulator import Account, Exports, Operation
from archiver.simulator.behaviour import Behaviour
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls

SECOND = timedelta(seconds=1)
BEGIN = NOON - timedelta(days=5)
OLD = tuple(replace(one, id=one.id + 1000) for one in calls(50, days=30, apart=3600))
NEW = calls(10, days=2)


async def begun(make: MakeWorld, **behaviour: object) -> World:
    """A world whose account begins five days ago."""
    world = await make(Account(recordings=(*OLD, *NEW)), behaviour=Behaviour(**behaviour))  # type: ignore[arg-type]
    world.section("accounts")["start_from"] = BEGIN.isoformat()
    await world.sync()
    return world


async def ask(world: World, since: datetime = NOON - timedelta(days=40), until: datetime = BEGIN - SECOND) -> Backfill:
    engine = database.open_engine(world.database_url, pool_size=1)
    try:
        return await BackfillRows(engine).ask("acme", Slice(since, until), world.clock())
    finally:
        await engine.dispose()


async def pause(world: World, number: int, at: datetime | None) -> None:
    engine = database.open_engine(world.database_url, pool_size=1)
    try:
        await BackfillRows(engine).pause(number, at)
    finally:
        await engine.dispose()


def archived(states: Mapping[str, State]) -> int:
    return sum(state is State.VERIFIED for state in states.values())


async def test_without_being_asked_nothing_before_the_start_is_archived(world: MakeWorld) -> None:
    made = await begun(world)
    assert archived(await made.states()) == len(NEW)


async def test_history_is_archived_and_its_days_are_proved(world: MakeWorld) -> None:
    made = await begun(world)
    await ask(made)
    done = await made.sync()
    assert archived(await made.states()) == len(NEW) + len(OLD)
    assert done.reports["acme"].late == 0
    rows = await made.query("select count(*), count(proved_at) from days where day < '2024-02-25'")
    assert rows == [(35, 35)]
    assert made.exit_code == 0
    requests = made.simulator.requests.counts[Operation.LIST]
    await made.sync()
    assert made.simulator.requests.counts[Operation.LIST] - requests <= 3


async def test_a_finished_backfill_is_recounted_with_all_other_days(world: MakeWorld) -> None:
    made = await begun(world)
    await ask(made)
    await made.sync()
    late = replace(OLD[3], id=5000)
    made.simulator.put(late)
    made.clock.move(days=8)
    await made.sync()
    assert (await made.states())["5000"] is State.VERIFIED


async def test_a_paused_backfill_lists_and_archives_nothing(world: MakeWorld) -> None:
    made = await begun(world)
    one = await ask(made)
    await pause(made, one.number, NOON)
    await made.sync()
    assert archived(await made.states()) == len(NEW)
    await pause(made, one.number, None)
    await made.sync()
    assert archived(await made.states()) == len(NEW) + len(OLD)


async def test_what_is_listed_of_a_paused_backfill_waits(world: MakeWorld) -> None:
    made = await begun(world)
    one = await ask(made)
    await made.sync()
    await made.change("update recordings set state = 'discovered', verified_at = null where recording_id = '1001'")
    await pause(made, one.number, NOON)
    await made.sync()
    assert (await made.states())["1001"] is State.DISCOVERED


async def test_a_backfill_goes_on_where_it_was_stopped(world: MakeWorld) -> None:
    """The quota leaves a request or two in each pass: it takes many, and none lists the same again."""
    made = await begun(world)
    await ask(made)
    made.section("accounts")["requests_per_minute"] = 1
    made.section("sync")["every"] = "5m"
    passes = 0
    while archived(await made.states()) < len(NEW) + len(OLD):
        await made.sync()
        passes += 1
        assert passes < 60
    assert passes > 3
    windows = [one for one in made.simulator.requests.listings if one.until is not None and one.until < BEGIN]
    assert len(windows) == len({(one.since, one.page, one.page_size) for one in windows})


async def test_new_calls_come_before_history(world: MakeWorld) -> None:
    made = await begun(world)
    await ask(made)
    newest = [replace(one, id=one.id + 3000, start=NOON + timedelta(minutes=one.id)) for one in calls(5)]
    for one in newest:
        made.simulator.put(one)
    made.clock.move(hours=1)
    made.section("sync")["concurrency"] = 1
    before = len(made.simulator.requests.of(Operation.AUDIO))
    await made.sync()
    order = [seen.recording for seen in made.simulator.requests.of(Operation.AUDIO)][before:]
    assert order[:5] == [one.id for one in newest]
    assert len(order) == len(OLD) + 5


async def test_history_comes_by_exports_where_the_quota_is_small(world: MakeWorld) -> None:
    made = await begun(world, exports=Exports(per_job=20))
    made.section("accounts").update({"requests_per_minute": 2, "export_user": "auditor"})
    made.section("sync")["every"] = "10m"
    await ask(made)
    for _ in range(10):
        await made.sync()
    assert archived(await made.states()) == len(NEW) + len(OLD)
    assert made.simulator.requests.counts[Operation.AUDIO] < len(OLD)


async def test_the_same_backfill_twice_is_one(world: MakeWorld) -> None:
    made = await begun(world)
    assert await ask(made) == await ask(made)


async def test_a_backfill_that_is_not_there_cannot_be_paused(world: MakeWorld) -> None:
    made = await begun(world)
    with pytest.raises(Conflict, match="no backfill 7"):
        await pause(made, 7, NOON)


ONE = Backfill(
    number=1,
    account="acme",
    window=Slice(NOON - timedelta(days=10), NOON - SECOND),
    asked_at=NOON,
    listed_until=None,
    paused_at=None,
    listed_at=None,
)


def test_progress_is_told_from_what_is_listed_and_archived() -> None:
    half = replace(ONE, listed_until=NOON - timedelta(days=5) - SECOND)
    whole = replace(half, listed_at=NOON)
    assert (ONE.share_listed, half.share_listed, whole.share_listed) == (0, 0.5, 1)
    assert half.left == Slice(NOON - timedelta(days=5), NOON - SECOND)
    assert progress(half, Filled(5, 0)) is Progress.LISTING
    assert progress(replace(half, paused_at=NOON), Filled(5, 1)) is Progress.PAUSED
    assert progress(whole, Filled(5, 1)) is Progress.ARCHIVING
    assert progress(replace(whole, paused_at=NOON), Filled(5, 0)) is Progress.DONE


def test_an_account_answers_for_finished_backfills_that_reach_up_to_it() -> None:
    done = replace(ONE, listed_at=NOON)
    before = replace(done, window=Slice(NOON - timedelta(days=90), NOON - timedelta(days=10) - SECOND))
    apart = replace(done, window=Slice(NOON - timedelta(days=90), NOON - timedelta(days=50)))
    assert kept_from(NOON, []) == kept_from(NOON, [ONE]) == kept_from(NOON, [apart]) == NOON
    assert kept_from(NOON, [before, done, apart]) == NOON - timedelta(days=90)


def test_the_time_left_is_reckoned_from_what_is_listed() -> None:
    facts = Facts(
        per_minute=10, every=timedelta(minutes=15), page_size=100, arriving=1000.0, recounted=0.0, deleting=0.0,
        polls=None, exports=False, always=False, backlog=(), retention=None,
    )  # fmt: skip
    ahead = forecast(facts, NOON)
    half = replace(ONE, listed_until=NOON - timedelta(days=5) - SECOND)
    assert time_left(ONE, Filled(0, 0), ahead, 100) is None
    left = time_left(half, Filled(int(ahead.spare), 0), ahead, 100)
    assert left is not None
    assert left == pytest.approx(timedelta(days=1.01), abs=timedelta(minutes=5))
    assert time_left(half, Filled(10, 0), replace(ahead, spare=-1.0), 100) is None

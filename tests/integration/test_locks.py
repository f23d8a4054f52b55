"""Locks in the bucket: set before a copy counts as verified, until the floor, longer with it and never shorter."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from structlog.testing import capture_logs

from archiver.app import new_run_id
from archiver.core.model import Lock, LockMode, Protection, State
from archiver.passes import Pass
from archiver.simulator import Account
from tests.support import locksmith, office
from tests.support.locksmith import keeping, protection
from tests.support.world import MakeWorld, World, calls, key_of, sidecar_of

FIRST, SECOND = calls(2, days=40)
SECOND = replace(SECOND, duration_ms=60_500)  # ends between two seconds
GOVERNANCE, COMPLIANCE = LockMode.GOVERNANCE, LockMode.COMPLIANCE
LONG = {"keep_at_least": "10y", "delete_after": "15y", "lock": "governance"}


def floor(years: int) -> datetime:
    """The floor of the first recording."""
    ended = FIRST.start + timedelta(milliseconds=FIRST.duration_ms)
    return ended.replace(year=ended.year + years)


async def locks(here: World) -> list[Lock | None]:
    """Locks of the first recording: in the bucket of audio and sidecar, and as the catalogue has it."""
    keys = (key_of(FIRST), sidecar_of(FIRST))
    return [*[(await protection(here, key)).lock for key in keys], (await here.entries())["1"].lock]


async def test_a_copy_is_locked_until_its_floor_and_then_its_source_may_go(locked_world: MakeWorld) -> None:
    """To the second, rounded up, never until the ceiling; the history says it."""
    here = await locked_world(Account(recordings=(FIRST, SECOND)))
    here.policies = keeping(**LONG)
    await here.sync()
    assert await locks(here) == [Lock(GOVERNANCE, floor(10))] * 3
    ended = SECOND.start + timedelta(seconds=61)
    assert (await protection(here, key_of(SECOND))).lock == Lock(GOVERNANCE, ended.replace(year=ended.year + 10))
    told = await here.query("select reason from history where after = 'verified' and recording_id = '1'")
    until = f"{floor(10):%Y-%m-%d %H:%M:%S} UTC"
    assert told == [(f"the copy in the bucket is the one on record; locked, governance, until {until}",)]
    assert sorted(here.simulator.requests.deletes) == [1, 2]
    assert here.exit_code == 0


async def test_the_row_says_verified_only_when_lock_and_hold_are_in_place(locked_world: MakeWorld) -> None:
    """A process that dies between the two leaves a copy that is held and not verified: the next pass goes on."""
    here = await locked_world(Account(recordings=(FIRST,)))
    here.policies = keeping(**LONG)
    await office.hold(here, future=True)
    await here.change(
        """create function dies() returns trigger language plpgsql as $$ begin raise exception 'dies'; end $$;
        create trigger dies before update on recordings for each row when (new.state = 'verified')
            execute function dies()"""
    )
    await here.sync()
    assert await here.states() == {"1": State.STORED}
    held = Protection(lock=Lock(GOVERNANCE, floor(10)), on_hold=True)
    assert [await protection(here, key) for key in (key_of(FIRST), sidecar_of(FIRST))] == [held] * 2
    await here.change("drop trigger dies on recordings")
    await here.sync()
    entry = (await here.entries())["1"]
    assert (entry.state, Protection(entry.lock, entry.on_hold)) == (State.VERIFIED, held)
    assert here.simulator.requests.deletes == []


async def test_a_copy_that_cannot_be_held_is_not_verified(locked_world: MakeWorld) -> None:
    """The bucket refuses one sidecar's lock, another's hold, and to show a third: rows say stored, until it does."""
    four = calls(4, days=40)
    here = await locked_world(Account(recordings=four))
    here.policies = keeping(**LONG)
    await office.hold(here, future=True, ids=["1", "2"])
    async with here.app() as app:
        await app.store.facts()
        for one, request in zip(four, ("PutObjectRetention", "PutObjectLegalHold", "HeadObject"), strict=False):
            locksmith.refuse(app, request, key=sidecar_of(one))
        done = Pass(app=app, run=new_run_id())
        assert await done.sync() == 3
    assert await here.states() == dict.fromkeys("123", State.STORED) | {"4": State.PURGED}
    assert {one.recording_id for one in done.reports["acme"].named} == {"1", "2", "3"}
    await here.sync()
    assert (here.exit_code, here.simulator.requests.deletes) == (0, [4, 3])
    assert await here.states() == dict.fromkeys("12", State.VERIFIED) | dict.fromkeys("34", State.PURGED)
    for one in four:
        found = await protection(here, sidecar_of(one))
        assert (found.lock is not None, found.on_hold) == (True, one.id < 3)


async def test_a_longer_floor_makes_the_lock_longer_and_a_shorter_one_never_shorter(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(FIRST,)))
    here.policies = keeping(**LONG)
    await here.sync()
    here.policies = keeping(**LONG | {"keep_at_least": "11y"})
    assert (await here.sync()).reports["acme"].locked == 1
    assert await locks(here) == [Lock(GOVERNANCE, floor(11))] * 3
    [(reason,)] = await here.query("select reason from history order by id desc limit 1")
    assert reason == f"locked, governance, until {floor(11):%Y-%m-%d %H:%M:%S} UTC"
    rows = await here.query("select count(*) from history")
    for shorter in (LONG, {"keep_at_least": "1mo", "lock": "governance"}, {"keep_at_least": "1y"}, {}):
        here.policies = keeping(**shorter)
        assert (await here.sync()).reports["acme"].locked == 0
    assert await locks(here) == [Lock(GOVERNANCE, floor(11))] * 3
    assert await here.query("select count(*) from history") == rows
    assert (await here.states())["1"] is State.PURGED  # locks of what the source no longer has grow as well


async def test_a_stronger_lock_is_never_made_weaker(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(FIRST,)))
    steps: tuple[tuple[dict[str, str], Lock], ...] = (
        (LONG, Lock(GOVERNANCE, floor(10))),
        (LONG | {"lock": "compliance"}, Lock(COMPLIANCE, floor(10))),
        (LONG, Lock(COMPLIANCE, floor(10))),
        (LONG | {"keep_at_least": "12y"}, Lock(COMPLIANCE, floor(12))),
        ({}, Lock(COMPLIANCE, floor(12))),
    )
    for archive, expected in steps:
        here.policies = keeping(**archive)
        await here.sync()
        assert await locks(here) == [expected] * 3


async def test_a_weaker_lock_beyond_the_floor_is_left_said_and_bars_the_source(locked_world: MakeWorld) -> None:
    """To make it as strong as is wanted it would have to be strong beyond the floor, or become shorter."""
    here = await locked_world(Account(recordings=(FIRST, SECOND)))
    here.policies = keeping(source=None)
    await here.sync()
    foreign = Lock(GOVERNANCE, floor(30))
    await locksmith.lock(here, key_of(FIRST), foreign.until)
    here.policies = keeping(**LONG | {"lock": "compliance"})
    with capture_logs() as logs:
        done = await here.sync()
    assert await locks(here) == [foreign, Lock(COMPLIANCE, floor(10)), Lock(GOVERNANCE, floor(10))]
    [said] = [event for event in logs if event["event"] == "lock_missing"]
    assert (said["log_level"], "beyond its floor" in said["reason"]) == ("error", True)
    assert here.simulator.requests.deletes == [2]
    assert done.reports["acme"].locked == 2
    plan = await here.draft()
    assert plan.kept["source"] == {"already_purged": 1, "not_locked": 1}
    await here.sync()
    assert here.simulator.requests.deletes == [2]


async def test_where_the_bucket_has_no_locks_archiving_goes_on_and_the_source_keeps_all(
    world: MakeWorld,
) -> None:
    here = await world(Account(recordings=(FIRST, SECOND)))
    here.policies = keeping(**LONG)
    for _ in range(2):
        with capture_logs() as logs:
            done = await here.sync()
        assert [event["hint"] for event in logs if event["event"] == "lock_missing"] == ["archiver doctor"]
        assert done.reports["acme"].unlocked >= 2
    assert await here.states() == {"1": State.VERIFIED, "2": State.VERIFIED}
    assert here.simulator.requests.deletes == []
    assert (await here.draft()).kept["source"] == {"not_locked": 2}
    here.policies = keeping(keep_at_least="10y")
    await here.sync()
    assert sorted(here.simulator.requests.deletes) == [1, 2]


async def test_a_floor_that_has_passed_needs_no_lock(locked_world: MakeWorld) -> None:
    here = await locked_world(Account(recordings=(FIRST,)))
    here.policies = keeping(keep_at_least="20d", lock="compliance")
    await here.sync()
    assert await locks(here) == [None] * 3
    assert here.simulator.requests.deletes == [1]

"""What is decided while a deletion is under way still counts: before a second DELETE, a next recording, a next run."""

from __future__ import annotations

import asyncio

import pytest

from archiver.core.model import State
from archiver.errors import SafetyLimit
from archiver.simulator import Account, Fault, Hang, Operation
from tests.support import locksmith, office
from tests.support.locksmith import keeping
from tests.support.world import MakeWorld, World, calls

FOUR = calls(4, days=40)
DEAD = "update recordings set claimed_by = 'a run that died', state"
PAUSES = """create function pauses() returns trigger language plpgsql as $$ begin
    insert into controls (at, kind, subject, event, by, reason, detail)
        values (now(), 'pause', '', 'paused', 'anna', 'an audit', '{}');
    return null;
end $$;
create trigger pauses after update on recordings for each row when (new.state = 'purged') execute function pauses()"""


async def test_a_delete_that_was_not_answered_is_not_sent_again_over_a_case(world: MakeWorld) -> None:
    """The source hangs, a case is opened, the archiver gives up waiting: no second DELETE, the mark is taken back."""
    here = await world(Account(recordings=FOUR[:1], faults=(Fault(on=Operation.DELETE, do=Hang()),)))
    here.policies, here.read_timeout = keeping(), 0.5

    async def opened() -> None:
        await here.simulator.arrived(Operation.DELETE, 1)
        await office.hold(here)

    async with asyncio.TaskGroup() as group:
        group.create_task(opened())
        done = await here.sync()
    assert here.simulator.requests.deletes == [1]
    assert await here.states() == {"1": State.VERIFIED}
    assert done.reports["acme"].kept == {"handed_back": 1}
    [(reason,)] = await here.query("select reason from history where before = 'purging'")
    assert reason == "not deleted after all: it is on legal hold: case-1"


async def test_a_plan_that_a_pause_cut_short_can_be_applied_when_it_is_over(world: MakeWorld) -> None:
    here = await world(Account(recordings=FOUR))
    here.policies = keeping(mode="approve")
    here.section("sync")["concurrency"] = 1
    await here.sync()
    text = await office.approved_plan(here)
    await here.change(PAUSES)
    done = await office.carry_out(here, text)
    assert len(here.simulator.requests.deletes) == 1
    assert done.reports["acme"].kept == {"paused": 3}
    with pytest.raises(SafetyLimit, match="paused"):
        await office.carry_out(here, text)
    await here.change("drop trigger pauses on recordings")
    await office.resume(here)
    await office.carry_out(here, text)
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4]
    with pytest.raises(SafetyLimit, match="was used"):
        await office.carry_out(here, text)


async def half_way(make: MakeWorld) -> World:
    """A world in which a process died over all deletions: of two at the source, of two in the archive."""
    here = await make(Account(recordings=FOUR))
    await here.sync()
    await here.change(f"{DEAD} = 'purging' where recording_id in ('1', '2')")
    for number in (3, 4):
        here.simulator.remove(number)
    await here.change(f"{DEAD} = 'expiring', purged_at = verified_at where recording_id in ('3', '4')")
    return here


async def test_more_that_had_begun_than_one_run_may_do_is_taken_back(world: MakeWorld) -> None:
    """By itself in the next passes no more than the cap is deleted either."""
    here = await half_way(world)
    rules = keeping(delete_after="30d")
    here.policies = {**rules, "deletion": {**rules["deletion"], "max_per_run": 1}}  # type: ignore[dict-item]
    done = await here.sync()
    assert done.reports["acme"].kept == {"handed_back": 2}
    assert here.exit_code == 4
    assert here.simulator.requests.deletes == []
    assert await here.states() == dict.fromkeys("12", State.VERIFIED) | dict.fromkeys("34", State.EXPIRED)
    told = await here.query("select reason from history where before = 'purging'")
    assert [str(reason).startswith("not deleted after all: more") for (reason,) in told] == [True, True]


async def test_in_the_archive_the_same(world: MakeWorld) -> None:
    here = await half_way(world)
    rules = keeping(delete_after="30d")
    few = {"mode": "automatic", "max_percent": 100, "max_per_run": 1}
    here.policies = {**rules, "deletion": {**rules["deletion"], "archive": few}}  # type: ignore[dict-item]
    done = await here.sync()
    assert done.reports["acme"].kept == {"handed_back": 2}
    assert here.exit_code == 4
    assert await here.states() == dict.fromkeys("1234", State.PURGED)
    assert len(await here.objects()) == 8


async def test_what_this_run_has_finished_counts_towards_its_caps(locked_world: MakeWorld) -> None:
    """One deletion in the archive was cut off and is finished; one more would be the second, and one is allowed."""
    here = await half_way(locked_world)
    await here.change("update recordings set state = 'purged', claimed_by = null where recording_id = '4'")
    await here.change("update recordings set state = 'quarantined', claimed_by = null where recording_id in ('1', '2')")
    rules = keeping(delete_after="30d")
    few = {"mode": "automatic", "max_percent": 100, "max_per_run": 1}
    here.policies = {**rules, "deletion": {**rules["deletion"], "archive": few}}  # type: ignore[dict-item]
    await here.sync()
    assert here.exit_code == 4
    assert (await here.states())["3"] is State.EXPIRED
    assert (await here.states())["4"] is State.PURGED
    assert len(await locksmith.versions(here)) == 6
    await here.sync()
    assert (await here.states())["4"] is State.EXPIRED


async def test_what_was_called_absent_and_is_there_does_not_get_past_the_caps(world: MakeWorld) -> None:
    """A listing lacked three of four for a while, and the source has them after all: one is all that may go."""
    here = await world(Account(recordings=FOUR))
    await here.sync()
    await here.change("update recordings set absent_since = listed_at where recording_id <> '1'")
    rules = keeping()
    here.policies = {**rules, "deletion": {**rules["deletion"], "max_per_run": 1}}  # type: ignore[dict-item]
    await here.sync()
    assert len(here.simulator.requests.deletes) <= 1

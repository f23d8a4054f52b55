"""Deletion at the source waits for two clocks, ours and the source's: whichever is behind has the say."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.simulator import Account, Behaviour, Fault, Operation, Status
from tests.integration.test_purge import deleting
from tests.support.world import MakeWorld, World, calls

ONE, OTHER = calls(2, days=29, apart=86_400)  # the other comes due a day later
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
FLOOR = ONE.start + timedelta(milliseconds=ONE.duration_ms) + timedelta(days=30)  # by the policy of `deleting()`


async def archived(make: MakeWorld, ahead: timedelta) -> World:
    """A world whose recordings are archived, and may be deleted from the floor on; the source's clock is set."""
    here = await make(Account(recordings=(ONE, OTHER)))
    here.policies = deleting(mode="disabled")  # the policies are not new when they may be carried out
    await here.sync()
    here.policies = deleting()
    here.simulator.behaviour = Behaviour(date_ahead=ahead)
    return here


async def deleted_at(here: World, moment: datetime) -> list[int]:
    """Run a pass at a moment of our clock, and tell what was deleted until then."""
    here.clock.now = moment
    await here.sync()
    return here.simulator.requests.deletes


@pytest.mark.parametrize("behind", [SECOND, 2 * HOUR])
async def test_a_source_that_is_behind_is_waited_for(world: MakeWorld, behind: timedelta) -> None:
    here = await archived(world, -behind)
    for early in (FLOOR, FLOOR + behind - SECOND):
        with capture_logs() as logs:
            assert await deleted_at(here, early) == []
        (kept,) = [event for event in logs if event["event"] == "purge_skipped"]
        assert kept["kind"] == "clock_disagrees"
        assert "permits it since" in kept["reason"]
        assert f"the source's clock says {early - behind:%Y-%m-%d %H:%M:%S} UTC" in kept["reason"]
    assert await here.query("select 1 from history where after = 'purging'") == []
    assert await deleted_at(here, FLOOR + behind) == [1]


async def test_a_source_that_is_ahead_brings_nothing_forward(world: MakeWorld) -> None:
    here = await archived(world, 2 * HOUR)
    assert await deleted_at(here, FLOOR - SECOND) == []
    assert await deleted_at(here, FLOOR) == [1]


async def test_a_source_that_does_not_say_leaves_our_clock(world: MakeWorld) -> None:
    here = await archived(world, timedelta(0))
    here.simulator.behaviour = Behaviour(date_absent=True)
    assert await deleted_at(here, FLOOR - SECOND) == []
    assert await deleted_at(here, FLOOR) == [1]


async def test_a_plan_is_held_against_the_clock_that_the_last_look_shows(world: MakeWorld) -> None:
    """A process that only applies a plan has heard nothing of the source before it reads the recording again."""
    here = await archived(world, -2 * HOUR)
    here.clock.now = FLOOR + HOUR
    plan = await here.draft()
    assert [item.recording_id for item in plan.items] == ["1"]
    asked = here.simulator.requests.counts[Operation.GET]

    done = await here.apply(plan)

    assert here.simulator.requests.counts[Operation.GET] == asked + 1
    assert here.simulator.requests.deletes == []
    assert done.reports["acme"].kept == {"clock_disagrees": 1}
    assert (await here.states())["1"] is State.VERIFIED
    assert await here.query("select 1 from history where after = 'purging'") == []
    here.clock.move(hours=1)
    await here.apply(plan)
    assert here.simulator.requests.deletes == [1]


async def test_an_interrupted_deletion_is_taken_back_where_the_source_is_behind(world: MakeWorld) -> None:
    here = await archived(world, -2 * HOUR)
    await here.change("update recordings set state = 'purging', claimed_by = 'a run' where recording_id = '1'")
    assert await deleted_at(here, FLOOR + HOUR) == []
    assert (await here.states())["1"] is State.VERIFIED
    ((reason,),) = await here.query("select reason from history where before = 'purging'")
    assert "not deleted after all" in str(reason)
    assert "the source's clock says" in str(reason)
    await here.change("update recordings set state = 'purging', claimed_by = 'a run' where recording_id = '1'")
    assert await deleted_at(here, FLOOR + 2 * HOUR) == [1]


async def test_what_was_verified_a_moment_ago_is_deleted_though_the_source_is_behind(world: MakeWorld) -> None:
    """When it was verified is told by our clock alone: to hold the source's against it would mean nothing."""
    behind = 2 * HOUR
    here = await world(Account(recordings=(ONE, OTHER)), behaviour=Behaviour(date_ahead=-behind))
    here.policies = deleting()
    assert await deleted_at(here, FLOOR + behind) == [1]


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (timedelta(minutes=5), []),
        (timedelta(minutes=-5), []),
        (timedelta(minutes=5) + SECOND, [301]),
        (timedelta(minutes=-5) - SECOND, [-301]),
        (timedelta(days=-400), [-400 * 86_400]),
    ],
)
async def test_clocks_that_differ_too_much_are_said_once_in_a_pass(
    world: MakeWorld, ahead: timedelta, said: list[int]
) -> None:
    here = await archived(world, ahead)
    here.clock.now = FLOOR + timedelta(days=2)
    plan = await here.draft()
    assert len(plan.items) == 2
    with capture_logs() as logs:
        done = await here.apply(plan)
    skewed = [event for event in logs if event["event"] == "clock_skewed"]
    assert [event["seconds"] for event in skewed] == said
    assert {event["log_level"] for event in skewed} <= {"error"}
    assert done.reports["acme"].as_counts()["clock_seconds"] == ahead.total_seconds()


async def test_it_is_said_also_where_the_listing_ends_early(world: MakeWorld) -> None:
    """A gateway that refuses has the time as well; and a wrong clock may be why."""
    refused = Fault(on=Operation.LIST, do=Status(403), times=None)
    behaviour = Behaviour(date_ahead=3 * HOUR)
    here = await world(Account(recordings=calls(1), faults=(refused,)), behaviour=behaviour)
    with capture_logs() as logs:
        done = await here.sync()
    assert here.exit_code != 0
    assert [event["seconds"] for event in logs if event["event"] == "clock_skewed"] == [3 * 3600]
    assert done.reports["acme"].clock_seconds == 3 * 3600

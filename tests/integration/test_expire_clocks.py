"""Deletion in the archive waits for two clocks as well, ours and the source's; where that is silent, nothing goes."""

from __future__ import annotations

from datetime import timedelta

from archiver.core.model import State
from archiver.simulator import Account, Behaviour, Fault, Operation, Status
from tests.support.locksmith import keeping
from tests.support.world import MakeWorld, World, calls

ONE, OTHER = calls(2, days=29, apart=86_400)  # the other comes due a day later
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
CEILING = ONE.start + timedelta(milliseconds=ONE.duration_ms) + timedelta(days=30)
RULES = keeping(source="10d", delete_after="30d")


async def purged(make: MakeWorld, behaviour: Behaviour) -> World:
    """A world whose recordings are gone at the source, whose clock is set then."""
    here = await make(Account(recordings=(ONE, OTHER)))
    here.policies = RULES
    await here.sync()
    assert set((await here.states()).values()) == {State.PURGED}
    here.simulator.behaviour = behaviour
    return here


async def test_a_source_that_is_behind_is_waited_for(world: MakeWorld) -> None:
    here = await purged(world, Behaviour(date_ahead=-2 * HOUR))
    here.clock.now = CEILING + HOUR
    done = await here.sync()
    assert done.reports["acme"].kept == {"clock_disagrees": 1}
    assert len(await here.objects()) == 4
    here.clock.now = CEILING + 2 * HOUR
    await here.sync()
    assert await here.states() == {"1": State.EXPIRED, "2": State.PURGED}


async def test_a_source_that_is_ahead_brings_nothing_forward(world: MakeWorld) -> None:
    here = await purged(world, Behaviour(date_ahead=2 * HOUR))
    here.clock.now = CEILING - SECOND
    await here.sync()
    assert len(await here.objects()) == 4
    here.clock.now = CEILING
    await here.sync()
    assert await here.states() == {"1": State.EXPIRED, "2": State.PURGED}


async def test_a_plan_hears_the_sources_clock_before_it_deletes_in_the_archive(world: MakeWorld) -> None:
    """A process that only applies a plan has heard nothing of the source; where that is silent, it deletes nothing."""
    here = await purged(world, Behaviour(date_ahead=-2 * HOUR))
    here.clock.now = CEILING + HOUR
    plan = await here.draft()
    assert [item.recording_id for item in plan.items] == ["1"]
    assert (await here.apply(plan)).reports["acme"].kept == {"clock_disagrees": 1}
    here.simulator.behaviour = Behaviour()
    here.simulator.script(Fault(on=Operation.LIST, do=Status(500), times=None))
    await here.apply(plan)
    assert here.exit_code == 5
    assert len(await here.objects()) == 4
    here.simulator.heal()
    await here.apply(plan)
    assert (await here.states())["1"] is State.EXPIRED


async def test_an_interrupted_one_is_taken_back_where_the_source_is_behind(world: MakeWorld) -> None:
    here = await purged(world, Behaviour(date_ahead=-2 * HOUR))
    here.clock.now = CEILING + HOUR
    await here.change("update recordings set state = 'expiring', claimed_by = 'a run' where recording_id = '1'")
    done = await here.sync()
    assert done.reports["acme"].kept["handed_back"] == 1
    assert (await here.states())["1"] is State.PURGED
    assert len(await here.objects()) == 4

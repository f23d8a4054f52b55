"""The rounds of one pass, and what a paused or finished backfill holds up: nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from archiver.core.model import State
from archiver.simulator import Account, Fault, Operation, SimRecording, Status
from tests.integration.test_backfill import NEW, OLD, archived, ask, begun, pause
from tests.integration.test_exports import exporting
from tests.integration.test_purge import deleting
from tests.support.desk import MakeDesk
from tests.support.simulator import NOON
from tests.support.world import LONG_AGO, MakeWorld, World, calls


async def small(make: MakeWorld, recordings: Sequence[SimRecording]) -> World:
    """A world whose quota has room for 16 recordings in a round."""
    made = await make(Account(recordings=tuple(recordings)))
    made.section("accounts").update({"requests_per_minute": 2, "exports": "never"})
    made.section("sync").update({"every": "10m"})
    return made


async def test_a_pass_goes_on_behind_excluded_recordings(world: MakeWorld) -> None:
    """A round of recordings that no policy archives is not the end: what lies behind them has its turn."""
    out = [replace(one, extensions=("666",)) for one in calls(20, days=20)]
    keep = [replace(one, id=one.id + 100, extensions=("100",)) for one in calls(20, days=10)]
    made = await small(world, [*out, *keep])
    made.policies = {
        "deletion": {"cooling_off": "0s"},
        "policies": [{"name": "no", "match": {"extensions": ["666"]}, "archive": False}],
    }
    await made.sync()
    assert State.DISCOVERED not in (await made.states()).values()


async def test_a_pass_goes_on_behind_recordings_that_fail(world: MakeWorld) -> None:
    """A round of which nothing could be archived is not the end: what lies behind it has its turn."""
    made = await small(world, calls(40, days=10))
    for number in range(1, 17):
        made.simulator.script(Fault(on=Operation.AUDIO, do=Status(404), recording=number, times=None))
    await made.sync()
    assert archived(await made.states()) == 24


async def test_a_paused_backfill_does_not_stop_deletions(world: MakeWorld) -> None:
    """Deletions wait until all is archived; but not for what a person has paused."""
    made = await begun(world)
    one = await ask(made)
    await made.sync()
    await made.change("update recordings set state = 'discovered', verified_at = null where recording_id = '1001'")
    await pause(made, one.number, NOON)
    made.policies = deleting("20d", max_per_run=100)
    await made.sync()
    assert (await made.states())["1001"] is State.DISCOVERED
    assert sorted(made.simulator.requests.deletes) == [old.id for old in OLD[1:]]


async def test_calls_that_the_account_answers_for_are_not_held_by_an_old_pause(world: MakeWorld) -> None:
    """When start_from is moved back over a paused backfill, its calls are archived as any other."""
    made = await begun(world)
    one = await ask(made)
    await pause(made, one.number, NOON)
    made.section("accounts")["start_from"] = (NOON - timedelta(days=40)).isoformat()
    await made.sync()
    assert archived(await made.states()) == len(NEW) + len(OLD)


def test_the_same_command_goes_on_once_all_is_listed(desk: MakeDesk) -> None:
    """Listed, not archived: `backfill` with the same --from takes the same one up, and makes no other."""
    made = desk()
    command = ("backfill", "--from", str((LONG_AGO - timedelta(days=20)).date()), "--detach")
    made.does(*command)
    made.change("update backfills set listed_until = until, listed_at = now()")
    made.does(*command)
    assert [one["backfill"] for one in json.loads(made.does("backfill", "--json"))] == [1]


async def test_ten_pages_of_new_calls_cost_fifteen_requests(world: MakeWorld) -> None:
    """At an account that is known: eleven pages, the new stretch, a count, and the export's own."""
    fresh = calls(100, days=0.5)
    made = await exporting(world, calls(3))
    made.section("sync")["page_size"] = 10
    await made.sync()
    for one in fresh:
        made.simulator.put(replace(one, id=one.id + 1000))
    made.clock.move(hours=1)
    made.time.seconds += 3600
    before = len(made.simulator.requests)

    done = await made.sync()

    assert done.reports["acme"].exported == 100
    assert len(made.simulator.requests) - before == 15

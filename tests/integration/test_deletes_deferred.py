"""Deletions that the quota puts off: none takes the place of another for ever."""

from __future__ import annotations

from archiver.simulator import Account, Changed, Fault, Operation
from tests.integration.test_purge import deleting
from tests.support.world import MakeWorld, calls


async def test_kept_ones_do_not_take_the_places_of_others_for_ever(world: MakeWorld) -> None:
    """Five recordings are due and never deleted, for the source says otherwise of them: the others have their turn."""
    here = await world(Account(recordings=calls(12, days=40)))
    await here.sync()
    here.section("accounts")["requests_per_minute"] = 2
    here.section("sync")["every"] = "10m"  # five places in each pass
    here.policies = deleting(max_per_run=100)
    for number in range(1, 6):
        here.simulator.script(
            Fault(on=Operation.GET, do=Changed({"file_size_in_bytes": 1}), recording=number, times=None)
        )
    for _ in range(6):
        await here.sync()
        here.clock.move(minutes=10)
    assert sorted(here.simulator.requests.deletes) == [6, 7, 8, 9, 10, 11, 12]

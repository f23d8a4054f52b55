"""Exports that a run has left half done, and what lies beside one that is under way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from archiver.simulator import Exports, Fault, LeftOut, Operation, Spoil, Status, Stranger, audio_bytes
from tests.integration.test_exports import COUNT, asked, everything_is_archived, exporting
from tests.integration.test_exports_stuck import later
from tests.support.world import MakeWorld, calls


async def test_an_export_whose_last_listing_fails_is_closed_by_the_next_pass(world: MakeWorld) -> None:
    """The ZIP is read to its end, a stranger in it has the slice listed anew, and that fails: nothing is stuck."""
    made = await exporting(world)
    stranger = Stranger("more.mp3", audio_bytes(999, 500))
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=Spoil((stranger, LeftOut(7))), times=None))
    syncing = asyncio.create_task(made.sync())
    await made.simulator.arrived(Operation.RETRIEVE)
    # the slice is counted first: that goes well
    made.simulator.script(Fault(on=Operation.LIST, do=Status(500), times=None, after=1))
    await syncing
    assert await made.query(
        "select count(done_at), count(closed_at) from exports join export_jobs on export_id = id"
    ) == [(1, 0)]
    made.simulator.heal()
    for _ in range(5):
        later(made, days=1)
        await made.sync()
    await everything_is_archived(made, calls(COUNT, days=10))
    assert await made.query("select count(*) from exports where closed_at is null") == [(0,)]


async def test_calls_on_both_sides_of_an_open_export_do_not_stop_a_pass(world: MakeWorld) -> None:
    """What is due before and behind the slice goes into exports of its own."""
    old = calls(COUNT, days=1)
    made = await exporting(world, old, Exports(delay=timedelta(hours=5)))
    await made.sync()
    before = [replace(one, id=one.id + 100, start=one.start - timedelta(hours=2)) for one in old]
    after = [replace(one, id=one.id + 200, start=one.start + timedelta(hours=2)) for one in old]
    for one in (*before, *after):
        made.simulator.put(one)
    made.clock.move(minutes=30)
    done = await made.sync()
    assert not done.reports["acme"].stopped


async def test_a_zip_that_the_process_dies_of_is_given_up(world: MakeWorld) -> None:
    """As killed processes leave it: begun ten times, never read to the end. All comes by single requests instead."""
    made = await exporting(world, exports=Exports(delay=timedelta(hours=1)))
    await made.sync()
    await made.change("update export_jobs set fetches = 10, ready_at = now()")
    retrieved = asked(made, Operation.RETRIEVE)
    later(made, hours=2)
    await made.sync()
    assert await made.query("select phase from exports") == [("given_up",)]
    await everything_is_archived(made, calls(COUNT, days=10))
    assert (asked(made, Operation.RETRIEVE), asked(made, Operation.AUDIO)) == (retrieved, COUNT)

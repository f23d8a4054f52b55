"""No recording waits for ever for an export: whatever the source says, it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from archiver.simulator import CutAfter, Drop, Exports, Fault, Operation, Redirect, Status
from tests.integration.test_exports import COUNT, everything_is_archived, exporting
from tests.support.world import MakeWorld, calls


@pytest.mark.parametrize(
    "do",
    [
        Drop(),
        Status(401),
        Status(407),
        Redirect("http://elsewhere.example/x.zip"),
        Redirect("https://127.0.0.1:9/x.zip"),
    ],
    ids=str,
)
async def test_retrieve_that_always_fails_is_given_up_at_the_deadline(world: MakeWorld, do: object) -> None:
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=do, times=None))
    for _ in range(6):
        await made.sync()
        made.clock.move(hours=5)
        made.time.seconds += 5 * 3600
    await everything_is_archived(made, calls(COUNT, days=10))


@pytest.mark.parametrize("do", [Status(500), Status(503)], ids=str)
async def test_ready_once_and_never_again(world: MakeWorld, do: object) -> None:
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=CutAfter(500), times=1))
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=do, times=None, after=0))
    for _ in range(6):
        await made.sync()
        made.clock.move(days=2)
        made.time.seconds += 2 * 86400
    await everything_is_archived(made, calls(COUNT, days=10))


async def test_clock_that_was_ahead_when_it_was_asked_for(world: MakeWorld) -> None:
    made = await exporting(world, exports=Exports(delay=timedelta(hours=1)))
    made.clock.move(days=100)
    await made.sync()
    made.clock.move(days=-100)
    for _ in range(4):
        made.clock.move(hours=6)
        made.time.seconds += 6 * 3600
        await made.sync()
    assert await made.query("select count(*) from exports where closed_at is null") == [(0,)]

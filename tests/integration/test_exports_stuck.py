"""No recording waits for ever for an export: whatever the source says, it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from archiver.simulator import CutAfter, Drop, Exports, Fault, Operation, Redirect, Status
from archiver.simulator.faults import Action
from tests.integration.test_exports import COUNT, everything_is_archived, exporting
from tests.support.world import MakeWorld, World, calls


def later(made: World, **by: float) -> None:
    """Let so much time pass, for the archiver's day and for its quota."""
    seconds = timedelta(**by).total_seconds()
    made.clock.move(seconds=seconds)
    made.time.seconds += seconds


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
async def test_a_retrieval_that_always_fails_is_given_up_at_the_deadline(world: MakeWorld, do: Action) -> None:
    """However it fails: within a day all comes by single requests."""
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=do, times=None))
    for _ in range(6):
        await made.sync()
        later(made, hours=5)
    await everything_is_archived(made, calls(COUNT, days=10))


@pytest.mark.parametrize("do", [Status(500), Status(503)], ids=str)
async def test_a_zip_that_came_cut_and_never_again_is_given_up(world: MakeWorld, do: Action) -> None:
    """That it was ready once does not make the export wait for it without end."""
    made = await exporting(world)
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=CutAfter(500)))
    made.simulator.script(Fault(on=Operation.RETRIEVE, do=do, times=None))
    for _ in range(6):
        await made.sync()
        later(made, days=2)
    await everything_is_archived(made, calls(COUNT, days=10))


async def test_an_export_that_was_asked_for_by_a_clock_far_ahead_ends(world: MakeWorld) -> None:
    """Its deadline does not lie months away once the clock is right again."""
    made = await exporting(world, exports=Exports(delay=timedelta(hours=1)))
    made.clock.move(days=100)
    await made.sync()
    made.clock.move(days=-100)
    for _ in range(4):
        later(made, hours=6)
        await made.sync()
    assert await made.query("select count(*) from exports where closed_at is null") == [(0,)]

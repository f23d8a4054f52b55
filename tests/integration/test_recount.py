"""Asking the source again: late arrivals, what is gone, what shrank, and how few requests that costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from archiver.core.gaps import GapKind
from archiver.core.model import State
from archiver.simulator import Account, Behaviour, Fault, Html, Operation, SimRecording, Totals
from archiver.simulator.faults import EmptyListing
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls

DAY = timedelta(days=1)


def spread(count: int, *, days: int, first: int = 1) -> tuple[SimRecording, ...]:
    """So many calls on each of the last days."""
    return tuple(
        replace(one, id=first + index, start=NOON - DAY * (index // count + 1) + timedelta(minutes=index % count))
        for index, one in enumerate(calls(count * days))
    )


async def listings(here: World) -> int:
    """Let a pass through; returns how many list requests it sent."""
    before = here.simulator.requests.counts[Operation.LIST]
    await here.sync()
    return here.simulator.requests.counts[Operation.LIST] - before


async def test_a_pass_with_nothing_new_costs_two_requests(world: MakeWorld) -> None:
    """However many calls lie in the lookback: with more than fit on a page they are counted."""
    here = await world(Account(recordings=spread(20, days=3)), sync={"page_size": 10})
    await here.sync()
    here.clock.move(minutes=15)
    await here.sync()
    here.clock.move(minutes=15)
    assert await listings(here) == 2
    assert here.exit_code == 0


async def test_a_late_recording_is_found_and_only_its_slice_is_listed(world: MakeWorld) -> None:
    here = await world(Account(recordings=spread(100, days=3)), sync={"page_size": 10})
    await here.sync()
    here.simulator.put(replace(calls(1)[0], id=9_001, start=NOON - timedelta(hours=40)))
    here.clock.move(minutes=15)

    with capture_logs() as logs:
        spent = await listings(here)

    assert (await here.states())["9001"] is State.VERIFIED
    assert spent < 30  # listing it all would be 31, and halving finds it sooner
    assert [event["recordings"] for event in logs if event["event"] == "late_recordings"] == [1]
    here.clock.move(minutes=15)
    assert await listings(here) == 2


async def test_a_day_is_listed_once_more_when_its_lookback_is_over(world: MakeWorld) -> None:
    """One came late and another was deleted between two passes: the total is the same, the ids are not."""
    here = await world(Account(recordings=spread(30, days=2)), sync={"page_size": 10, "lookback": "24h"})
    await here.sync()
    here.clock.move(minutes=15)
    await here.sync()
    here.simulator.remove(1)
    here.simulator.put(replace(calls(1)[0], id=9_001, start=NOON - timedelta(hours=26)))
    here.clock.move(minutes=15)
    await here.sync()
    assert "9001" not in await here.states()

    here.clock.move(days=2)
    await here.sync()
    here.clock.move(minutes=15)
    await here.sync()

    assert (await here.states())["9001"] is State.VERIFIED
    [(absent,)] = await here.query("select count(*) from recordings where absent_since is not null")
    assert absent == 1
    assert await here.gaps() == {}


async def test_what_was_published_after_the_lookback_is_found_by_the_full_recount(world: MakeWorld) -> None:
    here = await world(
        Account(recordings=spread(3, days=20)), sync={"lookback": "24h", "recount_every": "7d", "page_size": 2}
    )
    await here.sync()
    here.clock.move(minutes=15)
    await here.sync()
    here.simulator.put(replace(calls(1)[0], id=9_001, start=NOON - timedelta(days=15)))
    here.clock.move(days=1)
    await here.sync()
    assert "9001" not in await here.states()
    here.clock.move(days=7)
    await here.sync()
    assert (await here.states())["9001"] is State.VERIFIED


async def test_recounting_a_year_costs_one_request_for_each_day_with_calls(world: MakeWorld) -> None:
    recordings = tuple(one for one in spread(2, days=364) if one.start.weekday() < 5)
    here = await world(Account(recordings=recordings), sync={"page_size": 1, "recount_every": "7d", "concurrency": 16})
    here.section("accounts")["start_from"] = (NOON - DAY * 366).isoformat()
    await here.sync()
    here.clock.move(days=8)
    await here.sync()
    here.clock.move(minutes=15)
    await here.sync()  # the last days of calls are listed for good
    here.clock.move(days=8)
    days_with_calls = len({one.start.date() for one in recordings})

    spent = await listings(here)

    assert spent <= days_with_calls + 2 + 1  # the first days of the year have no calls
    [(unproven,)] = await here.query("select count(*) from days where doubt is not null or proved_at is null")
    assert unproven == 0


async def test_the_full_recount_stays_within_its_share_of_the_quota(world: MakeWorld) -> None:
    here = await world(
        Account(recordings=spread(3, days=40)),
        sync={"page_size": 2, "lookback": "24h", "every": "1m", "recount_share": 10},
    )
    await here.sync()
    here.section("accounts")["requests_per_minute"] = 100
    here.clock.move(days=8)
    await here.sync()
    here.clock.move(days=8)

    with capture_logs() as logs:
        done = await here.sync()

    [event] = [event for event in logs if event["event"] == "recount_done"]
    assert event["allowance"] == 10
    assert event["planned"] <= 10 < event["needed"]
    assert done.reports["acme"].recounts_due == event["left"] > 0


async def test_a_recording_that_vanished_unarchived_is_a_named_gap(world: MakeWorld) -> None:
    here = await world(
        Account(recordings=calls(6, days=1), faults=(Fault(on=Operation.AUDIO, do=Html(), recording=3, times=None),))
    )
    await here.sync()
    assert (await here.gaps())["3"].kind is GapKind.RETRYING
    here.simulator.remove(3)
    here.clock.move(minutes=15)

    await here.sync()

    gap = (await here.gaps())["3"]
    assert gap.kind is GapKind.VANISHED
    assert gap.reason.startswith("the source listed it and has it no longer")
    assert here.exit_code == 3


@pytest.mark.parametrize("totals", [Totals.TRUE, Totals.ZERO])
async def test_a_listing_that_is_suddenly_empty_moves_nothing_and_deletes_nothing(
    world: MakeWorld, totals: Totals
) -> None:
    """Two days of empty answers; then the source is well again, and with it the archive."""
    here = await world(Account(recordings=calls(6, days=1)))
    await here.sync()
    [(watermark,)] = await here.query("select watermark from accounts")
    here.simulator.behaviour = Behaviour(totals=totals)
    here.simulator.script(Fault(on=Operation.LIST, do=EmptyListing(), times=None))
    here.clock.move(hours=1)

    with capture_logs() as logs:
        await here.sync()

    assert {event["event"] for event in logs} >= {"listing_shrunken"}
    assert await here.query("select watermark from accounts") == [(watermark,)]
    assert (await here.gaps())["shrunken"].reason == "the source lists 0 where the catalogue expects 6"
    assert await here.query("select count(*) from recordings where absent_since is not null") == [(0,)]
    assert here.exit_code == 3
    assert here.simulator.requests.deletes == []
    here.simulator.behaviour = Behaviour()
    here.simulator.heal()
    here.simulator.put(replace(calls(1)[0], id=9_001, start=NOON + timedelta(minutes=30)))
    here.clock.move(hours=1)

    await here.sync()

    assert await here.gaps() == {}
    assert (await here.states())["9001"] is State.VERIFIED
    assert here.exit_code == 0
    [(evidence,)] = await here.query("select evidence from gaps where kind = 'shrunken'")
    assert evidence == "the source has again what the catalogue expects"

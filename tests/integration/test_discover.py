"""Listing against a source that answers as it likes: nothing is missed, nothing goes on for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from archiver.core.model import State
from archiver.simulator import Account, Behaviour, Endless, Fault, Operation, PageZero, Status, Totals
from tests.support.simulator import NOON
from tests.support.world import LONG_AGO, MakeWorld, calls

PAGE_FAULTS = 200  # requests: more for one stretch of listing is no longer bounded


@pytest.mark.parametrize("totals", list(Totals))
@pytest.mark.parametrize(
    ("base", "zero"), [(0, PageZero.CLAMP), (1, PageZero.CLAMP), (1, PageZero.REFUSE)], ids=["0", "1", "1 refusing 0"]
)
async def test_every_page_is_read_whatever_the_first_is_called(
    world: MakeWorld, base: int, zero: PageZero, totals: Totals
) -> None:
    """Pages from 0 or 1, with totals or without: all is archived, links with their wrong path are never followed."""
    behaviour = Behaviour(page_base=base, page_zero=zero, totals=totals)
    here = await world(Account(recordings=calls(12, days=1)), behaviour=behaviour, sync={"page_size": 5})

    await here.sync()

    assert set((await here.states()).values()) == {State.VERIFIED}
    assert len(await here.audio()) == 12
    assert here.simulator.requests.counts[Operation.OTHER] == 0
    assert await here.gaps() == {}
    assert here.exit_code == 0


async def test_totals_that_contradict_each_other_are_not_searched(world: MakeWorld) -> None:
    """A slice and its halves are read, and then it is known that the totals mean nothing: no gap is made of them."""
    here = await world(Account(recordings=calls(4, days=0.2)), behaviour=Behaviour(totals_off_by=2))

    done = await here.sync()

    planned = 6  # sixty days in slices of 1, 2, 4, 8, 16, 32 days, the last cut short
    assert done.reports["acme"].slices == done.reports["acme"].unproven == planned
    assert here.simulator.requests.counts[Operation.LIST] <= 3 * planned * 3  # three walks of at most three pages
    assert await here.gaps() == {}
    doubts = await here.query("select distinct doubt, said from days")
    assert {(str(doubt)[:44], said) for doubt, said in doubts} == {
        ("the source's totals contradict each other: i", None)
    }
    assert len(await here.audio()) == 4


async def test_what_is_claimed_and_not_listed_is_searched_down_to_its_second(world: MakeWorld) -> None:
    """Two recordings that the totals count and no page shows: a gap for each, where the call began."""
    *listed, first, last = calls(9, days=2)
    hidden = [replace(one, hidden=True) for one in (first, last)]
    here = await world(Account(recordings=(*listed, *hidden)))

    done = await here.sync()

    rows = await here.query("select since, until, claimed, reason from gaps order by since")
    reason = "the source says 1 and listed only 0"
    assert rows == [(one.start, one.start, 1, reason) for one in hidden]
    assert done.reports["acme"].unproven == 2
    assert len(await here.audio()) == 7
    assert here.exit_code == 3


@pytest.mark.parametrize("totals", [Totals.TRUE, Totals.ABSENT])
@pytest.mark.parametrize(("base", "recorded"), [(0, 1), (1, 0)])
async def test_a_wrong_page_base_on_record_is_found_out(
    world: MakeWorld, base: int, recorded: int, totals: Totals
) -> None:
    """A source may change its mind about the first page. Only without totals a first page 0 cannot be noticed."""
    here = await world(Account(), behaviour=Behaviour(page_base=recorded, totals=totals), sync={"page_size": 5})
    here.simulator.put(calls(1, days=2)[0])
    await here.sync()
    here.simulator.behaviour = Behaviour(page_base=base, totals=totals)
    for new in calls(12, days=1):
        here.simulator.put(replace(new, id=new.id + 100))
    here.clock.move(minutes=1)

    await here.sync()

    if (base, totals) == (0, Totals.ABSENT):
        assert here.exit_code == 0
        return
    assert len(await here.entries()) == 13


async def test_a_capped_page_size_is_noticed(world: MakeWorld) -> None:
    here = await world(
        Account(recordings=calls(10, days=1)), behaviour=Behaviour(page_size_cap=3), sync={"page_size": 100}
    )
    await here.sync()
    assert len(await here.audio()) == 10
    assert here.exit_code == 0


async def test_many_recordings_in_one_second_are_all_found(world: MakeWorld) -> None:
    """Equal starts over many pages."""
    here = await world(Account(recordings=calls(30, days=1, apart=0)), sync={"page_size": 7})
    await here.sync()
    assert len(await here.audio()) == 30
    assert here.exit_code == 0


@pytest.mark.parametrize("wrong_by", [3, -3])
async def test_totals_that_lie_cost_a_bounded_number_of_requests(world: MakeWorld, wrong_by: int) -> None:
    """Everything listed is archived; what cannot be proved is said, and no splitting goes on for ever."""
    here = await world(Account(recordings=calls(9, days=0.2)), behaviour=Behaviour(totals_off_by=wrong_by))
    here.section("accounts")["start_from"] = (NOON - timedelta(days=1)).isoformat()

    with capture_logs() as logs:
        done = await here.sync()

    assert len(await here.audio()) == 9
    assert here.simulator.requests.counts[Operation.LIST] <= 40
    assert done.reports["acme"].unproven > 0
    assert "slice_unproven" in {event["event"] for event in logs}
    [(doubt,)] = await here.query(f"select doubt from days where day = '{NOON.date()}'")
    assert "contradict" in str(doubt)


async def test_a_gap_in_the_listing_closes_when_it_is_proved_whole(world: MakeWorld) -> None:
    *listed, last = calls(4, days=0.2)
    here = await world(Account(recordings=(*listed, replace(last, hidden=True))))
    here.section("accounts")["start_from"] = (NOON - timedelta(hours=6)).isoformat()
    await here.sync()
    assert set(await here.gaps()) == {"unlisted"}
    here.simulator.put(last)

    await here.sync()

    assert await here.gaps() == {}
    assert here.exit_code == 0


@pytest.mark.parametrize("totals", [Totals.TRUE, Totals.ABSENT])
@pytest.mark.parametrize("endless", [Endless.REPEATING, Endless.CHANGING])
async def test_a_listing_without_end_is_left(world: MakeWorld, endless: Endless, totals: Totals) -> None:
    """Pages that repeat cost nothing; pages that invent end on the gap list, and what is real is archived."""
    recordings = calls(3, days=0.0006, apart=1)  # the last minute
    behaviour = Behaviour(endless=endless, totals=totals)
    here = await world(Account(recordings=recordings), behaviour=behaviour, sync={"page_size": 2})
    here.section("accounts")["start_from"] = recordings[0].start.isoformat()
    here.clock.now = recordings[-1].start

    await here.sync()

    states = await here.states()
    assert {states[str(real.id)] for real in recordings} == {State.VERIFIED}
    assert here.simulator.requests.counts[Operation.LIST] < 6 * PAGE_FAULTS
    invented = endless is Endless.CHANGING
    assert ("unlisted" in await here.gaps()) is invented
    assert here.exit_code == (3 if invented else 0)


async def test_a_total_far_too_low_hides_nothing_silently(world: MakeWorld) -> None:
    """More recordings in one second than the total admits: listed, or on the gap list."""
    here = await world(
        Account(recordings=calls(60, days=1, apart=0)), behaviour=Behaviour(totals_off_by=-55), sync={"page_size": 5}
    )
    await here.sync()
    missing = 60 - len(await here.entries())
    assert missing == 0 or "unlisted" in await here.gaps()


async def test_a_source_that_ignores_the_window_is_read_all_the_same(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(6, days=50, apart=86_400)), behaviour=Behaviour(ignore_window=True))
    await here.sync()
    assert len(await here.audio()) == 6
    assert here.exit_code == 0


async def test_a_recording_published_late_is_found_by_the_lookback(world: MakeWorld) -> None:
    """It lies behind the watermark when it appears."""
    early, late = calls(2, days=0.2)
    here = await world(Account(recordings=(early, replace(late, published_at=NOON + timedelta(hours=30)))))
    await here.sync()
    assert set(await here.states()) == {"1"}
    watermark = (await here.query("select watermark from accounts"))[0][0]
    assert watermark == NOON
    here.clock.move(hours=31)

    await here.sync()

    assert await here.states() == {"1": State.VERIFIED, "2": State.VERIFIED}
    assert here.exit_code == 0


async def test_a_recording_deleted_between_listing_and_download_is_a_named_gap(world: MakeWorld) -> None:
    gone, kept = calls(2)
    here = await world(
        Account(recordings=(gone, kept), faults=(Fault(on=Operation.AUDIO, do=Status(404), recording=1),))
    )
    await here.sync()
    assert (await here.states())["2"] is State.VERIFIED
    gap = (await here.gaps())["1"]
    assert (gap.kind, gap.reason) == ("retrying", "download: status_404")
    assert here.exit_code == 3


async def test_an_earlier_start_is_listed_from_there(world: MakeWorld) -> None:
    """Changing start_from to an earlier day lists what lies before the watermark, however long ago."""
    here = await world(Account(recordings=calls(4, days=50, apart=10 * 86_400)))
    here.section("accounts")["start_from"] = (NOON - timedelta(days=15)).isoformat()
    await here.sync()
    assert len(await here.entries()) == 1
    here.section("accounts")["start_from"] = LONG_AGO.isoformat()
    await here.sync()
    assert len(await here.audio()) == 4


async def test_a_quiet_account_costs_few_requests(world: MakeWorld) -> None:
    """Two months without a call, and then a pass that has nothing new to find."""
    here = await world(Account())
    await here.sync()
    assert here.simulator.requests.counts[Operation.LIST] <= 14
    before = here.simulator.requests.counts[Operation.LIST]
    here.clock.move(minutes=15)
    await here.sync()
    assert here.simulator.requests.counts[Operation.LIST] - before <= 6


async def test_a_watermark_of_a_clock_that_was_ahead_hides_nothing(world: MakeWorld) -> None:
    """The clock stood in the next year for a pass; then it is right again, and recordings come."""
    here = await world(Account(recordings=calls(2, days=1)))
    here.clock.move(days=365)
    await here.sync()
    here.clock.now = NOON
    for new in calls(2, days=0.5):
        here.simulator.put(replace(new, id=new.id + 100))

    with capture_logs() as logs:
        await here.sync()

    assert set(await here.entries()) == {"1", "2", "101", "102"}
    assert [event["event"] for event in logs].count("watermark_ahead") == 1
    assert await here.query("select watermark from accounts") == [(NOON,)]
    with capture_logs() as logs:
        await here.sync()
    assert "watermark_ahead" not in [event["event"] for event in logs]


async def test_a_long_listing_is_left_after_each_slice_and_comes_to_the_same_end(world: MakeWorld) -> None:
    """In the daemon an account with years to list must not keep the others waiting, nor its own transfer."""
    here = await world(Account(recordings=calls(30, days=58, apart=46 * 3600)), sync={"page_size": 10})
    here.longest, passes = timedelta(0), 0
    archived = [0]
    while archived[-1] < 30 and passes < 12:
        with capture_logs() as logs:
            await here.sync()
        passes += 1
        archived.append(len(await here.audio()))
        left = [log["listed_up_to"] for log in logs if log["event"] == "listing_goes_on_later"]
        assert left or archived[-1] == 30

    # each comes further than the one before; what it has brought is archived at once
    assert 2 < passes < 12
    assert archived == sorted(archived)
    assert len(set(archived)) > 2
    await here.sync()
    assert set((await here.states()).values()) == {State.VERIFIED}
    assert await here.gaps() == {}
    assert await here.query("select distinct state from ledger as line where id = "
                            "(select max(id) from ledger where day = line.day)") == [("proved",)]  # fmt: skip

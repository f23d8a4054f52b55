"""What comes and goes at the source by itself: retention, and pages that shift during a walk."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest

from archiver.simulator import Behaviour, Drop, Fault, Operation, Status, ordinary
from tests.support.simulator import NOON, Caller, Clock, StartSimulator, holding, recording

DAY = 24 * 60  # minutes


async def test_source_purges_what_began_before_its_retention(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    account = holding(recording(1), recording(2, minutes=30 * DAY), recording(3, minutes=30 * DAY + 1))
    sim = await simulator(account, behaviour=Behaviour(retention=timedelta(days=30)))
    ask = Caller(http, sim)
    assert (await ask.ids(), (await ask.page()).json()["total_items"]) == ([1, 2], 2)
    clock.move(seconds=1)
    assert (await ask.ids(), sim.visible(), sim.holds(2)) == ([1], 1, False)


async def test_purged_recording_is_not_found_in_any_way(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(3, minutes=2)), behaviour=Behaviour(retention=timedelta(minutes=1)))
    ask = Caller(http, sim)
    answers = [await ask.get(3), await ask.audio(3), await ask.delete(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_purge_is_for_good_and_begins_when_it_is_set(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(recording(1), recording(2, minutes=2)))
    ask = Caller(http, sim)
    assert await ask.ids() == [1, 2]
    sim.behaviour = Behaviour(retention=timedelta(minutes=1))
    assert await ask.ids() == [1]
    sim.behaviour = Behaviour()
    assert await ask.ids() == [1]


async def test_published_too_late_for_the_retention_is_never_seen(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    late = replace(recording(7), published_at=NOON + timedelta(hours=2))
    ask = Caller(http, await simulator(holding(late), behaviour=Behaviour(retention=timedelta(hours=1))))
    clock.move(hours=2)
    assert (await ask.ids(), (await ask.get(7)).status_code) == ([], 404)


async def test_retention_moves_on_through_a_hundred_thousand(simulator: StartSimulator, clock: Clock) -> None:
    account = ordinary(100_000, mean_size=1000, start=NOON, over=timedelta(seconds=100_000))
    sim = await simulator(account, behaviour=Behaviour(retention=timedelta(seconds=0)))
    left = []
    for _ in range(1000):
        clock.move(seconds=1)
        left.append(sim.visible())
    assert left == list(range(99_999, 98_999, -1))


async def test_recording_appears_after_so_many_listings(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    ask = Caller(http, await simulator(holding(replace(recording(7), after_listings=2), recording(8, minutes=1))))
    assert (await ask.get(7)).status_code == 404
    assert [await ask.ids() for _ in range(3)] == [[8], [8], [7, 8]]
    assert (await ask.audio(7)).status_code == 200


async def test_recording_disappears_after_so_many_listings(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(replace(recording(7), gone_after_listings=2), recording(8, minutes=1)))
    ask = Caller(http, sim)
    assert [await ask.ids() for _ in range(3)] == [[7, 8], [7, 8], [8]]
    answers = [await ask.get(7), await ask.audio(7), await ask.delete(7)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_recording_of_one_listing_only(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    fleeting = replace(recording(7), after_listings=1, gone_after_listings=2)
    never = replace(recording(8), after_listings=2, gone_after_listings=2)
    ask = Caller(http, await simulator(holding(fleeting, never)))
    assert [await ask.ids() for _ in range(4)] == [[], [7], [], []]


async def test_pages_shift_under_a_walk(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    held = [recording(number, minutes=number) for number in range(1, 6)]
    removed = [replace(held[0], gone_after_listings=1), *held[1:]]
    ask = Caller(http, await simulator(holding(*removed)))
    assert [await ask.ids(page=page, page_size=2) for page in (1, 2, 3)] == [[1, 2], [4, 5], []]
    added = [replace(held[0], after_listings=1), *held[1:]]
    ask = Caller(http, await simulator(holding(*added)))
    assert [await ask.ids(page=page, page_size=2) for page in (1, 2, 3)] == [[2, 3], [3, 4], [5]]


async def test_refused_and_unanswered_listings_do_not_count(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(holding(replace(recording(7), after_listings=1)))
    sim.script(Fault(on=Operation.LIST, do=Status(503)), Fault(on=Operation.LIST, do=Drop(applied=True)))
    ask = Caller(http, sim)
    assert (await Caller(http, sim, "").page()).status_code == 401
    assert (await ask.page()).status_code == 503
    with pytest.raises(httpx.RemoteProtocolError):
        await ask.page()
    assert (await ask.page(page_size=0)).status_code == 400
    assert sim.requests.listed == 0
    assert [await ask.ids() for _ in range(2)] == [[], [7]]


async def test_recording_waits_for_everything_that_it_names(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    picky = replace(recording(7), published_at=NOON + timedelta(hours=1), after_downloads=1, after_listings=1)
    ask = Caller(http, await simulator(holding(picky, recording(8, minutes=1))))
    assert await ask.ids() == [8]
    clock.move(hours=1)
    assert await ask.ids() == [8]
    await ask.audio(8)
    assert await ask.ids() == [7, 8]


async def test_recording_is_gone_from_its_time_on(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    sim = await simulator(holding(replace(recording(7), gone_at=NOON + timedelta(hours=1)), recording(8, minutes=1)))
    ask = Caller(http, sim)
    clock.move(minutes=59, seconds=59)
    assert (await ask.ids(), (await ask.audio(7)).status_code) == ([7, 8], 200)
    clock.move(seconds=1)
    assert (await ask.ids(), (await ask.audio(7)).status_code) == ([8], 404)
    clock.move(hours=-1)
    assert await ask.ids() == [8]


async def test_changed_recording_goes_by_its_new_time(
    simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    soon = NOON + timedelta(hours=1)
    sim = await simulator(holding(replace(recording(7), gone_at=soon), replace(recording(8), gone_at=soon)))
    sim.put(replace(recording(7), gone_at=soon + timedelta(hours=1)))
    sim.put(recording(8))
    clock.move(hours=1)
    assert await Caller(http, sim).ids() == [8, 7]
    clock.move(hours=1)
    assert await Caller(http, sim).ids() == [8]


@pytest.mark.parametrize("name", ["start", "published_at", "gone_at"])
def test_time_without_zone_is_refused(name: str) -> None:
    times: dict[str, datetime] = {name: NOON.replace(tzinfo=None)}
    with pytest.raises(ValueError, match="time zone"):
        replace(recording(7), **times)  # type: ignore[arg-type]

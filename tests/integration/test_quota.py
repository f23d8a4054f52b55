"""The quota in the catalogue: shared by all processes, corrected by refusals, and never a reason to give a call up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters import database
from archiver.adapters.limiter import Limiter
from archiver.adapters.quota import LEASE_SECONDS, SharedQuota
from archiver.core import quota as rules
from archiver.core.model import State
from archiver.errors import Throttled
from archiver.simulator import Account, Behaviour
from tests.support.fake_time import FakeTime
from tests.support.world import MakeWorld, calls


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    opened = database.open_engine(database_url, pool_size=8)
    yield opened
    await opened.dispose()


def limiter(engine: AsyncEngine, time: FakeTime, per_minute: int) -> Limiter:
    window = SharedQuota(engine, "acme", per_minute, clock=time.clock, seconds=time.clock)
    return Limiter(window, clock=time.clock, sleep=time.sleep, now=time.now)


async def test_no_minute_holds_more_than_the_quota_whoever_sends(engine: AsyncEngine) -> None:
    time = FakeTime()
    processes = [limiter(engine, time, 5) for _ in range(3)]
    sent = [await one.acquire() for _ in range(8) for one in processes]
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[5:], strict=False))
    assert sent[-1] - sent[0] < 62 * 5


async def test_the_whole_quota_goes_out_at_once(engine: AsyncEngine) -> None:
    time = FakeTime()
    one = limiter(engine, time, 10)
    assert {await one.acquire() for _ in range(10)} == {1000.0}
    assert await one.acquire() == pytest.approx(1062.0)


async def test_a_large_quota_is_taken_in_pieces_that_do_not_keep(engine: AsyncEngine) -> None:
    time = FakeTime()
    first, second = limiter(engine, time, 600), limiter(engine, time, 600)
    await first.acquire()
    window = SharedQuota(engine, "acme", 600, clock=time.clock, seconds=time.clock)
    assert (await window.standing()).used == 10
    time.seconds += LEASE_SECONDS + 0.1
    await first.acquire()
    await second.acquire()
    assert (await window.standing()).used == 30


async def test_deletions_leave_half_of_the_quota_to_others(engine: AsyncEngine) -> None:
    time = FakeTime()
    deleting, archiving = limiter(engine, time, 10), limiter(engine, time, 10)
    assert {await deleting.acquire(0.5) for _ in range(5)} == {1000.0}
    assert {await archiving.acquire() for _ in range(5)} == {1000.0}
    assert await deleting.acquire(0.5) >= 1062.0


async def test_a_pause_holds_every_process(engine: AsyncEngine) -> None:
    time = FakeTime()
    first, second = limiter(engine, time, 10), limiter(engine, time, 10)
    await first.throttled(await first.acquire(), "90")
    assert await second.acquire() >= 1090.0


async def test_a_long_pause_that_another_process_was_told_is_not_waited_for(engine: AsyncEngine) -> None:
    """Whoever meets it knows of it from then on, and does not ask again and again."""
    time = FakeTime()
    first, second = limiter(engine, time, 10), limiter(engine, time, 10)
    await first.throttled(await first.acquire(), "3000")
    with pytest.raises(Throttled, match="long pause"):
        await second.acquire()
    assert second.paused_for() == pytest.approx(3000)
    assert time.slept == []


async def test_refusals_teach_the_quota_and_calm_hours_give_it_back(engine: AsyncEngine) -> None:
    time = FakeTime()
    one, window = limiter(engine, time, 40), SharedQuota(engine, "acme", 40, seconds=time.clock)
    sent = [await one.acquire() for _ in range(30)]
    for _ in range(5):
        await one.throttled(sent[-1], "60")
    assert (await window.standing()).in_force == 25
    time.seconds += 3 * 3600
    assert (await window.standing()).in_force == 31
    time.seconds += 100 * 3600
    assert (await window.standing()).in_force == 40


async def test_a_pause_that_teaches_nothing_does_not_put_the_recovery_off(engine: AsyncEngine) -> None:
    time = FakeTime()
    one, window = limiter(engine, time, 40), SharedQuota(engine, "acme", 40, seconds=time.clock)
    sent = [await one.acquire() for _ in range(30)]
    for _ in range(5):
        await one.throttled(sent[-1], "60")
    time.seconds += 3_000
    await one.throttled(await one.acquire(), "5", teaches=False)
    time.seconds += 700
    assert (await window.standing()).in_force == 27


async def test_one_refusal_in_a_quiet_minute_halves_the_quota_at_most(engine: AsyncEngine) -> None:
    time = FakeTime()
    one, window = limiter(engine, time, 600), SharedQuota(engine, "acme", 600, seconds=time.clock)
    for _ in range(4):
        await one.throttled(await one.acquire(), "5")
    assert (await window.standing()).in_force == 300


async def test_a_clock_that_was_set_back_blocks_nobody(engine: AsyncEngine) -> None:
    time = FakeTime()
    one = limiter(engine, time, 3)
    for _ in range(3):
        await one.acquire()
    time.seconds -= 500
    before = time.seconds
    assert await one.acquire() == before


async def test_the_database_tells_the_time_where_no_test_does(engine: AsyncEngine) -> None:
    window = SharedQuota(engine, "acme", 2)
    assert [await window.take(1.0), await window.take(1.0)] == [0.0, 0.0]
    assert 0 < await window.take(1.0) <= rules.SECONDS


@given(st.integers(1, 50), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20)), max_size=20), st.floats(0, 200))
def test_a_free_place_leaves_no_minute_too_full(allowed: int, used: list[tuple[int, int]], now: float) -> None:
    past = sorted((second, count) for second, count in used if second <= now)
    left, wait = rules.free(past, allowed, now)
    taken = sum(count for second, count in past if second > now - rules.SECONDS)
    assert left == max(allowed - taken, 0)
    assert (wait > 0) == (left == 0)
    if not left:
        assert rules.free(past, allowed, now + wait + 0.001)[0] > 0


async def test_a_gateway_that_throttles_costs_time_and_no_recording(world: MakeWorld) -> None:
    """The account may send less than is configured: every refusal is waited for."""
    behaviour = Behaviour(throttle_every=7, retry_after=3)
    made = await world(Account(recordings=calls(60)), behaviour=behaviour)
    done = await made.sync()
    assert set((await made.states()).values()) == {State.VERIFIED}
    assert done.reports["acme"].failures.total() == 0
    assert done.reports["acme"].retries["status_429"] > 5

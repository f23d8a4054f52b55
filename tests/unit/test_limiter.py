"""The quota of an account: never overrun, fair, and patient only so far."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.adapters.limiter import LONGEST_PAUSE, PATIENCE, Limiter, OwnWindow, parse_retry_after
from archiver.errors import Throttled
from tests.support.fake_time import FakeTime


def limiter_of(per_minute: int, time: FakeTime) -> Limiter:
    return Limiter(OwnWindow(per_minute, clock=time.clock), clock=time.clock, sleep=time.sleep, now=time.now)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.lists(st.floats(0, 40), min_size=1, max_size=60))
def test_no_minute_ever_holds_more_than_the_quota(quota: int, gaps: list[float]) -> None:
    async def run() -> list[float]:
        time = FakeTime()
        limiter = limiter_of(quota, time)
        sent = []
        for gap in gaps:
            await time.sleep(gap)
            sent.append(await limiter.acquire())
        return sent

    sent = asyncio.run(run())
    assert all(later - earlier > 60.0 for earlier, later in zip(sent, sent[quota:], strict=False))


async def test_the_quota_is_used_at_once() -> None:
    time = FakeTime()
    limiter = limiter_of(10, time)
    assert {await limiter.acquire() for _ in range(10)} == {1000.0}
    assert time.slept == []
    assert await limiter.acquire() == pytest.approx(1061.0)


async def test_first_come_first_served() -> None:
    time = FakeTime()
    limiter = limiter_of(2, time)
    order: list[int] = []

    async def worker(number: int) -> None:
        await limiter.acquire()
        order.append(number)

    await asyncio.gather(*(worker(number) for number in range(9)))
    assert order == list(range(9))
    assert time.seconds == pytest.approx(1000 + 4 * 61)


async def test_a_cancelled_waiter_costs_nobody_a_turn() -> None:
    time, gate = FakeTime(), asyncio.Event()

    async def held(seconds: float) -> None:
        await gate.wait()
        await time.sleep(seconds)

    limiter = Limiter(OwnWindow(1, clock=time.clock), clock=time.clock, sleep=held, now=time.now)
    await limiter.acquire()
    sleeping, queued, last = (asyncio.create_task(limiter.acquire()) for _ in range(3))
    await asyncio.sleep(0)
    sleeping.cancel()
    queued.cancel()
    gate.set()
    assert await last == pytest.approx(1061.0)
    assert sleeping.cancelled()
    assert queued.cancelled()


async def test_a_pause_holds_everybody_back_also_who_waits_already() -> None:
    time = FakeTime()
    limiter = limiter_of(1, time)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)  # it has slept for its window and looks again
    limiter.pause(500)
    limiter.pause(5)  # never shortens
    assert await waiting == pytest.approx(1561.0)


async def test_a_pause_beyond_patience_is_handed_on() -> None:
    time = FakeTime()
    limiter = limiter_of(5, time)
    limiter.pause(10**9)
    with pytest.raises(Throttled) as caught:
        await limiter.acquire()
    assert caught.value.retry_after == LONGEST_PAUSE
    assert time.slept == []
    time.seconds += LONGEST_PAUSE - PATIENCE
    assert await limiter.acquire() == 1000 + LONGEST_PAUSE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("999999999", LONGEST_PAUSE),
        ("Fri, 01 Mar 2024 12:00:30 GMT", 30.0),
        ("Fri, 01 Mar 2024 12:00:30 -0000", 30.0),
        ("Fri, 01 Mar 2024 17:31:00 +0530", 60.0),
        ("Fri, 01 Mar 2020 12:00:00 GMT", 0.0),
        ("Fri, 01 Mar 2999 12:00:00 GMT", LONGEST_PAUSE),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("9" * 5000, None),
        ("nan", None),
        ("٣", None),
        ("Fri, 99 Mar 2024 12:00:30 GMT", None),
        ("Fri, 01 Mar 2024 12:00:30 +9999", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, FakeTime().now()) == seconds


@settings(deadline=None)
@given(st.text())
def test_no_retry_after_breaks_anything(header: str) -> None:
    seconds = parse_retry_after(header, FakeTime().now())
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE


async def test_without_retry_after_the_pause_grows_from_refusal_to_refusal() -> None:
    time = FakeTime()
    limiter = limiter_of(100, time)
    pauses = [await limiter.throttled(await limiter.acquire(), None) for _ in range(7)]
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    time.seconds += 600  # calm since
    assert await limiter.throttled(await limiter.acquire(), "0") == 5
    assert await limiter.throttled(await limiter.acquire(), "Fri, 01 Mar 2999 12:00:00 GMT") == LONGEST_PAUSE


async def test_one_burst_of_refusals_counts_once() -> None:
    time = FakeTime()
    limiter = limiter_of(100, time)
    sent = [await limiter.acquire() for _ in range(16)]
    time.seconds += 0.2
    assert {await limiter.throttled(sent_at, None) for sent_at in sent} == {5}
    assert limiter.paused_for() == pytest.approx(5)
    assert all(earlier <= later for earlier, later in pairwise(sent))


class Telling(OwnWindow):
    """Knows of a refusal only when the gate is open; of a pause of a second, never."""

    def __init__(self, per_minute: int) -> None:
        super().__init__(per_minute)
        self.gate = asyncio.Event()

    async def refused(self, pause: float, refused: int) -> None:
        await self.gate.wait()
        if pause == 1:
            raise OSError("the catalogue cannot be reached")


async def test_the_other_processes_know_of_a_pause_before_a_stage_stops_for_it() -> None:
    """A stage that stops cancels what its other workers do: also the telling."""
    time, window = FakeTime(), Telling(10)
    limiter = Limiter(window, clock=time.clock, sleep=time.sleep, now=time.now)
    telling = asyncio.create_task(limiter.throttled(await limiter.acquire(), "3600"))
    await asyncio.sleep(0)
    assert limiter.paused_for() == 0
    window.gate.set()
    assert await telling == limiter.paused_for() == 3600


async def test_a_pause_that_cannot_be_told_is_heeded_all_the_same() -> None:
    time, window = FakeTime(), Telling(10)
    limiter = Limiter(window, clock=time.clock, sleep=time.sleep, now=time.now)
    window.gate.set()
    with pytest.raises(OSError, match="catalogue"):
        await limiter.throttled(await limiter.acquire(), "1")
    assert limiter.paused_for() == 1

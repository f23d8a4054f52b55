"""A small quota and a busy account: the bench's driver, at a small scale. Nothing waits but simulated time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from archiver.simulator import Operation
from bench.centre import Centre
from bench.diary import told
from bench.virtual_time import VirtualTime
from bench.week import Neighbours, live
from tests.support.stores import StoreServer

START = datetime(2026, 3, 2, tzinfo=UTC)


async def test_a_busy_account_stays_drained_under_a_small_quota(strict_store: StoreServer, database_url: str) -> None:
    near = Neighbours(
        database=database_url,
        bucket=strict_store.new_bucket(),
        endpoint=strict_store.url,
        key_id=strict_store.access_key_id,
        secret=strict_store.secret_access_key,
    )
    hours = (0,) * 10 + (110, 20) + (0,) * 12  # calls: for one hour more than there may be requests
    centre = Centre(days=2, calls=sum(hours), per_minute=1, every=timedelta(hours=2), hours=hours)
    diary = await live(centre, near, concurrency=4)
    assert diary.drained, told(diary)
    assert "drained: yes" in told(diary)
    for day in diary.days():
        assert day.oldest < timedelta(hours=6)
        assert day.midnight < 60
        assert day.requests[Operation.EXPORT] > 0
        assert day.requests.total() <= 1440
    assert sum(day.calls for day in diary.days()) == len(diary.came)


async def test_time_goes_on_to_the_first_that_wakes() -> None:
    clock, woken = VirtualTime(start=START), list[tuple[str, float]]()

    async def sleeper(name: str, *pauses: float) -> None:
        for pause in pauses:
            await clock.sleep(pause)
            woken.append((name, clock.seconds() - START.timestamp()))

    clock.at(START + timedelta(seconds=65), lambda: woken.append(("alarm", clock.seconds() - START.timestamp())))
    await asyncio.gather(sleeper("often", 20, 20, 20), sleeper("once", 30), sleeper("long", 70))
    assert woken == [("often", 20), ("once", 30), ("often", 40), ("often", 60), ("alarm", 65), ("long", 70)]
    assert clock.now() == START + timedelta(seconds=70)


async def test_time_stands_still_while_a_request_is_under_way() -> None:
    under_way = True
    clock = VirtualTime(start=START, busy=lambda: under_way)
    sleeping = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0.02)
    assert (sleeping.done(), clock.now()) == (False, START)
    under_way = False
    await sleeping
    assert clock.now() == START + timedelta(seconds=10)


async def test_who_is_cancelled_moves_no_time() -> None:
    clock = VirtualTime(start=START)
    sleeping = asyncio.create_task(clock.sleep(1000))
    await asyncio.sleep(0)
    sleeping.cancel()
    await clock.sleep(5)
    assert clock.now() == START + timedelta(seconds=5)

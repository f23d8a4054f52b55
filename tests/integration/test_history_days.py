"""History within the lookback, and deletions beside a process that archives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.adapters import database
from archiver.core.model import State
from archiver.errors import Throttled
from tests.integration.test_backfill import BEGIN, OLD, ask, begun
from tests.integration.test_quota import limiter
from tests.support.fake_time import FakeTime
from tests.support.world import MakeWorld


async def test_history_inside_the_lookback_is_asked_about_like_any_other(world: MakeWorld) -> None:
    made = await begun(world)
    made.section("sync")["lookback"] = "240h"
    await ask(made)
    await made.sync()
    late = replace(OLD[0], id=5000, start=BEGIN - timedelta(hours=30))  # seven days old: well inside the lookback
    made.simulator.put(late)
    for _ in range(3):
        made.clock.move(hours=12)
        await made.sync()
    assert (await made.states()).get("5000") is State.VERIFIED


@pytest.fixture
async def engine(database_url: str):
    opened = database.open_engine(database_url, pool_size=8)
    yield opened
    await opened.dispose()


async def test_a_deletion_gets_its_turn_beside_a_process_that_archives(engine) -> None:
    time = FakeTime()
    archiving, deleting = limiter(engine, time, 10), limiter(engine, time, 10)
    for _ in range(10):
        await archiving.acquire()
    slept, before = 0, time.seconds

    async def sleep(seconds: float) -> None:
        nonlocal slept
        slept += 1
        if slept > 200:
            raise RuntimeError(f"no turn within {(time.seconds - before) / 3600:.1f} hours")
        time.seconds += seconds
        for _ in range(10):
            await archiving.acquire()  # its workers never rest

    deleting._sleep = sleep
    with pytest.raises(Throttled, match="other work"):
        await deleting.acquire(0.5)

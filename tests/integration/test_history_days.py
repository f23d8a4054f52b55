"""History within the lookback, and deletions beside a process that archives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.limiter import Limiter
from archiver.adapters.quota import SharedQuota
from archiver.core.model import State
from archiver.errors import Throttled
from tests.integration.test_backfill import BEGIN, OLD, ask, begun
from tests.integration.test_quota import limiter
from tests.support.fake_time import FakeTime
from tests.support.world import MakeWorld


async def test_history_inside_the_lookback_is_asked_about_like_any_other(world: MakeWorld) -> None:
    """A call that is published late is found, also where it lies before start_from and behind the lookback's begin."""
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


async def test_a_deletion_gives_way_to_a_process_that_archives_without_end(engine: AsyncEngine) -> None:
    """Where others always take the quota first it says so in the end: it does not wait for ever."""
    time = FakeTime()
    archiving = limiter(engine, time, 10)
    for _ in range(10):
        await archiving.acquire()

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        assert len(time.slept) < 500, f"no turn within {(time.seconds - 1000) / 3600:.1f} hours"
        for _ in range(10):
            await archiving.acquire()  # its workers never rest

    window = SharedQuota(engine, "acme", 10, clock=time.clock, seconds=time.clock)
    deleting = Limiter(window, clock=time.clock, sleep=sleep, now=time.now)
    with pytest.raises(Throttled, match="other work"):
        await deleting.acquire(0.5)

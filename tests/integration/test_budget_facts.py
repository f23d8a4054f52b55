"""Days that come in parts, the choice of hours, what refusals teach, and what the forecast is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from archiver.adapters.quota import SharedQuota
from archiver.budgeting import Budgeting
from archiver.core.model import Mark
from archiver.simulator import Account, Totals
from archiver.simulator.behaviour import KIND
from tests.integration.test_backfill import BEGIN, ask
from tests.integration.test_quota import limiter
from tests.support.fake_time import FakeTime
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, World, calls

DAY = BEGIN.date()


async def discovered(
    made: World, count: int, first: datetime, *, apart: str, prefix: str = "", single_only: bool = False
) -> None:
    """Plant so many recordings that are due, each so long (an interval) behind the one before."""
    await made.change(
        "insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, "
        "next_attempt_at, size_listed, file_name, single_only) "
        f"select 'acme', '{prefix}' || n, 'discovered', '{first.isoformat()}'::timestamptz + n * interval '{apart}', "
        f"'{{}}', '{{}}', '{{}}', now(), '2024-01-01', 1000, n || '.mp3', {single_only} "
        f"from generate_series(1, {count}) n"
    )


async def test_history_of_the_morning_leaves_the_doubt_about_the_afternoon(world: MakeWorld) -> None:
    """start_from is at noon, and that afternoon's listing was never proved: to list the morning proves no whole day."""
    afternoon = [replace(one, id=one.id + 70, start=BEGIN + timedelta(hours=1, minutes=one.id)) for one in calls(5)]
    morning = [
        replace(one, id=one.id + 170, start=BEGIN - timedelta(hours=2) + timedelta(minutes=one.id)) for one in calls(5)
    ]
    made = await world(Account(recordings=(*afternoon, *morning)), behaviour=replace(KIND, totals=Totals.ZERO))
    made.section("accounts")["start_from"] = BEGIN.isoformat()
    await made.sync()
    ((before,),) = await made.query(f"select doubt from days where day = '{DAY}'")
    assert before is not None
    made.simulator.behaviour = KIND
    await ask(made, since=BEGIN - timedelta(days=2))
    await made.sync()
    ((doubt, proved_at),) = await made.query(f"select doubt, proved_at from days where day = '{DAY}'")
    assert doubt is not None
    assert proved_at is None


async def test_the_latest_hours_are_not_hidden_by_a_long_history(world: MakeWorld) -> None:
    """What is chosen from for exports holds the last hours too, when hundreds before them have calls that are due."""
    made = await world(Account(recordings=()))
    await made.sync()
    await discovered(made, 700, NOON - timedelta(days=59), apart="1 hour")
    await discovered(made, 500, NOON, apart="-1 minute", prefix="new")
    mark = Mark(run="x", at=NOON, reason="r")
    async with made.app() as app:
        hours = await app.exports.hours("acme", mark, endangered_before=None, recent_since=NOON - timedelta(hours=72))
    assert any(hour.since > NOON - timedelta(hours=2) for hour in hours)


async def test_single_only_recordings_are_not_reckoned_as_coming_by_exports(world: MakeWorld) -> None:
    """Each takes a request of its own: the forecast counts them, and what the source deletes before their turn."""
    made = await world(Account(recordings=()))
    made.section("accounts").update({"requests_per_minute": 10, "export_user": "auditor", "source_retention": "60d"})
    await made.sync()
    await discovered(made, 60_000, NOON - timedelta(days=57), apart="1 second", single_only=True)
    async with made.app() as app:
        budgeting = Budgeting(app.budget_reads, app.exports, app.settings, app.policies)
        one = await budgeting.of(app.account("acme"), app.quotas["acme"], can_export=True, now=NOON)
    assert one.forecast.backlog_requests >= 60_000
    assert one.forecast.lost > 0


async def test_a_gateway_in_maintenance_does_not_teach_a_quota_of_one(engine: AsyncEngine) -> None:
    """It refuses the one request of each quiet minute (503, Retry-After): that says nothing about the quota."""
    time = FakeTime()
    one, window = limiter(engine, time, 600), SharedQuota(engine, "acme", 600, seconds=time.clock)
    for _ in range(10):
        await one.throttled(await one.acquire(), "120")
    assert (await window.standing()).in_force >= 300

"""Days that come in parts, the choice of hours, what refusals teach, and what the forecast is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.adapters import database
from archiver.adapters.quota import SharedQuota
from archiver.budgeting import Budgeting
from archiver.simulator import Account, Totals
from archiver.simulator.behaviour import KIND
from tests.integration.test_backfill import BEGIN, ask
from tests.integration.test_quota import limiter
from tests.support.fake_time import FakeTime
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, calls

DAY = BEGIN.date()


async def test_history_of_the_morning_leaves_the_doubt_about_the_afternoon(world: MakeWorld) -> None:
    """start_from is at noon; that afternoon's listing was never proved."""
    afternoon = [replace(one, id=one.id + 70, start=BEGIN + timedelta(hours=1, minutes=one.id)) for one in calls(5)]
    morning = [
        replace(one, id=one.id + 170, start=BEGIN - timedelta(hours=2) + timedelta(minutes=one.id)) for one in calls(5)
    ]
    made = await world(Account(recordings=(*afternoon, *morning)), behaviour=replace(KIND, totals=Totals.ZERO))
    made.section("accounts")["start_from"] = BEGIN.isoformat()
    await made.sync()
    before = await made.query(f"select doubt, proved_at from days where day = '{DAY}'")
    made.simulator.behaviour = KIND
    await ask(made, since=BEGIN - timedelta(days=2))
    await made.sync()
    after = await made.query(f"select doubt, proved_at, settled_at, said from days where day = '{DAY}'")
    await made.query(f"select state, reason, counts from ledger where day = '{DAY}' order by id desc limit 1")
    assert before[0][0] is not None
    assert after[0][0] is not None
    assert after[0][1] is None


async def test_the_latest_hours_are_not_hidden_by_a_long_history(world: MakeWorld) -> None:
    made = await world(Account(recordings=()))
    await made.sync()
    await made.change(
        "insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, next_attempt_at, size_listed, file_name)"
        f" select 'acme', n::text, 'discovered', '{NOON.isoformat()}'::timestamptz - interval '59 days' + n * interval '1 hour', '{{}}', '{{}}', '{{}}', now(), '2024-01-01', 1000, n || '.mp3' from generate_series(1, 700) n"
    )
    await made.change(
        "insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, next_attempt_at, size_listed, file_name)"
        f" select 'acme', 'new' || n, 'discovered', '{NOON.isoformat()}'::timestamptz - n * interval '1 minute', '{{}}', '{{}}', '{{}}', now(), '2024-01-01', 1000, n || '.mp3' from generate_series(1, 500) n"
    )
    from archiver.core.model import Mark

    async with made.app() as app:
        hours = await app.exports.hours(
            "acme", Mark(run="x", at=NOON, reason="r"), endangered_before=None, recent_since=NOON - timedelta(hours=72)
        )
    assert any(hour.since > NOON - timedelta(hours=2) for hour in hours)


async def test_single_only_recordings_are_not_reckoned_as_coming_by_exports(world: MakeWorld) -> None:
    made = await world(Account(recordings=()))
    made.section("accounts").update({"requests_per_minute": 10, "export_user": "auditor", "source_retention": "60d"})
    await made.sync()
    await made.change(
        "insert into recordings (account, recording_id, state, call_start, extensions, rule_ids, raw, listed_at, next_attempt_at, size_listed, file_name, single_only)"
        f" select 'acme', n::text, 'discovered', '{NOON.isoformat()}'::timestamptz - interval '57 days' + n * interval '1 second', '{{}}', '{{}}', '{{}}', now(), '2024-01-01', 1000, n || '.mp3', true from generate_series(1, 60000) n"
    )
    async with made.app() as app:
        one = await Budgeting(app.budget_reads, app.exports, app.settings, app.policies).of(
            app.account("acme"), app.quotas["acme"], can_export=True, now=NOON
        )
    assert one.forecast.backlog_requests >= 60000
    assert one.forecast.lost > 0


@pytest.fixture
async def engine(database_url: str):
    opened = database.open_engine(database_url, pool_size=8)
    yield opened
    await opened.dispose()


async def test_a_gateway_in_maintenance_does_not_teach_a_quota_of_one(engine) -> None:
    """503 with Retry-After in quiet minutes: one request in each, all refused."""
    time = FakeTime()
    one, window = limiter(engine, time, 600), SharedQuota(engine, "acme", 600, seconds=time.clock)
    for _ in range(10):
        await one.throttled(await one.acquire(), "120")
    learnt = (await window.standing()).in_force
    time.seconds += 3600
    assert learnt >= 300

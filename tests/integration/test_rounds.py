"""The rounds of one pass, paused history, and the loop of backfill."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from archiver.app import new_run_id
from archiver.cli import backfilling as cli
from archiver.core.model import State
from archiver.deletions import Deletions
from archiver.passes import Pass
from archiver.simulator import Account, Fault, Operation, Status
from tests.integration.test_backfill import BEGIN, NEW, OLD, archived, ask, begun, pause
from tests.support.simulator import NOON
from tests.support.world import MakeWorld, calls


async def small(make, recordings):
    world = await make(Account(recordings=tuple(recordings)))
    world.section("accounts").update({"requests_per_minute": 2, "exports": "never"})
    world.section("sync").update({"every": "10m"})  # room: 16
    return world


async def test_sync_goes_on_behind_excluded_recordings(world: MakeWorld) -> None:
    out = [replace(one, extensions=("666",)) for one in calls(20, days=20)]
    keep = [replace(one, id=one.id + 100, extensions=("100",)) for one in calls(20, days=10)]
    made = await small(world, [*out, *keep])
    made.policies = {
        "deletion": {"cooling_off": "0s"},
        "policies": [{"name": "no", "match": {"extensions": ["666"]}, "archive": False}],
    }
    await made.sync()
    states = await made.states()
    assert State.DISCOVERED not in states.values()


async def test_sync_goes_on_behind_recordings_that_fail(world: MakeWorld) -> None:
    made = await small(world, calls(40, days=10))
    for number in range(1, 17):
        made.simulator.script(Fault(on=Operation.AUDIO, do=Status(404), recording=number, times=None))
    await made.sync()
    states = await made.states()
    assert sum(s is State.VERIFIED for s in states.values()) == 24


async def test_a_paused_backfill_does_not_stop_deletions(world: MakeWorld) -> None:
    made = await begun(world)
    one = await ask(made)
    await made.sync()
    await made.change("update recordings set state = 'discovered', verified_at = null where recording_id = '1001'")
    await pause(made, one.number, NOON)
    await made.sync()
    async with made.app() as app:
        work = Pass(app=app, run=new_run_id())
        deletions = work._deletions
        assert isinstance(deletions, Deletions)
        assert await deletions._allowed("acme") > 0


async def test_calls_that_the_account_answers_for_are_not_held_by_an_old_pause(world: MakeWorld) -> None:
    made = await begun(world)
    one = await ask(made)
    await pause(made, one.number, NOON)
    made.section("accounts")["start_from"] = (NOON - timedelta(days=40)).isoformat()
    await made.sync()
    assert archived(await made.states()) == len(NEW) + len(OLD)


async def test_the_backfill_command_does_not_run_passes_without_end(world: MakeWorld, monkeypatch) -> None:
    """Every pass stops at an export whose retrieval breaks: the next one begins at once, for ever."""
    made = await begun(world)
    one = await ask(made)
    await made.change(
        f"insert into exports (account, since, until, phase, tries, asked_at, due, run_id) values ('acme', '{BEGIN.isoformat()}', '{NOON.isoformat()}', 'waiting', 1, now(), 9, 'x')"
    )
    passes = 0

    class Stopped:
        def __init__(self, **_) -> None:
            self.reports = {}

        async def sync(self) -> int:
            nonlocal passes
            passes += 1
            if passes > 100:
                raise RuntimeError("100 passes, none of them moved anything, no pause between them")
            return 5  # what a pass says whose transfer stage was stopped by `retrieve: ServerDisconnectedError`

    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def shown(*_):
        yield

    monkeypatch.setattr(cli, "Pass", Stopped)
    monkeypatch.setattr(cli, "shown", shown)
    await cli._work(made.settings, one, as_json=True)
    assert passes < 5


async def test_the_same_command_goes_on_once_all_is_listed(world: MakeWorld) -> None:
    made = await begun(world)
    made.simulator.script(Fault(on=Operation.AUDIO, do=Status(503), times=5))
    settings = made.settings
    account = settings.accounts[0]
    since = (NOON - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    one = await cli._asked(settings, account, since, None)
    await made.change(
        f"update backfills set listed_until = until, listed_at = now() where id = {one.number}"
    )  # listed, not archived
    again = await cli._asked(settings, account, since, None)
    assert again.number == one.number

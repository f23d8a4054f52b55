"""What a real pass leaves on record of itself, and how runs are read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from archiver import __version__
from archiver.adapters import database
from archiver.adapters.budget_reads import BudgetReads
from archiver.adapters.run_log import at_work, begin_run, end_run
from archiver.adapters.run_reads import Asked, RunReads
from archiver.core.health import Stop
from archiver.core.runs import Run, Standing
from archiver.simulator import Account, CutAfter, Fault, Html, Operation, Status
from tests.support.rows import NOW, execute
from tests.support.world import LONG_AGO, MakeWorld, World, calls

CUT_OFF = (
    "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' "
    "and database = (select oid from pg_database where datname = current_database())"
)
POLICIES: Mapping[str, object] = {
    "deletion": {"mode": "automatic", "max_percent": 100, "cooling_off": "0s"},
    "policies": [
        {"name": "no-internal", "match": {"directions": ["INTRA_PBX"]}, "archive": False},
        {"name": "old", "source": {"delete_after": "20d"}},
    ],
}


async def on_record(here: World) -> list[Run]:
    """The runs of a world, latest first."""
    engine = database.open_engine(here.database_url, pool_size=1)
    try:
        return await RunReads(engine).latest(limit=100)
    finally:
        await engine.dispose()


def part(document: object, *names: str) -> object:
    """Look into a document."""
    for name in names:
        document = cast("Mapping[str, object]", document)[name]
    return document


def again(report: object) -> dict[str, object]:
    """The recordings that were tried again, each with its causes."""
    return {
        str(one["recording_id"]): one["causes"] for one in cast("list[dict[str, object]]", part(report, "repeated"))
    }


async def test_a_pass_leaves_its_whole_report_and_the_next_one_says_what_it_tried_again(world: MakeWorld) -> None:
    """One is excluded, one comes at the second request, one cut, one never, and one the source does not delete."""
    one, *others = calls(6)
    account = Account(
        recordings=(replace(one, direction="INTRA_PBX"), *others),
        faults=(
            Fault(on=Operation.AUDIO, do=Status(503), recording=2),
            Fault(on=Operation.AUDIO, do=CutAfter(500), recording=3),
            Fault(on=Operation.AUDIO, do=Html(), recording=4, times=None),
            Fault(on=Operation.DELETE, do=Status(403), recording=5, times=None),
        ),
    )
    here = await world(account)
    here.policies = POLICIES
    done = await here.sync()
    here.clock.move(hours=2)
    await here.sync()
    second, first = await on_record(here)

    assert (first.run_id, first.command, first.version, first.exit_code) == (done.run, "sync", __version__, 3)
    assert (first.number, second.number, first.standing) == (2, 1, Standing.ENDED)
    report = part(first.counts, "acme")
    assert report == json.loads(json.dumps(done.reports["acme"].as_record()))
    told = {name: part(report, name) for name in ("new", "archived", "verified", "deleted", "excluded", "retries")}
    assert told == {"new": 6, "archived": 4, "verified": 4, "deleted": 3, "excluded": 1,
                    "retries": {"status_503": 1, "cut_off": 1, "body_rejected": 2}}  # fmt: skip
    assert (part(report, "excluded_by"), part(report, "kept")) == ({"no-internal": 1}, {"handed_back": 1})
    assert part(report, "failed") == [
        {"recording_id": "4", "kind": "BodyRejected", "reason": "the body is a web page, not audio"},
        {"recording_id": "5", "kind": "SkipItem", "reason": "delete: status_403"},
    ]
    assert again(report) == {"2": {"status_503": 1}, "3": {"cut_off": 1}, "4": {"body_rejected": 2}}
    slowest = cast("list[dict[str, object]]", part(report, "slowest"))
    assert {one["recording_id"] for one in slowest} == {"2", "3", "5", "6"}
    assert part(report, "sent", "download") == 5 + 4

    assert again(part(second.counts, "acme")) == {"4": {"attempt_2": 1, "body_rejected": 2}}
    assert part(second.counts, "acme", "excluded_by") == {}


async def test_the_budget_reads_what_runs_have_sent(world: MakeWorld) -> None:
    here = await world(Account(recordings=calls(2)))
    done = await here.sync()
    engine = database.open_engine(here.database_url, pool_size=1)
    sent = await BudgetReads(engine).sent("acme", LONG_AGO)
    await engine.dispose()
    assert sent == done.reports["acme"].sent
    assert sent["download"] == 2


async def test_runs_are_written_down_from_their_beginning_to_their_end(engine: AsyncEngine) -> None:
    for number in range(3):
        await begin_run(engine, f"run-{number}", "sync", NOW + timedelta(hours=number))
    stop = Stop("SafetyLimit", "too many", final=True)
    await end_run(engine, "run-1", 4, {"acme": {"new": 7}}, NOW + timedelta(hours=5), stop=stop)
    latest, ended = await RunReads(engine).latest(limit=2)
    assert (latest.number, latest.run_id, latest.finished_at, latest.exit_code, latest.counts) == (
        1, "run-2", None, None, None,
    )  # fmt: skip
    assert (ended.number, ended.run_id, ended.command, ended.exit_code) == (2, "run-1", "sync", 4)
    assert (ended.finished_at, ended.counts) == (NOW + timedelta(hours=5), {"acme": {"new": 7}})
    assert (ended.stop_kind, ended.stop_reason) == ("SafetyLimit", "too many")


async def test_a_run_without_end_is_at_work_as_long_as_its_process_lives(engine: AsyncEngine) -> None:
    """The lock goes with the session: whoever is killed leaves a run that did not end."""
    reads = RunReads(engine)
    await begin_run(engine, "dead", "sync", NOW)
    async with at_work(engine, "alive"):
        await begin_run(engine, "alive", "sync", NOW + timedelta(hours=1))
        assert [run.standing for run in await reads.latest(limit=9)] == [Standing.AT_WORK, Standing.LOST]
        assert [run.run_id for run in await reads.latest(Asked(failed=True), limit=9)] == ["dead"]
    assert [run.standing for run in await reads.latest(limit=9)] == [Standing.LOST, Standing.LOST]

    async with at_work(engine, "cut-off"):
        await begin_run(engine, "cut-off", "sync", NOW + timedelta(hours=2))
        await execute(engine, CUT_OFF)
        assert [run.run_id for run in await reads.latest(Asked(failed=True), limit=9)] == ["cut-off", "alive", "dead"]
        await end_run(engine, "cut-off", 0, {}, NOW + timedelta(hours=3))
    assert (await reads.latest(limit=1))[0].standing is Standing.ENDED


@pytest.fixture
async def many(engine: AsyncEngine) -> RunReads:
    """Runs a to e, an hour apart; the last is without end."""
    for number, (name, code, accounts) in enumerate(
        [("a-1", 0, ("acme",)), ("a-12", 3, ("acme", "beta")), ("b_1", 5, ("beta",)), ("bx1", 0, ())]
    ):
        at = NOW + timedelta(hours=number)
        await begin_run(engine, name, "sync", at)
        await end_run(engine, name, code, {account: {} for account in accounts}, at)
    await begin_run(engine, "e", "sync", NOW + timedelta(hours=4))
    return RunReads(engine)


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (Asked(), [1, 2, 3, 4, 5]),
        (Asked(account="acme"), [1, 4, 5]),
        (Asked(account="beta", failed=True), [1, 3, 4]),
        (Asked(failed=True), [1, 3, 4]),
        (Asked(since=NOW + timedelta(hours=3)), [1, 2]),
        (Asked(account="nobody", since=NOW + timedelta(hours=5)), []),
    ],
)
async def test_runs_are_listed_by_what_is_asked_and_keep_their_numbers(
    many: RunReads, asked: Asked, numbers: list[int]
) -> None:
    """A run without end may have worked on any account."""
    assert [run.number for run in await many.latest(asked, limit=9)] == numbers
    assert [run.number for run in await many.latest(asked, limit=2)] == numbers[:2]


async def test_a_run_is_found_by_number_or_beginning(many: RunReads) -> None:
    """A whole id is no beginning of another one, and a wildcard is none."""
    numbered = [await many.numbered(number) for number in (1, 5, 6)]
    assert [run and run.run_id for run in numbered] == ["e", "a-1", None]
    found = {text: [run.run_id for run in await many.beginning(text)] for text in ("e", "a-1", "a-", "b_", "z")}
    assert found == {"e": ["e"], "a-1": ["a-1"], "a-": ["a-12", "a-1"], "b_": ["b_1"], "z": []}

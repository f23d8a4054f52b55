"""budget and backfill at the command line, and what status says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from archiver.simulator import Account, Behaviour, Exports, Operation
from archiver.simulator.server import utc_now
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

NOW = utc_now().replace(microsecond=0)
START = NOW - timedelta(days=5)


def ago(count: int, first: int, **by: float) -> tuple[object, ...]:
    """So many calls, a minute apart, that began so long ago by the real clock."""
    begin = NOW - timedelta(**by)
    return tuple(replace(one, id=first + one.id, start=begin + timedelta(minutes=one.id)) for one in calls(count))


def begun(make: MakeDesk, **account: object) -> Desk:
    """A desk whose account began five days ago; 30 calls are older, 30 newer."""
    made = make(
        Account(recordings=(*ago(30, 0, days=20), *ago(30, 100, days=2))),  # type: ignore[arg-type]
        behaviour=Behaviour(exports=Exports(delay=timedelta(days=1))),
    )
    made.world.section("accounts").update({"start_from": START.isoformat(), **account})
    made.world.section("sync")["every"] = "10s"  # shorter than the first look at an export: no test waits
    return made


def budget_of(desk: Desk) -> dict[str, Any]:
    (one,) = json.loads(desk.run("budget", "--json").out)
    assert isinstance(one, dict)
    return one


@pytest.fixture(scope="module")
def small(module_desk: MakeDesk) -> Desk:
    """An export is asked for, and not ready for a day."""
    made = begun(module_desk, requests_per_minute=600, export_user="auditor", exports="always")
    assert made.run("sync").code == 0
    return made


def test_before_anything_was_listed_the_budget_is_the_quota(desk: MakeDesk) -> None:
    made = begun(desk, requests_per_minute=7)
    told = made.run("budget")
    assert told.code == 0
    assert "7 requests a minute" in told.out
    assert "a day has  10,080 requests" in told.out
    assert "none: no login name (export_user)" in told.out
    assert "everything listed is archived" in told.out
    assert budget_of(made)["configured_per_minute"] == 7


def test_a_backlog_has_an_estimate_in_budget_and_status(small: Desk) -> None:
    told, status = small.run("budget"), small.run("status")
    assert told.code == status.code == 0
    assert "backlog of 30: drained in about" in told.out
    assert "backlog of 30: drained in about" in status.out
    assert "export 1: 30 recordings" in told.out
    assert "1 of 1 jobs not fetched" in told.out
    assert "last 24 h  export 1, list" in told.out


def test_the_budget_as_json_names_no_job_and_no_user(small: Desk) -> None:
    (job,) = small.simulator.jobs
    answers = [small.run("budget", "--json").out, small.run("status", "--json").out, small.run("budget").out]
    assert not [answer for answer in answers if job in answer or "auditor" in answer]
    one = budget_of(small)
    assert [(export["due"], export["phase"], export["jobs_left"]) for export in one["exports"]] == [(30, "waiting", 1)]
    assert one["backlog"]["recordings"] == 30
    assert one["sent_last_24_hours"]["export"] == 1


def test_a_quota_that_never_does_ends_with_3_and_is_said_in_the_log(desk: MakeDesk) -> None:
    made = begun(desk)
    made.world.section("accounts")["requests_per_minute"] = 6000
    made.run("sync")
    assert made.run("budget").code == 0
    made.world.section("accounts")["requests_per_minute"] = 1
    made.backstage.call(
        made.world.change(
            "update recordings set state = 'discovered', next_attempt_at = now() + interval '1 day' where true"
        )
    )
    told = made.run("budget")
    assert told.code == 3
    assert "never drained at this quota" in told.out


def test_an_account_that_is_not_there_is_named(small: Desk) -> None:
    told = small.run("budget", "--account", "other")
    assert told.code == 2
    assert "there is no account 'other'" in told.err


def test_a_backfill_is_done_in_the_foreground_and_told_as_done(desk: MakeDesk) -> None:
    made = begun(desk, requests_per_minute=6000)
    assert made.run("sync").code == 0
    asked = made.run("backfill", "--from", str((NOW - timedelta(days=25)).date()))
    assert asked.code == 0
    assert "30 archived" in asked.out
    shown = json.loads(made.run("backfill", "--json").out)
    assert [(one["state"], one["known"], one["waiting"], one["share_listed"]) for one in shown] == [
        ("done", 30, 0, 1.0)
    ]
    assert made.simulator.requests.counts[Operation.AUDIO] == 60
    covered = made.run("coverage", "--from", str((NOW - timedelta(days=25)).date()), "--json").rows("accounts")
    assert (covered[0]["known"], covered[0]["percent"]) == (60, 100.0)


def test_a_backfill_can_be_left_to_others_paused_and_resumed(desk: MakeDesk) -> None:
    made = begun(desk, requests_per_minute=6000)
    since = str((NOW - timedelta(days=25)).date())
    assert "listing" in made.run("backfill", "--from", since, "--detach").out
    assert "paused" in made.run("backfill", "--pause", "1").out
    made.run("sync")
    assert made.simulator.requests.counts[Operation.AUDIO] == 30
    assert "listing" in made.run("backfill", "--resume", "1").out
    made.run("sync")
    assert made.simulator.requests.counts[Operation.AUDIO] == 60
    assert "done" in made.run("backfill").out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "2999-01-01"), "nothing to fill in"),
        (("--from", "yesterday"), "is not a time"),
        (("--to", "2024-01-01"), "need --from"),
        (("--detach",), "need --from"),
        (("--pause", "9"), "no backfill 9"),
        (("--pause", "1", "--resume", "1"), "exclude"),
        (("--from", "2024-01-01", "--account", "other"), "no account 'other'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_a_word(small: Desk, options: tuple[str, ...], said: str) -> None:
    told = small.run("backfill", *options)
    assert told.code != 0
    assert said in told.err

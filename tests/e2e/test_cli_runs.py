"""runs: what each run did and how it ended, also those that were stopped, interrupted or killed."""

from __future__ import annotations

from signal import SIGINT, SIGKILL
from typing import cast

import pytest

from archiver import __version__
from archiver.simulator import Account, Fault, Hang, Html, Operation
from tests.support.commands import Done
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls

CALLS = calls(4)
NEVER = Fault(on=Operation.AUDIO, do=Html(), recording=2, times=None)
OLD = """
insert into runs (run_id, command, started_at, finished_at, exit_code, counts) values
('20200101T000000Z-000000', 'sync', '2020-01-01T00:00:00Z', '2020-01-01T00:00:09Z', 0,
 '{"acme": {"listed": 5, "new": 5, "archived": 5, "bytes": 1000, "requests": 9, "seconds": {"transfer": 8}}}')
"""


@pytest.fixture(scope="module")
def history(module_desk: MakeDesk) -> Desk:
    """Of the runs, latest first: refused, stopped, done with a failure; and one of an older version."""
    made = module_desk(Account(recordings=CALLS, faults=(NEVER,)))
    made.change(OLD)
    assert made.run("sync").code == 3
    known = made.world.section("accounts")["auth"]
    made.world.section("accounts")["auth"] = {"token": "expired"}
    assert made.run("sync").code == 5
    made.world.section("accounts")["auth"] = known
    made.policies(DAILY, mode="automatic", max_percent=1)
    assert made.run("sync").code == 4
    return made


def numbers(done: Done) -> list[object]:
    """Which runs were listed."""
    assert done.code == 0, done
    return [one["number"] for one in done.answers]


def test_the_list_has_every_run_with_its_end_in_words(history: Desk) -> None:
    lines = history.does("runs").splitlines()
    heads = [line for line in lines if line[:2].strip().isdecimal()]
    assert [line.split("Z  ")[-1].split("  ")[-1] for line in heads] == [
        "refused",
        "out of reach",
        "failures, gaps",
        "done",
    ]
    assert "    acme: stopped in discover: " in "\n".join(lines)
    assert any(line.startswith("    acme: ") and line.endswith("1 failed") for line in lines)
    assert "    acme: 5 listed (5 new), 5 archived (1.0 kB)" in lines
    assert max(map(len, heads)) <= 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [1, 2, 3, 4]),
        (["--limit", "2"], [1, 2]),
        (["--failed"], [1, 2, 3]),
        (["--failed", "--limit", "1"], [1]),
        (["--since", "2021-01-01"], [1, 2, 3]),
        (["--since", "2100-01-01"], []),
        (["--account", "acme"], [1, 2, 3, 4]),
        (["--account", "nobody"], []),
    ],
)
def test_runs_can_be_chosen(history: Desk, words: list[str], expected: list[int]) -> None:
    assert numbers(history.run("runs", *words, "--json")) == expected


def test_nothing_that_fits_is_said_so(history: Desk) -> None:
    assert history.does("runs", "--since", "2100-01-01") == "No such run is on record.\n"
    assert "--since" in history.refuses(2, "runs", "--since", "soon")


def test_a_run_is_shown_by_number_by_id_and_by_a_beginning_of_it(history: Desk) -> None:
    third = history.run("runs", "show", "3", "--json").answer
    identity = str(third["run"])
    assert (third["exit_code"], third["command"], third["version"], third["standing"]) == (
        3,
        "sync",
        __version__,
        "ended",
    )
    assert history.run("runs", "show", identity, "--json").answer == third
    assert history.run("runs", "show", "20200101", "--json").answer["number"] == 4
    assert history.run("runs", "show", "--json").answer["number"] == 1
    acme = cast("dict[str, dict[str, object]]", third["accounts"])["acme"]
    assert (acme["new"], acme["archived"], acme["verified"]) == (4, 3, 3)
    assert acme["failed"] == [
        {"recording_id": "2", "kind": "BodyRejected", "reason": "the body is a web page, not audio"}
    ]
    logged = history.query(f"select counts from runs where run_id = '{identity}'")
    assert logged == [({"acme": acme},)]


@pytest.mark.parametrize("which", ["5", "0", "999999", "2019", "19990101", "x%", ""])
def test_an_unknown_run_is_exit_2(history: Desk, which: str) -> None:
    said = history.refuses(2, "runs", "show", which)
    assert "archiver runs" in said


def test_a_beginning_that_several_have_is_exit_2(history: Desk) -> None:
    identity = str(history.run("runs", "show", "--json").answer["run"])
    assert "several runs begin with" in history.refuses(2, "runs", "show", identity[:8])


def test_the_whole_report_names_what_failed_and_why_it_was_stopped_or_refused(history: Desk) -> None:
    failed, stopped, refused = (history.does("runs", "show", number) for number in ("3", "2", "1"))
    assert "3: done, but some recordings failed" in failed
    assert "2  BodyRejected: the body is a web page, not audio" in failed
    assert "2  body_rejected 2 times" in failed
    assert "AccessDenied in discover: " in stopped
    assert "(a person must act)" in stopped
    assert "SafetyLimit: account acme" in refused
    for report in (failed, stopped, refused):
        assert report.startswith("Run 2")
        assert f", archiver {__version__}" in report


def test_a_report_of_an_older_version_is_shown_with_what_it_has(history: Desk) -> None:
    told = history.does("runs", "show", "4")
    assert told.splitlines()[0] == "Run 20200101T000000Z-000000: sync"
    assert "5 archived (1.0 kB)" in told


def test_the_log_has_the_same_report_as_the_catalogue(desk: MakeDesk) -> None:
    here = desk(Account(recordings=CALLS, faults=(NEVER,)))
    here.policies(DAILY, mode="automatic", max_percent=1)
    (logged,) = here.run("sync").of("pass_finished")
    shown = here.run("runs", "show", "--json").answer
    assert (logged["accounts"], logged["exit_code"], logged["version"], logged["stop"], logged["run_id"]) == (
        shown["accounts"], 4, shown["version"], shown["stop"], shown["run"],
    )  # fmt: skip
    assert cast("dict[str, object]", logged["stop"])["kind"] == "SafetyLimit"


def test_a_run_at_work_one_interrupted_and_one_killed(desk: MakeDesk) -> None:
    """The killed one has no report, and is not taken for one that is at work."""
    here = desk(Account(recordings=CALLS), sync={"concurrency": 1})
    for hangs, number in ((2, SIGINT), (3, SIGKILL)):
        here.simulator.script(Fault(on=Operation.AUDIO, do=Hang(), recording=hangs))
        with here.start("sync") as process:
            here.arrived(Operation.AUDIO, hangs)
            at_work = here.run("runs", "show", "--json").answer
            assert (at_work["standing"], at_work["exit_code"], at_work["accounts"]) == ("at_work", None, {})
            assert 1 not in numbers(here.run("runs", "--failed", "--json"))
            process.signal(number)
            if number is SIGINT:
                process.wait_for("stopping")
                here.backstage.do(here.simulator.release)
            process.ended()
    here.backstage.do(here.simulator.heal)

    killed, interrupted = here.run("runs", "--failed", "--json").answers
    assert (killed["standing"], killed["ended"], killed["exit_code"], killed["accounts"]) == ("lost", None, None, {})
    assert (interrupted["standing"], interrupted["exit_code"]) == ("ended", 130)
    acme = cast("dict[str, dict[str, object]]", interrupted["accounts"])["acme"]
    assert acme["archived"] == 2
    assert "did not end: killed" in here.does("runs", "show")
    for command in ("runs", "status"):
        assert "did not end" in here.does(command)

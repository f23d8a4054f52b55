"""How runs look on a terminal of 80 columns."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from archiver.cli.run_report import grid, of_account, of_run, show_run, show_runs
from archiver.core.report import PassReport
from archiver.core.runs import Run
from archiver.core.stored_report import from_record
from tests.support.runs import DONE, full

SPENT = {"discover": 0.5, "transfer": 70.0, "expire": 0.01}


def drawn(report: PassReport) -> str:
    """What is shown of an account, on 80 columns."""
    console = Console(width=80, file=StringIO())
    console.print(grid(of_account(report)))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def said(report: PassReport) -> dict[str, str]:
    """The same by what it is about; lines below the first follow it."""
    found: dict[str, str] = {}
    last = ""
    for name, text in of_account(report):
        last = name or last
        found[last] = f"{found[last]} | {text.plain}" if last in found else text.plain
    return found


def test_everything_that_happened_is_said() -> None:
    told = said(replace(full(), failures=full().failures + full().failures, seconds=SPENT))
    expected = {
        "stopped": "Unreachable in transfer: the bucket is out of reach (the next pass tries again)",
        "excluded": "no-training 1",
        "not deleted": "on_hold 5",
        "retried": "status_503 4",
        "time": "discover 0.5s, transfer 70s",
        "slowest": "3  1.5s",
        "again": "2  attempt_2 | and others, 6 times",
        "failed": "BodyRejected 2 | 1  BodyRejected: the body is a web page, not audio | and 1 more",
    }
    assert {name: told[name] for name in expected} == expected
    assert told["requests"].endswith(": download 7, list 2")
    assert "verified" in told["done"]
    assert "not locked" in told["note"]


def test_a_pass_without_work_is_two_lines() -> None:
    assert said(PassReport("acme")) == {"done": "nothing to do", "requests": "0"}


def test_a_stop_that_needs_a_person_says_so() -> None:
    stop = {"kind": "AccessDenied", "reason": "discover: x", "final": True}
    stopped = from_record("acme", {"stopped": "discover: x", "stop": stop})
    assert said(stopped)["stopped"] == "AccessDenied in discover: x (a person must act)"
    assert said(stopped)["done"] == "nothing could be done"
    assert said(from_record("acme", {"stopped": "discover: x"}))["stopped"] == "in discover: x"


def test_an_older_report_without_names_shows_its_numbers() -> None:
    told = said(from_record("acme", {"listed": 3, "new": 3, "excluded": 2, "failures": {"NotFound": 1}}))
    assert told["excluded"] == "by a policy 2"
    assert told["failed"] == "NotFound 1"


def test_no_line_is_longer_than_80_columns_and_long_reasons_stay_beside_their_name() -> None:
    report = full()
    report.fail("123456789", "BodyRejected", "a reason that goes on and on " * 6)
    lines = drawn(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(" " * 16)
    assert lines[-1].strip()


def test_text_from_elsewhere_is_shown_as_it_is() -> None:
    """A policy's name that looks like markup, and an error that would steer the terminal."""
    report = PassReport("acme", excluded=1)
    report.excluded_by["[red]x[/]"] = 1
    report.fail("1", "SkipItem", "odd \x1b[2J [bold]")
    told = said(report)
    assert told["excluded"] == "[red]x[/] 1"
    assert told["failed"].endswith("1  SkipItem: odd \N{REPLACEMENT CHARACTER}[2J [bold]")


@pytest.mark.parametrize(
    ("run", "lines"),
    [
        (DONE, {"began": "2024-03-01 12:00:00Z", "ended": "2024-03-01 12:01:30Z, after 90s", "exit code": "0: done"}),
        (
            replace(DONE, exit_code=4, stop_kind="SafetyLimit", stop_reason="too [many]"),
            {"exit code": "4: refused by a safety limit, or another archiver was at the same work",
             "because": "SafetyLimit: too [many]"},
        ),
        (
            replace(DONE, finished_at=None, exit_code=None, counts=None),
            {"end": "did not end: killed, or cut off from the database; the next run takes its work up",
             "report": "none: it is written at the end"},
        ),
        (replace(DONE, finished_at=None, exit_code=None, counts=None, at_work=True), {"end": "at work"}),
    ],
)  # fmt: skip
def test_a_run_as_a_whole(run: Run, lines: dict[str, str]) -> None:
    told = {name: text.plain for name, text in of_run(run)}
    assert {name: told[name] for name in lines} == lines


def test_the_list_has_a_line_for_each_run_and_below_it_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    busy = {"acme": full().as_record(), "beta": {"new": 2, "listed": 2}, "idle": {}}
    stopped = {"acme": {"stopped": "discover: no answer"}}
    runs = [
        replace(DONE, number=1, counts=None, finished_at=None, exit_code=None),
        replace(DONE, number=12, exit_code=3, counts=busy),
        replace(DONE, number=13, command="recount", exit_code=5, counts=stopped),
    ]
    show_runs(runs, None)
    head, lost, failed, acme, beta, unreachable, why = capsys.readouterr().out.splitlines()
    assert head.split() == ["no", "run", "command", "began", "took", "end"]
    assert lost == " 1  20240301T120000Z-0a1b2c  sync     2024-03-01 12:00Z      -  did not end"
    assert failed == "12  20240301T120000Z-0a1b2c  sync     2024-03-01 12:00Z    90s  failures, gaps"
    assert acme.startswith("    acme: ")
    assert acme.endswith("1 failed; stopped in transfer: the bucket is out of reach")
    assert beta == "    beta: 2 listed (2 new)"
    assert unreachable.endswith("  out of reach")
    assert why == "    acme: stopped in discover: no answer"
    assert max(map(len, (head, lost, failed, unreachable))) <= 80

    show_runs(runs, "beta")
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")] == [beta]


def test_the_whole_report_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    show_run(replace(DONE, version=None, counts={"beta": {}, "acme": {"listed": 1}}))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Run 20240301T120000Z-0a1b2c: sync"
    assert lines[4:] == [
        "acme", "  done          1 listed (0 new)", "  requests      0",
        "beta", "  done          nothing to do", "  requests      0",
    ]  # fmt: skip

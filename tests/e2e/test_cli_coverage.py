"""coverage and gaps at the command line: what an auditor asks for, and what a person answers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from archiver.simulator import Account, Fault, Html, Operation
from archiver.simulator.server import utc_now
from tests.support.desk import Desk, MakeDesk
from tests.support.world import LONG_AGO, calls

CALLS = calls(5)
UNREADABLE = replace(CALLS[0], id=77, overlay={"start": None, "cnam": "=1+1"})
GAP = Fault(on=Operation.AUDIO, do=Html(), recording=5, times=None)
DAY = CALLS[0].start.date()


@pytest.fixture(scope="module")
def archive(module_desk: MakeDesk) -> Desk:
    """Four recordings in the archive, one that cannot be had, and an item that nobody can read."""
    made = module_desk(Account(recordings=(*CALLS, UNREADABLE), faults=(GAP,)))
    assert made.run("sync").code == 3
    return made


def over(first: object = DAY, last: object = DAY) -> tuple[str, ...]:
    """The options of a range."""
    return ("--from", str(first), "--to", str(last))


def test_a_day_with_a_gap_names_it_and_ends_with_3(archive: Desk) -> None:
    told = archive.run("coverage", *over())
    assert told.code == 3
    assert "66.66 % covered: 4 of 5 calls verified" in told.out
    assert "the body is a web page, not audio" in told.out
    assert "start is missing" in told.out


def test_a_day_without_calls_is_proved_to_be_empty(archive: Desk) -> None:
    """Not blank, and no reason for exit code 3."""
    day = DAY + timedelta(days=3)
    told, counted = archive.run("coverage", *over(day, day)), archive.run("coverage", *over(day, day), "--json")
    assert told.code == counted.code == 0
    assert "No gap is open." in told.out
    (account,) = counted.rows("accounts")
    assert account["percent"] is None
    days = account["days"]
    assert isinstance(days, list)
    assert [(line["day"], line["state"], line["source_says"], line["known"]) for line in days] == [
        (str(day), "proved", 0, 0)
    ]


def test_days_before_the_start_are_left_out_and_the_day_of_today_is_there(archive: Desk) -> None:
    """The table never shows a day that nobody promised to keep, nor one that has not come."""
    answer = archive.run("coverage", *over("2001-01-01", "2999-01-01"), "--json")
    (account,) = answer.rows("accounts")
    days = [line["day"] for line in account["days"]]  # type: ignore[attr-defined]
    assert days[-1] == str(utc_now().date())
    assert days[0] == str(LONG_AGO.date())
    assert len(days) == len(set(days)) == (utc_now().date() - LONG_AGO.date()).days + 1
    assert [gap["kind"] for gap in answer.rows("gaps")] == ["malformed", "retrying"]


def test_the_same_as_csv(archive: Desk) -> None:
    told = archive.run("coverage", *over(), "--csv")
    assert told.code == 3
    [line] = csv.DictReader(io.StringIO(told.out))
    assert (line["account"], line["day"], line["state"]) == ("acme", str(DAY), "gap")
    assert (line["known"], line["verified"], line["missing"], line["open_gaps"]) == ("5", "4", "2", "2")
    assert datetime.fromisoformat(line["proved_at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "yesterday"), "--from 'yesterday' is not a day"),
        (("--from", "2024-02-02", "--to", "2024-02-01"), "lies after --to"),
        (("--account", "nobody"), "there is no account 'nobody'"),
        (("--as-of", "then"), "is not a time"),
        (("--json", "--csv"), "choose --json or --csv"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(archive: Desk, options: tuple[str, ...], said: str) -> None:
    told = archive.run("coverage", *options)
    assert told.code == 2
    assert said in told.err


def test_what_was_known_before_the_first_pass_was_nothing(archive: Desk) -> None:
    told = archive.run("coverage", *over(), "--as-of", "2020-01-01")
    assert told.code == 0
    assert "As it was known at 2020-01-01 23:59:59Z" in told.out
    assert "not listed yet" in told.out


def test_what_is_known_now_was_written_into_the_ledger(archive: Desk) -> None:
    """The ledger's last line says the same as the catalogue does."""
    later = (utc_now() + timedelta(days=1)).date().isoformat()
    now, then = archive.run("coverage", *over(), "--csv"), archive.run("coverage", *over(), "--csv", "--as-of", later)
    assert then.out == now.out
    assert then.code == now.code


def test_a_gap_tells_its_life_and_the_item_as_it_came(archive: Desk) -> None:
    listed = archive.run("gaps", "list", "--json")
    assert listed.code == 3
    gaps = {gap["kind"]: gap for gap in json.loads(listed.out)}
    told = archive.run("gaps", "show", str(gaps["malformed"]["id"]))
    assert told.code == 0
    assert '"cnam": "=1+1"' in told.out
    assert "opened" in told.out


def test_a_persons_reason_takes_a_gap_out_of_the_exit_code_and_not_out_of_the_report(desk: MakeDesk) -> None:
    here = desk(Account(recordings=CALLS, faults=(GAP,)))
    assert here.run("sync").code == 3
    [gap] = json.loads(here.run("gaps", "list", "--json").out)
    number = str(gap["id"])

    explained = here.run("gaps", "explain", number, "--reason", "ticket 4711: never recorded", "--by", "auditor-7")

    assert explained.code == 0
    assert "stays in the coverage report" in explained.out
    for command in (("status",), ("gaps", "list"), ("coverage", *over())):
        assert here.run(*command).code == 0, command
    covered = here.run("coverage", *over())
    assert "80.00 % covered" in covered.out
    assert "explained: ticket 4711" in covered.out
    shown = here.run("gaps", "show", number)
    assert "auditor-7" in shown.out
    assert here.run("sync").code == 0
    assert "auditor-7" not in here.run("sync").err


def test_only_an_open_gap_can_be_explained(desk: MakeDesk) -> None:
    here = desk(Account(recordings=CALLS, faults=(GAP,)))
    here.run("sync")
    [gap] = json.loads(here.run("gaps", "list", "--json").out)
    here.simulator.heal()
    assert here.run("retry", "--all").code == 0
    assert here.run("sync").code == 0

    refused = here.run("gaps", "explain", str(gap["id"]), "--reason", "too late")

    assert refused.code == 2
    assert "was closed at" in refused.err
    assert "the recording is verified" in refused.err
    assert here.run("gaps", "explain", "9999", "--reason", "x").code == 2
    assert here.run("gaps", "explain", str(gap["id"]), "--reason", "  ").code == 2
    assert "closed" in here.run("gaps", "list", "--all").out

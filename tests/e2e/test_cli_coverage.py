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
        (("--from", "2999-01-01"), "had not come yet"),
        (("--from", "2024-01-30", "--as-of", "2020-01-01"), "had not come yet on 2020-01-01"),
        (("--as-of", "then"), "--as-of 'then' is not a time"),
        (("--json", "--csv"), "choose --json or --csv"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(archive: Desk, options: tuple[str, ...], said: str) -> None:
    told = archive.run("coverage", *options)
    assert told.code == 2
    assert said in told.err


def test_what_was_known_before_the_first_pass_was_nothing(archive: Desk) -> None:
    told = archive.run("coverage", *over(), "--as-of", str(DAY + timedelta(days=1)))
    assert told.code == 0
    assert f"As it was known at {DAY + timedelta(days=1)} 23:59:59Z" in told.out
    assert "not listed yet" in told.out


def test_the_last_31_days_are_shown_up_to_today_or_to_the_moment_that_is_asked_for(archive: Desk) -> None:
    """A past view has no days that had not come then."""

    def days(*words: str) -> list[str]:
        return [line["day"] for line in csv.DictReader(io.StringIO(archive.run("coverage", "--csv", *words).out))]

    today = utc_now().date()
    assert days() == [str(today - timedelta(days=number)) for number in range(30, -1, -1)]
    assert days("--as-of", f"{DAY}T12:00:00") == [str(DAY - timedelta(days=number)) for number in range(30, -1, -1)]
    assert days("--to", "0001-01-05") == []


def test_days_before_the_start_are_named_and_not_counted(archive: Desk) -> None:
    start = LONG_AGO.date()
    told = archive.run("coverage", *over(start - timedelta(days=9), start))
    before = archive.run("coverage", *over(start - timedelta(days=9), start - timedelta(days=8)))
    assert told.code == before.code == 0
    assert f"acme: {start - timedelta(days=9)} to {start - timedelta(days=1)}: not kept, before start_from" in told.out
    assert "days: 1 proved" in told.out
    assert "days:" not in before.out
    assert f"{start - timedelta(days=9)} to {start - timedelta(days=8)}: not kept" in before.out


def test_text_that_a_spreadsheet_would_run_is_made_harmless(desk: MakeDesk) -> None:
    """And commas, quotes and line ends stay inside their cell."""
    here = desk(Account(recordings=CALLS))
    assert here.run("sync").code == 0
    odd = '=HYPERLINK("http://example.test","x")\nand, more'
    here.change(f"update days set doubt = '{odd}' where day = '{DAY}'")
    [line] = csv.DictReader(io.StringIO(here.run("coverage", *over(), "--csv").out, newline=""))
    assert (line["state"], line["reason"]) == ("unproven", f"'{odd}")


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
    for command in (("status",), ("gaps", "list"), ("gaps",), ("coverage", *over())):
        assert here.run(*command).code == 0, command
    assert "the body is" not in here.run("status").out
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


def test_gaps_alone_lists_them(archive: Desk) -> None:
    told, listed = archive.run("gaps"), archive.run("gaps", "list")
    assert told.code == listed.code == 3
    assert "start is missing" in told.out
    assert "2 open" in told.out
    assert [line.split()[:3] for line in told.out.splitlines()] == [
        line.split()[:3] for line in listed.out.splitlines()
    ]


def test_a_recording_names_its_gap(archive: Desk) -> None:
    """And one without trouble has none."""
    told, answer = archive.run("explain", "5"), archive.run("explain", "5", "--json")
    gap = answer.section("gap")
    assert (gap["recording_id"], gap["kind"], gap["closed_at"]) == ("5", "retrying", None)
    assert f"{gap['id']}, retrying: the body is a web page, not audio" in told.out
    assert archive.run("explain", "1", "--json").answer["gap"] is None


def test_a_past_view_knows_nothing_of_a_later_reason(desk: MakeDesk) -> None:
    """Nor does a second reason wipe out the first."""
    here = desk(Account(recordings=CALLS, faults=(GAP,)))
    here.run("sync")
    [gap] = here.run("gaps", "list", "--json").answers
    moments = [utc_now()]
    for reason in ("first reason", "second reason"):
        done = here.run("gaps", "explain", str(gap["id"]), "--reason", reason, env={"LOGNAME": "night-shift"})
        assert done.code == 0
        moments.append(utc_now())

    views = [here.run("coverage", *over(), "--as-of", moment.isoformat(), "--json") for moment in moments]

    assert [view.code for view in views] == [3, 0, 0]
    told = [view.rows("gaps")[0] for view in views]
    assert [one["explanation"] for one in told] == [None, "first reason", "second reason"]
    assert [one["explained_by"] for one in told] == [None, "night-shift", "night-shift"]
    life = here.run("gaps", "show", str(gap["id"]), "--json").rows("events")
    assert [(event["event"], event["by"]) for event in life[1:]] == [("explained", "night-shift")] * 2


@pytest.mark.parametrize("words", [("0",), ("99999999999999999999",), ("one",), ("1", "--reason", "x", "--by", " ")])
def test_a_gap_that_cannot_be_is_refused(archive: Desk, words: tuple[str, ...]) -> None:
    done = archive.run("gaps", "explain" if len(words) > 1 else "show", *words)
    assert (done.code, done.out) == (2, "")
    assert "bug" not in done.err

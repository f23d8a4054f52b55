"""A run as it is read back: its standing, what its exit code means, and reports of whichever version."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from archiver.core.incidents import MOST_KEPT
from archiver.core.report import PassReport
from archiver.core.runs import ENDINGS, Standing
from archiver.core.stored_report import from_record
from tests.support.runs import DONE, full


def test_a_report_is_read_back_as_it_was_written() -> None:
    """Through JSON, every number and name of it."""
    written = full().as_record()
    assert from_record("acme", json.loads(json.dumps(written))).as_record() == written


def test_what_was_cut_off_stays_counted() -> None:
    made = PassReport("acme")
    for number in range(MOST_KEPT + 3):
        made.fail(str(number), "NotFound", "404")
    read = from_record("acme", made.as_record())
    assert (len(read.named), read.failed_beyond) == (MOST_KEPT, 3)
    assert read.as_record() == made.as_record()


@pytest.mark.parametrize(
    "record",
    [
        {},
        None,
        "nothing",
        {"sent": None, "seconds": [], "slowest": None, "failed": {"1": "as once"}, "stop": "x", "repeated": [1, {}]},
        {"new": "7", "retries": {"503": "often"}, "slowest": [{"seconds": "x"}], "clock_seconds": None},
    ],
)
def test_whatever_an_older_version_wrote_is_read_without_error(record: object) -> None:
    read = from_record("acme", record)
    assert (read.account, read.new, read.sent, read.stop) == ("acme", 0, Counter(), None)
    assert json.loads(json.dumps(read.as_record()))["failures"] == {}


def test_the_numbers_of_an_older_version_count() -> None:
    read = from_record("acme", {"new": 7, "archived": 6, "retries": {"503": 2}, "failures": {"NotFound": 3}})
    assert (read.new, read.archived, read.retries, read.failed_beyond) == (7, 6, {"503": 2}, 3)


@pytest.mark.parametrize(
    ("change", "standing", "in_short"),
    [
        ({}, Standing.ENDED, "done"),
        ({"exit_code": 4}, Standing.ENDED, "refused"),
        ({"exit_code": 99}, Standing.ENDED, "exit code 99"),
        ({"finished_at": None, "exit_code": None, "at_work": True}, Standing.AT_WORK, "at work"),
        ({"finished_at": None, "exit_code": None}, Standing.LOST, "did not end"),
    ],
)
def test_a_run_has_ended_or_is_at_work_or_was_lost(
    change: dict[str, object], standing: Standing, in_short: str
) -> None:
    run = replace(DONE, **change)  # type: ignore[arg-type]
    assert (run.standing, run.in_short) == (standing, in_short)
    assert run.as_document()["seconds"] == (90.0 if standing is Standing.ENDED else None)


def test_every_exit_code_of_the_contract_has_words() -> None:
    assert set(ENDINGS) == {0, 1, 2, 3, 4, 5, 130}
    assert all(len(short) <= 14 for short, _ in ENDINGS.values())  # a line of the list has 80 columns


def test_the_document_says_why_it_was_stopped_and_keeps_the_reports_as_they_are() -> None:
    run = replace(DONE, exit_code=4, stop_kind="SafetyLimit", stop_reason="too many", counts={"acme": {"odd": 1}})
    told = run.as_document()
    assert (told["stop"], told["accounts"]) == ({"kind": "SafetyLimit", "reason": "too many"}, {"acme": {"odd": 1}})
    assert DONE.as_document()["stop"] is None

"""The report of a pass: its numbers, its reasons, and the exit code of them all."""

from __future__ import annotations

import json
from collections import Counter
from typing import cast

import pytest

from archiver.core.incidents import MOST_KEPT, MOST_NAMED, Failure, Repeats
from archiver.core.report import PassReport, exit_code


def report(*, stop: int = 0, failed: bool = False) -> PassReport:
    """A report of an account."""
    made = PassReport("acme", exit_code=stop)
    if failed:
        made.fail("1", "BodyRejected", "the body is empty")
    return made


@pytest.mark.parametrize(
    ("reports", "gaps", "code"),
    [
        ([], 0, 0),
        ([report()], 0, 0),
        ([report(), report()], 0, 0),
        ([], 1, 3),
        ([report()], 1, 3),
        ([report(failed=True)], 0, 3),
        ([report(), report(failed=True)], 0, 3),
        ([report(stop=5)], 0, 5),
        ([report(stop=5, failed=True)], 7, 5),
        ([report(stop=4), report(failed=True)], 1, 4),
        ([report(stop=4), report(stop=5), report()], 1, 5),
        ([report(stop=2)], 1, 2),
    ],
)
def test_a_stop_outranks_failures_and_gaps_which_outrank_success(
    reports: list[PassReport], gaps: int, code: int
) -> None:
    assert exit_code(reports, gaps) == code
    assert exit_code(iter(reports), gaps) == code


def test_failures_are_all_counted_and_the_first_are_named() -> None:
    made = PassReport("acme")
    for number in range(MOST_NAMED + 50):
        made.fail(str(number), "Transient", f"reason {number}")
    assert made.failures == {"Transient": MOST_NAMED + 50}
    assert len(made.named) == MOST_NAMED
    assert made.named[0] == Failure("0", "Transient", "reason 0")
    record = made.as_record()
    assert record["failed"] == [
        {"recording_id": str(number), "kind": "Transient", "reason": f"reason {number}"} for number in range(MOST_KEPT)
    ]
    assert record["failed_beyond"] == MOST_NAMED + 50 - MOST_KEPT


def test_what_is_tried_again_is_named_with_its_causes_as_long_as_there_is_room() -> None:
    """Memory and rows stay bounded; no try goes uncounted."""
    made = PassReport("acme")
    for number in range(MOST_NAMED + 50):
        made.repeat(str(number), "cut_off")
    made.repeat("0", "body_rejected")
    noted = Repeats({"0": Counter({"status_503": 3}), "elsewhere": Counter({"status_503": 2})}, 1)
    made.repeats.add(noted.take())
    assert noted == Repeats()
    assert made.retries == {"cut_off": MOST_NAMED + 50, "body_rejected": 1}
    assert made.repeats.causes["0"] == {"cut_off": 1, "body_rejected": 1, "status_503": 3}
    assert (len(made.repeats.causes), made.repeats.beyond) == (MOST_NAMED, 50 + 2 + 1)

    record = made.as_record()
    repeated = cast("list[dict[str, object]]", record["repeated"])
    assert [one["recording_id"] for one in repeated] == [str(number) for number in range(MOST_KEPT)]
    assert record["repeated_beyond"] == 53 + MOST_NAMED - MOST_KEPT


def test_the_counts_are_plain_json_without_the_recordings_that_failed() -> None:
    made = report(failed=True)
    made.new, made.retries["503"], made.kept["hold"] = 7, 2, 1
    made.exclude("no-training")
    made.seconds["transfer"] = 1.23456
    counts = made.as_counts()
    assert json.loads(json.dumps(counts)) == counts
    assert (counts["new"], counts["retries"], counts["failures"]) == (7, {"503": 2}, {"BodyRejected": 1})
    assert (counts["kept"], counts["seconds"]) == ({"hold": 1}, {"transfer": 1.235})
    assert (counts["excluded"], counts["excluded_by"]) == (1, {"no-training": 1})
    assert counts.keys().isdisjoint({"stopped", "failed", "repeated", "slowest"})
    assert "clock_seconds" not in counts
    made.stopped = "transfer: the bucket is out of reach"
    assert made.as_counts()["stopped"] == made.stopped


def test_the_sources_clock_is_told_once_it_is_known() -> None:
    made = PassReport("acme", endangered=3, clock_seconds=0)
    assert (made.as_counts()["clock_seconds"], made.as_counts()["endangered"]) == (0, 3)
    made.clock_seconds = -7200
    assert made.as_counts()["clock_seconds"] == -7200


def test_two_reports_share_nothing() -> None:
    one, other = report(failed=True), report()
    assert one.failures
    assert not other.failures
    assert not other.named

"""Runs and reports for the tests that read and show them."""

from __future__ import annotations

from datetime import timedelta

from archiver.core.health import Stop
from archiver.core.report import PLAIN, PassReport
from archiver.core.runs import Run
from tests.support.rows import NOW

DONE = Run(
    number=1,
    run_id="20240301T120000Z-0a1b2c",
    command="sync",
    version="0.1.0",
    started_at=NOW,
    finished_at=NOW + timedelta(seconds=90),
    exit_code=0,
    stop_kind=None,
    stop_reason=None,
    counts={},
    at_work=False,
)


def full() -> PassReport:
    """Make a report in which everything has happened."""
    made = PassReport("acme", clock_seconds=-3, stopped="transfer: the bucket is out of reach")
    for number, name in enumerate(PLAIN):
        setattr(made, name, number + 1)
    made.sent.update(list=2, download=7)
    made.retries["status_503"] = 4
    made.kept["on_hold"] = 5
    made.exclude("no-training")
    made.fail("1", "BodyRejected", "the body is a web page, not audio")
    made.repeats.note("2", "attempt_2")
    made.repeats.beyond = 6
    made.slowest.observe(1.5, "3")
    made.seconds["transfer"] = 2.25
    made.stop = Stop("Unreachable", made.stopped, final=False)
    return made

"""recount at the command line: the source is asked again about chosen days, however they were proved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.simulator import Account, Operation
from tests.support.desk import Desk, MakeDesk
from tests.support.world import LONG_AGO, calls

CALLS = calls(6)
DAY = CALLS[0].start.date()
LATE = replace(CALLS[0], id=4711, start=CALLS[0].start + timedelta(hours=1))


def again(*, first: object = DAY, last: object = DAY) -> tuple[str, ...]:
    """The command for a range of days."""
    return ("recount", "--from", str(first), "--to", str(last))


def listings(here: Desk) -> int:
    """List requests that the source has seen."""
    return here.simulator.requests.counts[Operation.LIST]


def test_what_was_published_after_its_day_was_proved_is_found_at_once(desk: MakeDesk) -> None:
    """The coverage of the day says what is left to do, and the next pass does it."""
    here = desk(Account(recordings=CALLS))
    assert here.run("sync").code == 0
    here.simulator.put(LATE)
    assert "6 of 6 calls verified; days: 1 proved" in here.run("coverage", "--from", str(DAY), "--to", str(DAY)).out

    told = here.run(*again())

    assert told.code == 0
    assert "1 day asked about again, 7 listed (1 new, 1 of them late)" in told.out
    assert "6 of 7 calls verified, 1 waiting" in told.out
    assert "1 not archived yet" in told.out
    assert here.states()["4711"] == "discovered"
    assert here.query("select command, exit_code from runs order by started_at desc limit 1") == [("recount", 0)]
    assert here.run("sync").code == 0
    assert "100.00 % covered: 7 of 7" in here.run("coverage", "--from", str(DAY), "--to", str(DAY)).out


def test_a_gap_closes_as_soon_as_the_source_is_mended(desk: MakeDesk) -> None:
    """Most of a day is gone at the source, and comes back."""
    here = desk(Account(recordings=CALLS))
    assert here.run("sync").code == 0
    for call in CALLS[:4]:
        here.simulator.remove(call.id)

    broken = here.run(*again(), "--json")
    assert broken.code == broken.answer["exit_code"] == 3
    coverage = broken.section("coverage")
    assert [gap["kind"] for gap in coverage["gaps"]] == ["shrunken"]  # type: ignore[attr-defined]
    told = here.run("gaps")
    assert f"{DAY}, all day" in told.out
    assert "the source lists 2 where the catalogue expects 6" in told.out

    for call in CALLS[:4]:
        here.simulator.put(call)
    mended = here.run(*again())
    assert mended.code == 0
    assert "days: 1 proved" in mended.out
    assert "the source has again what the catalogue expects" in here.run("gaps", "list", "--all").out


def test_days_are_asked_about_together_and_only_as_far_as_they_were_listed(desk: MakeDesk) -> None:
    """A month of hardly any calls is one request; what lies before the start is left alone."""
    here = desk(Account(recordings=CALLS))
    assert "not listed yet" in here.run(*again()).out
    assert listings(here) == 0
    assert here.run("sync").code == 0
    before = listings(here)

    first, last = LONG_AGO.date() - timedelta(days=5), LONG_AGO.date() + timedelta(days=20)
    told = here.run(*again(first=first, last=last))

    assert told.code == 0
    assert listings(here) - before == 1
    assert "21 days asked about again" in told.out
    assert "not kept, before start_from" in told.out
    today = here.run(*again(first="2024-01-01", last="2999-12-31"))
    assert today.code == 0
    assert "unproven" not in today.out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--from", "2024-01-30"),
        ("--from", "2024-01-30", "--to", "2024-01-29"),
        ("--from", "2024-01-30", "--to", "soon"),
        ("--from", "2024-01-30", "--to", "2024-01-30", "--account", "nobody"),
    ],
)
def test_a_range_must_be_given_and_make_sense(desk: MakeDesk, words: tuple[str, ...]) -> None:
    here = desk(Account(recordings=CALLS))
    done = here.run("recount", *words)
    assert (done.code, done.out) == (2, "")
    assert listings(here) == 0

"""`status --max-age`: the question of a health check. A gap does not make it ill; standing still does."""

from __future__ import annotations

import pytest

from archiver.simulator import Account, Fault, Html, Operation
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

GAP = Fault(on=Operation.AUDIO, do=Html(), recording=3, times=None)
RUN = "insert into runs (run_id, command, started_at, finished_at, exit_code) values"


@pytest.fixture
def archive(desk: MakeDesk) -> Desk:
    """Two recordings in the archive, and a gap."""
    made = desk(Account(recordings=calls(3), faults=(GAP,)))
    assert made.run("sync").code == 3
    return made


def turn_back(desk: Desk, hours: int) -> None:
    """Let everything have happened earlier."""
    earlier = f"- interval '{hours} hours'"
    desk.change(f"update runs set started_at = started_at {earlier}, finished_at = finished_at {earlier}")
    desk.change("alter table history disable trigger user")  # it is append-only
    desk.change(f"update history set at = at {earlier}")


def test_before_anything_was_done_it_is_not_fresh(desk: MakeDesk) -> None:
    """A container that starts has its start period for this."""
    new = desk()
    told, counted = new.run("status", "--max-age", "2h"), new.run("status", "--max-age", "2h", "--json")
    assert told.code == counted.code == 5
    assert "No pass" in told.out
    assert counted.answer == {"fresh": False, "last_progress": None, "age_seconds": None}


def test_a_pass_with_a_gap_is_progress(archive: Desk) -> None:
    """Plain `status` says 3 for the gap; restarting a container would close none."""
    told, counted = archive.run("status", "--max-age", "10m"), archive.run("status", "--max-age", "10m", "--json")
    assert archive.run("status").code == 3
    assert told.code == counted.code == 0
    assert "Last progress" in told.out
    assert counted.answer["fresh"] is True


def test_it_is_as_old_as_the_last_progress(archive: Desk) -> None:
    """Three hours ago is too long ago for two hours, and well within a day."""
    turn_back(archive, 3)
    assert archive.run("status", "--max-age", "2h").code == 5
    assert archive.run("status", "--max-age", "1d").code == 0


@pytest.mark.parametrize("code", [0, 3, 4])
def test_a_pass_that_came_to_its_end_is_progress(archive: Desk, code: int) -> None:
    """Even one that found nothing to do, or whose deletions a safety limit refused."""
    turn_back(archive, 3)
    archive.change(f"{RUN} ('new', 'sync', now() - interval '5 minutes', now(), {code})")
    assert archive.run("status", "--max-age", "2h").code == 0


@pytest.mark.parametrize("end", ["now(), 5", "now(), 1", "null, null"])
def test_passes_that_fail_again_and_again_are_no_progress(archive: Desk, end: str) -> None:
    """A neighbour out of reach, a bug, and a pass that hangs: each began just now."""
    turn_back(archive, 3)
    archive.change(f"{RUN} ('new', 'sync', now(), {end})")
    assert archive.run("status", "--max-age", "2h").code == 5


def test_a_long_pass_is_fresh_while_recordings_change(archive: Desk) -> None:
    """The first pass over years of calls takes days."""
    turn_back(archive, 30)
    archive.change(f"{RUN} ('long', 'sync', now() - interval '20 hours', null, null)")
    archive.change(
        "insert into history (at, account, recording_id, after, reason, run_id) "
        "values (now(), 'acme', '1', 'verified', 'test', 'long')"
    )
    assert archive.run("status", "--max-age", "2h").code == 0


def test_a_database_out_of_reach_is_not_fresh(archive: Desk) -> None:
    """Nobody knows, so the check fails."""
    archive.backstage.call(archive.gate.shut())
    told = archive.run("status", "--max-age", "2h")
    assert told.code == 5
    assert "out of reach" in told.err


@pytest.mark.parametrize("age", ["soon", "1mo", "2 h", "", "99999999999d"])
def test_an_age_that_is_none_is_refused(archive: Desk, age: str) -> None:
    """With exit code 2, naming the option."""
    told = archive.run("status", "--max-age", age)
    assert told.code == 2
    assert "--max-age" in told.err

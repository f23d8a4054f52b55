"""`archiver run`: a pass at once and again, one at a time, whatever becomes of its neighbours, also beside another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from archiver.simulator import Account, Fault, Hang, Operation, SimRecording
from archiver.simulator.server import utc_now
from tests.support.commands import Event, Process
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

CALLS = calls(4)
OFTEN = {"every": "1s"}


def well(event: Event) -> bool:
    """A pass in which nothing went wrong."""
    return event["exit_code"] == 0


@pytest.fixture
def here(desk: MakeDesk) -> Iterator[Desk]:
    """A world for a daemon that does a pass every second."""
    made = desk(Account(recordings=CALLS), sync=OFTEN)
    yield made
    made.backstage.do(made.simulator.heal)


def hang(desk: Desk, recording: int) -> None:
    """Let the next download of a recording wait until it is released."""
    desk.simulator.script(Fault(on=Operation.AUDIO, do=Hang(), recording=recording))


def recent(number: int) -> SimRecording:
    """A call of an hour ago: passes look back over three days."""
    return replace(CALLS[0], id=number, start=utc_now().replace(microsecond=0) - timedelta(hours=1))


def next_good_pass(process: Process) -> None:
    """Wait for a pass that ends from now on, and well."""
    done = [one for one in process.events("pass_finished") if well(one)]
    process.wait_for("pass_finished", count=len(done) + 1, where=well)


def named(process: Process) -> set[str]:
    """Names of all events; every line must be one."""
    return {str(json.loads(line)["event"]) for line in process.lines}


def test_a_pass_at_once_and_again_one_at_a_time(here: Desk) -> None:
    """While one hangs no other begins; what came in the meantime is found by the next; SIGTERM ends it with 0."""
    hang(here, 2)
    with here.start("run") as daemon:
        here.arrived(Operation.AUDIO, 4)
        assert len(here.query("select * from runs")) == 1
        here.backstage.do(lambda: here.simulator.put(recent(5)))
        here.backstage.do(here.simulator.release)
        daemon.wait_for("pass_finished", count=3)
        assert daemon.stop() == 0

    assert set(here.states().values()) == {"verified"}
    assert len(here.states()) == 5
    runs = here.query("select started_at, finished_at from runs order by started_at")
    assert all(finished <= started for (_, finished), (started, _) in pairwise(runs))  # type: ignore[operator]
    assert [one["accounts"] for one in daemon.events("daemon_started")] == [["acme"]]
    assert len(daemon.events("daemon_stopped")) == 1
    assert daemon.out == ""


def test_two_daemons_never_work_on_the_same_stage(here: Desk) -> None:
    """The second says so in each of its passes; every recording is fetched once and lies in the bucket once."""
    hang(here, 1)
    with here.start("run") as first:
        here.arrived(Operation.AUDIO)
        with here.start("run") as second:
            second.wait_for("stage_busy", count=4, where=lambda event: event["stage"] == "transfer")
            here.backstage.do(here.simulator.release)
            next_good_pass(first)
            next_good_pass(second)
            assert (first.stop(), second.stop()) == (0, 0)

    assert here.simulator.requests.audio == {call.id: 1 for call in CALLS}
    assert len(here.objects()) == 2 * len(CALLS)
    claims = here.query("select recording_id, count(*) from history where after = 'transferring' group by recording_id")
    assert sorted(claims) == [(str(call.id), 1) for call in CALLS]
    # no library speaks in between, although the first pass took much longer than the pause between passes
    ordinary = {"daemon_started", "pass_finished", "stopping", "daemon_stopped"}
    # whoever comes first copies; and a pass each second leaves a listing early on a busy machine
    either = {"stage_busy", "decisions_copied", "listing_goes_on_later"}
    assert named(first) - either == named(second) - either == ordinary


def test_it_waits_for_the_database_at_start(here: Desk) -> None:
    """With growing pauses, and begins as soon as there is one."""
    here.backstage.call(here.gate.shut())
    with here.start("run") as daemon:
        awaited = [daemon.wait_for("neighbour_awaited", count=count) for count in (1, 2)]
        assert [one["seconds"] for one in awaited] == [2.0, 4.0]
        assert "database.url" in str(awaited[0]["hint"])
        here.backstage.call(here.gate.open())
        next_good_pass(daemon)
        assert daemon.stop() == 0
    assert set(here.states().values()) == {"verified"}


def test_it_outlives_the_loss_of_the_database(here: Desk) -> None:
    """In the middle of a transfer, too: what was not recorded is done again, and nothing is there twice."""
    hang(here, 3)
    with here.start("run") as daemon:
        here.arrived(Operation.AUDIO, 4)
        here.backstage.call(here.gate.shut())
        here.backstage.do(here.simulator.release)
        daemon.wait_for("neighbour_awaited")
        here.backstage.call(here.gate.open())
        next_good_pass(daemon)
        assert daemon.stop() == 0

    assert set(here.states().values()) == {"verified"}
    assert len(here.objects()) == 2 * len(CALLS)
    assert daemon.events("bug") == []


def test_it_outlives_the_loss_of_the_source(here: Desk) -> None:
    """Each pass says that the source is away; nothing is called missing for it."""
    with here.start("run") as daemon:
        next_good_pass(daemon)
        here.backstage.call(here.simulator.stop())
        stopped = daemon.wait_for("stage_stopped")
        assert (stopped["stage"], stopped["kind"]) == ("discover", "Unreachable")
        here.backstage.do(lambda: here.simulator.put(recent(5)))
        here.backstage.call(here.simulator.start())
        next_good_pass(daemon)
        assert daemon.stop() == 0
    assert here.states() == {str(number): "verified" for number in range(1, 6)}


def test_it_outlives_the_loss_of_the_bucket(here: Desk) -> None:
    """A bucket that nobody listens for: the recordings stay due, and the daemon goes on."""
    here.world.section("vault")["endpoint_url"] = "http://127.0.0.1:9"
    with here.start("run") as daemon:
        daemon.wait_for("stage_stopped", where=lambda event: event["stage"] == "transfer")
        assert daemon.process.poll() is None
        assert daemon.stop() == 0
    assert set(here.states().values()) == {"discovered"}


def test_a_refused_token_is_said_in_every_pass(here: Desk) -> None:
    """It keeps running: a person renews the token outside, and the log tells what to do until then."""
    here.simulator.revoke_tokens(static=True)
    with here.start("run") as daemon:
        said = [daemon.wait_for("stage_stopped", count=count) for count in (1, 2)]
        assert [one["kind"] for one in said] == ["AccessDenied", "AccessDenied"]
        assert said[0]["run_id"] != said[1]["run_id"]
        assert all("token" in str(one["hint"]) for one in said)
        assert daemon.stop() == 0


def test_without_tables_it_does_not_start(here: Desk) -> None:
    """A schema is a person's decision: exit 2 with what to do, instead of waiting for ever."""
    here.change("drop table alembic_version")
    done = here.run("run")
    assert done.code == 2
    assert "archiver db upgrade" in done.err


def test_it_ends_when_the_tables_are_changed_under_it(here: Desk) -> None:
    """Going on would be wrong: exit 2, and no pass more."""
    with here.start("run") as daemon:
        next_good_pass(daemon)
        here.change("alter table runs rename to runs_of_a_newer_version")
        assert daemon.ended() == 2
    assert "archiver db upgrade" in daemon.log
    assert daemon.events("bug") == []

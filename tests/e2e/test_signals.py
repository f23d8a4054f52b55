"""Signals: what is in flight may finish within the grace, else it is handed back; a second one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from signal import SIGINT, SIGTERM

import pytest

from archiver.simulator import Account, Fault, Hang, Operation, StallAfter
from archiver.simulator.faults import Action
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls

CALLS = calls(4)


@pytest.fixture
def here(desk: MakeDesk) -> Iterator[Desk]:
    """A world in which one recording is transferred after the other."""
    made = desk(Account(recordings=CALLS), sync={"every": "1s", "concurrency": 1})
    yield made
    made.backstage.do(made.simulator.heal)


def slow(desk: Desk, action: Action, recording: int = 2) -> None:
    """Let the next download of a recording take its time."""
    desk.simulator.script(Fault(on=Operation.AUDIO, do=action, recording=recording))


@pytest.mark.parametrize(
    ("command", "number", "code"), [("run", SIGTERM, 0), ("sync", SIGINT, 130), ("sync", SIGTERM, 130)]
)
def test_what_is_in_flight_is_finished(here: Desk, command: str, number: signal.Signals, code: int) -> None:
    """And nothing new is begun; what had been claimed is free again, its attempt not counted."""
    slow(here, Hang())
    with here.start(command) as process:
        here.arrived(Operation.AUDIO, 2)
        process.signal(number)
        process.wait_for("stopping")
        here.backstage.do(here.simulator.release)
        assert process.ended() == code

    entries = here.entries()
    assert {identity: str(entry.state) for identity, entry in entries.items()} == {
        "1": "stored", "2": "stored", "3": "discovered", "4": "discovered",
    }  # fmt: skip
    assert (entries["3"].attempts, entries["3"].problem) == (0, None)
    assert process.events("grace_over") == []
    assert "Traceback" not in process.log
    assert here.query("select exit_code from runs") == [(130,)]  # not done, and no bug either
    assert here.run("sync").code == 0
    assert here.simulator.requests.audio == {1: 1, 2: 1, 3: 1, 4: 1}


@pytest.mark.parametrize("action", [Hang(), StallAfter(500)], ids=["no answer", "half a body"])
def test_after_the_grace_it_is_handed_back(here: Desk, action: Action) -> None:
    """Due again at once, without an attempt more and without a problem; nothing of it is in the bucket."""
    here.world.section("sync")["shutdown_grace"] = "1s"
    slow(here, action)
    with here.start("run") as daemon:
        here.arrived(Operation.AUDIO, 2)
        assert daemon.stop() == 0
        assert daemon.wait_for("grace_over")["grace"] == 1.0

    entry = here.entries()["2"]
    assert (str(entry.state), entry.attempts, entry.problem, entry.key) == ("discovered", 0, None, None)
    assert len(here.objects()) == 2
    assert "Traceback" not in daemon.log
    here.backstage.do(here.simulator.heal)
    assert here.run("sync").code == 0
    assert set(here.states().values()) == {"verified"}


@pytest.mark.parametrize(("command", "number"), [("run", SIGTERM), ("sync", SIGINT)])
def test_a_second_signal_ends_it_at_once(here: Desk, command: str, number: signal.Signals) -> None:
    """128 plus its number; the next process finds what was claimed and takes it up."""
    slow(here, Hang())
    with here.start(command) as process:
        here.arrived(Operation.AUDIO, 2)
        process.signal(number)
        process.wait_for("stopping")
        process.signal(number)
        assert process.ended() == 128 + number
        assert [one["signal"] for one in process.events("stopped_at_once")] == [number]

    assert here.states()["2"] == "transferring"
    here.backstage.do(here.simulator.heal)
    after = here.run("sync")
    assert after.code == 0
    assert len(after.of("claims_recovered")) == 1
    assert set(here.states().values()) == {"verified"}


def test_a_signal_ends_the_wait_for_a_neighbour(here: Desk) -> None:
    """Nothing has begun, so there is nothing to finish."""
    here.backstage.call(here.gate.shut())
    with here.start("run") as daemon:
        daemon.wait_for("neighbour_awaited")
        assert daemon.stop() == 0


def test_deleting_can_be_interrupted(here: Desk) -> None:
    """What was asked of the source is recorded; the rest stays, and the same plan can be applied again."""
    here.world.section("sync")["concurrency"] = 1
    here.policies(DAILY)
    assert here.run("sync").code == 0
    here.policies(DAILY, mode="automatic", max_percent=100)
    plan = here.folder / "plan.json"
    assert here.run("plan", "--out", str(plan)).code == 0
    here.simulator.script(Fault(on=Operation.DELETE, do=Hang(), recording=2))
    with here.start("apply", str(plan)) as process:
        here.arrived(Operation.DELETE, 2)
        process.signal(SIGINT)
        process.wait_for("stopping")
        here.backstage.do(here.simulator.release)
        assert process.ended() == 130

    assert here.states() == {"1": "purged", "2": "purged", "3": "verified", "4": "verified"}
    again = here.run("apply", str(plan))
    assert again.code == 0
    assert "2 deleted at the source" in again.out
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4]

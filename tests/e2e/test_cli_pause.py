"""pause and resume: one switch for all deletion, in every process."""

from __future__ import annotations

from archiver.simulator import Account, Fault, Hang, Operation
from tests.support.desk import DAILY, MakeDesk
from tests.support.world import calls

ASHA = "Asha Rao"
AUTOMATIC = {"mode": "automatic", "max_percent": 100}


def test_a_pause_stops_all_deletion_and_nothing_else(desk: MakeDesk) -> None:
    """Archiving goes on; status says who, when and why; a plan waits, and is applied after the pause."""
    here = desk(Account(recordings=calls(3)))
    assert "--reason" in here.refuses(2, "pause")
    assert "Deletion was not paused." in here.does("resume", "--by", ASHA)
    told = here.does("pause", "--reason", "auditor on site", "--by", ASHA)
    assert f"by {ASHA}: auditor on site" in told
    here.policies(DAILY, **AUTOMATIC)
    done = here.run("sync")
    assert done.code == 0
    assert "3 archived" in done.out
    assert [str(event["reason"]) for event in done.of("deletion_paused")] == ["all deletion is paused: auditor on site"]

    path = str(here.folder / "plan.json")
    assert "apply will refuse this plan: all deletion is paused" in here.does("plan", "--out", path, "--by", ASHA)
    assert "all deletion is paused" in here.refuses(4, "apply", path)
    assert f"by {ASHA}: auditor on site" in here.does("status")
    paused = here.run("status", "--json").section("deletion_paused")
    assert (paused["by"], paused["reason"], paused["event"]) == (ASHA, "auditor on site", "paused")
    assert "all deletion is paused: archiver resume" in here.does("explain", "1")
    assert here.run("explain", "1", "--json").answer["paused"] == "all deletion is paused: auditor on site"
    assert here.simulator.requests.deletes == []

    assert "a second reason" in here.does("pause", "--reason", "a second reason", "--by", "Meera")
    assert "no longer paused" in here.does("resume", "--by", "Meera", "--reason", "the auditor has left")
    assert here.run("status", "--json").answer["deletion_paused"] is None
    assert "3 deleted at the source" in here.does("apply", path)


def test_a_pause_reaches_a_process_that_is_deleting(desk: MakeDesk) -> None:
    """What the source was asked for is recorded; the rest stays, is counted, and can be deleted by the same plan."""
    here = desk(Account(recordings=calls(4)), sync={"concurrency": 1})
    here.does("sync")
    here.policies(DAILY, **AUTOMATIC)
    path = str(here.folder / "plan.json")
    here.does("plan", "--out", path, "--by", ASHA)
    here.simulator.script(Fault(on=Operation.DELETE, do=Hang(), recording=2))
    with here.start("apply", path) as process:
        here.arrived(Operation.DELETE, 2)
        told = here.does("pause", "--reason", "stop", "--by", ASHA)
        here.backstage.do(here.simulator.release)
        assert process.ended() == 0
    assert "1 deletions had begun before" in told
    assert sorted(here.simulator.requests.deletes) == [1, 2]
    assert "paused 2" in process.out
    assert here.states() == {"1": "purged", "2": "purged", "3": "verified", "4": "verified"}

    here.does("resume", "--by", ASHA)
    assert "2 deleted at the source" in here.does("apply", path)
    assert "this plan was used on" in here.refuses(4, "apply", path)

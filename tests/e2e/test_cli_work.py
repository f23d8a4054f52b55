"""sync and verify: what they answer, and every exit code that they have."""

from __future__ import annotations

from typing import cast

import pytest

from archiver.simulator import Account, Fault, Html, Operation, Status, audio_bytes
from tests.support.commands import Done
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.stores import free_port
from tests.support.world import calls, key_of

CALLS = calls(4)


def gap(recording: int) -> Fault:
    """A recording that has an error page for audio."""
    return Fault(on=Operation.AUDIO, do=Html(), recording=recording, times=None)


def counts(done: Done) -> dict[str, object]:
    """What an answer says of account acme."""
    return cast("dict[str, object]", done.section("accounts")["acme"])


def test_a_pass_that_is_all_well_is_exit_0(desk: MakeDesk) -> None:
    """The second finds nothing to do; the bucket holds what the source sent."""
    here = desk(Account(recordings=CALLS))
    first, second = here.run("sync", "--json"), here.run("sync")

    assert (first.code, first.answer["exit_code"], first.answer["gaps"]) == (0, 0, [])
    assert {name: counts(first)[name] for name in ("new", "archived", "verified", "deleted")} == {
        "new": 4, "archived": 4, "verified": 4, "deleted": 0,
    }  # fmt: skip
    objects = here.objects()
    assert {objects[key_of(call)] for call in CALLS} == {audio_bytes(call.id, call.size) for call in CALLS}
    assert second.code == 0
    assert second.out.startswith("acme: nothing to do")
    assert "No gap is open." in second.out


def test_a_pass_that_leaves_a_gap_is_exit_3(desk: MakeDesk) -> None:
    """The others are archived; the gap is named with its reason, in both forms."""
    here = desk(Account(recordings=CALLS, faults=(gap(2),)))
    told = here.run("sync")
    assert told.code == 3
    assert "3 archived" in told.out
    assert "Open gaps: 1" in told.out
    assert "the body is a web page, not audio" in told.out

    listed = here.run("sync", "--json")
    assert listed.code == 3
    (found,) = listed.rows("gaps")
    assert (found["account"], found["recording_id"], found["kind"]) == ("acme", "2", "retrying")
    assert found["since"] == CALLS[1].start.isoformat()


def test_a_source_out_of_reach_is_exit_5(desk: MakeDesk) -> None:
    """Nothing is recorded as missing because of that; the next pass goes on."""
    here = desk(Account(recordings=CALLS))
    here.backstage.call(here.simulator.stop())
    down = here.run("sync")
    assert down.code == 5
    assert "stopped in discover" in down.out
    assert [one["hint"] for one in down.of("stage_stopped")] == ["try `archiver doctor`; the next pass tries again"]

    here.backstage.call(here.simulator.start())
    assert here.run("sync").code == 0
    assert set(here.states().values()) == {"verified"}


def test_a_refused_token_is_exit_5(desk: MakeDesk) -> None:
    here = desk(Account(recordings=CALLS))
    here.world.section("accounts")["auth"] = {"token": "expired"}
    done = here.run("sync", "--json")
    assert (done.code, done.answer["exit_code"]) == (5, 5)
    assert "new token" in str(done.of("stage_stopped")[0]["hint"])
    assert "expired" not in done.err


def test_a_database_out_of_reach_is_exit_5(desk: MakeDesk) -> None:
    """For every command that needs it, with a hint and without a traceback."""
    here = desk(Account(recordings=CALLS))
    here.backstage.call(here.gate.shut())
    for words in (
        "sync",
        "verify",
        "plan",
        "status",
        "search",
        "explain 1",
        "fetch 1 -o x",
        "retry --all",
        "db upgrade",
    ):
        done = here.run(*words.split())
        assert (done.code, done.out) == (5, ""), done
        assert "database.url" in done.err


def test_a_bucket_out_of_reach_is_exit_5(desk: MakeDesk) -> None:
    """What was listed stays listed, and nothing counts as failed for it."""
    here = desk(Account(recordings=CALLS))
    whole = dict(here.world.section("vault"))
    here.world.section("vault")["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    down = here.run("sync")
    assert down.code == 5
    assert set(here.states().values()) == {"discovered"}

    here.world.section("vault").update(whole)
    here.change("update recordings set next_attempt_at = now()")
    assert here.run("sync").code == 0


def test_deletions_beyond_a_limit_are_exit_4(desk: MakeDesk) -> None:
    """Everything else of the pass is done; nothing at all is deleted."""
    here = desk(Account(recordings=CALLS))
    here.policies(DAILY, mode="automatic", max_percent=50)
    done = here.run("sync", "--json")

    assert (done.code, done.answer["exit_code"]) == (4, 4)
    assert counts(done)["verified"] == 4
    assert "max_percent 50" in str(done.of("deletion_refused")[0]["reason"])
    assert here.simulator.requests.deletes == []

    for_people = here.run("sync")
    assert for_people.code == 4
    assert "deletion refused: account acme" in for_people.out
    assert "nothing was deleted" in for_people.out


def test_automatic_deletion_within_the_limits(desk: MakeDesk) -> None:
    """The pass that archives also deletes what is due."""
    here = desk(Account(recordings=CALLS))
    here.policies(DAILY, mode="automatic", max_percent=100)
    done = here.run("sync")
    assert done.code == 0
    assert "4 deleted at the source" in done.out
    assert sorted(here.simulator.requests.deletes) == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def archive(module_desk: MakeDesk) -> Desk:
    """An archive whose second copy was altered and whose third is gone; nobody has noticed."""
    made = module_desk(Account(recordings=CALLS))
    assert made.run("sync").code == 0
    made.spoil(key_of(CALLS[1]))
    made.world.store.client.delete_object(Bucket=made.world.bucket, Key=key_of(CALLS[2]))
    return made


def test_verify_without_anything_looks_at_what_is_new(archive: Desk) -> None:
    """Everything was verified by the pass, so there is nothing to do."""
    done = archive.run("verify", "--json")
    assert done.code == 0
    assert counts(done)["verified"] == 0


def test_verify_finds_what_was_altered_or_lost(desk: MakeDesk) -> None:
    """By id or altogether: exit 3, and the reason for each; a copy that is good again ends the quarantine."""
    here = desk(Account(recordings=CALLS))
    assert here.run("sync").code == 0
    good = here.objects()[key_of(CALLS[1])]
    here.spoil(key_of(CALLS[1]))
    here.world.store.client.delete_object(Bucket=here.world.bucket, Key=key_of(CALLS[2]))

    one = here.run("verify", "1")
    assert (one.code, one.out) == (0, "acme: 1 good, 0 bad\n")
    told = here.run("verify", "--all")
    assert told.code == 3
    assert told.out.startswith("acme: 2 good, 2 bad\n")
    assert {line.split(":")[0].strip() for line in told.out.splitlines()[1:]} == {"2", "3"}
    assert here.states() == {"1": "verified", "2": "quarantined", "3": "quarantined", "4": "verified"}

    here.spoil(key_of(CALLS[1]), good)
    assert here.run("verify", "2", "--json").code == 0
    assert here.states()["2"] == "verified"


def test_verify_of_what_has_no_copy_is_exit_2(archive: Desk) -> None:
    done = archive.run("verify", "99")
    assert (done.code, done.out) == (2, "")
    assert "99" in done.err


def test_one_recording_that_cannot_be_had_is_exit_3(desk: MakeDesk) -> None:
    """404 for the audio of one recording: a gap, not a stop."""
    missing = Fault(on=Operation.AUDIO, do=Status(404), recording=1, times=None)
    here = desk(Account(recordings=CALLS, faults=(missing,)))
    assert here.run("sync").code == 3
    assert sorted(here.states().values()) == ["discovered", "verified", "verified", "verified"]

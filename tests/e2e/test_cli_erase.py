"""erase: done, or a plan that does it when a second person agrees, or the rule that forbids it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from archiver.simulator import Account
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

ASHA, VIKRAM = "Asha Rao", "Vikram Iyer"
CALLS = calls(5)
KEEP = {"name": "desk", "match": {"dates": {"until": "2024-12-31"}}, "archive": {"keep_at_least": "1y"}}
MODES = {"mode": "approve", "max_percent": 100, "archive": {"max_percent": 100}}


def asked(desk: Desk, recording: str, *words: str) -> tuple[list[str], Path]:
    """Put a request together, and where its plan goes."""
    path = desk.folder / f"erase-{recording}.json"
    return ["erase", recording, "--reason", "DPDP request 9", "--by", ASHA, "--out", str(path), *words], path


def test_a_request_is_granted_by_two_people(desk: MakeDesk) -> None:
    """At the source and in the archive together, whatever the policies would wait for; then it is done, for good."""
    here = desk(Account(recordings=CALLS), locks=True)
    here.policies(KEEP, **{**MODES, "mode": "automatic"})
    here.does("sync")
    words, path = asked(here, "2")
    told = here.does(*words)
    assert "The plan erases recording 2 at the source and in the archive." in told
    assert f"archiver approve {path}" in told
    assert "not approved" in here.refuses(4, "apply", str(path))  # automatic or not
    assert "somebody else must approve it" in here.refuses(4, "approve", str(path), "--by", ASHA)
    assert "erasure requested" in here.does("approve", str(path), "--by", VIKRAM)
    done = here.does("apply", str(path))
    assert "1 deleted at the source, 1 deleted in the archive" in done
    assert here.simulator.requests.deletes == [2]
    assert [key for key in here.objects() if "-2." in key] == []
    assert {name: state for name, state in here.states().items() if state != "verified"} == {"2": "expired"}

    path.unlink()
    assert here.does(*words).startswith("Done: recording 2 was deleted in the archive on 20")
    answer = here.run(*words, "--json").answer
    assert (answer["done"], answer["plan"], answer["forbidden_by"]) == (True, None, None)
    assert not path.exists()
    (record,) = here.run("plans", "--json").answers
    assert record["purpose"] == "erasure on request: DPDP request 9"
    assert "DPDP request 9" in here.run("explain", "2", "--json").out
    assert "+91" not in here.does("explain", "2")


def forbidding(desk: Desk, recording: str = "1") -> dict[str, object]:
    """Ask for an erasure that is forbidden; returns by what. No plan may come of it."""
    words, path = asked(desk, recording, "--json")
    done = desk.run(*words)
    assert (done.code, done.answer["done"], done.answer["plan"]) == (4, False, None)
    told = desk.run(*words[:-1])
    forbidden = cast("dict[str, object]", done.answer["forbidden_by"])
    assert told.code == 4
    assert "Not possible: recording" in told.out
    assert not path.exists()
    assert desk.run("plans", "--json").answers == []
    return forbidden


def test_what_forbids_an_erasure_is_named(desk: MakeDesk) -> None:
    """A floor, a case, a policy that says never, a lock in the bucket: each with its name, as exit 4."""
    here = desk(Account(recordings=CALLS), locks=True)
    here.does("sync")
    here.policies({"name": "long", "archive": {"keep_at_least": "30y"}}, **MODES)
    floor = forbidding(here)
    assert (floor["reason"], floor["policy"]) == ("inside_floor", "long")
    assert str(floor["not_before"]).startswith("2054-01-31")

    here.policies({"name": "never", "source": {"delete_after": "never"}}, **MODES)
    assert (forbidding(here)["reason"], forbidding(here)["policy"]) == ("source_never", "never")
    here.policies(KEEP, **MODES)
    here.does("hold", "add", "case-1", "--reason", "x", "--by", ASHA, "--id", "1")
    held = forbidding(here)
    assert (held["reason"], held["holds"]) == ("on_hold", ["case-1"])

    client, bucket = here.world.store.client, here.world.bucket
    key = next(key for key in here.objects() if key.endswith("-3.mp3"))
    client.put_object_retention(
        Bucket=bucket, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": "2040-01-01T00:00:00Z"}
    )
    locked = forbidding(here, "3")
    assert (locked["reason"], str(locked["not_before"])[:4]) == ("locked", "2040")


def test_a_request_that_makes_no_sense_is_refused(desk: MakeDesk) -> None:
    """Unknown, without a reason, by nobody, or with nowhere to write: exit 2, and no plan on record."""
    here = desk(Account(recordings=CALLS))
    here.does("sync")
    here.policies(KEEP)
    words, path = asked(here, "1")
    assert "no recording 99" in here.refuses(2, "erase", "99", *words[2:])
    for option in ("--reason", "--by"):
        assert option in here.refuses(2, *words, option, " ")
    assert "cannot be written" in here.refuses(2, *words, "--out", str(here.folder / "no" / "plan.json"))
    assert here.run("plans", "--json").answers == []
    assert "apply will refuse this plan" in here.does(*words)
    here.does("approve", str(path), "--by", VIKRAM)
    assert "deletion at the source is disabled" in here.refuses(4, "apply", str(path))
    assert set(here.states().values()) == {"verified"}

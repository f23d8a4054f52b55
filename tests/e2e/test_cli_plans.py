"""plan, approve, apply and plans where deletion needs a second person, from the plan to its tombstones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import cast

import pytest

from archiver.simulator import Account, Fault, Hang, Operation
from tests.support import locksmith
from tests.support.commands import Done
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls

ASHA, VIKRAM = "Asha Rao", "Vikram Iyer"
APPROVE = {"mode": "approve", "max_percent": 100}
BOTH = {"name": "all", "source": {"delete_after": "30d"}, "archive": {"delete_after": "60d"}}


@pytest.fixture
def due(desk: MakeDesk) -> Desk:
    """An archive of which everything may be deleted at the source, once a second person agrees."""
    made = desk(Account(recordings=calls(4)))
    made.does("sync")
    made.policies(DAILY, **APPROVE)
    return made


@pytest.fixture(scope="module")
def kept(module_desk: MakeDesk) -> Desk:
    """The same, shared by the tests in which nothing is deleted."""
    made = module_desk(Account(recordings=calls(4)))
    made.does("sync")
    made.policies(DAILY, **APPROVE)
    return made


def planned(desk: Desk, name: str = "plan.json") -> str:
    """Have Asha write a plan; returns its path."""
    path = str(desk.folder / name)
    desk.does("plan", "--out", path, "--by", ASHA)
    return path


def nothing_was_deleted(desk: Desk) -> None:
    """Nothing may have happened, on either side."""
    assert desk.simulator.requests.deletes == []
    assert set(desk.states().values()) == {"verified"}


def account(done: Done) -> dict[str, object]:
    """What an answer says of account acme."""
    return cast("dict[str, object]", done.section("accounts")["acme"])


def test_two_people_and_a_plan_that_is_used_once(due: Desk) -> None:
    """The whole story: each refusal says what is missing, and the history says in the end who it was."""
    path = str(due.folder / "plan.json")
    told = due.does("plan", "--out", path, "--by", f"  {ASHA.replace(' ', '   ')} ")
    assert f"archiver approve {path}" in told
    digest = json.loads(Path(path).read_text())["digest"]
    assert f"digest {digest[:12]}" in told

    assert "this plan is not approved: nothing was deleted" in due.refuses(4, "apply", path)
    assert "somebody else must approve it" in due.refuses(4, "approve", path, "--by", "asha rao.")
    nothing_was_deleted(due)
    approved = due.does("approve", path, "--by", VIKRAM, "--reason", "ticket 12")
    assert "Delete at the source: 4" in approved
    assert "it can be applied once" in approved
    assert f"approved by {VIKRAM} already" in due.refuses(4, "approve", path, "--by", "Meera")
    assert "approved" in due.does("plans")

    done = due.run("apply", path, "--json")
    assert (done.code, done.answer["planned"], done.answer["used"], account(done)["deleted"]) == (0, 4, True, 4)
    assert "this plan was used on" in due.refuses(4, "apply", path)
    assert "this plan was used on" in due.refuses(4, "approve", path, "--by", "Meera")
    assert sorted(due.simulator.requests.deletes) == [1, 2, 3, 4]

    (record,) = due.run("plans", "--json").answers
    names = ("digest", "author", "approved_by", "purpose")
    assert [record[name] for name in names] == [digest, ASHA, VIKRAM, "retention, by the policies"]
    assert record["counts"] == {"source": {"delete": 4, "bytes": 8010}, "archive": {"delete": 0, "bytes": 0}}
    assert all(record[moment] for moment in ("written_at", "expires_at", "approved_at", "used_at"))
    assert "used 20" in due.does("plans")

    history = {step["after"]: step for step in due.run("explain", "1", "--json").rows("history")}
    under = {"plan": digest, "planned_by": ASHA, "approved_by": VIKRAM, "purpose": "retention, by the policies"}
    assert under.items() <= cast("dict[str, object]", history["purging"]["detail"]).items()
    assert f"(plan {digest[:12]}, approved by {VIKRAM})" in due.does("explain", "1")


def test_a_plan_edited_by_hand_is_refused(kept: Desk) -> None:
    """A changed letter shows in the digest; and with the digest made to fit, nobody has written this plan."""
    path = Path(planned(kept))
    for before, after in (('"recording_id": "4"', '"recording_id": "5"'), ("\n", "\r\n"), ("}\n", "}\n\n")):
        path.write_text(path.read_text().replace(before, after, 1), newline="")
        for words in (["approve", str(path), "--by", VIKRAM], ["apply", str(path)]):
            assert "altered" in kept.refuses(2, *words)
        path = Path(planned(kept))

    body, mark, _ = path.read_text().replace(f'"author": "{ASHA}"', '"author": "Nobody"').rpartition('"digest": "')
    forged = kept.folder / "forged.json"
    forged.write_text(f'{body}{mark}{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n')
    for words in (["approve", str(forged), "--by", VIKRAM], ["apply", str(forged)]):
        assert "was not written by this archive's plan command" in kept.refuses(4, *words)
    nothing_was_deleted(kept)


def test_a_plan_that_has_expired_is_refused(kept: Desk) -> None:
    """It is refused to whoever approves and to whoever applies, and the list says so."""
    path = planned(kept)
    kept.change("alter table controls disable trigger user")  # it is append-only
    past = """jsonb_set(cast(detail as jsonb), '{expires_at}', '"20240101T000000Z"')"""
    kept.change(f"update controls set detail = cast({past} as json) where kind = 'plan'")
    kept.change("alter table controls enable trigger user")
    for words in (["approve", path, "--by", VIKRAM], ["apply", path]):
        assert "this plan expired on 2024-01-01 00:00:00 UTC" in kept.refuses(4, *words)
    assert {row.split()[-1] for row in kept.does("plans").splitlines()[1:]} == {"expired"}
    nothing_was_deleted(kept)


def test_an_approval_is_for_these_policies_and_this_switch(kept: Desk) -> None:
    """Approved, and yet: other policies, a disabled switch, and a policies file that lost the account's say."""
    path = planned(kept)
    kept.does("approve", path, "--by", VIKRAM)
    kept.policies({**DAILY, "name": "renamed"}, **APPROVE)
    assert "under other policies than the present ones" in kept.refuses(4, "apply", path)
    kept.policies(DAILY)
    assert "deletion at the source is disabled: nothing was deleted" in kept.refuses(4, "apply", path)
    kept.policies(DAILY, **APPROVE)
    nothing_was_deleted(kept)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "Asha\x1b[2J", "42", "\u3164"])
def test_a_name_that_is_none_is_refused(kept: Desk, name: str) -> None:
    """Whoever plans or approves must be somebody; nothing is written for nobody."""
    path = kept.folder / f"{hash(name)}.json"
    assert "--by" in kept.refuses(2, "plan", "--out", str(path), "--by", name)
    assert not path.exists()


def test_two_operators_apply_the_same_plan_at_once(due: Desk) -> None:
    """The second one is told so, and nothing is asked twice of the source."""
    path = planned(due)
    due.does("approve", path, "--by", VIKRAM)
    due.simulator.script(Fault(on=Operation.DELETE, do=Hang()))
    with due.start("apply", path) as first:
        due.arrived(Operation.DELETE)
        said = due.refuses(4, "apply", path)
        due.backstage.do(due.simulator.release)
        assert first.ended() == 0
    assert "another process is applying this plan at this moment" in said
    assert "this plan was used on" in due.refuses(4, "apply", path)
    assert sorted(due.simulator.requests.deletes) == [1, 2, 3, 4]


def test_the_archive_lets_go_what_two_people_agree_on(desk: MakeDesk) -> None:
    """Caps of its own, all versions, a tombstone without anybody's number, and nothing left to fetch."""
    here = desk(Account(recordings=calls(4)), locks=True)
    here.policies(BOTH, mode="automatic", max_percent=100)
    assert "4 deleted at the source" in here.does("sync")
    path = planned(here)
    here.does("approve", path, "--by", VIKRAM)
    assert "deletion.archive.max_percent 5 allows 1 of the 4 that are there" in here.refuses(4, "apply", path)
    here.policies(BOTH, mode="automatic", archive={"max_percent": 100, "max_per_run": 3})
    assert "deletion.archive.max_per_run allows 3" in here.refuses(4, "apply", path)
    assert "More than deletion.archive.max_per_run (3)" in here.does("plan")
    assert len(here.objects()) == 8

    here.policies(BOTH, mode="automatic", archive={"max_percent": 100})
    assert "4 deleted in the archive" in here.does("apply", path)
    assert here.objects() == {}
    assert here.backstage.call(locksmith.versions(here.world)) == {}
    assert "expired 4" in here.does("status")
    (tombstone, *_) = here.run("search", "--state", "expired", "--json").answers
    assert (tombstone["caller_id"], tombstone["dnis"], tombstone["size"]) == (None, None, 2004)
    assert "was deleted in the archive on 20" in here.refuses(2, "fetch", "1", "-o", str(here.folder / "1.mp3"))
    assert "Delete in the archive: 0" in here.does("plan")


def test_other_policies_count_after_a_while(desk: MakeDesk) -> None:
    """What the earlier ones would have kept stays for seven days, said by plan, explain and check; renaming is none."""
    here = desk(Account(recordings=calls(3)))
    here.world.policies = {"policies": [{"name": "old", "source": {"delete_after": "90y"}}]}
    here.does("sync")
    here.world.policies = {"policies": [DAILY], "deletion": {"mode": "automatic", "max_percent": 100}}
    changed = here.run("plan")
    assert "keep 3: cooling off" in changed.out
    (event,) = changed.of("policies_changed")
    assert str(event["cooling_off_until"]) > "2026"
    assert "no longer" not in here.does("sync")
    nothing_was_deleted(here)
    told = here.does("explain", "1")
    assert "the policies have changed, and the earlier ones, which keep it, bind until 20" in told
    assert "would change it  at the source: time, on 20" in told

    other = desk(Account(recordings=calls(3)))
    other.world.policies = {"policies": [DAILY]}
    other.does("sync")
    renamed = {"policies": [{**DAILY, "name": "renamed"}], "deletion": {"mode": "automatic", "max_percent": 100}}
    other.world.policies = renamed
    assert "3 deleted at the source" in other.does("sync")

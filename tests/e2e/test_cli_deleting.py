"""plan and apply: exactly what a person has read is deleted, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from archiver.simulator import Account
from tests.support.commands import Done
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls, key_of

CALLS = calls(4)
ON = {"mode": "automatic", "max_percent": 100}


@pytest.fixture
def due(desk: MakeDesk) -> Desk:
    """An archive of which everything may be deleted at the source, once deletion is switched on."""
    made = desk(Account(recordings=CALLS))
    assert made.run("sync").code == 0
    made.policies(DAILY, **ON)
    return made


@pytest.fixture(scope="module")
def _shared(module_desk: MakeDesk) -> Desk:
    made = module_desk(Account(recordings=CALLS))
    assert made.run("sync").code == 0
    return made


@pytest.fixture
def kept(_shared: Desk) -> Desk:
    """The same, shared by the tests in which nothing is deleted."""
    _shared.policies(DAILY, **ON)
    return _shared


def planned(desk: Desk) -> Path:
    """Write a plan."""
    path = desk.folder / "plan.json"
    assert desk.run("plan", "--out", str(path)).code == 0
    return path


def counts(done: Done) -> dict[str, object]:
    """What the answer of apply says of account acme."""
    return cast("dict[str, object]", done.section("accounts")["acme"])


def test_a_plan_changes_nothing(kept: Desk) -> None:
    """It shows what would be deleted, by which policy, and what stays with the reason."""
    kept.policies({"name": "old", "match": {"extensions": ["2101"]}, "source": {"delete_after": "30d"}})
    done = kept.run("plan")
    assert done.code == 0
    assert "Delete at the source: 4" in done.out
    assert "deletion.mode is disabled" in done.out
    assert len([line for line in done.out.splitlines() if line.rstrip().endswith(" old")]) == 4
    assert kept.simulator.requests.deletes == []
    assert set(kept.states().values()) == {"verified"}

    kept.policies({"name": "old", "match": {"extensions": ["9*"]}, "source": {"delete_after": "30d"}})
    assert "keep 4: no policy" in kept.run("plan").out


def test_what_is_printed_as_json_is_a_plan(due: Desk) -> None:
    """`archiver plan --json > FILE` and `--out FILE` give the same: apply takes both."""
    path = due.folder / "written.json"
    done = due.run("plan", "--json", "--out", str(path))
    assert done.out == path.read_text()
    assert json.loads(done.out)["totals"]["source"]["delete"] == 4

    printed = due.folder / "printed.json"
    printed.write_text(done.out)
    applied = due.run("apply", str(printed))
    assert applied.code == 0
    assert "4 deleted at the source" in applied.out
    assert sorted(due.simulator.requests.deletes) == [1, 2, 3, 4]
    assert set(due.states().values()) == {"purged"}


def test_a_plan_that_cannot_be_written_is_exit_2(kept: Desk) -> None:
    done = kept.run("plan", "--out", str(kept.folder / "no" / "plan.json"))
    assert done.code == 2
    assert "cannot be written" in done.err


def test_a_plan_holds_nobody(kept: Desk) -> None:
    """It is sent around to be read: no number of a caller is in it."""
    done = kept.run("plan", "--json")
    assert "+91" not in done.out


def test_applied_a_second_time_it_deletes_nothing(due: Desk) -> None:
    """A plan is used once: exit 4, and the answer says when it was. A new one names nothing, with the reason."""
    path = planned(due)
    first = due.run("apply", str(path), "--json")
    assert (first.code, first.answer["planned"], first.answer["used"]) == (0, 4, True)
    again = due.run("apply", str(path))
    assert (again.code, again.out) == (4, "")
    assert "this plan was used on 20" in again.err
    assert "keep 4: already purged" in due.run("plan").out
    assert sorted(due.simulator.requests.deletes) == [1, 2, 3, 4]


def test_each_copy_is_checked_again_before_its_deletion(due: Desk) -> None:
    """The one that was altered since is kept and goes into quarantine: exit 3."""
    path = planned(due)
    due.spoil(key_of(CALLS[1]))
    done = due.run("apply", str(path), "--json")
    assert done.code == 3
    assert counts(done)["quarantined"] == 1
    assert done.answer["used"] is False  # not carried out to its end: it can be applied again
    assert sorted(due.simulator.requests.deletes) == [1, 3, 4]
    assert due.states()["2"] == "quarantined"


def refused(desk: Desk, path: Path, code: int, said: str) -> None:
    """Apply; nothing may be deleted, and the reason is told."""
    done = desk.run("apply", str(path), "--json")
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert desk.simulator.requests.deletes == []
    assert set(desk.states().values()) == {"verified"}


def test_a_plan_of_other_policies_is_refused(kept: Desk) -> None:
    """Exit 4, even if the new ones permit the same."""
    path = planned(kept)
    kept.policies(DAILY, {"name": "complaints", "source": {"delete_after": "never"}}, **ON)
    refused(kept, path, 4, "archiver plan --out FILE")


def test_where_deletion_is_disabled_a_plan_is_refused(kept: Desk) -> None:
    """Exit 4: the switch is part of what the plan was made under, or it is asked again."""
    kept.policies(DAILY)
    refused(kept, planned(kept), 4, "deletion at the source is disabled: nothing was deleted")


@pytest.mark.parametrize(("limit", "value"), [("max_per_run", 3), ("max_percent", 75)])
def test_a_plan_beyond_a_limit_is_refused(kept: Desk, limit: str, value: int) -> None:
    """Exit 4, as a whole: a part of a plan is not what was read."""
    kept.policies(DAILY, **{**ON, limit: value})
    refused(kept, planned(kept), 4, f"{limit} {'allows ' if limit == 'max_per_run' else ''}{value}")


def test_an_altered_plan_is_refused(kept: Desk) -> None:
    """Exit 2, with a word."""
    path = planned(kept)
    path.write_text(path.read_text().replace('"recording_id": "1"', '"recording_id": "7"'))
    refused(kept, path, 2, "altered")


@pytest.mark.parametrize("content", [None, b"", b"hello", b"{}", b"\xff\xfe", b"[" * 10_000])
def test_what_is_no_plan_is_refused(kept: Desk, content: bytes | None) -> None:
    """Exit 2: missing, empty, no JSON, no text, or built to break a parser."""
    path = kept.folder / "none.json"
    if content is not None:
        path.write_bytes(content)
    refused(kept, path, 2, "error: ")

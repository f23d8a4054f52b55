"""explain: every policy and case, the dates, the decisions, and what would change them; for people and as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from archiver.simulator import Account
from tests.support.desk import Desk, MakeDesk
from tests.support.world import calls

CALLS = tuple(
    replace(call, **({"direction": None, "extensions": ()} if call.id == 2 else {}))  # type: ignore[arg-type]
    for call in calls(3)
)
POLICIES = (
    {
        "name": "everyone",
        "source": {"delete_after": "30d"},
        "archive": {"keep_at_least": "1y", "delete_after": "20y", "lock": "governance"},
    },
    {"name": "desk", "match": {"extensions": ["2*"]}, "archive": {"keep_at_least": "15y", "delete_after": "25y"}},
    {"name": "abroad", "match": {"directions": ["OUTBOUND"]}, "source": {"delete_after": "40y"}},
)


@pytest.fixture(scope="module")
def archive(module_desk: MakeDesk) -> Desk:
    """Three recordings under three policies, locked in the bucket; the second one came without its direction."""
    made = module_desk(Account(recordings=CALLS), locks=True)
    made.policies(*POLICIES, mode="approve", max_percent=100)
    made.does("sync")
    made.does("hold", "add", "case-1", "--reason", "x", "--by", "Asha", "--id", "3")
    made.does("sync")
    return made


def told(desk: Desk, recording: str) -> dict[str, list[str]]:
    """What explain says, line by line, by label."""
    lines: dict[str, list[str]] = {}
    for line in desk.does("explain", recording).split("History")[0].splitlines():
        label, _, value = line.strip().partition("  ")
        lines.setdefault(label, []).append(value)
    return lines


def test_both_forms_tell_the_same(archive: Desk) -> None:
    """Policies, dates with the policy that sets them, the lock, the decisions, and what would change them."""
    said, answer = told(archive, "1"), archive.run("explain", "1", "--json").answer
    assert said["policies"] == ["desk, everyone"]
    assert answer["policies"] == [{"policy": "desk", "matches": "yes"}, {"policy": "everyone", "matches": "yes"}]
    bounds = {
        "source from": ("source_not_before", "2024-03-01T12:02:00+00:00", "everyone"),
        "archive floor": ("archive_floor", "2039-01-31T12:02:00+00:00", "desk"),
        "archive ceiling": ("archive_ceiling", "2044-01-31T12:02:00+00:00", "everyone"),
    }
    for label, (name, at, policy) in bounds.items():
        assert answer[name] == {"at": at, "policy": policy}
        assert said[label] == [f"{at[:19].replace('T', ' ')}Z (policy {policy})"]
    assert answer["lock"] == answer["lock_wanted"] == {"mode": "governance", "until": "2039-01-31T12:02:00+00:00"}
    assert said["lock"] == [
        "governance until 2039-01-31 12:02:00Z; wanted: governance until 2039-01-31 12:02:00Z",
    ]
    decisions = {"at the source": ("source", "due"), "in the archive": ("archive", "inside_floor")}
    for label, (name, reason) in decisions.items():
        decision = cast("dict[str, object]", answer[name])
        assert decision["reason"] == reason
        assert said[label] == [f"{str(decision['action']).replace('_', ' ')}: {decision['sentence']}"]
    assert said["would change it"] == answer["would_change_it"]
    assert "archiver plan, approve, apply" in said["would change it"][0]


def test_what_the_source_left_out_may_match(archive: Desk) -> None:
    """A policy that may be about a call delays it: so it is shown as maybe, with its wait."""
    said, answer = told(archive, "2"), archive.run("explain", "2", "--json").answer
    assert said["policies"] == ["abroad (maybe), desk (maybe), everyone"]
    assert answer["source_not_before"] == {"at": "2064-01-31T12:03:00+00:00", "policy": "abroad"}
    assert cast("dict[str, object]", answer["source"])["reason"] == "not_yet"


def test_a_case_beats_all(archive: Desk) -> None:
    """On both sides, and for a request of erasure."""
    said, answer = told(archive, "3"), archive.run("explain", "3", "--json").answer
    assert said["holds"] == ["case-1"]
    for label, name in {"at the source": "source", "in the archive": "archive", "if erasure asked": "erasure"}.items():
        assert said[label] == ["keep: it is on legal hold: case-1"]
        assert cast("dict[str, object]", answer[name])["holds"] == ["case-1"]
    assert answer["on_hold"] is True
    assert "archiver hold release" in said["would change it"][0]

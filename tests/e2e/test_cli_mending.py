"""retry and accept: what a person decides about recordings that did not go through by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.simulator import Account, Fault, Html, Operation
from tests.support.desk import DAILY, Desk, MakeDesk
from tests.support.world import calls, key_of

LONGER = 4  # the recording that is not as long as it is listed
CALLS = tuple(replace(call, listed_size=call.size + 10) if call.id == LONGER else call for call in calls(4))
BAD = tuple(Fault(on=Operation.AUDIO, do=Html(), recording=number, times=None) for number in (1, 2))


@pytest.fixture
def gaps(desk: MakeDesk) -> Desk:
    """An archive in which 1 and 2 are missing, 3 is good, and 4 is longer than listed."""
    made = desk(Account(recordings=CALLS, faults=BAD))
    assert made.run("sync").code == 3
    return made


@pytest.fixture(scope="module")
def lasting(module_desk: MakeDesk) -> Desk:
    """The same, shared by the tests in which everything is refused."""
    made = module_desk(Account(recordings=CALLS, faults=BAD))
    assert made.run("sync").code == 3
    return made


def test_retry_makes_what_is_named_due_at_once(gaps: Desk) -> None:
    """The next pass tries it, although its waiting time is not over; the attempts begin anew."""
    gaps.backstage.do(gaps.simulator.heal)
    done = gaps.run("retry", "1", "1", "--json")
    assert (done.code, done.answer) == (0, {"queued": ["1"], "refused": {}})
    assert gaps.entries()["1"].attempts == 0

    assert gaps.run("sync").code == 3
    assert gaps.states() == {"1": "verified", "2": "discovered", "3": "verified", "4": "verified"}


def test_retry_of_everything(gaps: Desk) -> None:
    """What failed for good and what waits; what has no problem is left alone."""
    gaps.change("update recordings set state = 'failed' where recording_id = '2'")
    gaps.backstage.do(gaps.simulator.heal)
    done = gaps.run("retry", "--all")
    assert done.code == 0
    assert done.out.startswith("2 due again")
    assert gaps.run("sync").code == 0
    assert set(gaps.states().values()) == {"verified"}
    assert gaps.run("retry", "--all", "--json").answer == {"queued": [], "refused": {}}


def test_retry_is_refused_for_what_is_archived(gaps: Desk) -> None:
    """Exit 3, with the reason; the others are queued."""
    done = gaps.run("retry", "1", "3")
    assert done.code == 3
    assert done.out.startswith("1 due again")
    assert "3: not retried, it is verified" in done.out


def test_retry_with_an_unknown_id_queues_nothing(lasting: Desk) -> None:
    """All of them are known, or nothing happens."""
    before = lasting.entries()["1"].next_attempt_at
    assert lasting.run("retry", "1", "99").code == 2
    assert lasting.entries()["1"].next_attempt_at == before


def test_retry_of_a_bad_copy_whose_source_is_gone_is_refused(desk: MakeDesk) -> None:
    """Nothing could be downloaded again: only a good copy helps, and the answer says so."""
    here = desk(Account(recordings=calls(2)))
    here.policies(DAILY, mode="automatic", max_percent=100)
    assert here.run("sync").code == 0
    here.spoil(key_of(CALLS[0]))
    assert here.run("verify", "1").code == 3
    done = here.run("retry", "1")
    assert done.code == 3
    assert "archiver verify" in done.out
    assert here.states()["1"] == "quarantined"


def test_accept_lifts_the_bar_from_deletion(gaps: Desk) -> None:
    """Who and why are kept in the history; without a decision the recording stays at the source."""
    gaps.policies(DAILY, mode="automatic", max_percent=100)
    assert gaps.run("explain", "4", "--json").section("source")["reason"] == "size_disagrees"
    done = gaps.run("accept", "4", "--by", "asha", "--reason", "listened to it, it is whole")
    assert done.code == 0
    assert "4" in done.out

    story = gaps.run("explain", "4", "--json")
    assert story.section("source")["reason"] == "due"
    assert story.rows("history")[-1]["detail"] == {"by": "asha", "reason": "listened to it, it is whole"}
    assert gaps.run("sync").code == 3
    assert sorted(gaps.simulator.requests.deletes) == [3, 4]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["3", "--by", "asha", "--reason", "good"], "nothing to accept"),
        (["99", "--by", "asha", "--reason", "good"], "no recording 99"),
        (["4", "--by", " ", "--reason", "good"], "must not be empty"),
        (["4", "--by", "asha"], "--reason"),
    ],
)
def test_accept_is_refused(lasting: Desk, words: list[str], said: str) -> None:
    """Without evidence, or with nothing to decide about: exit 2, and nothing changes."""
    done = lasting.run("accept", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert lasting.entries()["4"].size_disagrees


def test_accept_says_nothing_about_a_quarantined_copy(gaps: Desk) -> None:
    """A size can be accepted only where the copy itself is good."""
    gaps.spoil(key_of(CALLS[3]))
    assert gaps.run("verify", "4").code == 3
    done = gaps.run("accept", "4", "--by", "asha", "--reason", "good")
    assert done.code == 2
    assert "quarantined" in done.err
    assert gaps.entries()["4"].problem

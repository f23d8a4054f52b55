"""What a plan holds: the deletions that are permitted on each side, and why everything else stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Action, Candidate, Reason
from archiver.core.model import State
from archiver.core.plan import ARCHIVE, SOURCE, Draft, Plan, erasure, planned, total_bytes
from archiver.core.plan_file import render
from archiver.core.policy import Deletion, PolicySet
from archiver.core.retention import Terms, decide, decide_erasure
from tests.support.retention import DAY, ENDED, NOW, Sample, policy
from tests.support.retention_drawn import candidates, moments, tried
from tests.support.retention_drawn import terms as any_terms

POLICIES = PolicySet(policies=(policy("month", source="1mo", ceiling="2mo"),))
DUE = ENDED + 31 * DAY


def drafted(rows: Iterable[Candidate], policies: PolicySet = POLICIES, now: datetime = NOW) -> Plan:
    draft = Draft(terms=Terms.of(policies), now=now)
    for row in rows:
        draft.consider(row)
    return draft.plan(author="Anna")


def rows() -> list[Candidate]:
    both = [Sample(recording_id=str(number), account=name) for number in (2, 10, 1) for name in ("b", "a")]
    barred = [Sample(recording_id="9", state=State.STORED), Sample(recording_id="8", size_disagrees=True)]
    purged = [Sample(recording_id="7", account="a", state=State.PURGED)]
    return [sample.candidate() for sample in (*both, *barred, *purged)]


def test_holds_the_deletions_sorted_and_counts_the_rest_on_each_side() -> None:
    plan = drafted(rows())
    at_source = [(item.account, item.recording_id) for item in plan.at_source()]
    assert at_source == [("a", "1"), ("a", "10"), ("a", "2"), ("b", "1"), ("b", "10"), ("b", "2")]
    assert [item.key for item in plan.in_archive()] == [("a", "7", "1")]
    assert [item.key for item in plan.items] == sorted(item.key for item in plan.items)
    barred = {Reason.NOT_VERIFIED: 1, Reason.SIZE_DISAGREES: 1}
    assert plan.kept == {
        SOURCE: {**barred, Reason.ALREADY_PURGED: 1},
        ARCHIVE: {**barred, Reason.STILL_AT_SOURCE: 6},
    }
    assert total_bytes(plan.at_source()) == 6 * 400_000
    assert (plan.created_at, plan.author, plan.policies_digest) == (NOW, "Anna", POLICIES.digest)


def test_expires_when_the_policies_say() -> None:
    patient = replace(POLICIES, deletion=Deletion(plan_valid=timedelta(hours=5)))
    assert drafted([], patient).expires_at == NOW + timedelta(hours=5)
    assert drafted([]).expires_at == NOW + 7 * DAY


def test_a_line_says_what_goes_where_why_and_which_copy() -> None:
    sample = Sample(recording_id="42", account="zenith").candidate()
    (item,) = drafted([sample]).items
    assert (item.account, item.recording_id, item.action) == ("zenith", "42", Action.DELETE_AT_SOURCE)
    assert (item.reason, item.policy, item.not_before) == (Reason.DUE, "month", DUE.replace(day=1))
    assert (item.sha256, item.size, item.ended_at) == ("a" * 64, 400_000, ENDED)


def test_gone_by_itself_it_is_looked_for_at_the_source_before_the_copy_goes() -> None:
    plan = drafted([Sample(at_source=False).candidate()])
    assert [item.action for item in plan.items] == [Action.DELETE_AT_SOURCE, Action.DELETE_IN_ARCHIVE]


def test_the_same_recording_twice_is_planned_once() -> None:
    assert len(drafted([Sample().candidate(), Sample().candidate()]).items) == 1


def test_an_empty_plan_is_a_plan() -> None:
    plan = drafted([], PolicySet())
    assert (plan.items, plan.kept) == ((), {SOURCE: {}, ARCHIVE: {}})


@tried(40)
@given(
    st.lists(candidates(), max_size=8, unique_by=lambda row: (row.account, row.recording_id)),
    any_terms(),
    moments(),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_means_nothing_and_none_is_lost(
    considered: list[Candidate], terms: Terms, now: datetime, random: Random
) -> None:
    plans = []
    for _ in range(2):
        draft = Draft(terms=terms, now=now)
        for row in considered:
            draft.consider(row)
        plans.append(draft.plan(author="Anna"))
        random.shuffle(considered)
    assert render(plans[0]) == render(plans[1])
    for side, items in ((SOURCE, plans[0].at_source()), (ARCHIVE, plans[0].in_archive())):
        assert len(items) + sum(plans[0].kept[side].values()) == len(considered)


def test_a_decision_without_a_copy_is_never_planned() -> None:
    decision = decide(Sample().candidate(), Terms.of(POLICIES), NOW)
    for sample in (Sample(sha256=None), Sample(size=None)):
        with pytest.raises(ValueError, match="recording 1 has no copy on record"):
            planned(sample.candidate(), decision, Action.DELETE_AT_SOURCE)


def erased(*samples: Sample, policies: PolicySet = POLICIES) -> Plan:
    terms = Terms.of(policies)
    asked = [(one.candidate(), decide_erasure(one.candidate(), terms, NOW)) for one in samples]
    return erasure(asked, terms, NOW, author="Anna")


def test_an_erasure_takes_both_sides_where_the_source_still_has_it() -> None:
    plan = erased(Sample(recording_id="2"), Sample(recording_id="1", state=State.PURGED))
    assert [(item.recording_id, item.action) for item in plan.items] == [
        ("1", Action.DELETE_IN_ARCHIVE),
        ("2", Action.DELETE_AT_SOURCE),
        ("2", Action.DELETE_IN_ARCHIVE),
    ]
    assert {(item.reason, item.policy) for item in plan.items} == {(Reason.ERASURE_REQUESTED, None)}
    assert {item.not_before for item in plan.items} == {None}
    assert (plan.author, plan.expires_at, plan.policies_digest) == ("Anna", NOW + 7 * DAY, POLICIES.digest)
    assert plan.kept == {SOURCE: {}, ARCHIVE: {}}


def test_an_erasure_past_a_floor_says_since_when() -> None:
    (_, item) = erased(Sample(), policies=PolicySet(policies=(policy("kept", floor="90d"),))).items
    assert item.not_before == datetime(2025, 4, 1, 0, 10, tzinfo=UTC)
